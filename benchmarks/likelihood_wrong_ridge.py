"""What a ridge of the wrong metallicity costs, at best: an idealised detector with each of the old ridges.

The skies of `likelihood.py` (a patch per seed, five streams of [Fe/H] = -1.5 at 9 kpc). The detector has the
weights of the stars over the learned background, and knows line, width, motion and gradients of each stream;
with a wrong ridge it takes the distance modulus, within one magnitude of the true one, at which the stream
stands out most. No search that is given this ridge sees more. "ratio": significance over that with the right
ridge and modulus; a significance goes about as the number of stars, so 1 / ratio times as many are needed.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np
from _likelihood_ideal import IdealDetector, true_line
from _likelihood_parts import Job, Row, campaign_arguments, measured
from _likelihood_skies import background_of
from likelihood import DISTANCE, METALLICITY, PLACES, QUICK_FIELD, sky_of, streams_of
from reporting import Cell, arguments, report

from streams.ridges import METALLICITIES, old_ridges

SHIFTS = np.arange(-1.0, 1.01, 0.125)
"""Of the distance modulus that a wrong ridge may take, mag."""


def work(job: Job) -> list[Row]:
    """One row per stream and ridge of a patch."""
    sky, seed = sky_of(job), int(job["seed"])
    field, streams = streams_of(job)
    background, _ = background_of(sky.stars, sky.geometry, seed, quick=bool(job["quick"]))
    lines = {name: true_line(field, recipe, place, seed) for name, (recipe, place, _) in streams.items()}
    rows: list[Row] = []
    for metallicity, ridge in zip(METALLICITIES, old_ridges(), strict=True):
        shifts = np.zeros(1) if metallicity == METALLICITY else SHIFTS
        seen = {name: np.zeros(len(shifts)) for name in streams}
        for k, shift in enumerate(shifts):
            distance = DISTANCE * 10 ** (0.2 * float(shift))
            detector = IdealDetector(sky, background.log_density, ridge, distance)
            for name, (recipe, _, _) in streams.items():
                seen[name][k] = detector.significance(*lines[name], recipe.width)
        rows += [
            {
                "seed": seed, "place": name, "stars": job["stars"], "metallicity": metallicity,
                "modulus_shift": float(shifts[values.argmax()]), "significance": float(values.max()),
            }
            for name, values in seen.items()
        ]  # fmt: skip
    return rows


def figures_of(rows: Sequence[Row]) -> dict[str, Cell]:
    """Median ratio to the right ridge, of each place and wrong ridge."""
    right = {(row["seed"], row["place"]): row for row in rows if row["metallicity"] == METALLICITY}
    figures: dict[str, Cell] = {}
    for metallicity in METALLICITIES:
        for place in PLACES:
            ratios = [
                float(row["significance"]) / float(right[row["seed"], place]["significance"])
                for row in rows
                if (row["metallicity"], row["place"]) == (metallicity, place)
            ]
            if metallicity != METALLICITY:
                figures[f"ratio: {place}, {metallicity:g}"] = float(np.median(ratios))
    return figures


def _extend(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seeds", type=int, default=10, help="patches, from --seed on (--quick: 1)")
    parser.add_argument("--field", type=int, default=100_000, help=f"field stars (--quick: {QUICK_FIELD})")
    parser.add_argument("--stars", type=int, default=80, help="of each stream")
    campaign_arguments(parser)


def main() -> None:
    """Measure what is missing, print and record."""
    options = arguments(__doc__.splitlines()[0], _extend)
    if options.quick:
        options.seeds, options.field = 1, QUICK_FIELD
    shared = {"stars": options.stars, "place": "together", "field": options.field, "quick": options.quick}
    jobs: list[Job] = [{"seed": seed, **shared} for seed in range(options.seed, options.seed + options.seeds)]
    rows = measured(work, jobs, options.workers, options.scratch)
    report("likelihood_wrong_ridge", options, rows=rows, figures=figures_of(rows))


if __name__ == "__main__":
    main()
