"""Laws of the smoothed density: what accelerations give is the truth smoothed alike, to 1e-3."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from astropy import units as u

from dm_map.errors import DmMapError
from dm_map.gravity import (
    GALACTIC,
    GRAVITATIONAL_CONSTANT,
    NATURAL,
    BallMean,
    GaussianKernel,
    GravityUnits,
    Pointwise,
    ball_smoothed,
    kernel_density,
    kernel_smoothed,
    mean_density_in_ball,
    smoothing_from,
)
from dm_map.gravity.autograd import density_of_acceleration, density_of_potential
from dm_map.mocks import Plummer

gala = pytest.importorskip("gala.potential")

SUN = np.array([-8.122, 0.0, 0.0208])


class GalaField:
    """Accelerations and densities of a gala potential in this package's units."""

    def __init__(self, potential) -> None:
        self._potential = potential

    def acceleration(self, x: np.ndarray) -> np.ndarray:
        unit = (u.km / u.s) ** 2 / u.kpc
        return self._potential.acceleration(x.T * u.kpc).to_value(unit).T

    def density(self, x: np.ndarray) -> np.ndarray:
        return self._potential.density(x.T * u.kpc).to_value(u.Msun / u.pc**3)


def _cases() -> dict[str, tuple[object, np.ndarray, GravityUnits]]:
    rng = np.random.default_rng(3)
    near_sun = SUN + rng.uniform(-2.0, 2.0, (12, 3))
    near_sun[:2, 2] = 0.0
    disc = gala.MiyamotoNagaiPotential(6e10 * u.Msun, 3.0 * u.kpc, 0.28 * u.kpc, units="galactic")
    return {
        "plummer": (Plummer(), rng.normal(size=(12, 3)), NATURAL),
        "miyamoto-nagai": (GalaField(disc), near_sun, GALACTIC),
        "milky way": (GalaField(gala.MilkyWayPotential(version="v2")), near_sun, GALACTIC),
    }


CASES = _cases()
cases = pytest.mark.parametrize("name", CASES)


@cases
@pytest.mark.parametrize("width", [0.2, (0.4, 0.4, 0.15)])
def test_the_kernel_density_is_the_smoothed_truth(name, width):
    field, x, units = CASES[name]
    found = kernel_density(field.acceleration, x, width, units=units)
    np.testing.assert_allclose(found, kernel_smoothed(field.density, x, width, order=11), rtol=1e-3)
    # Negative control: the truth itself is another thing.
    assert not np.allclose(found, field.density(x), rtol=5e-3)


@cases
@pytest.mark.parametrize("radius", [0.15, 0.4])
def test_the_ball_density_is_the_smoothed_truth(name, radius):
    field, x, units = CASES[name]
    found = mean_density_in_ball(field.acceleration, x, radius, order=31, units=units)
    np.testing.assert_allclose(found, ball_smoothed(field.density, x, radius), rtol=1e-3)


def test_a_narrow_kernel_and_a_small_ball_give_the_truth():
    plummer, x = Plummer(), np.array([[0.5, 0.2, -0.4], [2.0, 0.0, 0.0]])
    truth = plummer.density(x)
    for smoothing in (BallMean(0.01), GaussianKernel((0.01, 0.01, 0.01))):
        np.testing.assert_allclose(
            smoothing.from_acceleration(plummer.acceleration, x, NATURAL), truth, rtol=1e-3
        )
        np.testing.assert_allclose(smoothing.smooth(plummer.density, x), truth, rtol=1e-3)


def test_a_uniform_density_is_found_exactly_by_the_coarsest_kernel():
    def acceleration(x: np.ndarray) -> np.ndarray:
        return -4 / 3 * np.pi * GRAVITATIONAL_CONSTANT * 0.1e9 * (x - SUN)

    found = kernel_density(acceleration, SUN[None] + 0.3, (0.5, 0.2, 0.1), radii=1, order=3)
    np.testing.assert_allclose(found, 0.1, rtol=1e-12)


