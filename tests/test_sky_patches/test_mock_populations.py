"""Laws of the mock's Galaxy: densities, velocities, the colour-magnitude ridge and the draws from them."""

from __future__ import annotations

import itertools

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import Galactocentric, SkyCoord, galactocentric_frame_defaults
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.integrate import fixed_quad

from sky_patches.mock.cone import Cone, Sightline
from sky_patches.mock.kinematics import draw_velocities, heliocentric, mean_velocities
from sky_patches.mock.populations import POPULATIONS, galactocentric_frame, galactocentric_positions
from sky_patches.mock.ridge import (
    absolute_magnitudes,
    distance_modulus,
    luminosity_count,
    ridge_colour,
    ridge_slope,
)

THIN, THICK, HALO = POPULATIONS
SUN = np.array([[-8.122, 0.0, 0.0208]])


def test_the_frame_is_astropys_v4() -> None:
    with galactocentric_frame_defaults.set("v4.0"):
        expected = Galactocentric()
    frame = galactocentric_frame()
    assert frame.is_equivalent_frame(expected)


def test_positions_agree_with_astropy() -> None:
    rng = np.random.default_rng(0)
    sky = SkyCoord(rng.uniform(0, 360, 50) * u.deg, np.degrees(np.arcsin(rng.uniform(-1, 1, 50))) * u.deg)
    distance = rng.uniform(0.1, 100.0, 50)
    expected = SkyCoord(sky.ra, sky.dec, distance * u.kpc).transform_to(galactocentric_frame())
    got = galactocentric_positions(sky.cartesian.xyz.value.T, distance[:, None])[:, 0]
    np.testing.assert_allclose(got, expected.cartesian.xyz.to_value(u.kpc).T, atol=1e-9)


@pytest.mark.parametrize("population", POPULATIONS, ids=lambda p: p.name)
def test_density_laws_are_one_at_the_sun(population) -> None:
    assert population.law(SUN)[0] == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("population", POPULATIONS, ids=lambda p: p.name)
def test_distances_follow_the_density_law(population) -> None:
    """Along a needle the distances follow rho d^2 N(d), integrated by another method."""
    needle = Sightline(population, Cone(153.0, 29.2, 0.01), 12.0, 20.2, 0.3, farthest=80.0)
    _, distance, _ = needle.draw(4000, np.random.default_rng(1))
    direction = SkyCoord(153.0 * u.deg, 29.2 * u.deg).cartesian.xyz.value[None]

    def rate(d: np.ndarray) -> np.ndarray:
        modulus = distance_modulus(d)
        seen = luminosity_count(20.2 - modulus) - luminosity_count(12.0 - modulus)
        return population.law(galactocentric_positions(direction, d[None]))[0] * d**2 * seen

    edges = np.quantile(distance, np.linspace(0.0, 1.0, 11))
    edges[0], edges[-1] = 0.3, 80.0
    weights = np.array([fixed_quad(rate, a, b, n=100)[0] for a, b in itertools.pairwise(edges)])
    counts = np.histogram(distance, edges)[0]
    assert stats.chisquare(counts, counts.sum() * weights / weights.sum()).pvalue > 1e-3
    # Negative control: without the volume factor the same comparison fails.
    wrong = weights / (0.5 * (edges[1:] + edges[:-1])) ** 2
    assert stats.chisquare(counts, counts.sum() * wrong / wrong.sum()).pvalue < 1e-6


