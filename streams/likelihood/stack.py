"""Shear stacking: all lines, all proper motions and their gradients of one ridge and distance at once.

Every star is spread over the few cells of a proper-motion grid that its errors allow. For one angle the
cells' weights are counted in pieces along the line and offset bins across it. A gradient moves each piece to
another cell: a hypothesis is a sheared sum over pieces and a box sum over offsets, and so is what it expects.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int
from scipy.ndimage import uniform_filter

from streams.cells import FootprintCells
from streams.likelihood.errors import LikelihoodError
from streams.likelihood.hypotheses import SearchRecipe
from streams.likelihood.weights import PatchFeatures, StarWeights

__all__ = ["LEAST_SIGMA", "BestOfAngle", "LineGrid", "MotionEntries"]

LEAST_SIGMA = 2.5
"""Hypotheses below it are not noted: each proper motion has better ones by chance."""
PRIOR_STARS = 20.0
"""Effective stars that the patch's own gradient counts for, where few stars tell a proper motion's."""
LEAST_TILT = 0.2
"""A gradient leaves at least this share of the density at the footprint's far edge."""


@dataclass(frozen=True)
class BestOfAngle:
    """For each proper motion of the middle the best strip of one angle.

    `significance` is the three-cumulant one; `pair`, `width` and `bin` number the gradient pair, the width
    and the first offset bin; -1 where there is none.
    """

    significance: Float[np.ndarray, "side side"]
    pair: Int[np.ndarray, "side side"]
    width: Int[np.ndarray, "side side"]
    bin: Int[np.ndarray, "side side"]


@dataclass(frozen=True)
class MotionEntries:
    """The weights of one ridge and distance, cell by cell of the proper-motion grid.

    Args:
        start: first entry of each cell, and the end.
        star: numbers in `x`, `y`.
        weight: lambda of the star at the cell's centre.
        x, y: positions of the stars in the plane, deg.
        moments: (side, side, 3, 3): the sum of weight^p under the null is moments[..., p, 0] times the share
            of a place plus moments[..., p, 1:] times its first moments in x and y (`LineGrid.share`).
    """

    start: Int[np.ndarray, " edges"]
    star: Int[np.ndarray, " entries"]
    weight: Float[np.ndarray, " entries"]
    x: Float[np.ndarray, " k"]
    y: Float[np.ndarray, " k"]
    moments: Float[np.ndarray, "side side 3 3"]

    @classmethod
    def of(
        cls, weights: StarWeights, features: PatchFeatures, grid: LineGrid, recipe: SearchRecipe
    ) -> MotionEntries:
        """Spread the stars over the proper-motion cells at which they weigh something."""
        from streams.likelihood.kernels import count_entries, fill_entries

        motions, x, y = recipe.motions, features.x[weights.index], features.y[weights.index]
        side = len(motions)
        table = weights.motion, weights.variance, weights.amplitude
        axis = float(motions[0]), recipe.motion_step, side, recipe.least_weight
        counts = np.zeros(side * side, dtype=np.int64)
        count_entries(*table, *axis, counts)
        start = np.concatenate([[0], np.cumsum(counts)])
        star, weight = np.empty(start[-1], dtype=np.int32), np.empty(start[-1], dtype=np.float32)
        sums = np.zeros((side * side, 3, 3))
        fill_entries(
            *table, x - grid.centre[0], y - grid.centre[1], *axis, start[:-1].copy(), star, weight, sums
        )
        moments = grid.tilted(sums.reshape(side, side, 3, 3), recipe)
        return cls(start, star, weight, x, y, moments.astype(np.float32))


