"""Real streams in the mock sky: of how many members does the likelihood search still find them?

Members of twelve streams of the STREAMFINDER list (Ibata et al. 2024, ApJ 967, 89; CDS catalogue
J/ApJ/967/89), each the 20 deg that hold most of them, are turned onto lines across a mock patch (10 deg
radius, G < 20.2): their positions, proper motions, colours and magnitudes, and the noise on them, are real;
standard errors are those of stars of their magnitude. Gradients, gaps and the list's own contamination stay.
Of each "kept" members stay, drawn at random ("asked": 20, 40, 60 or all that the patch shows).

Four streams share a patch: they differ in line and proper motion. The background is learned with them in it.
The search is blind: three old ridges, all distances. "recovered": a candidate with a false-alarm probability
below 0.01 of which the stream's stars make most of the excess or of the expected members. "contrast" and
"significance" are those of its best candidate, else of its best hypothesis; "f1" that of the candidate's
members (probability above one half). "false_candidates" of the patch pass 0.01 and are no stream of it.
--plot draws recovered fraction and significances against the number kept.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from _gd1_data import DATA
from _likelihood_half import half_point
from _likelihood_judging import false_candidates, stream_figures
from _likelihood_members import STREAMS, Piece, pieces, sky_with_pieces
from _likelihood_parts import Job, Row, campaign_arguments, measured
from _likelihood_skies import CENTRE, QUICK_SEARCH, Field, HiddenSky, Searched, background_of
from matplotlib import colormaps
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator
from reporting import Cell, arguments, report

from streams.likelihood import SearchRecipe
from streams.likelihood.finder import LikelihoodSearch
from streams.ridges import old_ridges

__all__ = ["main", "rows_of_patch"]

ASKED = ("20", "40", "60", "all")
TOGETHER = 4
"""Streams of one patch."""
MOTION_LIMIT = 15.0
"""Of the search, mas/yr: GD-1 has 13.7."""
QUICK_FIELD = 5_000
_FIGURES = ("significance", "contrast", "false_alarm_probability", "f1")


def rows_of_patch(job: Job) -> list[Row]:
    """Hide some streams in a patch, search it, and then compare; one row per stream."""
    start, quick = time.perf_counter(), bool(job["quick"])
    numbers = tuple(int(number) for number in str(job["streams"]).split())
    seeds = (int(job["seed"]), int(job["repeat"]))
    # Another field for each repeat and group, the same for every number kept: only the members differ.
    field = Field.of(CENTRE, int(job["field_stars"]), seeds[0] + 1000 * seeds[1] + numbers[0])
    count = None if job["asked"] == "all" else int(job["asked"])
    sky, chosen = sky_with_pieces(field, pieces(Path(str(job["members"])), numbers), count, seeds)
    background, _ = background_of(sky.stars, sky.geometry, seeds[0], quick=quick)
    recipe = replace(QUICK_SEARCH if quick else SearchRecipe(), motion_limit=float(job["motion_limit"]))
    finder = LikelihoodSearch(recipe=recipe, ridges=old_ridges()[1:2] if quick else old_ridges())
    found = finder.find(sky.stars, sky.geometry.footprint, background.log_density)
    return rows_of(sky, chosen, Searched(found, time.perf_counter() - start), job)


def rows_of(sky: HiddenSky, chosen: Sequence[Piece], done: Searched, job: Job) -> list[Row]:
    """What a search found of each hidden stream."""
    false = false_candidates(done, sky)
    rows: list[Row] = []
    for piece, stream in zip(chosen, sky.streams, strict=True):
        found = stream_figures(done, sky.member(stream))
        rows.append(
            {
                "stream": piece.name,
                "distance": piece.distance,
                "width": piece.width,
                "gradient": float(np.hypot(*piece.gradient)),
                "asked": job["asked"],
                "kept": len(stream.source_id),
                "repeat": job["repeat"],
                "patch": job["streams"],
                "recovered": int(bool(found["detected"])),
                **{name: found[name] for name in _FIGURES},
                "false_candidates": false,
                "seconds": done.seconds,
            }
        )
    return rows


def figures_of(rows: Sequence[Row]) -> dict[str, Cell]:
    """Fractions over all streams, and the number of members at which half are recovered."""
    figures: dict[str, Cell] = {"streams": len({row["stream"] for row in rows})}
    for asked in dict.fromkeys(row["asked"] for row in rows):
        mine = [row for row in rows if row["asked"] == asked]
        figures[f"recovered_{asked}"] = float(np.mean([int(row["recovered"]) for row in mine]))
        found = [float(row["f1"] or 0.0) for row in mine if row["recovered"]]
        figures[f"median_f1_{asked}"] = float(np.median(found)) if found else None
    kept = np.array([float(row["kept"]) for row in rows])
    figures["half"] = half_point(kept, np.array([bool(row["recovered"]) for row in rows]))
    # The rows of a patch repeat the same count.
    patches = {(row["patch"], row["asked"], row["repeat"]): int(row["false_candidates"]) for row in rows}
    return figures | {"patches": len(patches), "false_candidates": sum(patches.values())}


def draw(rows: Sequence[Row], path: Path) -> None:
    """Recovered fraction of all streams, and each stream's significance, against the number kept."""
    figure = Figure(figsize=(11.0, 4.0), layout="constrained")
    left, right = figure.subplots(1, 2)
    kept, share, error = _fractions(rows)
    left.errorbar(kept, share, yerr=error, fmt="ks-", lw=1.5, ms=5, capsize=3)
    left.set(ylim=(-0.03, 1.03), ylabel="recovered fraction", title="all streams")
    names = sorted({str(row["stream"]) for row in rows}, key=lambda name: _distance(rows, name))
    for number, name in enumerate(names):
        own = [row for row in rows if row["stream"] == name and row["significance"] is not None]
        colour, marker = colormaps["viridis"](number / max(len(names) - 1, 1)), "osD^v<>"[number % 7]
        label = f"{name} ({_distance(rows, name):.0f} kpc)"
        x, y = ([float(row[column]) for row in own] for column in ("kept", "significance"))
        # Open symbols are hypotheses that did not pass.
        face = [colour if row["recovered"] else "white" for row in own]
        right.plot(x, y, "-", color=colour, lw=0.8, alpha=0.7)
        right.scatter(x, y, marker=marker, s=26, facecolors=face, edgecolors=[colour], zorder=3)
        right.plot([], [], color=colour, marker=marker, lw=0.8, ms=5, label=label)
    right.set(yscale="log", ylabel="significance of the best hypothesis [sigma]", title="open: not recovered")
    figure.legend(fontsize=8, loc="outside right center")
    _ticks(right.yaxis, (5, 7, 10, 20, 30, 40))
    for axes in (left, right):
        axes.set(xscale="log", xlim=(15, 1000), xlabel="members kept")
        _ticks(axes.xaxis, (20, 40, 60, 100, 200, 400, 800))
    _save(figure, path)


