"""Laws of the Hough transform: exact counts, expected shares, planted lines, significance."""

from __future__ import annotations

import warnings
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sky_patches import Box, Circle
from streams import FootprintCells, HoughLines, LineRecipe, LineSearchError, line_significance

RADIUS = 5.0
RECIPE = LineRecipe(widths=(0.5, 1.0), ranks=(50, 100), angle_step=5.0, offset_step=0.25)


@cache
def _lines(recipe=RECIPE, footprint=None, size=0.1):
    return HoughLines(FootprintCells.of(footprint or Circle(RADIUS), size), recipe)


@cache
def _uniform(recipe=RECIPE):
    cells = _lines(recipe).cells
    return _lines(recipe).expect((cells.area / cells.area.sum())[None, :])[0]


def _points(seed, count):
    return np.stack(Circle(RADIUS - 0.1).sample(count, seed))


def _best(points, recipe=RECIPE):
    lines = _lines(recipe)
    return lines.best(lines.bins(*points), [np.arange(points.shape[1])], [_uniform(recipe)])


def _planted(theta, offset, count, seed, spread=0.1):
    rng = np.random.default_rng(seed)
    reach = np.sqrt((RADIUS - 0.5) ** 2 - offset**2)
    s, t = rng.uniform(-reach, reach, count), offset + rng.normal(0.0, spread, count)
    return np.stack([s * np.cos(theta) + t * np.sin(theta), s * np.sin(theta) - t * np.cos(theta)])


