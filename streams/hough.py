"""Hough transform: stars (or cells of the footprint) counted along every line of a patch at once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import csr_matrix

from streams.cells import FootprintCells
from streams.errors import LineSearchError

__all__ = ["BestLines", "ExpectedStrips", "HoughLines", "LineRecipe", "line_significance"]


@dataclass(frozen=True)
class LineRecipe:
    """Which lines are looked for.

    Args:
        widths: full widths of the strips, deg.
        ranks: how many of a region's highest-scored stars are transformed; each rank is tried.
        angle_step: deg; a strip of width w and length L needs steps of about w / L.
        offset_step: deg; a strip is a whole number of these.
        min_share: a strip that expects less than this share of what the widest strip of its
            direction expects (a corner of the footprint) is not a line.
    """

    widths: tuple[float, ...] = (0.5, 1.0)
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
class ExpectedStrips:
    """What one region expects in every strip, for each width.

    Args:
        shares: share of the stars, (angles, strips) per width; 0 where a strip is a corner.
        least: for each rank the counts from which a strip is looked at.
    """

    shares: tuple[Float[np.ndarray, "angles _"], ...]
    least: dict[int, tuple[Int[np.ndarray, "angles _"], ...]]

    def least_counts(self, rank: int) -> tuple[Int[np.ndarray, "angles _"], ...]:
        """Counts from which a strip is looked at; a region that ran short of stars has a rank of its own."""
        return self.least[rank] if rank in self.least else _least_counts(self.shares, rank)


_NO_LINE = (0.0, 0.0, 0.0, 0.0, 0, 0.0, 0.0)


def line_significance(
    count: Float[np.ndarray, " n"], stars: int, share: Float[np.ndarray, " n"]
) -> Float[np.ndarray, " n"]:
    """Signed root of the binomial likelihood ratio (Wilks' theorem): sigma of `count` of `stars` in a
    strip that expects the share `share` of them. Exact zero where count = stars * share."""
    fraction = np.clip(count / stars, 1e-12, 1 - 1e-12)
    divergence = fraction * np.log(fraction / share) + (1 - fraction) * np.log((1 - fraction) / (1 - share))
    return np.sign(fraction - share) * np.sqrt(2 * stars * np.maximum(divergence, 0.0))


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
        return [self._expected(column) for column in (self._transform @ densities.T).T]

    @cached_property
    def _transform(self) -> csr_matrix:
        """Cells to accumulator, as a sparse matrix: one product serves all regions."""
        cells = np.repeat(np.arange(len(self.cells.x), dtype=np.int32), len(self.theta))
        ones = np.ones(len(cells), dtype=np.float32)
        return csr_matrix((ones, (self.cell_bins.ravel(), cells)), shape=(self._size, len(self.cells.x)))

    def _expected(self, accumulator: np.ndarray) -> ExpectedStrips:
        cumulative = _cumulative(accumulator.reshape(len(self.theta), -1).astype(float))
        shares = tuple(self._without_corners(_strips(cumulative, bins)) for bins in self.recipe.bins)
        return ExpectedStrips(shares, {rank: _least_counts(shares, rank) for rank in self.recipe.ranks})

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

    def _best_of(self, bins: np.ndarray, rows: np.ndarray, expected: ExpectedStrips) -> tuple[float, ...]:
        best = _NO_LINE
        accumulator, used = np.zeros(self._size, dtype=np.int32), 0
        for rank in sorted({min(rank, len(rows)) for rank in self.recipe.ranks} - {0}):
            accumulator += np.bincount(bins[rows[used:rank]].ravel(), minlength=self._size).astype(np.int32)
            used = rank
            cumulative = _cumulative(accumulator.reshape(len(self.theta), -1))
            for number, least in enumerate(expected.least_counts(rank)):
                best = max(best, self._peak(cumulative, rank, number, least, expected.shares[number]))
        return best

    def _peak(
        self, cumulative: np.ndarray, rank: int, number: int, least: np.ndarray, share: np.ndarray
    ) -> tuple[float, ...]:
        bins = self.recipe.bins[number]
        counts = _strips(cumulative, bins)
        high = np.flatnonzero(counts >= least)
        if not len(high):
            return _NO_LINE
        count, chance = counts.ravel()[high].astype(float), share.ravel()[high].astype(float)
        sigma = line_significance(count, rank, chance)
        top = int(np.argmax(sigma))
        angle, strip = divmod(int(high[top]), counts.shape[1])
        offset = (strip + bins / 2 - self.offsets // 2) * self.recipe.offset_step
        width = bins * self.recipe.offset_step
        return (sigma[top], self.theta[angle], offset, width, rank, count[top], rank * chance[top])

    def _without_corners(self, share: np.ndarray) -> np.ndarray:
        longest = share.max(axis=1, keepdims=True)
        keep = (share >= self.recipe.min_share * longest) & (share < 0.5)
        return np.where(keep, share, 0.0).astype(np.float32)

    @property
    def _size(self) -> int:
        return len(self.theta) * self.offsets


def _cumulative(accumulator: np.ndarray) -> np.ndarray:
    """Running sums along the offsets, from zero: (angles, offsets + 1)."""
    padded = np.zeros((accumulator.shape[0], accumulator.shape[1] + 1), accumulator.dtype)
    np.cumsum(accumulator, axis=1, out=padded[:, 1:])
    return padded


def _strips(cumulative: np.ndarray, bins: int) -> np.ndarray:
    """Sums over `bins` neighbouring offsets: (angles, offsets - bins + 1)."""
    return cumulative[:, bins:] - cumulative[:, :-bins]


def _least_counts(shares: tuple[np.ndarray, ...], rank: int) -> tuple[np.ndarray, ...]:
    """Fewest stars that make a strip worth a logarithm: three standard deviations above expectation."""
    return tuple(
        np.where(share > 0, np.ceil(rank * share + 3 * np.sqrt(rank * share)), rank + 1).astype(np.int16)
        for share in shares
    )
