"""The background of one window: the density of m, and a density of x that no row is denied."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.ndimage import gaussian_filter1d

from density.detectors.contract import ConditionalDensity
from density.detectors.gaussian_signal import MappedGaussian
from density.feature_maps import FeatureMap
from density.windows import Window

__all__ = ["FlooredBackground", "ResonantDensity"]

_BINS = 512


@dataclass(frozen=True, eq=False)
class ResonantDensity:
    """p(m) inside a window: a histogram smoothed with Silverman's bandwidth, reflected at the edges.

    Args:
        window: The signal region.
        log_density: ln p in equal bins of the window.
    """

    window: Window
    log_density: Float[np.ndarray, " bins"]

    @classmethod
    def of(
        cls, m: Float[np.ndarray, " n"], window: Window, weights: Float[np.ndarray, " n"] | None = None
    ) -> ResonantDensity:
        """Estimate from (weighted) rows inside the window."""
        counts, _ = np.histogram(m, _BINS, (window.low, window.high), weights=weights)
        low, high = np.percentile(m, [25, 75])
        spread = min(float(m.std()), float(high - low) / 1.34) or float(m.std())
        width = 0.9 * spread * len(m) ** -0.2 / window.width * _BINS
        smooth = gaussian_filter1d(counts.astype(np.float64), max(width, 1.0), mode="reflect")
        smooth += 1e-6 * smooth.mean()
        return cls(window, np.log(smooth / smooth.mean() / window.width))

    def log_prob(self, m: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """ln p(m) inside the window, shape (n,)."""
        place = (m - self.window.low) / self.window.width * _BINS - 0.5
        return np.interp(place, np.arange(_BINS), self.log_density)


@dataclass(frozen=True, eq=False)
class FlooredBackground:
    """p_b(x | m), nowhere below one row's worth of a wide Gaussian.

    A flow can be wrong without bounds where it has seen nothing, and one such row would outweigh a signal.

    Args:
        background: p_b(x | m).
        wide: A Gaussian of (m, x) with twice the spread of the window's rows.
        resonant: p(m) of the window's rows.
        share: Share of the wide Gaussian, one over the number of rows.
    """

    background: ConditionalDensity
    wide: MappedGaussian
    resonant: ResonantDensity
    share: float

    @classmethod
    def of(
        cls,
        background: ConditionalDensity,
        feature_map: FeatureMap,
        x: Float[np.ndarray, "n d"],
        m: Float[np.ndarray, " n"],
        window: Window,
    ) -> FlooredBackground:
        """The floor from the rows of the window.

        Args:
            background: p_b(x | m).
            feature_map: Of (m, x), standardised.
            x: Features, shape (n, d).
            m: Resonant feature, inside the window, shape (n,).
            window: The signal region.
        """
        y, _ = feature_map.forward(np.column_stack([m, x]))
        covariance = 4 * np.cov(y.T) + 1e-6 * np.eye(y.shape[1])
        wide = MappedGaussian(feature_map, y.mean(axis=0), covariance)
        return cls(background, wide, ResonantDensity.of(m, window), 1 / len(m))

    def log_prob(self, x: Float[np.ndarray, "n d"], m: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """ln p_b(x | m), for m in the window.

        Args:
            x: Features, shape (n, d).
            m: Resonant feature, shape (n,).
        """
        floor = self.wide.log_prob(np.column_stack([m, x])) - self.resonant.log_prob(m)
        return np.logaddexp(self.background.log_prob(x, m), np.log(self.share) + floor)
