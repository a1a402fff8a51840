"""Stream-free mock patches all over the sky: are the false-alarm probabilities of their best lines uniform?

Every patch is a cone of the mock Galaxy at a random place, from the pole to the border of the disc, where the
density of stars changes several times across it. Each is scanned like a real one; the false-alarm probability
of its best line should be spread evenly from 0 to 1: "ks_p" is the Kolmogorov-Smirnov probability of that,
"fired" how many are below 0.05.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from reporting import Cell, arguments, report
from scipy.stats import kstest

from sky_patches import CatalogStore
from sky_patches.mock import MockSky
from via_machinae import Config, make_catalog, plan_run, score_run
from via_machinae.config import config_from
from via_machinae.workers import workers_of

STEP = 2.0
"""Of windows and regions, mas/yr: twice the default, as in the demo."""


def place(seed: int, b_min: float) -> SkyCoord:
    """A random place with |b| > b_min, uniform on the sphere."""
    rng = np.random.default_rng([seed, 7])
    sine = rng.uniform(np.sin(np.radians(b_min)), 1.0)
    sign = rng.choice([-1.0, 1.0])
    return SkyCoord(
        l=rng.uniform(0.0, 360.0) * u.deg, b=sign * np.degrees(np.arcsin(sine)) * u.deg, frame="galactic"
    )


def settings(seed: int, detector: str) -> Config:
    """The chain as it is, but every best line is reported, however likely by chance."""
    return config_from(
        {
            "run": {"seed": seed},
            "windows": {"step": STEP},
            "regions": {"step": STEP},
            "detector": {"name": detector},
            "significance": {"report_below": 1.0, "max_candidates": 1},
        },
        "benchmark",
    )


def patch_row(seed: int, options: argparse.Namespace) -> dict[str, Cell]:
    """Scan one patch."""
    start = time.perf_counter()
    centre = place(seed, options.b_min)
    sky = MockSky.around(centre, options.radius * u.deg, stars=options.stars).generate(seed)
    config = settings(seed, options.detector)
    with tempfile.TemporaryDirectory() as name:
        store = CatalogStore.create(Path(name) / "store", name="empty")
        store.append(sky.stars, provenance={"origin": "mock"})
        run = plan_run(Path(name) / "store", Path(name) / "run", config)
        score_run(run, workers_of(config))
        best = make_catalog(run, config).candidates
    return {
        "seed": seed,
        "detector": options.detector,
        "l": float(centre.l.deg),
        "b": float(centre.b.deg),
        "radius": options.radius,
        "stars": len(sky.stars),
        "windows": len(run.units),
        "significance": float(best["significance"][0]) if len(best) else 0.0,
        "false_alarm_probability": float(best["false_alarm_probability"][0]) if len(best) else 1.0,
        "seconds": time.perf_counter() - start,
    }


def _extend(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--patches", type=int, default=40, help="number of patches (--quick: 1)")
    parser.add_argument("--stars", type=int, default=20_000, help="background stars in each (--quick: 5,000)")
    parser.add_argument("--radius", type=float, default=10.0, help="of each patch, deg")
    parser.add_argument("--b-min", type=float, default=20.0, help="least |b| of their centres, deg")
    parser.add_argument("--detector", default="cathode", help="name of the detector")


def main() -> None:
    """Scan the patches, print and record."""
    options = arguments(__doc__.splitlines()[0], _extend)
    patches = 1 if options.quick else options.patches
    options.stars = 5_000 if options.quick else options.stars
    rows = []
    for seed in range(options.seed, options.seed + patches):
        rows.append(patch_row(seed, options))
        print("done:", rows[-1], flush=True)
    probability = np.array([float(row["false_alarm_probability"]) for row in rows])
    figures = {
        "patches": patches,
        "ks_p": float(kstest(probability, "uniform").pvalue),
        "fired": int(np.sum(probability < 0.05)),
        "least": float(probability.min()),
        "seconds": float(sum(float(row["seconds"]) for row in rows)),
    }
    report("null_patches", options, rows=rows, figures=figures)


if __name__ == "__main__":
    main()
