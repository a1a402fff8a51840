"""Candidates of single patches joined across patches, with a decision on record for every pair."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Int, Shaped

from sky_patches import PatchGeometry
from sky_patches.frames import unit_vectors
from streams.members import MemberStars
from streams.merging.comparison import JoinRecipe, SharedStars, compare
from streams.merging.continuation import Continuation, combined
from streams.merging.errors import MergingError
from streams.merging.records import LineFacts, MergeDecision, ProtostreamLog
from streams.merging.tracks import SkyStars

__all__ = ["FoundStream", "JoinRecord", "JoinedStream", "join_streams"]

_LISTS = ("parts", "patches", "stars", "searches")


@dataclass(frozen=True, eq=False)
class FoundStream:
    """What one patch reports of one candidate.

    Args:
        label: unique in the run, for example "north/0".
        geometry: the patch.
        members: all stars with a membership probability above 0.01.
        significance: local, of its best line, sigma.
        false_alarm_probability: that a stream-free patch shows a line as significant.
        log: how it came about.
        search: "anomaly" or "likelihood".
    """

    label: str
    geometry: PatchGeometry
    members: MemberStars
    significance: float
    false_alarm_probability: float
    log: ProtostreamLog = field(default_factory=ProtostreamLog)
    search: str = "anomaly"

    @property
    def line(self) -> LineFacts | None:
        """The line of its most significant protocluster; None without a log."""
        return self.log.protoclusters[0].line if self.log.protoclusters else None

    @cached_property
    def sky(self) -> SkyStars:
        """The members as vectors, in order of source_id."""
        return SkyStars.of_members(self.members)

    @property
    def rank_key(self) -> tuple[float, float, str]:
        """Sorts the least probable false alarm first."""
        return self.false_alarm_probability, -self.significance, self.label


@dataclass(frozen=True)
class JoinRecord:
    """A candidate without its stars: what the run directory keeps beside the member table.

    Args:
        parts: labels of the protostreams, in order.
        patches: their patches, in the same order.
        stars: expected members of each part.
        best: label of the part with the least false-alarm probability.
        significance, false_alarm_probability: of the best part alone until `with_evidence`; the probability
            times two where two searches found it (Bonferroni over two looks at one sky).
        continuations: tests of the best part's track in other patches.
        searches: which search each part comes from.
    """

    parts: tuple[str, ...]
    patches: tuple[str, ...]
    stars: tuple[float, ...]
    best: str
    significance: float
    false_alarm_probability: float
    continuations: tuple[Continuation, ...] = ()
    searches: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        own = {name: getattr(self, name) for name in self.__dataclass_fields__}
        lists = {name: list(own[name]) for name in _LISTS}
        return {**own, **lists, "continuations": [test.to_dict() for test in self.continuations]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> JoinRecord:
        """The record that `to_dict` described.

        Raises:
            MergingError: a value is missing or unknown.
        """
        if set(values) != set(cls.__dataclass_fields__):
            raise MergingError(
                f"a joined stream has the values {sorted(cls.__dataclass_fields__)}; the log has "
                f"{sorted(values)}: it was written by another version; make the catalogue anew"
            )
        lists = {name: tuple(values[name]) for name in _LISTS}
        tests = tuple(Continuation.from_dict(test) for test in values["continuations"])
        return cls(**{**values, **lists, "continuations": tests})


@dataclass(frozen=True, eq=False)
class JoinedStream:
    """A candidate of the run: one or more protostreams that are one stream.

    Args:
        record: its parts and its evidence.
        members: the stars of all parts, each once with its highest probability, in order of source_id; where
            both searches found it in a patch, those of the likelihood search, which knows the background.
        patch_of: for each star the patch in which it has that probability.
    """

    record: JoinRecord
    members: MemberStars
    patch_of: Shaped[np.ndarray, " n"]

    @property
    def parts(self) -> tuple[str, ...]:
        """Labels of the protostreams."""
        return self.record.parts

    @property
    def searches(self) -> tuple[str, ...]:
        """Searches that found it, each once."""
        return tuple(sorted(set(self.record.searches)))

    @property
    def significance(self) -> float:
        """Sigma, over independent stars."""
        return self.record.significance

    @property
    def false_alarm_probability(self) -> float:
        """Of the best part and its continuations together."""
        return self.record.false_alarm_probability

    def with_evidence(self, continuations: Sequence[Continuation]) -> JoinedStream:
        """The same stream with the evidence of stars that its best part has not seen."""
        best = self.record
        significance, probability = combined(best.significance, best.false_alarm_probability, continuations)
        record = replace(
            best, significance=significance, false_alarm_probability=probability,
            continuations=tuple(continuations),
        )  # fmt: skip
        return replace(self, record=record)


def join_streams(
    found: Sequence[FoundStream], recipe: JoinRecipe | None = None
) -> tuple[list[JoinedStream], list[MergeDecision]]:
    """Join the candidates of all patches that are one stream; least probable false alarm first.

    Pairs of different patches, or of different searches of one patch, within reach of each other are compared
    (`compare`), and the streams are the connected components of the pairs that agree. One thing is not
    allowed: that a chain of agreements makes one stream of two candidates that their own patch tells apart;
    the weakest link, the one with the smallest share of common stars, is then refused, and says so. The order
    of `found` and of the members does not matter.

    Raises:
        MergingError: a label comes twice.
    """
    recipe = JoinRecipe() if recipe is None else recipe
    ordered = [_in_order(stream) for stream in sorted(found, key=lambda stream: stream.label)]
    labels = [stream.label for stream in ordered]
    twice = sorted({label for label in labels if labels.count(label) > 1})
    if twice:
        raise MergingError(f"every candidate needs a label of its own; {twice} come more than once")
    by_label = dict(zip(labels, ordered, strict=True))
    decisions = [_decision(one, two, recipe) for one, two in _in_reach(ordered, recipe)]
    group, decisions = _components(by_label, decisions, recipe)
    groups: dict[str, list[FoundStream]] = defaultdict(list)
    for label in labels:
        groups[group[label]].append(by_label[label])
    streams = [_joined(parts) for parts in groups.values()]
    return sorted(streams, key=_rank), decisions


def _rank(stream: JoinedStream) -> tuple[float, float, str]:
    return stream.false_alarm_probability, -stream.significance, stream.record.best


def _in_reach(found: list[FoundStream], recipe: JoinRecipe) -> list[tuple[FoundStream, FoundStream]]:
    """Pairs of different patches or searches near enough to be one stream: first patches, then stars."""
    found = [stream for stream in found if stream.members.stars >= recipe.min_stars]
    if len(found) < 2:
        return []
    patches = [stream.geometry for stream in found]
    radius = np.array([patch.radius_deg for patch in patches])
    near = _near(unit_vectors(*np.array([patch.centre for patch in patches]).T), radius, recipe.max_gap)
    reach = np.array([stream.sky.reach_deg for stream in found])
    near &= _near(np.stack([stream.sky.centre for stream in found]), reach, recipe.max_gap)
    # No patch's name has a blank.
    names = np.array([f"{stream.geometry.name} {stream.search}" for stream in found])
    one, two = np.nonzero(np.triu(near & (names[:, None] != names), 1))
    return [(found[i], found[j]) for i, j in zip(one.tolist(), two.tolist(), strict=True)]


def _near(centres: np.ndarray, radius: np.ndarray, gap: float) -> np.ndarray:
    apart = np.degrees(np.arccos(np.clip(centres @ centres.T, -1.0, 1.0)))
    return apart <= radius[:, None] + radius + gap


def _decision(one: FoundStream, two: FoundStream, recipe: JoinRecipe) -> MergeDecision:
    # Candidates of one search of one patch share no star by construction.
    same = (one.geometry.name, one.search) == (two.geometry.name, two.search)
    shared = None if same else _shared(one, two)
    return compare((one.label, two.label), one.sky, two.sky, recipe, shared)


def _shared(one: FoundStream, two: FoundStream) -> SharedStars:
    ids = one.members.source_id, two.members.source_id
    _, first, second = np.intersect1d(*ids, return_indices=True)
    common = np.zeros(len(one.members))
    common[first] = np.minimum(one.members.probability[first], two.members.probability[second])
    seen = tuple(
        by.geometry.contains(stream.members.ra, stream.members.dec) for stream, by in ((one, two), (two, one))
    )
    return SharedStars((seen[0], seen[1]), common)


def _in_order(stream: FoundStream) -> FoundStream:
    """The same with its stars in order of source_id: sums then agree to the last digit."""
    order = np.argsort(stream.members.source_id, kind="stable")
    return replace(stream, members=stream.members.take(order))


def _components(
    found: Mapping[str, FoundStream], decisions: list[MergeDecision], recipe: JoinRecipe
) -> tuple[dict[str, str], list[MergeDecision]]:
    """Name of the component of each label, and the decisions with those that had to be refused."""
    group = {label: label for label in found}
    parts = {label: [label] for label in found}
    final = {decision.labels: decision for decision in decisions}
    for decision in sorted((d for d in decisions if d.joined), key=_weakness):
        one, two = sorted(group[label] for label in decision.labels)
        if one == two:
            continue
        conflict = _conflict(found, parts[one], parts[two], recipe)
        if conflict is not None:
            final[decision.labels] = replace(decision, joined=False, reason=conflict)
            continue
        for label in parts.pop(two):
            group[label] = one
            parts[one].append(label)
    return group, [final[decision.labels] for decision in decisions]


def _weakness(decision: MergeDecision) -> tuple[float, float, tuple[str, str]]:
    value = {criterion.name: criterion.value for criterion in decision.criteria}
    return -value.get("shared stars", 0.0), value["position"], decision.labels


def _conflict(
    found: Mapping[str, FoundStream], one: list[str], two: list[str], recipe: JoinRecipe
) -> str | None:
    """Why two groups may not be joined: a patch holds a part of each and tells them apart."""
    for first in sorted(one):
        for second in sorted(two):
            a, b = found[first], found[second]
            if a.geometry.name == b.geometry.name and not _decision(a, b, recipe).joined:
                return (
                    f"two streams: patch {a.geometry.name} tells {first} and {second} apart, "
                    "and this link would make them one"
                )
    return None


def _joined(parts: list[FoundStream]) -> JoinedStream:
    best = min(parts, key=lambda part: part.rank_key)
    fitted = [part for part in parts if not _superseded(part, parts)]
    members = MemberStars.concatenate([part.members for part in fitted])
    searches = tuple(part.search for part in parts)
    record = JoinRecord(
        tuple(part.label for part in parts), tuple(part.geometry.name for part in parts),
        tuple(part.members.stars for part in parts), best.label, best.significance,
        min(1.0, best.false_alarm_probability * len(set(searches))), searches=searches,
    )  # fmt: skip
    return JoinedStream(record, members, _patch_of(members.source_id, fitted))


def _superseded(part: FoundStream, parts: list[FoundStream]) -> bool:
    """The likelihood search has the same stream in the same patch, with members over a learned background."""
    return part.search == "anomaly" and any(
        other.search == "likelihood" and other.geometry.name == part.geometry.name for other in parts
    )


def _patch_of(ids: Int[np.ndarray, " n"], parts: list[FoundStream]) -> np.ndarray:
    """Patch of the part in which each star is most probable; the earliest part where several are equal."""
    best = np.full(len(ids), -1.0)
    patch = np.full(len(ids), "", dtype=object)
    for part in parts:
        place = np.searchsorted(ids, part.members.source_id)
        higher = part.members.probability > best[place]
        best[place[higher]] = part.members.probability[higher]
        patch[place[higher]] = part.geometry.name
    return patch.astype(str)
