"""Regions of the volume: blocks of test functions that are judged together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from dm_map.weak.functions import TestFunctions

__all__ = ["Region", "local_coordinates", "regions_of"]

# Axes along which the volume is halved: by height, where the Galaxy varies fastest, outwards, across.
_CUTS = (2, 0, 2, 1)

# Positions for the centres of mass of the functions.
_POSITIONS = 20_000


@dataclass(frozen=True, eq=False)
class Region:
    """A block of neighbouring test functions.

    Attributes:
        name: Where it is, in words and kpc.
        functions: Numbers of its functions of position.
        centre: Mean Cartesian position, weighted by stars, kpc.
        place: The same along (R, across, z), or (x, y, z) where the volume holds the z axis, kpc; `across` is
            the length of the arc from the azimuth of the volume's centre.
        stars: Effective number of stars of its functions; they overlap, and so do the stars of regions.
    """

    name: str
    functions: Int[np.ndarray, " j"]
    centre: Float[np.ndarray, " 3"]
    place: Float[np.ndarray, " 3"]
    stars: float


def local_coordinates(functions: TestFunctions, x: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
    """(R, arc from the azimuth of the volume's centre, z) in a cylindrical frame, else (x, y, z); kpc."""
    if functions.velocity.frame == "cartesian":
        return x.copy()
    middle = functions.space.volume.centre
    here, there = np.arctan2(x[:, 1], x[:, 0]), np.arctan2(middle[1], middle[0])
    turn = np.angle(np.exp(1j * (here - there)))
    return np.stack([np.hypot(x[:, 0], x[:, 1]), turn * np.hypot(middle[0], middle[1]), x[:, 2]], axis=1)


def regions_of(
    functions: TestFunctions,
    keep: Bool[np.ndarray, " r"],
    stars: Float[np.ndarray, " r"],
    fewest: int = 8,
) -> tuple[Region, ...]:
    """Halve the volume by height, distance from the axis, height and azimuth, into blocks of equal weight.

    A block is cut at the median of its functions' centres, weighted by the square root of their stars, unless
    a half would have fewer than `fewest` functions: so every region has rows and stars to be judged by.

    Args:
        functions: The test functions.
        keep: Rows in use.
        stars: Effective number of stars behind each row.
        fewest: Functions of position that a region has at the least.
    """
    m = functions.velocity.size
    used = np.flatnonzero(np.asarray(keep).reshape(-1, m).any(axis=1))
    count = np.asarray(stars).reshape(-1, m)[:, 0]
    middles = _middles(functions)
    place = local_coordinates(functions, middles)
    blocks = [used]
    for axis in _CUTS:
        blocks = [half for block in blocks for half in _halves(block, place[:, axis], count, fewest)]
    letters = "xyz" if functions.velocity.frame == "cartesian" else ("R", "across", "z")
    return tuple(_region(block, middles, place, count, tuple(letters)) for block in blocks)


def _middles(functions: TestFunctions) -> Float[np.ndarray, "j 3"]:
    """Centre of mass of every function, the envelope included; of its knots where it has next to none."""
    space = functions.space
    x = space.volume.uniform(_POSITIONS, seed=0)
    mass, first = np.zeros(space.size), np.zeros((space.size, 3))
    cells = space.cell_of(x)
    for cell in np.unique(cells):
        here = x[cells == cell]
        B = space.evaluate(int(cell), here)[0]
        mass[space.active(int(cell))] += B.sum(axis=0)
        first[space.active(int(cell))] += B.T @ here
    seen = mass > 0
    out = space.centres.copy()
    out[seen] = first[seen] / mass[seen, None]
    return out


def _halves(
    block: Int[np.ndarray, " j"],
    position: Float[np.ndarray, " n"],
    stars: Float[np.ndarray, " n"],
    fewest: int,
) -> list[Int[np.ndarray, " _"]]:
    """A block cut where half of the weight is on either side, between different positions."""
    places = np.unique(np.round(position[block], 9))
    if len(places) < 2:
        return [block]
    weight = np.sqrt(stars[block])
    below = np.array([weight[position[block] <= edge + 1e-6].sum() for edge in places[:-1]])
    edge = places[int(np.argmin(np.abs(below - 0.5 * weight.sum())))]
    low = position[block] <= edge + 1e-6
    if min(low.sum(), (~low).sum()) < fewest:
        return [block]
    return [block[low], block[~low]]


def _region(
    block: Int[np.ndarray, " j"],
    middles: Float[np.ndarray, "n 3"],
    place: Float[np.ndarray, "n 3"],
    stars: Float[np.ndarray, " n"],
    letters: tuple[str, ...],
) -> Region:
    weight = stars[block] / stars[block].sum()
    middle = weight @ place[block]
    name = ", ".join(f"{letter} {value:.1f}" for letter, value in zip(letters, middle, strict=True))
    return Region(name, block, weight @ middles[block], middle, float(stars[block].sum()))
