"""Stars simulated from a refined stream: what its goodness-of-fit tests expect."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from scipy.spatial import KDTree

from streams.cells import FootprintCells
from streams.likelihood.refinement_component import StreamDensity, index
from streams.likelihood.refinement_sky import RefinementSky
from streams.ridges import INTRINSIC_COLOUR_SPREAD, Ridge

__all__ = ["SimulatedMembers", "luminosity_table", "simulated_members", "sky_mass"]

DRAWS = 6000
"""Simulated stars: their covariances are good to two per cent."""
LEAST_PROBABILITY = 0.01
"""Stars less likely members than this lend their errors to none."""
_HALF_DIAGONAL = 0.75
"""Of a cell, in its sides, and a little more."""


@dataclass(frozen=True, eq=False)
class SimulatedMembers:
    """Stars of a stream.

    Args:
        sky: the stars.
        weight: how many true ones each stands for; they add up to the stream's expected number.
    """

    sky: RefinementSky
    weight: Float[np.ndarray, " n"]


def simulated_members(
    stream: StreamDensity,
    p: Float[np.ndarray, " k"],
    sky: RefinementSky,
    q: Float[np.ndarray, " n"],
    seed: int,
) -> SimulatedMembers:
    """Stars with places, proper motions, magnitudes and colours of the model.

    Each borrows from an observed star, in proportion to that one's membership probability, what the model
    does not describe: errors and density of the background, which changes little over the width of a stream.
    Bright ones borrow from bright ones. The order of the observed stars does not matter.
    """
    rng = np.random.default_rng(seed)
    donors = np.flatnonzero(q > LEAST_PROBABILITY)
    donors = donors[np.lexsort((sky.y[donors], sky.x[donors], sky.magnitude[donors]))]
    copies = -(-DRAWS // max(len(donors), 1))
    lent, weight = np.repeat(donors, copies), np.repeat(q[donors] / copies, copies)
    s, t = _places(stream, p, sky, len(lent), rng)
    cosine, sine = np.cos(stream.theta), np.sin(stream.theta)
    drawn = replace(sky.take(lent), x=s * cosine + t * sine, y=s * sine - t * cosine)
    drawn = replace(drawn, motion=_motions(p, s, drawn, rng))
    if stream.ridge is not None:
        modulus = p[index("modulus")] + p[index("modulus_slope")] * s
        drawn = _lit(drawn, stream.ridge, modulus, weight, rng)
    return SimulatedMembers(drawn, weight)


def _lit(
    sky: RefinementSky, ridge: Ridge, modulus: np.ndarray, weight: np.ndarray, rng: np.random.Generator
) -> RefinementSky:
    """Magnitudes of the luminosity function in the order of the borrowed ones, colours of the ridge."""
    counted = np.where(sky.measured, weight, 0.0)
    share = (np.cumsum(counted) - 0.5 * counted) / max(counted.sum(), 1e-300)
    node, count = luminosity_table(ridge)
    bright, faint = (np.interp(limit - modulus, node, count) for limit in sky.limits)
    absolute = np.interp(bright + share * (faint - bright), count, node)
    sigma = np.hypot(sky.colour_error, INTRINSIC_COLOUR_SPREAD)
    colour = ridge.colour(absolute) + sigma * rng.normal(size=len(sigma))
    magnitude = np.clip(np.where(sky.measured, absolute + modulus, np.nan), *sky.limits)
    return replace(sky, magnitude=magnitude, colour=np.where(sky.measured, colour, np.nan))


def luminosity_table(ridge: Ridge) -> tuple[Float[np.ndarray, " nodes"], Float[np.ndarray, " nodes"]]:
    """Absolute magnitudes, and the relative number of stars that are brighter."""
    node = np.linspace(ridge.absolute[0], ridge.absolute[-1], 4000)
    light = np.exp(np.interp(node, ridge.absolute, ridge.log_luminosity))
    return node, np.concatenate([[0.0], np.cumsum(0.5 * (light[1:] + light[:-1]) * np.diff(node))])


def sky_mass(
    stream: StreamDensity, p: Float[np.ndarray, " k"], sky: RefinementSky
) -> tuple[Float[np.ndarray, " cells"], Float[np.ndarray, " cells"]]:
    """Relative number of the stream's stars in each cell, and the cell's distance across in sigmas."""
    s, t = stream.frame(sky.cell_x, sky.cell_y)
    z = (t - np.polyval(p[2::-1], s)) / np.exp(p[3])
    return sky.cell_area * np.exp(-0.5 * z * z + stream.log_profile(p, s)), z


def _places(
    stream: StreamDensity, p: np.ndarray, sky: RefinementSky, count: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """(s, t) of stars of the stream inside the footprint."""
    cell_s, cell_t = stream.frame(sky.cell_x, sky.cell_y)
    side = np.sqrt(sky.cell_area.mean())
    cells = FootprintCells.draw(np.cumsum(sky_mass(stream, p, sky)[0]), rng.random(count))
    s = cell_s[cells] + side * (rng.random(count) - 0.5)
    t = np.polyval(p[2::-1], s) + np.exp(p[3]) * rng.normal(size=count)
    # Beyond the footprint there are no stars: those stay in the cell that was drawn for them.
    distance = KDTree(np.column_stack([cell_s, cell_t])).query(np.column_stack([s, t]))[0]
    outside = distance > _HALF_DIAGONAL * side
    return np.where(outside, cell_s[cells], s), np.where(outside, cell_t[cells], t)


def _motions(p: np.ndarray, s: np.ndarray, sky: RefinementSky, rng: np.random.Generator) -> np.ndarray:
    """Proper motions: the model's at s, its spreads and each star's correlated errors."""
    first, second = rng.normal(size=(2, len(s)))
    second = sky.correlation * first + np.sqrt(1.0 - sky.correlation**2) * second
    spread = np.exp(p[12:14]) * rng.normal(size=(len(s), 2))
    track = np.column_stack([np.polyval(p[8:5:-1], s), np.polyval(p[11:8:-1], s)])
    return track + spread + sky.error * np.column_stack([first, second])
