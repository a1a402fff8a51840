"""Stream-free skies drawn from a learned background: the null of a search that weighs stars by it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.spatial import KDTree

from density import child_seed
from sky_patches import Footprint
from streams import StreamStars
from streams.cells import LATTICE_ANGLE, FootprintCells
from via_machinae.background.columns import COLOUR, MAGNITUDE
from via_machinae.background.errors import BackgroundError
from via_machinae.background.learning import PatchBackground

__all__ = ["POSITIONS", "DrawnSky", "sample_sky"]

POSITIONS = ("redrawn", "kept")
_CELLS = 30_000
_ALIKE = 20
"""Stars of like magnitude, or of like position, from which an error is taken."""


@dataclass(frozen=True, eq=False)
class DrawnSky:
    """A sky without streams, and the density it was drawn from.

    Args:
        stars: as many as the patch has, in any order, with identifiers of their own.
        log_density: ln p(features | context) of each, as `PatchBackground.log_density`.
    """

    stars: StreamStars
    log_density: Float[np.ndarray, " n"]


def sample_sky(
    background: PatchBackground,
    stars: StreamStars,
    footprint: Footprint,
    *,
    seed: int,
    positions: str = "redrawn",
) -> DrawnSky:
    """Draw a stream-free sky: positions, features given the positions, and errors.

    What a search finds in it is chance: no line, and no clump of proper motions that the flow did not learn.
    The density is known exactly here, while that of the real stars is learned; to have the errors of learning
    in the null too, learn anew from the drawn stars (`fit_stars(sky.stars, footprint, ...)`).

    Args:
        background: the learned background.
        stars: the patch's own stars, for their number, positions and errors.
        footprint: where stars may lie.
        seed: same seed, same sky, whatever the order of `stars`.
        positions: "redrawn" from the smooth density of the stars over the footprint (a log-linear gradient,
            `FootprintCells.density`), or "kept": depth variations, clusters and the holes between them stay,
            and so do positions (not the proper motions) of a stream's stars.

    Raises:
        BackgroundError: `positions` is neither.
    """
    if positions not in POSITIONS:
        raise BackgroundError(f"expected positions to be one of {POSITIONS}; got {positions!r}")
    stars = _in_order(stars)
    rng = np.random.default_rng(np.random.SeedSequence(child_seed(seed, "sky")))
    place = stars.position if positions == "kept" else _redrawn(stars, footprint, rng)
    near = _neighbours(stars.position, place, rng) if positions == "redrawn" else np.arange(len(stars))
    bare = StreamStars(
        np.arange(len(stars)), place, np.zeros((len(stars), 2)), stars.proper_motion_error[near],
        np.empty((len(stars), 0)),
    )  # fmt: skip
    context = background.columns.context_of(bare)
    drawn = background.draw_features(context, background.fold(bare.source_id), seed=seed)
    sky = _filled(bare, drawn, stars, background, rng)
    return DrawnSky(sky, background.log_density_of(sky))


def _in_order(stars: StreamStars) -> StreamStars:
    order = np.argsort(stars.source_id, kind="stable")
    return StreamStars(
        stars.source_id[order], stars.position[order], stars.proper_motion[order],
        stars.proper_motion_error[order], stars.photometry[order], stars.photometry_names,
    )  # fmt: skip


def _filled(
    bare: StreamStars,
    drawn: Float[np.ndarray, "n d"],
    stars: StreamStars,
    background: PatchBackground,
    rng: np.random.Generator,
) -> StreamStars:
    """The drawn features as stars; with photometry the errors are those of real stars of like G."""
    if not background.columns.photometry:
        return StreamStars(bare.source_id, bare.position, drawn, bare.proper_motion_error, bare.photometry)
    magnitude = stars.photometry[:, stars.photometry_names.index(MAGNITUDE)]
    like = _like_magnitude(magnitude, drawn[:, 0], rng)
    return StreamStars(
        bare.source_id, bare.position, drawn[:, 2:], stars.proper_motion_error[like],
        drawn[:, [1, 0]], (COLOUR, MAGNITUDE),
    )  # fmt: skip


def _like_magnitude(
    known: Float[np.ndarray, " n"], drawn: Float[np.ndarray, " k"], rng: np.random.Generator
) -> Int[np.ndarray, " k"]:
    """For each drawn G, one of the stars next to it in G."""
    order = np.argsort(known, kind="stable")
    step = rng.integers(-_ALIKE // 2, _ALIKE // 2, len(drawn))
    return order[np.clip(np.searchsorted(known[order], drawn) + step, 0, len(known) - 1)]


def _neighbours(
    known: Float[np.ndarray, "n 2"], place: Float[np.ndarray, "k 2"], rng: np.random.Generator
) -> Int[np.ndarray, " k"]:
    """For each place, one of the stars next to it: error levels differ over the sky with the number of
    visits."""
    near = KDTree(known).query(place, min(_ALIKE, len(known)))[1].reshape(len(place), -1)
    return near[np.arange(len(place)), rng.integers(0, near.shape[1], len(place))]


def _redrawn(stars: StreamStars, footprint: Footprint, rng: np.random.Generator) -> Float[np.ndarray, "n 2"]:
    """As many positions from the smooth density, uniform within each cell, all inside the footprint."""
    cells = FootprintCells.of(footprint, np.sqrt(footprint.area / _CELLS))
    cumulative = np.cumsum(cells.density(*cells.plane.project(*stars.position.T)), dtype=float)
    centres = np.column_stack(cells.plane.unproject(cells.x, cells.y))
    place = np.empty((len(stars), 2))
    missing = np.ones(len(stars), dtype=bool)
    while missing.any():
        cell = FootprintCells.draw(cumulative, rng.random(missing.sum()))
        place[missing] = centres[cell] + _within_a_cell(len(cell), cells.size, rng)
        missing = _outside(footprint, place)
    return place


def _within_a_cell(n: int, size: float, rng: np.random.Generator) -> Float[np.ndarray, "n 2"]:
    """Uniform offsets in a square cell, whose sides are inclined like the rows of the lattice."""
    along, across = size * (rng.random((2, n)) - 0.5)
    cosine, sine = np.cos(LATTICE_ANGLE), np.sin(LATTICE_ANGLE)
    return np.column_stack([along * cosine - across * sine, along * sine + across * cosine])


def _outside(footprint: Footprint, place: Float[np.ndarray, "n 2"]) -> Bool[np.ndarray, " n"]:
    return ~footprint.contains(*place.T)
