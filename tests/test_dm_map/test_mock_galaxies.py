"""Laws of isothermal tracers in gala's potentials, and of the sampler that draws them."""

from __future__ import annotations

import pickle
from dataclasses import replace

import gala.potential as gp
import numpy as np
import pytest
from astropy import units as u
from gala.units import galactic
from scipy import stats

from dm_map.errors import MockError
from dm_map.mocks import (
    SOLAR_BALL,
    IsothermalMixture,
    barred,
    disc_with_hole,
    milky_way,
    rotating_disc,
    triaxial,
)
from dm_map.mocks.cells import CellBound, bound_on_cells, draw_positions, log_integral
from dm_map.volume import Ball

MILKY_WAY = milky_way()

# Disjoint balls inside the volume, from its corner at the Galactic centre outwards, in the plane and off it.
PROBES = [
    Ball((x, y, z), 0.6)
    for x, y, z in [
        (-4.75, 0.0, 0.0),
        (-6.0, 0.0, 0.0),
        (-8.1, 0.0, 0.0),
        (-9.5, 0.0, 0.0),
        (-7.0, 1.8, 0.0),
        (-7.0, -1.8, 0.0),
        (-6.5, 0.0, 1.6),
        (-6.5, 0.0, -1.6),
    ]
]


def _share_in(mock: IsothermalMixture, ball: Ball) -> float:
    """Share of the tracers in a ball, by quadrature over it."""
    return sum(
        part.share * np.exp(log_integral(lambda x, p=part: mock._log_numbers(p, x), ball, 16) - norm)
        for part, norm in zip(mock.populations, mock._log_norms, strict=True)
    )


def test_the_integral_over_a_ball_is_the_balls_volume_for_a_constant():
    ball = Ball((1.0, 2.0, 0.3), 2.0)
    volume = log_integral(lambda x: np.zeros(len(x)), ball)
    assert volume == pytest.approx(np.log(4 / 3 * np.pi * 8), abs=1e-12)
    # sinh is the integral of exp(k x) over a ball, up to the same factors.
    k, r = 1.7, 2.0
    exact = 4 * np.pi / k**3 * (k * r * np.cosh(k * r) - np.sinh(k * r))
    assert log_integral(lambda x: k * (x[:, 0] - 1.0), ball) == pytest.approx(np.log(exact), abs=1e-12)


@pytest.mark.parametrize("make", [milky_way, barred, triaxial, disc_with_hole])
def test_tracer_densities_integrate_to_one(make):
    mock = make()
    x = mock.volume.uniform(200_000, 1)
    values = mock.tracer_density(x) * 4 / 3 * np.pi * mock.volume.radius**3
    error = np.std(values) / np.sqrt(len(values))
    assert abs(np.mean(values) - 1) < 4.5 * error and error < 0.05


def test_the_normalisation_has_converged():
    cold = MILKY_WAY.populations[0]
    logs = [log_integral(lambda x: MILKY_WAY._log_numbers(cold, x), SOLAR_BALL, nodes) for nodes in (48, 64)]
    assert logs[0] == pytest.approx(logs[1], abs=1e-8)


@pytest.mark.parametrize("make", [milky_way, barred, triaxial])
def test_the_bound_on_cells_is_one(make):
    mock = make()
    cold = mock.populations[0]
    bound = bound_on_cells(lambda x: mock._log_numbers(cold, x), mock.volume)
    rng = np.random.default_rng(2)
    cell = rng.integers(0, len(bound.corner), 200_000)
    x = bound.corner[cell] + bound.side * rng.random((len(cell), 3))
    excess = mock._log_numbers(cold, x) - bound.bound[cell]
    assert excess.max() <= 0
    # It is not much above either: or draws would be slow.
    assert np.median(excess) > -1.0


def test_a_broken_bound_is_not_passed_over():
    def log_density(x: np.ndarray) -> np.ndarray:
        return -np.sum(x**2, axis=-1)

    ball = Ball((0.0, 0.0, 0.0), 1.0)
    good = bound_on_cells(log_density, ball)
    rng = np.random.default_rng(3)
    assert len(draw_positions(log_density, ball, 1000, rng, good)) == 1000
    broken = CellBound(good.corner, good.side, good.bound - 0.05)
    with pytest.raises(MockError, match="times its bound"):
        draw_positions(log_density, ball, 1000, rng, broken)


def test_a_cusp_in_the_ball_is_refused_instead_of_drawn_for_ever():
    cold = ((10.0, 1.0),)
    with pytest.raises(MockError, match="cusp"):
        IsothermalMixture(
            gp.HernquistPotential(m=1e11, c=0.01, units=galactic), cold, Ball((0.0, 0.0, 0.0), 1.0)
        ).sample(100, seed=1)


@pytest.mark.statistical
@pytest.mark.parametrize("make", [milky_way, rotating_disc, barred, triaxial, disc_with_hole])
def test_positions_follow_the_tracer_density(make):
    """Counts in small balls against the integral of the exact density over them."""
    mock = make()
    sample = mock.sample(150_000, seed=5)
    chance = np.array([_share_in(mock, ball) for ball in PROBES])

    def chi_squared(x: np.ndarray) -> float:
        share = np.array([np.mean(ball.contains(x)) for ball in PROBES])
        return float(len(x) * np.sum((share - chance) ** 2 / chance))

    assert stats.chi2.sf(chi_squared(sample.x), len(PROBES)) > 1e-4
    # Negative control: of the quarter nearest to the Galactic centre one star in five is missing.
    radius = np.linalg.norm(sample.x, axis=1)
    clipped = (radius < np.quantile(radius, 0.25)) & (np.random.default_rng(7).random(len(radius)) < 0.2)
    assert stats.chi2.sf(chi_squared(sample.x[~clipped]), len(PROBES)) < 1e-4