def _ticks(axis: Axis, values: Sequence[float]) -> None:
    """Plain numbers on a logarithmic axis."""
    axis.set_major_locator(FixedLocator(values))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_locator(NullLocator())


def _fractions(rows: Sequence[Row]) -> tuple[list[float], list[float], list[float]]:
    """Median number kept, recovered fraction and its binomial error, for each number asked."""
    groups = Counter(row["asked"] for row in rows)
    kept = [float(np.median([float(r["kept"]) for r in rows if r["asked"] == asked])) for asked in groups]
    share = [float(np.mean([int(r["recovered"]) for r in rows if r["asked"] == asked])) for asked in groups]
    error = [(p * (1 - p) / count) ** 0.5 for p, count in zip(share, groups.values(), strict=True)]
    return kept, share, error


def _distance(rows: Sequence[Row], name: str) -> float:
    return float(next(row["distance"] for row in rows if row["stream"] == name))


def _save(figure: Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
    os.close(handle)
    figure.savefig(temporary, dpi=150, metadata={"Software": None})
    Path(temporary).chmod(0o644)
    os.replace(temporary, path)


def jobs_of(options: argparse.Namespace) -> list[Job]:
    """One job per group of streams, number kept and repeat."""
    numbers = list(options.streams)
    # Every third or so: streams of a group lie far apart in the list.
    size = -(-len(numbers) // TOGETHER)
    groups = [numbers[start::size] for start in range(size)]
    return [
        {
            "streams": " ".join(map(str, group)),
            "asked": asked,
            "repeat": repeat,
            "seed": options.seed,
            "field_stars": options.field_stars,
            "motion_limit": options.motion_limit,
            "members": str(options.members),
            "quick": options.quick,
        }
        for repeat in range(options.repeats)
        for asked in options.kept
        for group in groups
    ]


def _extend(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--members", type=Path, default=DATA / "streamfinder_gaiadr3.fits")
    parser.add_argument("--streams", type=int, nargs="+", choices=sorted(STREAMS), default=list(STREAMS))
    parser.add_argument("--kept", nargs="+", default=list(ASKED), help="numbers of members, or all")
    parser.add_argument("--repeats", type=int, default=3, help="patches of each group and number")
    parser.add_argument("--field-stars", type=int, default=100_000, help="of a patch (--quick: 5,000)")
    parser.add_argument("--motion-limit", type=float, default=MOTION_LIMIT, help="of the search, mas/yr")
    campaign_arguments(parser)
    parser.add_argument("--plot", type=Path, default=None, metavar="PNG", help="draw the recovered fraction")


def main() -> None:
    """Hide, search, print and record."""
    options = arguments(__doc__.splitlines()[0], _extend)
    if not options.members.is_file():
        raise SystemExit(
            f"{options.members} is missing: get the members of Ibata et al. (2024) from the CDS, catalogue "
            "J/ApJ/967/89, and name the table with --members"
        )
    if options.quick:
        options.field_stars, options.repeats = QUICK_FIELD, 1
        options.streams, options.kept = options.streams[:2], ["all"]
    rows = measured(rows_of_patch, jobs_of(options), options.workers, options.scratch)
    if options.plot is not None:
        draw(rows, options.plot)
    figures: dict[str, Cell] = {"field_stars": options.field_stars, "motion_limit": options.motion_limit}
    report("likelihood_injection", options, rows=rows, figures=figures | figures_of(rows))


if __name__ == "__main__":
    main()
