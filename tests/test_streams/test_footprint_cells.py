"""Laws of the cells of a footprint: area, gradient, positions under the null."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from scipy.stats import chisquare, kstest

from sky_patches import Box, Circle
from streams import FootprintCells, LineSearchError


@dataclass(frozen=True)
class Pierced:
    """A circle with a round hole off its middle: a footprint that no formula describes."""

    outer: Circle
    hole: tuple[float, float, float]

    @property
    def area(self):
        return self.outer.area - np.pi * self.hole[2] ** 2

    @property
    def solid_angle(self):
        return self.outer.solid_angle - np.pi * self.hole[2] ** 2

    def strip_area(self, theta, r, width):
        pytest.fail("the cells ask a footprint only what it contains")

    def strip_length(self, theta, r):
        pytest.fail("the cells ask a footprint only what it contains")

    def sample(self, n, seed):
        pytest.fail("the cells ask a footprint only what it contains")

    def to_dict(self):
        pytest.fail("the cells ask a footprint only what it contains")

    @property
    def centre(self):
        return self.outer.centre

    def contains(self, phi1, phi2):
        a, b, radius = self.hole
        return self.outer.contains(phi1, phi2) & (np.hypot(phi1 - a, phi2 - b) > radius)

    def boundary(self, n=256):
        return self.outer.boundary(n)


class OffCentre(Pierced):
    """A footprint whose centre is not the middle of the box around it."""

    @property
    def centre(self):
        return -1.0, -1.5


@pytest.mark.parametrize("footprint", [Circle(15.0), Circle(5.0), Box(-8, 8, -4, 4), Box(-10, 4, 20, 31)])
def test_cells_add_up_to_the_solid_angle(footprint):
    assert FootprintCells.of(footprint, 0.1).area.sum() == pytest.approx(footprint.solid_angle, rel=0.01)


@pytest.mark.parametrize("footprint", [Circle(6.0), Box(-4, 4, -3, 3)])
def test_smaller_cells_have_the_same_area(footprint):
    coarse, fine = (FootprintCells.of(footprint, size).area.sum() for size in (0.2, 0.05))
    assert coarse == pytest.approx(fine, rel=0.01)


def test_a_hole_is_left_out():
    footprint = Pierced(Circle(5.0), (1.0, -1.0, 1.5))
    cells = FootprintCells.of(footprint, 0.1)
    whole = FootprintCells.of(footprint.outer, 0.1)
    assert whole.area.sum() - cells.area.sum() == pytest.approx(np.pi * 1.5**2, rel=0.02)
    phi1, phi2 = cells.plane.unproject(cells.x, cells.y)
    assert footprint.contains(phi1, phi2).all()


def test_the_plane_touches_the_footprint_at_its_centre():
    """The catalogue turns lines back into positions with the plane of `footprint.centre`."""
    for footprint in (Circle(5.0), Box(-4, 2, 1, 5), OffCentre(Circle(5.0), (1.0, 1.0, 1.5))):
        plane = FootprintCells.of(footprint, 0.2).plane
        assert (plane.phi1, plane.phi2) == footprint.centre


def test_neighbours_in_number_are_neighbours_on_the_sky():
    cells = FootprintCells.of(Box(-3, 3, -2, 2), 0.1)
    assert np.hypot(np.diff(cells.x), np.diff(cells.y)).max() < 0.1 * np.sqrt(8)


def test_a_footprint_smaller_than_a_cell_is_refused():
    with pytest.raises(LineSearchError, match=r"no cell of 0\.5 deg"):
        FootprintCells.of(Pierced(Circle(1.0), (0.0, 0.0, 1.5)), 0.5)


def _draw(cells, weight, count, seed):
    rng = np.random.default_rng(seed)
    chosen = rng.choice(len(weight), count, p=weight / weight.sum())
    return cells.x[chosen], cells.y[chosen]


def test_a_uniform_sky_has_the_density_of_its_area():
    cells = FootprintCells.of(Circle(5.0), 0.1)
    density = cells.density(*_draw(cells, cells.area, 40_000, 1))
    assert density.sum() == pytest.approx(1.0, rel=1e-4)
    assert np.allclose(density, cells.area / cells.area.sum(), rtol=0.06)


@pytest.mark.parametrize("gradient", [(0.3, 0.0), (-0.1, 0.25), (0.0, -0.8), (1.5, 1.0)])
@pytest.mark.parametrize(
    "footprint", [Circle(5.0), Pierced(Circle(5.0), (1.0, -1.0, 1.5)), Box(-9, 9, -2, 2)]
)
def test_an_exponential_gradient_is_recovered(footprint, gradient):
    cells = FootprintCells.of(footprint, 0.1)
    weight = cells.area * np.exp(cells.x * gradient[0] + cells.y * gradient[1])
    density = cells.density(*_draw(cells, weight, 20_000, 2))
    slope = np.linalg.lstsq(
        np.column_stack([cells.x, cells.y, np.ones_like(cells.x)]), np.log(density / cells.area), rcond=None
    )[0]
    assert np.allclose(slope[:2], gradient, atol=0.05)


@pytest.mark.parametrize("footprint", [Circle(5.0), Pierced(Circle(5.0), (1.0, -1.0, 1.5))])
def test_each_density_has_the_mean_position_of_its_stars(footprint):
    """The law of maximum likelihood, exact on the cells although the fit begins on blocks of them."""
    cells = FootprintCells.of(footprint, 0.1)
    weights = [
        cells.area * np.exp(a * cells.x + b * cells.y) for a, b in ((0.0, 0.0), (0.5, 0.2), (-1.0, 0.7))
    ]
    regions = [_draw(cells, weight, count, 7) for weight, count in zip(weights, (60, 500, 200), strict=True)]
    densities = cells.densities(regions)
    assert densities.shape == (3, len(cells.x)) and np.allclose(densities.sum(axis=1), 1.0, rtol=1e-4)
    for (x, y), density in zip(regions, densities.astype(float), strict=True):
        assert density @ cells.x == pytest.approx(x.mean(), abs=1e-4)
        assert density @ cells.y == pytest.approx(y.mean(), abs=1e-4)


def test_regions_fitted_together_are_as_alone():
    cells = FootprintCells.of(Circle(5.0), 0.1)
    regions = [_draw(cells, cells.area * np.exp(k / 20 * cells.x), 60 + k, k) for k in range(20)]
    together = cells.densities(regions)
    for region, density in zip(regions, together, strict=True):
        assert np.allclose(cells.density(*region), density, rtol=1e-4)
    assert np.allclose(cells.densities(regions[::-1])[::-1], together, rtol=1e-4)


def test_stars_on_the_very_edge_still_have_a_density():
    """No exponential has its mean there; the steepest that was reached is still a density."""
    cells = FootprintCells.of(Circle(5.0), 0.1)
    density = cells.density(np.full(10, 4.98), np.zeros(10))
    assert np.isfinite(density).all() and density.sum() == pytest.approx(1.0, rel=1e-4)
    assert density @ cells.x > 4.5


def test_a_region_without_stars_is_refused_by_number():
    cells = FootprintCells.of(Circle(5.0), 0.1)
    with pytest.raises(LineSearchError, match=r"region 1 of 2 has no star"):
        cells.densities([(cells.x, cells.y), (np.empty(0), np.empty(0))])


def test_nearest_cells_are_within_half_a_diagonal():
    cells = FootprintCells.of(Circle(5.0), 0.1)
    x, y = np.random.default_rng(8).uniform(-3, 3, (2, 500))
    near = cells.nearest(x, y)
    assert np.hypot(cells.x[near] - x, cells.y[near] - y).max() < 0.1 / np.sqrt(2) * 1.02
    assert np.array_equal(cells.nearest(cells.x[:50], cells.y[:50]), np.arange(50))


def test_the_plane_is_stretched_away_from_its_centre():
    """Areas in the plane add up to the disc of radius tan(r)."""
    cells = FootprintCells.of(Circle(20.0), 0.1)
    assert cells.plane_area.sum() == pytest.approx(
        np.pi * np.degrees(np.tan(np.radians(20.0))) ** 2, rel=0.01
    )
    assert cells.area.sum() < 0.95 * cells.plane_area.sum()


def test_a_stream_is_not_absorbed_by_the_density():
    """A thin line off the middle, a third of all stars, leaves the density where it lies almost unchanged."""
    cells = FootprintCells.of(Circle(5.0), 0.1)
    x, y = _draw(cells, cells.area, 2000, 3)
    line = np.abs(cells.y - 1.0) < 0.25
    uniform = (cells.area / cells.area.sum())[line].sum()
    xs = np.random.default_rng(4).uniform(-4.5, 4.5, 1000)
    density = cells.density(np.append(x, xs), np.append(y, np.full(1000, 1.0)))
    truth = (2000 * uniform + 1000) / 3000
    assert truth > 5 * uniform
    assert density[line].sum() < 1.3 * uniform


def test_a_bendable_density_would_absorb_it():
    """Negative control: counting stars in rows, as a flexible density does, swallows the same line."""
    cells = FootprintCells.of(Circle(5.0), 0.1)
    _, y = _draw(cells, cells.area, 2000, 3)
    y = np.append(y, np.full(1000, 1.0))
    uniform = (cells.area / cells.area.sum())[np.abs(cells.y - 1.0) < 0.25].sum()
    assert np.mean(np.abs(y - 1.0) < 0.25) > 5 * uniform


def _drawn_counts(cells, density, groups, seed):
    uniform = np.random.default_rng(seed).random(20_000)
    return np.bincount(groups[FootprintCells.draw(np.cumsum(density), uniform)], minlength=groups.max() + 1)


@pytest.mark.statistical
def test_drawn_cells_follow_the_density():
    cells = FootprintCells.of(Circle(5.0), 0.1)
    density = cells.area * np.exp(0.3 * cells.x)
    density = (density / density.sum()).astype(np.float32)
    groups = np.digitize(cells.x, [-3, -1, 1, 3]) * 3 + np.digitize(cells.y, [-1.5, 1.5])
    counts = _drawn_counts(cells, density, groups, 5)
    share = np.bincount(groups, density.astype(float))
    assert chisquare(counts, counts.sum() * share / share.sum()).pvalue > 0.01
    flat = np.bincount(groups, cells.area)
    assert chisquare(counts, counts.sum() * flat / flat.sum()).pvalue < 1e-6, "negative control"


@pytest.mark.statistical
def test_drawn_positions_follow_a_uniform_density_along_an_axis():
    cells = FootprintCells.of(Box(-5, 5, -1, 1), 0.02)
    uniform = np.random.default_rng(6).random(2000)
    flat = cells.x[FootprintCells.draw(np.cumsum(cells.area), uniform)]
    tilted = cells.x[FootprintCells.draw(np.cumsum(cells.area * np.exp(0.1 * cells.x)), uniform)]
    edge = np.abs(cells.x).max()
    assert kstest(flat, "uniform", (-edge, 2 * edge)).pvalue > 0.01
    assert kstest(tilted, "uniform", (-edge, 2 * edge)).pvalue < 1e-3, "negative control"


def test_deviates_at_both_ends_give_cells_of_the_footprint():
    running = np.cumsum(np.array([0.25, 0.25, 0.5], dtype=np.float32))
    drawn = FootprintCells.draw(running, np.array([0.0, 0.3, 0.6, np.nextafter(1.0, 0.0)]))
    assert drawn.tolist() == [0, 1, 2, 2]
