"""Hough transform: stars (or cells of the footprint) counted along every line of a patch at once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import csr_matrix

from streams.cells import FootprintCells
from streams.errors import LineSearchError
from streams.strips import ExpectedStrips, line_significance, strip_counts

__all__ = ["BestLines", "ExpectedStrips", "HoughLines", "LineRecipe", "line_significance"]

_BLOCK = 32
"""Regions transformed together: their densities then fit the processor's cache."""


@dataclass(frozen=True)
class LineRecipe:
    """Which lines are looked for.

    Args:
        widths: full widths of the strips, deg. A strip is most sensitive where it is about three Gaussian
            sigmas wide: 0.5 for the thin streams of globular clusters (sigma 0.1 to 0.2 deg), 1 for the
            Via Machinae strip (2104.12789), 2 for cocoons such as GD-1's (2.2 deg across).
        ranks: how many of a region's highest-scored stars are transformed; each rank is tried. Via
            Machinae takes 100; half of it keeps the contrast of a stream of a few dozen stars, twice
            as many holds a rich one.
        angle_step: deg; a strip of width w and length L needs steps of about w / L (0.5 in 20 deg: 1.4).
        offset_step: deg; a strip is a whole number of these. A quarter of the narrowest strip: a line
            between two strips loses less than an eighth of its stars.
        min_share: a strip that expects less than this share of what the widest strip of its
            direction expects (a corner of the footprint) is not a line.
    """

    widths: tuple[float, ...] = (0.5, 1.0, 2.0)
    ranks: tuple[int, ...] = (50, 100, 200)
    angle_step: float = 2.0
    offset_step: float = 0.125
    min_share: float = 0.25

    @property
    def bins(self) -> tuple[int, ...]:
        """Each width as a number of offset bins."""
        return tuple(max(round(width / self.offset_step), 1) for width in self.widths)


@dataclass(frozen=True)
class BestLines:
    """The best line of each region: arrays with one entry per region.

    `significance` in Gaussian sigma (local: before the look-elsewhere effect), `theta` in radians and
    `offset` in deg of the line  x sin(theta) - y cos(theta) = offset, `width` in deg, `rank` stars
    transformed, `count` found in the strip and `expected` there. Significance 0: no line at all.
    """

    significance: Float[np.ndarray, " regions"]
    theta: Float[np.ndarray, " regions"]
    offset: Float[np.ndarray, " regions"]
    width: Float[np.ndarray, " regions"]
    rank: Int[np.ndarray, " regions"]
    count: Float[np.ndarray, " regions"]
    expected: Float[np.ndarray, " regions"]


@dataclass(frozen=True)
class _HighStrips:
    """The strips of one region that hold enough stars to be looked at, in one sky or in several."""

    place: Int[np.ndarray, " n"]
    rank: Int[np.ndarray, " n"]
    width: Int[np.ndarray, " n"]
    count: Float[np.ndarray, " n"]
    share: Float[np.ndarray, " n"]

    @property
    def significance(self) -> Float[np.ndarray, " n"]:
        return line_significance(self.count, self.rank, self.share)


_NO_LINE = (0.0, 0.0, 0.0, 0.0, 0, 0.0, 0.0)


