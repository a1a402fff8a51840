"""A footprint as a fine grid of cells: area, gradient of the star density, positions under the null."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from jaxtyping import Float, Int

from streams.errors import LineSearchError
from streams.plane import TangentPlane

__all__ = ["FootprintCells", "FootprintLike"]


class FootprintLike(Protocol):
    """What the line search asks of a footprint (`sky_patches.Circle`, `sky_patches.Box`, your own)."""

    def contains(self, phi1: np.ndarray, phi2: np.ndarray) -> np.ndarray: ...

    def boundary(self, n: int) -> tuple[np.ndarray, np.ndarray]: ...


@dataclass(frozen=True)
class FootprintCells:
    """The cells of a footprint, in the tangent plane of its centre.

    Any shape, holes included, is handled alike: it is only asked which cells it contains. The cells
    follow each other in a winding order, so that neighbours in number are neighbours on the sky.

    Args:
        plane: the tangent plane.
        x, y: cell centres in the plane, deg.
        area: true area of each cell on the sky, deg^2.
        size: side of a cell, deg.
    """

    plane: TangentPlane
    x: Float[np.ndarray, " cells"]
    y: Float[np.ndarray, " cells"]
    area: Float[np.ndarray, " cells"]
    size: float

    @classmethod
    def of(cls, footprint: FootprintLike, size: float) -> FootprintCells:
        """Grid a footprint with square cells of side `size`, deg."""
        edge1, edge2 = footprint.boundary(720)
        low1, high1, low2, high2 = edge1.min(), edge1.max(), edge2.min(), edge2.max()
        grid1, grid2 = _centres(low1, high1, size), _centres(low2, high2, size)
        phi1, phi2 = np.meshgrid(grid1, grid2)
        phi1[1::2] = phi1[1::2, ::-1]
        phi1, phi2 = phi1.ravel(), phi2.ravel()
        inside = footprint.contains(phi1, phi2)
        if not inside.any():
            raise LineSearchError(f"no cell of {size} deg lies inside {footprint!r}: use a smaller cell")
        phi1, phi2 = phi1[inside], phi2[inside]
        plane = TangentPlane(float(low1 + high1) / 2, float(low2 + high2) / 2)
        flat = (high1 - low1) / len(grid1) * (high2 - low2) / len(grid2)
        return cls(plane, *plane.project(phi1, phi2), flat * np.cos(np.radians(phi2)), size)

    def density(
        self, x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"], steps: int = 8
    ) -> Float[np.ndarray, " cells"]:
        """Share of the stars expected in each cell: area times exp(a x + b y), by maximum likelihood.

        A log-linear gradient (towards the Galactic disc) is all that is fitted: it cannot bend around a
        stream. The maximum-likelihood (a, b) is where the cells' mean position equals the stars'.
        """
        cells = np.column_stack([self.x, self.y])
        target = np.array([np.mean(x), np.mean(y)])
        gradient = np.zeros(2)
        for _ in range(steps):
            weight = self._weights(cells @ gradient)
            mean = weight @ cells
            spread = (cells - mean) * np.sqrt(weight)[:, None]
            step = np.linalg.solve(spread.T @ spread, target - mean)
            gradient = gradient + step / max(1.0, np.abs(step).max() * np.ptp(cells))
        return self._weights(cells @ gradient).astype(np.float32)

    def _weights(self, exponent: np.ndarray) -> np.ndarray:
        weight = self.area * np.exp(exponent - exponent.max())
        return weight / weight.sum()

    @staticmethod
    def draw(
        cumulative: Float[np.ndarray, " cells"], uniform: Float[np.ndarray, " n"]
    ) -> Int[np.ndarray, " n"]:
        """Cell numbers for uniform deviates in [0, 1), from the running sum of a density.

        One deviate per star gives nearly the same position in every region with a similar density, as a
        real star has one position.
        """
        return np.minimum(np.searchsorted(cumulative, uniform * cumulative[-1]), len(cumulative) - 1)


def _centres(low: float, high: float, size: float) -> np.ndarray:
    count = max(int(np.ceil((high - low) / size)), 1)
    step = (high - low) / count
    return low + step * (np.arange(count) + 0.5)
