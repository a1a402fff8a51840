"""GD-1 in real Gaia DR2 stars without colours, found blind by the likelihood line search.

The strip, its archive query, labels and tracks are those of `gd1.py`: 10 x 2 deg, no photometry, errors of
the proper motions from those of the parallaxes. The background is the density of the proper motions at the
place and error level of each star; the search goes over the whole proper-motion plane without a ridge. Labels
(the STREAMFINDER list, Ibata et al. 2024: another algorithm's, incomplete, made with colours) and tracks
(Tavangar & Price-Whelan 2025) are read after the search.

Search "default" is `SearchRecipe()` as it stands; "rich" looks for streams of 150 stars instead of 40:
without colours a stream has to stand out against several times as many stars.

Background "all stars" is the search as it is used. GD-1 is one star in a hundred here, enough for a flow to
learn a part of it as background: "relearned" has the background learned again (`relearned`, once and twice)
from the stars that are left when each is taken out with its probability of belonging to a candidate that
passed, and the candidates fitted over it. "rank", "passing", "significance" and "false_alarm_probability"
remain those of the first search: it decides that a stream is there. "contrast" (of GD-1), "best_false" (the
highest of any hypothesis without GD-1's stars: below a tenth of its weight), "ratio" of the two and
"others_passing" (hypotheses without GD-1's stars below 1 % false alarms) are of a search over the background
of that row: how GD-1 stands out once its own stars no longer hide it.

"phi2_offset", "pm1_offset" and "pm2_offset" are the mean, "phi2_worst" ... the largest differences between
the fitted track and the reference along the strip (deg, mas/yr), the reference being straight between its
nodes 10 deg apart; "phi2_spline_offset" ... are from a natural cubic spline through them.

--shuffled N searches null skies: the proper motions are shuffled among the stars.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from _gd1_data import CONFIG, DATA, read_strip, shuffled, store_of
from _gd1_tracks import offsets_of
from _likelihood_judging import FALSE_ALARM, excess_share, is_of, member_f1
from _likelihood_parts import Job, Row, campaign_arguments, measured
from astropy.table import Table
from jaxtyping import Bool
from reporting import Cell, arguments, report

from sky_patches import CatalogStore
from streams.likelihood import Hypothesis, SearchRecipe
from streams.likelihood.candidates import LikelihoodCandidate, LikelihoodFound
from streams.likelihood.finder import LikelihoodSearch
from via_machinae import load_config
from via_machinae.background import BackgroundRecipe, PatchBackground, fit_background, relearned
from via_machinae.patch_stars import PatchStars, geometries, load_patch

__all__ = ["main", "null_rows", "patch_of", "strip_rows"]

SEARCHES = {"default": SearchRecipe(), "rich": SearchRecipe(expected_stars=150.0)}
QUICK = SearchRecipe(motion_step=1.0, spread=0.5, gradients=(0.0,), angle_step=6.0, inspected=100)
"""A coarse grid, to see that it runs."""
FLOWS = {
    "spline": BackgroundRecipe(photometry=False),
    "maf": BackgroundRecipe(
        photometry=False, kind="maf", layers=8, epochs=20, batch_size=512, learning_rate=3e-3
    ),
}
"""The default background, and a stiffer one."""
ROUNDS = 2
"""How often the background is learned again: members change little after the first."""
OFFSETS = {
    "phi2_worst": ("phi2_worst",),
    "pm_offset": ("pm1_offset", "pm2_offset"),
    "pm_worst": ("pm1_worst", "pm2_worst"),
    "pm_spline_worst": ("pm1_spline_worst", "pm2_spline_worst"),
}
"""What the figures tell of the offsets from the reference track."""
OTHER = 0.1
"""A hypothesis with a smaller share of labelled stars, by weight, is not GD-1."""


def patch_of(stars: Table) -> PatchStars:
    """The stars as a scan of the strip has them: the patch that they fill, cuts applied."""
    config = load_config(CONFIG)
    with tempfile.TemporaryDirectory() as name:
        store = CatalogStore.open(store_of(stars, Path(name)))
        return load_patch(store, geometries(store, config)[0], config)


def finder_of(job: Job) -> LikelihoodSearch:
    """The search of a job."""
    return LikelihoodSearch(recipe=QUICK if job["quick"] else SEARCHES[str(job["search"])])


def learned(patch: PatchStars, job: Job) -> PatchBackground:
    """The background of all stars; nothing here knows a label."""
    recipe = FLOWS[str(job["flow"])]
    if job["quick"]:
        recipe = replace(recipe, epochs=6)
    return fit_background(patch, recipe, seed=int(job["seed"]))


def strip_rows(job: Job) -> list[Row]:
    """Search the real strip, and again without what was found in its background; then look at the labels."""
    strip = read_strip(Path(str(job["table"])))
    patch = patch_of(strip.stars)
    stars, footprint = patch.stream_stars(), patch.geometry.footprint
    finder, start = finder_of(job), time.process_time()
    background = learned(patch, job)
    found = first = finder.find(stars, footprint, background.log_density)
    steps = [("all stars", found, first, time.process_time() - start)]
    for turn in range(1, ROUNDS + 1):
        start = time.process_time()
        better = relearned(finder, found, background, stars, footprint, seed=int(job["seed"]))
        background, found = better.background, better.found
        seconds = time.process_time() - start
        again = finder.find(stars, footprint, background.log_density)
        steps.append((f"relearned {turn}", found, again, seconds))
    label = np.isin(patch.source_id, strip.members)
    rows: list[Row] = []
    for name, fitted, seen, seconds in steps:
        row: Row = {"flow": job["flow"], "search": job["search"], "seed": job["seed"], "background": name}
        row |= _found(fitted, label, patch, str(job["tracks"])) | _contrasts(seen, label)
        rows.append(row | {"cpu_seconds": seconds})
    return rows


def _first(found: LikelihoodFound, label: Bool[np.ndarray, " n"]) -> int | None:
    """Number of the first candidate that is GD-1: the labelled stars make most of it."""
    mine = (k for k, one in enumerate(found.candidates) if _is_gd1(one, label))
    return next(mine, None)


def _is_gd1(one: LikelihoodCandidate, label: Bool[np.ndarray, " n"]) -> bool:
    refined = one.refined
    return is_of(excess_share(one.hypothesis, label), refined.rows, refined.probability, label)


def _labelled(one: Hypothesis, label: Bool[np.ndarray, " n"]) -> float:
    """Share of a hypothesis' weight that labelled stars make."""
    return float(one.weights[label[one.rows]].sum() / max(one.weights.sum(), 1e-9))


