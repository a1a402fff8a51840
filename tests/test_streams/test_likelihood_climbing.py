"""Laws of hypotheses that leave the grid: a sum over stars, pieces and bins, and steps that only go up."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from likelihood_formulas import cumulant_significance
from likelihood_skies import RECIPE, Planted, likelihood_sky, sight_of, small_cells
from scipy.stats import norm

from streams.likelihood import search
from streams.likelihood.climbing import Climber
from streams.likelihood.climbing_kernels import BINS, LineSurroundings, climb, evaluate
from streams.likelihood.sight import GridHypothesis, PatchSight

BETWEEN = Planted(45, theta=np.radians(33.0), offset=1.0, motion=(3.5, -2.5))
"""Between the angles and proper motions of the grid."""
LINE = np.array([0.7, 1.1, 3.0, -2.1, 0.05, -0.08, np.log(0.25), 0.0, 0.0])
_STEPS = np.array([0.03, 0.125, 0.25, 0.25, 0.075, 0.075, 0.35, 1.0, 1.0])


def _seen(sight: PatchSight, left: np.ndarray, least: float = 0.0) -> LineSurroundings:
    share = np.asarray(sight.grid.density, dtype=float)
    return LineSurroundings(
        np.arange(len(sight.features)), left, sight.stars, sight.amplitude, len(sight.moduli), sight.cells,
        share, RECIPE.along_step, sight.grid.pieces, least,
    )  # fmt: skip


def _sums(sight, h, left):
    """Sum of the weights, and its mean, variance and third moment: every star in every piece and bin."""
    sigma, pieces = np.exp(h[6]), np.arange(sight.grid.pieces) - sight.grid.pieces // 2
    half = np.arange(BINS + 1) / 2.0
    shape = np.diff(norm.cdf(half)) / (0.5 * sigma)

    def placed(xy):
        across = np.abs(xy[:, 0] * np.sin(h[0]) - xy[:, 1] * np.cos(h[0]) - h[1]) / (0.5 * sigma)
        along = xy[:, 0] * np.cos(h[0]) + xy[:, 1] * np.sin(h[0])
        return along, np.floor(across).astype(int)

    def ratio(s):
        """Without the profile: (n, ...) over stars."""
        square = sum(
            (sight.stars[:, 2 + k] - h[2 + k] - s * h[4 + k]) ** 2 / sight.stars[:, 4 + k] for k in (0, 1)
        )
        return np.exp(sight.amplitude[:, 0] + sight.stars[:, 6] - 0.5 * square)

    along, bins = placed(sight.cells)
    piece = np.floor(along / RECIPE.along_step + 0.5).astype(int)
    share = np.array([
        [sight.grid.density[(piece == s) & (bins == b)].sum() for b in range(BINS)] for s in pieces
    ])  # fmt: skip
    k = np.zeros((3, len(sight.stars)))
    for s, row in zip(pieces, share, strict=True):
        for b in range(BINS):
            weight = np.log1p(ratio(s * RECIPE.along_step) * shape[b])
            k += row[b] * np.stack([weight, weight**2, weight**3])
    along, bins = placed(sight.stars)
    inside = bins < BINS
    found = (left * np.log1p(ratio(along) * shape[np.minimum(bins, BINS - 1)]))[inside].sum()
    third = k[2] - 3 * k[0] * k[1] + 2 * k[0] ** 3
    return found, k[0].sum(), (k[1] - k[0] ** 2).sum(), third.sum()


@cache
def _small():
    return sight_of(likelihood_sky(1, 1500, replace(BETWEEN, gradient=(0.05, -0.08))))[0]


@pytest.mark.parametrize("shaken", [0.0, 1.0])
def test_a_significance_is_the_sum_over_stars_pieces_and_bins(shaken):
    """Also of stars of which other lines have left a part. Control: the whole stars give another one."""
    sight, rng = _small(), np.random.default_rng(4)
    h = LINE + shaken * np.array([0.2, 0.3, 0.4, 0.3, 0.05, 0.05, 0.5, 0, 0]) * rng.uniform(-1, 1, 9)
    left = rng.uniform(0.3, 1.0, len(sight.stars))
    found, mean, variance, third = _sums(sight, h, left)
    wanted = cumulant_significance(found - mean, variance, third)
    # The table of moments is interpolated, and weights below a hundredth are not in it.
    assert wanted > 1.0 and evaluate(h, _seen(sight, left)) == pytest.approx(wanted, rel=0.03)
    assert evaluate(h, _seen(sight, np.ones(len(left)))) > 1.1 * wanted


def test_a_line_made_by_too_few_stars_is_none():
    sight = _small()
    left = np.ones(len(sight.stars))
    assert evaluate(LINE, _seen(sight, left, 5.0)) == evaluate(LINE, _seen(sight, left)) > 5.0
    assert evaluate(LINE, _seen(sight, left, 500.0)) == 0.0


def test_a_line_and_the_line_run_backwards_are_the_same():
    sight = _small()
    backwards = LINE * [1, -1, 1, 1, -1, -1, 1, 1, 1] + [np.pi, 0, 0, 0, 0, 0, 0, 0, 0]
    seen = _seen(sight, np.ones(len(sight.stars)))
    assert evaluate(backwards, seen) == pytest.approx(evaluate(LINE, seen), rel=1e-9)
    # Control: with the gradient of the line that runs forwards.
    wrong = backwards * [1, 1, 1, 1, -1, -1, 1, 1, 1]
    assert evaluate(wrong, seen) != pytest.approx(evaluate(LINE, seen), rel=1e-3)


def test_climbing_never_lowers_the_significance_and_keeps_its_bounds():
    sight, rng = _small(), np.random.default_rng(5)
    seen = _seen(sight, np.ones(len(sight.stars)))
    reach = np.array([0.05, 0.5, 0.5, 0.5, 0.1, 0.1, 0.6, 0.0, 0.0])
    gains = []
    for _ in range(12):
        start = LINE + np.array([0.3, 1.0, 1.0, 1.0, 0.0, 0.0, 0.2, 0.0, 0.0]) * rng.uniform(-1, 1, 9)
        h = start.copy()
        reached = climb(h, _STEPS, start - reach, start + reach, seen, 2, 120)
        assert reached == evaluate(h, seen) and np.all(np.abs(h - start) <= reach)
        gains.append(reached - evaluate(start, seen))
    assert min(gains) >= 0.0 and max(gains) > 0.5


def test_a_stream_between_the_grid_points_gains():
    """Control: on the grid it is weaker, and one that is on the grid gains less."""

    def grid_and_climbed(stream):
        sky = likelihood_sky(3, 4000, stream)
        found = search(sky.stars, small_cells(), sky.log_background, RECIPE)
        best = found.peaks[0]
        assert sky.member[best.rows].sum() > 30
        return np.nanmax(found.maxima), best

    before, best = grid_and_climbed(BETWEEN)
    assert best.significance > before + 3.0
    assert abs(best.theta - BETWEEN.theta) < np.radians(1.5) and abs(best.offset - BETWEEN.offset) < 0.25
    assert np.abs(np.subtract(best.motion, BETWEEN.motion)).max() < 0.3
    on_grid, again = grid_and_climbed(
        replace(BETWEEN, theta=np.radians(30.0), offset=1.25, motion=(3.0, -2.0))
    )
    assert on_grid > before and again.significance - on_grid < best.significance - before


def test_the_stars_of_a_strong_stream_leave():
    """What is left for the next lines: nothing of the first stream's stars, nearly all of the others."""
    sky = likelihood_sky(2, 3000, Planted(300))
    sight, _ = sight_of(sky)
    start = GridHypothesis(0, 2, (12, 7), 0, 1, sight.grid.offsets // 2 + 2, 20.0)
    ((line, left), *others) = Climber(sight).best([start, replace(start, angle=8, significance=4.0)])
    assert np.all(left == 1.0) and line.significance > 20.0
    left, member = others[0][1], sky.member[sight.features.rows]
    assert left[member].mean() < 0.15 and left[~member].mean() > 0.97
