"""From scored windows to compact over-densities: the best disc, its members, what they explain, and again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float, Int

from sky_patches import Footprint
from sky_patches.frames import unit_vectors
from streams.cells import FootprintCells
from streams.compact.discs import BestDiscs, DiscSearch
from streams.compact.errors import CompactError
from streams.compact.membership import ClusterMembership, ClusterRecipe, Parallax, fit_cluster
from streams.compact.null import compact_null_maxima
from streams.compact.profile import ClusterModel
from streams.plane import TangentPlane
from streams.regions import Region, RegionRecipe, WindowScores, regions_of_interest
from streams.significance import NullMaxima
from streams.stars import StreamStars

__all__ = ["CompactCandidate", "CompactFinder", "CompactRecipe", "DiscDetection"]

MOTION_SCALE = 0.7
"""mas/yr; the disc's stars crowd where the most of them lie this near to one another in proper motion."""
START_SPREAD, START_PARALLAX_SPREAD = 0.3, 0.1
"""mas/yr and mas; where the fit begins. Too wide costs iterations, too narrow loses the cluster."""


@dataclass(frozen=True)
class CompactRecipe:
    """Which discs are looked for, and when one is reported.

    Args:
        regions: how windows are cut into regions of interest: the same as for lines.
        scales: radii of the discs, arcmin, ascending: from the core of an ultra-faint dwarf to a near open
            cluster. Steps of two lose little: a disc twice too large costs a fifth of the significance.
        ranks: how many of a region's highest-scored stars are looked at; each is tried.
        least: stars of a disc; fewer are a binary or a multiple star, which share a motion as a cluster does.
        membership: the fit.
        cell_deg: side of the footprint's cells, deg.
        null_skies: skies without structure that calibrate the significance.
        report_below: over-densities with a larger false-alarm probability are not reported.
        max_candidates: per patch.
        min_axis_ratio: a rounder fit is a cluster or a galaxy; a flatter one a piece of a stream, which must
            not be masked. (Few dwarf galaxies are flatter: Munoz et al. 2018.)
        max_radius: of the half-number ellipse's major axis, deg; what is broader is no compact object.
    """

    regions: RegionRecipe = field(default_factory=RegionRecipe)
    scales: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)
    ranks: tuple[int, ...] = (50, 100, 200)
    least: int = 5
    membership: ClusterRecipe = field(default_factory=ClusterRecipe)
    cell_deg: float = 0.1
    null_skies: int = 100
    report_below: float = 0.5
    max_candidates: int = 20
    min_axis_ratio: float = 0.3
    max_radius: float = 1.5

    def __post_init__(self) -> None:
        if not self.scales or min(self.scales) <= 0 or list(self.scales) != sorted(set(self.scales)):
            raise CompactError(f"scales must be positive radii in arcmin, ascending; got {self.scales}")
        if not self.ranks or min(self.ranks) < 1 or self.least < 2 or self.null_skies < 1:
            raise CompactError(
                "ranks and null_skies must be at least 1 and least at least 2; got "
                f"ranks={self.ranks}, null_skies={self.null_skies}, least={self.least}"
            )


@dataclass(frozen=True)
class DiscDetection:
    """The disc that a candidate was found by.

    Args:
        region: the region of interest.
        significance: local, sigma.
        position: (phi1, phi2) of the star at its centre, deg.
        scale: its radius, deg.
        rank: stars of the region that were looked at; `count` of them lie in the disc beside the central one,
            where `expected` were.
    """

    region: Region
    significance: float
    position: tuple[float, float]
    scale: float
    rank: int
    count: int
    expected: float


@dataclass(frozen=True)
class CompactCandidate:
    """A star cluster, dwarf galaxy, or what looks like one.

    Args:
        disc: the detection it grew from (its most significant region).
        membership: the fitted cluster and the membership probabilities.
        false_alarm_probability: that a patch without structure shows a disc as significant anywhere.
        regions: how many regions of interest had a disc that these members explain.
        components: the resonant components of those regions.
        reach: of the largest disc, deg: what lies further from the centre is no part of the over-density, but
            the outskirts of its object (its wings, or tails), whose end a patch does not decide.
        elongated: too flat for a cluster or galaxy, or what one such left over: a piece of a stream.
        extended: too broad for the discs that were looked for.
        unexplained: the fit found fewer stars than a disc needs: nothing that moves or lies together.
    """

    disc: DiscDetection
    membership: ClusterMembership
    false_alarm_probability: float
    regions: int
    components: tuple[str, ...]
    reach: float
    elongated: bool
    extended: bool
    unexplained: bool

    def members(self, threshold: float = 0.5) -> Int[np.ndarray, " m"]:
        """Rows of the stars within `reach` of the centre with a probability above `threshold`."""
        return self.membership.members(threshold, self.reach)

    def passes(self, threshold: float) -> bool:
        """A compact object, with a false-alarm probability below `threshold`."""
        otherwise = self.elongated or self.extended or self.unexplained
        return self.false_alarm_probability < threshold and not otherwise


