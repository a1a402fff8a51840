"""Sizes of vectors that should vanish, the noise of the fit taken out by two halves, and their limits."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import norm

from dm_map.errors import DiagnosticError

__all__ = ["Amplitude", "expected_negative_share", "mean_size", "negative_share", "octants", "vector_size"]


class Amplitude(NamedTuple):
    """A size and the largest one that passes, both relative to the scale."""

    value: float
    limit: float


def octants(x: Float[np.ndarray, "p 3"], centre: Float[np.ndarray, " 3"]) -> Int[np.ndarray, " p"]:
    """Octant of each position about a centre, 0 to 7."""
    return ((x > centre) @ np.array([1, 2, 4])).astype(np.int64)


def vector_size(
    whole: Float[np.ndarray, "p c"],
    halves: tuple[Float[np.ndarray, "p c"], Float[np.ndarray, "p c"]] | None,
    groups: Int[np.ndarray, " p"],
    scale: float,
    accuracy: float,
    quantile: float,
) -> Amplitude:
    """Root mean square length of vectors over positions, relative to a scale.

    From two densities fitted to disjoint halves of the stars, whose errors are independent, the mean of
    F_1 . F_2 estimates the square of what they have in common, free of their noise. Its standard deviation
    follows from the noise power |F_1 - F_2|^2 / 2, in which what is common cancels: it is at most
    sqrt(sum_o P_o^2) / p, with P_o the noise power summed over octant o, if errors are uncorrelated between
    octants of the volume (a bound: within one they are taken as one single mode). The limit is the accuracy
    plus that times the quantile, in squares. Without halves the size includes the noise of the fit, and the
    limit is the accuracy.

    Args:
        whole: Vectors from the density, shape (p, c).
        halves: Those from the two halves.
        groups: Octant of each position.
        scale: Unit of the value.
        accuracy: Size that is accepted.
        quantile: Standard deviations of the margin.
    """
    if scale <= 0 or not len(whole):
        raise DiagnosticError(f"a size needs vectors and a positive scale; got {len(whole)} and {scale}")
    if halves is None:
        return Amplitude(float(np.sqrt(np.mean(np.sum(whole**2, axis=1))) / scale), accuracy)
    common = float(np.mean(np.sum(halves[0] * halves[1], axis=1))) / scale**2
    noise = 0.5 * np.sum((halves[0] - halves[1]) ** 2, axis=1) / scale**2
    per_octant = np.bincount(groups, noise, minlength=8)
    error = float(np.sqrt(np.sum(per_octant**2))) / len(noise)
    return Amplitude(float(np.sqrt(max(common, 0.0))), float(np.sqrt(accuracy**2 + quantile * error)))


def mean_size(rows: Float[np.ndarray, "n r"], accuracy: float, quantile: float) -> Amplitude:
    """Length of the mean of rows over independent stars, and the largest that sampling explains.

    If the true mean has length e (the accuracy) and the mean's covariance is C, the square of its length has
    mean e^2 + tr C and variance at most 2 tr C^2 + 4 e^2 max(C): the limit lies `quantile` standard
    deviations above the mean.
    """
    covariance = np.cov(rows, rowvar=False) / len(rows)
    spectrum = np.maximum(np.linalg.eigvalsh(covariance), 0.0)
    spread = np.sqrt(2.0 * np.sum(spectrum**2) + 4.0 * accuracy**2 * spectrum[-1])
    limit = np.sqrt(accuracy**2 + spectrum.sum() + quantile * spread)
    return Amplitude(float(np.linalg.norm(rows.mean(axis=0))), float(limit))


def negative_share(mass: Float[np.ndarray, " c"]) -> float:
    """Negative mass as a share of all, in absolute values: 0 for a positive density, 1/2 for noise."""
    total = float(np.sum(np.abs(mass)))
    return float(np.sum(np.maximum(-mass, 0.0))) / total if total > 0 else 0.0


def expected_negative_share(mass: Float[np.ndarray, " c"], noise: float) -> float:
    """The negative share that Gaussian noise makes of a density that is truly positive: max(mass, 0)."""
    if noise <= 0:
        return 0.0
    true = np.maximum(mass, 0.0)
    ratio = true / noise
    # E[max(-y, 0)] for y normal about the true density; E|y| = E[y] + twice that.
    below = noise * norm.pdf(ratio) - true * norm.sf(ratio)
    return float(below.sum() / (true.sum() + 2.0 * below.sum()))