@pytest.mark.statistical
def test_the_density_ratio_of_two_places_is_boltzmanns():
    """One population in one direction: ln n differs by the potential over sigma^2."""
    mock = IsothermalMixture(MILKY_WAY.gala_potential, ((100.0, 1.0),))
    sample = mock.sample(200_000, seed=8)
    places = np.array([[-6.5, 0.0, 0.5], [-9.5, 0.0, 0.5]])
    inside = [int(np.sum(np.linalg.norm(sample.x - place, axis=1) < 0.7)) for place in places]
    around = Ball((0.0, 0.0, 0.0), 0.7).uniform(50_000, 9)
    exact = [np.mean(np.exp(-mock.potential(place + around) / 100.0**2)) for place in places]
    error = np.sqrt(sum(1 / count for count in inside))
    difference = np.log(inside[0] / inside[1]) - np.log(exact[0] / exact[1])
    assert abs(difference) < 4.5 * error
    # Negative control: a tracer of 110 km/s would differ.
    hotter = [np.mean(np.exp(-mock.potential(place + around) / 110.0**2)) for place in places]
    assert abs(np.log(inside[0] / inside[1]) - np.log(hotter[0] / hotter[1])) > 4.5 * error


@pytest.mark.statistical
def test_velocities_are_mixed_by_the_local_shares():
    """Second and fourth moments of all stars against the mixture's, which one normal law does not have."""
    sample = MILKY_WAY.sample(100_000, seed=10)
    second = sum(p.share * p.sigma**2 for p in MILKY_WAY.populations)
    fourth = 3 * sum(p.share * p.sigma**4 for p in MILKY_WAY.populations)
    for power, expected in ((2, second), (4, fourth)):
        values = sample.v**power
        error = np.std(values, axis=0) / np.sqrt(len(values))
        assert np.all(np.abs(np.mean(values, axis=0) - expected) < 4.5 * error)
    # Negative control: a single normal law of the same dispersion has a smaller fourth moment.
    assert np.all(np.mean(sample.v**4, axis=0) - 3 * second**2 > 4.5 * error)
    # The two ways to draw velocities agree.
    again = MILKY_WAY.sample_velocities(sample.x, seed=11)
    for axis in range(3):
        assert stats.ks_2samp(sample.v[:, axis], again[:, axis]).pvalue > 1e-4


@pytest.mark.statistical
def test_a_rotating_disc_turns_with_the_milky_way():
    mock = rotating_disc()
    sample = mock.sample(50_000, seed=12)
    spin = sample.x[:, 0] * sample.v[:, 1] - sample.x[:, 1] * sample.v[:, 0]
    assert np.mean(sample.v[:, 1]) > 50 and np.mean(spin) < 0
    residual = np.cross(np.array([0.0, 0.0, 1.0]), sample.x)
    mean = np.mean(np.sum(residual * sample.v, axis=1)) / np.mean(np.sum(residual**2, axis=1))
    assert -20 < mean < -6


def test_the_bar_matters_and_is_in_place():
    mock = barred()
    sun = np.array([SOLAR_BALL.centre])
    bar = -mock.gala_potential["bar"].gradient(sun.T * u.kpc).to_value(u.km**2 / u.s**2 / u.kpc)
    share = np.linalg.norm(bar) / np.linalg.norm(mock.acceleration(sun))
    assert 0.25 < share < 0.35
    # Denser at positive longitude on the near side (x < 0, y > 0) than at its mirror image.
    near = 3.0 * np.array([[-np.cos(0.49), np.sin(0.49), 0.0], [-np.cos(0.49), -np.sin(0.49), 0.0]])
    at_bar, mirrored = mock.density(near)
    assert at_bar > 2 * mirrored


@pytest.mark.parametrize("make", [barred, triaxial])
def test_only_an_axisymmetric_potential_lets_components_stream_at_will(make):
    mock = make()
    with pytest.raises(MockError, match="not axisymmetric"):
        replace(mock, components=((80.0, 0.5, -10.0), (90.0, 0.5, mock.pattern_speed)))


@pytest.mark.parametrize(
    ("components", "message"),
    [
        (((60.0, 0.5), (90.0, 0.4)), r"add up to one; got 0\.9"),
        (((-60.0, 1.0),), "positive"),
        (((60.0,),), "sigma, share"),
        ((), "sigma, share"),
    ],
)
def test_impossible_components_are_refused(components, message):
    with pytest.raises(MockError, match=message):
        IsothermalMixture(MILKY_WAY.gala_potential, components)


def test_a_potential_without_a_density_is_refused():
    halo = gp.NFWPotential(m=5e11, r_s=15.0, a=1.0, b=0.9, c=0.8, units=galactic)
    with pytest.raises(MockError, match="density is not finite"):
        IsothermalMixture(halo).density(np.array([[-8.0, 0.0, 0.0]]))


def test_mocks_travel_to_other_processes():
    x = np.array([[-8.0, 0.5, 0.2]])
    v = np.array([[30.0, -10.0, 50.0]])
    MILKY_WAY.scores(x, v)
    again = pickle.loads(pickle.dumps(MILKY_WAY))
    for mine, theirs in zip(MILKY_WAY.scores(x, v), again.scores(x, v), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_a_larger_ball_is_a_replace_away():
    larger = replace(MILKY_WAY, volume=SOLAR_BALL.within(5.0))
    assert larger.sample(100, seed=1).volume.radius == 5.0