def test_directions_follow_the_integrated_density() -> None:
    """In a wide cone at low latitude the counts on the sky are those of the integral, and not uniform."""
    line = Sightline(THICK, Cone(120.0, 20.0, 20.0), 12.0, 20.2, 0.3)
    xyz, _, _ = line.draw(6000, np.random.default_rng(2))
    sky = SkyCoord(*(xyz.T * u.kpc), frame=galactocentric_frame()).icrs
    centre = SkyCoord(120.0 * u.deg, 20.0 * u.deg)
    angle = centre.position_angle(sky).rad
    cap = (1.0 - np.cos(centre.separation(sky).rad)) / (1.0 - np.cos(np.radians(20.0)))
    counts = np.histogram2d(cap, angle, bins=[2, 8], range=[[0, 1], [0, 2 * np.pi]])[0].ravel()
    fine_cap, fine_angle = np.meshgrid(
        (np.arange(20) + 0.5) / 20, (np.arange(80) + 0.5) * 2 * np.pi / 80, indexing="ij"
    )
    fine = line.counts(fine_cap.ravel(), fine_angle.ravel()).reshape(2, 10, 8, 10)
    weights = fine.sum(axis=(1, 3)).ravel()
    assert stats.chisquare(counts, counts.sum() * weights / weights.sum()).pvalue > 1e-3
    assert stats.chisquare(counts).pvalue < 1e-6
    assert line.expected() == pytest.approx(line.cone.solid_angle * fine.mean(), rel=1e-3)


def test_thin_disc_rotates_as_expected() -> None:
    """Towards the Galactic pole the mean proper motion is the lag behind the Sun, by hand."""
    assert mean_velocities(THIN, SUN)[0] == pytest.approx([0.0, 214.0, 0.0])
    xyz = np.repeat(SUN + np.array([[0.0, 0.0, 1.0]]), 20_000, axis=0)
    stars = heliocentric(xyz, draw_velocities(THIN, xyz, np.random.default_rng(3)))
    mean = np.hypot(stars["pmra"].value.mean(), stars["pmdec"].value.mean())
    error = THIN.dispersions[0] / 4.74047 / np.sqrt(len(stars))
    assert mean == pytest.approx(np.hypot(214.0 - 245.6, 12.9) / 4.74047, abs=4 * error)


@pytest.mark.parametrize("population", POPULATIONS, ids=lambda p: p.name)
def test_velocity_ellipsoids(population) -> None:
    """Dispersions along the ellipsoid's axes, at a place where those axes are x, y and z."""
    in_plane = np.repeat([[10.0, 0.0, 0.0]], 20_000, axis=0)
    velocities = draw_velocities(population, in_plane, np.random.default_rng(4))
    first, second, third = population.dispersions
    # Spherical axes in the plane at y = 0: r = x, theta = -z, phi = y.
    expected = (first, third, second) if population.alignment == "spherical" else (first, second, third)
    np.testing.assert_allclose(velocities.std(axis=0), expected, rtol=0.03)


@given(st.floats(-2.9, 14.9), st.floats(-2.6, 0.3))
def test_ridge_slope_is_its_derivative(magnitude: float, feh: float) -> None:
    step = 1e-6
    below, above = ridge_colour(np.array([magnitude - step, magnitude + step]), feh)
    assert ridge_slope(np.array([magnitude]), feh)[0] == pytest.approx((above - below) / (2 * step), abs=1e-4)


@given(st.floats(-3.0, 15.0), st.floats(-2.5, 0.0), st.floats(0.05, 0.3))
def test_metal_rich_stars_are_redder(magnitude: float, feh: float, more: float) -> None:
    assert ridge_colour(np.array([magnitude]), feh + more)[0] > ridge_colour(np.array([magnitude]), feh)[0]


def test_turn_off_is_the_bluest_point() -> None:
    magnitude = np.linspace(-3.0, 8.0, 500)
    for feh in (-2.2, -1.5, -0.7, 0.0):
        assert 3.4 < magnitude[np.argmin(ridge_colour(magnitude, feh))] < 4.5


def test_magnitudes_follow_the_luminosity_function() -> None:
    low, high = np.full(5000, 2.0), np.full(5000, 7.0)
    drawn = absolute_magnitudes(low, high, np.random.default_rng(5))
    count = luminosity_count(np.array([2.0, 7.0]))
    uniform = (luminosity_count(drawn) - count[0]) / (count[1] - count[0])
    assert stats.kstest(uniform, "uniform").pvalue > 1e-3
    assert stats.kstest((drawn - 2.0) / 5.0, "uniform").pvalue < 1e-6
