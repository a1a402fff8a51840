"""Stars on disk once: a HEALPix-partitioned catalogue that grows by appends and answers cones."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import astropy.units as u
import numpy as np
import pyarrow as pa
from astropy.coordinates import angular_separation
from astropy.table import Table
from jaxtyping import Bool, Integer

from sky_patches.column_names import nearest
from sky_patches.errors import StoreError
from sky_patches.frames import PatchFrame
from sky_patches.healpix import MAX_ORDER, cone_core_29, cone_ranges_29
from sky_patches.schema import StarTable
from sky_patches.store import append as store_append
from sky_patches.store import replace as store_replace
from sky_patches.store import verify as store_verify
from sky_patches.store.append import AppendReport
from sky_patches.store.arrow_table import from_arrow, plain_values
from sky_patches.store.box import SkyBox
from sky_patches.store.commit import JOURNAL, MANIFEST, Snapshot, exclusive, snapshot, token
from sky_patches.store.hats_layout import Partition
from sky_patches.store.manifest import Manifest
from sky_patches.store.read import DamagedPartitionError, content_hash, select
from sky_patches.store.rejected import write_rejected
from sky_patches.store.verify import Damage, VerifyReport

__all__ = ["AppendReport", "CatalogStore", "Damage", "VerifyReport"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")
_Answer = TypeVar("_Answer")


class CatalogStore:
    """A catalogue of stars on disk, in the HATS layout; make one with `create`, reach it again with `open`.

    The object holds no stars and no open files: it may be pickled, and it sees what other processes
    append. Rows come back bit for bit as they went in, sorted along the HEALPix curve. One process writes
    at a time; any number read.
    """

    def __init__(self, path: Path | str) -> None:
        # Absolute, because a pickled store may wake up in a process with another working directory.
        self._path = Path(path).absolute()
        self._snapshot = snapshot(self._path)

    @classmethod
    def create(cls, path: Path | str, *, name: str, max_rows: int = 1_000_000) -> CatalogStore:
        """Make an empty store in the new or empty directory `path`.

        Args:
            name: name of the catalogue: letters, digits and `_ . + -`.
            max_rows: a pixel with more stars is split into its four children, down to order 12.

        Raises:
            StoreError: there is something at `path` already, or a bad name or `max_rows`.
        """
        root = Path(path)
        if not _NAME.fullmatch(name):
            raise StoreError(f"the name of a store consists of letters, digits and _ . + -, found {name!r}")
        if max_rows < 1:
            raise StoreError(f"max_rows must be at least 1, found {max_rows}")
        if cls.exists(root):
            raise StoreError(f"{root} is a catalogue store already; use CatalogStore.open")
        store_append.initialise(root, Manifest(name=name, max_rows=int(max_rows)))
        return cls(root)

    @classmethod
    def open(cls, path: Path | str) -> CatalogStore:
        """Open the store at `path`; nothing is read but its manifest.

        Raises:
            StoreError: no store, a damaged one, or one of a newer format.
        """
        return cls(path)

    @staticmethod
    def exists(path: Path | str) -> bool:
        """Whether there is a store at `path`."""
        return any((Path(path) / name).is_file() for name in (MANIFEST, JOURNAL))

    def __repr__(self) -> str:
        manifest = self._current().manifest
        return (
            f"<CatalogStore {manifest.name!r}: {manifest.rows} stars, {len(manifest.partitions)} partitions, "
            f"at {self._path}>"
        )

    def __len__(self) -> int:
        return self._current().manifest.rows

    @property
    def path(self) -> Path:
        """Root directory; also what `lsdb.open_catalog` takes."""
        return self._path

    @property
    def name(self) -> str:
        """Name of the catalogue."""
        return self._current().manifest.name

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns, in the order in which tables carry them."""
        return tuple(column.name for column in self._current().manifest.columns)

    @property
    def partitions(self) -> tuple[Partition, ...]:
        """The pixels with their numbers of stars, along the HEALPix curve."""
        return self._current().manifest.partitions

    @property
    def provenance(self) -> list[dict[str, Any]]:
        """One record per append: what its caller said, and `time`, `rows`, `duplicates`, `version`."""
        return [dict(record) for record in self._current().manifest.provenance]

    def append(self, stars: StarTable, *, provenance: Mapping[str, Any]) -> AppendReport:
        """Add stars; those whose `source_id` the store has already are skipped and counted.

        All or nothing: if this process dies, the store holds the old or the new content, and the same call
        repeated completes it. A column that only one side has is filled with NaN (with nulls where it is
        not of floats); a new column makes every partition be written anew.

        Args:
            stars: a valid star table, in any order.
            provenance: a record that JSON can hold, with at least `origin` (a file, a query).

        Raises:
            SchemaError: not a star table.
            StoreError: unfit provenance, a column that changes type or unit, another writer, a full disk.
        """
        with exclusive(self._path):
            return store_append.append(self._path, stars, provenance)

    def replace(
        self,
        stars: StarTable,
        *,
        source_id_ranges: Sequence[tuple[int, int]],
        provenance: Mapping[str, Any],
    ) -> AppendReport:
        """Remove every star whose `source_id` lies in one of the ranges, and add `stars`, in one step.

        All or nothing, as `append`. Only the partitions that lose or get stars are written anew. A table
        without rows is fine: it empties the ranges, and the record of provenance is kept all the same.

        Args:
            stars: a valid star table, in any order; of rows that repeat a `source_id` the first counts.
            source_id_ranges: half-open ranges [start, stop); they may touch and overlap.
            provenance: as for `append`.

        Raises:
            SchemaError: not a star table.
            StoreError: a star outside the ranges, a range that is none, a damaged partition, or as for
                `append`.
        """
        with exclusive(self._path):
            return store_replace.replace_stars(self._path, stars, source_id_ranges, provenance)

    def verify(self, progress: Callable[[int, int], None] | None = None) -> VerifyReport:
        """Read the whole store and check it against what was written.

        For each partition: the file is there and readable, has its checksum, columns and number of rows; its
        rows are sorted and lie inside its pixel. Over the store: no `source_id` twice, no foreign files in
        the way of other programs, and the files that describe the catalogue to them. Memory holds a few row
        groups and eight million identifiers.

        Args:
            progress: called with (partitions done, partitions in all).
        """
        while True:
            state = self._current()
            report = store_verify.verify(state, progress)
            # What a writer exchanged meanwhile is not damage.
            if report.ok or token(self._path) == state.token:
                return report

    def repair(self, report: VerifyReport) -> tuple[Partition, ...]:
        """Take out what `verify` found damaged or foreign, and write anew the files that describe the rest.

        The files are kept in `<store>/damaged/`. The stars of the partitions are gone from the store then:
        refresh or import their part of the sky again. Stars near the edge of such a pixel may have the
        identifier of a neighbouring one, so fetch a pixel's neighbours too where that is done by identifier.

        Returns:
            The partitions that were taken out.

        Raises:
            StoreError: another writer, or a full disk.
        """
        gone = tuple(entry.partition for entry in report.damaged)
        with exclusive(self._path):
            store_replace.take_out(self._path, gone, report.strays, "repair")
        return gone

    def keep_rejected(self, table: Table, origin: str) -> Path | None:
        """Keep rejected rows in `<store>/rejected/`, as Parquet; nothing is ever overwritten.

        The file's name holds a hash of its content, so that the same rows kept again give the same file.

        Returns:
            The file, or None for a table without rows.

        Raises:
            SchemaError: a column that Parquet cannot hold.
            StoreError: the file cannot be written.
        """
        return write_rejected(self._path, table, origin)

    def cone(
        self,
        ra: float | u.Quantity,
        dec: float | u.Quantity,
        radius: float | u.Quantity,
        columns: Sequence[str] | None = None,
    ) -> StarTable:
        """Stars within `radius` of a point, the edge included; plain numbers are degrees.

        Args:
            columns: those of the result, in its order; all of them by default.

        Raises:
            StoreError: an unknown column, values that are no angles, or a damaged partition.
        """
        lon, lat, reach = _degrees(ra, "ra"), _degrees(dec, "dec"), _degrees(radius, "radius")
        ranges, core = cone_ranges_29(lon, lat, reach), cone_core_29(lon, lat, reach)

        def inside(rows: pa.Table) -> Bool[np.ndarray, " n"]:
            there = (np.radians(plain_values(rows[name])) for name in ("ra", "dec"))
            return np.degrees(angular_separation(np.radians(lon), np.radians(lat), *there)) <= reach

        return self._ask(
            columns, lambda state, names: select(state, names, ranges, inside, ("ra", "dec"), core)
        )

    def box(
        self,
        phi1: tuple[float, float],
        phi2: tuple[float, float],
        frame: PatchFrame | None = None,
        columns: Sequence[str] | None = None,
    ) -> StarTable:
        """Stars inside a box in longitude and latitude of a frame, the edges included.

        Args:
            phi1: (first, last) longitude, degrees; (350, 10) passes through 0.
            phi2: (lowest, highest) latitude, degrees.
            frame: of both; None for ra, dec.
            columns: those of the result, in its order; all of them by default.

        Raises:
            StoreError: intervals that are none, an unknown column, or a damaged partition.
        """
        box = SkyBox(phi1, phi2, frame)
        ranges = box.ranges_29()

        def inside(rows: pa.Table) -> Bool[np.ndarray, " n"]:
            return box.contains(*(plain_values(rows[name]) for name in ("ra", "dec")))

        return self._ask(columns, lambda state, names: select(state, names, ranges, inside, ("ra", "dec")))

    def pixels(
        self,
        pixels: Sequence[int] | Integer[np.ndarray, " k"],
        order: int,
        columns: Sequence[str] | None = None,
    ) -> StarTable:
        """Stars inside HEALPix pixels (NESTED) of one order, by their positions.

        Raises:
            StoreError: a pixel number that does not exist at `order`, an unknown column, or a damaged
                partition.
        """
        if not 0 <= order <= MAX_ORDER:
            raise StoreError(f"HEALPix orders are 0 to {MAX_ORDER}, found {order}")
        wanted = np.unique(np.asarray(pixels, dtype=np.int64))
        if wanted.size and (wanted[0] < 0 or wanted[-1] >= 12 << (2 * order)):
            bad = wanted[0] if wanted[0] < 0 else wanted[-1]
            raise StoreError(f"pixels of order {order} are 0 to {(12 << (2 * order)) - 1}, found {bad}")
        ranges = np.column_stack([wanted, wanted + 1]) << (2 * (MAX_ORDER - order))
        return self._ask(columns, lambda state, names: select(state, names, ranges))

    def stars(self, columns: Sequence[str] | None = None) -> StarTable:
        """All stars.

        Raises:
            StoreError: an unknown column, or a damaged partition.
        """
        return self._ask(columns, select)

    def checksum(self) -> str:
        """SHA-256 of the content: equal for equal stars, however they were appended and partitioned.

        It reads everything: seconds per ten million stars.
        """
        return self._consistently(content_hash)

    def _ask(
        self, columns: Sequence[str] | None, query: Callable[[Snapshot, list[str]], pa.Table]
    ) -> StarTable:
        return from_arrow(self._consistently(lambda state: query(state, _names(state, columns))))

    def _consistently(self, query: Callable[[Snapshot], _Answer]) -> _Answer:
        """The answer of `query` on one state; asked again if a writer changed the store meanwhile."""
        while True:
            state = self._current()
            try:
                return query(state)
            except DamagedPartitionError:
                if token(self._path) == state.token:
                    raise

    def _current(self) -> Snapshot:
        if token(self._path) != self._snapshot.token:
            self._snapshot = snapshot(self._path)
        return self._snapshot


def _names(state: Snapshot, columns: Sequence[str] | None) -> list[str]:
    known = [column.name for column in state.manifest.columns]
    if columns is None:
        return known
    if isinstance(columns, str):
        raise StoreError(
            f"columns must be a list of names, found the string {columns!r}; write [{columns!r}]"
        )
    for name in columns:
        if name not in known:
            raise StoreError(
                f"column {name!r} is not in the store; nearest {nearest(name, known)}, all: {known}"
            )
    return list(dict.fromkeys(columns))


def _degrees(value: float | u.Quantity, name: str) -> float:
    try:
        number = value.to_value(u.deg) if isinstance(value, u.Quantity) else value
        return float(number)
    except (u.UnitConversionError, TypeError, ValueError) as error:
        raise StoreError(f"{name} must be one angle (degrees, or a Quantity), found {value!r}") from error
