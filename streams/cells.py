"""A footprint as a fine grid of cells: area, gradient of the star density, positions under the null."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from sky_patches import Footprint
from streams.errors import LineSearchError
from streams.plane import TangentPlane

__all__ = ["FootprintCells"]

LATTICE_ANGLE = np.radians(31.5)
"""Of the rows of cells: half a degree off any whole number, so that no line that is tried runs along them."""


@dataclass(frozen=True)
class FootprintCells:
    """The cells of a footprint, in the tangent plane of its centre.

    Any shape, holes included, is handled alike: it is only asked which cells it contains. The cells
    follow each other in a winding order, so that neighbours in number are neighbours on the sky. Rows
    are inclined to phi1, because the edge of a strip parallel to them takes or leaves a whole row.

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
    def of(cls, footprint: Footprint, size: float) -> FootprintCells:
        """Grid a footprint with square cells of side `size`, deg."""
        phi1, phi2 = _winding_lattice(*footprint.boundary(720), size)
        inside = footprint.contains(phi1, phi2)
        if not inside.any():
            raise LineSearchError(f"no cell of {size} deg lies inside {footprint!r}: use a smaller cell")
        phi1, phi2 = phi1[inside], phi2[inside]
        plane = TangentPlane(*footprint.centre)
        return cls(plane, *plane.project(phi1, phi2), size**2 * np.cos(np.radians(phi2)), size)

    def density(
        self, x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"], steps: int = 50
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
            step = np.linalg.pinv(spread.T @ spread) @ (target - mean)
            # Newton's step is trusted while it changes the density across the field by less than e^2.
            change = float(np.abs(step) @ np.ptp(cells, axis=0))
            gradient = gradient + step / max(1.0, change / 2)
            if change < 1e-6:
                break
        return self._weights(cells @ gradient).astype(np.float32)

    def _weights(self, exponent: np.ndarray) -> np.ndarray:
        weight = self.area * np.exp(exponent - exponent.max())
        return weight / weight.sum()

    @staticmethod
    def draw(
        cumulative: Float[np.ndarray, " cells"], uniform: Float[np.ndarray, " n"]
    ) -> Int[np.ndarray, " n"]:
        """Cell numbers for uniform deviates in [0, 1), from the running sum of a density."""
        return np.minimum(np.searchsorted(cumulative, uniform * cumulative[-1]), len(cumulative) - 1)


def _winding_lattice(
    edge1: Float[np.ndarray, " p"], edge2: Float[np.ndarray, " p"], size: float
) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, " k"]]:
    """Square lattice of step `size` over a closed curve, row by row, every second row backwards."""
    cosine, sine = np.cos(LATTICE_ANGLE), np.sin(LATTICE_ANGLE)
    along, across = edge1 * cosine + edge2 * sine, edge2 * cosine - edge1 * sine
    a, b = np.meshgrid(*(np.arange(v.min() - size / 2, v.max() + size, size) for v in (along, across)))
    a[1::2] = a[1::2, ::-1]
    a, b = a.ravel(), b.ravel()
    return a * cosine - b * sine, a * sine + b * cosine
