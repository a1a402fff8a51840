"""A candidate of one patch: its line, its members, what was merged into it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Int

from streams.membership import Membership
from streams.merging.records import LineFacts, ProtostreamLog
from streams.regions import Region
from streams.stars import StreamStars

__all__ = ["Candidate", "LineDetection", "reordered", "with_rows"]


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

    @property
    def facts(self) -> LineFacts:
        """The same without the region's stars, for the log."""
        return LineFacts(
            self.region.component, self.region.box, self.significance, self.theta, self.offset, self.width,
            self.rank, self.count, self.expected,
        )  # fmt: skip


@dataclass(frozen=True)
class Candidate:
    """A stream candidate of one patch: a protostream, until it is joined with those of other patches.

    Args:
        line: the detection it grew from (its most significant region).
        membership: the fitted stream and the membership probabilities.
        false_alarm_probability: that a stream-free patch shows a line as significant anywhere.
        regions: how many regions of interest had a line that these members explain.
        components: the resonant components of those regions.
        stability: fraction of the trainings in which its line returns; NaN with one training.
        log: which regions were merged into it and why, and which were not.
    """

    line: LineDetection
    membership: Membership
    false_alarm_probability: float
    regions: int
    components: tuple[str, ...]
    stability: float = float("nan")
    log: ProtostreamLog = field(default_factory=ProtostreamLog)


def reordered(stars: StreamStars, order: Int[np.ndarray, " n"]) -> StreamStars:
    """The same stars, row k the former row order[k]."""
    return replace(
        stars, source_id=stars.source_id[order], position=stars.position[order],
        proper_motion=stars.proper_motion[order], proper_motion_error=stars.proper_motion_error[order],
        photometry=stars.photometry[order],
    )  # fmt: skip


def with_rows(candidate: Candidate, order: Int[np.ndarray, " n"]) -> Candidate:
    """The candidate with the row numbers of the table that was given, members in its order."""
    region, membership = candidate.line.region, candidate.membership
    rows = order[membership.rows]
    ascending = np.argsort(rows)
    given = replace(membership, rows=rows[ascending], probability=membership.probability[ascending])
    line = replace(candidate.line, region=replace(region, stars=order[region.stars]))
    return replace(candidate, line=line, membership=given)
