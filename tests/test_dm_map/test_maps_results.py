"""Laws of the maps: never a value without its error, and intervals that hold what they say."""

from __future__ import annotations

import numpy as np
import pytest

from dm_map.errors import DmMapError, VolumeError
from dm_map.gravity import GEV_PER_CM3, NATURAL, BallMean, GaussianKernel
from dm_map.maps import AccelerationMap, DensityMap, acceleration_map, density_map
from dm_map.maps.members import check_members
from dm_map.mocks import Plummer
from dm_map.volume import Ball


class Scaled:
    """A Plummer field of several masses: a fitted potential with members."""

    def __init__(self, masses: np.ndarray) -> None:
        self._masses, self._one = masses, Plummer()

    def acceleration(self, x: np.ndarray) -> np.ndarray:
        return self._one.acceleration(x)

    def density(self, x: np.ndarray) -> np.ndarray:
        return self._one.density(x)

    def member_accelerations(self, x: np.ndarray) -> np.ndarray:
        return np.stack([mass * self._one.acceleration(x) for mass in self._masses])

    def member_densities(self, x: np.ndarray) -> np.ndarray:
        return np.stack([mass * self._one.density(x) for mass in self._masses])


X = np.random.default_rng(0).normal(size=(6, 3))


def _density(members: np.ndarray) -> DensityMap:
    return DensityMap(np.zeros((members.shape[1], 3)), members, ("bootstrap",) * len(members))


def test_value_and_error_scale_with_the_members():
    masses = np.random.default_rng(1).normal(1.0, 0.1, 41)
    found = acceleration_map(Scaled(masses), X, units=NATURAL)
    np.testing.assert_allclose(found.value, np.median(masses) * Plummer().acceleration(X), rtol=1e-12)
    relative = found.error / np.abs(found.value)
    np.testing.assert_allclose(relative, relative[0, 0], rtol=1e-10)
    np.testing.assert_allclose(found.relative_error, relative[0, 0], rtol=1e-10)
    rho = density_map(Scaled(masses), X, units=NATURAL)
    np.testing.assert_allclose(rho.relative_error, relative[0, 0], rtol=1e-10)


@pytest.mark.statistical
@pytest.mark.parametrize("members", [6, 12, 40])
def test_an_interval_holds_a_further_draw_as_often_as_it_says(members):
    rng = np.random.default_rng(2)
    low, high = _density(rng.gamma(2.0, size=(members, 40_000))).interval(0.68)
    further = rng.gamma(2.0, size=40_000)
    assert np.mean((low < further) & (further < high)) == pytest.approx(0.68, abs=0.01)
    # Negative control: a narrower interval does not.
    low, high = _density(rng.gamma(2.0, size=(members, 40_000))).interval(0.5)
    assert abs(np.mean((low < further) & (further < high)) - 0.68) > 0.1


def test_the_error_of_gaussian_members_is_their_standard_deviation():
    found = _density(np.random.default_rng(3).normal(5.0, 0.3, (4000, 50)))
    np.testing.assert_allclose(found.error.mean(), 0.3, rtol=0.01)
    np.testing.assert_allclose(found.deviation.mean(), 0.3, rtol=0.01)


def test_an_exact_field_has_no_error():
    found = density_map(Plummer(), X, units=NATURAL)
    np.testing.assert_array_equal(found.value, Plummer().density(X))
    np.testing.assert_array_equal(found.error, 0.0)
    assert set(found.sources) == {"exact"}


@pytest.mark.parametrize("smoothing", [BallMean(0.3), GaussianKernel((0.2, 0.2, 0.2))])
def test_a_smoothed_map_is_the_truth_smoothed_alike(smoothing):
    found = density_map(Scaled(np.array([0.9, 1.0, 1.1])), X, smoothing, units=NATURAL)
    np.testing.assert_allclose(found.value, smoothing.smooth(Plummer().density, X), rtol=1e-3)
    assert found.smoothing == smoothing


def test_the_volume_counts_the_smoothing():
    field, ball, x = Plummer(), Ball((0.0, 0.0, 0.0), 2.0), np.array([[1.8, 0.0, 0.0]])
    assert len(density_map(field, x, volume=ball, units=NATURAL).value) == 1
    with pytest.raises(VolumeError, match="smoothing volume"):
        density_map(field, x, BallMean(0.3), volume=ball, units=NATURAL)
    with pytest.raises(VolumeError):
        density_map(field, x, BallMean(2.5), volume=ball, units=NATURAL)
    with pytest.raises(VolumeError):
        acceleration_map(field, 2.0 * x, volume=ball, units=NATURAL)


def test_members_are_selected_by_what_they_vary():
    members = np.arange(10.0).reshape(5, 2)
    found = DensityMap(np.zeros((2, 3)), members, ("training",) * 2 + ("bootstrap",) * 3)
    np.testing.assert_array_equal(found.select("training").members, members[:2])
    assert found.select("bootstrap").sources == ("bootstrap",) * 3
    with pytest.raises(DmMapError, match="'measurement'"):
        found.select("measurement")


def test_densities_in_the_unit_of_direct_detection():
    found = _density(np.full((3, 2), 0.01)).in_gev()
    np.testing.assert_allclose(found.value, 0.01 * GEV_PER_CM3)
    assert found.unit == "GeV/cm3"
    with pytest.raises(DmMapError, match="GeV"):
        found.in_gev()


def test_a_value_without_an_error_is_refused():
    with pytest.raises(DmMapError, match="two members"):
        _density(np.ones((1, 4)))
    with pytest.raises(DmMapError, match="member 1 at"):
        _density(np.array([[1.0, 1.0], [1.0, np.nan], [1.0, 1.0]]))
    with pytest.raises(DmMapError, match="names"):
        AccelerationMap(X, np.zeros((2, 6, 3)), ("training",))
    # The shape checker of the tests would answer before the constructor does.
    with pytest.raises(DmMapError, match=r"shape \(m, 6\); got \(2, 5\)"):
        check_members(np.zeros((2, 5)), (6,), "a mass density")
    for level in (0.0, 1.0, float("nan")):
        with pytest.raises(DmMapError, match="level"):
            _density(np.ones((3, 2))).interval(level)
