"""The false-alarm probability of the best line is one: uniform over skies without streams."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from scipy.stats import kstest

from sky_patches import Box
from streams import (
    COMPONENTS,
    FootprintCells,
    HoughLines,
    LineRecipe,
    RegionRecipe,
    WindowScores,
    null_maxima,
    regions_of_interest,
)

FOOTPRINT = Box(-4.0, 4.0, -4.0, 4.0)
RECIPE = LineRecipe(widths=(0.8,), ranks=(40,), angle_step=6.0, offset_step=0.4)
STARS = 5000
SKIES = 50
TILT = (0.35, 0.2)


@cache
def _lines() -> HoughLines:
    return HoughLines(FootprintCells.of(FOOTPRINT, 0.15), RECIPE)


def _tilted(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    x, y = rng.uniform(-4.0, 4.0, (2, 20 * STARS))
    kept = np.log(rng.random(len(x))) < TILT[0] * (x - 4.0) + TILT[1] * (y - 4.0)
    return x[kept][:STARS], y[kept][:STARS]


def _clustered(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The same sky, but stars come in pairs: neighbours of one motion and score (see `_regions`)."""
    x, y = _tilted(rng)
    half = STARS // 2
    shift = rng.normal(0.0, 0.05, (2, half))
    return np.append(x[:half], x[:half] + shift[0]), np.append(y[:half], y[:half] + shift[1])


def _regions(rng: np.random.Generator, paired: bool):
    motion, score = rng.normal(0.0, 3.0, (STARS, 2)), rng.normal(size=STARS)
    if paired:
        motion[STARS // 2 :], score[STARS // 2 :] = motion[: STARS // 2], score[: STARS // 2] + 1e-9
    windows = []
    for number, component in enumerate(COMPONENTS):
        for low in (-6.0, -2.0):
            rows = np.flatnonzero((motion[:, number] >= low) & (motion[:, number] < low + 6.0))
            windows.append(WindowScores(component, low, low + 6.0, rows, score[rows]))
    return regions_of_interest(
        windows, motion, np.ones(STARS, dtype=bool), RegionRecipe(step=6.0, min_stars=60)
    )


def _false_alarm_probability(seed: int, *, clustered: bool = False, tilt_known: bool = True) -> float:
    """Of the best line of one smooth sky whose scores know no positions."""
    rng, lines = np.random.default_rng(seed), _lines()
    x, y = lines.cells.plane.project(*(_clustered(rng) if clustered else _tilted(rng)))
    regions = _regions(rng, clustered)
    if tilt_known:
        densities = np.stack([lines.cells.density(x[r.stars], y[r.stars]) for r in regions])
    else:
        densities = np.tile((lines.cells.area / lines.cells.area.sum()).astype(np.float32), (len(regions), 1))
    expected = lines.expect(densities)
    best = lines.best(lines.bins(x, y), [r.stars for r in regions], expected).significance.max()
    null = null_maxima(lines, regions, densities, expected, STARS, skies=50, seed=seed)
    return null.false_alarm_probability(float(best))


@cache
def _probabilities(**options: bool) -> np.ndarray:
    return np.array([_false_alarm_probability(1000 + seed, **options) for seed in range(SKIES)])


@pytest.mark.statistical
def test_false_alarm_probabilities_of_smooth_skies_are_uniform():
    probabilities = _probabilities()
    assert kstest(probabilities, "uniform").pvalue > 0.01
    assert np.mean(probabilities < 0.1) < 0.25


@pytest.mark.statistical
def test_a_null_that_ignores_the_tilt_is_found_out():
    """Negative control: with a uniform null the gradient of the stars makes false lines."""
    assert kstest(_probabilities(tilt_known=False), "uniform").pvalue < 1e-6


@pytest.mark.statistical
def test_stars_that_are_not_independent_are_found_out():
    """Negative control: pairs of stars break the null's assumption, and the test sees it."""
    assert kstest(_probabilities(clustered=True), "uniform").pvalue < 0.01


@pytest.mark.statistical
def test_a_null_sky_repeats_itself_for_a_seed_only():
    rng, lines = np.random.default_rng(1), _lines()
    x, y = lines.cells.plane.project(*_tilted(rng))
    regions = _regions(rng, False)
    densities = np.stack([lines.cells.density(x[r.stars], y[r.stars]) for r in regions])
    arguments = (lines, regions, densities, lines.expect(densities), STARS)
    one, two, other = (null_maxima(*arguments, skies=5, seed=seed).maxima for seed in (3, 3, 4))
    assert np.array_equal(one, two) and not np.array_equal(one, other)
    # More skies continue the same sequence, so a longer null refines a shorter one.
    assert np.array_equal(null_maxima(*arguments, skies=8, seed=3).maxima[:5], one)
