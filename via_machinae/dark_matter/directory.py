"""The run directory of `dm-map`: what it was begun with, which steps are done, and one writer at a time."""

from __future__ import annotations

import fcntl
import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from via_machinae.dark_matter.settings import MapSettings
from via_machinae.errors import RunError
from via_machinae.run import atomic_path, write_json
from via_machinae.version import __version__

__all__ = ["MapRun", "fingerprint"]

FORMAT = 1
MANIFEST = "dark-matter.json"
_LOCK = ".lock"
_KEYS = {"settings", "input"}


@dataclass(frozen=True)
class MapRun:
    """A run on disk. Every file in it is written whole or not at all.

        dark-matter.json              settings, fingerprint of the stars, version
        steps/NAME.json               a finished step, with what it found
        METHOD/                       potential and maps by each method
        summary.ecsv, summary.json    numbers
        figures/                      PNG

    Attributes:
        path: The directory.
        manifest: The content of dark-matter.json.
    """

    path: Path
    manifest: dict[str, Any]

    @classmethod
    def begin(cls, path: Path, settings: MapSettings, fingerprint: str) -> MapRun:
        """Start a run, or continue one that was begun with the same settings and stars.

        Raises:
            RunError: the directory holds something else, or a run of other settings or stars; the message
                names what differs.
        """
        path = Path(path)
        manifest = json.loads(json.dumps({"settings": settings.to_dict(), "input": fingerprint}))
        if (path / MANIFEST).is_file():
            begun = cls.open(path)
            begun._require(manifest)
            return begun
        if path.exists() and (not path.is_dir() or any(entry.name != _LOCK for entry in path.iterdir())):
            raise RunError(f"{path} is not empty and holds no run of dm-map: choose a new directory")
        path.mkdir(parents=True, exist_ok=True)
        created = datetime.now(UTC).isoformat(timespec="seconds")
        stars = {} if settings.stars is None else {"stars": settings.stars}
        whole = {"format": FORMAT, "created": created, "version": __version__, **stars, **manifest}
        write_json(path / MANIFEST, whole)
        return cls(path, whole)

    @classmethod
    def open(cls, path: Path) -> MapRun:
        """Open a run.

        Raises:
            RunError: no run there, or one that this version cannot read.
        """
        file = Path(path) / MANIFEST
        manifest = _json(file, f"{path} is no run of dm-map (no {MANIFEST} in it)")
        if manifest.get("format") != FORMAT or not set(manifest) >= _KEYS:
            raise RunError(
                f"{file} has format {manifest.get('format')}, this version reads {FORMAT}: "
                "choose a new directory"
            )
        return cls(Path(path), manifest)

    def _require(self, wanted: dict[str, Any]) -> None:
        old, new = self.manifest["settings"], wanted["settings"]
        changed = [
            f"{name} ({old.get(name)} -> {new.get(name)})"
            for name in sorted({*old, *new})
            if old.get(name) != new.get(name)
        ]
        if changed:
            raise RunError(
                f"{self.path} was begun with other options; changed: {', '.join(changed)}. "
                "Use the old ones to continue, or a new run directory"
            )
        if self.manifest["input"] != wanted["input"]:
            raise RunError(
                f"{self.path} was begun with other stars than the table holds now: use a new run directory"
            )

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Let no other process work in this directory; the lock goes with the process.

        Raises:
            RunError: another process does.
        """
        with (self.path / _LOCK).open("a") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RunError(
                    f"another dm-map is at work in {self.path}: wait for it, or use a new run directory"
                ) from None
            yield

    def done(self, step: str) -> bool:
        """Whether a step is finished."""
        return self._step_path(step).is_file()

    def step(self, name: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What a step found: read where it is finished, else made, and noted once all its files are written.

        Raises:
            RunError: the note cannot be read; the message says how to redo the step.
        """
        path = self._step_path(name)
        if not path.is_file():
            write_json(path, make())
        return _json(path, f"{path} is missing")

    def file(self, *parts: str) -> Path:
        """A path inside the run, its directory made."""
        path = self.path.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def write_text(self, text: str, *parts: str) -> Path:
        """Write a text file, whole or not at all."""
        with atomic_path(self.file(*parts)) as temporary:
            temporary.write_text(text, encoding="utf-8")
        return self.path.joinpath(*parts)

    def _step_path(self, name: str) -> Path:
        return self.path / "steps" / f"{name}.json"


def fingerprint(path: Path) -> str:
    """SHA-256 of a file's content; of a directory, of the names, sizes and times of its files.

    Raises:
        RunError: there is no such file or directory.
    """
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
        facts = [
            (str(file.relative_to(path)), file.stat().st_size, file.stat().st_mtime_ns) for file in files
        ]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()
    if not path.is_file():
        raise RunError(
            f"{path} is no file: --stars takes a table of stars, or the directory of a store "
            f"(working directory {Path.cwd()})"
        )
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _json(path: Path, absent: str) -> dict[str, Any]:
    if not path.is_file():
        raise RunError(absent)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(
            f"{path} cannot be read ({error}): delete it and run the same command again"
        ) from error
    if not isinstance(content, dict):
        raise RunError(f"{path} holds no record: delete it and run the same command again")
    return content
