"""The catalogue of a run: its candidates, ranked and named, and their stars."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from astropy.io.registry import IORegistryError
from astropy.table import Table
from jaxtyping import Int

from streams.catalog.assembly import candidate_table, member_list, ranked, track_of
from streams.catalog.entries import CatalogEntry, EntryTrack
from streams.catalog.files import FORMATS, one_line, read_table, write_table
from streams.catalog.schema import (
    CANDIDATE_COLUMNS,
    CATALOG_SCHEMA,
    MEMBER_LIST_COLUMNS,
)
from streams.errors import CatalogError

__all__ = ["StreamCatalog"]

_PARTS = ("candidates", "members")
_SPECS = {column.name: column for column in CANDIDATE_COLUMNS}
_NEEDED = set(_SPECS), {column.name for column in MEMBER_LIST_COLUMNS}
"""Columns of every catalogue."""


@dataclass(frozen=True, eq=False)
class StreamCatalog:
    """Candidates and their stars.

    Args:
        candidates: one row for each candidate, ranked (`CANDIDATE_COLUMNS`).
        members: one row for each star of a candidate (`MEMBER_LIST_COLUMNS`), all those of noticeable
            probability, so that sums over probabilities are right; `member` marks the members.
        provenance: what made it (version, configuration, data, seed).
    """

    candidates: Table
    members: Table
    provenance: Mapping[str, Any]

    @classmethod
    def of(
        cls,
        entries: Sequence[CatalogEntry],
        provenance: Mapping[str, Any],
        *,
        member_threshold: float = 0.5,
    ) -> StreamCatalog:
        """Rank the candidates and name them VM-1, VM-2, ...

        They are ordered by false-discovery rate, then false-alarm probability, then significance, then
        patch and label, so that the order of the entries does not matter.

        Args:
            entries: in any order.
            provenance: what made them.
            member_threshold: least membership probability of a member.

        Raises:
            CatalogError: two entries have one label.
        """
        order = ranked(entries)
        return cls(
            candidate_table(order, member_threshold), member_list(order, member_threshold), dict(provenance)
        )

    def member_ids(self, name: str) -> Int[np.ndarray, " n"]:
        """source_id of the members of a candidate.

        Raises:
            CatalogError: no candidate of that name.
        """
        self._known(name)
        chosen = np.asarray(self.members["candidate"]) == name
        chosen &= np.asarray(self.members["member"], dtype=bool)
        return np.asarray(self.members["source_id"][chosen], dtype=np.int64)

    def track(self, name: str) -> EntryTrack:
        """The track of a candidate in the frame of its great circle.

        Raises:
            CatalogError: no candidate of that name.
        """
        self._known(name)
        return track_of(self.candidates[list(self.candidates["name"]).index(name)])

    def with_matches(self, matches: Mapping[str, tuple[str, str]]) -> StreamCatalog:
        """The same catalogue with known streams beside the candidates.

        Args:
            matches: for a candidate's name the known stream (may be empty) and the verdict.

        Raises:
            CatalogError: no candidate of such a name.
        """
        for name in matches:
            self._known(name)
        table = self.candidates.copy()
        for position, column in enumerate(("match", "verdict")):
            old = dict(zip(table["name"], table[column], strict=True))
            values = [matches[name][position] if name in matches else old[name] for name in table["name"]]
            table.replace_column(column, _SPECS[column].column(values))
        return replace(self, candidates=table)

    def write(self, directory: Path) -> list[Path]:
        """Write candidates and members as ECSV, FITS and Parquet, each file whole or not at all.

        Raises:
            CatalogError: a text that is not plain ASCII.
        """
        directory.mkdir(parents=True, exist_ok=True)
        written = []
        for part in _PARTS:
            table = getattr(self, part).copy(copy_data=False)
            table.meta = {"schema": CATALOG_SCHEMA, "provenance": one_line(self.provenance)}
            written += [write_table(table, directory / f"{part}.{ending}") for ending in FORMATS]
        return written

    @classmethod
    def read(cls, directory: Path, kind: Literal["ecsv", "fits", "parquet"] = "ecsv") -> StreamCatalog:
        """Read a catalogue that `write` wrote; the three kinds of file hold the same.

        Raises:
            CatalogError: there is none, it is damaged, or of an older layout.
        """
        try:
            candidates, members = (read_table(directory / f"{part}.{kind}") for part in _PARTS)
            schemas = {table.meta.pop("schema", None) for table in (candidates, members)}
            told, _ = (table.meta.pop("provenance") for table in (candidates, members))
            provenance = json.loads(told)
        except (OSError, ValueError, LookupError, TypeError, IORegistryError) as error:
            raise CatalogError(
                f"no readable catalogue in {directory} ({error}): make it with 'catalog'"
            ) from error
        missing = _NEEDED[0] - set(candidates.colnames) | _NEEDED[1] - set(members.colnames)
        if schemas != {CATALOG_SCHEMA} or missing:
            found = ", ".join(sorted(map(str, schemas)))
            lacking = f" and lacks {', '.join(sorted(missing)[:3])}" if missing else ""
            raise CatalogError(
                f"the catalogue in {directory} has layout {found}{lacking}; this version reads layout "
                f"{CATALOG_SCHEMA}: make it anew from the run with 'catalog'"
            )
        return cls(candidates, members, provenance)

    def _known(self, name: str) -> None:
        if name not in set(self.candidates["name"]):
            held = ", ".join(map(str, self.candidates["name"])) or "none"
            raise CatalogError(f"no candidate {name!r}; the catalogue holds {held}")
