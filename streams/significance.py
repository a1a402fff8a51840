"""False-alarm probabilities: the best line of a whole patch against the same patch without streams."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import gumbel_r

from streams.cells import FootprintCells
from streams.hough import ExpectedStrips, HoughLines
from streams.regions import Region

__all__ = ["LEAST_PROBABILITY", "NullMaxima", "null_maxima"]

LEAST_PROBABILITY = 1e-6
"""No false-alarm probability below this is quoted: the law's tail is not known so far out."""


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
        null maxima extends the probability below 1 / (number of null skies), where counting stops, down to
        `LEAST_PROBABILITY`. Maxima that are all the same (one sky; no line in any) fit no law and are
        counted.
        """
        if np.ptp(self.maxima) == 0:
            return float((1 + np.sum(self.maxima >= significance)) / (1 + len(self.maxima)))
        location, scale = gumbel_r.fit(self.maxima)
        return max(float(gumbel_r.sf(significance, location, scale)), LEAST_PROBABILITY)


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
        lines, regions, densities, expected: as in the real search; the last two one row per region.
        stars: rows in the patch.
        skies: number of null skies.
        progress: called after each sky.
    """
    positions = _NullPositions.of(densities)
    rows = [region.stars[: max(lines.recipe.ranks)] for region in regions]
    maxima = np.empty(skies)
    for sky, child in enumerate(np.random.SeedSequence(seed).spawn(skies)):
        drawn = positions.draw(rows, np.random.default_rng(child).random((3, stars)))
        maxima[sky] = lines.best(lines.cell_bins, drawn, expected).significance.max(initial=0.0)
        if progress is not None:
            progress()
    return NullMaxima(maxima)


@dataclass(frozen=True)
class _NullPositions:
    """Positions (cells) that follow each region's density, and are shared as far as the densities agree.

    Maximal coupling (Lindvall 1992, section I.5): a star is drawn once from the mean density of all
    regions. A region whose density is lower there keeps it with the ratio of the two, and otherwise draws
    it anew from where its own density is the higher. Each region's marginal law is exact, and two regions
    disagree on a star only as often as their densities differ, as a real star has one position.
    """

    densities: Float[np.ndarray, "regions cells"]
    mean: Float[np.ndarray, " cells"]
    cumulative: Float[np.ndarray, " cells"]
    cumulative_excess: Float[np.ndarray, "regions cells"]

    @classmethod
    def of(cls, densities: Float[np.ndarray, "regions cells"]) -> _NullPositions:
        mean = densities.mean(axis=0, dtype=float)
        excess = np.cumsum(np.maximum(densities - mean.astype(densities.dtype), 0), axis=1)
        return cls(densities, mean, np.cumsum(mean), excess)

    def draw(
        self, rows: list[Int[np.ndarray, " _"]], uniform: Float[np.ndarray, "3 stars"]
    ) -> list[Int[np.ndarray, " _"]]:
        """Cells of each region's stars (`rows`), from three deviates in [0, 1) per star of the patch."""
        common = FootprintCells.draw(self.cumulative, uniform[0])
        drawn = []
        for number, stars in enumerate(rows):
            cells = common[stars]
            moved = uniform[1, stars] * self.mean[cells] >= self.densities[number, cells]
            cells[moved] = FootprintCells.draw(self.cumulative_excess[number], uniform[2, stars[moved]])
            drawn.append(cells)
        return drawn
