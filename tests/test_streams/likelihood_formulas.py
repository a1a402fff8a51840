"""The search's formulas written out plainly: what its compiled loops are compared with."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from streams.likelihood.weights import StarWeights

__all__ = ["cumulant_significance", "weights_at"]


def weights_at(weights: StarWeights, motion: Float[np.ndarray, " 2"]) -> Float[np.ndarray, " k"]:
    """Weights of all stars at a stream's proper motion."""
    square = (weights.motion - motion) ** 2 / weights.variance
    return np.logaddexp(0.0, weights.amplitude - 0.5 * square.sum(axis=-1))


def cumulant_significance(excess: float, variance: float, third: float) -> float:
    """Sigma of an excess over a mean, from the variance and third central moment of a positive sum.

    The sum is taken for unit * Poisson(mean) + constant, whose three cumulants it shares; the significance is
    the signed root of the Poisson likelihood ratio. Skewness zero would be a Gaussian: excess / sigma.
    """
    if variance <= 0.0:
        return 0.0
    plain = excess / np.sqrt(variance)
    # The excess over the mean of the Poisson law, whose unit is third / variance.
    relative = max(excess * max(third, 0.0) / variance**2, -1.0)
    if relative == -1.0:
        # Nothing at all: the law ends there.
        return -float(np.sqrt(2.0 * variance**3) / third)
    return float(plain * np.sqrt(_poisson_factor(relative)))


def _poisson_factor(x: float) -> float:
    """2 ((1 + x) ln(1 + x) - x) / x^2, which is one at zero."""
    if abs(x) < 1e-3:
        # The terms of the closed form cancel to x^2.
        return 1.0 - x / 3.0 + x**2 / 6.0 - x**3 / 10.0
    return 2.0 * float((1.0 + x) * np.log1p(x) - x) / x**2
