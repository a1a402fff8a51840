"""How often a candidate fits a known stream by chance: the same criteria at other places of the sky."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from sky_patches import PatchFrame
from streams.crossmatch.comparing import compare
from streams.crossmatch.known import KnownStream
from streams.crossmatch.placed_stars import PlacedStars
from streams.crossmatch.recipe import CrossMatchRecipe

__all__ = ["Chance", "chance_matches", "placements"]

_WORTH = {"none": 0, "possible": 1, "match": 2}


def placements(
    centre: Float[np.ndarray, " 3"], recipe: CrossMatchRecipe
) -> Iterator[Float[np.ndarray, "3 3"]]:
    """Turns about the Galactic pole, each also mirrored at the Galactic plane, as matrices for ICRS vectors.

    They keep the Galactic latitude, on which known streams, candidates and proper motions depend. Evenly
    spaced, so that nothing is drawn; places nearer to `centre` than the recipe's least move are left out.
    """
    galactic = PatchFrame.galactic().matrix
    half = max(recipe.placements // 2, 1)
    for number in range(1, half + 1):
        angle = 2.0 * np.pi * number / (half + 1)
        cosine, sine = np.cos(angle), np.sin(angle)
        for sign in (1.0, -1.0):
            turn = np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, sign]])
            matrix = galactic.T @ turn @ galactic
            if centre @ matrix @ centre < np.cos(np.radians(recipe.least_move)):
                yield matrix


@dataclass(frozen=True)
class Chance:
    """How often a candidate fits known streams where it is not.

    Args:
        match: share of the other places at which it matches at least one in full.
        fit: share at which it matches one or may be one; both NaN where no place was tried.
    """

    match: float
    fit: float


def chance_matches(stars: PlacedStars, known: Sequence[KnownStream], recipe: CrossMatchRecipe) -> Chance:
    """Try the candidate at the other places.

    Shared stars do not count there: only place, direction and proper motion can agree by chance.
    """
    moves = list(placements(stars.centre, recipe))
    if not moves:
        return Chance(float("nan"), float("nan"))
    centres = np.stack([matrix @ stars.centre for matrix in moves])
    best = np.zeros(len(moves), dtype=int)
    for stream in known:
        tolerance = recipe.tolerance(stream.width)
        # A stream that can add nothing to what is known of a place is not compared there.
        most = 2 if stream.has_proper_motion else int(tolerance <= recipe.widest_alone)
        near = np.flatnonzero((best < most) & (stream.line.distances(centres) <= stars.reach + tolerance))
        for place in near:
            level = compare(stars.moved(moves[place]), stream, None, recipe).level
            best[place] = max(best[place], _WORTH[level])
    return Chance(float((best == 2).mean()), float((best > 0).mean()))
