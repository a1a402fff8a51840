"""Staging a change of a catalogue store: the touched partitions are written anew, and only those."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Int64

from sky_patches.errors import StoreError
from sky_patches.store.arrow_table import plain_array, plain_values
from sky_patches.store.commit import JOURNAL, STAGING, Snapshot, commit
from sky_patches.store.hats_layout import (
    HEALPIX_COLUMN,
    SKYMAP_PIXELS,
    Partition,
    partition_info_text,
    partition_path,
    properties_text,
    skymap_counts,
    write_metadata,
    write_partition,
    write_skymap,
)
from sky_patches.store.intervals import in_intervals
from sky_patches.store.manifest import Manifest
from sky_patches.store.read import (
    DamagedPartitionError,
    digest,
    footer,
    locate,
    read_partition,
    row_groups,
)
from sky_patches.store.skymap import stored_skymap
from sky_patches.store.tree import place, split

__all__ = ["Edit", "conform", "edits_for", "finish", "interruptible", "publish", "sort_rows", "workers"]

_DESCRIPTIONS = (
    "dataset/_common_metadata",
    "dataset/_metadata",
    "partition_info.csv",
    "skymap.fits",
    "hats.properties",
    "properties",
)
# Each worker holds one partition in memory, so that more of them cost memory and not only cores.
_MOST_WORKERS = 4


@dataclass(frozen=True)
class Edit:
    """A pixel whose content changes.

    Attributes:
        order, pixel: the pixel.
        existing: the store's partition of this very pixel, or None if the pixel is new.
        fresh: stars that come in, with the columns of the new state, sorted.
    """

    order: int
    pixel: int
    existing: Partition | None
    fresh: pa.Table


@dataclass(frozen=True)
class _Rewritten:
    partitions: tuple[Partition, ...]
    left: int
    change: Int64[np.ndarray, " p"]


@contextmanager
def interruptible(root: Path) -> Iterator[None]:
    """Turn a failure of the file system into a `StoreError` that says what to do."""
    try:
        yield
    except OSError as error:
        if not (root / JOURNAL).exists():
            # What was staged is worthless now, and on a full disk its room is needed.
            shutil.rmtree(root / STAGING, ignore_errors=True)
        full = error.errno in (errno.ENOSPC, errno.EDQUOT) or "No space left" in str(error)
        raise StoreError(
            f"the disk of {root} is full ({error}); the store stays readable, nothing is lost: free space, "
            "then repeat the same import or refresh"
            if full
            else f"writing to {root} was interrupted ({error}); the store stays readable: "
            "repeat the same import or refresh to complete it"
        ) from error


def workers(tasks: int) -> int:
    """How many threads to use for a number of tasks."""
    return max(1, min(tasks, pa.cpu_count(), _MOST_WORKERS))


def edits_for(
    state: Snapshot, manifest: Manifest, rows: pa.Table, touched: Sequence[Partition] = ()
) -> list[Edit]:
    """The pixels that change when `rows` come in; partitions in `touched` change anyway.

    Args:
        manifest: holds the columns of the new state; a new column makes every partition change.
        rows: with those columns, sorted.
    """
    edits = [
        Edit(slot.order, slot.pixel, slot.existing, rows.slice(slot.start, slot.stop - slot.start))
        for slot in place(state.manifest.partitions, plain_values(rows[HEALPIX_COLUMN]))
    ]
    changed = {edit.existing.path for edit in edits if edit.existing is not None}
    # Readers of the layout expect the same columns in every partition.
    widened = set(manifest.arrow_schema.names) != set(state.manifest.arrow_schema.names)
    others = state.manifest.partitions if widened else touched
    return edits + [
        Edit(part.order, part.pixel, part, rows.slice(0, 0)) for part in others if part.path not in changed
    ]


def publish(
    state: Snapshot,
    manifest: Manifest,
    edits: Sequence[Edit],
    record: Mapping[str, Any],
    leaving: Int64[np.ndarray, "k 2"] | None = None,
    dropped: Sequence[Partition] = (),
) -> tuple[int, int]:
    """Write what `edits` change, and commit.

    Args:
        manifest: columns of the new state.
        record: the provenance of the change; time, version and rows removed are added.
        leaving: half-open ranges of `source_id`; rows of the edited partitions inside them go.
        dropped: partitions that leave the store as a whole.

    Returns:
        (number of partitions written, number of rows removed by `leaving`).
    """
    gone = {part.path for part in dropped}
    stays = [part for part in state.manifest.partitions if part.path not in gone]
    rewritten = {edit.existing.path for edit in edits if edit.existing is not None}
    skymap = stored_skymap(replace(state, manifest=state.manifest.with_partitions(stays)))
    written: list[Partition] = []
    left = 0
    with ThreadPoolExecutor(workers(len(edits))) as pool:
        for done in pool.map(lambda edit: _rewrite(state, manifest, edit, leaving), edits):
            written += done.partitions
            left += done.left
            skymap = skymap + done.change
        untouched = [part for part in stays if part.path not in rewritten]
        kept = list(pool.map(lambda part: _sealed(state, part), untouched))
    record = {**record, "time": _now(), "version": _version()}
    if leaving is not None:
        record["removed"] = left
    new = replace(manifest, provenance=(*manifest.provenance, record)).with_partitions([*kept, *written])
    removed = sorted(
        {part.path for part in state.manifest.partitions} - {part.path for part in new.partitions}
    )
    finish(state.root, state, new, [part.path for part in written], removed, skymap)
    return len(written), left


def _rewrite(
    state: Snapshot, manifest: Manifest, edit: Edit, leaving: Int64[np.ndarray, "k 2"] | None
) -> _Rewritten:
    content, left, change = edit.fresh, 0, np.zeros(SKYMAP_PIXELS, np.int64)
    if edit.existing is not None:
        old = read_partition(state, edit.existing, state.manifest.arrow_schema.names)
        change -= skymap_counts(plain_values(old[HEALPIX_COLUMN]))
        if leaving is not None:
            goes = in_intervals(plain_values(old["source_id"]), leaving)
            left = int(np.count_nonzero(goes))
            old = old.filter(plain_array(~goes))
        old = conform(old, manifest.arrow_schema)
        content = sort_rows(pa.concat_tables([old, content])) if len(content) else old
    parts = tuple(_stage(state.root, content, edit.order, edit.pixel, manifest.max_rows))
    return _Rewritten(parts, left, change + skymap_counts(plain_values(content[HEALPIX_COLUMN])))


def _stage(root: Path, rows: pa.Table, order: int, pixel: int, max_rows: int) -> Iterator[Partition]:
    for order_k, pixel_k, start, stop in split(order, pixel, plain_values(rows[HEALPIX_COLUMN]), max_rows):
        piece = rows.slice(start, stop - start)
        ids = plain_values(piece["source_id"])
        path = root / STAGING / partition_path(order_k, pixel_k)
        write_partition(piece, path)
        yield Partition(order_k, pixel_k, stop - start, int(ids.min()), int(ids.max()), digest(path))


def _sealed(state: Snapshot, part: Partition) -> Partition:
    """The partition with its checksum; one of format 1, which has none, is read whole first.

    A damaged one stays without: its checksum would declare the damage to be the content.
    """
    if part.checksum:
        return part
    try:
        for _ in row_groups(state, part, state.manifest.arrow_schema.names):
            pass
        return replace(part, checksum=digest(state.root / part.path))
    except DamagedPartitionError:
        return part


def finish(
    root: Path,
    state: Snapshot | None,
    manifest: Manifest,
    written: Sequence[str],
    removed: Sequence[str],
    skymap: Int64[np.ndarray, " p"] | None = None,
) -> None:
    """Stage the files that describe the catalogue, and commit."""
    staging = root / STAGING
    staging.mkdir(exist_ok=True)
    fresh = set(written)

    def read_footer(part: Partition) -> tuple[pq.FileMetaData, int]:
        if part.path in fresh or state is None:
            path = staging / part.path
            return pq.read_metadata(path), path.stat().st_size
        return footer(state, part), locate(state, part).stat().st_size

    ordered = sorted(manifest.partitions)
    with ThreadPoolExecutor(workers(len(ordered))) as pool:
        described = list(pool.map(read_footer, ordered))
    kilobytes = sum(size for _, size in described) // 1024
    footers = [metadata for metadata, _ in described]
    paths = [part.path.removeprefix("dataset/") for part in ordered]
    write_metadata(manifest.arrow_schema, list(zip(paths, footers, strict=True)), staging / "dataset")
    write_skymap(np.zeros(SKYMAP_PIXELS, np.int64) if skymap is None else skymap, staging / "skymap.fits")
    properties = properties_text(
        manifest.name, manifest.partitions, f"sky_patches {_version()}", _now(), kilobytes
    )
    (staging / "partition_info.csv").write_text(partition_info_text(manifest.partitions), encoding="utf-8")
    for name in ("hats.properties", "properties"):
        (staging / name).write_text(properties, encoding="utf-8")
    commit(root, manifest, [*written, *_DESCRIPTIONS], removed)


def conform(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """`rows` with the columns of `schema`, absent ones filled with NaN (or null)."""
    arrays = []
    for field in schema:
        if field.name in rows.column_names:
            arrays.append(rows[field.name])
        elif pa.types.is_floating(field.type):
            arrays.append(pa.chunked_array([np.full(len(rows), np.nan, field.type.to_pandas_dtype())]))
        else:
            arrays.append(pa.chunked_array([pa.nulls(len(rows), field.type)]))
    return pa.Table.from_arrays(arrays, schema=schema)


def sort_rows(rows: pa.Table) -> pa.Table:
    """Rows along the HEALPix curve, and by identifier within its finest pixel."""
    order = np.lexsort([plain_values(rows["source_id"]), plain_values(rows[HEALPIX_COLUMN])])
    return rows.take(plain_array(order)).combine_chunks()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _version() -> str:
    try:
        return version("via-machinae")
    except PackageNotFoundError:
        return "unknown"
