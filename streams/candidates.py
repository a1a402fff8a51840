"""From regions of interest to candidates: the best line, its members, what they explain, and again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Bool, Float

from sky_patches import Footprint
from streams.cells import FootprintCells
from streams.errors import LineSearchError
from streams.hough import BestLines, ExpectedStrips, HoughLines, LineRecipe
from streams.membership import Membership, MembershipRecipe, StreamModel, fit_membership
from streams.merging.candidate import Candidate, LineDetection, reordered, with_rows
from streams.merging.comparison import JoinRecipe
from streams.merging.protostreams import Found, protostreams
from streams.merging.records import MergedRegion, Protocluster, ProtostreamLog
from streams.merging.retrainings import canonical_windows, mean_scores, scored_alike
from streams.refinement import refine_line
from streams.regions import Region, RegionRecipe, WindowScores, regions_of_interest
from streams.significance import NullMaxima, null_maxima
from streams.stars import StreamStars

__all__ = ["Candidate", "CandidateFinder", "LineDetection", "PatchSearch"]

EXPLAINED = 0.5
"""A line is a stream's when more than this share of its stars are members: then it has no other subject."""
LEFT_STARS = 20
"""Fewer stars fit no gradient."""
NEAR = 0.1
"""Regions with this share are told in the log as nearly merged; a smaller one is chance."""


@dataclass(frozen=True)
class CandidateFinder:
    """Recipe of the search of one patch, from scored windows to candidates.

    Regions overlap, so one stream lights up dozens of them. They are merged by explanation: the most
    significant line is fitted as a stream, every region whose line consists of its stars is counted to
    it, the stream leaves, and the search of the remaining stars starts again. A star leaves with its
    membership probability, so that what stays has the density of the background and the place of the
    stream is neither a ridge nor a hole; but a member of one candidate is never a member of another. What
    one fit explains is a protocluster; protoclusters that continue each other are fitted together and make
    one protostream. Neither the order of the windows nor that of the table matters.

    Args:
        regions, lines, membership: recipes of the steps.
        cell_deg: side of the footprint's cells, deg.
        density_stars: highest-scored stars of a region whose smooth density the null follows. All of its
            stars may be another mix of populations, with another gradient; the best alone are few.
        null_skies: skies without structure that calibrate the significance.
        report_below: candidates with a larger false-alarm probability are not reported.
        max_candidates: per patch.
        join: when two protoclusters of a patch are one stream.
    """

    regions: RegionRecipe = field(default_factory=RegionRecipe)
    lines: LineRecipe = field(default_factory=LineRecipe)
    membership: MembershipRecipe = field(default_factory=MembershipRecipe)
    cell_deg: float = 0.1
    density_stars: int = 1000
    null_skies: int = 100
    report_below: float = 0.5
    max_candidates: int = 20
    join: JoinRecipe = field(default_factory=JoinRecipe)

    def find(
        self,
        stars: StreamStars,
        footprint: Footprint,
        windows: list[WindowScores],
        retrainings: Sequence[list[WindowScores]] = (),
        *,
        keep: Bool[np.ndarray, " n"] | None = None,
        seed: int,
        progress: Callable[[], None] | None = None,
    ) -> list[Candidate]:
        """Candidates of one patch, most significant first.

        Args:
            stars: the patch's stars; `WindowScores.rows` are row numbers in it.
            footprint: the patch's footprint in patch coordinates.
            windows: scored windows, scores made without positions.
            retrainings: scores of the same stars and windows from other seeds. The search then uses the mean
                score, and each candidate tells in which share of the trainings it returns.
            keep: fiducial stars (colour, magnitude) that the lines are made of; default all.
            seed: of the null skies.
            progress: called after each null sky.

        Raises:
            LineSearchError: no region has enough stars.
            RegionError: a window comes twice, or a retraining has other windows or stars.
        """
        keep = np.ones(len(stars), dtype=bool) if keep is None else keep
        # Everything that is drawn row by row is drawn in the order of the stars' names.
        order = np.lexsort((*stars.position.T, stars.source_id))
        position = np.argsort(order)
        stars, keep = reordered(stars, order), keep[order]
        trainings = [canonical_windows(training, position) for training in (windows, *retrainings)]
        mean = mean_scores(trainings)
        regions = regions_of_interest(mean, stars.proper_motion, keep, self.regions)
        if not regions:
            raise LineSearchError(
                f"none of {len(windows)} windows has a region of {self.regions.min_stars} stars: "
                "take a larger patch, wider windows, or lower regions.min_stars"
            )
        search = PatchSearch.build(self, stars, footprint, regions)
        null = search.null(seed, progress)
        single = [
            regions_of_interest(scored_alike(one, mean), stars.proper_motion, keep, self.regions)
            for one in trainings
        ]
        found = search.candidates(null, seed, single if retrainings else [])
        return [with_rows(candidate, order) for candidate in found]


