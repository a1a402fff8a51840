"""How often the weak form's 68 % intervals hold the truth, over many draws of a mock Milky Way.

Three kinds of interval from the draws of the noise (exact covariance of the rows) and from the bootstrap
over groups of stars: percentiles; percentiles reflected about the fit (2 fit - draw); fit plus and minus
the standard deviation.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import numpy as np
import reporting
from _weak_truth import POINT_NAMES, QUANTITIES, Truth

from density.seeds import child_seed
from dm_map.mocks import milky_way
from dm_map.potential import galactic_dictionary
from dm_map.weak import WeakForm

__all__ = ["main"]

_LOW, _HIGH = 0.16, 0.84
_KINDS = ("percentile", "reflected", "normal")


def one_draw(seed: int, stars: int) -> dict[str, np.ndarray]:
    """Fit, its draws and its bootstrap members at the points, and CPU seconds."""
    mock = milky_way()
    truth = Truth(mock)
    sample = mock.sample(stars, seed)
    start = time.process_time()
    fit = WeakForm().fit(sample, galactic_dictionary(sample.volume), seed=seed)
    draws = truth.of_members(fit.potential)
    bootstrap = truth.of_members(fit.potential_of(fit.bootstrap(100, seed)))
    seconds = np.array(time.process_time() - start)
    return {"fit": truth.of_fit(fit.potential), "draws": draws, "bootstrap": bootstrap, "seconds": seconds}


def intervals(centre: np.ndarray, members: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """(low, high) of each kind."""
    low, high = np.quantile(members, [_LOW, _HIGH], axis=0)
    width = np.std(members, axis=0)
    return {
        "percentile": (low, high),
        "reflected": (2 * centre - high, 2 * centre - low),
        "normal": (centre - width, centre + width),
    }


def coverage(results: list[dict[str, np.ndarray]], truth: np.ndarray) -> list[dict[str, reporting.Cell]]:
    """One row for each source and kind: share of (draw, point) pairs with the truth inside."""
    rows: list[dict[str, reporting.Cell]] = []
    for source in ("draws", "bootstrap"):
        for kind in _KINDS:
            inside = []
            for result in results:
                low, high = intervals(result["fit"], result[source])[kind]
                inside.append((low <= truth) & (truth <= high))
            share = np.mean(inside, axis=0)
            row: dict[str, reporting.Cell] = {"members": source, "interval": kind}
            row |= {name: float(np.mean(share[q])) for q, name in enumerate(QUANTITIES)}
            # Points of one draw go up and down together: the error is that of the means over each draw.
            by_draw = np.mean(inside, axis=2)[:, [0, 2]].mean(axis=1)
            row["|a| and rho_DM"] = float(np.mean(by_draw))
            row["+-"] = float(np.std(by_draw) / np.sqrt(len(results)))
            rows.append(row)
    return rows


def by_point(results: list[dict[str, np.ndarray]], truth: np.ndarray) -> list[dict[str, reporting.Cell]]:
    """Bias, scatter and reported errors, over the truth."""
    fits = np.stack([result["fit"] for result in results]) / truth
    errors = {
        source: np.mean([np.std(result[source], axis=0) for result in results], axis=0) / truth
        for source in ("draws", "bootstrap")
    }
    rows = []
    for q, quantity in enumerate(QUANTITIES):
        for p, name in enumerate(POINT_NAMES):
            row: dict[str, reporting.Cell] = {"quantity": quantity, "where": name}
            row["bias"] = float(np.mean(fits[:, q, p]) - 1)
            row["median bias"] = float(np.median(fits[:, q, p]) - 1)
            row["scatter"] = float(np.std(fits[:, q, p], ddof=1))
            row |= {f"error by {source}": float(found[q, p]) for source, found in errors.items()}
            row["bootstrap / covariance"] = float(errors["bootstrap"][q, p] / errors["draws"][q, p])
            rows.append(row)
    return rows


def main() -> Mapping[str, object]:
    """Run the draws and print the tables."""

    def extend(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--draws", type=int, default=None, help="number of mocks (default 100; quick 5)")
        parser.add_argument("--stars", type=int, default=None, help="stars of each (default 1e5; quick 5e4)")
        parser.add_argument("--workers", type=int, default=1, help="processes (default 1)")

    options = reporting.arguments(__doc__.split("\n")[0], extend)
    draws = options.draws or (5 if options.quick else 100)
    stars = options.stars or (50_000 if options.quick else 100_000)
    seeds = [child_seed(options.seed, "draw", number) for number in range(draws)]
    work = partial(one_draw, stars=stars)
    if options.workers > 1:
        with ProcessPoolExecutor(options.workers) as pool:
            results = list(pool.map(work, seeds))
    else:
        results = [work(seed) for seed in seeds]
    truth = Truth(milky_way()).values
    table = coverage(results, truth)
    reporting.print_table(by_point(results, truth))
    print()
    figures = {
        "draws": draws,
        "stars": stars,
        "CPU seconds per draw": float(np.mean([r["seconds"] for r in results])),
    }
    figures |= {f"coverage {name}": table[0][name] for name in QUANTITIES}
    ratio = [row["bootstrap / covariance"] for row in by_point(results, truth)]
    figures["error by bootstrap over by covariance, median"] = float(np.median(ratio))
    return reporting.report("weak_coverage", options, rows=table, figures=figures)


if __name__ == "__main__":
    main()
