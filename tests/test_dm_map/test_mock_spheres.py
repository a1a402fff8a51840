"""Laws of the anisotropic Plummer and the Hernquist mock: normalisation, moments, and draws."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate, stats

from dm_map.errors import MockError, VolumeError
from dm_map.mocks import Hernquist, OsipkovMerrittPlummer, Plummer

HERNQUIST = Hernquist()
RADII = [0.8, 1.0, 2.0]


def _velocity_integral(mock, radius: float) -> float:
    """The integral of f over velocities: speed by quadrature, angle to the radius by Gauss-Legendre."""
    x = np.array([radius, 0.0, 0.0])
    cosine, weight = np.polynomial.legendre.leggauss(60)
    sine = np.sqrt(1 - cosine**2)

    def shell(speed: float) -> float:
        v = speed * np.stack([cosine, sine, np.zeros_like(cosine)], axis=-1)
        f = np.exp(mock.log_density(np.broadcast_to(x, v.shape), v))
        return float(2 * np.pi * speed**2 * np.sum(weight * f))

    limit = float(np.sqrt(-2 * mock.potential(x)))
    return integrate.quad(shell, 0, limit, limit=200)[0]


@pytest.mark.parametrize("radius", [0.01, 0.7, 3.0, 30.0])
def test_the_velocity_integral_of_hernquists_f_is_the_density(radius):
    expected = float(HERNQUIST.density(np.array([radius, 0.0, 0.0])))
    assert _velocity_integral(HERNQUIST, radius) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("anisotropy_radius", RADII)
@pytest.mark.parametrize("radius", [0.1, 0.7, 3.0])
def test_the_velocity_integral_of_the_anisotropic_f_is_the_density(anisotropy_radius, radius):
    mock = OsipkovMerrittPlummer(anisotropy_radius)
    expected = float(mock.density(np.array([radius, 0.0, 0.0])))
    assert _velocity_integral(mock, radius) == pytest.approx(expected, rel=1e-3)


def test_far_from_the_bound_the_anisotropic_sphere_is_isotropic():
    x, v = np.array([[0.5, 0.2, -0.3]]), np.array([[0.3, -0.4, 0.1]])
    far = OsipkovMerrittPlummer(1e6)
    assert far.log_density(x, v) == pytest.approx(Plummer().log_density(x, v), abs=1e-9)
    for mine, theirs in zip(far.scores(x, v), Plummer().scores(x, v), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-9)


@pytest.mark.statistical
@pytest.mark.parametrize("anisotropy_radius", RADII)
def test_the_anisotropy_of_the_draws_is_the_models(anisotropy_radius):
    mock = OsipkovMerrittPlummer(anisotropy_radius)
    n, radius = 100_000, 1.0
    x = np.tile([radius, 0.0, 0.0], (n, 1))
    v = mock.sample_velocities(x, seed=1)
    radial, tangential = np.var(v[:, 0]), 0.5 * (np.var(v[:, 1]) + np.var(v[:, 2]))
    beta = float(mock.anisotropy(np.array(radius)))
    assert tangential / radial == pytest.approx(1 - beta, abs=0.02)
    # Negative control: an isotropic sample has another ratio.
    isotropic = Plummer().sample_velocities(x, seed=1)
    assert abs(np.var(isotropic[:, 1]) / np.var(isotropic[:, 0]) - (1 - beta)) > 0.1


@pytest.mark.statistical
def test_anisotropic_draws_satisfy_the_virial_theorem():
    sample = OsipkovMerrittPlummer(0.8).sample(50_000, seed=2, radius=1e6)
    kinetic = np.mean(np.sum(sample.v**2, axis=1))
    virial = -np.mean(np.sum(sample.x * Plummer().acceleration(sample.x), axis=1))
    assert kinetic == pytest.approx(virial, rel=0.02)


@pytest.mark.statistical
def test_hernquist_radii_follow_the_mass_profile():
    radius = np.linalg.norm(HERNQUIST.sample(20_000, seed=3, radius=5.0).x, axis=1)
    share = HERNQUIST.mass_within(np.array(5.0))
    assert stats.kstest(radius, lambda r: HERNQUIST.mass_within(r) / share).pvalue > 1e-3
    # Negative control: 5 % larger.
    assert stats.kstest(1.05 * radius, lambda r: HERNQUIST.mass_within(r) / share).pvalue < 1e-3


@pytest.mark.statistical
@pytest.mark.parametrize("radius", [0.001, 0.1, 1.0, 20.0])
def test_hernquist_draws_have_the_dispersion_of_jeans_equation(radius):
    n = 60_000
    v = HERNQUIST.sample_velocities(np.tile([0.0, radius, 0.0], (n, 1)), seed=4)
    expected = float(HERNQUIST.radial_dispersion(np.array(radius)))
    spread = np.sqrt(np.mean(v**2, axis=0))
    # Standard error of a mean square, from the draws themselves.
    error = np.std(v**2, axis=0) / np.sqrt(n) / (2 * expected)
    assert np.all(np.abs(spread - expected) < 4.5 * error)
    # Negative control: 10 % hotter.
    assert np.all(np.abs(1.1 * spread - expected) > 4.5 * error)


@pytest.mark.statistical
def test_hernquist_speeds_follow_f_in_the_bulk_and_in_the_tail():
    n, x = 20_000, np.array([0.3, 0.0, 0.0])
    speed = np.linalg.norm(HERNQUIST.sample_velocities(np.tile(x, (n, 1)), seed=5), axis=1)
    grid = np.linspace(0, float(np.sqrt(-2 * HERNQUIST.potential(x))), 4001)
    v = np.stack([0 * grid, grid, 0 * grid], axis=-1)
    law = grid**2 * np.exp(HERNQUIST.log_density(np.broadcast_to(x, v.shape), v))
    cumulative = integrate.cumulative_trapezoid(law, grid, initial=0)
    assert stats.kstest(speed, lambda s: np.interp(s, grid, cumulative / cumulative[-1])).pvalue > 1e-3
    assert stats.kstest(1.03 * speed, lambda s: np.interp(s, grid, cumulative / cumulative[-1])).pvalue < 1e-3


def test_the_series_and_the_closed_form_of_f_meet():
    """ln f and its slope are smooth across the angle at which one takes over from the other."""
    binding = np.sin(0.3) ** 2 * (1 + np.array([-1e-9, 1e-9]))
    speed = np.sqrt(2 * (0.5 - binding))
    v = np.stack([speed, 0 * speed, 0 * speed], axis=-1)
    x = np.broadcast_to([1.0, 0.0, 0.0], v.shape)
    below, above = HERNQUIST.log_density(x, v)
    assert above == pytest.approx(below, abs=1e-7)
    s_v = HERNQUIST.scores(x, v)[1]
    np.testing.assert_allclose(s_v[0], s_v[1], rtol=1e-7)


def test_impossible_spheres_and_velocities_are_refused():
    with pytest.raises(MockError, match=r"0\.5"):
        OsipkovMerrittPlummer(0.5)
    fast = (np.array([[1.0, 0.0, 0.0]]), np.array([[0.0, 2.0, 0.0]]))
    with pytest.raises(MockError, match="f = 0"):
        OsipkovMerrittPlummer().scores(*fast)
    with pytest.raises(MockError, match="not bound"):
        HERNQUIST.scores(*fast)
    assert HERNQUIST.log_density(*fast) == -np.inf == OsipkovMerrittPlummer().log_density(*fast)
    with pytest.raises(VolumeError, match="-1"):
        Plummer().sample(10, seed=0, radius=-1.0)
