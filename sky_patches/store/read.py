"""Reading rows of a catalogue store: only the partitions, row groups and columns that a question touches."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Bool, Int64

from sky_patches.errors import StoreError
from sky_patches.store.arrow_table import plain_array, plain_values
from sky_patches.store.commit import Snapshot
from sky_patches.store.hats_layout import HEALPIX_COLUMN, Partition
from sky_patches.store.intervals import overlaps, sorted_in_intervals

__all__ = [
    "DamagedPartitionError",
    "Ranges",
    "content_hash",
    "digest",
    "footer",
    "locate",
    "overlapping",
    "read_partition",
    "row_groups",
    "select",
    "touched_groups",
]

Ranges = Int64[np.ndarray, "k 2"]
"""Sorted, disjoint, half-open ranges of order-29 pixels, or of identifiers."""

_MOST_READERS = 16
_READ_ERRORS = (OSError, ValueError, KeyError, pa.ArrowException)


class DamagedPartitionError(StoreError):
    """A partition is missing, unreadable, or not the one that the manifest describes.

    Attributes:
        reason: what is wrong with it, in a few words.
    """

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


def read_partition(
    snapshot: Snapshot,
    part: Partition,
    columns: Sequence[str],
    ranges: Ranges | None = None,
    *,
    by: str = HEALPIX_COLUMN,
) -> pa.Table:
    """Columns of one partition, in its order of rows.

    Args:
        ranges: if given, row groups wholly outside them are skipped; rows of the others are not cut.
        by: the column that `ranges` speaks of.

    Raises:
        DamagedPartitionError: the file is missing, unreadable, or has another number of rows than expected.
    """
    with _open(snapshot, part) as file:
        try:
            groups = touched_groups(file, by, ranges)
            return file.read_row_groups(groups, columns=list(columns))
        except _READ_ERRORS as error:
            raise _damaged(snapshot, part, error) from error


def row_groups(snapshot: Snapshot, part: Partition, columns: Sequence[str]) -> Iterator[pa.Table]:
    """As `read_partition`, row group by row group, so that memory holds one of them.

    Raises:
        DamagedPartitionError: as for `read_partition`.
    """
    with _open(snapshot, part) as file:
        for group in range(file.metadata.num_row_groups):
            try:
                rows = file.read_row_groups([group], columns=list(columns))
            except _READ_ERRORS as error:
                raise _damaged(snapshot, part, error) from error
            yield rows


def footer(snapshot: Snapshot, part: Partition) -> pq.FileMetaData:
    """The Parquet footer of one partition."""
    with _open(snapshot, part) as file:
        return file.metadata


def locate(snapshot: Snapshot, part: Partition) -> Path:
    """Where the file of a partition is.

    Raises:
        DamagedPartitionError: nowhere.
    """
    for path in snapshot.candidates(part.path):
        if path.exists():
            return path
    raise _damaged(snapshot, part, "the file is missing")


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def overlapping(partitions: Sequence[Partition], ranges: Ranges) -> list[Partition]:
    """The partitions that share sky with `ranges`."""
    return [part for part in partitions if overlaps(*part.span, ranges)]


def select(
    snapshot: Snapshot,
    columns: Sequence[str],
    ranges: Ranges | None = None,
    cut: Callable[[pa.Table], Bool[np.ndarray, " n"]] | None = None,
    needed: Sequence[str] = (),
    core: Int64[np.ndarray, "j 2"] | None = None,
) -> pa.Table:
    """Rows inside `ranges` for which `cut` holds, in HEALPix order.

    Args:
        columns: those of the result, in its order.
        cut: a test of rows, applied partition by partition, so that memory holds only what is kept.
        needed: further columns that `cut` reads.
        core: ranges inside `ranges` where the cut is known to hold.
    """
    schema = snapshot.manifest.arrow_schema
    # Not `empty_table()`: it loads pandas.
    empty = pa.Table.from_batches([], schema=pa.schema([schema.field(name) for name in columns]))
    wanted = list(dict.fromkeys([*columns, *needed, *([] if ranges is None else [HEALPIX_COLUMN])]))
    parts = snapshot.manifest.partitions
    if ranges is not None:
        parts = tuple(overlapping(parts, ranges))

    def rows_of(part: Partition) -> pa.Table:
        rows = read_partition(snapshot, part, wanted, ranges)
        if ranges is not None:
            rows = _within(rows, ranges, cut, core)
        return rows.select(list(columns)).cast(empty.schema)

    # Threads for partitions, beside Arrow's own for columns: the masks and filters take turns with decoding.
    with ThreadPoolExecutor(max(1, min(len(parts), pa.cpu_count(), _MOST_READERS))) as pool:
        return pa.concat_tables([empty, *pool.map(rows_of, parts)])


def _within(
    rows: pa.Table,
    ranges: Ranges,
    cut: Callable[[pa.Table], Bool[np.ndarray, " n"]] | None,
    core: Int64[np.ndarray, "j 2"] | None,
) -> pa.Table:
    """The rows of a partition inside `ranges`; those outside `core` have to pass the cut."""
    keys = plain_values(rows[HEALPIX_COLUMN])
    inside = sorted_in_intervals(keys, ranges)
    if cut is not None:
        unsure = inside if core is None else inside & ~sorted_in_intervals(keys, core)
        asked = np.flatnonzero(unsure)
        inside[asked] = cut(rows.take(plain_array(asked)))
    return rows if inside.all() else rows.filter(plain_array(inside))


def touched_groups(file: pq.ParquetFile, name: str, ranges: Ranges | None) -> list[int]:
    """Row groups of a file whose statistics of column `name` overlap the ranges; without ranges, all."""
    groups = range(file.metadata.num_row_groups)
    if ranges is None:
        return list(groups)
    index = file.schema_arrow.get_field_index(name)
    touched = []
    for group in groups:
        statistics = file.metadata.row_group(group).column(index).statistics
        if statistics is None or overlaps(statistics.min, statistics.max + 1, ranges):
            touched.append(group)
    return touched


def content_hash(snapshot: Snapshot) -> str:
    """Hash of all rows, whatever the partitions and the order in which they came.

    Partitions follow one another on the HEALPix curve and their rows are sorted along it, so the stream of
    values of a column does not depend on where partitions begin and end.
    """
    columns = sorted(snapshot.manifest.columns, key=lambda column: column.name)
    digests = {column.name: hashlib.sha256() for column in columns}
    for part in snapshot.manifest.partitions:
        for rows in row_groups(snapshot, part, list(digests)):
            for name, running in digests.items():
                for chunk in _chunks_as_bytes(rows[name]):
                    running.update(chunk)
    total = hashlib.sha256(str(snapshot.manifest.rows).encode())
    for column in columns:
        total.update(
            f"|{column.name}|{column.type}|{column.unit}|{digests[column.name].hexdigest()}".encode()
        )
    return total.hexdigest()


def _open(snapshot: Snapshot, part: Partition) -> pq.ParquetFile:
    for path in snapshot.candidates(part.path):
        try:
            file = pq.ParquetFile(path, page_checksum_verification=True)
        except FileNotFoundError:
            continue
        except _READ_ERRORS as error:
            raise _damaged(snapshot, part, error) from error
        if file.metadata.num_rows == part.rows:
            return file
        rows = file.metadata.num_rows
        file.close()
        raise _damaged(snapshot, part, f"it has {rows} rows, expected {part.rows}")
    raise _damaged(snapshot, part, "the file is missing")


def _damaged(snapshot: Snapshot, part: Partition, problem: object) -> DamagedPartitionError:
    reason = " ".join(str(problem).split())[:200]
    return DamagedPartitionError(
        f"partition {snapshot.root / part.path} is damaged ({reason}); restore this file from a copy, or "
        f"take it out with 'via-machinae verify --store {snapshot.root} --repair' and fetch its stars again",
        reason,
    )


def _chunks_as_bytes(column: pa.ChunkedArray) -> Iterator[bytes]:
    """The values row by row, so that the bytes do not depend on where a chunk ends."""
    for chunk in column.chunks:
        if pa.types.is_floating(chunk.type):
            yield np.ascontiguousarray(chunk.to_numpy(zero_copy_only=False)).tobytes()
        elif pa.types.is_integer(chunk.type):
            rows = np.zeros(len(chunk), dtype=[("value", np.int64), ("missing", np.bool_)])
            rows["missing"] = chunk.is_null().to_numpy(zero_copy_only=False)
            rows["value"] = chunk.fill_null(0).to_numpy(zero_copy_only=False)
            yield rows.tobytes()
        else:
            yield "".join(f"{value!r};" for value in chunk.to_pylist()).encode("utf-8")
