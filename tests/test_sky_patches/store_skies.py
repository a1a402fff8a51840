"""Small skies for the tests of the catalogue store, and a file system that fails on purpose."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from astropy.coordinates import angular_separation
from astropy.table import Table

from sky_patches.healpix import radec_to_pixel
from sky_patches.schema import star_table

__all__ = ["ORIGIN", "Crash", "assert_bit_exact", "by_id", "crashing_replace", "separation", "sky"]

ORIGIN = {"origin": "test"}


def sky(
    n: int, seed: int = 0, *, spread: float = 5.0, extra: dict | None = None, **optional: object
) -> Table:
    """Stars around (200, 40) deg, with Gaia-like identifiers."""
    rng = np.random.default_rng(seed)
    ra, dec = 200 + spread * rng.normal(size=n), np.clip(40 + spread * rng.normal(size=n), -90, 90)
    columns = {"ra": ra % 360, "dec": dec, "pmra": rng.normal(size=n), "pmdec": rng.normal(size=n)}
    columns["source_id"] = (radec_to_pixel(ra, dec, 12) << 35) + rng.permutation(n) + (seed << 20)
    return star_table({**columns, **optional}, extra=extra)


def by_id(table: Table) -> Table:
    return table[np.argsort(table["source_id"])]


def assert_bit_exact(found: Table, expected: Table) -> None:
    found, expected = by_id(found), by_id(expected)
    assert found.colnames == expected.colnames
    for name in expected.colnames:
        assert found[name].tobytes() == expected[name].tobytes(), name
        assert found[name].unit == expected[name].unit
        assert found[name].dtype == expected[name].dtype


def separation(table: Table, ra: float, dec: float) -> np.ndarray:
    there = np.radians(table["ra"].data), np.radians(table["dec"].data)
    return np.degrees(angular_separation(np.radians(ra), np.radians(dec), *there))


class Crash(OSError):
    """What a killed process looks like to the code that it interrupts."""


def crashing_replace(monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """Let `os.replace` work `after` times, then fail for ever."""
    original, calls = os.replace, iter(range(10_000))

    def replace(source: Path, target: Path) -> None:
        if next(calls) >= after:
            raise Crash("crash")
        original(source, target)

    monkeypatch.setattr(os, "replace", replace)