def _contrasts(found: LikelihoodFound, label: Bool[np.ndarray, " n"]) -> Row:
    """GD-1 and the best hypothesis without it, as one search has them."""
    peaks = found.result.peaks
    contrast = max((float(one.contrast) for one in peaks if _labelled(one, label) > OTHER), default=0.0)
    other = [one for one in peaks if _labelled(one, label) < OTHER]
    false = max((float(one.contrast) for one in other), default=0.0)
    return {
        "contrast": contrast,
        "best_false": false,
        "ratio": false / contrast if contrast > 0 else None,
        "best_false_significance": max((one.significance for one in other), default=0.0),
        "others_passing": sum(found.false_alarm_probability(one.significance) < FALSE_ALARM for one in other),
    }


def _found(found: LikelihoodFound, label: Bool[np.ndarray, " n"], patch: PatchStars, tracks: str) -> Row:
    """Rank, chance and fit of GD-1 among the candidates."""
    number = _first(found, label)
    passing = sum(one.false_alarm_probability < FALSE_ALARM for one in found.candidates)
    if number is None:
        nothing: Row = {"rank": None, "passing": passing, "significance": 0.0}
        return nothing | {"false_alarm_probability": 1.0, "f1": 0.0}
    one = found.candidates[number]
    chosen = label[one.refined.membership.members()]
    row: Row = {
        "rank": number + 1,
        "passing": passing,
        "significance": one.hypothesis.significance,
        "false_alarm_probability": one.false_alarm_probability,
        "f1": member_f1(one.refined.rows, one.refined.probability, label),
        "purity": float(chosen.mean()) if len(chosen) else 0.0,
        "completeness": float(chosen.sum() / label.sum()),
        "stars": one.refined.stars[0],
        "width": one.refined.width[0],
        "goodness": one.goodness.p_value,
    }
    return row | (offsets_of(one.refined, patch.geometry, Path(tracks)) if tracks else {})


