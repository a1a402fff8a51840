"""Checks on the stars themselves: averages of test functions, whose sampling law is known.

For a stationary f and any psi(x, v) that vanishes at the edge of the volume,

    E_stars[ v . grad_x psi + a . grad_v psi ] = 0,

and for the scores s of f and any such vector field (Stein's identity) E_stars[ psi . s + div psi ] = 0. Both
are means over independent stars: a vector of q means m with covariance C/n gives chi^2 = n m C^-1 m with q
degrees of freedom (Hotelling), whatever the density looks like. The test functions are B = 1 - |q|^2,
q = (x - centre)/radius, times low powers of q, and of the velocity w_c exp(-w^2/2t^2) with a narrow and a
wide t. A bump that only just vanishes at the edge keeps most of the stars' information: with (1 - |q|^2)^3
the same motion of all stars takes about ten times as many stars to be seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.stats import f as fisher

from dm_map.diagnostics.phase_space import rotation
from dm_map.errors import DiagnosticError
from dm_map.stars import StarSample

__all__ = [
    "Bumps",
    "MeanTest",
    "continuity_rows",
    "mean_test",
    "momentum_rows",
    "speed_rows",
    "velocity_scale",
]

# Widths t of the tapers in standard deviations: the first follows the slow stars, the second nearly all.
_TAPERS = (0.7, 3.0)


class MeanTest(NamedTuple):
    """Are the means of rows over stars zero?

    Attributes:
        share: Size of the means as a share of the rows' own scatter, the largest direction: 1 / sqrt(n) is
            noise.
        chi2: n m C^-1 m, or its minimum over what was fitted.
        freedom: Its degrees of freedom.
        p_value: Probability of a larger one by sampling.
    """

    share: float
    chi2: float
    freedom: int
    p_value: float


@dataclass(frozen=True, eq=False)
class Bumps:
    """The bump and its products with 1, q_x, q_y, q_z (and their squares) at the stars.

    Attributes:
        value: Shape (n, b).
        gradient: With respect to x, shape (n, b, 3).
    """

    value: Float[np.ndarray, "n b"]
    gradient: Float[np.ndarray, "n b 3"]

    @classmethod
    def at(cls, sample: StarSample, degree: int = 1) -> Bumps:
        """Products with the monomials of q up to degree one or two, at the stars of a sample."""
        radius = sample.volume.radius
        q = (sample.x - np.asarray(sample.volume.centre)) / radius
        powers, slopes = _monomials(q, degree)
        bump = np.maximum(1.0 - np.sum(q**2, axis=1), 0.0)
        slope = -2.0 * q
        gradient = bump[:, None, None] * slopes + powers[:, :, None] * slope[:, None, :]
        return cls(bump[:, None] * powers, gradient / radius)


def _monomials(
    q: Float[np.ndarray, "n 3"], degree: int
) -> tuple[Float[np.ndarray, "n b"], Float[np.ndarray, "n b 3"]]:
    exponents = [
        (i, j, k) for i in range(degree + 1) for j in range(degree + 1) for k in range(degree + 1)
        if i + j + k <= degree
    ]  # fmt: skip
    powers = np.stack([np.prod(q**e, axis=1) for e in np.array(exponents)], axis=1)
    slopes = np.zeros((*powers.shape, 3))
    for b, exponent in enumerate(exponents):
        for axis in range(3):
            if exponent[axis]:
                lower = np.array(exponent)
                lower[axis] -= 1
                slopes[:, b, axis] = exponent[axis] * np.prod(q**lower, axis=1)
    return powers, slopes


def velocity_scale(sample: StarSample) -> tuple[Float[np.ndarray, " 3"], float]:
    """Mean velocity, and the root mean square of one component about it."""
    weights = sample.unit_weights / len(sample)
    mean = weights @ sample.v
    return mean, float(np.sqrt(weights @ np.sum((sample.v - mean) ** 2, axis=1) / 3.0))


def continuity_rows(sample: StarSample, pattern_speed: float = 0.0) -> Float[np.ndarray, "n b"]:
    """Rows of the continuity equation, (v - Omega x x) . grad psi(x) for ten psi: no potential appears."""
    drift = sample.v - sample.x @ rotation(pattern_speed).T
    return np.einsum("nc,nbc->nb", drift, Bumps.at(sample, degree=2).gradient)


def momentum_rows(
    sample: StarSample, a: Float[np.ndarray, "n 3"], pattern_speed: float = 0.0
) -> Float[np.ndarray, "n r"]:
    """Rows of the weak form for the 24 functions psi = B {1, q} w_c exp(-w^2/2t^2), w = (v - mean)/sigma.

    Args:
        sample: The stars.
        a: Acceleration at each star.
        pattern_speed: Rotation of the frame of stationarity.
    """
    bumps = Bumps.at(sample)
    rows = [_momentum(sample, a, bumps, t, c, pattern_speed)[0] for t in _TAPERS for c in range(3)]
    return np.concatenate(rows, axis=1)


def speed_rows(
    sample: StarSample, a: Float[np.ndarray, "n 3"], pattern_speed: float = 0.0
) -> tuple[Float[np.ndarray, "n 6"], Float[np.ndarray, "n 6 3"]]:
    """The six momentum rows without powers of q, and their derivatives by a constant added to a.

    Slow and fast stars have a row each for every component. If one constant correction of the acceleration
    does not make both vanish, they disagree: then an error of a is not the reason, unless it varies steeply.

    Args:
        sample, a, pattern_speed: As for `momentum_rows`.
    """
    bumps = Bumps.at(sample, degree=0)
    parts = [_momentum(sample, a, bumps, t, c, pattern_speed) for t in _TAPERS for c in range(3)]
    return (
        np.concatenate([rows for rows, _ in parts], axis=1),
        np.stack([bumps.value * kick for _, kick in parts], axis=1),
    )


def _momentum(
    sample: StarSample, a: np.ndarray, bumps: Bumps, taper: float, component: int, pattern_speed: float
) -> tuple[Float[np.ndarray, "n b"], Float[np.ndarray, "n 3"]]:
    """Rows for one component and taper, and the gradient of the velocity function."""
    mean, sigma = velocity_scale(sample)
    w = (sample.v - mean) / sigma
    turn = rotation(pattern_speed)
    envelope = np.exp(-0.5 * np.sum(w**2, axis=1) / taper**2)
    kick = -w[:, [component]] * w * (envelope / taper**2)[:, None]
    kick[:, component] += envelope
    kick /= sigma
    moving = np.einsum("nc,nbc->nb", sample.v - sample.x @ turn.T, bumps.gradient)
    pulled = np.sum((a - sample.v @ turn.T) * kick, axis=1)
    return moving * (w[:, component] * envelope)[:, None] + bumps.value * pulled[:, None], kick


def mean_test(
    rows: Float[np.ndarray, "n r"],
    weights: Float[np.ndarray, " n"],
    slopes: Float[np.ndarray, "n r u"] | None = None,
) -> MeanTest:
    """Hotelling's test that the weighted means of the rows are zero, or can be made so by u parameters.

    Args:
        rows: Value of each row at each star.
        weights: Weights of the stars, mean one.
        slopes: Derivatives of the rows with respect to parameters that are fitted first; None: none.

    Raises:
        DiagnosticError: fewer than ten stars per row.
    """
    n, size = rows.shape
    if n < 10 * size:
        raise DiagnosticError(f"{size} test functions need {10 * size} held-out stars or more; got {n}")
    scale = np.sqrt(np.mean((weights[:, None] * rows) ** 2, axis=0))
    rows = rows * (weights[:, None] / np.where(scale > 0, scale, 1.0))
    if slopes is None:
        return _hotelling(rows, 0)
    slopes = slopes * (weights[:, None] / scale)[:, :, None]
    gain = slopes.mean(axis=0)
    centred = rows
    for _ in range(2):
        # The covariance is that of the rows at the fitted parameters: once more after the first fit.
        whitener = _whitener(centred)
        fitted, *_ = np.linalg.lstsq(whitener @ gain, -whitener @ rows.mean(axis=0), rcond=None)
        centred = rows + slopes @ fitted
    return _hotelling(centred, gain.shape[1])


def _whitener(rows: Float[np.ndarray, "n r"]) -> Float[np.ndarray, "r r"]:
    covariance = np.cov(rows, rowvar=False).reshape(rows.shape[1], rows.shape[1])
    values, vectors = np.linalg.eigh(covariance)
    return (vectors / np.sqrt(np.maximum(values, 1e-12 * values[-1]))).T


def _hotelling(rows: Float[np.ndarray, "n r"], fitted: int) -> MeanTest:
    n, size = rows.shape
    white = _whitener(rows) @ rows.mean(axis=0)
    chi2 = float(n * white @ white)
    freedom = size - fitted
    # Hotelling's T^2 is this much F: exact for normal rows, and the right side of chi^2 for few stars.
    p_value = float(fisher.sf(chi2 * (n - freedom) / (freedom * (n - 1)), freedom, n - freedom))
    return MeanTest(float(np.sqrt(white @ white)), chi2, freedom, p_value)
