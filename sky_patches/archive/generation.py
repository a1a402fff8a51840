"""A whole new store beside an old one, and its taking the old one's place in one step."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from sky_patches.archive.refresh_errors import RefreshError
from sky_patches.errors import StoreError
from sky_patches.store import CatalogStore
from sky_patches.store.commit import JOURNAL, MANIFEST, STAGING, commit, exclusive, recover, snapshot

__all__ = [
    "MANIFEST_FILE",
    "REFRESH",
    "begin_generation",
    "finish_generation",
    "next_generation",
    "take_place",
]

REFRESH = "refresh"
"""Directory of a store where the refresh keeps its records."""

MANIFEST_FILE = "manifest.jsonl"
_NEXT = "next"


def next_generation(root: Path) -> Path:
    """Where the next generation of the store at `root` is built."""
    return root / REFRESH / _NEXT


def take_place(root: Path) -> None:
    """Let the next generation take the place of the store at `root`; harmless if repeated.

    Readers see the old stars or the new ones. If this process dies in between, the old store stays whole or
    the new one is there already, and the same call completes it.

    Raises:
        StoreError: another writer, or a full disk; the old store is as it was.
    """
    new_root = next_generation(root)
    if not CatalogStore.exists(new_root):
        return
    with exclusive(root):
        try:
            _exchange(root, new_root)
            _move_records(root, new_root)
            shutil.rmtree(new_root)
        except OSError as error:
            raise StoreError(
                f"the new stars could not take their place in {root} ({error}); the store stays readable: "
                "free space, then repeat the same refresh"
            ) from error


def finish_generation(root: Path) -> None:
    """Clear away what remains of a generation that has taken its place already."""
    new_root = next_generation(root)
    if CatalogStore.exists(new_root) and CatalogStore.open(new_root).provenance:
        if snapshot(new_root).manifest.provenance == snapshot(root).manifest.provenance:
            take_place(root)
    elif new_root.is_dir() and not CatalogStore.exists(new_root):
        # Removing it was interrupted, or making it.
        shutil.rmtree(new_root)


def _exchange(root: Path, new_root: Path) -> None:
    recover(root)
    with exclusive(new_root):
        recover(new_root)
    old, new = snapshot(root).manifest, snapshot(new_root).manifest
    if new.provenance == old.provenance:
        return
    partitions = [part.path for part in new.partitions]
    files = [*partitions, *_descriptions(new_root)]
    for path in files:
        _link(new_root / path, root / STAGING / path)
    removed = sorted({part.path for part in old.partitions} - set(partitions))
    commit(root, new, files, removed)


def _descriptions(root: Path) -> list[str]:
    """The files beside the partitions, as the layout has them."""
    found = [*root.iterdir(), *(root / "dataset").iterdir()]
    names = [path.relative_to(root).as_posix() for path in found if path.is_file()]
    return sorted(name for name in names if name not in (MANIFEST, JOURNAL) and not name.startswith("."))


def _link(source: Path, target: Path) -> None:
    """A second name for a file, because an interrupted step must leave the first; else a copy."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _move_records(root: Path, new_root: Path) -> None:
    """The working record, and the rejected rows, of the new generation."""
    record = new_root / REFRESH / MANIFEST_FILE
    if record.exists():
        os.replace(record, root / REFRESH / MANIFEST_FILE)
    for path in sorted((new_root / "rejected").glob("*.parquet")):
        (root / "rejected").mkdir(exist_ok=True)
        os.replace(path, root / "rejected" / path.name)


def begin_generation(root: Path, like: CatalogStore) -> CatalogStore:
    """The store of the next generation, opened or made.

    Raises:
        RefreshError: there is something else in its place.
    """
    path = next_generation(root)
    if CatalogStore.exists(path):
        return CatalogStore.open(path)
    try:
        return CatalogStore.create(path, name=like.name, max_rows=snapshot(root).manifest.max_rows)
    except StoreError as error:
        raise RefreshError(f"no new generation can be made in {path}: {error}") from error
