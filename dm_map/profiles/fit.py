"""Fits of halo profiles to rho(r), with the covariance of the points and an interval from every member."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.optimize import least_squares
from scipy.stats import chi2 as chi2_distribution

from dm_map.errors import DmMapError
from dm_map.maps import Curve
from dm_map.profiles.models import HaloProfile
from dm_map.profiles.radial import RadialProfile

__all__ = ["ProfileFit", "fit_profile"]


@dataclass(frozen=True, eq=False)
class ProfileFit:
    """The best profile of a family.

    Attributes:
        profile: The family.
        values: Best parameters, in the order of `profile.parameters`.
        covariance: Their covariance by the curvature of chi^2; zero for those held fixed, and an
            underestimate for those at a bound. With few members it is too large, as the shrunk covariance of
            the points is: quote the members.
        members: Parameters fitted to each member, shape (m, k).
        chi2: Chi^2 at the best parameters, priors included.
        dof: Points and priors less free parameters.
        unit: Name of the unit of densities.
    """

    profile: HaloProfile
    values: Float[np.ndarray, " k"]
    covariance: Float[np.ndarray, "k k"]
    members: Float[np.ndarray, "m k"]
    chi2: float
    dof: int
    unit: str

    @property
    def errors(self) -> Float[np.ndarray, " k"]:
        """Standard errors of the parameters by the curvature."""
        return np.sqrt(np.diag(self.covariance))

    @property
    def probability(self) -> float:
        """Probability of a larger chi^2 if the family is right; NaN without a degree of freedom."""
        return float(chi2_distribution.sf(self.chi2, self.dof)) if self.dof > 0 else float("nan")

    @property
    def local(self) -> Curve:
        """The density at the family's radius (the Sun's)."""
        return self.density(np.array([self.profile.radius]))

    def density(self, r: Float[np.ndarray, " p"]) -> Curve:
        """The density at spherical radii (kpc) by the fit to every member."""
        rows = np.array([self.profile.density(r, member) for member in self.members])
        return Curve("rho", "r", r, rows, "kpc", self.unit)


def fit_profile(
    points: RadialProfile,
    profile: HaloProfile,
    *,
    fixed: Mapping[str, float] | None = None,
    priors: Mapping[str, tuple[float, float]] | None = None,
) -> ProfileFit:
    """Fit a family of profiles by generalised least squares, to the median and again to every member.

    Within a few kpc of the Sun the scale radius is hardly constrained: hold it fixed, or give it a prior.

    Args:
        points: rho(r) with members.
        profile: The family.
        fixed: Parameters held at a value.
        priors: Gaussian priors, (mean, standard deviation), by parameter. A prior does not scatter over the
            members, so that their intervals leave its width out; `covariance` holds it.

    Raises:
        DmMapError: no such parameter, a value out of its bounds, fewer points than free parameters, or
            points whose covariance is singular.
    """
    fixed, priors = dict(fixed or {}), dict(priors or {})
    _check(points, profile, fixed, priors)
    # Whitened, the points are independent and of unit error.
    try:
        whiten = np.linalg.inv(np.linalg.cholesky(points.covariance))
    except np.linalg.LinAlgError as error:
        raise DmMapError(
            f"the covariance of the {len(points.r)} points of the profile is singular: their "
            f"{len(points.members)} members are too few or repeat each other; use more, or fewer points"
        ) from error
    problem = _Problem(points.r, whiten, profile, fixed, priors)
    best, jacobian, chi2 = problem.solve(points.value, None)
    members = np.array([problem.solve(member, best)[0] for member in points.members])
    covariance = np.zeros((len(best), len(best)))
    free = problem.free
    covariance[np.ix_(free, free)] = np.linalg.pinv(jacobian.T @ jacobian)
    dof = len(points.r) + len(priors) - len(free)
    return ProfileFit(profile, best, covariance, members, chi2, dof, points.unit)


@dataclass(frozen=True, eq=False)
class _Problem:
    r: np.ndarray
    whiten: np.ndarray
    profile: HaloProfile
    fixed: Mapping[str, float]
    priors: Mapping[str, tuple[float, float]]

    @property
    def free(self) -> list[int]:
        return [i for i, name in enumerate(self.profile.parameters) if name not in self.fixed]

    def solve(self, rho: np.ndarray, start: np.ndarray | None) -> tuple[np.ndarray, np.ndarray, float]:
        """Best parameters, Jacobian of the whitened residuals in the free ones, chi^2."""
        names, free = self.profile.parameters, self.free
        middle = float(rho[np.argmin(np.abs(self.r - self.profile.radius))])
        whole = np.array([middle, *self.profile.start]) if start is None else start.copy()
        whole[[i for i in range(len(names)) if i not in free]] = [
            self.fixed[name] for name in names if name in self.fixed
        ]
        limits = np.array([(-np.inf, np.inf), *self.profile.bounds])[free]
        size = np.maximum(np.abs(whole[free]), 1e-12)

        def residual(scaled: np.ndarray) -> np.ndarray:
            now = whole.copy()
            now[free] = scaled * size
            left = self.whiten @ (self.profile.density(self.r, now) - rho)
            pulls = [(now[names.index(name)] - mean) / error for name, (mean, error) in self.priors.items()]
            return np.concatenate([left, pulls])

        low, high = limits[:, 0] / size, limits[:, 1] / size
        answer = least_squares(residual, np.clip(whole[free] / size, low, high), bounds=(low, high))
        whole[free] = answer.x * size
        return whole, answer.jac / size, float(2.0 * answer.cost)


def _check(
    points: RadialProfile,
    profile: HaloProfile,
    fixed: Mapping[str, float],
    priors: Mapping[str, tuple[float, float]],
) -> None:
    names = profile.parameters
    limits = dict(zip(names[1:], profile.bounds, strict=True))
    for name in (*fixed, *priors):
        if name not in names:
            raise DmMapError(f"{type(profile).__name__} has the parameters {names}; got {name!r}")
    for name, value in fixed.items():
        low, high = limits.get(name, (-np.inf, np.inf))
        if not low <= value <= high:
            raise DmMapError(f"{name!r} lies between {low:g} and {high:g}; got {value:g}")
    for name, (_, error) in priors.items():
        if name in fixed or not error > 0:
            raise DmMapError(f"a prior of {name!r} has a positive width, and none where it is held fixed")
    free = len(names) - len(fixed)
    if len(points.r) + len(priors) < free or free == 0:
        raise DmMapError(
            f"{len(points.r)} points and {len(priors)} priors do not fix {free} free parameters; average in "
            "more shells, hold a parameter fixed, or give it a prior"
        )