def test_members_come_along():
    plummer, x = Plummer(), np.array([[0.5, 0.2, -0.4], [1.0, 1.0, 0.0], [0.1, 0.0, 0.3]])

    def members(near: np.ndarray) -> np.ndarray:
        return np.stack([plummer.acceleration(near), 2.0 * plummer.acceleration(near)])

    for smoothing in (BallMean(0.2), GaussianKernel((0.2, 0.2, 0.2))):
        both = smoothing.from_acceleration(members, x, NATURAL)
        one = smoothing.from_acceleration(plummer.acceleration, x, NATURAL)
        np.testing.assert_allclose(both, [one, 2.0 * one], rtol=1e-12)


def test_many_positions_are_the_same_as_one_by_one():
    """Positions go through in pieces; no piece may leak into another."""
    plummer, x = Plummer(), np.random.default_rng(4).normal(size=(50, 3))
    together = kernel_density(plummer.acceleration, x, 0.3, units=NATURAL)
    alone = [kernel_density(plummer.acceleration, row[None], 0.3, units=NATURAL)[0] for row in x]
    np.testing.assert_allclose(together, alone, rtol=1e-12)
    assert kernel_density(plummer.acceleration, np.empty((0, 3)), 0.3).shape == (0,)


def test_a_smoothing_survives_json():
    for smoothing in (Pointwise(), BallMean(0.3, 31), GaussianKernel((0.3, 0.2, 0.1), 8, 23)):
        assert smoothing_from(smoothing.to_dict()) == smoothing
    with pytest.raises(DmMapError, match="'tophat'"):
        smoothing_from({"kind": "tophat"})


def test_bad_smoothings_are_refused():
    plummer, x = Plummer(), np.zeros((1, 3))
    for width in (0.0, -1.0, float("nan"), (0.1, 0.1), (0.1, 0.1, -0.1)):
        with pytest.raises(DmMapError, match="width"):
            kernel_density(plummer.acceleration, x, width)
        with pytest.raises(DmMapError, match="width"):
            kernel_smoothed(plummer.density, x, width)
    with pytest.raises(DmMapError, match="radius"):
        ball_smoothed(plummer.density, x, 0.0)
    with pytest.raises(DmMapError, match="radii"):
        kernel_density(plummer.acceleration, x, 0.1, radii=0)
    with pytest.raises(DmMapError, match="BallMean"):
        Pointwise().from_acceleration(plummer.acceleration, x)


def _torch_potential(x: torch.Tensor) -> torch.Tensor:
    return -1.0 / torch.sqrt(1.0 + (x**2).sum(dim=1))


def _torch_acceleration(x: torch.Tensor) -> torch.Tensor:
    return -x * (1.0 + (x**2).sum(dim=1, keepdim=True)) ** -1.5


def test_automatic_differentiation_gives_the_density():
    x = np.random.default_rng(5).normal(size=(200, 3))
    truth = Plummer().density(x)
    by_divergence = density_of_acceleration(_torch_acceleration, x, units=NATURAL, at_once=64)
    by_laplacian = density_of_potential(_torch_potential, x, units=NATURAL, at_once=64)
    np.testing.assert_allclose(by_divergence, truth, rtol=1e-11)
    np.testing.assert_allclose(by_laplacian, truth, rtol=1e-11)


def test_a_field_that_does_not_depend_on_the_position_has_no_mass():
    found = density_of_acceleration(lambda x: torch.ones_like(x) + 0.0 * x, np.zeros((3, 3)), units=NATURAL)
    np.testing.assert_array_equal(found, 0.0)


def test_torch_functions_of_another_shape_are_refused():
    with pytest.raises(DmMapError, match=r"\(2,\)"):
        density_of_potential(lambda x: _torch_potential(x).sum(), np.zeros((2, 3)))
    with pytest.raises(DmMapError, match=r"\(2, 3\)"):
        density_of_acceleration(_torch_potential, np.zeros((2, 3)))
