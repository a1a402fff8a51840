"""Positions from an unnormalised log density in a ball: rejection under a bound that is constant on cells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float

from dm_map.errors import MockError
from dm_map.volume import Ball

__all__ = ["CellBound", "bound_on_cells", "draw_positions", "log_integral"]

LogDensity = Callable[[np.ndarray], np.ndarray]

# Twice what linear interpolation needs: second differences vary over a cell.
_SAFETY = 2.0
_ROUNDING = 1e-12
_LARGEST_BATCH = 1_000_000
# Fewer proposals than this pass only where a cusp hides in a cell.
_LOWEST_RATE, _TRIES = 1e-3, 100_000


@dataclass(frozen=True, eq=False)
class CellBound:
    """Cubic cells that cover a ball, with an upper bound of a log density on each.

    Attributes:
        corner: Lower corner of each cell.
        side: Side of the cells.
        bound: Upper bound of the log density.
    """

    corner: Float[np.ndarray, "cells 3"]
    side: float
    bound: Float[np.ndarray, " cells"]


def bound_on_cells(log_density: LogDensity, ball: Ball, cells: int = 64) -> CellBound:
    """Bound a smooth log density u on `cells`^3 cells around a ball.

    On a cell u is at most its largest corner plus sum_i d^2/8 max(-d^2 u/dx_i^2) (the error of linear
    interpolation); the second derivatives come from the lattice of corners, with a factor of two in hand.
    `draw_positions` checks the bound at every proposal.
    """
    side = 2.0 * ball.radius / cells
    steps = (np.arange(-1, cells + 2) - cells / 2) * side
    lattice = np.stack(np.meshgrid(*(centre + steps for centre in ball.centre), indexing="ij"), axis=-1)
    u = log_density(lattice.reshape(-1, 3)).reshape(lattice.shape[:-1])
    bend = np.zeros(tuple(size - 2 for size in u.shape))
    for axis in range(3):
        second = np.diff(u, 2, axis=axis)
        inner = [slice(1, -1)] * 3
        inner[axis] = slice(None)
        bend += np.maximum(-second[tuple(inner)], 0.0)
    bound = _largest_corner(u[1:-1, 1:-1, 1:-1]) + _SAFETY / 8.0 * _largest_corner(bend)
    corner = lattice[1:-2, 1:-2, 1:-2].reshape(-1, 3)
    nearest = np.clip(np.asarray(ball.centre), corner, corner + side)
    reached = ball.contains(nearest)
    return CellBound(corner[reached], side, bound.reshape(-1)[reached])


def _largest_corner(values: np.ndarray) -> np.ndarray:
    for axis in range(values.ndim):
        low = np.take(values, range(values.shape[axis] - 1), axis=axis)
        high = np.take(values, range(1, values.shape[axis]), axis=axis)
        values = np.maximum(low, high)
    return values


def draw_positions(
    log_density: LogDensity,
    ball: Ball,
    n: int,
    rng: np.random.Generator,
    bound: CellBound | None = None,
) -> Float[np.ndarray, "n 3"]:
    """n independent positions in the ball from exp(log_density), in random order.

    Args:
        log_density: Of positions (n, 3), up to a constant; smooth over a cell.
        ball: Where it is to be drawn from.
        n: Number of positions.
        rng: Source of the draws.
        bound: Upper bound on cells; `bound_on_cells` of the log density where None.

    Raises:
        MockError: the log density exceeds its bound somewhere, so that the draws would not follow it; or it
            varies so much within cells that fewer than one in a thousand proposals pass.
    """
    if n == 0:
        return np.empty((0, 3))
    under = bound_on_cells(log_density, ball) if bound is None else bound
    share = np.exp(under.bound - np.max(under.bound))
    share /= share.sum()
    found: list[np.ndarray] = [np.empty((0, 3))]
    missing, rate, tried = n, 0.6, 0
    while missing > 0:
        batch = min(int(1.05 * missing / rate) + 100, _LARGEST_BATCH)
        cell = rng.permutation(np.repeat(np.arange(len(share)), rng.multinomial(batch, share)))
        x = under.corner[cell] + under.side * rng.random((batch, 3))
        inside = ball.contains(x)
        x, cell = x[inside], cell[inside]
        excess = log_density(x) - under.bound[cell]
        _require_bounded(excess, x)
        passed = x[np.log1p(-rng.random(len(x))) < excess]
        found.append(passed[:missing])
        missing, tried = missing - len(found[-1]), tried + batch
        rate = max(len(passed) / batch, _LOWEST_RATE)
        if missing > 0 and tried > _TRIES and n - missing < _LOWEST_RATE * tried:
            raise MockError(
                f"{n - missing} of {tried} proposals passed: the density varies too much within cells of "
                f"{under.side:.3g}; take a volume without the centre of a cusp, or a larger dispersion"
            )
    return np.concatenate(found)


def _require_bounded(excess: np.ndarray, x: np.ndarray) -> None:
    if len(excess) and np.max(excess) > _ROUNDING:
        worst = int(np.argmax(excess))
        raise MockError(
            f"the density is {np.exp(excess[worst]):.6g} times its bound at "
            f"{np.array2string(x[worst], precision=4)}: draws would not follow it. Use smaller cells, or a "
            "volume without the centre of a cusp"
        )


def log_integral(log_density: LogDensity, ball: Ball, nodes: int = 48) -> float:
    """ln of the integral of exp(log_density) over the ball.

    Gauss-Legendre in height, on both sides of the plane z = 0 where discs are thin, and on each slice in
    squared radius times equal angles.
    """
    centre = np.asarray(ball.centre)
    low, high = centre[2] - ball.radius, centre[2] + ball.radius
    edges = [low, *([0.0] if low < 0.0 < high else []), high]
    node, weight = np.polynomial.legendre.leggauss(nodes)
    z = np.concatenate([a + (b - a) * (node + 1) / 2 for a, b in pairwise(edges)])
    of_z = np.concatenate([weight * (b - a) / 2 for a, b in pairwise(edges)])
    squared, angle = (node + 1) / 2, 2 * np.pi * np.arange(nodes) / nodes
    disc = np.sqrt(squared)[:, None, None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    reach = np.sqrt(ball.radius**2 - (z - centre[2]) ** 2)
    plane = centre[:2] + reach[:, None, None, None] * disc
    x = np.concatenate([plane, np.broadcast_to(z[:, None, None, None], (*plane.shape[:-1], 1))], axis=-1)
    u = log_density(x.reshape(-1, 3)).reshape(x.shape[:-1])
    largest = float(np.max(u))
    # The area element of a slice is reach^2 / 2 d(squared radius) d(angle); the weights add up to two.
    area = np.pi * reach**2 * ((weight / 2) @ np.mean(np.exp(u - largest), axis=-1).T)
    return largest + float(np.log(np.sum(of_z * area)))
