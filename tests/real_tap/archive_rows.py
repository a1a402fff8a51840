"""The rows that a store or a reply must hold, and a comparison that forgives nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache

import numpy as np
from astropy.table import Table
from gaia_table import dr2_tables, dr3_table

from sky_patches.schema import SCHEMA

__all__ = ["ROWS", "SEED", "assert_same_rows", "rows_of_dr2", "rows_of_dr3", "within"]

ROWS, SEED = 60_000, 1


@cache
def rows_of_dr3() -> Table:
    """All rows of gaiadr3.gaia_source as float64 with NaN for NULL, sorted by source_id."""
    return _plain(dr3_table(ROWS, SEED))


@cache
def rows_of_dr2() -> Table:
    """All rows of gaiadr2.gaia_source with the ruwe of gaiadr2.ruwe, NaN where that has none."""
    tables = dr2_tables(ROWS // 4, SEED + 1)
    whole, listed = _plain(tables["gaia_source"]), _plain(tables["ruwe"])
    whole["ruwe"] = np.nan
    whole["ruwe"][np.searchsorted(whole["source_id"], listed["source_id"])] = listed["ruwe"]
    return whole


def within(rows: Table, pixels: Iterable[tuple[int, int]]) -> Table:
    """The rows with a proper motion whose source_id lies in one of the HEALPix pixels (order, number)."""
    kept = np.zeros(len(rows), bool)
    for order, number in pixels:
        kept |= rows["source_id"] >> (35 + 2 * (12 - order)) == number
    return rows[kept & np.isfinite(rows["pmra"])]


def assert_same_rows(found: Table, expected: Table, names: Sequence[str] = tuple(SCHEMA)) -> None:
    """Same stars, each once; every value equal bit for bit; missing where the archive has none."""
    assert len(expected) > 0
    found = found[np.argsort(found["source_id"], kind="stable")]
    assert found["source_id"].dtype == np.int64
    assert np.array_equal(found["source_id"], expected["source_id"]), _difference(found, expected)
    for name in names:
        assert _bits(found[name]) == _bits(expected[name]), name


def _plain(table: Table) -> Table:
    plain = Table()
    for name in table.colnames:
        whole = table[name].dtype.kind == "i"
        plain[name] = table[name].data.data if whole else table[name].astype(np.float64).filled(np.nan)
    return plain


def _bits(column: np.ndarray) -> bytes:
    """Values as they are compared: float64, with one kind of NaN where the archive has no value."""
    values = np.ma.filled(column.astype(np.float64), np.nan)
    return np.where(np.isnan(values), np.nan, values).tobytes()


def _difference(found: Table, expected: Table) -> str:
    here, there = set(found["source_id"].tolist()), set(expected["source_id"].tolist())
    return f"{len(found)} rows, expected {len(expected)}; lost {len(there - here)}, alien {len(here - there)}"
