"""Weighted leave-one-out kernel density in one or two dimensions, on a grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.ndimage import gaussian_filter

__all__ = ["KernelDensity"]

BINS_PER_BANDWIDTH = 4
REACH = 4.0
"""Kernels are cut at this many bandwidths, where 3e-4 of the peak is left."""
MAX_BINS = 512
FLOOR = 1e-3
"""Share of the mean density that an isolated star is granted, so that its logarithm is finite."""


@dataclass(frozen=True)
class KernelDensity:
    """Gaussian kernels on fixed points, evaluated at those points for any weights.

    The points are binned once, four bins to a bandwidth; a new set of weights costs one histogram and
    one filter, whatever the number of points. A point never counts towards its own density
    (leave-one-out, exact on the grid), so weights can be fitted by likelihood without collapsing on
    single stars.

    Args:
        cell: flat grid cell of each point.
        shape: cells of the grid along each dimension; () without dimensions.
        sigma: bandwidth in cells, per dimension.
        volume: volume of a cell, in the units of the points.
    """

    cell: Int[np.ndarray, " n"]
    shape: tuple[int, ...]
    sigma: tuple[float, ...]
    volume: float

    @classmethod
    def of(cls, points: Float[np.ndarray, "n d"]) -> KernelDensity:
        """Kernel density on `points` with Scott's bandwidth per dimension (Scott 1992, section 6.3)."""
        count, dimension = points.shape
        if dimension == 0 or count == 0:
            return cls(np.zeros(count, dtype=np.int64), (), (), 1.0)
        low, high = np.percentile(points, [16, 84], axis=0)
        bandwidth = np.maximum((high - low) / 2, 1e-9) * count ** (-1.0 / (dimension + 4))
        start = points.min(axis=0) - REACH * bandwidth
        span = points.max(axis=0) + REACH * bandwidth - start
        shape = np.minimum(np.ceil(span / bandwidth * BINS_PER_BANDWIDTH), MAX_BINS).astype(int)
        step = span / shape
        index = np.minimum(((points - start) / step).astype(int), shape - 1)
        return cls(
            np.ravel_multi_index(tuple(index.T), tuple(shape)),
            tuple(int(n) for n in shape),
            tuple(float(s) for s in bandwidth / step),
            float(np.prod(step)),
        )

    def log_density(self, weight: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """Log density of the weighted points at every point, without the point itself."""
        if not self.shape:
            return np.zeros(len(self.cell))
        grid = np.bincount(self.cell, weight, int(np.prod(self.shape))).reshape(self.shape)
        smooth = self._filter(grid).ravel()[self.cell] - weight * self._peak()
        density = np.maximum(smooth, 0.0) / (np.maximum(weight.sum() - weight, 1e-12) * self.volume)
        return np.log(density + FLOOR * density.mean() + 1e-300)

    def _filter(self, grid: np.ndarray) -> np.ndarray:
        return gaussian_filter(grid, self.sigma, mode="constant", truncate=REACH)

    def _peak(self) -> float:
        """What a point of weight one adds to its own cell."""
        peak = 1.0
        for sigma in self.sigma:
            reach = int(REACH * sigma + 0.5)
            peak /= np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2).sum()
        return float(peak)
