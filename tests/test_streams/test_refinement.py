"""Laws of the refined line: unbiased, errors that cover, any footprint, nothing where nothing is."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from sky_patches import Circle
from sky_patches.footprints import Hole, WithHoles
from streams.cells import FootprintCells
from streams.errors import LineSearchError
from streams.refinement import RefineRecipe, _Band, refine_line

THETA, OFFSET, SIGMA, ENDS = 0.6, 1.3, 0.15, (-5.0, 4.0)
HOLE = Hole("cluster", -1.9, -2.9, 1.2)
"""Its centre lies on the line, at s = -3.2."""


@cache
def _cells(holes=()):
    return FootprintCells.of(WithHoles(Circle(8.0), holes) if holes else Circle(8.0), 0.1)


def _density(cells, gradient):
    weight = cells.area * np.exp(gradient[0] * cells.x + gradient[1] * cells.y)
    return (weight / weight.sum()).astype(np.float32)


def _stars(cells, density, seed, line, background, *, sigma=SIGMA, ends=ENDS, theta=THETA, offset=OFFSET):
    """Stars of a line (those outside the footprint are lost) among stars of the background."""
    rng = np.random.default_rng(seed)
    chosen = rng.choice(len(density), background, p=density.astype(float) / density.sum(dtype=float))
    spread = rng.uniform(-cells.size / 2, cells.size / 2, (2, background))
    s, t = rng.uniform(*ends, line), offset + rng.normal(0.0, sigma, line)
    on = np.stack([s * np.cos(theta) + t * np.sin(theta), s * np.sin(theta) - t * np.cos(theta)])
    on = on[
        :, np.hypot(on[0] - cells.x[cells.nearest(*on)], on[1] - cells.y[cells.nearest(*on)]) < cells.size
    ]
    return np.concatenate([np.stack([cells.x[chosen], cells.y[chosen]]) + spread, on], axis=1)


@cache
def _fits(count, line=50, background=120, *, holes=(), gradient=(0.1, -0.05), believed=None, width=0.5, **of):
    """Refined lines of `count` skies, each from a start that is as wrong as the finder's bins."""
    cells = _cells(holes)
    density = _density(cells, gradient)
    fitted = density if believed is None else _density(cells, believed)
    lines = []
    for seed in range(count):
        x, y = _stars(cells, density, seed, line, background, **of)
        turn, shift = np.random.default_rng([1, seed]).uniform(-1, 1, 2) * (0.02, 0.1)
        start = (of.get("theta", THETA) + turn, of.get("offset", OFFSET) + shift, width)
        lines.append(refine_line(x, y, cells, fitted, *start))
    return lines


def _pulls(lines, name, truth):
    value = np.array([getattr(line, name) for line in lines])
    return (value - truth) / np.array([line.errors[name] for line in lines])


@pytest.mark.statistical
@pytest.mark.parametrize("holes", [(), (HOLE,)], ids=["circle", "hole on the line"])
def test_the_line_is_where_its_errors_say(holes):
    lines = _fits(60, holes=holes)
    for name, truth in (("theta", THETA), ("offset", OFFSET)):
        pulls = _pulls(lines, name, truth)
        assert abs(pulls.mean()) < 3 / np.sqrt(len(lines))
        assert 0.5 < np.mean(np.abs(pulls) < 1) < 0.85 and np.mean(np.abs(pulls) < 2) > 0.85


@pytest.mark.statistical
def test_errors_half_as_large_would_not_cover():
    """Negative control of the coverage."""
    pulls = 2 * _pulls(_fits(60), "offset", OFFSET)
    assert np.mean(np.abs(pulls) < 1) < 0.5


@pytest.mark.statistical
@pytest.mark.parametrize("sigma, width", [(0.15, 0.5), (0.5, 1.0)])
def test_width_length_and_number_are_those_of_the_stream(sigma, width):
    lines = _fits(40, 60, sigma=sigma, width=width)
    assert np.mean([line.width for line in lines]) == pytest.approx(sigma, rel=0.1)
    assert np.mean([line.stars for line in lines]) == pytest.approx(60, rel=0.12)
    for name, truth in (("start", ENDS[0]), ("end", ENDS[1])):
        assert np.mean(np.abs(_pulls(lines, name, truth)) < 2) > 0.8
        assert np.median([getattr(line, name) for line in lines]) == pytest.approx(truth, abs=0.4)


