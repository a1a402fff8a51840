"""How few stars can a stream have? The likelihood search and three model-free detectors on the same patches.

A mock patch of 10 deg holds five streams: 9 kpc, Gaussian width 0.25 deg, right across the patch, [Fe/H] =
-1.5, intrinsic dispersion 0.1 mas/yr, proper-motion gradients (0.06, -0.05) mas/yr/deg along and across,
Gaia's errors. They differ in their lines and in their places in the proper-motion plane: where the density of
the field without streams is 100, 60, 30, 10 and 3 % of its peak ("place"). They are searched together to save
time, as a real patch may hold several: the background is learned with all of them in, once for all ridges.
--alone hides each in a patch of its own (the detectors' patches hold all five). "stars" counts the observed
ones of each stream.

likelihood: the search as the command runs it, with one ridge, the right one ("true") or one a metallicity
step off ("wrong"; -2.2 for even seeds, -0.7 for odd ones), or with the three built-in ones ("all").
ideal: the same weights over the same background at the stream's true line, width, motion, gradients, distance
and ridge: what a search could reach at most. "detected" then applies the search's own law of chance; "f1" is
that of the members by the true parameters, the number of stars too.
cathode, r-anode, anode: the window is known, an upper limit to their power: one window of the scan's width
around the stream's own proper motion, in the component where fewer stars share it, scored by the scan's
detector and searched by the scan's line finder.

A stream is "detected" by a candidate with a false-alarm probability below 0.01 of which its stars make most
of the excess over the background, or most of the expected members. "contrast" and "significance" are those
of its best hypothesis, reported or not (none: not among those listed), "best_false" the highest contrast
of any without streams' stars (less than half of its excess is theirs), "false_candidates" those that pass
0.01 and are no stream. "seconds" are those of the whole patch (background and search), for a detector those
of the window. "half" in the figures: stars at which half are detected, interpolated, with a bootstrap over
seeds.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np
from _likelihood_half import HalfPoints
from _likelihood_ideal import IdealDetector, true_line
from _likelihood_judging import FALSE_ALARM, best_false, facts, false_candidates, member_f1, stream_figures
from _likelihood_methods import METHODS, method_rows
from _likelihood_parts import Job, Row, campaign_arguments, measured
from _likelihood_skies import (
    CENTRE,
    Field,
    HiddenSky,
    Searched,
    background_of,
    hidden_sky,
    lines_across,
    motions_at,
    searched,
)
from reporting import Cell, arguments, report

from streams.injection import ModelStream, Place
from streams.injection.model_stream import KMS_PER_MASYR_KPC
from streams.ridges import METALLICITIES, Ridge, old_ridges

PLACES = {"peak": 1.0, "60 %": 0.6, "30 %": 0.3, "10 %": 0.1, "3 %": 0.03}
"""Density of the field in the proper-motion plane, relative to its peak."""
STARS = (20, 30, 40, 50, 60, 80, 120, 300)
METHOD_STARS = (80, 300, 1000)
RIDGES = ("true", "wrong", "all")
MANY = 300
"""Stars of the streams whose members' F1 is quoted."""
QUICK_FIELD = 5_000
DISTANCE, METALLICITY, DISPERSION = 9.0, -1.5, 0.1
STREAM = ModelStream(
    width=0.25, length=30.0, distance=DISTANCE, metallicity=METALLICITY,
    dispersion=DISPERSION * KMS_PER_MASYR_KPC * DISTANCE, gradient=(0.06, -0.05),
)  # fmt: skip


def streams_of(job: Job) -> tuple[Field, dict[str, tuple[ModelStream, Place, tuple[float, float]]]]:
    """Field, places and lines of a job: they depend on the seed only, not on the number of stars."""
    seed = int(job["seed"])
    field = Field.of(CENTRE, int(job["field"]), seed)
    rng = np.random.default_rng([seed, 11])
    motions = motions_at(field, list(PLACES.values()), rng)
    places = lines_across(field, motions, rng)
    return field, {
        name: (STREAM, place, motion)
        for name, place, motion in zip(PLACES, places, motions, strict=True)
        if job["place"] in ("together", name)
    }


def sky_of(job: Job) -> HiddenSky:
    """The patch of a job."""
    field, streams = streams_of(job)
    count = int(job["stars"])
    return hidden_sky(field, streams, count, (int(job["seed"]), 13, count))


def ridges_of(name: str, seed: int) -> tuple[Ridge, ...]:
    """The ridges that are searched."""
    if name == "all":
        return old_ridges()
    right = METALLICITIES.index(METALLICITY)
    return (old_ridges()[right if name == "true" else (0 if seed % 2 == 0 else -1)],)


