"""Why a candidate is what it is: its regions, protostreams and patches in plain lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from streams.merging.continuation import Continuation
from streams.merging.errors import MergingError
from streams.merging.join import JoinRecord
from streams.merging.records import Criterion, MergeDecision, MergedRegion, Protocluster, ProtostreamLog

__all__ = ["explain"]

SHOWN = 8
"""Regions listed of each protocluster, largest share first; the rest is counted."""


def explain(
    stream: JoinRecord,
    decisions: Sequence[MergeDecision],
    logs: Mapping[str, ProtostreamLog],
    told: Mapping[str, Sequence[str]] | None = None,
) -> str:
    """The history of a candidate: which regions, which protostreams, which patches, with every number.

    Args:
        stream: the candidate's record.
        decisions: all pairs that were compared across patches.
        logs: the log of each protostream by its label.
        told: for protostreams of another search, which have no log, their history in sentences.

    Raises:
        MergingError: the log of a part is not there.
    """
    told = {} if told is None else told
    missing = [label for label in stream.parts if label not in logs and label not in told]
    if missing:
        raise MergingError(f"no log of {missing}; there are logs of {sorted(logs)}: make the catalogue anew")
    return "\n".join(_lines(stream, decisions, logs, told))


def _lines(
    stream: JoinRecord,
    decisions: Sequence[MergeDecision],
    logs: Mapping[str, ProtostreamLog],
    told: Mapping[str, Sequence[str]],
) -> Iterator[str]:
    yield (
        f"{_count(len(stream.parts), 'protostream')} in {_count(len(set(stream.patches)), 'patch')}: "
        f"significance {stream.significance:.1f} sigma, "
        f"false-alarm probability {stream.false_alarm_probability:.2g}"
    )
    for label, patch, stars in zip(stream.parts, stream.patches, stream.stars, strict=True):
        best = ", the best" if label == stream.best else ""
        yield f"protostream {label} in patch {patch}: {stars:.1f} stars{best}"
        yield from (f"  {line}" for line in told[label]) if label in told else _protostream(logs[label])
    yield from _decisions(stream, decisions)
    for test in stream.continuations:
        yield _continuation(test)


def _protostream(log: ProtostreamLog) -> Iterator[str]:
    for cluster in log.protoclusters:
        line = cluster.line
        yield (
            f"  protocluster: line of {line.count} among the best {line.rank} stars, {line.expected:.1f} "
            f"expected, {line.significance:.1f} sigma, at {np.degrees(line.theta):.1f} deg, offset "
            f"{line.offset:.2f} deg, width {line.width:.2f} deg, in {_region(line.component, line.box)}"
        )
        yield from _regions("merged", "more than 50 % of their line are members", cluster.merged)
        yield from _near(cluster)
    for decision in log.decisions:
        yield f"  protoclusters {' and '.join(decision.labels)} of this patch: {decision.reason}"
        yield from (f"    {_criterion(criterion)}" for criterion in decision.criteria)


def _near(cluster: Protocluster) -> Iterator[str]:
    if cluster.near:
        yield from _regions("not merged", "too few of their line are members", cluster.near)


def _regions(verdict: str, why: str, regions: Sequence[MergedRegion]) -> Iterator[str]:
    yield f"    {_count(len(regions), 'region')} {verdict}: {why}"
    for region in regions[:SHOWN]:
        yield (
            f"      {_region(region.component, region.box)}: {region.share:.0%} of {region.count} stars, "
            f"{region.significance:.1f} sigma"
        )
    if len(regions) > SHOWN:
        yield f"      and {len(regions) - SHOWN} more"


def _decisions(stream: JoinRecord, decisions: Sequence[MergeDecision]) -> Iterator[str]:
    parts = set(stream.parts)
    inside = [d for d in decisions if parts.issuperset(d.labels)]
    outside = [d for d in decisions if len(parts.intersection(d.labels)) == 1]
    # The nearest miss first: the fewest criteria failed.
    outside.sort(key=lambda d: (sum(not c.passed for c in d.criteria), d.labels))
    for decision in [*inside, *outside]:
        verdict = "joined" if decision.joined else "not joined"
        yield f"{' and '.join(decision.labels)} {verdict}: {decision.reason}"
        yield from (f"  {_criterion(criterion)}" for criterion in decision.criteria)


def _continuation(test: Continuation) -> str:
    return (
        f"continued into patch {test.patch}, {_region(test.component, test.box)}: {test.count} of the best "
        f"{test.stars} new stars on the track, {test.expected:.1f} expected, {test.significance:+.1f} sigma, "
        f"probability {test.probability:.2g}"
    )


def _criterion(criterion: Criterion) -> str:
    bound = "at least" if criterion.name == "shared stars" else "at most"
    unit = f" {criterion.unit}" if criterion.unit else ""
    verdict = "passed" if criterion.passed else "FAILED"
    return f"{criterion.name}: {criterion.value:.2f}{unit} ({bound} {criterion.threshold:.2f}): {verdict}"


def _region(component: str, box: tuple[tuple[float, float], tuple[float, float]]) -> str:
    (low1, high1), (low2, high2) = box
    if component == "likelihood":
        return f"stars about ({(low1 + high1) / 2:.2f}, {(low2 + high2) / 2:.2f}) mas/yr"
    return f"region [{low1:g}, {high1:g}) x [{low2:g}, {high2:g}) mas/yr of {component}"


def _count(number: int, noun: str) -> str:
    plural = f"{noun}es" if noun.endswith("ch") else f"{noun}s"
    return f"{number} {noun if number == 1 else plural}"
