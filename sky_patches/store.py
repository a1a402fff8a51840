"""Stars on disk once: a HEALPix-partitioned catalogue that grows by appends and answers cones."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import astropy.units as u
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from astropy.coordinates import angular_separation
from astropy.table import Table
from jaxtyping import Bool, Integer

from sky_patches import store_append
from sky_patches.arrow_table import from_arrow, to_arrow
from sky_patches.column_names import nearest
from sky_patches.errors import StoreError
from sky_patches.hats_layout import Partition
from sky_patches.healpix import MAX_ORDER, cone_ranges_29
from sky_patches.schema import StarTable
from sky_patches.store_append import AppendReport
from sky_patches.store_commit import JOURNAL, MANIFEST, Snapshot, exclusive, snapshot, token
from sky_patches.store_manifest import Manifest
from sky_patches.store_read import DamagedPartitionError, content_hash, select

__all__ = ["AppendReport", "CatalogStore"]

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

    def keep_rejected(self, table: Table, origin: str) -> Path | None:
        """Keep rejected rows in `<store>/rejected/`, as Parquet; nothing is ever overwritten.

        The file's name holds a hash of its content, so that the same rows kept again give the same file.

        Returns:
            The file, or None for a table without rows.

        Raises:
            SchemaError: a column that Parquet cannot hold.
            StoreError: the file cannot be written.
        """
        if len(table) == 0:
            return None
        sink = pa.BufferOutputStream()
        pq.write_table(to_arrow(table).replace_schema_metadata({"origin": origin}), sink, compression="zstd")
        content = sink.getvalue().to_pybytes()
        label = re.sub(r"[^A-Za-z0-9_.-]+", "_", Path(origin).name)[:80] or "rejected"
        target = self._path / "rejected" / f"{label}-{hashlib.sha256(content).hexdigest()[:12]}.parquet"
        try:
            if not target.exists():
                target.parent.mkdir(exist_ok=True)
                draft = target.with_name(f".{target.name}.{os.getpid()}")
                draft.write_bytes(content)
                os.replace(draft, target)
        except OSError as error:
            raise StoreError(
                f"{target} cannot be written ({error}); free space, then repeat the import"
            ) from error
        return target

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
        ranges = cone_ranges_29(lon, lat, reach)

        def inside(rows: pa.Table) -> Bool[np.ndarray, " n"]:
            there = np.radians(rows["ra"].to_numpy()), np.radians(rows["dec"].to_numpy())
            return np.degrees(angular_separation(np.radians(lon), np.radians(lat), *there)) <= reach

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
