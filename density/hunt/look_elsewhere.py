"""The look-elsewhere effect: how often the background alone gives so large a significance anywhere."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import norm

from density.errors import DetectorError
from density.seeds import child_seed

__all__ = ["LookElsewhere", "gaussian_look_elsewhere", "gross_vitells", "toy_look_elsewhere"]

_COUNTED = 100
"""Fewest pseudo-experiments above the maximum for their count to be quoted as a probability."""
_FARTHEST = 37.0


@dataclass(frozen=True)
class LookElsewhere:
    """Global significance of the best window.

    Args:
        best: Index of the window of the largest local significance.
        local_significance: Its significance, sigma.
        p_value: Probability that the background alone reaches it in any window.
        error: Standard deviation of `p_value` from the finite number of pseudo-experiments.
        method: How `p_value` was found, in words.
    """

    best: int
    local_significance: float
    p_value: float
    error: float
    method: str

    @property
    def local_p_value(self) -> float:
        """p-value of the best window as if it had been the only one."""
        return float(norm.sf(self.local_significance))

    @property
    def significance(self) -> float:
        """Global significance, sigma."""
        return float(norm.isf(self.p_value))

    @property
    def trials(self) -> float:
        """Trials factor: global over local p-value."""
        return self.p_value / float(norm.sf(min(self.local_significance, _FARTHEST)))

    @property
    def sentence(self) -> str:
        """The finding in words."""
        return (
            f"Best of all windows: number {self.best}, local {self.local_significance:.2f} sigma; the"
            f" background alone reaches it somewhere with probability {self.p_value:.2g} +- {self.error:.1g}"
            f" ({self.method})."
        )


def gaussian_look_elsewhere(
    significances: Float[np.ndarray, " w"],
    correlation: Float[np.ndarray, "w w"],
    *,
    draws: int = 20_000,
    seed: int = 1,
) -> LookElsewhere:
    """Global p-value when the significances of all windows are jointly normal under the background.

    Importance sampling of a union (Owen, Maximov & Chertkov 2017, arXiv 1710.06965): one window, at random,
    is drawn above the maximum and the others given it; the mean of one over the number of windows above,
    times windows times local p-value, is the probability, without bias and with a small relative error
    however rare the maximum is. Upcrossings (`gross_vitells`) only bound it, and loosely for windows with
    sharp edges, whose significances are as rough as a random walk.

    Args:
        significances: Signed local significances in the windows' order, shape (w,).
        correlation: Their correlation, shape (w, w).
        draws: Pseudo-experiments.
        seed: Their root.

    Raises:
        DetectorError: shapes that do not fit, or values that are not finite.
    """
    z, correlation = np.asarray(significances, dtype=np.float64), np.asarray(correlation, dtype=np.float64)
    if z.ndim != 1 or correlation.shape != (len(z), len(z)) or not len(z):
        raise DetectorError(
            f"expected w significances and a correlation of shape (w, w); got {z.shape}, {correlation.shape}"
        )
    if not (np.isfinite(z).all() and np.isfinite(correlation).all()):
        raise DetectorError("expected finite significances and correlations; got some that are not")
    best = int(np.argmax(z))
    # Beyond this the local p-value is not a number any more.
    level = min(float(z[best]), _FARTHEST)
    counts = _windows_above(
        level, correlation, np.random.default_rng(child_seed(seed, "look elsewhere")), draws
    )
    scale = len(z) * float(norm.sf(level))
    p_value, error = scale * np.mean(1 / counts), scale * np.std(1 / counts) / np.sqrt(draws)
    return LookElsewhere(
        best, float(z[best]), min(float(p_value), 1.0), float(error), "correlated normal draws"
    )


def _windows_above(
    level: float, correlation: Float[np.ndarray, "w w"], random: np.random.Generator, draws: int
) -> Int[np.ndarray, " draws"]:
    """How many windows reach the level, given that one of them, taken at random, does."""
    values, vectors = np.linalg.eigh(correlation)
    z = random.standard_normal((draws, len(correlation))) @ (vectors * np.sqrt(np.maximum(values, 0.0))).T
    rows, chosen = np.arange(draws), random.integers(len(correlation), size=draws)
    above = norm.isf((1 - random.random(draws)) * norm.sf(level))
    z += correlation[chosen] * (above - z[rows, chosen])[:, None]
    z[rows, chosen] = np.inf
    return (z >= level).sum(axis=1)


def toy_look_elsewhere(
    significances: Float[np.ndarray, " w"], null: Float[np.ndarray, "toys w"], *, reference: float = 0.5
) -> LookElsewhere:
    """Global p-value from background-only scans, whatever made them.

    Counted where at least 100 scans reach the maximum, and otherwise extrapolated from the upcrossings
    of a low level; see `gross_vitells`.

    Args:
        significances: Signed local significances in the windows' order, shape (w,).
        null: The same of background-only pseudo-experiments, shape (toys, w).
        reference: Level, sigma, at which upcrossings are counted.

    Raises:
        DetectorError: shapes that do not fit, or fewer than ten pseudo-experiments.
    """
    z, null = np.asarray(significances, dtype=np.float64), np.asarray(null, dtype=np.float64)
    if z.ndim != 1 or null.ndim != 2 or null.shape[1] != len(z) or len(null) < 10:
        raise DetectorError(
            f"expected w significances and 10 pseudo-experiments or more of w each; got {z.shape} and"
            f" {null.shape}"
        )
    best = int(np.argmax(z))
    above = int((null.max(axis=1) >= z[best]).sum())
    if above >= _COUNTED or z[best] <= reference:
        return _counted(best, float(z[best]), above, len(null), "pseudo-experiments")
    crossings = ((null[:, :-1] < reference) & (null[:, 1:] >= reference)).sum(axis=1)
    mean = float(crossings.mean())
    growth = np.exp(-0.5 * (z[best] ** 2 - reference**2))
    error = float(growth * crossings.std() / np.sqrt(len(null)))
    p_value = gross_vitells(float(z[best]), mean, reference)
    return LookElsewhere(best, float(z[best]), p_value, error, "upcrossings of pseudo-experiments")


def gross_vitells(significance: float, upcrossings: float, reference: float) -> float:
    """Global p-value of a maximum by extrapolating the mean number of upcrossings of a lower level.

    p = 1 - Phi(z) + N(z0) exp(-(z^2 - z0^2) / 2) (Gross & Vitells 2010, arXiv 1005.1891, for one
    degree of freedom and q = z^2 on the side of excesses). An upper bound for smooth significances, tight
    for large z, and conservative where windows are far apart on the scale of their correlation. Significances
    of windows with sharp edges are not smooth: each excursion crosses the level several times, and less often
    the higher the level, so the extrapolation is rough.

    Args:
        significance: Largest local significance z, at or above the reference.
        upcrossings: Mean number of upcrossings of the reference level N(z0) in background-only scans.
        reference: The level z0.

    Raises:
        DetectorError: the significance lies below the reference, or upcrossings are negative.
    """
    if significance < reference or upcrossings < 0:
        raise DetectorError(
            f"expected a significance at or above the reference {reference:g} and upcrossings of zero or"
            f" more; got {significance:g} and {upcrossings:g}; count upcrossings at a lower level"
        )
    growth = np.exp(-0.5 * (significance**2 - reference**2))
    return min(float(norm.sf(significance) + upcrossings * growth), 1.0)


def _counted(best: int, z: float, above: int, draws: int, method: str) -> LookElsewhere:
    p_value = (1 + above) / (1 + draws)
    return LookElsewhere(best, z, p_value, float(np.sqrt(p_value * (1 - p_value) / draws)), method)
