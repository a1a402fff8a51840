"""What a hypothesis that has left the grid sees: its stars, and what the smooth density puts there."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

from streams.likelihood.hypotheses import StreamRidge
from streams.likelihood.stack import LineGrid
from streams.likelihood.weights import PatchFeatures, StarWeights

__all__ = ["FreeLine", "GridHypothesis", "PatchSight", "Population"]

_MODULUS_STEP = 0.25
_NOTHING = -1e4
_SLACK = 1.0
"""Of the amplitude with which stars enter: a freed line may be narrower than the grid's."""
_LEAST = 1e-3
_ROUNDS = 15


@dataclass(frozen=True)
class Population:
    """One ridge at one distance: its weights, and how their expectation is inclined on the sky.

    Args:
        ridge: None without one.
        modulus: mag; NaN without a ridge.
        weights: of the stars.
        tilt: for each proper-motion cell the relative gradient in x and y, per deg.
    """

    ridge: StreamRidge | None
    modulus: float
    weights: StarWeights
    tilt: Float[np.ndarray, "side side 2"]

    @property
    def name(self) -> str:
        """Of the ridge; "" without one."""
        return "" if self.ridge is None else self.ridge.name


@dataclass(frozen=True)
class GridHypothesis:
    """One hypothesis of the grid, by its numbers there.

    Args:
        population: number of the ridge and distance.
        angle, cell, pair, width, bin: of the angle, the two proper-motion cells, the pair of gradients, the
            width and the strip's first offset bin.
        significance: on the grid.
    """

    population: int
    angle: int
    cell: tuple[int, int]
    pair: int
    width: int
    bin: int
    significance: float


@dataclass(frozen=True, eq=False)
class FreeLine:
    """A hypothesis that has left the grid.

    Args:
        start: where it began.
        h: angle (radians), offset (deg), the two proper motions at s = 0 (mas/yr), their gradients
            (mas/yr/deg), ln sigma (deg), number of the modulus, number of the ridge.
        significance: from three cumulants.
    """

    start: GridHypothesis
    h: Float[np.ndarray, " 9"]
    significance: float

    @property
    def sigma(self) -> float:
        """Gaussian width, deg."""
        return float(np.exp(self.h[6]))


