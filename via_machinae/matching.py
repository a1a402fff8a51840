"""The job behind `match`: a run's candidates against known streams."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from astropy.table import Table

from streams import StreamCatalog
from streams.crossmatch import (
    CandidateMatch,
    CrossMatch,
    CrossMatchRecipe,
    KnownInside,
    KnownStream,
    cross_match,
    galstreams_streams,
    streamfinder_streams,
    write_cross_match,
)
from streams.members import MemberStars
from via_machinae.errors import RunError
from via_machinae.run import Run
from via_machinae.terminal import console, show_table

__all__ = ["known_streams", "match_job", "match_run", "show_cross_match"]


def known_streams(
    streamfinder: Path | None, galstreams: bool, cache: Path | None = None
) -> tuple[KnownStream, ...]:
    """The known streams that the user asks for.

    Args:
        streamfinder: table of STREAMFINDER members, or None.
        galstreams: whether to take galstreams' tracks.
        cache: folder for the compact copy of galstreams' tracks; None is the user's cache folder.

    Raises:
        RunError: neither is wanted.
        streams.crossmatch.CrossMatchError: the file cannot be read, or galstreams is not installed.
    """
    if streamfinder is None and not galstreams:
        raise RunError("nothing to match with: allow --galstreams, or give a table with --streamfinder")
    listed = () if streamfinder is None else streamfinder_streams(streamfinder)
    return listed + (galstreams_streams(cache) if galstreams else ())


def match_run(run: Run, known: Sequence[KnownStream], recipe: CrossMatchRecipe | None = None) -> CrossMatch:
    """Compare the catalogue of a run with known streams, write the tables beside it and the verdicts into it.

    Raises:
        streams.CatalogError: the run has no catalogue yet, or one without positions of its members.
    """
    catalog = StreamCatalog.read(run.path / "catalog")
    result = cross_match(_candidates(catalog), known, run.geometries, recipe)
    write_cross_match(result, run.path / "catalog")
    catalog.with_matches(_verdicts(result)).write(run.path / "catalog")
    return result


def match_job(
    run: Run, streamfinder: Path | None = None, galstreams: bool = True, cache: Path | None = None
) -> CrossMatch:
    """Match a run's candidates with known streams, write the tables and print them."""
    with console.status("reading known streams"):
        known = known_streams(streamfinder, galstreams, cache)
    with console.status("comparing"):
        result = match_run(run, known)
    show_cross_match(result, _passing(StreamCatalog.read(run.path / "catalog").candidates))
    console.print(f"tables: {run.path / 'catalog'}")
    return result


def show_cross_match(result: CrossMatch, passing: Sequence[str]) -> None:
    """Print what each candidate is, the known streams inside the footprints, and those that were missed.

    Args:
        result: the cross-match.
        passing: names of the candidates that pass the run's threshold; a known stream counts as found only if
            one of these matches it.
    """
    _show_candidates(result, passing)
    _show_known(result, passing)
    verdicts = [match.verdict for match in result.candidates if match.candidate in set(passing)]
    counts = ", ".join(f"{verdicts.count(name)} {name}" for name in ("rediscovered", "new", "ambiguous"))
    missed = len(result.missed(passing))
    console.print(f"of {len(verdicts)} candidates that pass: {counts}")
    console.print(f"of {len(result.inside)} known streams inside the footprints: {missed} missed")
    if np.isfinite(result.chance.match):
        console.print(
            f"by chance, at other places of the sky, {result.chance.match:.1%} of the candidates match a "
            f"known stream and {result.chance.fit - result.chance.match:.1%} may be one"
        )


def _candidates(catalog: StreamCatalog) -> dict[str, MemberStars]:
    labels = np.asarray(catalog.members["candidate"], dtype=str)
    names = [str(name) for name in catalog.candidates["name"]]
    return {name: MemberStars.from_table(catalog.members[labels == name]) for name in names}


def _verdicts(result: CrossMatch) -> dict[str, tuple[str, str]]:
    return {
        match.candidate: (match.known[0].known if match.known else "", match.verdict)
        for match in result.candidates
    }


def _passing(candidates: Table) -> list[str]:
    return [str(row["name"]) for row in candidates if row["passes"]]


def _show_candidates(result: CrossMatch, passing: Sequence[str]) -> None:
    columns = ("name", "pass", "verdict", "known stream", "sep", "on track", "dpm", "+-", "shared", "chance")
    rows = [_candidate_cells(match, match.candidate in set(passing)) for match in result.candidates]
    if rows:
        show_table("Candidates against known streams (deg; mas/yr)", columns, rows)
    else:
        console.print("no candidate to match")


def _candidate_cells(match: CandidateMatch, passes: bool) -> tuple[object, ...]:
    start = (match.candidate, "yes" if passes else "no", match.verdict)
    chance = round(match.chance.match, 3)
    if not match.known:
        return (*start, "", float("nan"), float("nan"), float("nan"), float("nan"), 0, chance)
    best = match.known[0].best
    names = ", ".join(known.known for known in match.known if known.best.level == best.level)
    return (
        *start, names, round(best.separation, 2), round(best.share, 2), round(best.pm_difference, 2),
        round(best.pm_error, 2), match.known[0].shared, chance,
    )  # fmt: skip


def _show_known(result: CrossMatch, passing: Sequence[str]) -> None:
    rows = [_known_cells(known, set(passing)) for known in result.inside]
    columns = ("known stream", "deg inside", "stars inside", "found as", "below threshold", "possibly")
    if rows:
        show_table("Known streams inside the footprints", columns, rows)


def _known_cells(known: KnownInside, passing: set[str]) -> tuple[object, ...]:
    found = ", ".join(name for name in known.found_as if name in passing)
    below = ", ".join(name for name in known.found_as if name not in passing)
    return (
        known.name,
        round(known.length, 1),
        known.stars,
        found or "missed",
        below,
        ", ".join(known.possibly),
    )