@dataclass(frozen=True)
class PatchSearch:
    """One patch while it is searched: everything that does not change from candidate to candidate."""

    recipe: CandidateFinder
    stars: StreamStars
    regions: list[Region]
    lines: HoughLines
    densities: Float[np.ndarray, "regions cells"]
    expected: list[ExpectedStrips]
    x: Float[np.ndarray, " n"]
    y: Float[np.ndarray, " n"]

    @classmethod
    def build(
        cls, recipe: CandidateFinder, stars: StreamStars, footprint: Footprint, regions: list[Region]
    ) -> PatchSearch:
        """Prepare a patch: its cells, and what each region expects along every line.

        Args:
            recipe: of the search.
            stars: the patch's stars.
            footprint: where they are.
            regions: its regions of interest.
        """
        cells = FootprintCells.of(footprint, recipe.cell_deg)
        lines = HoughLines(cells, recipe.lines)
        x, y = cells.plane.project(*stars.position.T)
        ranked = [region.stars[: recipe.density_stars] for region in regions]
        densities = cells.densities([(x[rows], y[rows]) for rows in ranked])
        expected = lines.expect(densities)
        return cls(recipe, stars, regions, lines, densities, expected, x, y)

    def best(self) -> BestLines:
        """The best line of each region, with all its stars."""
        return self._best([region.stars for region in self.regions], self.expected)

    def null(self, seed: int, progress: Callable[[], None] | None = None) -> NullMaxima:
        """Best lines of the same patch without streams.

        Args:
            seed: of the null skies.
            progress: called after each.
        """
        return null_maxima(
            self.lines, self.regions, self.densities, self.expected, len(self.stars),
            skies=self.recipe.null_skies, seed=seed, progress=progress,
        )  # fmt: skip

    def candidates(
        self, null: NullMaxima, seed: int, trainings: Sequence[list[Region]] = ()
    ) -> list[Candidate]:
        """Protostreams of the patch, most significant first.

        Args:
            null: maxima without streams.
            seed: decides which stars leave with a stream.
            trainings: the same regions as ranked by each single training, for the stability.
        """
        found = protostreams(
            self._protoclusters(null, seed), self.stars, self.lines.cells.plane,
            self.recipe.membership, self.recipe.join,
        )  # fmt: skip
        steady = [
            replace(one.candidate, stability=self._stability(one, trainings, null))
            if trainings
            else one.candidate
            for one in found
        ]
        # Once a stronger stream is gone, a line that shared its regions may stand out more than it did.
        return sorted(steady, key=lambda candidate: -candidate.line.significance)

    def _protoclusters(self, null: NullMaxima, seed: int) -> list[Found]:
        chance = np.random.default_rng(seed).random(len(self.stars))
        free, taken = np.ones(len(self.stars), dtype=bool), np.zeros(len(self.stars), dtype=bool)
        found: list[Found] = []
        while len(found) < self.recipe.max_candidates:
            left = self._left(free)
            densities, expected = self._smooth(left) if found else (self.densities, self.expected)
            best = self._best(left, expected)
            top = int(np.argmax(best.significance))
            probability = null.false_alarm_probability(best.significance[top])
            if probability > self.recipe.report_below:
                break
            candidate = self._candidate(top, best, left, free & ~taken, probability, densities[top])
            found.append(Found(candidate, free.copy()))
            taken[candidate.membership.members()] = True
            leaving = self._leaving(candidate, chance) & free
            strip = self._in_strip(best, top, left[top])
            # A line that no stream model explains would be found again for ever: its own stars leave.
            leaving[strip] |= leaving[strip].sum() < candidate.line.count - candidate.line.expected
            free &= ~leaving
        return found

    def _stability(self, one: Found, trainings: Sequence[list[Region]], null: NullMaxima) -> float:
        """Share of the trainings in which some region has a line of these members that would be reported."""
        member = self._member(one.candidate.membership)
        _, expected = self._smooth(self._left(one.free))
        returned = [self._returns(regions, member, one.free, expected, null) for regions in trainings]
        return float(np.mean(returned))

    def _returns(
        self,
        regions: list[Region],
        member: np.ndarray,
        free: np.ndarray,
        expected: list[ExpectedStrips],
        null: NullMaxima,
    ) -> bool:
        top = max(self.recipe.lines.ranks)
        left = [region.stars[free[region.stars]] for region in regions]
        # A region without a member among its transformed stars has no line of members.
        near = [number for number, rows in enumerate(left) if member[rows[:top]].any()]
        if not near:
            return False
        rows = [left[number] for number in near]
        best = self._best(rows, [expected[number] for number in near])
        explained = self._shares(best, rows, member) > EXPLAINED
        significance = float(best.significance[explained].max(initial=0.0))
        return significance > 0 and null.false_alarm_probability(significance) <= self.recipe.report_below

    def _left(self, free: np.ndarray) -> list[np.ndarray]:
        """The stars of each region that no stream has taken, highest score first."""
        return [region.stars[free[region.stars]] for region in self.regions]

    def _smooth(
        self, left: list[np.ndarray]
    ) -> tuple[Float[np.ndarray, "regions cells"], list[ExpectedStrips]]:
        """Density of the stars that are left in each region, and what it makes every strip expect.

        A strong stream tilts the smooth density towards itself: once it is gone, the far side of the patch
        would stand out against a density that still had it.
        """
        most, densities = self.recipe.density_stars, self.densities.copy()
        # A region that has lost nearly all its stars has no line, and no density of its own either.
        some = [number for number, rows in enumerate(left) if len(rows) >= LEFT_STARS]
        if some:
            ranked = [left[number][:most] for number in some]
            densities[some] = self.lines.cells.densities([(self.x[rows], self.y[rows]) for rows in ranked])
        return densities, self.lines.expect(densities)

    def _member(self, membership: Membership) -> np.ndarray:
        member = np.zeros(len(self.stars), dtype=bool)
        member[membership.members()] = True
        return member

    def _best(self, left: list[np.ndarray], expected: list[ExpectedStrips]) -> BestLines:
        """Best lines of the stars that are left; only stars of high rank are transformed."""
        tops = [rows[: max(self.recipe.lines.ranks)] for rows in left]
        used = np.unique(np.concatenate(tops))
        bins = self.lines.bins(self.x[used], self.y[used])
        return self.lines.best(bins, [np.searchsorted(used, rows) for rows in tops], expected)

    def _shares(self, best: BestLines, left: list[np.ndarray], member: np.ndarray) -> np.ndarray:
        """Share of members among the stars of each region's best line; 0 where it has none."""
        shares = np.zeros(len(left))
        for number in np.flatnonzero(best.significance > 0).tolist():
            shares[number] = member[self._in_strip(best, number, left[number])].mean()
        return shares

    def _candidate(
        self,
        top: int,
        best: BestLines,
        left: list[np.ndarray],
        use: np.ndarray,
        probability: float,
        density: Float[np.ndarray, " cells"],
    ) -> Candidate:
        line = _detection(self.regions[top], best, top)
        start = self._start(line, density, left[top], self._in_strip(best, top, left[top]))
        membership = fit_membership(self.stars, self.lines.cells.plane, start, self.recipe.membership, use)
        shares = self._shares(best, left, self._member(membership))
        merged = shares > EXPLAINED
        # Its own region belongs to it, whatever the fit made of its line.
        merged[top] = True
        near = ~merged & (shares >= NEAR)
        cluster = Protocluster(
            line.facts, self._records(best, shares, merged), self._records(best, shares, near)
        )
        components = tuple(sorted({region.component for region in cluster.merged}))
        log = ProtostreamLog((cluster,))
        return Candidate(line, membership, probability, len(cluster.merged), components, log=log)

    def _records(self, best: BestLines, shares: np.ndarray, which: np.ndarray) -> tuple[MergedRegion, ...]:
        found = [
            MergedRegion(
                self.regions[number].component, self.regions[number].box, float(best.significance[number]),
                int(best.count[number]), float(shares[number]),
            )
            for number in np.flatnonzero(which).tolist()
        ]  # fmt: skip
        return tuple(sorted(found, key=lambda one: (-one.share, -one.significance, one.component, one.box)))

    def _leaving(self, candidate: Candidate, chance: np.ndarray) -> np.ndarray:
        probability = np.zeros(len(self.stars))
        probability[candidate.membership.rows] = candidate.membership.probability
        return chance < probability

    def _in_strip(self, best: BestLines, number: int, rows: np.ndarray) -> np.ndarray:
        """Rows of the transformed stars of a region that lie in its best strip."""
        rows = rows[: best.rank[number]]
        theta = best.theta[number]
        across = self.x[rows] * np.sin(theta) - self.y[rows] * np.cos(theta) - best.offset[number]
        return rows[np.abs(across) <= best.width[number] / 2]

    def _start(
        self, line: LineDetection, density: np.ndarray, left: np.ndarray, seeds: np.ndarray
    ) -> StreamModel:
        """The line between the bins, by maximum likelihood, and the motion of its stars."""
        motion = np.median(self.stars.proper_motion[seeds], axis=0)
        theta, offset, width = line.theta, line.offset, line.width / 2
        excess = max(line.count - line.expected, 1.0)
        rows = left[: line.rank]
        try:
            refined = refine_line(
                self.x[rows], self.y[rows], self.lines.cells, density, theta, offset, line.width
            )
        except LineSearchError:
            # Too few stars beside the strip to say more than the bins do.
            pass
        else:
            theta, offset, width = refined.theta, refined.offset, refined.width
            excess = max(refined.stars, 1.0)
        return StreamModel(
            theta, (offset, 0.0, 0.0), width, ((motion[0], 0.0), (motion[1], 0.0)),
            1.0, float(np.clip(excess / len(line.region.stars), 0.01, 0.5)),
        )  # fmt: skip


def _detection(region: Region, best: BestLines, number: int) -> LineDetection:
    return LineDetection(
        region, float(best.significance[number]), float(best.theta[number]), float(best.offset[number]),
        float(best.width[number]), int(best.rank[number]), int(best.count[number]),
        float(best.expected[number]),
    )  # fmt: skip
