"""Laws of the Plummer mock: its parts agree with each other, and its draws with its formulae."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate, stats

from dm_map.errors import MockError
from dm_map.mocks import Plummer
from dm_map.volume import Ball

PLUMMER = Plummer()


def _gradient(function, x: np.ndarray, step: float = 1e-5) -> np.ndarray:
    shifts = step * np.eye(3)
    return np.stack([(function(x + shift) - function(x - shift)) / (2 * step) for shift in shifts], axis=-1)


@pytest.fixture(scope="module")
def tracers():
    sample = PLUMMER.sample(20_000, seed=1, radius=1e6)
    return sample.x, sample.v


def test_acceleration_is_minus_the_gradient_of_the_potential():
    x = np.random.default_rng(2).normal(0, 2, (100, 3))
    np.testing.assert_allclose(PLUMMER.acceleration(x), -_gradient(PLUMMER.potential, x), atol=1e-9)


def test_poissons_equation_holds():
    x = np.random.default_rng(3).normal(0, 2, (100, 3))
    divergence = np.trace(_gradient(PLUMMER.acceleration, x), axis1=-2, axis2=-1)
    np.testing.assert_allclose(-divergence / (4 * np.pi), PLUMMER.density(x), atol=1e-9)


def test_scores_are_the_gradients_of_the_log_density(tracers):
    x, v = (part[:200] for part in tracers)
    v = 0.9 * v
    s_x, s_v = PLUMMER.scores(x, v)
    np.testing.assert_allclose(s_x, _gradient(lambda at: PLUMMER.log_density(at, v), x), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(s_v, _gradient(lambda at: PLUMMER.log_density(x, at), v), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("radius", [0.0, 0.7, 3.0])
def test_the_velocity_integral_of_f_is_the_density(radius):
    x = np.array([radius, 0.0, 0.0])

    def shell(speed: float) -> float:
        v = np.array([0.0, speed, 0.0])
        return 4 * np.pi * speed**2 * float(np.exp(PLUMMER.log_density(x, v)))

    total, _ = integrate.quad(shell, 0, float(PLUMMER.escape_speed(x)))
    assert total == pytest.approx(float(PLUMMER.density(x)), rel=1e-6)


def test_radii_follow_the_mass_profile(tracers):
    radius = np.linalg.norm(tracers[0], axis=1)
    assert stats.kstest(radius, PLUMMER.mass_within).pvalue > 1e-3
    # Negative control: a sphere 5 % larger is told apart.
    assert stats.kstest(1.05 * radius, PLUMMER.mass_within).pvalue < 1e-3


def test_speeds_follow_the_energy_distribution(tracers):
    x, v = tracers
    ratio = np.linalg.norm(v, axis=1) / PLUMMER.escape_speed(x)
    assert stats.kstest(ratio**2, stats.beta(1.5, 4.5).cdf).pvalue > 1e-3
    # Negative control: 3 % faster.
    assert stats.kstest((1.03 * ratio) ** 2, stats.beta(1.5, 4.5).cdf).pvalue < 1e-3


def test_the_virial_theorem_holds(tracers):
    x, v = tracers
    kinetic = np.mean(np.sum(v**2, axis=1))
    virial = np.mean(np.sum(x * PLUMMER.acceleration(x), axis=1))
    assert kinetic == pytest.approx(-virial, rel=0.02)


def test_directions_are_isotropic(tracers):
    for part in tracers:
        unit = part / np.linalg.norm(part, axis=1, keepdims=True)
        assert stats.kstest(unit[:, 2], stats.uniform(-1, 2).cdf).pvalue > 1e-3
        assert np.abs(unit.T @ unit / len(unit) - np.eye(3) / 3).max() < 0.02


def test_draws_are_reproducible_bound_and_inside():
    first, second, other = PLUMMER.sample(50, 4), PLUMMER.sample(50, 4), PLUMMER.sample(50, 5)
    assert np.array_equal(first.x, second.x) and np.array_equal(first.v, second.v)
    assert not np.array_equal(first.x, other.x) and not np.array_equal(first.v, other.v)
    assert np.all(np.linalg.norm(first.v, axis=1) < PLUMMER.escape_speed(first.x))
    assert first.volume == Ball((0.0, 0.0, 0.0), 10.0)
    assert len(PLUMMER.sample(0, 1)) == 0


def test_a_cut_at_a_radius_keeps_the_profile_inside():
    radius = np.linalg.norm(PLUMMER.sample(20_000, 6, radius=2.0).x, axis=1)
    assert radius.max() < 2.0
    share = PLUMMER.mass_within(np.array(2.0))
    assert stats.kstest(radius, lambda r: PLUMMER.mass_within(r) / share).pvalue > 1e-3
    # Negative control: the profile of the whole sphere is not that of the cut one.
    assert stats.kstest(radius, PLUMMER.mass_within).pvalue < 1e-3


def test_unbound_velocities_are_refused():
    with pytest.raises(MockError, match="escape speed"):
        PLUMMER.scores(np.zeros((1, 3)), np.array([[2.0, 0.0, 0.0]]))
    assert PLUMMER.log_density(np.zeros(3), np.array([2.0, 0.0, 0.0])) == -np.inf
    with pytest.raises(MockError, match="-1"):
        PLUMMER.sample(-1, 0)
