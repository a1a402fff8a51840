"""Laws of the profile fits: a profile is found again, with errors that cover."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad

from dm_map.errors import DmMapError
from dm_map.maps import DensityMap
from dm_map.profiles import (
    Burkert,
    GeneralizedNFW,
    PseudoIsothermal,
    RadialProfile,
    fit_profile,
    spherical_average,
)
from dm_map.volume import Ball

R = np.linspace(5.5, 11.0, 8)
LOCAL = 0.0105
TRUE = {
    "nfw": (GeneralizedNFW(), (LOCAL, 15.6, 1.0), {"scale": 15.6}),
    "burkert": (Burkert(), (LOCAL, 9.0), {}),
    "isothermal": (PseudoIsothermal(), (LOCAL, 4.0), {}),
}
families = pytest.mark.parametrize("name", TRUE)


def _points(name: str, rng: np.random.Generator, scatter: float = 0.05, members: int = 40) -> RadialProfile:
    """A common error and one for each shell, both in the value and among the members about it."""
    family, values, _ = TRUE[name]
    truth = family.density(R, np.array(values))

    def noise(rows: int) -> np.ndarray:
        return scatter * (0.5 * rng.normal(size=(rows, 1)) + rng.normal(size=(rows, len(R))))

    return RadialProfile(R, truth * (1.0 + noise(1) + noise(members)), np.full(len(R), 10))


@families
def test_a_profile_is_found_again(name):
    family, values, fixed = TRUE[name]
    found = fit_profile(_points(name, np.random.default_rng(0), scatter=1e-4), family, fixed=fixed)
    np.testing.assert_allclose(found.values, values, rtol=0.01)
    np.testing.assert_allclose(found.local.value, LOCAL, rtol=1e-3)
    assert found.dof == len(R) - len(values) + len(fixed)


@pytest.mark.statistical
def test_the_local_value_is_covered():
    family, _, _ = TRUE["burkert"]
    rng, runs = np.random.default_rng(1), 40
    held, narrow, chi2 = [], [], []
    for _ in range(runs):
        found = fit_profile(_points("burkert", rng, members=24), family)
        for level, kept in ((0.68, held), (0.1, narrow)):
            low, high = found.local.interval(level)
            kept.append(bool(low[0] <= LOCAL <= high[0]))
        chi2.append(found.chi2 / found.dof)
    # Binomial, three standard errors to either side.
    assert np.mean(held) == pytest.approx(0.68, abs=3 * np.sqrt(0.68 * 0.32 / runs))
    # Negative control: a narrow interval does not cover as much.
    assert np.mean(narrow) < 0.68 - 3 * np.sqrt(0.68 * 0.32 / runs)
    assert 0.6 < np.mean(chi2) < 1.6


def test_the_wrong_family_fits_worse():
    """Negative control: chi^2 can tell."""
    points = _points("nfw", np.random.default_rng(2), scatter=0.003)
    right = fit_profile(points, GeneralizedNFW(), fixed={"scale": 15.6})
    wrong = fit_profile(points, GeneralizedNFW(), fixed={"scale": 15.6, "gamma": 0.0})
    assert right.probability > 1e-3 and wrong.probability < 1e-6


def test_a_prior_holds_what_the_points_do_not():
    points = _points("nfw", np.random.default_rng(3))
    found = fit_profile(points, GeneralizedNFW(), priors={"scale": (15.6, 1.0)})
    assert found.values[1] == pytest.approx(15.6, abs=0.5)
    assert found.errors[1] == pytest.approx(1.0, rel=0.1)
    assert found.dof == len(R) + 1 - 3


@families
def test_profiles_have_their_local_density_at_the_sun(name):
    family, values, _ = TRUE[name]
    assert family.density(np.array([8.122]), np.array(values))[0] == pytest.approx(LOCAL, rel=1e-12)
    assert np.all(np.diff(family.density(R, np.array(values))) < 0)


def test_the_families_have_their_slopes():
    def slope(family, values, radius: float) -> float:
        near = family.density(np.array([radius, 1.001 * radius]), np.array(values))
        return float(np.diff(np.log(near))[0] / np.log(1.001))

    nfw, values = GeneralizedNFW(), (LOCAL, 10.0, 1.4)
    assert slope(nfw, values, 1e-3) == pytest.approx(-1.4, abs=0.01)
    assert slope(nfw, values, 1e5) == pytest.approx(-3.0, abs=0.01)
    assert slope(Burkert(), (LOCAL, 5.0), 1e5) == pytest.approx(-3.0, abs=0.01)
    assert slope(PseudoIsothermal(), (LOCAL, 5.0), 1e5) == pytest.approx(-2.0, abs=0.01)
    for cored in (Burkert(), PseudoIsothermal()):
        assert slope(cored, (LOCAL, 5.0), 1e-3) == pytest.approx(0.0, abs=0.01)


def test_the_spherical_average_is_that_of_the_density():
    family, values, _ = TRUE["nfw"]
    x = Ball((-8.122, 0.0, 0.0), 3.0).uniform(20_000, 4)
    rho = family.density(np.linalg.norm(x, axis=1), np.array(values))
    points = spherical_average(
        DensityMap(x, np.stack([rho, rho, 1.1 * rho]), ("a", "b", "c"), "dark matter"),
        np.array([7.0, 8.0, 9.0]),
    )
    # Positions of a ball fill a shell more evenly than they sample r^2: the mean lies within one per cent.
    for found, low, high in zip(points.value, (7.0, 8.0), (8.0, 9.0), strict=True):
        inside = quad(lambda r: r**2 * float(family.density(np.array([r]), np.array(values))[0]), low, high)[
            0
        ]
        assert found == pytest.approx(inside / ((high**3 - low**3) / 3.0), rel=0.01)
    assert points.table()["positions"].sum() == points.count.sum() < len(x)


def test_positions_near_the_plane_are_left_out():
    x = np.array([[-8.0, 0.0, 0.1], [-8.0, 0.0, 1.5], [-8.0, 0.0, -1.5]])
    found = DensityMap(x, np.array([[9.0, 1.0, 1.0], [9.0, 1.2, 1.0]]), ("a", "b"))
    kept = spherical_average(found, np.array([7.5, 8.5]), min_height=1.0)
    np.testing.assert_allclose(kept.members[:, 0], [1.0, 1.1])
    assert kept.count[0] == 2


def test_the_covariance_is_that_of_many_members():
    rng = np.random.default_rng(5)
    root = np.array([[1.0, 0.0], [0.8, 0.6]])
    points = RadialProfile(R[:2], 5.0 + rng.normal(size=(20_000, 2)) @ root.T, np.ones(2, dtype=int))
    np.testing.assert_allclose(points.covariance, root @ root.T, atol=0.03)
    few = RadialProfile(R, 5.0 + rng.normal(size=(4, len(R))), np.ones(len(R), dtype=int))
    assert np.linalg.eigvalsh(few.covariance).min() > 0
    np.testing.assert_allclose(np.diag(few.covariance), few.deviation**2)


def test_bad_fits_are_refused():
    points = _points("nfw", np.random.default_rng(6))
    with pytest.raises(DmMapError, match="'core'"):
        fit_profile(points, GeneralizedNFW(), fixed={"core": 1.0})
    with pytest.raises(DmMapError, match=r"between 0 and 2\.99"):
        fit_profile(points, GeneralizedNFW(), fixed={"gamma": 3.5})
    with pytest.raises(DmMapError, match="prior"):
        fit_profile(points, Burkert(), priors={"core": (9.0, 0.0)})
    two = RadialProfile(R[:2], points.members[:, :2], np.ones(2, dtype=int))
    with pytest.raises(DmMapError, match="2 points"):
        fit_profile(two, GeneralizedNFW())
    exact = RadialProfile(R, np.tile(points.value, (3, 1)), np.ones(len(R), dtype=int))
    with pytest.raises(DmMapError, match="agree exactly"):
        fit_profile(exact, Burkert())
    found = DensityMap(np.array([[-8.0, 0.0, 0.0]]), np.ones((2, 1)), ("a", "b"))
    with pytest.raises(DmMapError, match="between r = 9 and 10"):
        spherical_average(found, np.array([7.0, 9.0, 10.0]))
    with pytest.raises(DmMapError, match="increasing"):
        spherical_average(found, np.array([9.0, 7.0]))