@dataclass(frozen=True)
class HoughLines:
    """The accumulator of one footprint: r = x sin(theta) - y cos(theta) (SCIENCE: Hough 1962).

    Args:
        cells: the footprint.
        recipe: which lines.
    """

    cells: FootprintCells
    recipe: LineRecipe

    @cached_property
    def theta(self) -> Float[np.ndarray, " angles"]:
        """Angles of the lines, radians, [0, pi)."""
        return np.radians(np.arange(0.0, 180.0, self.recipe.angle_step))

    @cached_property
    def offsets(self) -> int:
        """Number of offset bins."""
        reach = np.hypot(self.cells.x, self.cells.y).max() + self.cells.size
        bins = 2 * int(np.ceil(reach / self.recipe.offset_step))
        if bins < 2 * max(self.recipe.bins):
            raise LineSearchError(
                f"strips of {max(self.recipe.widths)} deg do not fit a footprint of {reach:.2f} deg"
            )
        return bins

    @cached_property
    def cell_bins(self) -> Int[np.ndarray, "cells angles"]:
        """Accumulator bins of every cell."""
        return self.bins(self.cells.x, self.cells.y)

    def bins(self, x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"]) -> Int[np.ndarray, "n angles"]:
        """Flat accumulator bin of each point for each angle (x, y in the cells' plane, deg)."""
        offset = x[:, None] * np.sin(self.theta) - y[:, None] * np.cos(self.theta)
        number = np.floor(offset / self.recipe.offset_step).astype(np.int32) + self.offsets // 2
        number = np.clip(number, 0, self.offsets - 1)
        return number + (np.arange(len(self.theta), dtype=np.int32) * self.offsets)

    def expect(self, densities: Float[np.ndarray, "regions cells"]) -> list[ExpectedStrips]:
        """What regions with these densities of stars expect in every strip.

        The footprint is transformed like the stars: its cells, weighted, are counted along every line.
        """
        expected = []
        for at in range(0, len(densities), _BLOCK):
            block = np.ascontiguousarray(densities[at : at + _BLOCK].T)
            expected += [self._expected(row) for row in np.ascontiguousarray((self._transform @ block).T)]
        return expected

    @cached_property
    def _transform(self) -> csr_matrix:
        """Cells to accumulator, as a sparse matrix: one product serves many regions."""
        cells = np.repeat(np.arange(len(self.cells.x), dtype=np.int32), len(self.theta))
        ones = np.ones(len(cells), dtype=np.float32)
        return csr_matrix((ones, (self.cell_bins.ravel(), cells)), shape=(self._size, len(self.cells.x)))

    def _expected(self, accumulator: np.ndarray) -> ExpectedStrips:
        cumulative = np.zeros((len(self.theta), self.offsets + 1), dtype=accumulator.dtype)
        np.cumsum(accumulator.reshape(len(self.theta), -1), axis=1, out=cumulative[:, 1:])
        shares = np.zeros((len(self.recipe.bins), len(self.theta), self.offsets), dtype=np.float32)
        for share, bins in zip(shares, self.recipe.bins, strict=True):
            strips = cumulative[:, bins:] - cumulative[:, :-bins]
            keep = strips >= self.recipe.min_share * strips.max(axis=1, keepdims=True)
            keep &= strips < 0.5
            np.multiply(strips, keep, out=share[:, : strips.shape[1]])
        return ExpectedStrips(shares)

    def best(
        self,
        bins: Int[np.ndarray, "points angles"],
        regions: list[Int[np.ndarray, " _"]],
        expected: list[ExpectedStrips],
    ) -> BestLines:
        """The most significant line of each region.

        Args:
            bins: accumulator bins of the points, from `bins` or `cell_bins`.
            regions: for each region the rows of `bins` of its stars, highest score first.
            expected: for each region what `expect` returned for its density.
        """
        found = [self._best_of(bins, rows, strips) for rows, strips in zip(regions, expected, strict=True)]
        columns = np.array(found, dtype=float).reshape(len(found), 7).T
        return BestLines(*columns[:4], columns[4].astype(int), *columns[5:])

    def maxima(
        self,
        bins: Int[np.ndarray, "points angles"],
        skies: Int[np.ndarray, "skies stars"],
        expected: ExpectedStrips,
    ) -> Float[np.ndarray, " skies"]:
        """Significance of the most significant line of one region in each of several skies.

        The statistic is that of `best`, star for star; only the place of the line is not kept.

        Args:
            bins: accumulator bins of the points, from `bins` or `cell_bins`.
            skies: for each sky the rows of `bins` of the region's stars, highest score first.
            expected: what `expect` returned for the density of the region.
        """
        strips = self._high(bins, skies, expected)
        maxima = np.zeros(len(skies))
        np.maximum.at(maxima, strips.place // self._size, strips.significance)
        return maxima

    def _best_of(self, bins: np.ndarray, rows: np.ndarray, expected: ExpectedStrips) -> tuple[float, ...]:
        strips = self._high(bins, rows[None, :], expected)
        if not len(strips.place):
            return _NO_LINE
        significance = strips.significance
        top = int(np.argmax(significance))
        angle, first = divmod(int(strips.place[top]), self.offsets)
        number = self.recipe.bins[strips.width[top]]
        offset = (first + number / 2 - self.offsets // 2) * self.recipe.offset_step
        rank, count, share = int(strips.rank[top]), strips.count[top], strips.share[top]
        width = number * self.recipe.offset_step
        return (significance[top], self.theta[angle], offset, width, rank, count, rank * share)

    def _high(self, bins: np.ndarray, skies: np.ndarray, expected: ExpectedStrips) -> _HighStrips:
        """All strips of all ranks, widths and skies that hold more stars than their bound."""
        ranks = sorted({min(rank, skies.shape[1]) for rank in self.recipe.ranks} - {0})
        kind = np.min_scalar_type(max(ranks, default=0))
        accumulator, used, found = np.zeros((len(skies), self._size), dtype=kind), 0, [_no_strips()]
        for rank, bounds in zip(ranks, expected.bounds(ranks), strict=True):
            for sky, rows in zip(accumulator, skies[:, used:rank], strict=True):
                sky += np.bincount(bins[rows].ravel(), minlength=self._size).astype(kind)
            used = rank
            counts = strip_counts(accumulator, self.recipe.bins)
            found.append(self._above(counts, bounds, rank, expected.shares))
        return _HighStrips(*(np.concatenate(column) for column in zip(*found, strict=True)))

    def _above(
        self, counts: np.ndarray, bounds: np.ndarray, rank: int, shares: np.ndarray
    ) -> tuple[np.ndarray, ...]:
        """Place, rank, width, count and share of strips with more stars than their bound."""
        high = np.flatnonzero(counts > bounds[:, None, :])
        width, place = np.divmod(high, counts[0].size)
        share = shares.ravel()[width * self._size + place % self._size]
        # A strip that runs over the end of its row into the next angle is none.
        real = share > 0
        high, place = high[real], place[real]
        count = counts.ravel()[high].astype(float)
        return place, np.full(len(place), rank), width[real], count, share[real].astype(float)

    @property
    def _size(self) -> int:
        return len(self.theta) * self.offsets


def _no_strips() -> tuple[np.ndarray, ...]:
    return (*(np.empty(0, dtype=int) for _ in range(3)), np.empty(0), np.empty(0))
