"""Cost of the line finder: densities, expectations, best lines, null skies and refinement of one patch.

A synthetic patch of the usual size: stars on a 10 deg circle with a gradient, regions of overlapping boxes of
proper motion whose scores know no positions, and one stream. Times are seconds of one core, one
thread; "search" is everything that turns regions into their best lines.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import resource
import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import reporting

from sky_patches import Circle
from streams import COMPONENTS, FootprintCells, HoughLines, LineRecipe, null_maxima
from streams.refinement import refine_line
from streams.regions import Region

__all__ = ["main"]

RADIUS_DEG, GRADIENT, STREAM = 10.0, (0.08, -0.05), (0.7, 2.0, 0.2)
"""Circle, gradient of the log density per degree, and theta, offset and sigma of the stream (deg)."""

Result = TypeVar("Result")


def timed(work: Callable[[], Result]) -> tuple[Result, float]:
    """What `work` returns and the processor seconds it took: other load on the machine does not count."""
    start = time.process_time()
    result = work()
    return result, time.process_time() - start


def make_patch(
    cells: FootprintCells, stars: int, regions: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, list[Region]]:
    """Positions and ranked regions; every tenth region holds the stream among its best stars."""
    weight = cells.area * np.exp(GRADIENT[0] * cells.x + GRADIENT[1] * cells.y)
    cell = rng.choice(len(weight), stars, p=weight / weight.sum())
    theta, offset, sigma = STREAM
    s, t = rng.uniform(-8.0, 8.0, 40), rng.normal(offset, sigma, 40)
    x = np.concatenate([cells.x[cell], s * np.cos(theta) + t * np.sin(theta)])
    y = np.concatenate([cells.y[cell], s * np.sin(theta) - t * np.cos(theta)])
    order, size = rng.permutation(stars), min(1000, stars // 2)
    made = []
    for number, first in enumerate(np.linspace(0, stars - size, regions).astype(int)):
        best = order[first : first + size]
        if number % 10 == 0:
            best = np.concatenate([rng.permutation(np.append(best[:100], stars + np.arange(40))), best[100:]])
        box = ((float(number), number + 6.0), (0.0, 6.0))
        made.append(Region(COMPONENTS[0], box, best))
    return x, y, made


def measure(
    stars: int, regions: int, skies: int, ranks: tuple[int, ...], seed: int
) -> dict[str, reporting.Cell]:
    """Times of every step for one patch."""
    cells = FootprintCells.of(Circle(RADIUS_DEG), 0.1)
    lines = HoughLines(cells, LineRecipe(ranks=ranks))
    x, y, made = make_patch(cells, stars, regions, np.random.default_rng(seed))
    _, prepare = timed(lambda: (lines.cell_bins, lines.expect(np.empty((0, len(cells.x)), np.float32))))
    densities, fits = timed(lambda: cells.densities([(x[r.stars], y[r.stars]) for r in made]))
    expected, expect = timed(lambda: lines.expect(densities))
    tops = [region.stars[: max(ranks)] for region in made]
    best, find = timed(lambda: lines.best(lines.bins(x, y), tops, expected))
    _, null = timed(lambda: null_maxima(lines, made, densities, expected, len(x), skies=skies, seed=seed))
    chosen = np.argsort(-best.significance)[:20]
    refine = [
        lambda k=k: refine_line(
            x[tops[k]], y[tops[k]], cells, densities[k],
            float(best.theta[k]), float(best.offset[k]), float(best.width[k]),
        )
        for k in chosen
    ]  # fmt: skip
    refined, refining = timed(lambda: [work() for work in refine])
    search = fits + expect + find
    return {
        "regions": regions, "stars": stars, "ranks": " ".join(map(str, ranks)), "densities_s": fits,
        "expect_s": expect, "best_s": find, "search_s_per_1000": 1000 * search / regions,
        "regions_per_s": regions / search, "null_sky_s": null / skies,
        "null_sky_s_per_1000": 1000 * null / skies / regions, "prepare_s": prepare,
        "refine_ms": 1000 * refining / len(chosen),
        "offset_error_deg": float(np.median([abs(line.offset - STREAM[1]) for line in refined])),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
    }  # fmt: skip


def main() -> None:
    """Run and report; the flat figures are those of the default ranks."""

    def extend(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--skies", type=int, default=20, help="null skies to time (default 20)")

    options = reporting.arguments(__doc__.splitlines()[0], extend)
    stars, regions, skies = (5000, 100, 4) if options.quick else (100_000, 1000, options.skies)
    ranks = ((100,), LineRecipe().ranks)
    rows = [measure(stars, regions, skies, each, options.seed) for each in ranks]
    keys = ("search_s_per_1000", "regions_per_s", "null_sky_s", "null_sky_s_per_1000", "refine_ms", "peak_mb")
    figures = {key: rows[-1][key] for key in keys}
    figures["search_s_per_1000_hundred_stars"] = rows[0]["search_s_per_1000"]
    reporting.report("line_finder", options, rows=rows, figures=figures, device="cpu, 1 thread")


if __name__ == "__main__":
    main()
