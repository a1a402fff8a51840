"""Laws of the local quantities: circular velocity, vertical force, surface density; published values."""

from __future__ import annotations

import numpy as np
import pytest
from astropy import units as u
from scipy.integrate import quad

from dm_map.errors import DmMapError, VolumeError
from dm_map.gravity import GEV_PER_CM3, NATURAL
from dm_map.local import (
    SUN_POSITION,
    circular_velocity,
    grid_RZ,
    meridional_points,
    surface_density,
    vertical_force,
)
from dm_map.maps import acceleration_map
from dm_map.mocks import Plummer
from dm_map.published import published_densities, published_table
from dm_map.volume import Ball

gala = pytest.importorskip("gala.potential")

KPC2 = (u.km / u.s) ** 2 / u.kpc


class Galaxy:
    """gala's Milky Way, with members of other masses if asked."""

    def __init__(self) -> None:
        self._potential = gala.MilkyWayPotential(version="v2")

    def acceleration(self, x: np.ndarray) -> np.ndarray:
        flat = np.reshape(x, (-1, 3))
        return self._potential.acceleration(flat.T * u.kpc).to_value(KPC2).T.reshape(x.shape)

    def density(self, x: np.ndarray) -> np.ndarray:
        flat = np.reshape(x, (-1, 3))
        return self._potential.density(flat.T * u.kpc).to_value(u.Msun / u.pc**3).reshape(x.shape[:-1])

    def speed(self, radius: np.ndarray) -> np.ndarray:
        at = np.stack([radius, 0 * radius, 0 * radius])
        return self._potential.circular_velocity(at * u.kpc).to_value(u.km / u.s)


class Weighed(Galaxy):
    """With members of 0.8 to 1.2 times the mass."""

    masses = np.linspace(0.8, 1.2, 9)

    def member_accelerations(self, x: np.ndarray) -> np.ndarray:
        return np.multiply.outer(self.masses, self.acceleration(x))

    def member_densities(self, x: np.ndarray) -> np.ndarray:
        return np.multiply.outer(self.masses, self.density(x))


def test_the_circular_velocity_is_galas():
    radius = np.linspace(5.0, 11.0, 7)
    np.testing.assert_allclose(circular_velocity(Galaxy(), radius).value, Galaxy().speed(radius), rtol=1e-9)


def test_the_circular_velocity_goes_with_the_root_of_the_mass():
    found = circular_velocity(Weighed(), np.array([8.122]))
    np.testing.assert_allclose(found.value, Galaxy().speed(np.array([8.122])), rtol=1e-9)
    np.testing.assert_allclose(found.members[0] / found.value, np.sqrt(0.8), rtol=1e-9)
    assert found.table().colnames == ["R", "v_c", "v_c_error", "v_c_low", "v_c_high"]
    assert str(found.table()["v_c"].unit) == "km / s"


def test_a_map_gives_the_same_as_its_field():
    points = meridional_points([7.0, 8.0, 9.0], 0.3)
    found = acceleration_map(Weighed(), points)
    from_map = circular_velocity(found)
    np.testing.assert_allclose(from_map.at, [7.0, 8.0, 9.0])
    np.testing.assert_allclose(
        from_map.members, circular_velocity(Weighed(), np.array([7.0, 8.0, 9.0]), z=0.3).members
    )
    np.testing.assert_array_equal(vertical_force(found).members, found.members[..., 2])


def test_the_vertical_force_points_to_the_plane():
    force = vertical_force(Galaxy(), np.array([-1.1, 1.1]))
    assert force.value[0] > 0 > force.value[1]
    np.testing.assert_allclose(force.value[0], -force.value[1], rtol=1e-9)


@pytest.mark.parametrize("height", [0.3, 1.1, 3.0])
def test_the_surface_density_is_the_column_of_the_density(height):
    """Poisson's equation in its integral form, without an approximation."""

    def column(z: float) -> float:
        return 2000.0 * float(Galaxy().density(np.array([-8.122, 0.0, z])))

    expected = quad(column, 0.0, height)[0]
    exact = surface_density(Weighed(), height)
    np.testing.assert_allclose(exact.value, expected, rtol=1e-4)
    np.testing.assert_allclose(exact.members[:, 0] / exact.value, Weighed.masses, rtol=1e-9)
    # Negative control: |K_z| / (2 pi G) alone is only near it.
    force = surface_density(Galaxy(), height, radial_term=False).value[0]
    assert 2e-3 < abs(force / expected - 1.0) < 0.15


def test_the_surface_density_of_a_sphere_in_natural_units():
    plummer = Plummer()
    expected = 2.0 * quad(lambda z: float(plummer.density(np.array([0.5, 0.0, z]))), 0.0, 1.5)[0]
    found = surface_density(plummer, 1.5, R=0.5, step=0.02, units=NATURAL)
    np.testing.assert_allclose(found.value, expected, rtol=1e-3)


def test_grids_are_meridional():
    grid = grid_RZ([7.0, 8.0], [-1.0, 0.0, 1.0])
    assert grid.shape == (2, 3, 3)
    np.testing.assert_allclose(grid[1, 2], [-8.0, 0.0, 1.0], atol=1e-12)
    turned = meridional_points(8.0, 0.5, azimuth=np.pi / 2)
    np.testing.assert_allclose(turned, [[0.0, 8.0, 0.5]], atol=1e-12)


def test_bad_questions_are_refused():
    near = Ball(SUN_POSITION, 1.0)
    with pytest.raises(VolumeError):
        circular_velocity(Galaxy(), np.array([8.0, 10.0]), volume=near)
    with pytest.raises(VolumeError):
        surface_density(Galaxy(), 0.95, volume=near)
    with pytest.raises(DmMapError, match="radii"):
        circular_velocity(Galaxy())
    with pytest.raises(DmMapError, match="negative"):
        meridional_points(-1.0, 0.0)
    with pytest.raises(DmMapError, match="broadcast"):
        meridional_points([1.0, 2.0], [0.0, 1.0, 2.0])
    for height in (0.0, -1.0, float("nan")):
        with pytest.raises(DmMapError, match="positive"):
            surface_density(Galaxy(), height)


def test_a_force_that_points_outwards_has_no_circular_orbit():
    class Repulsive(Galaxy):
        def acceleration(self, x: np.ndarray) -> np.ndarray:
            return -super().acceleration(x)

    with pytest.raises(DmMapError, match="outwards"):
        circular_velocity(Repulsive(), np.array([8.0]))


def test_published_values_are_consistent_in_both_units():
    table = published_table()
    np.testing.assert_allclose(table["rho_gev"], GEV_PER_CM3 * np.array(table["rho"]))
    for row in published_densities():
        assert row.low < row.high and (np.isnan(row.value) or row.low < row.value < row.high)
        assert row.arxiv[:4].isdigit() and row.arxiv[4] == "."
    years = [row.year for row in published_densities()]
    assert years == sorted(years)


def test_published_values_are_those_of_the_abstracts():
    """Where an abstract gives both units they agree within its rounding."""
    by_id = {row.arxiv: row for row in published_densities()}
    both = {
        "1205.4033": (0.3, 0.1),
        "2506.02956": (0.44, 0.13),
        "2406.08158": (0.486, 0.030),
    }
    for arxiv, (value, error) in both.items():
        row = by_id[arxiv]
        assert GEV_PER_CM3 * row.value == pytest.approx(value, abs=0.006)
        assert GEV_PER_CM3 * 0.5 * (row.high - row.low) == pytest.approx(error, abs=0.02)
