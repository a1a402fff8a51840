"""What happened during a refresh, line by line, for people."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from sky_patches.archive.manifest import now

__all__ = ["RefreshLog"]


class RefreshLog:
    """A log that several threads write; lines are kept until there is a file for them.

    Args:
        also: receives every line too.
    """

    def __init__(self, also: Callable[[str], None] | None = None) -> None:
        self._also = also
        self._guard = threading.Lock()
        self._path: Path | None = None
        self._kept: list[str] = []

    def open(self, path: Path) -> None:
        """Append to the file `path` from now on, beginning with what was said before."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._guard:
            self._path = path
            self._write(self._kept)
            self._kept = []

    def __call__(self, message: str) -> None:
        """Add one line, with the time."""
        text = " ".join(message.split())
        with self._guard:
            self._write([f"{now()} {text}"])
            if self._also is not None:
                self._also(text)

    def _write(self, lines: list[str]) -> None:
        if self._path is None:
            self._kept += lines
            return
        with self._path.open("a", encoding="utf-8") as stream:
            stream.write("".join(f"{line}\n" for line in lines))
