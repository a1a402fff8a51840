"""The cross-match as tables with units, UCDs and descriptions, and their files."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from astropy import units as u
from astropy.table import Column, Table

from streams.crossmatch.matching import CandidateMatch, CrossMatch

__all__ = ["CROSS_MATCH_FILES", "cross_match_tables", "write_cross_match"]

CROSS_MATCH_FILES = {
    "candidates": "crossmatch.ecsv",
    "matches": "crossmatch_matches.ecsv",
    "known": "crossmatch_known.ecsv",
}
_Schema = tuple[tuple[str, str | None, str, str, str], ...]

_CANDIDATES: _Schema = (
    ("candidate", None, "U", "meta.id;meta.main", "candidate"),
    ("verdict", None, "U", "meta.code.class", "rediscovered, new or ambiguous"),
    ("known", None, "U", "meta.id.cross", "known stream that fits best; empty if none does"),
    ("source", None, "U", "meta.bib", "whose description of it agrees best"),
    ("separation", "deg", "f8", "pos.angDistance", "median signed distance of the stars from its track"),
    ("share", None, "f8", "stat.value", "share of the candidate's stars on that track"),
    (
        "pm_difference",
        "mas / yr",
        "f8",
        "pos.pm;arith.diff",
        "from the track's; NaN: not known",
    ),
    ("pm_error", "mas / yr", "f8", "stat.error;pos.pm", "error of each component of that difference"),
    ("shared", None, "i8", "meta.number", "stars in both member lists"),
    (
        "chance",
        None,
        "f8",
        "stat.probability",
        "of a match at another place of the sky",
    ),
    (
        "chance_fit",
        None,
        "f8",
        "stat.probability",
        "of a match or a possible one there",
    ),
    ("all_known", None, "U", "meta.note", "every known stream that fits or may fit, best first"),
)
_MATCHES: _Schema = (
    ("candidate", None, "U", "meta.id.parent", "candidate"),
    ("known", None, "U", "meta.id.cross", "known stream"),
    ("stream", None, "U", "meta.id", "its name in this source"),
    ("source", None, "U", "meta.bib", "source of the description"),
    ("level", None, "U", "meta.code.class", "match: everything agrees; possible: a part does"),
    ("separation", "deg", "f8", "pos.angDistance", "median signed distance of the stars from the track"),
    ("tolerance", "deg", "f8", "pos.angDistance;stat.max", "distance up to which a star is on the track"),
    ("share", None, "f8", "stat.value", "share of the candidate's stars on the track"),
    ("overlap", "deg", "f8", "pos.angDistance", "length of track that they cover"),
    ("angle", "deg", "f8", "pos.posAng;arith.diff", "between the long axis and the track; NaN: no direction"),
    ("pm_along", "mas / yr", "f8", "pos.pm;arith.diff", "proper motion minus the track's, along it"),
    ("pm_across", "mas / yr", "f8", "pos.pm;arith.diff", "proper motion minus the track's, across it"),
    ("pm_error", "mas / yr", "f8", "stat.error;pos.pm", "error of each, the known track's own included"),
    ("distance", "kpc", "f8", "pos.distance", "of the known stream there; NaN: not known"),
    ("shared", None, "i8", "meta.number", "stars in both member lists"),
    ("purity", None, "f8", "stat.value", "their share of the candidate's list; NaN: no list to compare"),
    ("completeness", None, "f8", "stat.value", "their share of the known list inside the footprints"),
)
_KNOWN: _Schema = (
    ("known", None, "U", "meta.id;meta.main", "known stream inside the footprints"),
    ("sources", None, "U", "meta.bib", "its descriptions"),
    ("length", "deg", "f8", "pos.angDistance", "length of its track inside the footprints"),
    ("stars", None, "i8", "meta.number", "listed members inside the footprints; 0: none, or no list"),
    ("found_as", None, "U", "meta.id.cross", "candidates that match it; empty: missed"),
    ("possibly", None, "U", "meta.id.cross", "candidates that may be it"),
)


def cross_match_tables(result: CrossMatch) -> dict[str, Table]:
    """Tables "candidates" (a row each), "matches" (each candidate and description that fit) and "known"."""
    tables = {
        "candidates": _table(_CANDIDATES, [_candidate_row(match) for match in result.candidates]),
        "matches": _table(_MATCHES, list(_match_rows(result.candidates))),
        "known": _table(_KNOWN, [_known_row(asdict(known)) for known in result.inside]),
    }
    for table in tables.values():
        table.meta["recipe"] = json.dumps(asdict(result.recipe), sort_keys=True)
        table.meta["known_streams"] = result.sources
        table.meta["chance"] = result.chance.match
        table.meta["chance_fit"] = result.chance.fit
    return tables


def write_cross_match(result: CrossMatch, directory: Path) -> list[Path]:
    """Write the tables as ECSV into a directory, each file whole or not at all; the paths."""
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    written = []
    for name, table in cross_match_tables(result).items():
        path = directory / CROSS_MATCH_FILES[name]
        temporary = path.with_name(f".{uuid.uuid4().hex}.ecsv")
        try:
            table.write(temporary, format="ascii.ecsv")
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        written.append(path)
    return written


def _candidate_row(match: CandidateMatch) -> dict[str, Any]:
    names = ", ".join(known.known for known in match.known)
    row = {
        "candidate": match.candidate, "verdict": match.verdict, "chance": match.chance.match,
        "chance_fit": match.chance.fit, "all_known": names,
    }  # fmt: skip
    if not match.known:
        nothing = {"separation": np.nan, "share": np.nan, "pm_difference": np.nan, "pm_error": np.nan}
        return {**row, **nothing, "known": "", "source": "", "shared": 0}
    first = match.known[0]
    best = {name: getattr(first.best, name) for name in ("source", "separation", "share", "pm_error")}
    return {
        **row, **best, "known": first.known, "pm_difference": first.best.pm_difference, "shared": first.shared
    }  # fmt: skip


def _match_rows(candidates: Iterable[CandidateMatch]) -> Iterable[dict[str, Any]]:
    for candidate in candidates:
        for known in candidate.known:
            for match in known.matches:
                yield {"candidate": candidate.candidate, "known": known.known, **asdict(match)}


def _known_row(known: Mapping[str, Any]) -> dict[str, Any]:
    lists = {name: ", ".join(known[name]) for name in ("found_as", "possibly")}
    return {**known, **lists, "known": known["name"]}


def _table(schema: _Schema, rows: Sequence[Mapping[str, Any]]) -> Table:
    table = Table()
    for name, unit, dtype, ucd, description in schema:
        values = np.array([row[name] for row in rows], dtype=dtype)
        table[name] = Column(values, unit=None if unit is None else u.Unit(unit), description=description)
        table[name].meta["ucd"] = ucd
    return table
