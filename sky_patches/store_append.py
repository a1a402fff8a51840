"""Adding stars to a catalogue store: find duplicates, place the new stars, stage what changes, commit."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Bool, Int64

from sky_patches.arrow_table import to_arrow
from sky_patches.errors import StoreError
from sky_patches.hats_layout import (
    HEALPIX_COLUMN,
    Partition,
    partition_info_text,
    partition_path,
    properties_text,
    write_metadata,
    write_partition,
)
from sky_patches.healpix import healpix_29
from sky_patches.schema import StarTable, validate
from sky_patches.store_commit import STAGING, Snapshot, commit, exclusive, recover, snapshot
from sky_patches.store_manifest import Manifest, StoredColumn, merge_columns
from sky_patches.store_read import footer, read_partition
from sky_patches.store_tree import place, split

__all__ = ["AppendReport", "append", "initialise"]

_DESCRIPTIONS = (
    "dataset/_common_metadata",
    "dataset/_metadata",
    "partition_info.csv",
    "hats.properties",
    "properties",
)
_RESERVED = ("time", "rows", "duplicates", "version")


@dataclass(frozen=True)
class AppendReport:
    """Result of an append.

    Attributes:
        rows_added: stars that are new in the store.
        duplicates: stars skipped because the store has their `source_id`.
        repeated: stars skipped because an earlier row of the same table has their `source_id`.
        partitions_written: files that were written.
    """

    rows_added: int
    duplicates: int
    repeated: int
    partitions_written: int


def initialise(root: Path, manifest: Manifest) -> None:
    """Write the files of an empty store; leftovers of an interrupted attempt are swept away."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        foreign = sorted({entry.name for entry in root.iterdir()} - {STAGING, ".lock", "dataset"})
    except OSError as error:
        raise StoreError(
            f"{root} cannot be made a store ({error}); choose a directory you can write"
        ) from error
    if foreign:
        raise StoreError(f"{root} is not empty (it has {foreign[:5]}); choose a new directory for the store")
    with exclusive(root), _interruptible(root):
        recover(root)
        _finish(root, None, manifest, [], [])


def append(root: Path, stars: StarTable, provenance: Mapping[str, Any]) -> AppendReport:
    """Add `stars` to the store at `root`; see `CatalogStore.append`. Call it under `exclusive`."""
    validate(stars)
    record = _checked_provenance(provenance)
    with _interruptible(root):
        recover(root)
        state = snapshot(root)
        new = to_arrow(stars)
        if HEALPIX_COLUMN in new.column_names:
            raise StoreError(f"column name {HEALPIX_COLUMN!r} is reserved; remove it from the table")
        columns = merge_columns(state.manifest.columns, [StoredColumn.of(field) for field in new.schema])
        manifest = replace(state.manifest, columns=columns)
        keys = healpix_29(np.asarray(stars["ra"]), np.asarray(stars["dec"]))
        rows = _conform(new.append_column(HEALPIX_COLUMN, pa.array(keys)), manifest.arrow_schema)
        rows, repeated, duplicates = _without_duplicates(state, rows)
        report = AppendReport(len(rows), duplicates, repeated, 0)
        if len(rows) == 0:
            return report
        return _write(state, manifest, rows, record, report)


@contextmanager
def _interruptible(root: Path) -> Iterator[None]:
    """Turn a failure of the file system into a `StoreError` that says what to do."""
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"writing to {root} was interrupted ({error}); the store stays readable: "
            "repeat the same import to complete it"
        ) from error


def _write(
    state: Snapshot, manifest: Manifest, rows: pa.Table, record: dict[str, Any], report: AppendReport
) -> AppendReport:
    partitions = {part.path: part for part in state.manifest.partitions}
    written: list[Partition] = []
    for old, content, order, pixel in _changed(state, manifest, rows):
        if old is not None:
            del partitions[old.path]
        for part in _stage(state.root, content, order, pixel, manifest.max_rows):
            partitions[part.path] = part
            written.append(part)
    removed = sorted({part.path for part in state.manifest.partitions} - set(partitions))
    record |= {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "rows": report.rows_added,
        "duplicates": report.duplicates,
        "version": _version(),
    }
    manifest = replace(manifest, provenance=(*manifest.provenance, record)).with_partitions(
        partitions.values()
    )
    _finish(state.root, state, manifest, [part.path for part in written], removed)
    return replace(report, partitions_written=len(written))


