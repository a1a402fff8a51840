"""Accelerations at single positions from learned scores, member by member (eq. 2 of `dm_map.boltzmann`)."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float

from density import child_seed
from dm_map.boltzmann import PointwiseAcceleration, acceleration_from_scores
from dm_map.errors import AccelerationError
from dm_map.flows.density import PhaseSpaceDensity
from dm_map.flows.ensemble import FlowEnsemble

__all__ = ["PointwiseMap", "pointwise_accelerations", "within_sigmas"]

# Positions whose scores are in memory at once: with 100 velocities and ten members about 100 MB.
_CHUNK = 2048


@dataclass(frozen=True, eq=False)
class PointwiseMap:
    """Accelerations at p positions by m flows.

    Attributes:
        x: Positions, kpc, shape (p, 3).
        value: Acceleration from the scores averaged over the members, (km/s)^2/kpc, shape (p, 3).
        members: Acceleration from each member alone, shape (m, p, 3).
        residual: Root mean square of v . s_x + a . s_v over that of v . s_x, of each member, shape (m, p): 0
            where one acceleration satisfies the Boltzmann equation for all velocities, 1 where it explains
            nothing.
        condition: Condition number of the velocity scores of each member, shape (m, p).
        mean_residual: Residual with the averaged scores, shape (p,).
        kept: Share of the drawn velocities within the truncation, shape (p,).
        bootstrap: Whether the members saw different stars (`FlowEnsemble`).
    """

    x: Float[np.ndarray, "p 3"]
    value: Float[np.ndarray, "p 3"]
    members: Float[np.ndarray, "m p 3"]
    residual: Float[np.ndarray, "m p"]
    condition: Float[np.ndarray, "m p"]
    mean_residual: Float[np.ndarray, " p"]
    kept: Float[np.ndarray, " p"]
    bootstrap: bool = field(default=False)

    @property
    def scatter(self) -> Float[np.ndarray, "p 3"]:
        """Standard deviation of the members; NaN for a single one."""
        if len(self.members) < 2:
            return np.full_like(self.x, np.nan)
        return np.std(self.members, axis=0, ddof=1)

    @property
    def error(self) -> Float[np.ndarray, "p 3"]:
        """Standard error of `value`, as far as the members know it; NaN for a single member.

        Members fitted to the same stars: their scatter over sqrt(m), the noise of training. It does not hold
        the noise of sampling, which all members share, nor what no flow of this recipe can represent: as an
        error bar it is too small. Bootstrap members: their scatter, which holds sampling and training; the
        latter is averaged down in `value`, so that it is on the large side for these two, and is still blind
        to the third.
        """
        return self.scatter if self.bootstrap else self.scatter / np.sqrt(len(self.members))


def pointwise_accelerations(
    density: PhaseSpaceDensity | FlowEnsemble,
    x: Float[np.ndarray, "p 3"],
    *,
    seed: int,
    velocities: int = 64,
    truncation: float = 3.0,
) -> PointwiseMap:
    """Solve equation (2) at each position, for each member and for the averaged scores.

    All members are evaluated at the same velocities, drawn in equal shares from each of them and truncated:
    in the far wings of p(v | x) the scores are extrapolated. The scores are averaged before the equation is
    solved; the average of the members' accelerations is as good (Plummer, 10^5 stars, 4 members: median
    errors equal to 1 %).

    Args:
        density: One learned density, or an ensemble.
        x: Positions, kpc, within the usable part of the volume.
        seed: Of the velocities.
        velocities: Velocities drawn at each position. With exact scores three would do; the errors of learned
            scores are coherent, so that many more than the default gain nothing.
        truncation: Velocities further than this from their mean, in units of their own dispersion ellipsoid,
            are left out.

    Raises:
        VolumeError: a position lies outside the usable part of the volume; the message names it.
        AccelerationError: too few velocities, or they do not span three dimensions.
    """
    ensemble = density if isinstance(density, FlowEnsemble) else FlowEnsemble((density,))
    if velocities < 8 or not truncation > 0:
        raise AccelerationError(
            f"expected 8 velocities or more and a positive truncation; got {velocities} and {truncation}"
        )
    ensemble.usable.require(x)
    parts = [
        _at(ensemble, x[start : start + _CHUNK], child_seed(seed, "positions", start), velocities, truncation)
        for start in range(0, len(x), _CHUNK)
    ]
    if not parts:
        raise AccelerationError("expected at least one position; got none")
    value, mean_residual, kept = (np.concatenate([part[k] for part in parts]) for k in (0, 1, 2))
    members, residual, condition = (np.concatenate([part[k] for part in parts], axis=1) for k in (3, 4, 5))
    return PointwiseMap(x, value, members, residual, condition, mean_residual, kept, ensemble.bootstrap)


def within_sigmas(v: Float[np.ndarray, "p k 3"], truncation: float) -> Bool[np.ndarray, "p k"]:
    """Which velocities lie within an ellipsoid of so many standard deviations about their mean.

    Args:
        v: Velocities, k at each of p positions.
        truncation: Radius, in standard deviations.
    """
    apart = v - v.mean(axis=1, keepdims=True)
    covariance = np.einsum("pki,pkj->pij", apart, apart) / v.shape[1]
    distance = np.einsum("pki,pij,pkj->pk", apart, np.linalg.inv(covariance), apart)
    return np.asarray(distance < truncation**2)


def _at(
    ensemble: FlowEnsemble, x: np.ndarray, seed: int, velocities: int, truncation: float
) -> tuple[np.ndarray, ...]:
    share = -(-velocities // len(ensemble))
    v = np.concatenate(
        [
            member.sample_velocities(x, share, child_seed(seed, "member", place))
            for place, member in enumerate(ensemble.members)
        ],
        axis=1,
    )
    inside = within_sigmas(v, truncation)
    weights = inside.astype(np.float64)
    s_x, s_v = ensemble.member_scores(x[:, None, :], v)
    mean: PointwiseAcceleration = acceleration_from_scores(v, s_x.mean(axis=0), s_v.mean(axis=0), weights)
    single = [acceleration_from_scores(v, *scores, weights) for scores in zip(s_x, s_v, strict=True)]
    stacked = (np.stack([getattr(one, name) for one in single]) for name in ("a", "residual", "condition"))
    return mean.a, mean.residual, inside.mean(axis=1), *stacked
