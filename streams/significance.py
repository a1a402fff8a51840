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

__all__ = ["LEAST_PROBABILITY", "NullMaxima", "NullPositions", "null_maxima"]

LEAST_PROBABILITY = 1e-6
"""No false-alarm probability below this is quoted: the law's tail is not known so far out."""

_TOGETHER = 10
"""Null skies that are searched side by side, region by region: their accumulators then stay in the cache."""


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
    rows, used = _canonical(regions, max(lines.recipe.ranks), stars)
    positions = NullPositions.of(densities)
    maxima = np.zeros(skies)
    children = np.random.SeedSequence(seed).spawn(skies)
    for first in range(0, skies, _TOGETHER):
        block = children[first : first + _TOGETHER]
        uniform = np.stack([np.random.default_rng(child).random((3, used)) for child in block])
        common = positions.common(uniform[:, 0])
        highest = maxima[first : first + len(block)]
        for number, (top, strips) in enumerate(zip(rows, expected, strict=True)):
            drawn = positions.draw(number, common[:, top], uniform[:, 1, top], uniform[:, 2, top])
            np.maximum(highest, lines.maxima(lines.cell_bins, drawn, strips), out=highest)
        if progress is not None:
            for _ in block:
                progress()
    return NullMaxima(maxima)


def _canonical(regions: list[Region], rank: int, stars: int) -> tuple[list[Int[np.ndarray, " _"]], int]:
    """The best stars of each region under numbers of their own, and how many there are.

    Stars are numbered as they appear in the regions, taken by component and box: the deviates a star gets
    depend neither on the order of the table nor on that of the windows.
    """
    tops = [region.stars[:rank] for region in regions]
    order = sorted(range(len(regions)), key=lambda k: (regions[k].component, regions[k].box))
    listed = np.concatenate([tops[k] for k in order]) if tops else np.empty(0, dtype=np.int64)
    found, first = np.unique(listed, return_index=True)
    number = np.zeros(stars, dtype=np.int64)
    number[found[np.argsort(first)]] = np.arange(len(found))
    return [number[top] for top in tops], len(found)


@dataclass(frozen=True)
class NullPositions:
    """Positions (cells) that follow each region's density, and are shared as far as the densities agree.

    Maximal coupling (Lindvall 1992, section I.5): a star is drawn once from the mean density of all
    regions. A region whose density is lower there keeps it with the ratio of the two, and otherwise draws
    it anew from where its own density is the higher. Each region's marginal law is exact, and two regions
    disagree on a star only as often as their densities differ, as a real star has one position.

    Args:
        densities: share of a region's stars in each cell.
        mean, cumulative: their mean over the regions, and its running sum.
    """

    densities: Float[np.ndarray, "regions cells"]
    mean: Float[np.ndarray, " cells"]
    cumulative: Float[np.ndarray, " cells"]

    @classmethod
    def of(cls, densities: Float[np.ndarray, "regions cells"]) -> NullPositions:
        """Prepare the densities of all regions."""
        mean = densities.mean(axis=0, dtype=float)
        return cls(densities, mean, np.cumsum(mean))

    def common(self, uniform: Float[np.ndarray, "skies stars"]) -> Int[np.ndarray, "skies stars"]:
        """Cells of stars that follow the mean density, from deviates in [0, 1)."""
        return FootprintCells.draw(self.cumulative, uniform)

    def draw(
        self,
        number: int,
        common: Int[np.ndarray, "skies stars"],
        keep: Float[np.ndarray, "skies stars"],
        again: Float[np.ndarray, "skies stars"],
    ) -> Int[np.ndarray, "skies stars"]:
        """Cells of the stars of one region, from their common cells and two more deviates in [0, 1)."""
        density, cells = self.densities[number], common.copy()
        moved = keep * self.mean[cells] >= density[cells]
        if moved.any():
            excess = np.cumsum(np.maximum(density - self.mean.astype(density.dtype), 0))
            cells[moved] = FootprintCells.draw(excess, again[moved])
        return cells
