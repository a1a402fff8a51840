"""The likelihood line search of one patch: every line, proper motion, gradient, distance and ridge."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int
from scipy.ndimage import maximum_filter

from sky_patches import Footprint
from streams.cells import FootprintCells
from streams.likelihood.chance import PeakLaw
from streams.likelihood.climbing import Climber
from streams.likelihood.errors import LikelihoodError
from streams.likelihood.hypotheses import Hypothesis, SearchRecipe, StreamRidge
from streams.likelihood.peaks import distinct_peaks
from streams.likelihood.sight import GridHypothesis, PatchSight, Population
from streams.likelihood.stack import LEAST_SIGMA, LineGrid, MotionEntries
from streams.likelihood.weights import PatchFeatures, star_weights
from streams.stars import StreamStars

__all__ = ["SearchResult", "search"]

_LISTED = 4
"""Maxima of the grid for each that is inspected: most may be shadows of a strong stream."""


@dataclass(frozen=True, eq=False)
class SearchResult:
    """What a patch holds.

    Args:
        recipe: what was tried.
        peaks: distinct hypotheses, most significant first; clumps among them (`Hypothesis.clump`).
        maxima: the best (three-cumulant) significance of each population (ridge and distance) and cell of the
            two proper motions; NaN where no line reached the least significance that is noted.
        populations: (name of the ridge, modulus) of each.
        chance: how high chance reaches here, read from the lesser peaks.
        density: share of the stars expected in each cell of the footprint.
    """

    recipe: SearchRecipe
    peaks: tuple[Hypothesis, ...]
    maxima: Float[np.ndarray, "populations side side"] = field(repr=False)
    populations: tuple[tuple[str, float], ...]
    chance: PeakLaw
    density: Float[np.ndarray, " cells"] = field(repr=False)

    @property
    def maximum(self) -> float:
        """Significance of the best peak that is no clump: what null skies are searched for; 0 without any."""
        return max((one.significance for one in self.peaks if not one.clump), default=0.0)

    def false_alarm_probabilities(self) -> Float[np.ndarray, " peaks"]:
        """Of each peak, from the patch's own lesser peaks (see `PeakLaw`)."""
        return np.array([self.chance.false_alarm_probability(one.significance) for one in self.peaks])