@dataclass(frozen=True)
class LineGrid:
    """The lines of a footprint and how its smooth density lies on them.

    Args:
        cells: the footprint.
        density: share of the weights expected in each cell.
        recipe: which lines.
    """

    cells: FootprintCells
    density: Float[np.ndarray, " cells"]
    recipe: SearchRecipe

    @cached_property
    def theta(self) -> Float[np.ndarray, " angles"]:
        """Angles of the lines, radians, [0, pi)."""
        return np.radians(np.arange(0.0, 180.0 - 1e-9, self.recipe.angle_step))

    @cached_property
    def reach(self) -> float:
        """Of the footprint from the centre of its plane, deg."""
        return float(np.hypot(self.cells.x, self.cells.y).max() + self.cells.size)

    @cached_property
    def length(self) -> float:
        """Of a typical line, deg: the diameter of the circle of the footprint's area."""
        return float(2.0 * np.sqrt(self.cells.area.sum() / np.pi))

    @cached_property
    def offsets(self) -> int:
        """Number of offset bins."""
        bins = 2 * int(np.ceil(self.reach / self.recipe.offset_step))
        if bins < 2 * self.recipe.bins.max():
            raise LikelihoodError(
                f"strips of {max(self.recipe.widths)} deg do not fit a footprint of {self.reach:.2f} deg"
            )
        return bins

    @cached_property
    def pieces(self) -> int:
        """Number of pieces along a line; one of them lies in the middle."""
        return 2 * int(np.ceil(self.reach / self.recipe.along_step - 0.5)) + 1

    @cached_property
    def along(self) -> Float[np.ndarray, " pieces"]:
        """Middle of each piece, deg."""
        return (np.arange(self.pieces) - self.pieces // 2) * self.recipe.along_step

    @cached_property
    def shifts(self) -> Int[np.ndarray, "pairs pieces 2"]:
        """Cells of proper motion by which each piece is shifted, for each pair of gradients."""
        moved = self.recipe.gradient_pairs[:, None, :] * self.along[None, :, None]
        return np.rint(moved / self.recipe.motion_step).astype(np.int64)

    @cached_property
    def centre(self) -> tuple[float, float]:
        """Mean position of the smooth density, deg."""
        return float(self.density @ self.cells.x), float(self.density @ self.cells.y)

    @cached_property
    def inverse_spread(self) -> Float[np.ndarray, "2 2"]:
        """Inverse covariance of positions that follow the smooth density, deg^-2."""
        xy = np.column_stack([self.cells.x, self.cells.y]) - self.centre
        return np.linalg.pinv((xy * self.density[:, None]).T @ xy, hermitian=True)

    def places(
        self, theta: float, x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"]
    ) -> Int[np.ndarray, " n"]:
        """Flat number (piece, offset bin) of each point for one angle."""
        cosine, sine = np.cos(theta), np.sin(theta)
        piece = np.floor((x * cosine + y * sine) / self.recipe.along_step + 0.5).astype(np.int32)
        offset = np.floor((x * sine - y * cosine) / self.recipe.offset_step).astype(np.int32)
        piece = np.clip(piece + self.pieces // 2, 0, self.pieces - 1)
        return piece * np.int32(self.offsets) + np.clip(offset + self.offsets // 2, 0, self.offsets - 1)

    def share(self, theta: float) -> Float[np.ndarray, "3 pieces offsets"]:
        """Share of the smooth density in each place, and its first moments in x and y about the centre."""
        places = self.places(theta, self.cells.x, self.cells.y)
        weights = (1.0, self.cells.x - self.centre[0], self.cells.y - self.centre[1])
        size = self.pieces * self.offsets
        sums = [np.bincount(places, self.density * weight, size) for weight in weights]
        return np.array(sums).reshape(3, self.pieces, self.offsets)

    def strips(self, share: Float[np.ndarray, "3 pieces offsets"]) -> Float[np.ndarray, "widths offsets"]:
        """Share of the strip of each width that begins at each offset bin; 0 where it is no line."""
        total = np.concatenate([[0.0], np.cumsum(share[0].sum(axis=0))])
        shares = np.zeros((len(self.recipe.bins), self.offsets))
        for row, bins in zip(shares, self.recipe.bins, strict=True):
            strip = total[bins:] - total[:-bins]
            row[: len(strip)] = strip * ((strip >= self.recipe.min_share * strip.max()) & (strip < 0.5))
        return shares

    def tilted(
        self, sums: Float[np.ndarray, "side side 3 3"], recipe: SearchRecipe
    ) -> Float[np.ndarray, "side side 3 3"]:
        """From sums of weight^p (1, x, y) to the total of each cell and what its gradient in x and y adds.

        The stars that weigh at one proper motion are another mix of populations than the patch's stars, and
        a star weighs the less the more its place is crowded: their smooth density has another gradient. To
        first order it is the density times 1 + a . (x - mean), where a makes the mean position that of the
        weights. The gradient is shared by a box of proper motions, so that a stream does not make its own.
        """
        size = 2 * round(recipe.tilt_box / recipe.motion_step / 2) + 1
        smooth = uniform_filter(sums, size=(size, size, 1, 1), mode="constant") * size**2
        overall = sums.sum(axis=(0, 1))
        first, second = smooth[..., 0, 0], smooth[..., 1, 0]
        # A star enters the sums once for each cell it is spread over: its copies are one star.
        copies = max(2.0 * np.pi * recipe.spread**2 / recipe.motion_step**2, 1.0)
        effective = first**2 / np.maximum(second, 1e-30) / copies
        trust = (effective / (effective + PRIOR_STARS))[..., None, None]
        mean = smooth[..., 1:] / np.maximum(smooth[..., :1], 1e-30)
        mean = trust * mean + (1.0 - trust) * overall[..., 1:] / np.maximum(overall[..., :1], 1e-30)
        tilt = mean @ self.inverse_spread
        edge = np.abs(np.einsum("...c,nc->...n", tilt, self._outline)).max(axis=-1)
        tilt *= np.minimum(1.0, (1.0 - LEAST_TILT) / np.maximum(edge, 1e-30))[..., None]
        return np.concatenate([sums[..., :1], sums[..., :1] * tilt], axis=-1)

    @cached_property
    def _outline(self) -> Float[np.ndarray, "n 2"]:
        """The corners of the footprint's bounding polygon of sixteen sides, about the centre."""
        xy = np.column_stack([self.cells.x, self.cells.y]) - self.centre
        angles = np.arange(16) * (2.0 * np.pi / 16)
        directions = np.column_stack([np.cos(angles), np.sin(angles)])
        return xy[np.argmax(xy @ directions.T, axis=0)]

    def best(self, entries: MotionEntries, modulus: float, threads: int) -> Iterator[BestOfAngle]:
        """The best strips of every angle, in order; angles are shared out to threads."""
        with ThreadPoolExecutor(max_workers=threads) as pool:
            yield from pool.map(lambda theta: self._best(entries, modulus, theta), self.theta)

    def _best(self, entries: MotionEntries, modulus: float, theta: float) -> BestOfAngle:
        from streams.likelihood.kernels import fill_histogram, stack_gradients

        side, share = len(self.recipe.motions), self.share(theta)
        histogram = np.empty((side * side, self.pieces * self.offsets), dtype=np.float32)
        places = self.places(theta, entries.x, entries.y)
        fill_histogram(entries.start, entries.star, entries.weight, places, histogram)
        best = np.empty((side, side), dtype=np.float32)
        speed = np.hypot(*np.meshgrid(self.recipe.motions, self.recipe.motions, indexing="ij"))
        steep = np.abs(self.recipe.gradient_pairs).max(axis=1)
        pairs = np.flatnonzero(steep <= self.recipe.gradient_reach(modulus))
        code = np.empty((side, side), dtype=np.int64)
        stack_gradients(
            histogram.reshape(side, side, self.pieces, self.offsets), entries.moments,
            share.astype(np.float32), self.strips(share).astype(np.float32),
            self.shifts[pairs], self.recipe.bins, speed <= self.recipe.motion_reach(modulus),
            self.recipe.least_stars, LEAST_SIGMA, best, code,
        )  # fmt: skip
        rest, offset = np.divmod(code, self.offsets)
        pair, width = np.divmod(rest, len(self.recipe.bins))
        none = code < 0
        return BestOfAngle(best, *(np.where(none, -1, value) for value in (pairs[pair], width, offset)))