@pytest.mark.statistical
def test_a_steep_background_does_not_pull_the_line():
    steep = {"line": 40, "background": 600, "sigma": 0.4, "width": 1.0, "theta": 0.0, "offset": 0.0}
    gradient = (0.0, -0.6)
    right = _pulls(_fits(30, gradient=gradient, **steep), "offset", 0.0)
    wrong = _pulls(_fits(30, gradient=gradient, believed=(0.0, 0.0), **steep), "offset", 0.0)
    assert abs(right.mean()) < 0.6
    assert wrong.mean() > 0.6, "negative control: the gradient ignored"


@pytest.mark.statistical
def test_without_a_line_the_likelihood_gains_little():
    """Six parameters that fit noise gain a few; a stream of fifty stars gains ten times more."""
    nothing = [line.log_likelihood_ratio for line in _fits(40, 0, 170)]
    stream = [line.log_likelihood_ratio for line in _fits(10)]
    assert min(nothing) >= 0 and np.median(nothing) < 8 and max(nothing) < 20
    assert min(stream) > 30


def test_a_line_that_leaves_the_footprint_ends_at_its_edge():
    cells = _cells()
    line = _fits(1, 150, ends=(-9.0, 9.0))[0]
    edge = np.sqrt(8.0**2 - line.offset**2)
    assert line.start >= -edge - 0.15 and line.end <= edge + 0.15
    assert line.length > 2 * edge - 1.0
    assert cells.size < line.errors["start"]


def test_a_hole_on_the_line_is_no_end():
    line = _fits(1, 100, holes=(HOLE,))[0]
    assert line.start < -4.3 and line.end > 3.3


@pytest.mark.parametrize("turn", [0.7, 1.9, -2.4])
def test_a_turned_sky_gives_a_turned_line(turn):
    cells = _cells()
    density = _density(cells, (0.0, 0.0))
    x, y = _stars(cells, density, 5, 80, 100)
    moved = x * np.cos(turn) - y * np.sin(turn), x * np.sin(turn) + y * np.cos(turn)
    one = refine_line(x, y, cells, density, THETA, OFFSET, 0.5)
    two = refine_line(*moved, cells, density, THETA + turn, OFFSET, 0.5)
    assert two.theta - turn == pytest.approx(one.theta, abs=0.005)
    for name in ("offset", "start", "end"):
        assert getattr(two, name) == pytest.approx(getattr(one, name), abs=0.1)
    assert two.stars == pytest.approx(one.stars, rel=0.03)


def test_the_order_of_the_stars_does_not_matter():
    cells = _cells()
    density = _density(cells, (0.0, 0.0))
    stars = _stars(cells, density, 6, 50, 100)
    one = refine_line(*stars, cells, density, THETA, OFFSET, 0.5)
    order = np.random.default_rng(1).permutation(stars.shape[1])
    two = refine_line(*stars[:, order], cells, density, THETA, OFFSET, 0.5)
    assert two.log_likelihood_ratio == pytest.approx(one.log_likelihood_ratio, abs=1e-3)
    assert two.offset == pytest.approx(one.offset, abs=1e-3)


def test_the_gradient_is_that_of_the_likelihood():
    cells = _cells()
    density = _density(cells, (0.1, 0.0))
    stars = _stars(cells, density, 7, 50, 100)
    band = _Band.around(*stars, cells, density, THETA, OFFSET, 0.5, RefineRecipe())
    at = np.array([0.1, 0.02, np.log(0.2), -4.0, 3.0, -0.3])
    numeric = [(band.loss(at + h)[0] - band.loss(at - h)[0]) / 2e-5 for h in 1e-5 * np.eye(6)]
    assert np.allclose(band.loss(at)[1], numeric, rtol=1e-4, atol=1e-4)


def test_too_few_stars_are_refused_with_their_number():
    cells = _cells()
    stars = _stars(cells, _density(cells, (0.0, 0.0)), 8, 4, 0)
    with pytest.raises(LineSearchError, match=r"at least 8 stars; 4 of 4 lie within 1\.50 deg"):
        refine_line(*stars, cells, _density(cells, (0.0, 0.0)), THETA, OFFSET, 0.5)


def test_bounds_have_no_error():
    """A width at its bound is a limit: infinite variance, no covariance with the rest."""
    line = _fits(1, 60, sigma=0.005)[0]
    assert line.width == pytest.approx(RefineRecipe().min_width)
    assert np.isinf(line.errors["width"]) and np.isfinite(line.errors["offset"])
    assert not np.any(np.delete(line.covariance[2], 2))