def likelihood_rows(job: Job) -> list[Row]:
    """One row per stream and choice of ridges; the background is learned once."""
    sky, seed, quick = sky_of(job), int(job["seed"]), bool(job["quick"])
    background, learning = background_of(sky.stars, sky.geometry, seed, quick=quick)
    rows = []
    for name in str(job["ridges"]).split():
        ridges = ridges_of(name, seed)
        done = searched(sky.stars, sky.geometry, background.log_density, ridges, quick=quick)
        shared = {
            "ridge": name,
            "ridges": " ".join(ridge.name.removeprefix("[Fe/H] = ") for ridge in ridges),
            "best_false": best_false(done, sky),
            "false_candidates": false_candidates(done, sky),
            "seconds": learning + done.seconds,
            "method": "likelihood",
        }
        for stream in sky.streams:
            rows.append({**facts(stream, job), **stream_figures(done, sky.member(stream)), **shared})
        if name == "true":
            rows += _ideal_rows(job, sky, background.log_density, done)
    return rows


def _ideal_rows(job: Job, sky: HiddenSky, log_background: np.ndarray, done: Searched) -> list[Row]:
    """What knowing the stream would be worth."""
    field, streams = streams_of(job)
    detector = IdealDetector(sky, log_background, ridges_of("true", 0)[0], DISTANCE)
    rows = []
    for stream in sky.streams:
        recipe, place, _ = streams[stream.name]
        line, motions = true_line(field, recipe, place, int(job["seed"]))
        significance = detector.significance(line, motions, recipe.width)
        probability = done.found.false_alarm_probability(significance)
        members = detector.membership(line, motions, recipe.width, DISPERSION, float(job["stars"]))
        rows.append(
            {
                **facts(stream, job),
                "detected": probability < FALSE_ALARM,
                "significance": significance,
                "false_alarm_probability": probability,
                "f1": member_f1(*members, sky.member(stream)),
                "ridge": "true",
                "method": "ideal",
            }
        )
    return rows


def work(job: Job) -> list[Row]:
    """Rows of one job."""
    return likelihood_rows(job) if job["method"] == "likelihood" else method_rows(job, sky_of(job))


def jobs_of(options: argparse.Namespace) -> list[Job]:
    """Jobs, those of the likelihood first."""
    shared = {"field": options.field, "quick": options.quick}
    seeds = range(options.seed, options.seed + options.seeds)
    likelihood = {"method": "likelihood", "ridges": " ".join(options.ridges)}
    jobs: list[Job] = [
        {"seed": s, "stars": n, "place": place, **likelihood, **shared}
        for s in seeds
        for n in options.stars
        for place in (PLACES if options.alone else ("together",))
    ]
    return jobs + [
        {"seed": s, "stars": n, "place": "together", "method": method, **shared}
        for s in seeds[: options.method_seeds]
        for n in options.method_stars
        for method in options.methods
    ]


def figures_of(rows: Sequence[Row], seed: int) -> dict[str, Cell]:
    """Half points per place and ridge with errors, their ratios to the true ridge's, and F1 at 300 stars."""
    mine = [row for row in rows if row["method"] == "likelihood"]
    names = [name for name in RIDGES if any(row["ridge"] == name for row in mine)]
    figures = HalfPoints(mine).figures(names, seed) if mine else {}
    ideal = [row for row in rows if row["method"] == "ideal"]
    if ideal:
        known = HalfPoints(ideal).figures(["true"], seed)
        figures |= {f"ideal, {name}": value for name, value in known.items()}
    for name in names:
        f1 = [float(row["f1"] or 0.0) for row in mine if (row["ridge"], row["stars"]) == (name, MANY)]
        figures[f"median f1 at {MANY} stars: {name}"] = float(np.median(f1)) if f1 else None
        false = {
            (row["seed"], row["stars"], row["alone"] and row["place"]): int(row["false_candidates"])
            for row in mine
            if row["ridge"] == name
        }
        figures[f"false candidates: {name}"] = sum(false.values())
        figures[f"patches: {name}"] = len(false)
    return figures


def _extend(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seeds", type=int, default=10, help="patches, from --seed on (--quick: 1)")
    parser.add_argument("--field", type=int, default=100_000, help=f"field stars (--quick: {QUICK_FIELD})")
    parser.add_argument("--stars", type=int, nargs="+", default=STARS, help="of each stream")
    parser.add_argument("--ridges", nargs="+", choices=RIDGES, default=RIDGES, help="searched (default all)")
    parser.add_argument("--alone", action="store_true", help="one stream per patch: five times the work")
    parser.add_argument("--methods", nargs="*", choices=METHODS, default=METHODS, help="detectors compared")
    parser.add_argument("--method-stars", type=int, nargs="+", default=METHOD_STARS, help="for them")
    parser.add_argument("--method-seeds", type=int, default=2, help="patches for them (--quick: 1)")
    campaign_arguments(parser)


def main() -> None:
    """Measure what is missing, print and record."""
    options = arguments(__doc__.splitlines()[0], _extend)
    if options.quick:
        options.seeds, options.field, options.stars = 1, QUICK_FIELD, (40,)
        options.ridges, options.methods = ("true",), ("cathode",)
        options.method_stars, options.method_seeds = (300,), 1
    rows = measured(work, jobs_of(options), options.workers, options.scratch)
    report("likelihood", options, rows=rows, figures=figures_of(rows, options.seed))


if __name__ == "__main__":
    main()
