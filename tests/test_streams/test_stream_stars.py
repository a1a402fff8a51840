"""Laws of the stars' border: what a table must have, and what stands in for what it lacks."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.table import MaskedColumn, Table

from streams import COMPONENTS, RegionError, StreamStars
from streams.stars import MOTION_PER_PARALLAX_ERROR


def _table(**more):
    columns = {"source_id": np.arange(4), "phi1": np.zeros(4), "phi2": np.ones(4)}
    columns |= {name: np.full(4, float(k)) for k, name in enumerate(COMPONENTS)}
    return Table(columns | more)


def test_columns_come_over_in_their_order():
    stars = StreamStars.from_table(_table(bp_rp=np.arange(4.0), phot_g_mean_mag=np.full(4, 18.0)))
    assert len(stars) == 4 and stars.photometry_names == ("bp_rp", "phot_g_mean_mag")
    assert stars.position.tolist() == [[0.0, 1.0]] * 4 and stars.proper_motion.tolist() == [[0.0, 1.0]] * 4
    assert stars.photometry[:, 0].tolist() == [0, 1, 2, 3]


def test_a_missing_column_is_named():
    table = _table()
    table.remove_column("phi2")
    with pytest.raises(RegionError, match=r"lacks \['phi2'\]"):
        StreamStars.from_table(table)


def test_photometry_that_is_absent_or_empty_is_left_out():
    assert StreamStars.from_table(_table()).photometry.shape == (4, 0)
    assert StreamStars.from_table(_table(bp_rp=np.full(4, np.nan))).photometry_names == ()


def test_a_masked_value_is_not_a_number_but_no_measurement():
    colour = MaskedColumn([0.7, 0.8, 99.0, 0.9], mask=[False, False, True, False])
    stars = StreamStars.from_table(_table(bp_rp=colour))
    assert np.isfinite(stars.photometry[:, 0]).tolist() == [True, True, False, True]


def test_errors_are_measured_inferred_or_zero():
    measured = {f"{name}_error": np.array([0.1, 0.2, np.nan, 0.3]) for name in COMPONENTS}
    assert StreamStars.from_table(_table(**measured)).proper_motion_error[:, 0].tolist() == [
        0.1,
        0.2,
        0.0,
        0.3,
    ]
    inferred = StreamStars.from_table(_table(parallax_error=np.full(4, 0.5))).proper_motion_error
    assert np.allclose(inferred, 0.5 * MOTION_PER_PARALLAX_ERROR)
    assert not StreamStars.from_table(_table()).proper_motion_error.any()
