"""An archive in memory: a table of stars in SQLite that answers ADQL, and fails as told."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Sequence

import healpy as hp
import numpy as np
from astropy.table import Table

from sky_patches.archive.errors import ArchiveStoppedError, QueryRejectedError
from sky_patches.schema import SCHEMA

__all__ = ["DoubleArchive", "Killed", "assert_same_stars", "gaia_like", "served"]


class Killed(BaseException):
    """Stands for a kill: nothing may catch it."""


def gaia_like(
    rows: int, seed: int = 1, *, ra: float = 150.0, dec: float = 30.0, radius: float = 4.0
) -> Table:
    """Stars in a circle with identifiers that follow their positions, and some values missing."""
    rng = np.random.default_rng(seed)
    distance, angle = radius * np.sqrt(rng.random(rows)), rng.uniform(0, 2 * np.pi, rows)
    lat = dec + distance * np.sin(angle)
    lon = (ra + distance * np.cos(angle) / np.cos(np.radians(lat))) % 360.0
    pixel = hp.ang2pix(1 << 12, lon, lat, nest=True, lonlat=True).astype(np.int64)
    table = Table({"source_id": (pixel << 35) + rng.permutation(rows) + 1, "ra": lon, "dec": lat})
    for name in SCHEMA:
        if name not in table.colnames:
            table[name] = rng.normal(1.0, 0.3, rows)
    table["phot_g_mean_mag"] = rng.uniform(10, 21, rows)
    for name, missing in (("radial_velocity", 0.9), ("bp_rp", 0.1), ("ruwe", 0.05)):
        table[name][rng.random(rows) < missing] = np.nan
    for name in ("pmra", "pmdec"):
        table[name][: rows // 20] = np.nan
    table["visibility_periods_used"] = rng.integers(5, 30, rows)
    return table


class DoubleArchive:
    """Answers like `TapClient`, and keeps what it was asked.

    Args:
        stars: the table, here called gaiadr3.gaia_source and, without its ruwe, gaiadr2.gaia_source.
        limit: most rows of one answer.
    """

    def __init__(self, stars: Table, limit: int | None = None) -> None:
        self.limit = limit
        self.counts: list[str] = []
        self.fetches: list[str] = []
        self.taken_up: list[str] = []
        self.fail: Callable[[str], None] = lambda adql: None
        self.stopped = False
        self._guard = threading.Lock()
        self._base = sqlite3.connect(":memory:", check_same_thread=False)
        for schema in ("gaiadr2", "gaiadr3"):
            self._base.execute(f"ATTACH ':memory:' AS {schema}")
        self.fill(stars)

    def fill(self, stars: Table) -> None:
        """Serve these stars from now on."""
        names = list(stars.colnames)
        self._load("gaiadr3.gaia_source", stars, names)
        self._load("gaiadr2.gaia_source", stars, [name for name in names if name != "ruwe"])
        # A star without an entry there keeps its row.
        some = stars[np.isfinite(stars["ruwe"])]
        self._load("gaiadr2.ruwe", some, ["source_id", "ruwe"])

    def _load(self, name: str, stars: Table, columns: Sequence[str]) -> None:
        with self._guard:
            self._base.execute(f"DROP TABLE IF EXISTS {name}")
            self._base.execute(f"CREATE TABLE {name} ({', '.join(columns)})")
            rows = list(zip(*(stars[column].tolist() for column in columns), strict=True))
            holes = [[None if value != value else value for value in row] for row in rows]
            self._base.executemany(f"INSERT INTO {name} VALUES ({','.join('?' * len(columns))})", holes)

    def check(self) -> None:
        """It is always there, unless told to fail."""
        self.fail("check")

    def row_limit(self) -> int | None:
        """The limit."""
        return self.limit

    def stop(self) -> None:
        """Note it."""
        self.stopped = True

    def count(self, adql: str) -> int:
        """The number."""
        self._meet(self.counts, adql)
        return int(self._ask(adql)[1][0][0])

    def fetch(
        self,
        adql: str,
        *,
        expected: int,
        job_id: str | None = None,
        on_job: Callable[[str], None] | None = None,
    ) -> Table:
        """The rows."""
        if job_id is not None:
            self.taken_up.append(job_id)
        elif on_job is not None:
            on_job(f"job{len(self.fetches)}")
        self._meet(self.fetches, adql)
        names, rows = self._ask(adql)
        columns = [np.array([row[k] for row in rows]) for k in range(len(names))]
        return Table(
            [c if c.dtype.kind == "i" else np.where(c == None, np.nan, c).astype(float) for c in columns],  # noqa: E711
            names=names,
        )

    def _meet(self, asked: list[str], adql: str) -> None:
        if self.stopped:
            raise ArchiveStoppedError("stopped")
        asked.append(adql)
        self.fail(adql)

    def _ask(self, adql: str) -> tuple[list[str], list[tuple]]:
        with self._guard:
            try:
                cursor = self._base.execute(adql)
            except sqlite3.Error as error:
                raise QueryRejectedError(f"rejected: {error}", reason=str(error), adql=adql) from error
            return [entry[0] for entry in cursor.description], cursor.fetchall()


def served(stars: Table) -> Table:
    """The rows that a refresh without cuts asks for, in the order of their identifiers."""
    kept = stars[np.isfinite(stars["pmra"]) & np.isfinite(stars["pmdec"])]
    return kept[np.argsort(kept["source_id"])]


def assert_same_stars(found: Table, expected: Table) -> None:
    """The same rows, bit for bit, in any order; missing values are NaN on both sides."""
    found, expected = (table[np.argsort(table["source_id"])] for table in (found, expected))
    assert found["source_id"].tolist() == expected["source_id"].tolist()
    for name in found.colnames:
        here, there = (np.asarray(table[name], dtype=float) for table in (found, expected))
        if name != "source_id":
            np.testing.assert_array_equal(here, there, err_msg=name)
