"""Exchanging the stars of some identifiers for others, and taking damaged partitions out."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from sky_patches.errors import StoreError
from sky_patches.schema import StarTable
from sky_patches.store.append import AppendReport, checked_provenance, new_rows
from sky_patches.store.arrow_table import plain_array, plain_values
from sky_patches.store.commit import Snapshot, recover, snapshot
from sky_patches.store.hats_layout import Partition
from sky_patches.store.intervals import in_intervals, intervals_of, overlaps
from sky_patches.store.read import Ranges, read_partition
from sky_patches.store.write import edits_for, interruptible, publish, sort_rows, workers

__all__ = ["DAMAGED", "replace_stars", "take_out"]

DAMAGED = "damaged"
"""Directory of a store where files go that `take_out` removes."""


def replace_stars(
    root: Path,
    stars: StarTable,
    source_id_ranges: Sequence[tuple[int, int]],
    provenance: Mapping[str, Any],
) -> AppendReport:
    """Exchange stars of the store at `root`; see `CatalogStore.replace`. Call it under `exclusive`."""
    record = checked_provenance(provenance)
    ranges = intervals_of(source_id_ranges)
    with interruptible(root):
        recover(root)
        state = snapshot(root)
        manifest, rows = new_rows(state, stars)
        ids = plain_values(rows["source_id"])
        outside = ~in_intervals(ids, ranges)
        if outside.any():
            raise StoreError(
                f"{int(outside.sum())} of the new stars are outside the ranges of source_id to be replaced, "
                f"the first: {ids[outside][0]}; name ranges that hold all of them"
            )
        _, first = np.unique(ids, return_index=True)
        rows = sort_rows(rows.take(plain_array(np.sort(first))))
        touched = _holding(state, ranges)
        record |= {"rows": len(rows), "duplicates": 0}
        written, removed = publish(state, manifest, edits_for(state, manifest, rows, touched), record, ranges)
        return AppendReport(len(rows), 0, len(ids) - len(rows), written, removed)


def take_out(root: Path, partitions: Sequence[Partition], strays: Sequence[str], origin: str) -> None:
    """Remove whole partitions from the store, and files that do not belong to it.

    The files go to `<store>/damaged/`; the files that describe the catalogue are written anew. Call it
    under `exclusive`.
    """
    with interruptible(root):
        recover(root)
        state = snapshot(root)
        present = {part.path: part for part in state.manifest.partitions}
        gone = [part for part in partitions if present.get(part.path) == part]
        for path in [*(part.path for part in gone), *strays]:
            _keep_aside(root, path)
        rows = sum(part.rows for part in gone)
        record = {"origin": origin, "rows": 0, "duplicates": 0, "removed": rows}
        record["taken_out"] = [part.path for part in gone]
        publish(state, state.manifest, [], record, dropped=gone)
        for path in strays:
            (root / path).unlink(missing_ok=True)


def _holding(state: Snapshot, ranges: Ranges) -> list[Partition]:
    """The partitions with at least one star whose identifier lies in the ranges.

    A star near the border of a pixel may have the identifier of its neighbour, so positions do not tell.
    """
    near = [p for p in state.manifest.partitions if overlaps(p.id_min, p.id_max + 1, ranges)]

    def holds(part: Partition) -> bool:
        ids = plain_values(read_partition(state, part, ["source_id"], ranges, by="source_id")["source_id"])
        return bool(in_intervals(ids, ranges).any())

    with ThreadPoolExecutor(workers(len(near))) as pool:
        return [part for part, found in zip(near, pool.map(holds, near), strict=True) if found]


def _keep_aside(root: Path, path: str) -> None:
    """A second name for a file, below `damaged/`; a copy where the file system has no links."""
    source = root / path
    if not source.exists():
        return
    target = root / DAMAGED / Path(path).relative_to("dataset")
    # The time tells apart files of one pixel that were damaged one after the other.
    target = target.with_name(f"{target.stem}-{source.stat().st_mtime_ns}{target.suffix}")
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        draft = target.with_name(f".{target.name}.{os.getpid()}")
        shutil.copyfile(source, draft)
        os.replace(draft, target)
