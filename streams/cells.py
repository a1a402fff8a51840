"""A footprint as a fine grid of cells: area, gradient of the star density, positions under the null."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial import KDTree

from sky_patches import Footprint
from streams.errors import LineSearchError
from streams.plane import TangentPlane

__all__ = ["FootprintCells"]

LATTICE_ANGLE = np.radians(31.5)
"""Of the rows of cells: half a degree off any whole number, so that no line that is tried runs along them."""
BLOCK_CELLS = 4
"""Side, in cells, of the blocks on which a density is fitted first: sixteen times fewer of them."""

_TOGETHER = 16
"""Regions whose densities are worked out at a time: a few megabytes, whatever their number."""


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

    @cached_property
    def plane_area(self) -> Float[np.ndarray, " cells"]:
        """Area of each cell in the tangent plane, deg^2: larger by the cube of the secant of its distance."""
        return self.area * (1.0 + np.radians(self.x) ** 2 + np.radians(self.y) ** 2) ** 1.5

    def nearest(self, x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
        """Number of the cell that is nearest to each point (x, y in the plane, deg)."""
        return self._tree.query(np.column_stack([x, y]))[1]

    @cached_property
    def _tree(self) -> KDTree:
        return KDTree(np.column_stack([self.x, self.y]))

    @cached_property
    def _blocks(self) -> _Exponential:
        return _Exponential.blocks(self)

    def density(self, x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"]) -> Float[np.ndarray, " cells"]:
        """Share of the stars (x, y in the plane, deg) expected in each cell; see `densities`."""
        return self.densities([(x, y)])[0]

    def densities(
        self, regions: Sequence[tuple[Float[np.ndarray, " _"], Float[np.ndarray, " _"]]]
    ) -> Float[np.ndarray, "regions cells"]:
        """Share of each region's stars expected in each cell: area times exp(a x + b y), by maximum
        likelihood.

        A log-linear gradient (towards the Galactic disc) is all that is fitted: it cannot bend around a
        stream. The maximum-likelihood (a, b) is where the cells' mean position equals the stars'. Newton's
        iterations run for all regions at once: on blocks of cells until they stand still, then on the cells.

        Args:
            regions: (x, y) of the stars of each region, plane coordinates, deg.

        Returns:
            float32, each row adds up to one.

        Raises:
            LineSearchError: a region has no stars.
        """
        empty = [number for number, (x, _) in enumerate(regions) if not len(x)]
        if empty:
            raise LineSearchError(f"region {empty[0]} of {len(regions)} has no star to fit a density to")
        target = np.array([(np.mean(x), np.mean(y)) for x, y in regions]).reshape(-1, 2)
        gradient = self._blocks.fit(target, np.zeros_like(target), tolerance=1e-6)
        fine = _Exponential(*(values.astype(np.float32) for values in (self.x, self.y, self.area)))
        return fine.refined(target, gradient)

    @staticmethod
    def draw(
        cumulative: Float[np.ndarray, " cells"], uniform: Float[np.ndarray, "*any"]
    ) -> Int[np.ndarray, "*any"]:
        """Cell numbers for uniform deviates in [0, 1), from the running sum of a density."""
        return np.minimum(np.searchsorted(cumulative, uniform * cumulative[-1]), len(cumulative) - 1)


@dataclass(frozen=True)
class _Exponential:
    """Densities area * exp(a x + b y) on some cells, and the gradients (a, b) that have given means."""

    x: Float[np.ndarray, " cells"]
    y: Float[np.ndarray, " cells"]
    area: Float[np.ndarray, " cells"]

    @classmethod
    def blocks(cls, cells: FootprintCells) -> _Exponential:
        """Square blocks of cells, each at the mean position of its area."""
        side = BLOCK_CELLS * cells.size
        corner = np.floor(np.column_stack([cells.x, cells.y]) / side).astype(int)
        _, block = np.unique(corner, axis=0, return_inverse=True)
        area = np.bincount(block.ravel(), cells.area)
        x, y = (np.bincount(block.ravel(), cells.area * v) / area for v in (cells.x, cells.y))
        return cls(x, y, area)

    def refined(self, target: np.ndarray, gradient: np.ndarray) -> Float[np.ndarray, "regions cells"]:
        """Densities after Newton's last steps; a few regions at a time bound the memory."""
        density = np.empty((len(target), len(self.x)), dtype=np.float32)
        for at in range(0, len(target), _TOGETHER):
            part = slice(at, at + _TOGETHER)
            # Newton's convergence is quadratic: a step of 1e-3 leaves an error of a millionth.
            density[part] = self.shares(self.fit(target[part], gradient[part], tolerance=1e-3))
        return density

    def fit(self, target: np.ndarray, gradient: np.ndarray, tolerance: float, steps: int = 50) -> np.ndarray:
        """Gradients (regions, 2) whose densities have the mean positions `target` (regions, 2)."""
        moments = np.column_stack([self.x, self.y, self.x**2, self.x * self.y, self.y**2])
        extent = np.ptp(moments[:, :2], axis=0)
        for _ in range(steps):
            x, y, xx, xy, yy = (self.shares(gradient) @ moments).T.astype(float)
            spread = np.stack([xx - x * x, xy - x * y, xy - x * y, yy - y * y], axis=-1).reshape(-1, 2, 2)
            left = target - np.column_stack([x, y])
            step = np.einsum("rij,rj->ri", np.linalg.pinv(spread, hermitian=True), left)
            # Newton's step is trusted while it changes the density across the field by less than e^2.
            change = np.abs(step) @ extent
            gradient = gradient + step / np.maximum(1.0, change / 2)[:, None]
            if change.max(initial=0.0) < tolerance:
                break
        return gradient

    def shares(self, gradient: np.ndarray) -> Float[np.ndarray, "regions cells"]:
        """The densities, each adding up to one."""
        weight = gradient.astype(self.x.dtype) @ np.stack([self.x, self.y])
        weight -= weight.max(axis=1, keepdims=True)
        np.exp(weight, out=weight)
        weight *= self.area
        weight /= weight.sum(axis=1, keepdims=True)
        return weight


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
