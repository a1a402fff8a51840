"""From the stars of a patch and their background density to stream candidates with members and errors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Bool, Float

from sky_patches import Footprint
from streams.cells import FootprintCells
from streams.likelihood.candidates import (
    LikelihoodCandidate,
    LikelihoodFound,
    candidate_of,
    line_of,
    members_of,
)
from streams.likelihood.chance import PeakLaw
from streams.likelihood.hypotheses import Hypothesis, SearchRecipe
from streams.likelihood.refinement import refine_in
from streams.likelihood.refinement_component import index
from streams.likelihood.refinement_fit import turned
from streams.likelihood.refinement_recipe import RefinementError, RefinementRecipe, RefinementStart
from streams.likelihood.refinement_sky import RefinementSky
from streams.likelihood.search import search
from streams.likelihood.telling_apart import tell_apart
from streams.ridges import Ridge
from streams.stars import StreamStars

__all__ = ["LikelihoodSearch"]

EXPLAINED = 0.5
"""A hypothesis with more than this share of its weight in members of a better one has no other subject."""


@dataclass(frozen=True)
class LikelihoodSearch:
    """Recipe of the likelihood search of one patch, from a learned background to candidates.

    Every line, proper motion, gradient, distance and ridge is tried (`search`), the best are fitted
    (`refine`), strongest first: the members of a candidate speak for no other.

    Args:
        recipe: of the search.
        ridges: colour-magnitude ridges of the streams' stars; none: proper motions and positions only, and
            the background is a density of proper motions alone.
        refinement: of the fit.
        report_below: candidates with a larger false-alarm probability are not reported.
        max_candidates: per patch.
        threads: of the search.
    """

    recipe: SearchRecipe = field(default_factory=SearchRecipe)
    ridges: tuple[Ridge, ...] = ()
    refinement: RefinementRecipe = field(default_factory=RefinementRecipe)
    report_below: float = 0.5
    max_candidates: int = 20
    threads: int = 1

    def find(
        self,
        stars: StreamStars,
        footprint: Footprint,
        log_background: Float[np.ndarray, " n"],
        *,
        keep: Bool[np.ndarray, " n"] | None = None,
        null: Sequence[float] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> LikelihoodFound:
        """Candidates of one patch, most significant first; nothing in it is random.

        Args:
            stars: of the patch, in any order.
            footprint: in patch coordinates, holes of masks included.
            log_background: ln p_bg(pm_phi1_cosphi2, pm_phi2 [, BP-RP, G] | position) of each star.
            keep: stars that are searched (outside the holes); default all.
            null: significances of the best hypotheses of searched skies without streams; without them the
                patch's own lesser hypotheses tell how high chance reaches (`PeakLaw`).
            progress: called with (steps done, steps in all) of the search.

        Raises:
            LikelihoodError: arrays that do not fit together, or nothing to search.
        """
        cells = FootprintCells.of(footprint, self.recipe.cell_deg)
        log_background = log_background if keep is None else np.where(keep, log_background, -np.inf)
        result = search(
            stars, cells, log_background, self.recipe, self.ridges, threads=self.threads, progress=progress
        )
        chance = result.chance if null is None else result.chance.with_null(null)
        sky = RefinementSky.of(stars, cells, log_background, result.density, limits=self.recipe.limits)
        found: list[LikelihoodCandidate] = []
        clumps = tuple(one for one in result.peaks if self._is_clump(one, chance))
        member = _in_clumps(clumps, stars, cells)
        for hypothesis in result.peaks:
            if hypothesis.clump:
                continue
            probability = chance.false_alarm_probability(hypothesis.significance)
            if probability > self.report_below or len(found) == self.max_candidates:
                break
            weight = hypothesis.weights
            if weight[member[hypothesis.rows]].sum() > EXPLAINED * weight.sum():
                continue
            left = sky.take(~member[sky.rows])
            candidate = self._candidate(hypothesis, _start(hypothesis), probability, left)
            if candidate is None:
                continue
            found.append(candidate)
            member[members_of(candidate)] = True
        return LikelihoodFound(tuple(found), result, chance, clumps)

    def refined_again(
        self,
        found: LikelihoodFound,
        stars: StreamStars,
        footprint: Footprint,
        log_background: Float[np.ndarray, " n"],
        *,
        keep: Bool[np.ndarray, " n"] | None = None,
    ) -> LikelihoodFound:
        """The same candidates fitted anew over another background: one learned without their stars.

        What was found, how significant it is and how likely by chance stays as it was; members, tracks and
        numbers are new. A candidate whose stars make no stream any more keeps its fit.

        Args:
            found: by `find`, of these stars.
            stars, footprint, keep: as `find` had them.
            log_background: of each star, from the other background.

        Raises:
            RefinementError: arrays that do not fit together.
        """
        sky, member = self._prepared(found, stars, footprint, log_background, keep)
        again: list[LikelihoodCandidate] = []
        for one in found.candidates:
            start, left = _restart(one), sky.take(~member[sky.rows])
            fitted = self._candidate(one.hypothesis, start, one.false_alarm_probability, left)
            again.append(fitted or one)
            member[members_of(again[-1])] = True
        return replace(found, candidates=tuple(again))

    def told_apart(
        self,
        found: LikelihoodFound,
        stars: StreamStars,
        footprint: Footprint,
        log_background: Float[np.ndarray, " n"],
        *,
        keep: Bool[np.ndarray, " n"] | None = None,
    ) -> LikelihoodFound:
        """Where two streams fit the stars of a candidate far better than one, it becomes two (`split`).

        Both keep the hypothesis that they were found as, its significance and false-alarm probability.

        Args:
            found: by `find` or `refined_again`, of these stars.
            stars, footprint, keep: as `find` had them.
            log_background: of each star, as the candidates were fitted over it.
        """
        sky, member = self._prepared(found, stars, footprint, log_background, keep)
        speaks = np.zeros((len(found.candidates), len(stars)), dtype=bool)
        for own, one in zip(speaks, found.candidates, strict=True):
            own[members_of(one)] = True
        apart: list[LikelihoodCandidate] = []
        for own, one in zip(speaks, found.candidates, strict=True):
            others = member | (speaks.sum(axis=0) > own)
            apart += tell_apart(one, sky.take(~others[sky.rows]), self.refinement)
        return replace(found, candidates=tuple(apart))

    def _prepared(
        self,
        found: LikelihoodFound,
        stars: StreamStars,
        footprint: Footprint,
        log_background: Float[np.ndarray, " n"],
        keep: Bool[np.ndarray, " n"] | None,
    ) -> tuple[RefinementSky, Bool[np.ndarray, " n"]]:
        """What candidates that are known are fitted in, and the stars of clumps, which speak for none."""
        cells = FootprintCells.of(footprint, self.recipe.cell_deg)
        log_background = log_background if keep is None else np.where(keep, log_background, -np.inf)
        density, limits = found.result.density, self.recipe.limits
        sky = RefinementSky.of(stars, cells, log_background, density, limits=limits)
        return sky, _in_clumps(found.clumps, stars, cells)

    def _is_clump(self, hypothesis: Hypothesis, chance: PeakLaw) -> bool:
        likely = chance.false_alarm_probability(hypothesis.significance)
        return hypothesis.clump and likely <= self.report_below

    def _candidate(
        self, hypothesis: Hypothesis, start: RefinementStart, probability: float, sky: RefinementSky
    ) -> LikelihoodCandidate | None:
        """The fitted stream; None where the stars that are left make none."""
        ridges = tuple(ridge for ridge in self.ridges if ridge.name == hypothesis.ridge)
        try:
            refined = refine_in(start, sky, ridges or self.ridges, self.refinement)
        except RefinementError:
            return None
        return candidate_of(hypothesis, refined, probability, sky, line_of(hypothesis, refined))


def _in_clumps(
    clumps: Sequence[Hypothesis], stars: StreamStars, cells: FootprintCells
) -> Bool[np.ndarray, " n"]:
    """Stars that speak for a clump and lie in it."""
    member = np.zeros(len(stars), dtype=bool)
    for one in clumps:
        x, y = cells.plane.project(*stars.position[one.rows].T)
        along, (first, last) = x * np.cos(one.theta) + y * np.sin(one.theta), one.stretch or (0.0, 0.0)
        member[one.rows[(along >= first - 1e-9) & (along <= last + 1e-9)]] = True
    return member


def _start(hypothesis: Hypothesis) -> RefinementStart:
    """Of the fit, as the search found the stream."""
    return RefinementStart(
        hypothesis.theta, hypothesis.offset, hypothesis.width,
        ((hypothesis.motion[0], hypothesis.gradient[0]), (hypothesis.motion[1], hypothesis.gradient[1])),
        modulus=None if np.isnan(hypothesis.modulus) else hypothesis.modulus,
        extent=hypothesis.along,
    )  # fmt: skip


def _restart(candidate: LikelihoodCandidate) -> RefinementStart:
    """Of another fit, from the straight line next to the first one."""
    fit = candidate.refined
    stream, p = turned(fit.density, fit.parameters)
    spread = float(np.sqrt(np.mean(np.exp(2.0 * p[index("log_spread1") : index("log_spread2") + 1]))))
    return RefinementStart(
        stream.theta, float(p[index("c0")]), float(np.exp(p[index("log_width")])),
        ((float(p[index("pm1_0")]), float(p[index("pm1_1")])),
         (float(p[index("pm2_0")]), float(p[index("pm2_1")]))),
        stars=float(np.exp(p[index("log_stars")])),
        spread=spread,
        modulus=None if stream.ridge is None else float(p[index("modulus")]),
        extent=candidate.hypothesis.along,
    )  # fmt: skip
