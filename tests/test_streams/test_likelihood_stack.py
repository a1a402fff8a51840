"""Laws of shear stacking: a sum over stars, against what the footprint expects."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from likelihood_formulas import cumulant_significance, weights_at
from likelihood_skies import RECIPE, Planted, likelihood_sky, reordered, sight_of, small_cells

from streams.likelihood import LikelihoodError
from streams.likelihood.stack import LineGrid

SHEARED = replace(RECIPE, gradients=(-0.4, 0.0, 0.4))


def _stacked(sky, recipe):
    sight, entries = sight_of(sky, recipe)
    return sight.grid, entries, sight.populations[0].weights


def _by_hand(grid, entries, theta, cell, pair, width, first):
    """Significance of one sheared strip, star by star and place by place."""
    side, places = len(grid.recipe.motions), grid.places(theta, entries.x, entries.y)
    piece, offset = np.divmod(places, grid.offsets)
    bins, share = int(grid.recipe.bins[width]), grid.share(theta)
    sums, strip = np.zeros(4), share[0][:, first : first + bins].sum()
    for s in range(grid.pieces):
        j, k = cell + grid.shifts[pair, s]
        if not (0 <= j < side and 0 <= k < side):
            continue
        part = slice(entries.start[j * side + k], entries.start[j * side + k + 1])
        star = entries.star[part]
        inside = (piece[star] == s) & (offset[star] >= first) & (offset[star] < first + bins)
        sums[0] += entries.weight[part][inside].sum()
        sums[1:] += entries.moments[j, k] @ share[:, s, first : first + bins].sum(axis=1)
    return cumulant_significance(float(sums[0] - sums[1]), float(sums[2] * (1 - strip)), float(sums[3]))


def test_the_kernel_is_the_sum_over_stars():
    sky = likelihood_sky(1, 3000, Planted(60, gradient=(0.4, 0.0)))
    grid, entries, _ = _stacked(sky, SHEARED)
    for angle, best in enumerate(grid.best(entries, np.nan, 1)):
        found = np.argwhere(best.pair >= 0)
        for j, k in found[:: max(len(found) // 4, 1)]:
            numbers = (int(values[j, k]) for values in (best.pair, best.width, best.bin))
            wanted = _by_hand(grid, entries, grid.theta[angle], np.array([j, k]), *numbers)
            assert best.significance[j, k] == pytest.approx(wanted, rel=2e-3)


def test_entries_are_the_weights_at_the_cells():
    sky = likelihood_sky(2, 800)
    _, entries, weights = _stacked(sky, RECIPE)
    motions, side = RECIPE.motions, len(RECIPE.motions)
    for j, k in ((6, 7), (9, 9), (3, 15)):
        part = slice(entries.start[j * side + k], entries.start[j * side + k + 1])
        full = weights_at(weights, motions[[j, k]])
        assert np.array_equal(np.sort(entries.star[part]), np.flatnonzero(full >= RECIPE.least_weight))
        assert np.allclose(entries.weight[part], full[entries.star[part]], rtol=1e-6)


def test_threads_change_nothing():
    grid, entries, _ = _stacked(likelihood_sky(3, 2000), SHEARED)
    for one, two in zip(grid.best(entries, np.nan, 1), grid.best(entries, np.nan, 3), strict=True):
        assert all(np.array_equal(getattr(one, n), getattr(two, n)) for n in ("significance", "pair", "bin"))


def _scaled_deviations(seed, reach):
    """Sums over offset bins minus what is expected, inclined and plain, in sigma; the stars within `reach` of
    one proper motion are rarer on one side."""
    sky = likelihood_sky(seed, 12_000)
    keep = np.random.default_rng(seed + 1).random(12_000) < 0.5 + 0.07 * sky.stars.position[:, 0]
    keep |= np.abs(sky.stars.proper_motion - [-1.0, 1.0]).max(axis=1) > reach
    grid, entries, _ = _stacked(reordered(sky, keep), RECIPE)
    side = len(RECIPE.motions)
    j, k = (int(np.argmin(np.abs(RECIPE.motions - value))) for value in (-1.0, 1.0))
    part = slice(entries.start[j * side + k], entries.start[j * side + k + 1])
    places = grid.places(np.pi / 2, entries.x, entries.y)[entries.star[part]] % grid.offsets
    found = np.bincount(places, entries.weight[part], grid.offsets)
    share, moments = grid.share(np.pi / 2).sum(axis=1), entries.moments[j, k]
    use = share[0] > 0.02
    sigma = np.sqrt(moments[1, 0] * share[0])[use]
    expected = moments[0] @ share, moments[0, 0] * share[0]
    return [(found - one)[use] / sigma for one in expected]


def test_the_expected_sum_follows_a_mixture_that_changes_over_the_patch():
    """Weights rarer on one side: the inclined expectation knows it, the footprint alone does not.

    The gradient is shared by a box of proper motions (`tilt_box`, 5 cells here): that of a mixture which is
    another one within the box is known in part only.
    """
    wide = np.array([_scaled_deviations(seed, 4.0) for seed in range(4, 9)])
    inclined, plain = (wide**2).mean(axis=(0, 2))
    # Chi squared of 110 bins.
    assert abs(inclined - 1.0) < 0.4 and plain > 4.0
    narrow = np.array([_scaled_deviations(seed, 2.0) for seed in range(4, 9)])
    partly, plain = (narrow**2).mean(axis=(0, 2))
    assert inclined < partly < 0.6 * plain


def test_strips_must_fit_the_footprint():
    cells = small_cells()
    grid = LineGrid(cells, cells.area / cells.area.sum(), replace(RECIPE, widths=(9.0,)))
    with pytest.raises(LikelihoodError, match="do not fit"):
        _ = grid.offsets
