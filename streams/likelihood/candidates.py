"""What the likelihood search finds in a patch: candidates, and all hypotheses with the law of chance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from streams.candidates import Candidate, LineDetection
from streams.likelihood.chance import PeakLaw
from streams.likelihood.goodness import GoodnessOfFit, goodness_of_fit
from streams.likelihood.hypotheses import Hypothesis
from streams.likelihood.refinement import RefinedStream
from streams.likelihood.refinement_sky import RefinementSky
from streams.likelihood.search import SearchResult
from streams.likelihood.two_streams import SplitResult
from streams.merging.records import Protocluster, ProtostreamLog
from streams.regions import Region

__all__ = ["MEMBER", "LikelihoodCandidate", "LikelihoodFound", "candidate_of", "line_of", "members_of"]

_COMPONENT = "likelihood"
"""What stands in a candidate where the model-free search names its resonant component."""
MEMBER = 0.1
"""Stars with a larger membership probability of a better candidate speak for no other."""


@dataclass(frozen=True, eq=False)
class LikelihoodCandidate:
    """A stream candidate of one patch.

    Args:
        hypothesis: as the search found it.
        refined: as the fit has it; a hypothesis whose stars make no fit is no candidate.
        goodness: of that fit.
        false_alarm_probability: that a stream-free patch shows a hypothesis as significant anywhere.
        candidate: as the joining of patches and the catalogue take it.
        pair: of one of two streams that were found as one, how much better two are; else None.
    """

    hypothesis: Hypothesis
    refined: RefinedStream
    goodness: GoodnessOfFit
    false_alarm_probability: float
    candidate: Candidate
    pair: SplitResult | None = None


@dataclass(frozen=True, eq=False)
class LikelihoodFound:
    """What a patch holds.

    Args:
        candidates: most significant first.
        result: all hypotheses, those that are no candidates too.
        chance: how high chance reaches.
        clumps: hypotheses as significant that owe it to one place: clusters and dwarf galaxies that no mask
            covers. Their stars speak for no candidate.
    """

    candidates: tuple[LikelihoodCandidate, ...]
    result: SearchResult
    chance: PeakLaw
    clumps: tuple[Hypothesis, ...] = ()

    def false_alarm_probability(self, significance: float) -> float:
        """That a stream-free patch shows a hypothesis as significant anywhere."""
        return self.chance.false_alarm_probability(significance)


def candidate_of(
    hypothesis: Hypothesis,
    refined: RefinedStream,
    probability: float,
    sky: RefinementSky,
    line: LineDetection,
) -> LikelihoodCandidate:
    """A fitted stream as the chain takes it, with its goodness of fit in the stars of `sky`."""
    candidate = Candidate(
        line, refined.membership, probability, 1, (_COMPONENT,),
        log=ProtostreamLog((Protocluster(line.facts, ()),)),
    )  # fmt: skip
    return LikelihoodCandidate(hypothesis, refined, goodness_of_fit(refined, sky), probability, candidate)


def members_of(candidate: LikelihoodCandidate) -> Int[np.ndarray, " k"]:
    """Rows of the stars that speak for no lesser candidate."""
    return candidate.refined.rows[candidate.refined.probability > MEMBER]


def line_of(hypothesis: Hypothesis, refined: RefinedStream) -> LineDetection:
    """The detection in the words of the model-free search: stars count by their weight."""
    unit = hypothesis.observed / max(len(hypothesis.rows), 1)
    (a, b), half = hypothesis.motion, refined.half_box
    region = Region(_COMPONENT, ((a - half, a + half), (b - half, b + half)), hypothesis.rows)
    return LineDetection(
        region, hypothesis.significance, hypothesis.theta, hypothesis.offset, 3.0 * hypothesis.width,
        len(hypothesis.rows), len(hypothesis.rows), hypothesis.expected / max(unit, 1e-12),
    )  # fmt: skip
