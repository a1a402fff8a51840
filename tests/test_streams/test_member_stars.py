"""Member stars: tables in and out, and a star that two patches hold."""

from __future__ import annotations

import astropy.units as u
import numpy as np
import pytest
from astropy.table import MaskedColumn, Table

from streams import CatalogError
from streams.members import MemberStars


def _table(ids: list[int], probability: list[float]) -> Table:
    n = len(ids)
    return Table(
        {
            "source_id": np.array(ids, dtype=np.int64),
            "probability": probability,
            "ra": np.linspace(10.0, 20.0, n) * u.deg,
            "dec": np.linspace(-5.0, 5.0, n) * u.deg,
            "pmra": np.arange(float(n)) * u.mas / u.yr,
            "pmdec": np.arange(float(n)) / 1000.0 * u.arcsec / u.yr,
        }
    )


def test_a_table_comes_back():
    stars = MemberStars.from_table(_table([3, 1, 2], [0.1, 0.9, 0.5]))
    again = MemberStars.from_table(stars.to_table())
    for name in ("source_id", "probability", "ra", "pmdec", "bp_rp"):
        np.testing.assert_array_equal(getattr(again, name), getattr(stars, name))
    assert stars.stars == pytest.approx(1.5)


def test_units_are_converted_and_masked_is_nan():
    table = _table([1, 2], [0.5, 0.5])
    table["bp_rp"] = MaskedColumn([0.7, 0.8], mask=[False, True])
    stars = MemberStars.from_table(table)
    assert stars.pmdec[1] == pytest.approx(1.0)
    assert np.isnan(stars.bp_rp[1]) and stars.bp_rp[0] == 0.7
    assert np.isnan(stars.parallax).all()


def test_a_star_of_two_patches_is_one_star():
    first = MemberStars.from_table(_table([1, 2, 3], [0.2, 0.9, 0.4]))
    second = MemberStars.from_table(_table([3, 4, 1], [0.8, 0.1, 0.1]))
    both = MemberStars.concatenate([first, second])
    assert both.source_id.tolist() == [1, 2, 3, 4]
    assert both.probability.tolist() == [0.2, 0.9, 0.8, 0.1]
    other_way = MemberStars.concatenate([second, first])
    np.testing.assert_array_equal(other_way.probability, both.probability)


def test_what_is_missing_is_named():
    table = _table([1], [0.5])
    table.remove_column("pmra")
    with pytest.raises(CatalogError, match="pmra"):
        MemberStars.from_table(table)
