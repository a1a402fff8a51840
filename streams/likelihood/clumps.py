"""A line whose stars are in one place is no stream: a star cluster or a dwarf galaxy that is not masked."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.stats import binom

from streams.likelihood.sight import FreeLine, PatchSight

__all__ = ["CHANCE", "clump_of", "clump_stretch"]

CHANCE = 1e-3
"""Share of evenly filled lines, at most, that is taken for clumps."""
_SHARE = 0.5


def clump_of(sight: PatchSight, line: FreeLine, left: Float[np.ndarray, " n"]) -> tuple[float, float] | None:
    """The stretch of a line to which it owes its excess, or None (see `clump_stretch`).

    Args:
        left: what other lines have left of each star of the patch.
    """
    stars, weight = sight.weights(line)
    along, weight = sight.along(line, stars), weight * left[stars]
    length, longest = sight.length(line), sight.grid.recipe.clump
    return clump_stretch(along, weight, sight.expected(line), length, longest)


def clump_stretch(
    along: Float[np.ndarray, " k"],
    weight: Float[np.ndarray, " k"],
    expected: float,
    length: float,
    longest: float,
) -> tuple[float, float] | None:
    """The stretch of a line to which it owes its excess, or None: the stars are spread along it.

    The richest stretch of `longest` must hold more than half of the line's excess, and more stars than the
    richest stretch of an evenly filled line holds once in 1 / `CHANCE` times: with K stars along it, k of
    them within a stretch of share p that begins at one of them, K P(Binomial(K - 1, p) >= k - 1) bounds that
    chance. The first rule spares streams with a rich part, the second lines of a handful of stars.

    Args:
        along: places of the line's stars, deg.
        weight: of each; stars count by sum^2 / sum of squares.
        expected: sum of the weights by chance.
        length: of the line within the footprint, deg.
        longest: longest stretch, deg.
    """
    order = np.argsort(along, kind="stable")
    place, total = along[order], np.concatenate([[0.0], np.cumsum(weight[order])])
    share, excess = min(longest / max(length, 1e-9), 1.0), total[-1] - expected
    if not len(along) or excess <= 0.0 or share == 1.0:
        return None
    end = np.searchsorted(place, place + longest, side="right")
    held = total[end] - total[:-1]
    best = int(np.argmax(held))
    if held[best] - share * expected <= _SHARE * excess:
        return None
    stars = total[-1] ** 2 / float((weight**2).sum())
    many, inside = max(round(stars), 1), round(stars * held[best] / total[-1])
    if many * binom.sf(inside - 2, many - 1, share) > CHANCE:
        return None
    return float(place[best]), float(place[end[best] - 1])