def search(
    stars: StreamStars,
    footprint: Footprint | FootprintCells,
    log_background: Float[np.ndarray, " n"],
    recipe: SearchRecipe | None = None,
    ridges: Sequence[StreamRidge] = (),
    *,
    colour_error: Float[np.ndarray, " n"] | None = None,
    density: Float[np.ndarray, " cells"] | None = None,
    threads: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> SearchResult:
    """Search one patch for streams by their likelihood against a learned background (SCIENCE section 2b).

    Of hypothesis h (line, width, proper motion and its gradients, distance, ridge) the stars in the strip add
    up weights lambda = ln(1 + stream over background density). The sum's law under the null, every star
    keeping its features and falling anew on the footprint, gives its significance. Nothing is random,
    and neither the order of the table nor the number of threads changes anything.

    Args:
        stars: the patch's stars.
        footprint: in patch coordinates, holes included, or its cells.
        log_background: ln p_bg(pm_phi1_cosphi2, pm_phi2 [, BP-RP, G] | position) of each star, as observed:
            at its own errors, per (mas/yr)^2 [mag^2]. Stars where it is not finite are left out.
        recipe: what is tried.
        ridges: of the stream's stars, at all of the recipe's moduli; none: p_bg is of the proper motion only.
        colour_error: of BP-RP, mag; default Gaia DR3's.
        density: share of the stars expected in each cell (`FootprintCells`, of `footprint`); default a
            log-linear gradient fitted to the stars. Depth that varies over the footprint goes in here.
        threads: angles are shared out among them.
        progress: called with (steps done, steps in all).

    Raises:
        LikelihoodError: arrays that do not fit together, or nothing to search.
    """
    recipe = recipe or SearchRecipe()
    whole = isinstance(footprint, FootprintCells)
    cells = footprint if whole else FootprintCells.of(footprint, recipe.cell_deg)
    grid, features, density = _prepared(
        stars, cells, log_background, recipe, bool(ridges), colour_error, density
    )
    tried = _tried(ridges, recipe)
    best = _Best.none(max(len(ridges), 1), len(tried), len(grid.theta), len(recipe.motions))
    populations = []
    for number, (ridge, modulus) in enumerate(tried):
        weights = star_weights(features, recipe, ridge, modulus, grid.length)
        entries = MotionEntries.of(weights, features, grid, recipe)
        for angle, found in enumerate(grid.best(entries, modulus, threads)):
            best.note(number, angle, found.significance, np.stack([found.pair, found.width, found.bin]))
            if progress is not None:
                progress(number * len(grid.theta) + angle + 1, len(tried) * len(grid.theta))
        total = np.maximum(entries.moments[:, :, 0, :1], 1e-30)
        tilt = (entries.moments[:, :, 0, 1:] / total).astype(float)
        populations.append(Population(ridge, modulus, weights, tilt))
    sight = PatchSight(features, grid, tuple(populations))
    peaks = distinct_peaks(sight, Climber(sight, threads).best(best.ranked(_LISTED * recipe.inspected)))
    maxima = np.where(best.maxima > LEAST_SIGMA, best.maxima, np.nan)
    names = tuple((one.name, one.modulus) for one in populations)
    chance = PeakLaw.of_patch(np.array([one.significance for one in peaks if not one.clump]))
    return SearchResult(recipe, peaks, maxima, names, chance, density)


def _tried(ridges: Sequence[StreamRidge], recipe: SearchRecipe) -> list[tuple[StreamRidge | None, float]]:
    """Every ridge at every modulus; without ridges one population of unknown distance."""
    if not ridges:
        return [(None, float("nan"))]
    return [(ridge, modulus) for ridge in ridges for modulus in recipe.moduli]


def _prepared(
    stars: StreamStars,
    cells: FootprintCells,
    log_background: np.ndarray,
    recipe: SearchRecipe,
    photometric: bool,
    colour_error: np.ndarray | None,
    density: np.ndarray | None,
) -> tuple[LineGrid, PatchFeatures, Float[np.ndarray, " cells"]]:
    """The lines, the stars, and the smooth density that their weights know of."""
    if density is None:
        if not len(stars):
            raise LikelihoodError("the patch has no stars to search")
        # Sums depend on the order of their terms in the last digit: the stars' names order them.
        order = np.lexsort((*stars.position.T, stars.source_id))
        density = cells.density(*cells.plane.project(*stars.position[order].T))
    if len(density) != len(cells.x):
        raise LikelihoodError(
            f"a density of {len(density)} cells came with {len(cells.x)} cells of a footprint"
        )
    density = np.asarray(density, dtype=float) / np.sum(density, dtype=float)
    features = PatchFeatures.of(
        stars, cells, density, log_background, recipe, photometric=photometric, colour_error=colour_error
    )
    # r averages to one over the background wherever a star lies, and a weight is about r over the density of
    # stars: the sum of weights that a place expects is its area, not its stars. `tilted` adds what is left.
    area = np.asarray(cells.area, dtype=float)
    return LineGrid(cells, area / area.sum(), recipe), features, density


@dataclass(frozen=True)
class _Best:
    """The best hypothesis of each ridge, angle and proper motion over all distances; filled in place."""

    significance: Float[np.ndarray, "ridges angles side side"]
    population: Int[np.ndarray, "ridges angles side side"]
    strip: Int[np.ndarray, "3 ridges angles side side"]
    maxima: Float[np.ndarray, "populations side side"]

    @classmethod
    def none(cls, ridges: int, populations: int, angles: int, side: int) -> _Best:
        shape = (ridges, angles, side, side)
        return cls(
            np.zeros(shape, dtype=np.float32), np.full(shape, -1, dtype=np.int32),
            np.full((3, *shape), -1, dtype=np.int32), np.zeros((populations, side, side), dtype=np.float32),
        )  # fmt: skip

    def note(self, number: int, angle: int, significance: np.ndarray, strip: np.ndarray) -> None:
        """Take what one angle of one population has found."""
        np.maximum(self.maxima[number], significance, out=self.maxima[number])
        at = number * len(self.significance) // len(self.maxima), angle
        better = (strip[0] >= 0) & (significance > self.significance[at])
        self.significance[at][better] = significance[better]
        self.population[at][better] = number
        self.strip[:, *at][:, better] = strip[:, better]

    def ranked(self, count: int) -> list[GridHypothesis]:
        """Of each ridge that many local maxima over angle and proper motion, the best first."""
        modes = ("constant", "wrap", "constant", "constant")
        highest = maximum_filter(self.significance, size=(1, 3, 3, 3), mode=modes)
        peaks = (self.significance == highest) & (self.population >= 0)
        found = []
        for ridge, peak in enumerate(peaks):
            at = np.flatnonzero(peak)
            order = np.argsort(-self.significance[ridge].ravel()[at], kind="stable")[:count]
            found += [self._hypothesis(ridge, int(one)) for one in at[order]]
        return found

    def _hypothesis(self, ridge: int, at: int) -> GridHypothesis:
        angle, j, k = (int(value) for value in np.unravel_index(at, self.significance.shape[1:]))
        pair, width, first = (int(value) for value in self.strip[:, ridge, angle, j, k])
        population, value = self.population[ridge, angle, j, k], self.significance[ridge, angle, j, k]
        return GridHypothesis(int(population), angle, (j, k), pair, width, first, float(value))