@dataclass(frozen=True)
class CompactFinder:
    """The search of one patch for compact over-densities, in the same scores as the line finder's.

    Regions overlap, so one cluster lights up dozens of them. They are merged by explanation, as lines are:
    the most significant disc is fitted as a cluster, every region whose disc consists of its stars is counted
    to it, the cluster leaves star by star with its membership probability, and the search of the remaining
    stars starts again. Neither the order of the windows nor that of the stars matters.

    Args:
        recipe: settings.
    """

    recipe: CompactRecipe = field(default_factory=CompactRecipe)

    def find(
        self,
        stars: StreamStars,
        footprint: Footprint,
        windows: list[WindowScores],
        *,
        keep: Bool[np.ndarray, " n"] | None = None,
        parallax: Parallax | None = None,
        seed: int,
        progress: Callable[[], None] | None = None,
    ) -> list[CompactCandidate]:
        """Compact over-densities of one patch, most significant first.

        Args:
            stars: the patch's stars; `WindowScores.rows` are row numbers in it.
            footprint: the patch's footprint in patch coordinates.
            windows: scored windows, scores made without positions.
            keep: fiducial stars that the discs are made of; default all. Members may be any stars.
            parallax: of the same stars, for the membership fit alone.
            seed: of the null skies.
            progress: called after each null sky.

        Raises:
            CompactError: no region has enough stars.
        """
        keep = np.ones(len(stars), dtype=bool) if keep is None else keep
        regions = regions_of_interest(windows, stars.proper_motion, keep, self.recipe.regions)
        if not regions:
            raise CompactError(
                f"none of {len(windows)} windows has a region of {self.recipe.regions.min_stars} stars: "
                "take a larger patch, wider windows, or lower regions.min_stars"
            )
        search = _PatchSearch.build(self.recipe, stars, footprint, regions, parallax)
        null = compact_null_maxima(
            search.discs, regions, search.densities, search.order,
            skies=self.recipe.null_skies, seed=seed, progress=progress,
        )  # fmt: skip
        return search.candidates(null, seed)


