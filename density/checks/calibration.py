"""Calibration of log-ratios: where a score says that data are R times as dense, are they?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.stats import chi2

from density.errors import DetectorError

__all__ = ["RatioCalibration", "ratio_calibration"]


@dataclass(frozen=True, eq=False)
class RatioCalibration:
    """Predicted and observed density ratio in bins of the score.

    Args:
        edges: Inner edges between the bins of ln R, shape (b - 1,).
        predicted: Mean of R over the background rows of each bin, shape (b,).
        observed: Share of the data over share of the background in each bin, shape (b,).
        error: Standard deviation of observed less predicted, shape (b,).
        chi2: With the bins' covariance.
    """

    edges: Float[np.ndarray, " c"]
    predicted: Float[np.ndarray, " b"]
    observed: Float[np.ndarray, " b"]
    error: Float[np.ndarray, " b"]
    chi2: float

    @property
    def p_value(self) -> float:
        """Probability of a larger chi^2 if the scores are the true log-ratios."""
        return float(chi2.sf(self.chi2, len(self.predicted)))

    @property
    def slope(self) -> float:
        """Weighted slope of ln observed against ln predicted, through their means: below 1 the scores claim
        too much, above 1 too little. NaN where the scores do not vary or fewer than two bins hold data."""
        used = (self.observed > 0) & (self.predicted > 0)
        if used.sum() < 2:
            return np.nan
        x, y = np.log(self.predicted[used]), np.log(self.observed[used])
        weight = (self.observed[used] / self.error[used]) ** 2
        x, y = x - np.average(x, weights=weight), y - np.average(y, weights=weight)
        spread = float(weight @ x**2)
        return float(weight @ (x * y)) / spread if spread > 0 else np.nan

    @property
    def sentence(self) -> str:
        """The finding in words."""
        # A single bin holds everything, and its error is zero.
        worst = int(np.argmax(np.abs(self.observed - self.predicted) / np.maximum(self.error, 1e-300)))
        verdict = "agree" if self.p_value >= 0.01 else "disagree"
        return (
            f"Predicted and observed ratios {verdict} in {len(self.predicted)} bins (p = {self.p_value:.2g},"
            f" slope {self.slope:.2f}); worst: {self.observed[worst]:.3g} +- {self.error[worst]:.2g} observed"
            f" where {self.predicted[worst]:.3g} is predicted."
        )


def ratio_calibration(
    data_log_ratio: Float[np.ndarray, " n"], background_log_ratio: Float[np.ndarray, " k"], *, bins: int = 10
) -> RatioCalibration:
    """Reliability of ln R: in each bin of the score, data must be E_background[R] times as dense.

    For R = p_data / p_background and any set A of scores, P_data(A) = E_background[R; A]. Scores of the data
    must be out of fold, and those of the background from rows or samples that took no part in the training.

    Args:
        data_log_ratio: ln R of data rows in the window, shape (n,).
        background_log_ratio: ln R of background rows or samples in the window, shape (k,).
        bins: Bins with equal shares of both classes together; equal scores stay in one bin, so that there may
            be fewer.

    Raises:
        DetectorError: scores that are not finite, too few rows for the bins, or fewer than one bin.
    """
    data = np.asarray(data_log_ratio, dtype=np.float64)
    background = np.asarray(background_log_ratio, dtype=np.float64)
    unknown = int((~np.isfinite(data)).sum() + (~np.isfinite(background)).sum())
    if unknown:
        raise DetectorError(f"{unknown} log-ratios are not finite; pass only rows inside the window")
    if bins < 1 or min(len(data), len(background)) < 10 * bins:
        raise DetectorError(
            f"expected 10 rows or more of each class per bin and at least one bin; got {len(data)} data and"
            f" {len(background)} background rows for {bins} bins"
        )
    # Each class has half a say in the edges, however many rows it has.
    grid = np.linspace(0, 1, bins + 1)[1:-1]
    edges = np.unique(0.5 * (np.quantile(data, grid) + np.quantile(background, grid)))
    # Scores on an edge go up: an edge at the lowest score would leave the bin below it empty.
    edges = edges[edges > min(data.min(), background.min())]
    return _calibrated(data, background, edges)


def _calibrated(data: np.ndarray, background: np.ndarray, edges: np.ndarray) -> RatioCalibration:
    size, total, drawn = len(edges) + 1, len(data), len(background)
    place = np.searchsorted(edges, background, side="right")
    observed = np.bincount(np.searchsorted(edges, data, side="right"), minlength=size)
    share = np.bincount(place, minlength=size) / drawn
    ratio = np.exp(background)
    first = np.bincount(place, ratio, minlength=size) / drawn
    second = np.bincount(place, ratio**2, minlength=size) / drawn
    used = share > 0
    if not used.all():
        raise DetectorError(
            f"{(~used).sum()} of {size} bins hold no background; use fewer bins or more background samples"
        )
    difference = observed / total - first
    # Multinomial data about the prediction, and the finite number of background rows behind it.
    covariance = (np.diag(first) - np.outer(first, first)) / total
    covariance += (np.diag(second) - np.outer(first, first)) / drawn
    statistic = float(difference @ np.linalg.pinv(covariance, hermitian=True) @ difference)
    error = np.sqrt(np.diag(covariance)) / share
    return RatioCalibration(edges, first / share, observed / total / share, error, statistic)
