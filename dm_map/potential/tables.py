"""Accelerations of many axisymmetric components at many stars: one shared interpolation in (R, |z|)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Float
from scipy.interpolate import make_interp_spline
from scipy.sparse import csr_matrix

from dm_map.potential.components import Component
from dm_map.volume import Ball

__all__ = ["TOLERANCE", "AccelerationTables", "acceleration_tables"]

#: Largest error of a tabulated acceleration, relative to its length.
TOLERANCE = 1e-5

# Nodes in R and in |z|, and the height (kpc) within which nodes in |z| lie evenly: thin discs bend there.
_NODES_R, _NODES_Z = 96, 160
_EVEN_HEIGHT = 0.1
_CHUNK = 16_384


@dataclass(frozen=True, eq=False)
class AccelerationTables:
    """Cubic tensor-product splines of (a_R, a_z) on one grid: the weights of a star serve all components.

    Nodes are even in R and in arcsinh(|z|/0.1 kpc).

    Attributes:
        tabulated: Which components are in the tables; the others are not axisymmetric, or their tables missed
            the tolerance.
        coefficients: Spline coefficients, shape (nodes in R x nodes in z, 2 x tabulated).
    """

    tabulated: Bool[np.ndarray, " K"]
    knots_r: Float[np.ndarray, " a"]
    knots_u: Float[np.ndarray, " b"]
    coefficients: Float[np.ndarray, "nodes columns"]

    def fill(self, x: Float[np.ndarray, "n 3"], out: Float[np.ndarray, "n 3 K"]) -> None:
        """Write the tabulated components' accelerations into their columns of `out`."""
        columns = np.flatnonzero(self.tabulated)
        # A slice writes several times faster than a list of columns, and is the usual case.
        contiguous = columns[-1] - columns[0] + 1 == len(columns)
        target = out[:, :, columns[0] : columns[-1] + 1] if contiguous else None
        for start in range(0, len(x), _CHUNK):
            rows = slice(start, start + _CHUNK)
            values = self._cartesian(x[rows])
            if target is not None:
                target[rows] = values
            else:
                out[rows, :, columns] = np.moveaxis(values, -1, 0)

    def _cartesian(self, x: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3 k"]:
        radius = np.hypot(x[:, 0], x[:, 1])
        inner = self._weights(radius, np.abs(x[:, 2])) @ self.coefficients
        k = self.coefficients.shape[1] // 2
        safe = np.where(radius > 0, radius, 1.0)
        out = np.empty((len(x), 3, k), dtype=self.coefficients.dtype)
        np.multiply(inner[:, :k], (x[:, 0] / safe).astype(out.dtype)[:, None], out=out[:, 0])
        np.multiply(inner[:, :k], (x[:, 1] / safe).astype(out.dtype)[:, None], out=out[:, 1])
        np.multiply(inner[:, k:], np.sign(x[:, 2]).astype(out.dtype)[:, None], out=out[:, 2])
        return out

    def _weights(self, radius: Float[np.ndarray, " n"], height: Float[np.ndarray, " n"]) -> csr_matrix:
        first_r, basis_r = _basis(self.knots_r, radius)
        first_u, basis_u = _basis(self.knots_u, np.arcsinh(height / _EVEN_HEIGHT))
        width = len(self.knots_u) - 4
        index = (first_r[:, None] + np.arange(4))[:, :, None] * width + (first_u[:, None] + np.arange(4))[
            :, None
        ]
        values = basis_r[:, :, None] * basis_u[:, None, :]
        starts = np.arange(0, 16 * len(radius) + 1, 16)
        shape = (len(radius), len(self.coefficients))
        dtype = self.coefficients.dtype
        return csr_matrix((values.astype(dtype).ravel(), index.astype(np.int32).ravel(), starts), shape=shape)


@lru_cache(maxsize=4)
def acceleration_tables(components: tuple[Component, ...], volume: Ball) -> AccelerationTables:
    """Tables over the volume, each checked against exact accelerations at random positions in it.

    A component whose table misses `TOLERANCE` (a cusp inside the volume) is left out and stays exact.
    """
    radii, heights = _grid(volume)
    grid_r, grid_z = np.meshgrid(radii, heights, indexing="ij")
    nodes = np.column_stack([grid_r.ravel(), np.zeros(grid_r.size), grid_z.ravel()])
    inside = np.array([component.axisymmetric for component in components])
    fields = [component.acceleration(nodes) for component in components if component.axisymmetric]
    if not fields:
        return AccelerationTables(inside, np.empty(0), np.empty(0), np.empty((0, 0)))
    stack = np.stack([field[:, 0] for field in fields] + [field[:, 2] for field in fields], axis=-1)
    # gala is undefined at the origin; by symmetry the acceleration vanishes there.
    values = np.where(np.isfinite(stack), stack, 0.0).reshape(*grid_r.shape, -1)
    in_r = make_interp_spline(radii, values, k=3, axis=0)
    in_u = make_interp_spline(np.arcsinh(heights / _EVEN_HEIGHT), in_r.c, k=3, axis=1)
    # make_interp_spline moves the interpolated axis first: (u, r, columns).
    flat = np.moveaxis(in_u.c, 0, 1).reshape(-1, values.shape[-1]).astype(np.float32)
    full = AccelerationTables(inside, in_r.t, in_u.t, flat)
    return _within_tolerance(full, components, volume)


def _grid(volume: Ball) -> tuple[Float[np.ndarray, " a"], Float[np.ndarray, " b"]]:
    """Nodes in R and |z| that cover the ball."""
    distance = float(np.hypot(volume.centre[0], volume.centre[1]))
    radii = np.linspace(max(0.0, distance - volume.radius), distance + volume.radius, _NODES_R)
    top = np.arcsinh((abs(volume.centre[2]) + volume.radius) / _EVEN_HEIGHT)
    heights = _EVEN_HEIGHT * np.sinh(np.linspace(0.0, top, _NODES_Z))
    return radii, heights


def _basis(
    knots: Float[np.ndarray, " k"], at: Float[np.ndarray, " n"]
) -> tuple[np.ndarray, Float[np.ndarray, "n 4"]]:
    """First index and values of the four cubic B-splines that do not vanish (de Boor's recursion)."""
    span = np.clip(np.searchsorted(knots, at, side="right") - 1, 3, len(knots) - 5)
    values = np.ones((4, len(at)))
    left = np.empty((4, len(at)))
    right = np.empty((4, len(at)))
    for degree in range(1, 4):
        left[degree] = at - knots[span + 1 - degree]
        right[degree] = knots[span + degree] - at
        saved = np.zeros(len(at))
        for r in range(degree):
            share = values[r] / (right[r + 1] + left[degree - r])
            values[r] = saved + right[r + 1] * share
            saved = left[degree - r] * share
        values[degree] = saved
    return span - 3, values.T


def _within_tolerance(
    tables: AccelerationTables, components: tuple[Component, ...], volume: Ball
) -> AccelerationTables:
    """The tables without the columns whose error at random positions exceeds the tolerance."""
    at = volume.uniform(4000, seed=0)
    flat = at[:2000] * np.array([1.0, 1.0, 0.02])
    at = np.concatenate([at[2000:], flat[volume.contains(flat)]])
    got = tables._cartesian(at)
    columns = np.flatnonzero(tables.tabulated)
    good = np.zeros(len(columns), dtype=bool)
    for k, column in enumerate(columns):
        exact = components[column].acceleration(at)
        length = np.linalg.norm(exact, axis=1)
        error = np.linalg.norm(got[:, :, k] - exact, axis=1)
        good[k] = bool(np.all(error <= TOLERANCE * length))
    keep = np.zeros_like(tables.tabulated)
    keep[columns[good]] = True
    return AccelerationTables(
        keep, tables.knots_r, tables.knots_u, np.ascontiguousarray(tables.coefficients[:, np.tile(good, 2)])
    )
