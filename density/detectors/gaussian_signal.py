"""A signal of Gaussian shape beside a known background: expectation-maximisation in closed form."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.linalg import solve_triangular
from scipy.special import expit

from density.detectors.fraction import log_likelihood_gain
from density.feature_maps import FeatureMap

__all__ = ["GaussianFit", "MappedGaussian", "grow_gaussian", "jackknifed", "weighted_gaussian"]

_LEAST = 1e-6
"""Least variance in standardised coordinates: equal rows have none of their own."""


@dataclass(frozen=True, eq=False)
class MappedGaussian:
    """A Gaussian in mapped coordinates y(x): of bounded features, a density inside their bounds.

    Args:
        feature_map: y(x), k columns.
        mean: Of y, shape (k,).
        covariance: Of y, shape (k, k).
    """

    feature_map: FeatureMap
    mean: Float[np.ndarray, " k"]
    covariance: Float[np.ndarray, "k k"]

    def log_prob(self, x: Float[np.ndarray, "n k"]) -> Float[np.ndarray, " n"]:
        """ln p(x).

        Args:
            x: Columns of the map, shape (n, k).

        Raises:
            FeatureError: a value is not finite or outside its bounds.
        """
        y, log_det = self.feature_map.forward(x)
        log_norm, square = _distances(y - self.mean, self.covariance)
        return log_norm - 0.5 * square + log_det

    def sample(self, count: int, *, seed: int) -> Float[np.ndarray, "n k"]:
        """Draws of x, shape (count, k).

        Args:
            count: Number of draws.
            seed: Same seed, same draws.
        """
        random = np.random.default_rng(np.random.SeedSequence(seed))
        normal = random.standard_normal((count, len(self.mean)))
        return self.feature_map.inverse(self.mean + normal @ np.linalg.cholesky(self.covariance).T)


@dataclass(frozen=True, eq=False)
class GaussianFit:
    """A Gaussian signal and what it explains.

    Args:
        mean: In mapped coordinates, shape (k,).
        covariance: Shape (k, k).
        responsibility: Probability of each row to be signal, shape (n,).
        gain: ln of the likelihood over that without a signal, each row judged by the shape of the others.
    """

    mean: Float[np.ndarray, " k"]
    covariance: Float[np.ndarray, "k k"]
    responsibility: Float[np.ndarray, " n"]
    gain: float


def grow_gaussian(
    y: Float[np.ndarray, "n k"],
    log_background: Float[np.ndarray, " n"],
    responsibility: Float[np.ndarray, " n"],
    *,
    rounds: int,
    fewest: float = 8.0,
    tolerance: float = 1e-2,
) -> GaussianFit | None:
    """Maximise sum ln[(1 - w) p_b + w N(y; mean, covariance)]; None: no signal is left.

    A row's own part is taken out of the mean and the covariance before it is judged (a jackknife, exact, by
    a rank-one downdate): in sample, a Gaussian shrunk onto a few rows would win every comparison.

    Args:
        y: Mapped coordinates, shape (n, k).
        log_background: ln p_b(y) in the same coordinates, shape (n,).
        responsibility: First responsibilities, shape (n,).
        rounds: Most rounds.
        fewest: Sum of the responsibilities below which nothing is left.
        tolerance: A gain below it ends the rounds.
    """
    fit = None
    for _ in range(rounds):
        fraction = responsibility.mean()
        if fraction * len(y) < fewest:
            return None
        mean, covariance, log_ratio = jackknifed(y, log_background, responsibility)
        gain, before = log_likelihood_gain(log_ratio, fraction), -np.inf if fit is None else fit.gain
        responsibility = expit(log_ratio + np.log(fraction) - np.log1p(-fraction))
        fit = GaussianFit(mean, covariance, responsibility, gain)
        if abs(gain - before) < tolerance:
            break
    return fit


def weighted_gaussian(
    feature_map: FeatureMap, y: Float[np.ndarray, "n k"], weight: Float[np.ndarray, " n"]
) -> MappedGaussian:
    """The Gaussian of weighted rows, its covariance shrunk as `grow_gaussian` does.

    Args:
        feature_map: y(x).
        y: Mapped coordinates, shape (n, k).
        weight: Non-negative weights, shape (n,).
    """
    mean, covariance, _ = _moments(y, weight)
    return MappedGaussian(feature_map, mean, covariance)


def _moments(y: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weighted mean and covariance, and the rows about the mean.

    k pseudo-rows shrink the correlations, of which there are many, towards none; and the covariance is that
    of the next row given these, wider than theirs, or a fit of few rows would end on their core.
    """
    total, k = weight.sum(), y.shape[1]
    mean = weight @ y / total
    centred = y - mean
    scatter = (weight[:, None] * centred).T @ centred + _LEAST * total * np.eye(k)
    shrunk = (scatter + k * np.diag(np.diag(scatter) / total)) / (total + k)
    return mean, _widening(total, k) * shrunk, centred


def _widening(total: float, k: int) -> float:
    """Scale of the next row of a Gaussian known from other rows (Student's t), squared, over their own."""
    return (total + 1) / max(total - k, 0.5 * total)


def jackknifed(
    y: Float[np.ndarray, "n k"], log_background: Float[np.ndarray, " n"], weight: Float[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, "k k"], Float[np.ndarray, " n"]]:
    """Weighted mean and covariance, and ln N / p_b of each row with its own weight taken out of both.

    The shrinkage and the widening stay those of all rows.

    Args:
        y: Mapped coordinates, shape (n, k).
        log_background: ln p_b(y) in the same coordinates, shape (n,).
        weight: Non-negative weights, shape (n,).
    """
    mean, covariance, centred = _moments(y, weight)
    total, k = weight.sum(), y.shape[1]
    log_norm, square = _distances(centred, covariance)
    left = np.maximum(total - weight, 1e-6 * total)
    scale = (left + k) / (total + k)
    lost = np.minimum(_widening(total, k) * weight * total / left / (total + k) * square, 1 - 1e-6)
    log_det = k * np.log(scale) + np.log1p(-lost)
    square = (total / left) ** 2 * square / (1 - lost) / scale
    return mean, covariance, log_norm - 0.5 * (log_det + square) - log_background


def _distances(centred: np.ndarray, covariance: np.ndarray) -> tuple[float, np.ndarray]:
    """Normalisation ln(1 / sqrt(det 2 pi C)) and squared Mahalanobis distances."""
    factor = np.linalg.cholesky(covariance)
    white = solve_triangular(factor, centred.T, lower=True, check_finite=False)
    log_norm = -np.log(np.diag(factor)).sum() - 0.5 * len(factor) * np.log(2 * np.pi)
    return float(log_norm), np.einsum("ij,ij->j", white, white)