def _changed(
    state: Snapshot, manifest: Manifest, rows: pa.Table
) -> Iterator[tuple[Partition | None, pa.Table, int, int]]:
    """Each pixel whose content changes: the old partition if there is one, the new rows, order and pixel."""
    schema = manifest.arrow_schema
    old_names = state.manifest.arrow_schema.names
    untouched = {part.path: part for part in state.manifest.partitions}
    for slot in place(state.manifest.partitions, rows[HEALPIX_COLUMN].to_numpy()):
        content = rows.slice(slot.start, slot.stop - slot.start)
        if slot.existing is not None:
            del untouched[slot.existing.path]
            old = _conform(read_partition(state, slot.existing, old_names), schema)
            content = _sorted(pa.concat_tables([old, content]))
        yield slot.existing, content, slot.order, slot.pixel
    if set(schema.names) != set(old_names):
        # Readers of the layout expect the same columns in every partition.
        for part in untouched.values():
            yield part, _conform(read_partition(state, part, old_names), schema), part.order, part.pixel


def _stage(root: Path, rows: pa.Table, order: int, pixel: int, max_rows: int) -> Iterator[Partition]:
    for order_k, pixel_k, start, stop in split(order, pixel, rows[HEALPIX_COLUMN].to_numpy(), max_rows):
        piece = rows.slice(start, stop - start)
        ids = piece["source_id"].to_numpy()
        write_partition(piece, root / STAGING / partition_path(order_k, pixel_k))
        yield Partition(order_k, pixel_k, stop - start, int(ids.min()), int(ids.max()))


def _finish(
    root: Path, state: Snapshot | None, manifest: Manifest, written: list[str], removed: list[str]
) -> None:
    """Stage the files that describe the catalogue, and commit."""
    staging = root / STAGING
    staging.mkdir(exist_ok=True)
    date = datetime.now(UTC).isoformat(timespec="seconds")
    fresh = set(written)
    footers = []
    kilobytes = 0
    for part in sorted(manifest.partitions):
        if part.path in fresh or state is None:
            metadata = pq.read_metadata(staging / part.path)
        else:
            metadata = footer(state, part)
        kilobytes += _compressed_size(metadata) // 1024
        footers.append((part.path.removeprefix("dataset/"), metadata))
    write_metadata(manifest.arrow_schema, footers, staging / "dataset")
    properties = properties_text(
        manifest.name, manifest.partitions, f"sky_patches {_version()}", date, kilobytes
    )
    (staging / "partition_info.csv").write_text(partition_info_text(manifest.partitions), encoding="utf-8")
    for name in ("hats.properties", "properties"):
        (staging / name).write_text(properties, encoding="utf-8")
    commit(root, manifest, [*written, *_DESCRIPTIONS], removed)


def _compressed_size(metadata: pq.FileMetaData) -> int:
    return sum(
        metadata.row_group(group).column(column).total_compressed_size
        for group in range(metadata.num_row_groups)
        for column in range(metadata.num_columns)
    )


def _conform(rows: pa.Table, schema: pa.Schema) -> pa.Table:
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


def _sorted(rows: pa.Table) -> pa.Table:
    """Rows along the HEALPix curve, and by identifier within its finest pixel."""
    order = np.lexsort([rows["source_id"].to_numpy(), rows[HEALPIX_COLUMN].to_numpy()])
    return rows.take(pa.array(order)).combine_chunks()


def _without_duplicates(state: Snapshot, rows: pa.Table) -> tuple[pa.Table, int, int]:
    """New rows with new identifiers, sorted; how many repeat within the table; how many the store has."""
    ids, first = np.unique(rows["source_id"].to_numpy(), return_index=True)
    known = _known(state, ids)
    kept = rows.take(pa.array(np.sort(first[~known])))
    return _sorted(kept), len(rows) - len(ids), int(np.count_nonzero(known))


def _known(state: Snapshot, ids: Int64[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
    """Which of the sorted, unique `ids` the store has. Gaia identifiers follow the HEALPix curve, so the
    ranges of the partitions leave only few files to be read."""
    known = np.zeros(ids.shape, dtype=bool)
    for part in state.manifest.partitions:
        low, high = np.searchsorted(ids, [part.id_min, part.id_max + 1])
        if low == high:
            continue
        stored = read_partition(state, part, ["source_id"])["source_id"].to_numpy()
        position = np.searchsorted(ids, stored)
        position[position == len(ids)] = 0
        known[position[ids[position] == stored]] = True
    return known


def _checked_provenance(provenance: Mapping[str, Any]) -> dict[str, Any]:
    record = dict(provenance)
    if not record.get("origin"):
        raise StoreError(
            f"provenance must name the 'origin' of the stars (file, query), found {sorted(record)}"
        )
    clash = [name for name in _RESERVED if name in record]
    if clash:
        raise StoreError(f"provenance keys {clash} are written by the store itself; rename them")
    try:
        return json.loads(json.dumps(record))
    except (TypeError, ValueError) as error:
        raise StoreError(f"provenance must be plain values that JSON can hold: {error}") from error


def _version() -> str:
    try:
        return version("via-machinae")
    except PackageNotFoundError:
        return "unknown"
