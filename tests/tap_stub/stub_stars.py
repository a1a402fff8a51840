"""A small table with every type of column that Gaia's archive serves."""

from __future__ import annotations

import astropy.units as u
import numpy as np
from astropy.table import MaskedColumn, Table

__all__ = ["archive_table", "assert_same_rows"]


def archive_table(rows: int, seed: int = 0) -> Table:
    """Stars in the order of `source_id`, with missing values in every column that may lack some."""
    rng = np.random.default_rng(seed)
    gone = rng.random(rows) < 0.2
    table = Table()
    # Beyond 2^53 an identifier that passes through a float changes.
    table["source_id"] = np.sort(
        rng.choice(2**40, rows, replace=False) * 2**22 + rng.integers(0, 2**22, rows)
    )
    table["ra"] = rng.uniform(0, 360, rows) * u.deg
    table["dec"] = rng.uniform(-90, 90, rows) * u.deg
    table["pmra"] = rng.normal(size=rows) * u.mas / u.yr
    table["pmdec"] = rng.normal(size=rows) * u.mas / u.yr
    table["parallax"] = np.where(gone, np.nan, rng.normal(size=rows)) * u.mas
    table["phot_g_mean_mag"] = rng.uniform(10, 21, rows).astype(np.float32) * u.mag
    table["rv_nb_transits"] = MaskedColumn(rng.integers(0, 40, rows).astype(np.int16), mask=gone)
    table["random_index"] = MaskedColumn(rng.integers(0, 2**62, rows), mask=~gone)
    table["has_xp_sampled"] = MaskedColumn(rng.random(rows) < 0.5, mask=rng.random(rows) < 0.1)
    table["phot_variable_flag"] = rng.choice(["NOT_AVAILABLE", "VARIABLE", "CONSTANT"], rows)
    return table


def assert_same_rows(found: Table, expected: Table) -> None:
    """Same columns, rows, units, types and missing values, bit for bit; the order of the rows is free."""
    assert found.colnames == expected.colnames
    assert len(found) == len(expected)
    found = found[np.argsort(found["source_id"])]
    expected = expected[np.argsort(expected["source_id"])]
    for name in expected.colnames:
        gone = np.ma.getmaskarray(expected[name])
        assert found[name].unit == expected[name].unit, name
        assert found[name].dtype.kind == expected[name].dtype.kind, name
        np.testing.assert_array_equal(np.ma.getmaskarray(found[name]), gone, err_msg=name)
        np.testing.assert_array_equal(
            np.asarray(found[name])[~gone], np.asarray(expected[name])[~gone], err_msg=name, strict=False
        )
        if expected[name].dtype.kind in "if":
            assert found[name].dtype.newbyteorder("=") == expected[name].dtype, name
