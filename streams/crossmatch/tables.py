"""The cross-match as tables with units, UCDs and descriptions, and their files."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table

from streams.catalog.files import write_table
from streams.catalog.schema import ColumnSpec, table_of
from streams.crossmatch.matching import CandidateMatch, CrossMatch

__all__ = ["CROSS_MATCH_FILES", "cross_match_tables", "write_cross_match"]

CROSS_MATCH_FILES = {
    "candidates": "crossmatch.ecsv",
    "matches": "crossmatch_matches.ecsv",
    "known": "crossmatch_known.ecsv",
}

_CANDIDATES: tuple[ColumnSpec, ...] = (
    ColumnSpec("candidate", "text", "", "meta.id;meta.main", "candidate"),
    ColumnSpec("verdict", "text", "", "meta.code.class", "rediscovered, new or ambiguous"),
    ColumnSpec("known", "text", "", "meta.id.cross", "known stream that fits best; empty if none does"),
    ColumnSpec("source", "text", "", "meta.bib", "whose description of it agrees best"),
    ColumnSpec(
        "separation", "real", "deg", "pos.angDistance", "median signed distance of the stars from its track"
    ),
    ColumnSpec("share", "real", "", "stat.value", "share of the candidate's stars on that track"),
    ColumnSpec(
        "pm_difference",
        "real",
        "mas / yr",
        "pos.pm;arith.diff",
        "from the track's; NaN: not known",
    ),
    ColumnSpec(
        "pm_error", "real", "mas / yr", "stat.error;pos.pm", "error of each component of that difference"
    ),
    ColumnSpec("shared", "integer", "", "meta.number", "stars in both member lists"),
    ColumnSpec(
        "chance",
        "real",
        "",
        "stat.probability",
        "of a match at another place of the sky",
    ),
    ColumnSpec(
        "chance_fit",
        "real",
        "",
        "stat.probability",
        "of a match or a possible one there",
    ),
    ColumnSpec("all_known", "text", "", "meta.note", "every known stream that fits or may fit, best first"),
)
_MATCHES: tuple[ColumnSpec, ...] = (
    ColumnSpec("candidate", "text", "", "meta.id.parent", "candidate"),
    ColumnSpec("known", "text", "", "meta.id.cross", "known stream"),
    ColumnSpec("stream", "text", "", "meta.id", "its name in this source"),
    ColumnSpec("source", "text", "", "meta.bib", "source of the description"),
    ColumnSpec("level", "text", "", "meta.code.class", "match: everything agrees; possible: a part does"),
    ColumnSpec(
        "separation", "real", "deg", "pos.angDistance", "median signed distance of the stars from the track"
    ),
    ColumnSpec(
        "tolerance", "real", "deg", "pos.angDistance;stat.max", "distance up to which a star is on the track"
    ),
    ColumnSpec("share", "real", "", "stat.value", "share of the candidate's stars on the track"),
    ColumnSpec("overlap", "real", "deg", "pos.angDistance", "length of track that they cover"),
    ColumnSpec(
        "angle",
        "real",
        "deg",
        "pos.posAng;arith.diff",
        "between the long axis and the track; NaN: no direction",
    ),
    ColumnSpec(
        "pm_along", "real", "mas / yr", "pos.pm;arith.diff", "proper motion minus the track's, along it"
    ),
    ColumnSpec(
        "pm_across", "real", "mas / yr", "pos.pm;arith.diff", "proper motion minus the track's, across it"
    ),
    ColumnSpec(
        "pm_error", "real", "mas / yr", "stat.error;pos.pm", "error of each, the known track's own included"
    ),
    ColumnSpec("distance", "real", "kpc", "pos.distance", "of the known stream there; NaN: not known"),
    ColumnSpec("shared", "integer", "", "meta.number", "stars in both member lists"),
    ColumnSpec(
        "purity", "real", "", "stat.value", "their share of the candidate's list; NaN: no list to compare"
    ),
    ColumnSpec(
        "completeness", "real", "", "stat.value", "their share of the known list inside the footprints"
    ),
)
_KNOWN: tuple[ColumnSpec, ...] = (
    ColumnSpec("known", "text", "", "meta.id;meta.main", "known stream inside the footprints"),
    ColumnSpec("sources", "text", "", "meta.bib", "its descriptions"),
    ColumnSpec("length", "real", "deg", "pos.angDistance", "length of its track inside the footprints"),
    ColumnSpec(
        "stars", "integer", "", "meta.number", "listed members inside the footprints; 0: none, or no list"
    ),
    ColumnSpec("found_as", "text", "", "meta.id.cross", "candidates that match it; empty: missed"),
    ColumnSpec("possibly", "text", "", "meta.id.cross", "candidates that may be it"),
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
    return [
        write_table(table, directory / CROSS_MATCH_FILES[name], every_format=False)
        for name, table in cross_match_tables(result).items()
    ]


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


def _table(columns: Sequence[ColumnSpec], rows: Sequence[Mapping[str, Any]]) -> Table:
    return table_of(columns, {column.name: [row[column.name] for row in rows] for column in columns})
