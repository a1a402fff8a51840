"""The working record of a refresh: what became of each pixel, in a file that survives a kill at any moment.

One JSON object per line, only ever appended; the last line of a pixel counts. A line that was cut off by a
kill is dropped. What is committed is told by the store itself (see `coverage`): this file adds the jobs that
run, the failures and the splits, so that nothing is asked twice, and is there to be read by people.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from sky_patches.archive.pixel import SkyPixel
from sky_patches.archive.query import ArchiveQuery

__all__ = ["PixelRecord", "RefreshManifest", "now"]

State = Literal["running", "staged", "committed", "split", "failed", "damaged"]


@dataclass(frozen=True)
class PixelRecord:
    """What became of one pixel.

    Attributes:
        pixel: the pixel.
        state: running (a job was launched), staged (fetched whole, lies beside the store), committed (in the
            store), split (too many stars: see its children), failed, damaged (to be fetched again).
        fingerprint: of the query; its text is in a line of its own.
        time: when the state was reached, ISO 8601, UTC.
        rows: number of stars, counted or fetched.
        checksum: SHA-256 of the stars.
        job_id: of the job on the service, while it runs.
        reason: why it failed, was split, or is damaged.
        after: records in the store's provenance when the pixel was found damaged.
    """

    pixel: SkyPixel
    state: State
    fingerprint: str
    time: str
    rows: int = 0
    checksum: str = ""
    job_id: str = ""
    reason: str = ""
    after: int = 0

    def to_line(self) -> str:
        """One line of JSON; empty values are left out."""
        values = {key: value for key, value in asdict(self).items() if value not in ("", 0)}
        return json.dumps({**values, "pixel": str(self.pixel), "rows": self.rows})


class RefreshManifest:
    """The records at `path`; several threads may add to it, one process at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._guard = threading.Lock()
        self._records: dict[SkyPixel, PixelRecord] = {}
        self._queries: dict[str, dict[str, Any]] = {}
        lines, torn = _read(path)
        for values in lines:
            self._take(values)
        # A cut-off line must not swallow the next one; a long history is not read again and again.
        if torn or len(lines) > 2 * len(self._records) + len(self._queries) + 1000:
            self._rewrite()

    def __len__(self) -> int:
        return len(self._records)

    def get(self, pixel: SkyPixel, fingerprint: str) -> PixelRecord | None:
        """The record of a pixel, if it is of that query."""
        record = self._records.get(pixel)
        return record if record is not None and record.fingerprint == fingerprint else None

    def in_state(self, state: State) -> list[PixelRecord]:
        """All records in one state, along the sky."""
        with self._guard:
            found = [record for record in self._records.values() if record.state == state]
        return sorted(found, key=lambda record: record.pixel)

    def query_text(self, fingerprint: str) -> str:
        """ADQL of a query with {low} and {high} for the range of source_id; empty if it is not known."""
        return self._queries.get(fingerprint, {}).get("adql", "")

    def note(self, *records: PixelRecord) -> None:
        """Add records, on disk when this returns."""
        with self._guard:
            self._append([record.to_line() for record in records])
            self._records |= {record.pixel: record for record in records}

    def note_query(self, query: ArchiveQuery) -> None:
        """Add the text of a query, once."""
        values = {"query": query.fingerprint, "release": query.release.name, "adql": query.template}
        with self._guard:
            if query.fingerprint not in self._queries:
                self._append([json.dumps(values)])
                self._queries[query.fingerprint] = values

    def _take(self, values: Mapping[str, Any]) -> None:
        if "query" in values:
            self._queries[values["query"]] = dict(values)
            return
        record = PixelRecord(**{**values, "pixel": SkyPixel.parse(values["pixel"])})
        self._records[record.pixel] = record

    def _append(self, lines: list[str]) -> None:
        if not lines:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as stream:
            stream.write("".join(f"{line}\n" for line in lines))
            stream.flush()
            os.fsync(stream.fileno())

    def _rewrite(self) -> None:
        lines = [json.dumps(values) for values in self._queries.values()]
        lines += [record.to_line() for record in self._records.values()]
        draft = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        with draft.open("w", encoding="utf-8") as stream:
            stream.write("".join(f"{line}\n" for line in lines))
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(draft, self._path)


def now() -> str:
    """The present time, ISO 8601, UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _read(path: Path) -> tuple[list[dict[str, Any]], bool]:
    """The lines, and whether one of them is damaged or cut off."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return [], False
    lines: list[dict[str, Any]] = []
    torn = bool(text) and not text.endswith("\n")
    for line in text.splitlines():
        try:
            lines.append(_checked(json.loads(line)))
        except (ValueError, KeyError, TypeError):
            torn = True
    return lines, torn


def _checked(values: Any) -> dict[str, Any]:
    """The values of a line that can be understood; it raises otherwise."""
    if "query" not in values:
        replace(PixelRecord(**{**values, "pixel": SkyPixel.parse(values["pixel"])}))
    return dict(values)
