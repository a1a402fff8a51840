"""False-alarm probabilities: the best line of a whole patch against the same patch without streams."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.stats import gumbel_r

from streams.hough import ExpectedStrips, HoughLines
from streams.regions import Region

__all__ = ["NullMaxima", "null_maxima"]


@dataclass(frozen=True)
class NullMaxima:
    """Distribution of the largest line significance in a patch without streams.

    Args:
        maxima: one per null sky, sigma.
    """

    maxima: Float[np.ndarray, " skies"]

    def false_alarm_probability(self, significance: float) -> float:
        """Probability that a stream-free patch holds a line this significant anywhere.

        The maximum of many regions follows an extreme-value distribution; a Gumbel law fitted to the
        null maxima extends the probability below 1 / (number of null skies), where counting stops.
        """
        location, scale = gumbel_r.fit(self.maxima)
        return float(gumbel_r.sf(significance, location, scale))


def null_maxima(
    lines: HoughLines,
    regions: list[Region],
    densities: Float[np.ndarray, "regions cells"],
    expected: list[ExpectedStrips],
    stars: int,
    *,
    skies: int,
    seed: int,
    progress: Callable[[], None] | None = None,
) -> NullMaxima:
    """Search the same regions after every star is moved to a position without structure.

    The anomaly score knows no positions, so under the null a region's best stars are scattered like all
    its stars: each star is drawn anew from its region's smooth density. A star keeps one random
    position per null sky through all the regions that hold it, so overlapping regions stay correlated
    and the maximum is that of the real search (SCIENCE section 3: maximum statistics).

    Args:
        lines, regions, densities, expected: as in the real search; `densities` and `expected` one row per region.
        stars: rows in the patch.
        skies: number of null skies.
        progress: called after each sky.
    """
    deepest = max(lines.recipe.ranks)
    cumulative = np.cumsum(densities, axis=1)
    maxima = np.empty(skies)
    for sky, child in enumerate(np.random.SeedSequence(seed).spawn(skies)):
        uniform = np.random.default_rng(child).random(stars)
        drawn = [
            lines.cells.draw(running, uniform[region.stars[:deepest]])
            for region, running in zip(regions, cumulative, strict=True)
        ]
        maxima[sky] = lines.best(lines.cell_bins, drawn, expected).significance.max(initial=0.0)
        if progress is not None:
            progress()
    return NullMaxima(maxima)
