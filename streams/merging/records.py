"""What the log keeps of every merge: plain values that go to JSON and come back equal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from streams.merging.errors import MergingError

__all__ = ["Criterion", "LineFacts", "MergeDecision", "MergedRegion", "Protocluster", "ProtostreamLog"]

Box = tuple[tuple[float, float], tuple[float, float]]


@dataclass(frozen=True)
class LineFacts:
    """The line that a protocluster grew from.

    Args:
        component, box: its region of interest; box in mas/yr, (pm_phi1_cosphi2, pm_phi2).
        significance: local, sigma.
        theta, offset, width: of the strip about x sin(theta) - y cos(theta) = offset; radians, deg, deg.
        rank: stars transformed; `count` of them lie in the strip where `expected` were.
    """

    component: str
    box: Box
    significance: float
    theta: float
    offset: float
    width: float
    rank: int
    count: int
    expected: float

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> LineFacts:
        """The line that `to_dict` described."""
        return _made(cls, {**values, "box": _box(values)})

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class MergedRegion:
    """A region of interest that was compared with a fitted stream.

    Args:
        component, box: the region.
        significance: of its own best line, sigma.
        count: stars in that line.
        share: of those stars that are members of the fitted stream; above the threshold it was merged.
    """

    component: str
    box: Box
    significance: float
    count: int
    share: float

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> MergedRegion:
        """The region that `to_dict` described."""
        return _made(cls, {**values, "box": _box(values)})

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Protocluster:
    """Regions of interest that one fitted stream explains.

    Args:
        line: the most significant line among them, which the fit started from.
        merged: the regions counted to it, largest share first.
        near: regions whose line has some of the members, but too few.
    """

    line: LineFacts
    merged: tuple[MergedRegion, ...]
    near: tuple[MergedRegion, ...] = ()

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Protocluster:
        """The protocluster that `to_dict` described."""
        _require(values, ("line", "merged", "near"), cls)
        merged, near = (tuple(map(MergedRegion.from_dict, values[key])) for key in ("merged", "near"))
        return cls(LineFacts.from_dict(values["line"]), merged, near)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Criterion:
    """One question that two streams were asked.

    Args:
        name: what was compared.
        value: what came out (a difference, a gap, a share).
        threshold: the largest value that passes; for the share, the smallest.
        passed: the verdict.
        unit: of value and threshold; empty for a share.
    """

    name: str
    value: float
    threshold: float
    passed: bool
    unit: str

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Criterion:
        """The criterion that `to_dict` described."""
        return _made(cls, values)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class MergeDecision:
    """Why two streams are one, or are not.

    Args:
        labels: of the two, in order.
        criteria: all that was compared.
        joined: the decision.
        reason: in one sentence.
    """

    labels: tuple[str, str]
    criteria: tuple[Criterion, ...]
    joined: bool
    reason: str

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> MergeDecision:
        """The decision that `to_dict` described."""
        _require(values, ("labels", "criteria", "joined", "reason"), cls)
        one, two = values["labels"]
        criteria = tuple(Criterion.from_dict(criterion) for criterion in values["criteria"])
        return cls((str(one), str(two)), criteria, bool(values["joined"]), str(values["reason"]))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class ProtostreamLog:
    """How a candidate of one patch came about.

    Args:
        protoclusters: the one it is, or those that were joined, most significant first.
        decisions: comparisons with the other protoclusters of the patch; labels are their numbers in order
            of discovery.
    """

    protoclusters: tuple[Protocluster, ...] = ()
    decisions: tuple[MergeDecision, ...] = ()

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ProtostreamLog:
        """The log that `to_dict` described.

        Raises:
            MergingError: a value is missing or unknown.
        """
        _require(values, ("protoclusters", "decisions"), cls)
        return cls(
            tuple(Protocluster.from_dict(part) for part in values["protoclusters"]),
            tuple(MergeDecision.from_dict(decision) for decision in values["decisions"]),
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def _box(values: Mapping[str, Any]) -> Box:
    if "box" not in values:
        raise MergingError(f"a region's log has no box, only {sorted(values)}: make the catalogue anew")
    (low1, high1), (low2, high2) = values["box"]
    return (low1, high1), (low2, high2)


def _made(kind: type[Any], values: Mapping[str, Any]) -> Any:
    _require(values, tuple(kind.__dataclass_fields__), kind)
    return kind(**values)


def _require(values: Mapping[str, Any], names: tuple[str, ...], kind: type[Any]) -> None:
    if set(values) != set(names):
        raise MergingError(
            f"a {kind.__name__} has the values {sorted(names)}; the log has {sorted(values)}: "
            "it was written by another version; make the catalogue anew"
        )
