"""Recovered fractions with binomial errors, and the number of stars at which half is recovered."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.stats import beta

__all__ = ["HalfLimit", "binomial_interval", "half_limit"]

_SLOPES = (0.5, 20.0)
_STEPS = 241


@dataclass(frozen=True)
class HalfLimit:
    """The number of stars at which half of the streams are recovered.

    Args:
        stars: median of the posterior; NaN where the grid does not reach it.
        low, high: its 68 % interval.
        slope: of the logistic curve against ln(stars).
        reached: "yes", or why there is no number: "not reached" (below half at the largest number tried),
            "below the grid" (above half at the smallest), "no trials".
    """

    stars: float
    low: float
    high: float
    slope: float
    reached: str


def binomial_interval(successes: int, trials: int, level: float = 0.6827) -> tuple[float, float]:
    """Jeffreys' interval of a fraction (Brown, Cai & DasGupta 2001, Stat. Sci. 16, 101, section 3.1.2).

    The equal-tailed interval of Beta(k + 1/2, n - k + 1/2); its lower end is 0 for no success, its upper end
    1 for no failure. (0, 1) without trials.
    """
    if trials == 0:
        return 0.0, 1.0
    tail = (1.0 - level) / 2
    shape = (successes + 0.5, trials - successes + 0.5)
    low = 0.0 if successes == 0 else float(beta.ppf(tail, *shape))
    high = 1.0 if successes == trials else float(beta.ppf(1.0 - tail, *shape))
    return low, high


def half_limit(stars: Float[np.ndarray, " n"], recovered: Bool[np.ndarray, " n"]) -> HalfLimit:
    """Where the logistic curve  p = 1 / (1 + exp(-k (ln n - ln n50)))  through single trials is one half.

    The posterior of (n50, k) on a grid, flat in ln n50 over the numbers of stars that were tried and in ln k
    from 0.5 to 20: finite even where every trial below some number failed and every one above it succeeded.
    Nothing is extrapolated: if the curve does not cross one half between the smallest and the largest number
    of stars (by the fractions of the lower and upper ends of the trials), no number is given.

    Args:
        stars: of each trial; trials without stars say nothing and are left out.
        recovered: of each trial.
    """
    use = stars > 0
    stars, recovered = stars[use], recovered[use]
    if not len(stars):
        return _without("no trials")
    low, high = float(stars.min()), float(stars.max())
    if low == high or recovered[_near(stars, high)].mean() <= 0.5:
        return _without("not reached")
    if recovered[_near(stars, low)].mean() >= 0.5:
        return _without("below the grid")
    half = np.linspace(np.log(low), np.log(high), _STEPS)
    slope = np.exp(np.linspace(*np.log(_SLOPES), 61))
    steps = slope[None, :, None] * (np.log(stars) - half[:, None, None])
    sign = np.where(recovered, 1.0, -1.0)
    likelihood = -np.logaddexp(0.0, -sign * steps).sum(axis=2)
    posterior = np.exp(likelihood - likelihood.max())
    quantiles = _quantiles(half, posterior.sum(axis=1), (0.5, 0.15865, 0.84135))
    middle, below, above = (float(np.exp(value)) for value in quantiles)
    steepness = float(np.exp(np.average(np.log(slope), weights=posterior.sum(axis=0))))
    return HalfLimit(middle, below, above, steepness, "yes")


def _near(stars: np.ndarray, end: float) -> np.ndarray:
    """Trials with about so many stars: real members come in numbers that differ by a few."""
    return np.abs(np.log(stars / end)) < 0.15


def _quantiles(x: np.ndarray, weight: np.ndarray, levels: tuple[float, ...]) -> np.ndarray:
    cumulative = np.cumsum(weight) - weight / 2
    return np.interp(levels, cumulative / weight.sum(), x)


def _without(reason: str) -> HalfLimit:
    return HalfLimit(float("nan"), float("nan"), float("nan"), float("nan"), reason)