@dataclass(frozen=True)
class _PatchSearch:
    """One patch while it is searched: everything that does not change from candidate to candidate."""

    recipe: CompactRecipe
    stars: StreamStars
    parallax: Parallax | None
    regions: list[Region]
    discs: DiscSearch
    densities: Float[np.ndarray, "regions cells"]
    cells: Int[np.ndarray, " n"]
    vectors: Float[np.ndarray, "n 3"]
    order: Int[np.ndarray, " n"]

    @classmethod
    def build(
        cls,
        recipe: CompactRecipe,
        stars: StreamStars,
        footprint: Footprint,
        regions: list[Region],
        parallax: Parallax | None,
    ) -> _PatchSearch:
        cells = FootprintCells.of(footprint, recipe.cell_deg)
        scales = tuple(scale / 60.0 for scale in recipe.scales)
        discs = DiscSearch(footprint, cells, scales, recipe.ranks, recipe.least)
        x, y = cells.plane.project(*stars.position.T)
        densities = cells.densities([(x[region.stars], y[region.stars]) for region in regions])
        order = np.argsort(np.argsort(stars.source_id, kind="stable"), kind="stable")
        return cls(
            recipe, stars, parallax, regions, discs, densities,
            discs.cells_of(stars.position), unit_vectors(*stars.position.T), order,
        )  # fmt: skip

    def candidates(self, null: NullMaxima, seed: int) -> list[CompactCandidate]:
        chance = np.random.default_rng(seed).random(len(self.stars))[self.order]
        free, taken = np.ones(len(self.stars), dtype=bool), np.zeros(len(self.stars), dtype=bool)
        found: list[CompactCandidate] = []
        while len(found) < self.recipe.max_candidates:
            left = [region.stars[free[region.stars]] for region in self.regions]
            best = self._best(left)
            top = int(np.argmax(best.significance))
            probability = null.false_alarm_probability(best.significance[top])
            if not best.significance[top] > 0 or probability > self.recipe.report_below:
                break
            candidate = self._candidate(top, best, left, ~taken, probability, found)
            found.append(candidate)
            taken[candidate.membership.members()] = True
            leaving = self._leaving(candidate, chance) & free
            disc = self._in_disc(best, top, left[top])
            # A disc that no cluster explains would be found again for ever: its own stars leave.
            leaving[disc] |= leaving[disc].sum() < candidate.disc.count - candidate.disc.expected
            free &= ~leaving
        return sorted(found, key=lambda candidate: -candidate.disc.significance)

    def _best(self, left: list[np.ndarray]) -> BestDiscs:
        tops = [rows[: max(self.recipe.ranks)] for rows in left]
        return self.discs.best(
            [self.vectors[rows] for rows in tops], [self.cells[rows] for rows in tops], self.densities
        )

    def _candidate(
        self,
        top: int,
        best: BestDiscs,
        left: list[np.ndarray],
        use: np.ndarray,
        probability: float,
        found: list[CompactCandidate],
    ) -> CompactCandidate:
        disc = self._detection(top, best, left[top])
        start = self._start(disc, self._in_disc(best, top, left[top]))
        fit = fit_cluster(
            self.stars, self.discs.cells, start, self.recipe.membership, parallax=self.parallax, use=use
        )
        member = np.zeros(len(self.stars), dtype=bool)
        member[fit.members()] = True
        merged = [
            number
            for number in np.flatnonzero(best.significance > 0).tolist()
            if number == top or member[self._in_disc(best, number, left[number])].mean() > 0.5
        ]
        components = tuple(sorted({self.regions[number].component for number in merged}))
        return CompactCandidate(
            disc, fit, probability, len(merged), components, self.discs.scales[-1],
            fit.model.axis_ratio < self.recipe.min_axis_ratio or _continues(found, fit),
            fit.model.major_half_radius > self.recipe.max_radius, fit.stars < self.recipe.least,
        )  # fmt: skip

    def _detection(self, number: int, best: BestDiscs, rows: np.ndarray) -> DiscDetection:
        phi1, phi2 = self.stars.position[rows[best.star[number]]].tolist()
        return DiscDetection(
            self.regions[number], float(best.significance[number]), (phi1, phi2), float(best.scale[number]),
            int(best.rank[number]), int(best.count[number]), float(best.expected[number]),
        )  # fmt: skip

    def _in_disc(self, best: BestDiscs, number: int, rows: np.ndarray) -> np.ndarray:
        """Rows of the stars of a region's best disc, its central one included."""
        centre = self.vectors[rows[best.star[number]]]
        rows = rows[: best.rank[number]]
        chord = np.linalg.norm(self.vectors[rows] - centre, axis=1)
        return rows[chord <= 2 * np.sin(np.radians(best.scale[number]) / 2)]

    def _leaving(self, candidate: CompactCandidate, chance: np.ndarray) -> np.ndarray:
        probability = np.zeros(len(self.stars))
        probability[candidate.membership.rows] = candidate.membership.probability
        return chance < probability

    def _start(self, disc: DiscDetection, rows: np.ndarray) -> ClusterModel:
        """A round cluster of half the disc's radius, where the disc's stars crowd in proper motion."""
        motion = self.stars.proper_motion[rows]
        near = np.linalg.norm(motion[:, None] - motion, axis=2) < MOTION_SCALE
        crowd = near[np.lexsort((*motion.T, -near.sum(axis=1)))[0]]
        middle = np.median(motion[crowd], axis=0)
        parallax = np.nan
        if self.parallax is not None and np.isfinite(self.parallax.value[rows[crowd]]).any():
            parallax = float(np.nanmedian(self.parallax.value[rows[crowd]]))
        variance = (disc.scale / 2) ** 2 / 2
        return ClusterModel(
            TangentPlane(*disc.position), (0.0, 0.0), (variance, 0.0, variance),
            (float(middle[0]), float(middle[1])), START_SPREAD, parallax, START_PARALLAX_SPREAD, 0.1,
        )  # fmt: skip


def _continues(found: list[CompactCandidate], fit: ClusterMembership) -> bool:
    """Whether a fit is the rest of an elongated candidate: a stream is longer than the field of one fit."""
    return any(one.elongated and one.membership.model.continued_by(fit.model) for one in found)
