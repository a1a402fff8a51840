"""Changing a catalogue store so that a reader sees it before or after, never in between.

A change is staged in a directory of its own. One rename, of the journal, makes it valid; only then do
the staged files take their places, and the journal goes. A process that dies before the journal leaves
the old store, and one that dies after it leaves the new one: readers look for a staged file first while
there is a journal, and the next writer finishes the renames. Programs that know only HATS see each
partition whole, old or new, at every moment: files of split pixels are removed after
`partition_info.csv` no longer names them.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sky_patches.errors import StoreError
from sky_patches.store.manifest import Manifest

__all__ = ["JOURNAL", "MANIFEST", "STAGING", "Snapshot", "commit", "exclusive", "recover", "snapshot"]

MANIFEST = "sky_patches_store.json"
JOURNAL = "journal.json"
STAGING = "staging"
_LOCK = ".lock"


@dataclass(frozen=True)
class Snapshot:
    """The store at one moment.

    Attributes:
        root: directory of the store.
        manifest: its content.
        pending: whether a change is valid but not all of its files are in their places.
        token: differs when the store has changed.
    """

    root: Path
    manifest: Manifest
    pending: bool
    token: tuple[int, ...]

    def candidates(self, path: str) -> list[Path]:
        """Where the file `path` of the store may be; the first that exists is the right one."""
        return [self.root / STAGING / path, self.root / path] if self.pending else [self.root / path]


def snapshot(root: Path) -> Snapshot:
    """The present state of the store at `root`; reading never writes.

    Raises:
        StoreError: `root` is no store, or its manifest is damaged or of a newer format.
    """
    for _ in range(10):
        before = token(root)
        journal = _read_text(root / JOURNAL)
        text = _journal_part(journal, root)["manifest"] if journal else _read_text(root / MANIFEST)
        if token(root) != before:
            continue
        if text is None:
            raise StoreError(
                f"{root} is not a catalogue store (no {MANIFEST}); make one with 'via-machinae import' or "
                "CatalogStore.create"
            )
        return Snapshot(root, Manifest.from_json(text, str(root / MANIFEST)), journal is not None, before)
    raise StoreError(f"{root} changes faster than it can be read; try again")


def token(root: Path) -> tuple[int, ...]:
    """Numbers that change whenever the state of the store changes."""
    numbers: list[int] = []
    for name in (JOURNAL, MANIFEST):
        try:
            status = (root / name).stat()
            numbers += [status.st_ino, status.st_mtime_ns, status.st_size]
        except (FileNotFoundError, NotADirectoryError):
            numbers += [0, 0, 0]
    return tuple(numbers)


@contextmanager
def exclusive(root: Path) -> Iterator[None]:
    """Hold the store's write lock; it is released even when the process dies.

    Raises:
        StoreError: another process is writing, or the directory cannot be written.
    """
    try:
        stream = (root / _LOCK).open("a")
    except OSError as error:
        raise StoreError(f"{root} cannot be written ({error}); check its permissions") from error
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StoreError(f"another process is writing to {root}; wait until it has finished") from error
        yield


def commit(root: Path, manifest: Manifest, staged: Sequence[str], removed: Sequence[str]) -> None:
    """Make the staged files part of the store; call it under `exclusive`.

    Args:
        staged: paths below the root, present in the staging directory, in the order in which they take their
            places: partitions first, descriptions after them.
        removed: paths of files that the new state no longer has.
    """
    staging = root / STAGING
    text = manifest.to_json()
    (staging / MANIFEST).write_text(text, encoding="utf-8")
    content = {"manifest": text, "staged": [*staged, MANIFEST], "removed": list(removed)}
    draft = staging / JOURNAL
    draft.write_text(json.dumps(content), encoding="utf-8")
    for path in (*content["staged"], JOURNAL):
        _flush(staging / path)
    os.replace(draft, root / JOURNAL)
    _flush_directory(root)
    recover(root)


def recover(root: Path) -> None:
    """Finish a change that has a journal, sweep away one that has none; harmless if repeated."""
    staging = root / STAGING
    journal = _read_text(root / JOURNAL)
    if journal is not None:
        content = _journal_part(journal, root)
        for path in content["staged"]:
            if (staging / path).exists():
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                os.replace(staging / path, root / path)
        for path in content["removed"]:
            (root / path).unlink(missing_ok=True)
        (root / JOURNAL).unlink()
    if staging.exists():
        shutil.rmtree(staging)


def _journal_part(journal: str, root: Path) -> dict:
    try:
        content = json.loads(journal)
        return {key: content[key] for key in ("manifest", "staged", "removed")}
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{root / JOURNAL} is damaged ({error!r}); import into a new store") from error


def _read_text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(
            f"{path} cannot be read ({error}); check permissions, or restore it from a copy"
        ) from error


def _flush(path: Path) -> None:
    with path.open("rb+") as stream:
        os.fsync(stream.fileno())


def _flush_directory(path: Path) -> None:
    """Make a rename outlive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
