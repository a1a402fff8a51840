"""The share of signal in a mixture of two known densities, by maximum likelihood, with its error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import brentq

from density.errors import DetectorError

__all__ = ["Fraction", "cross_fitted_fraction", "log_likelihood_gain", "maximise_fraction"]


@dataclass(frozen=True)
class Fraction:
    """An estimated share of signal.

    Args:
        value: Maximum-likelihood estimate, at least 0.
        error: One standard deviation; where the estimate is 0, the distance to the upper end of the interval.
        low: Lower end of the 68 % likelihood interval (ln L falls by one half), at least 0.
        high: Upper end.
        gain: ln L at the estimate over ln L at 0; sqrt(2 gain) is the significance in standard deviations.
    """

    value: float
    error: float
    low: float
    high: float
    gain: float


def log_likelihood_gain(log_ratio: Float[np.ndarray, " n"], fraction: float) -> float:
    """sum ln(1 - w + w r) over the rows, r = p_S / p_b.

    Args:
        log_ratio: ln r, shape (n,).
        fraction: w, from 0 to below 1.
    """
    if fraction == 0:
        return 0.0
    return float(np.logaddexp(np.log1p(-fraction), np.log(fraction) + log_ratio).sum())


def maximise_fraction(log_ratio: Float[np.ndarray, " n"]) -> Fraction:
    """w that maximises sum ln(1 - w + w r), r = p_S / p_b, and its likelihood interval.

    Unbiased only on rows that p_S was not fitted to.

    Args:
        log_ratio: ln r of each row, shape (n,), minus infinity allowed.

    Raises:
        DetectorError: no rows, or a ratio that is NaN or plus infinity.
    """
    if not len(log_ratio) or np.isnan(log_ratio).any() or np.isposinf(log_ratio).any():
        raise DetectorError(f"expected log-ratios that are numbers; got {log_ratio!r}")
    most = 1 - 1e-6
    large, small = log_ratio > 0, np.exp(-np.abs(log_ratio))

    def slope(w: float) -> float:
        """Derivative of ln L; falls with w, since ln L is concave."""
        # (r - 1) / (1 - w + w r), written so that r of any size leaves it finite
        return float(
            (np.where(large, (1 - small) / (w + (1 - w) * small), (small - 1) / (1 - w + w * small))).sum()
        )

    if slope(1e-12) <= 0:
        value = 0.0
    elif slope(most) >= 0:
        value = most
    else:
        value = float(brentq(slope, 1e-12, most, xtol=1e-12))
    top = log_likelihood_gain(log_ratio, value)

    def below(w: float) -> float:
        return log_likelihood_gain(log_ratio, w) - top + 0.5

    low = float(brentq(below, 0.0, value, xtol=1e-10)) if value > 0 and below(0.0) < 0 else 0.0
    high = float(brentq(below, value, most, xtol=1e-10)) if below(most) < 0 else 1.0
    error = 0.5 * (high - low) if low > 0 else high - value
    return Fraction(value, error, low, high, top)


def cross_fitted_fraction(log_ratio: Float[np.ndarray, " n"], folds: Int[np.ndarray, " n"]) -> Fraction:
    """The fraction from rows scored fold by fold, each fold by a p_S that did not see it.

    The folds' p_S differ, and with them the estimates, by more than the counts explain; what is more is the
    error of the shape. What exceeds the counts by more than one standard deviation of a variance is taken as
    that. The folds' training rows overlap, so their mean is hardly better than one of them, and the whole
    excess is added to the error.

    Args:
        log_ratio: ln p_S / p_b of each row, shape (n,).
        folds: Fold of each row, shape (n,).
    """
    whole = maximise_fraction(log_ratio)
    parts = [maximise_fraction(log_ratio[folds == fold]) for fold in np.unique(folds)]
    spread = np.var([part.value for part in parts], ddof=1)
    counting = np.mean([part.error**2 for part in parts])
    noise = np.sqrt(2 / max(len(parts) - 1, 1))
    shape = max(float(spread - counting * (1 + noise)), 0.0)
    return Fraction(
        whole.value,
        float(np.hypot(whole.error, np.sqrt(shape))),
        max(whole.value - float(np.hypot(whole.value - whole.low, np.sqrt(shape))), 0.0),
        min(whole.value + float(np.hypot(whole.high - whole.value, np.sqrt(shape))), 1.0),
        whole.gain,
    )