def _against_area(footprint, size, recipe):
    """Expected shares over the exact areas of the strips, where a strip is well inside the footprint."""
    lines = _lines(recipe, footprint, size)
    ratios = []
    shares = lines.expect((lines.cells.area / lines.cells.area.sum())[None, :])[0].shares
    for bins, share in zip(recipe.bins, shares, strict=True):
        offset = (np.arange(share.shape[1]) + bins / 2 - lines.offsets // 2) * recipe.offset_step
        width = bins * recipe.offset_step
        analytic = footprint.strip_area(lines.theta[:, None], offset[None, :], width) / footprint.area
        inside = analytic >= 0.7 * analytic.max(axis=1, keepdims=True)
        ratios.append((share[inside] / analytic[inside])[share[inside] > 0])
    return np.concatenate(ratios)


@pytest.mark.parametrize("footprint", [Circle(5.0), Box(-6.0, 6.0, -3.0, 3.0)])
@pytest.mark.parametrize("step", [2.0, 7.0])
def test_expected_shares_are_the_areas_of_the_strips(footprint, step):
    recipe = LineRecipe(widths=(0.5, 1.0), ranks=(100,), angle_step=step, offset_step=0.25)
    ratio = _against_area(footprint, 0.04, recipe)
    assert len(ratio) > 300 and np.max(np.abs(ratio - 1.0)) < 0.03


def test_no_line_runs_along_a_row_of_cells():
    """With the default recipe no strip gains or loses a row of cells: that would be a fifth of it."""
    assert np.max(np.abs(_against_area(Circle(10.0), 0.1, LineRecipe()) - 1.0)) < 0.08


def test_corners_are_never_lines():
    share = _uniform().shares[0]
    longest = share.max(axis=1, keepdims=True)
    assert np.all((share == 0) | (share >= RECIPE.min_share * longest * (1 - 1e-6)))
    assert (share == 0).any()


def test_counts_are_those_of_brute_force():
    """The line it calls best has, star by star, the count it reports, and no other strip is better."""
    points = _points(11, 80)
    best, lines = _best(points), _lines()
    x, y = points
    found = 0.0
    for rank in (50, 80):
        for bins, share in zip(RECIPE.bins, _uniform().shares, strict=True):
            for angle, theta in enumerate(lines.theta):
                number = np.floor((x[:rank] * np.sin(theta) - y[:rank] * np.cos(theta)) / RECIPE.offset_step)
                for strip in np.flatnonzero(share[angle]):
                    low = strip - lines.offsets // 2
                    count = np.sum((number >= low) & (number < low + bins))
                    if count >= np.ceil(rank * share[angle, strip] + 3 * np.sqrt(rank * share[angle, strip])):
                        sigma = line_significance(np.array([float(count)]), rank, share[angle, [strip]])[0]
                        found = max(found, float(sigma))
    assert best.significance[0] == pytest.approx(found, rel=1e-6)
    across = x * np.sin(best.theta[0]) - y * np.cos(best.theta[0]) - best.offset[0]
    assert np.sum(np.abs(across[: best.rank[0]]) < best.width[0] / 2) == best.count[0]


@given(st.integers(0, 35), st.floats(-2.5, 2.5), st.integers(0, 10_000))
@settings(max_examples=40)
def test_a_planted_line_is_found_where_it_lies(step, offset, seed):
    theta = np.radians(step * RECIPE.angle_step)
    points = np.concatenate([_planted(theta, offset, 30, seed), _points(seed, 20)], axis=1)
    best = _best(points[:, np.random.default_rng(seed).permutation(50)])
    turn = (best.theta[0] - theta + np.pi / 2) % np.pi - np.pi / 2
    flipped = abs(best.theta[0] - theta) > np.pi / 2
    assert best.significance[0] > 7.0
    assert abs(turn) <= np.radians(2 * RECIPE.angle_step)
    assert abs((-1 if flipped else 1) * best.offset[0] - offset) <= best.width[0]
    assert best.count[0] >= 25 and best.expected[0] < 12


def test_points_without_a_line_are_not_called_one():
    """Negative control of the planted line."""
    assert max(_best(_points(seed, 50)).significance[0] for seed in range(20)) < 7.0


@given(st.integers(1, 35), st.integers(0, 10_000))
@settings(max_examples=30)
def test_a_rotated_sky_gives_a_rotated_line(steps, seed):
    points = np.concatenate([_planted(np.radians(30.0), 1.2, 30, seed, 0.05), _points(seed, 20)], axis=1)
    turn = np.radians(steps * RECIPE.angle_step)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    before, after = _best(points), _best(rotation @ points)
    expected = (before.theta[0] + turn) % np.pi
    apart = (after.theta[0] - expected + np.pi / 2) % np.pi - np.pi / 2
    # Shares and the edges of strips are on a grid, so the runner-up one step away may win by a hair.
    assert abs(apart) <= np.radians(RECIPE.angle_step) + 1e-9
    assert after.significance[0] == pytest.approx(before.significance[0], rel=0.08)


def test_only_the_highest_ranks_count():
    """Stars of low score, behind the last rank, cannot change the line."""
    points = np.concatenate([_planted(0.5, 0.0, 60, 1), _points(2, 140)], axis=1)
    some, more = _best(points[:, :100]), _best(points)
    assert (some.significance, some.theta, some.offset) == (more.significance, more.theta, more.offset)
    assert (some.rank, some.count) == (more.rank, more.count)


def test_a_region_with_fewer_stars_than_a_rank_uses_all_it_has():
    points = np.concatenate([_planted(0.5, 0.0, 20, 1), _points(2, 10)], axis=1)
    best = _best(points)
    assert best.rank[0] == 30 and best.significance[0] > 5.0
    assert best.expected[0] <= 30 and best.count[0] <= 30


@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_region_that_has_lost_its_stars_holds_no_line(count):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        best = _best(_points(3, 5)[:, :count])
    assert best.significance[0] < 5.0 and np.isfinite(best.significance[0])
    assert count > 0 or best.significance[0] == 0.0


def test_regions_do_not_see_each_other():
    points = np.concatenate([_planted(0.5, 0.0, 60, 1), _points(2, 140)], axis=1)
    rows = [np.arange(60), np.arange(60, 200), np.arange(200)]
    lines = _lines()
    together = lines.best(lines.bins(*points), rows, [_uniform()] * 3)
    alone = [lines.best(lines.bins(*points), [r], [_uniform()]).significance[0] for r in rows]
    assert np.array_equal(together.significance, alone)


def test_strips_wider_than_the_footprint_are_refused():
    with pytest.raises(LineSearchError, match=r"strips of 9\.0 deg do not fit"):
        _ = _lines(LineRecipe(widths=(9.0,), offset_step=0.25), Circle(1.0), 0.1).offsets


@given(st.integers(10, 500), st.floats(0.01, 0.45))
def test_significance_vanishes_at_expectation(stars, share):
    assert line_significance(np.array([stars * share]), stars, np.array([share]))[0] == pytest.approx(
        0, abs=1e-5
    )


@given(st.integers(10, 500), st.floats(0.01, 0.45))
def test_significance_grows_with_the_count(stars, share):
    counts = np.arange(stars + 1.0)
    sigma = line_significance(counts, stars, np.full(len(counts), share))
    assert np.all(np.diff(sigma) > 0) and np.all(np.isfinite(sigma))


@given(st.floats(0.05, 0.45), st.floats(-2.0, 2.0))
def test_significance_is_that_of_a_gaussian_for_many_stars(share, sigma):
    stars = 10_000_000
    count = stars * share + sigma * np.sqrt(stars * share * (1 - share))
    assert line_significance(np.array([count]), stars, np.array([share]))[0] == pytest.approx(sigma, abs=5e-3)


@given(st.integers(50, 500), st.floats(0.02, 0.1))
def test_a_full_strip_is_less_significant_than_gaussian(stars, share):
    """Negative control: far from the Gaussian limit the two differ, so the law above tests something."""
    exact = line_significance(np.array([float(stars)]), stars, np.array([share]))[0]
    assert exact == pytest.approx(np.sqrt(-2 * stars * np.log(share)), rel=1e-6)
    assert (1 - share) * stars / np.sqrt(stars * share * (1 - share)) > exact + 1.0
