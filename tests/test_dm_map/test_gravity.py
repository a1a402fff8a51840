"""Laws of the mass density: units that astropy agrees with, and Gauss's theorem."""

from __future__ import annotations

import numpy as np
import pytest
from astropy import constants
from astropy import units as u

from dm_map.errors import DmMapError
from dm_map.gravity import (
    GALACTIC,
    GEV_PER_CM3,
    GRAVITATIONAL_CONSTANT,
    NATURAL,
    mass_density,
    mean_density_in_ball,
    rho_per_divergence,
)
from dm_map.mocks import Plummer


def test_the_unit_of_the_density_is_solar_masses_per_cubic_parsec():
    divergence = -300.0 * (u.km / u.s) ** 2 / u.kpc**2
    expected = (-divergence / (4 * np.pi * constants.G)).to_value(u.Msun / u.pc**3)
    assert mass_density(np.array(divergence.value)) == pytest.approx(expected, rel=1e-12)
    # The figure everybody quotes.
    assert mass_density(np.array(1.0)) == pytest.approx(-1.8502e-5, rel=1e-4)
    assert pytest.approx(37.96, rel=1e-3) == GEV_PER_CM3


def test_uniform_sphere_has_uniform_density():
    """a = -(4/3) pi G rho x inside a uniform sphere: exact for any ball."""
    rho = 0.1

    def acceleration(x: np.ndarray) -> np.ndarray:
        return -4 / 3 * np.pi * GRAVITATIONAL_CONSTANT * rho * 1e9 * x

    centres = np.random.default_rng(1).normal(size=(5, 3))
    np.testing.assert_allclose(mean_density_in_ball(acceleration, centres, 0.3), rho, rtol=1e-11)


def _natural(rho: np.ndarray) -> np.ndarray:
    """Msun/pc^3 back to the mock's units G = M = b = 1."""
    return rho / (rho_per_divergence() * 1e-9) * rho_per_divergence(1.0)


def test_a_ball_at_the_centre_holds_the_enclosed_mass():
    plummer, radius = Plummer(), 0.7
    mean = mean_density_in_ball(plummer.acceleration, np.zeros((1, 3)), radius)
    expected = plummer.mass_within(np.array(radius)) / (4 / 3 * np.pi * radius**3)
    assert _natural(mean)[0] == pytest.approx(float(expected), rel=1e-12)


def test_a_ball_anywhere_holds_the_mean_of_the_density():
    plummer, radius = Plummer(), 0.4
    centres = np.array([[1.0, 0.0, 0.5], [0.2, -0.3, 0.1]])
    mean = _natural(mean_density_in_ball(plummer.acceleration, centres, radius))
    rng = np.random.default_rng(2)
    direction = rng.normal(size=(200_000, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    inside = radius * rng.random((200_000, 1)) ** (1 / 3) * direction
    expected = [plummer.density(centre + inside).mean() for centre in centres]
    np.testing.assert_allclose(mean, expected, rtol=2e-3)
    # Negative control: the density at the centre of the ball is not its mean.
    assert not np.allclose(mean, plummer.density(centres), rtol=2e-3)


def test_natural_units_are_an_argument():
    plummer, centres = Plummer(), np.array([[1.0, 0.0, 0.5]])
    by_hand = _natural(mean_density_in_ball(plummer.acceleration, centres, 0.3))
    asked = mean_density_in_ball(plummer.acceleration, centres, 0.3, units=NATURAL)
    np.testing.assert_allclose(asked, by_hand, rtol=1e-12)


def test_the_names_of_the_units_are_units():
    assert u.Unit(GALACTIC.acceleration).is_equivalent(u.m / u.s**2)
    assert u.Unit(GALACTIC.acceleration) == (u.km / u.s) ** 2 / u.kpc
    assert GALACTIC.surface_per_column == pytest.approx(1000.0, rel=1e-12)
    assert (NATURAL.acceleration, NATURAL.surface, NATURAL.surface_per_column) == ("", "", 1.0)


def test_an_empty_field_has_no_mass():
    """A point mass outside the ball exerts no net flux."""

    def acceleration(x: np.ndarray) -> np.ndarray:
        separation = x - np.array([3.0, 0.0, 0.0])
        return -separation / np.linalg.norm(separation, axis=1, keepdims=True) ** 3

    inside = mean_density_in_ball(acceleration, np.zeros((1, 3)), 1.0, order=31)
    around = mean_density_in_ball(acceleration, np.array([[3.0, 0.0, 0.0]]), 1.0)
    assert abs(inside[0]) < 1e-9 * around[0]


def test_bad_balls_are_refused():
    for radius in (0.0, -1.0, float("nan")):
        with pytest.raises(DmMapError, match="radius"):
            mean_density_in_ball(Plummer().acceleration, np.zeros((1, 3)), radius)
    with pytest.raises(DmMapError, match="order 4"):
        mean_density_in_ball(Plummer().acceleration, np.zeros((1, 3)), 1.0, order=4)