@dataclass(frozen=True)
class PatchSight:
    """The stars and cells of a patch, for hypotheses that have left the grid.

    Args:
        features: the stars.
        grid: lines and density.
        populations: ridges and distances of the grid.
    """

    features: PatchFeatures
    grid: LineGrid
    populations: tuple[Population, ...]

    @cached_property
    def cells(self) -> Float[np.ndarray, "cells 2"]:
        """x, y of the footprint's cells, deg."""
        return np.column_stack([self.grid.cells.x, self.grid.cells.y])

    @cached_property
    def stars(self) -> Float[np.ndarray, "n 7"]:
        """x, y, proper motions, their variances for a stream's star, ln of their density at its peak."""
        return self._stars(self.grid.recipe.intrinsic)

    @cached_property
    def blurred(self) -> Float[np.ndarray, "n 7"]:
        """The same as the grid has it: between its points a narrow stream would be seen by nobody."""
        return self._stars(self.grid.recipe.spread)

    def _stars(self, dispersion: float) -> Float[np.ndarray, "n 7"]:
        features = self.features
        variance = features.variance - self.grid.recipe.spread**2 + dispersion**2
        peak = -0.5 * np.log(variance).sum(axis=1) - np.log(2.0 * np.pi)
        return np.column_stack([features.x, features.y, features.motion, variance, peak])

    @cached_property
    def ridges(self) -> tuple[StreamRidge | None, ...]:
        """What `h` counts ridges by."""
        return tuple(dict.fromkeys(one.ridge for one in self.populations))

    @cached_property
    def moduli(self) -> Float[np.ndarray, " moduli"]:
        """What `h` counts distance moduli by, mag: finer than the grid's."""
        if self.ridges == (None,):
            return np.array([np.nan])
        low, high = min(self.grid.recipe.moduli), max(self.grid.recipe.moduli) + _MODULUS_STEP
        return np.arange(low, high + _MODULUS_STEP / 2, _MODULUS_STEP)

    @cached_property
    def amplitude(self) -> Float[np.ndarray, "n columns"]:
        """ln of stream over background density, times deg (proper motion and profile across are still to
        come), of every ridge and modulus: column = ridge * moduli + modulus."""
        density = np.log(self.grid.recipe.expected_stars / self.grid.length / self.features.surface)
        table = np.empty((len(self.features), len(self.ridges) * len(self.moduli)), dtype=np.float32)
        for r, ridge in enumerate(self.ridges):
            for m, modulus in enumerate(self.moduli):
                ratio = self.features.log_ridge_ratio(ridge, float(modulus))
                table[:, r * len(self.moduli) + m] = np.maximum(ratio + density, _NOTHING)
        return table

    def freed(self, start: GridHypothesis) -> FreeLine:
        """A hypothesis of the grid as a free line."""
        recipe, population = self.grid.recipe, self.populations[start.population]
        width = int(recipe.bins[start.width]) * recipe.offset_step
        offset = (start.bin - self.grid.offsets // 2) * recipe.offset_step + width / 2
        motion, gradient = recipe.motions[list(start.cell)], recipe.gradient_pairs[start.pair]
        sigma = np.clip(width / 3.0, *recipe.sigmas)
        modulus = 0 if population.ridge is None else int(np.abs(self.moduli - population.modulus).argmin())
        ridge, angle = self.ridges.index(population.ridge), self.grid.theta[start.angle]
        h = np.array([angle, offset, *motion, *gradient, np.log(sigma), float(modulus), float(ridge)])
        return FreeLine(start, h, start.significance)

    def near(self, line: FreeLine, reach: float) -> Int[np.ndarray, " n"]:
        """Stars that weigh something at a proper motion within reach (mas/yr) of the line's."""
        from streams.likelihood.climbing_kernels import near_stars

        weights = self.populations[line.start.population].weights
        along = line.h[2:4] + self.grid.along[:, None] * line.h[4:6]
        floor = np.log(np.expm1(self.grid.recipe.least_weight)) - _SLACK
        return near_stars(
            weights.index, weights.motion, weights.variance, weights.amplitude,
            along.min(axis=0) - reach, along.max(axis=0) + reach, floor,
        )  # fmt: skip

    def cells_within(self, line: FreeLine, distance: float) -> Int[np.ndarray, " c"]:
        """Cells closer to the line than that, deg."""
        x, y = self.cells.T
        across = x * np.sin(line.h[0]) - y * np.cos(line.h[0]) - line.h[1]
        return np.flatnonzero(np.abs(across) < distance)

    def share(self, line: FreeLine, cells: Int[np.ndarray, " c"]) -> Float[np.ndarray, " c"]:
        """Of the smooth density of the stars that weigh at the line's proper motion, in some cells."""
        tilt = self.populations[line.start.population].tilt[line.start.cell]
        slope = 1.0 + (self.cells[cells] - self.grid.centre) @ tilt
        return np.asarray(self.grid.density[cells] * np.maximum(slope, 0.0), dtype=float)

    def weights(self, line: FreeLine) -> tuple[Int[np.ndarray, " k"], Float[np.ndarray, " k"]]:
        """Stars under the line's profile (numbers in `features`), and lambda of each."""
        from streams.likelihood.climbing_kernels import BINS, profile

        near = self.near(line, 0.0)
        across = self.stars[near, 0] * np.sin(line.h[0]) - self.stars[near, 1] * np.cos(line.h[0]) - line.h[1]
        bins = np.floor(np.abs(across) / (0.5 * line.sigma))
        inside = bins < BINS
        stars = near[inside]
        shape = np.log(profile(line.sigma))[bins[inside].astype(int)]
        return stars, np.logaddexp(0.0, self.log_ratio(line, self.along(line, stars), stars) + shape)

    def along(self, line: FreeLine, stars: Int[np.ndarray, " k"]) -> Float[np.ndarray, " k"]:
        """s of some of the stars, deg."""
        return self.stars[stars, 0] * np.cos(line.h[0]) + self.stars[stars, 1] * np.sin(line.h[0])

    def log_ratio(
        self, line: FreeLine, along: Float[np.ndarray, " k"] | float, stars: Int[np.ndarray, " k"]
    ) -> Float[np.ndarray, " k"]:
        """ln of stream over background density, times deg, of some of the stars at places along the line."""
        table, column = self.stars[stars], int(line.h[8]) * len(self.moduli) + int(line.h[7])
        square = sum(
            (table[:, 2 + k] - line.h[2 + k] - along * line.h[4 + k]) ** 2 / table[:, 4 + k] for k in (0, 1)
        )
        return self.amplitude[stars, column] + table[:, 6] - 0.5 * square

    def length(self, line: FreeLine) -> float:
        """Of the line within the footprint, deg."""
        half = max(line.sigma, self.grid.cells.size)
        return float(self.grid.cells.area[self.cells_within(line, half)].sum() / (2.0 * half))

    def expected(self, line: FreeLine) -> float:
        """Sum of the weights along the line that chance makes."""
        table, share = self.null(line)
        return float((table * share).sum())

    def null(self, line: FreeLine) -> tuple[Float[np.ndarray, "n places"], Float[np.ndarray, "n places"]]:
        """Weights of all stars in each piece and bin of the line, and the chance that they fall there."""
        from streams.likelihood.climbing_kernels import BINS, line_shares, profile

        cells, grid = self.cells_within(line, 3.0 * line.sigma), self.grid
        share = line_shares(
            self.cells[cells, 0], self.cells[cells, 1], self.share(line, cells), line.h[0], line.h[1],
            line.sigma, grid.recipe.along_step, grid.pieces,
        )  # fmt: skip
        used, near = np.flatnonzero(share.sum(axis=1) > 0), self.near(line, 0.0)
        ratio = np.empty((len(used), len(near)))
        for row, piece in zip(ratio, used, strict=True):
            row[:] = self.log_ratio(line, float(grid.along[piece]), near)
        heavy = ratio.max(axis=0, initial=-np.inf) > np.log(_LEAST * line.sigma)
        near, ratio = near[heavy], ratio.T[heavy]
        table = np.logaddexp(0.0, ratio[:, :, None] + np.log(profile(line.sigma)))
        table = table.reshape(len(near), len(used) * BINS)
        return table, np.broadcast_to(share[used].reshape(-1), table.shape)

    def membership(
        self, line: FreeLine, stretch: tuple[float, float] | None = None
    ) -> Float[np.ndarray, " n"]:
        """Probability that each star of the patch belongs to the line, by the line's own number of stars.

        Expectation-maximisation of that number alone; the weights stand for `expected_stars`.

        Args:
            stretch: of a clump: its stars are there, and nowhere else along the line.
        """
        stars, weight = self.weights(line)
        expected = self.grid.recipe.expected_stars
        ratio, number = np.expm1(np.minimum(weight, 300.0)) / expected, expected
        if stretch is not None:
            along = self.along(line, stars)
            denser = self.length(line) / self.grid.recipe.clump
            ratio = np.where((along >= stretch[0]) & (along <= stretch[1]), denser * ratio, 0.0)
        for _ in range(_ROUNDS):
            number = max(float((number * ratio / (1.0 + number * ratio)).sum()), 1.0)
        probability = np.zeros(len(self.features))
        probability[stars] = number * ratio / (1.0 + number * ratio)
        return probability
