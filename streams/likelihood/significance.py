"""Significances of weighted sums: tails of few heavy stars."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.special import log_ndtr, ndtri_exp

__all__ = ["saddlepoint_significance"]

_STEPS = 60


def saddlepoint_significance(
    observed: float, weights: Float[np.ndarray, "n pieces"], share: Float[np.ndarray, "n pieces"]
) -> float:
    """Sigma of a sum of weights of stars that fall independently into the pieces of a strip.

    Star i adds weights[i, s] with probability share[i, s] and nothing otherwise:

        K(t) = sum_i ln( 1 + sum_s share[i, s] (exp(t weights[i, s]) - 1) )

    The tail P(sum >= observed) is the saddlepoint approximation of Lugannani & Rice (1980, Adv. Appl. Prob.
    12, 475, eq. 3.2), with w = sign(t) sqrt(2 (t observed - K)), u = t sqrt(K''), K'(t) = observed:
    1 - Phi(w) + phi(w) (1/u - 1/w). Its relative error stays small far out in the tail.

    Returns:
        the Gaussian deviate with this tail; -inf for no sum at all. At the largest sum and above it
        the tail is the chance that every star is in the strip.
    """
    if observed >= weights.max(axis=1).sum():
        return float(-ndtri_exp(_log_all(share)))
    if observed <= 0.0:
        return -np.inf
    t, cumulants = _saddlepoint(observed, weights, share)
    return _tail(observed, t, cumulants, weights, share)


def _cumulants(t: float, weights: np.ndarray, share: np.ndarray) -> tuple[float, float, float]:
    """K(t), K'(t) and K''(t)."""
    # Scaled by each star's largest term: exp(t weight) overflows for heavy stars.
    power = t * weights
    high = np.maximum(power.max(axis=1), 0.0)
    term = share * np.exp(power - high[:, None])
    total = (1.0 - share.sum(axis=1)) * np.exp(-high) + term.sum(axis=1)
    first = (term * weights).sum(axis=1) / total
    second = (term * weights**2).sum(axis=1) / total
    return float((np.log(total) + high).sum()), float(first.sum()), float((second - first**2).sum())


def _saddlepoint(
    observed: float, weights: np.ndarray, share: np.ndarray
) -> tuple[float, tuple[float, float, float]]:
    """Root of K'(t) = observed by Newton's steps kept inside a bracket."""
    low, high, t = -np.inf, np.inf, 0.0
    found = _cumulants(t, weights, share)
    for _ in range(_STEPS):
        left = observed - found[1]
        if abs(left) <= 1e-10 * max(observed, 1e-300):
            break
        low, high = (t, high) if left > 0 else (low, t)
        step = left / max(found[2], 1e-300)
        # e^3 per step: beyond it Newton's parabola knows nothing of the exponential.
        limit = 3.0 / weights.max()
        trial = t + float(np.clip(step, -limit, limit))
        t = trial if low < trial < high else 0.5 * (low + high)
        found = _cumulants(t, weights, share)
    return t, found


def _tail(
    observed: float, t: float, cumulants: tuple[float, float, float], weights: np.ndarray, share: np.ndarray
) -> float:
    """Gaussian deviate of the Lugannani-Rice tail."""
    value, _, curvature = cumulants
    w = float(np.sign(t) * np.sqrt(max(2.0 * (t * observed - value), 0.0)))
    if abs(w) < 1e-3:
        # The formula's limit at the mean: 1/2 - skewness / (6 sqrt(2 pi)).
        mean, variance, third = _central_moments(weights, share)
        return float((observed - mean) / np.sqrt(variance) + third / variance**1.5 / 6.0)
    u = t * np.sqrt(curvature)
    # In logs, relative to the Gaussian tail: ln(1 - Phi(w)) and phi(w) far out are below the smallest number.
    log_tail = log_ndtr(-w)
    ratio = np.exp(-0.5 * w * w - 0.5 * np.log(2.0 * np.pi) - log_tail) * (1.0 / u - 1.0 / w)
    log_probability = log_tail + np.log1p(max(ratio, -1.0 + 1e-12))
    # Near the largest sum u vanishes and the formula fails: Chernoff's bound and the chance of all hold.
    bound = -0.5 * w * w if w > 0.0 else -1e-300
    return float(-ndtri_exp(max(min(log_probability, bound), _log_all(share))))


def _log_all(share: np.ndarray) -> float:
    """ln of the probability that every star falls into the strip."""
    return float(np.log(np.maximum(share.sum(axis=1), 1e-300)).sum())


def _central_moments(weights: np.ndarray, share: np.ndarray) -> tuple[float, float, float]:
    """Mean, variance and third central moment of the sum."""
    m1, m2, m3 = ((share * weights**p).sum(axis=1) for p in (1, 2, 3))
    return float(m1.sum()), float((m2 - m1**2).sum()), float((m3 - 3 * m1 * m2 + 2 * m1**3).sum())
