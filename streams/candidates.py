"""From regions of interest to candidates: the best line, its members, what they explain, and again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float

from sky_patches import Footprint
from streams.cells import FootprintCells
from streams.errors import LineSearchError
from streams.hough import BestLines, ExpectedStrips, HoughLines, LineRecipe
from streams.membership import Membership, MembershipRecipe, StreamModel, fit_membership
from streams.regions import Region, RegionRecipe, WindowScores, regions_of_interest
from streams.significance import NullMaxima, null_maxima
from streams.stars import StreamStars

__all__ = ["Candidate", "CandidateFinder", "LineDetection"]


@dataclass(frozen=True)
class LineDetection:
    """The line that a candidate was found by.

    Args:
        region: the region of interest.
        significance: local, sigma.
        theta, offset, width: the line  x sin(theta) - y cos(theta) = offset  (radians, deg) and the
            full width of its strip, deg.
        rank: stars of the region that were transformed; `count` of them lie in the strip where
            `expected` were.
    """

    region: Region
    significance: float
    theta: float
    offset: float
    width: float
    rank: int
    count: int
    expected: float


@dataclass(frozen=True)
class Candidate:
    """A stream candidate of one patch.

    Args:
        line: the detection it grew from (its most significant region).
        membership: the fitted stream and the membership probabilities.
        false_alarm_probability: that a stream-free patch shows a line as significant anywhere.
        regions: how many regions of interest had a line that these members explain.
        components: the resonant components of those regions.
    """

    line: LineDetection
    membership: Membership
    false_alarm_probability: float
    regions: int
    components: tuple[str, ...]


@dataclass(frozen=True)
class CandidateFinder:
    """Recipe of the search of one patch, from scored windows to candidates.

    Regions overlap, so one stream lights up dozens of them. They are merged by explanation: the most
    significant line is fitted as a stream, every region whose line consists of its stars is counted to
    it, the stream leaves, and the search of the remaining stars starts again. A star leaves with its
    membership probability, so that what stays has the density of the background and the place of the
    stream is neither a ridge nor a hole; but a member of one candidate is never a member of another. The
    order of the windows does not matter.

    Args:
        regions, lines, membership: recipes of the steps.
        cell_deg: side of the footprint's cells, deg.
        null_skies: skies without structure that calibrate the significance.
        report_below: candidates with a larger false-alarm probability are not reported.
        max_candidates: per patch.
    """

    regions: RegionRecipe = field(default_factory=RegionRecipe)
    lines: LineRecipe = field(default_factory=LineRecipe)
    membership: MembershipRecipe = field(default_factory=MembershipRecipe)
    cell_deg: float = 0.1
    null_skies: int = 100
    report_below: float = 0.5
    max_candidates: int = 20

    def find(
        self,
        stars: StreamStars,
        footprint: Footprint,
        windows: list[WindowScores],
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
            keep: fiducial stars (colour, magnitude) that the lines are made of; default all.
            seed: of the null skies.
            progress: called after each null sky.

        Raises:
            LineSearchError: no region has enough stars.
        """
        keep = np.ones(len(stars), dtype=bool) if keep is None else keep
        regions = regions_of_interest(windows, stars.proper_motion, keep, self.regions)
        if not regions:
            raise LineSearchError(
                f"none of {len(windows)} windows has a region of {self.regions.min_stars} stars: "
                "take a larger patch, wider windows, or lower regions.min_stars"
            )
        search = _PatchSearch.build(self, stars, footprint, regions)
        null = null_maxima(
            search.lines,
            regions,
            search.densities,
            search.expected,
            len(stars),
            skies=self.null_skies,
            seed=seed,
            progress=progress,
        )
        return search.candidates(null, seed)


@dataclass(frozen=True)
class _PatchSearch:
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
    ) -> _PatchSearch:
        cells = FootprintCells.of(footprint, recipe.cell_deg)
        lines = HoughLines(cells, recipe.lines)
        x, y = cells.plane.project(*stars.position.T)
        densities = np.stack([cells.density(x[region.stars], y[region.stars]) for region in regions])
        expected = lines.expect(densities)
        return cls(recipe, stars, regions, lines, densities, expected, x, y)

    def candidates(self, null: NullMaxima, seed: int) -> list[Candidate]:
        chance = np.random.default_rng(seed).random(len(self.stars))
        free, taken = np.ones(len(self.stars), dtype=bool), np.zeros(len(self.stars), dtype=bool)
        found: list[Candidate] = []
        while len(found) < self.recipe.max_candidates:
            left = [region.stars[free[region.stars]] for region in self.regions]
            best = self._best(left)
            top = int(np.argmax(best.significance))
            probability = null.false_alarm_probability(best.significance[top])
            if probability > self.recipe.report_below:
                break
            candidate = self._candidate(top, best, left, free & ~taken, probability)
            found.append(candidate)
            taken[candidate.membership.members()] = True
            leaving = self._leaving(candidate, chance) & free
            strip = self._in_strip(best, top, left[top])
            # A line that no stream model explains would be found again for ever: its own stars leave.
            leaving[strip] |= leaving[strip].sum() < candidate.line.count - candidate.line.expected
            free &= ~leaving
        # Once a stronger stream is gone, a line that shared its regions may stand out more than it did.
        return sorted(found, key=lambda candidate: -candidate.line.significance)

    def _best(self, left: list[np.ndarray]) -> BestLines:
        """Best lines of the stars that are left; only stars of high rank are transformed."""
        tops = [rows[: max(self.recipe.lines.ranks)] for rows in left]
        used = np.unique(np.concatenate(tops))
        bins = self.lines.bins(self.x[used], self.y[used])
        return self.lines.best(bins, [np.searchsorted(used, rows) for rows in tops], self.expected)

    def _candidate(
        self, top: int, best: BestLines, left: list[np.ndarray], use: np.ndarray, probability: float
    ) -> Candidate:
        line = _detection(self.regions[top], best, top)
        start = self._start(line, self._in_strip(best, top, left[top]))
        membership = fit_membership(self.stars, self.lines.cells.plane, start, self.recipe.membership, use)
        member = np.zeros(len(self.stars), dtype=bool)
        member[membership.members()] = True
        merged = [
            number
            for number in np.flatnonzero(best.significance > 0).tolist()
            if number == top or member[self._in_strip(best, number, left[number])].mean() > 0.5
        ]
        components = tuple(sorted({self.regions[number].component for number in merged}))
        return Candidate(line, membership, probability, len(merged), components)

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

    def _start(self, line: LineDetection, seeds: np.ndarray) -> StreamModel:
        motion = np.median(self.stars.proper_motion[seeds], axis=0)
        excess = max(line.count - line.expected, 1.0)
        return StreamModel(
            line.theta, (line.offset, 0.0, 0.0), line.width / 2, ((motion[0], 0.0), (motion[1], 0.0)),
            1.0, float(np.clip(excess / len(line.region.stars), 0.01, 0.5)),
        )  # fmt: skip


def _detection(region: Region, best: BestLines, number: int) -> LineDetection:
    return LineDetection(
        region, float(best.significance[number]), float(best.theta[number]), float(best.offset[number]),
        float(best.width[number]), int(best.rank[number]), int(best.count[number]),
        float(best.expected[number]),
    )  # fmt: skip