def null_rows(job: Job) -> list[Row]:
    """Search one shuffled strip."""
    strip, start = read_strip(Path(str(job["table"]))), time.process_time()
    patch = patch_of(shuffled(strip.stars, int(job["seed"])))
    log_background = learned(patch, job).log_density
    found = finder_of(job).find(patch.stream_stars(), patch.geometry.footprint, log_background)
    peak = found.result.maximum
    return [
        {
            "flow": job["flow"],
            "search": job["search"],
            "shuffle": job["seed"],
            "passing": sum(one.false_alarm_probability < FALSE_ALARM for one in found.candidates),
            "significance": peak,
            "contrast": max((float(one.contrast) for one in found.result.peaks), default=0.0),
            "false_alarm_probability": found.false_alarm_probability(peak),
            "cpu_seconds": time.process_time() - start,
        }
    ]


def figures_of(rows: list[Row]) -> dict[str, Cell]:
    """The worst of all seeds, for each flow, search and background."""
    figures: dict[str, Cell] = {}
    parts = ("flow", "search", "background")
    for kind in dict.fromkeys(tuple(str(row[part]) for part in parts) for row in rows):
        mine = [row for row in rows if tuple(row[part] for part in parts) == kind]
        name = ", ".join(kind)
        figures[f"{name}: first"] = sum(row["rank"] == 1 for row in mine) / len(mine)
        figures[f"{name}: others passing"] = sum(int(row["others_passing"]) for row in mine)
        ratios = [row["ratio"] for row in mine]
        # Null, not infinity, where GD-1 is not there at all: JSON knows no other.
        figures[f"{name}: largest ratio"] = None if None in ratios else max(float(one) for one in ratios)
        figures[f"{name}: least f1"] = min(float(row["f1"]) for row in mine)
        for told, keys in OFFSETS.items():
            values = [abs(float(row[key])) for row in mine for key in keys if key in row]
            if values:
                figures[f"{name}: largest {told}"] = max(values)
    return figures


def _extend(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--table", type=Path, default=DATA / "gd1_strip_gaia_dr2.csv.gz", help="the strip")
    parser.add_argument(
        "--tracks", type=Path, default=DATA / "gd1_dr3_tracks", help="GD-1 tracks; skipped if absent"
    )
    parser.add_argument("--flows", nargs="+", choices=sorted(FLOWS), default=["spline"])
    parser.add_argument("--searches", nargs="+", choices=sorted(SEARCHES), default=list(SEARCHES))
    parser.add_argument("--seeds", type=int, default=3, help="backgrounds of each kind (--quick: 1)")
    parser.add_argument("--shuffled", type=int, default=0, metavar="N", help="search N null skies instead")
    campaign_arguments(parser)


def main() -> None:
    """Search the strip or its shuffled twins, print and record."""
    options = arguments(__doc__.splitlines()[0], _extend)
    if not options.table.is_file():
        raise SystemExit(
            f"{options.table} is missing: get the stars with the archive query in gd1.py, use --table"
        )
    number = options.shuffled or (1 if options.quick else options.seeds)
    searches = options.searches[:1] if options.quick else options.searches
    tracks = str(options.tracks) if options.tracks.is_dir() else ""
    jobs: list[Job] = [
        {
            "flow": flow,
            "search": search,
            "seed": options.seed + repeat,
            "table": str(options.table),
            "tracks": tracks,
            "shuffled": bool(options.shuffled),
            "quick": options.quick,
        }
        for flow in options.flows
        for search in searches
        for repeat in range(number)
    ]
    rows = measured(null_rows if options.shuffled else strip_rows, jobs, options.workers, options.scratch)
    if options.shuffled:
        passing = sum(int(row["passing"]) > 0 for row in rows)
        report(
            "likelihood_gd1_shuffled",
            options,
            rows=rows,
            figures={"skies": len(rows), "skies_passing": passing},
        )
    else:
        report("likelihood_gd1", options, rows=rows, figures=figures_of(rows))


if __name__ == "__main__":
    main()
