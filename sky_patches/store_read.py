"""Reading rows of a catalogue store: only the partitions, row groups and columns that a question touches."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Bool, Int64

from sky_patches.errors import StoreError
from sky_patches.hats_layout import HEALPIX_COLUMN, Partition
from sky_patches.store_commit import Snapshot

__all__ = ["DamagedPartitionError", "content_hash", "footer", "overlapping", "read_partition", "select"]

Ranges = Int64[np.ndarray, "k 2"]
"""Sorted, disjoint, half-open ranges of order-29 pixels."""


class DamagedPartitionError(StoreError):
    """A partition is missing, unreadable, or not the one that the manifest describes."""


def read_partition(
    snapshot: Snapshot, part: Partition, columns: Sequence[str], ranges: Ranges | None = None
) -> pa.Table:
    """Columns of one partition, in its order of rows.

    Args:
        ranges: if given, row groups wholly outside them are skipped; rows of the others are not cut.

    Raises:
        DamagedPartitionError: the file is missing, unreadable, or has another number of rows than expected.
    """
    with _open(snapshot, part) as file:
        groups = range(file.metadata.num_row_groups)
        if ranges is not None:
            groups = [group for group in groups if _touches(file.metadata.row_group(group), ranges)]
        try:
            return file.read_row_groups(list(groups), columns=list(columns))
        except (OSError, ValueError, KeyError, pa.ArrowException) as error:
            raise _damaged(snapshot, part, error) from error


def footer(snapshot: Snapshot, part: Partition) -> pq.FileMetaData:
    """The Parquet footer of one partition."""
    with _open(snapshot, part) as file:
        return file.metadata


def overlapping(partitions: Sequence[Partition], ranges: Ranges) -> list[Partition]:
    """The partitions that share sky with `ranges`."""
    return [part for part in partitions if _overlaps(*part.span, ranges)]


def select(
    snapshot: Snapshot,
    columns: Sequence[str],
    ranges: Ranges | None = None,
    cut: Callable[[pa.Table], Bool[np.ndarray, " n"]] | None = None,
    needed: Sequence[str] = (),
) -> pa.Table:
    """Rows inside `ranges` for which `cut` holds, in HEALPix order.

    Args:
        columns: those of the result, in its order.
        cut: a test of rows, applied partition by partition, so that memory holds only what is kept.
        needed: further columns that `cut` reads.
    """
    schema = snapshot.manifest.arrow_schema
    wanted = list(dict.fromkeys([*columns, *needed, *([] if ranges is None else [HEALPIX_COLUMN])]))
    parts = (
        snapshot.manifest.partitions if ranges is None else overlapping(snapshot.manifest.partitions, ranges)
    )
    pieces = [pa.schema([schema.field(name) for name in columns]).empty_table()]
    for part in parts:
        rows = read_partition(snapshot, part, wanted, ranges)
        if ranges is not None:
            rows = rows.filter(pa.array(_inside(rows[HEALPIX_COLUMN].to_numpy(), ranges)))
        if cut is not None:
            rows = rows.filter(pa.array(cut(rows)))
        pieces.append(rows.select(list(columns)).cast(pieces[0].schema))
    return pa.concat_tables(pieces)


def content_hash(snapshot: Snapshot) -> str:
    """Hash of all rows, whatever the partitions and the order in which they came.

    Partitions follow one another on the HEALPix curve and their rows are sorted along it, so the stream of
    values of a column does not depend on where partitions begin and end.
    """
    columns = sorted(snapshot.manifest.columns, key=lambda column: column.name)
    digests = {column.name: hashlib.sha256() for column in columns}
    for part in snapshot.manifest.partitions:
        rows = read_partition(snapshot, part, list(digests))
        for name, digest in digests.items():
            for chunk in _chunks_as_bytes(rows[name]):
                digest.update(chunk)
    total = hashlib.sha256(str(snapshot.manifest.rows).encode())
    for column in columns:
        total.update(
            f"|{column.name}|{column.type}|{column.unit}|{digests[column.name].hexdigest()}".encode()
        )
    return total.hexdigest()


def _open(snapshot: Snapshot, part: Partition) -> pq.ParquetFile:
    problem: Exception = FileNotFoundError(part.path)
    for path in snapshot.candidates(part.path):
        try:
            file = pq.ParquetFile(path, page_checksum_verification=True)
        except FileNotFoundError as error:
            problem = error
            continue
        except (OSError, ValueError, pa.ArrowException) as error:
            raise _damaged(snapshot, part, error) from error
        if file.metadata.num_rows == part.rows:
            return file
        rows = file.metadata.num_rows
        file.close()
        raise _damaged(snapshot, part, f"it has {rows} rows, expected {part.rows}")
    raise _damaged(snapshot, part, problem)


def _damaged(snapshot: Snapshot, part: Partition, problem: object) -> DamagedPartitionError:
    summary = " ".join(str(problem).split())[:200]
    return DamagedPartitionError(
        f"partition {snapshot.root / part.path} is damaged ({summary}); restore this file from a copy, "
        "or import the catalogue into a new store"
    )


def _touches(group: pq.RowGroupMetaData, ranges: Ranges) -> bool:
    for index in range(group.num_columns):
        column = group.column(index)
        if column.path_in_schema == HEALPIX_COLUMN and column.statistics is not None:
            return _overlaps(column.statistics.min, column.statistics.max + 1, ranges)
    return True


def _overlaps(start: int, stop: int, ranges: Ranges) -> bool:
    first = int(np.searchsorted(ranges[:, 1], start, side="right"))
    return first < len(ranges) and int(ranges[first, 0]) < stop


def _inside(keys: Int64[np.ndarray, " n"], ranges: Ranges) -> Bool[np.ndarray, " n"]:
    if len(ranges) == 0:
        return np.zeros(keys.shape, dtype=bool)
    index = np.searchsorted(ranges[:, 0], keys, side="right") - 1
    return (index >= 0) & (keys < ranges[index, 1])


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
