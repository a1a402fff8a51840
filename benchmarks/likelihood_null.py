"""Stream-free patches: are the false-alarm probabilities of the likelihood search's best lines uniform?

Two kinds. "mock": cones of the mock Galaxy at random places with |b| > 20 deg. "flow": skies drawn from a
background that was learned on such a cone; nothing in them is there but what a flow can describe. Either way
the background is learned anew from the stars that are searched, as in a real search. The false-alarm
probability of the best hypothesis of each patch should be spread evenly from 0 to 1: "ks_p" is the
Kolmogorov-Smirnov probability of that, "fired" how many are below 0.05, "rare" below 0.001, where chance
hardly comes but a background that was not learned does. "chance_..." is what the patch's own hypotheses say.

--control: probabilities of one hypothesis alone, without the look-elsewhere effect. They must not be uniform.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

import numpy as np
from _likelihood_parts import Job, Row, campaign_arguments, measured
from _likelihood_skies import Field, background_of, searched
from null_patches import place
from reporting import Cell, arguments, report
from scipy.stats import kstest, norm

from streams import StreamStars
from streams.ridges import old_ridges
from via_machinae.background import sample_sky

KINDS = ("mock", "flow")
NOTHING_REPORTED = 1e-9
"""Below every probability that is quoted: the best hypotheses are read, no candidate is refined."""
FIRED, RARE = 0.05, 0.001


def empty_stars(job: Job, field: Field) -> StreamStars:
    """The stars of a patch without streams."""
    if job["kind"] == "mock":
        return field.stars
    seed, stars = int(job["seed"]), field.stars
    background, _ = background_of(stars, field.geometry, seed, quick=bool(job["quick"]))
    return sample_sky(background, stars, field.geometry.footprint, seed=seed).stars


def law_of(chance: object) -> Row:
    """The numbers of a law of chance."""
    numbers = {key: value for key, value in vars(chance).items() if isinstance(value, int | float)}
    return {f"chance_{key}": float(value) for key, value in numbers.items()}


def work(job: Job) -> list[Row]:
    """Search one patch."""
    seed, quick = int(job["seed"]), bool(job["quick"])
    centre = place(seed, float(job["b_min"]))
    field = Field.of(centre, int(job["field"]), seed)
    stars, start = empty_stars(job, field), time.perf_counter()
    # Another seed than that of the flow which the sky was drawn from.
    background, _ = background_of(stars, field.geometry, seed + 1_000_000, quick=quick)
    ridges = old_ridges()[1:2] if quick else old_ridges()
    done = searched(
        stars, field.geometry, background.log_density, ridges, quick=quick, report_below=NOTHING_REPORTED
    )
    result, best = done.found.result, done.found.result.maximum
    return [
        {
            "seed": seed,
            "kind": job["kind"],
            "l": float(centre.galactic.l.deg),
            "b": float(centre.galactic.b.deg),
            "stars": len(stars),
            "significance": best,
            "contrast": float(result.peaks[0].contrast) if result.peaks else 0.0,
            "false_alarm_probability": done.found.false_alarm_probability(best),
            "uncorrected_probability": float(norm.sf(best)),
            **law_of(done.found.chance),
            "seconds": time.perf_counter() - start,
        }
    ]


def uniformity(rows: Sequence[Row], column: str) -> dict[str, Cell]:
    """Are the probabilities of a column uniform, all together and of each kind?"""
    figures: dict[str, Cell] = {}
    for kind in ("", *KINDS):
        values = np.array([float(row[column]) for row in rows if kind in ("", row["kind"])])
        if len(values):
            label = f"{kind}_" if kind else ""
            figures[f"{label}patches"] = len(values)
            figures[f"{label}ks_p"] = float(kstest(values, "uniform").pvalue)
            figures[f"{label}fired"] = int(np.sum(values < FIRED))
            figures[f"{label}rare"] = int(np.sum(values < RARE))
            figures[f"{label}least"] = float(values.min())
    return figures


def _extend(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--patches", type=int, default=50, help="of each kind (--quick: 1)")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--field", type=int, default=100_000, help="stars in each (--quick: 5,000)")
    parser.add_argument("--b-min", type=float, default=20.0, help="least |b| of their centres, deg")
    parser.add_argument("--control", action="store_true", help="without the look-elsewhere effect: must fail")
    campaign_arguments(parser)


def main() -> None:
    """Search the patches, print and record."""
    options = arguments(__doc__.splitlines()[0], _extend)
    if options.quick:
        options.patches, options.field = 1, 5_000
    jobs: list[Job] = [
        {"kind": kind, "seed": seed, "field": options.field, "b_min": options.b_min, "quick": options.quick}
        for seed in range(options.seed, options.seed + options.patches)
        for kind in options.kinds
    ]
    rows = measured(work, jobs, options.workers, options.scratch)
    column = "uncorrected_probability" if options.control else "false_alarm_probability"
    control = uniformity(rows, "uncorrected_probability")
    figures = {
        **uniformity(rows, column),
        "uncorrected_ks_p": control["ks_p"],
        "seconds": float(sum(float(row["seconds"]) for row in rows)),
    }
    report("likelihood_null", options, rows=rows, figures=figures)


if __name__ == "__main__":
    main()
