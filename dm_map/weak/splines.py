"""Test functions of position: products of quadratic B-splines under an envelope that vanishes at the edge."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

from dm_map.errors import WeakFormError
from dm_map.volume import Ball

__all__ = ["EnvelopedSplines"]

#: Quadratic splines of one axis that do not vanish in an interval between knots.
_ACTIVE = 3


@dataclass(frozen=True)
class EnvelopedSplines:
    """B_j(x) = E(x) b_j1(x) b_j2(y) b_j3(z) in a ball, E = (1 - q^2)^2 with q the fraction of the radius.

    Quadratic splines have continuous gradients and overlap, so no region between them is lost; the envelope
    makes every one of them vanish with its gradient on the surface of the ball, which is all that the weak
    form asks of a test function. So splines that reach over the edge still use the stars inside.

    Attributes:
        volume: The ball.
        knots: Increasing knots of each axis, relative to the centre, kpc; from -radius to radius.

    Raises:
        WeakFormError: the knots of an axis do not increase, or do not span the ball.
    """

    volume: Ball
    knots: tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]

    def __post_init__(self) -> None:
        for axis, knots in zip("xyz", self.knots, strict=True):
            if len(knots) < 2 or np.any(np.diff(knots) <= 0):
                raise WeakFormError(f"the knots of {axis} increase, two at the least; got {knots}")
            if knots[0] > -self.volume.radius or knots[-1] < self.volume.radius:
                raise WeakFormError(
                    f"the knots of {axis} span the ball from {-self.volume.radius:g} to "
                    f"{self.volume.radius:g}; got {knots[0]:g} to {knots[-1]:g}"
                )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Splines of each axis."""
        nx, ny, nz = (len(knots) + 1 for knots in self.knots)
        return nx, ny, nz

    @property
    def size(self) -> int:
        """Number of functions of position."""
        return int(np.prod(self.shape))

    @cached_property
    def centres(self) -> Float[np.ndarray, "j 3"]:
        """Where each function is centred, before the envelope: the middle of its support, kpc."""
        middles = []
        for knots in self._extended:
            middles.append(0.5 * (knots[:-_ACTIVE] + knots[_ACTIVE:]))
        grid = np.stack(np.meshgrid(*middles, indexing="ij"), axis=-1).reshape(-1, 3)
        return np.asarray(self.volume.centre) + grid

    def cell_of(self, x: Float[np.ndarray, "n 3"]) -> Int[np.ndarray, " n"]:
        """Number of the cell between knots in which each position lies."""
        d = x - np.asarray(self.volume.centre)
        index = []
        for axis, knots in enumerate(self.knots):
            found = np.searchsorted(np.asarray(knots), d[:, axis], side="right") - 1
            index.append(np.clip(found, 0, len(knots) - 2))
        return np.ravel_multi_index(tuple(index), self._cells)

    def active(self, cell: int) -> Int[np.ndarray, " 27"]:
        """The 27 functions that do not vanish in a cell."""
        i, j, k = np.unravel_index(cell, self._cells)
        near = np.arange(_ACTIVE)
        grid = np.meshgrid(i + near, j + near, k + near, indexing="ij")
        return np.ravel_multi_index(tuple(axis.ravel() for axis in grid), self.shape)

    def evaluate(
        self, cell: int, x: Float[np.ndarray, "n 3"]
    ) -> tuple[Float[np.ndarray, "n 27"], Float[np.ndarray, "3 n 27"]]:
        """Values and gradients (1/kpc) of the active functions at positions of one cell."""
        d = x - np.asarray(self.volume.centre)
        index = np.unravel_index(cell, self._cells)
        parts = [self._axis(axis, int(index[axis]), d[:, axis]) for axis in range(3)]
        (bx, dx), (by, dy), (bz, dz) = parts
        envelope, slope = self._envelope(d)
        plain = _outer(bx, by, bz)
        gradients = np.stack([_outer(dx, by, bz), _outer(bx, dy, bz), _outer(bx, by, dz)])
        gradients *= envelope[:, None]
        gradients += slope.T[:, :, None] * plain
        plain *= envelope[:, None]
        return plain, gradients

    def _axis(self, axis: int, at: int, d: Float[np.ndarray, " n"]) -> tuple[np.ndarray, np.ndarray]:
        """The three quadratic splines of an interval, and their derivatives (de Boor)."""
        before, left, right, after = self._extended[axis][at + 1 : at + 5]
        width = right - left
        first = (right - d) ** 2 / ((right - before) * width)
        last = (d - left) ** 2 / ((after - left) * width)
        d_first = -2.0 * (right - d) / ((right - before) * width)
        d_last = 2.0 * (d - left) / ((after - left) * width)
        return np.stack([first, 1.0 - first - last, last], 1), np.stack(
            [d_first, -d_first - d_last, d_last], 1
        )

    def _envelope(
        self, d: Float[np.ndarray, "n 3"]
    ) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, "n 3"]]:
        inside = np.maximum(1.0 - np.sum(d**2, axis=1) / self.volume.radius**2, 0.0)
        return inside**2, (-4.0 / self.volume.radius**2) * inside[:, None] * d

    @property
    def _cells(self) -> tuple[int, int, int]:
        nx, ny, nz = (len(knots) - 1 for knots in self.knots)
        return nx, ny, nz

    @cached_property
    def _extended(self) -> tuple[Float[np.ndarray, " k"], ...]:
        """Two more knots on either side, at the distance of the outermost ones."""
        out = []
        for knots in self.knots:
            inner = np.asarray(knots)
            before = inner[0] - (inner[1] - inner[0]) * np.array([2.0, 1.0])
            after = inner[-1] + (inner[-1] - inner[-2]) * np.array([1.0, 2.0])
            out.append(np.concatenate([before, inner, after]))
        return tuple(out)


def _outer(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> Float[np.ndarray, "n 27"]:
    return (a[:, :, None, None] * b[:, None, :, None] * c[:, None, None, :]).reshape(len(a), -1)
