"""Distinct streams among free lines, each with its exact tail probability."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from streams.likelihood.clumps import clump_of
from streams.likelihood.hypotheses import Hypothesis
from streams.likelihood.sight import FreeLine, PatchSight
from streams.likelihood.significance import saddlepoint_significance

__all__ = ["distinct_peaks", "hypothesis_of"]


def distinct_peaks(
    sight: PatchSight, ranked: Sequence[tuple[FreeLine, Float[np.ndarray, " n"]]]
) -> tuple[Hypothesis, ...]:
    """The hypotheses that are no shadow of a better one, most significant first.

    A stream lights up thousands of hypotheses: neighbours in every quantity, and lines across it. Best
    first, a hypothesis is a shadow when the stars of those kept before make more than the recipe's
    `explained` of its excess (see `PatchSight.membership`).

    Args:
        sight: of the patch.
        ranked: lines, most significant first, and what stronger ones have left of each star.
    """
    recipe, found = sight.grid.recipe, []
    explained = np.zeros(len(sight.features))
    for line, left in ranked:
        stars, weight = sight.weights(line)
        weight = weight * left[stars]
        shared = float(weight @ explained[stars])
        if shared > 0.0 and shared > recipe.explained * (weight.sum() - sight.expected(line)):
            continue
        found.append(hypothesis_of(sight, line, left))
        explained = np.maximum(explained, sight.membership(line, clump_of(sight, line, left)))
        # Clumps do not count: the law of chance is read from the lines.
        if sum(not one.clump for one in found) == recipe.peaks:
            break
    return tuple(sorted(found, key=lambda one: -one.significance))


def hypothesis_of(sight: PatchSight, line: FreeLine, left: Float[np.ndarray, " n"]) -> Hypothesis:
    """The hypothesis with its exact tail probability."""
    stars, weight = sight.weights(line)
    weight = weight * left[stars]
    table, share = sight.null(line)
    observed, expected = float(weight.sum()), float((table * share).sum())
    variance = float((share * table**2).sum() - ((share * table).sum(axis=1) ** 2).sum())
    heavy = weight >= sight.grid.recipe.least_weight
    stars, weight = stars[heavy], weight[heavy]
    order = np.lexsort((stars, -weight))
    theta, offset, sign = _folded(float(line.h[0]), float(line.h[1]))
    first, last = sorted(sign * end for end in _middle(sight.along(line, stars), weight))
    stretch = clump_of(sight, line, left)
    ridge = sight.ridges[int(line.h[8])]
    return Hypothesis(
        theta, offset, line.sigma, (first, last), (float(line.h[2]), float(line.h[3])),
        (float(sign * line.h[4]), float(sign * line.h[5])), float(sight.moduli[int(line.h[7])]),
        "" if ridge is None else ridge.name,
        saddlepoint_significance(observed, table, share) if len(table) else 0.0,
        (observed - expected) / np.sqrt(variance + weight.max(initial=0.0) ** 2 + 1e-12),
        observed, expected, sight.features.rows[stars[order]], weight[order],
        None if stretch is None else (min(sign * end for end in stretch), max(sign * end for end in stretch)),
    )  # fmt: skip


def _folded(theta: float, offset: float) -> tuple[float, float, float]:
    """The same line with its angle in [0, pi), and the sign that its direction takes."""
    turns = int(np.floor(theta / np.pi))
    sign = -1.0 if turns % 2 else 1.0
    return theta - turns * np.pi, sign * offset, sign


def _middle(along: Float[np.ndarray, " k"], weight: Float[np.ndarray, " k"]) -> tuple[float, float]:
    """Between which places all but the outer tenths of the weight lie."""
    if not len(along):
        return 0.0, 0.0
    order = np.argsort(along, kind="stable")
    total = np.cumsum(weight[order])
    low, high = np.searchsorted(total, [0.1 * total[-1], 0.9 * total[-1]])
    return float(along[order[low]]), float(along[order[min(high, len(order) - 1)]])
