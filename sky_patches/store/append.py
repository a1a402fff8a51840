"""Adding stars to a catalogue store: find the duplicates, and place what is new."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Int64

from sky_patches.errors import StoreError
from sky_patches.healpix import healpix_29
from sky_patches.schema import StarTable, validate
from sky_patches.store.arrow_table import plain_array, plain_values, to_arrow
from sky_patches.store.commit import STAGING, Snapshot, exclusive, recover, snapshot
from sky_patches.store.hats_layout import HEALPIX_COLUMN
from sky_patches.store.manifest import Manifest, StoredColumn, merge_columns
from sky_patches.store.read import read_partition
from sky_patches.store.write import conform, edits_for, finish, interruptible, publish, sort_rows

__all__ = ["AppendReport", "append", "checked_provenance", "initialise", "new_rows"]

_RESERVED = ("time", "rows", "duplicates", "removed", "version")


@dataclass(frozen=True)
class AppendReport:
    """Result of an append, or of a replacement.

    Attributes:
        rows_added: stars that came in.
        duplicates: stars skipped because the store has their `source_id`.
        repeated: stars skipped because an earlier row of the same table has their `source_id`.
        partitions_written: files that were written.
        rows_removed: stars that a replacement took out.
    """

    rows_added: int
    duplicates: int
    repeated: int
    partitions_written: int
    rows_removed: int = 0


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
    with exclusive(root), interruptible(root):
        recover(root)
        finish(root, None, manifest, [], [])


def append(root: Path, stars: StarTable, provenance: Mapping[str, Any]) -> AppendReport:
    """Add `stars` to the store at `root`; see `CatalogStore.append`. Call it under `exclusive`."""
    record = checked_provenance(provenance)
    with interruptible(root):
        recover(root)
        state = snapshot(root)
        manifest, rows = new_rows(state, stars)
        ids, first = np.unique(plain_values(rows["source_id"]), return_index=True)
        known = _known(state, ids)
        repeated, duplicates = len(rows) - len(ids), int(np.count_nonzero(known))
        rows = sort_rows(rows.take(plain_array(np.sort(first[~known]))))
        if len(rows) == 0:
            return AppendReport(0, duplicates, repeated, 0)
        record |= {"rows": len(rows), "duplicates": duplicates}
        written, _ = publish(state, manifest, edits_for(state, manifest, rows), record)
        return AppendReport(len(rows), duplicates, repeated, written)


def new_rows(state: Snapshot, stars: StarTable) -> tuple[Manifest, pa.Table]:
    """The manifest with the columns that the store has after `stars` join, and the stars with those columns.

    Raises:
        SchemaError: not a star table.
        StoreError: a reserved name, or a column that changes its type or unit.
    """
    new = to_arrow(validate(stars))
    if HEALPIX_COLUMN in new.column_names:
        raise StoreError(f"column name {HEALPIX_COLUMN!r} is reserved; remove it from the table")
    columns = merge_columns(state.manifest.columns, [StoredColumn.of(field) for field in new.schema])
    manifest = replace(state.manifest, columns=columns)
    keys = healpix_29(np.asarray(stars["ra"]), np.asarray(stars["dec"]))
    return manifest, conform(new.append_column(HEALPIX_COLUMN, plain_array(keys)), manifest.arrow_schema)


def _known(state: Snapshot, ids: Int64[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
    """Which of the sorted, unique `ids` the store has. Gaia identifiers follow the HEALPix curve, so the
    ranges of the partitions and of their row groups leave only little to be read."""
    known = np.zeros(ids.shape, dtype=bool)
    for part in state.manifest.partitions:
        low, high = np.searchsorted(ids, [part.id_min, part.id_max + 1])
        if low == high:
            continue
        # Each identifier is a range of its own: a row group between two of them is not read.
        alone = np.column_stack([ids[low:high], ids[low:high] + 1])
        stored = plain_values(read_partition(state, part, ["source_id"], alone, by="source_id")["source_id"])
        position = np.searchsorted(ids, stored)
        position[position == len(ids)] = 0
        known[position[ids[position] == stored]] = True
    return known


def checked_provenance(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of `provenance` that can be stored.

    Raises:
        StoreError: it names no origin, has a key that the store writes itself, or is not plain JSON.
    """
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
