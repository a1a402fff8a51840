"""What is known of a feature's range before any data: declared bounds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import isfinite

from density.errors import FeatureError

__all__ = ["AtLeast", "AtMost", "Bound", "Bounds", "InBall", "Interval", "Irregular", "Unbounded"]


@dataclass(frozen=True)
class Unbounded:
    """Any finite value."""


@dataclass(frozen=True)
class Irregular:
    """Any finite value, of an odd shape: peaks, gaps, a long shoulder; mapped by its own quantiles."""


@dataclass(frozen=True)
class AtLeast:
    """Values not below `low`."""

    low: float


@dataclass(frozen=True)
class AtMost:
    """Values not above `high`: a magnitude limit."""

    high: float


@dataclass(frozen=True)
class Interval:
    """Values in [low, high]."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if not (isfinite(self.low) and isfinite(self.high) and self.low < self.high):
            raise FeatureError(f"an interval needs finite low < high; got [{self.low}, {self.high}]")


@dataclass(frozen=True)
class InBall:
    """One coordinate of a point in a ball; features that name the same `ball` are its coordinates.

    Args:
        radius: Radius of the ball, the same for all its coordinates.
        centre: This coordinate of the ball's centre.
        ball: Name that joins the coordinates.
        core: Distance from the centre beyond which the map of the ball is logarithmic, for densities with
            heavy tails; None: no such distance. The same for all coordinates.
    """

    radius: float
    centre: float = 0.0
    ball: str = "ball"
    core: float | None = None

    def __post_init__(self) -> None:
        if not (isfinite(self.radius) and self.radius > 0):
            raise FeatureError(f"ball {self.ball!r} needs a positive radius; got {self.radius}")
        if self.core is not None and not (isfinite(self.core) and self.core > 0):
            raise FeatureError(f"ball {self.ball!r} needs a positive core, or none; got {self.core}")


Bound = Unbounded | Irregular | AtLeast | AtMost | Interval | InBall

_KINDS = {kind.__name__: kind for kind in (Unbounded, Irregular, AtLeast, AtMost, Interval, InBall)}


@dataclass(frozen=True)
class Bounds:
    """One declared bound for each feature, in column order, with the features' names for messages.

    Args:
        features: Bounds, one per column.
        names: Names, one per column; made up where left out.

    Raises:
        FeatureError: names and bounds differ in number, or coordinates of one ball disagree on its radius
            or core.
    """

    features: tuple[Bound, ...]
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.names:
            object.__setattr__(self, "names", tuple(f"feature {k}" for k in range(len(self.features))))
        if len(self.names) != len(self.features):
            raise FeatureError(
                f"expected one name per bound; got {len(self.names)} names, {len(self.features)} bounds"
            )
        for ball, columns in self.balls().items():
            for size in ("radius", "core"):
                sizes = {getattr(self.features[k], size) for k in columns}
                if len(sizes) > 1:
                    raise FeatureError(
                        f"coordinates of ball {ball!r} must agree on its {size}; got {sorted(sizes, key=str)}"
                    )

    @classmethod
    def unbounded(cls, width: int) -> Bounds:
        """No bound on any of `width` features."""
        return cls((Unbounded(),) * width)

    def balls(self) -> dict[str, tuple[int, ...]]:
        """Columns of each named ball."""
        found: dict[str, tuple[int, ...]] = {}
        for column, bound in enumerate(self.features):
            if isinstance(bound, InBall):
                found[bound.ball] = (*found.get(bound.ball, ()), column)
        return found

    def select(self, columns: tuple[int, ...]) -> Bounds:
        """Bounds of some of the columns, in the order given."""
        return Bounds(tuple(self.features[k] for k in columns), tuple(self.names[k] for k in columns))

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        features = [{"kind": type(bound).__name__, **asdict(bound)} for bound in self.features]
        return {"features": features, "names": list(self.names)}

    @classmethod
    def from_dict(cls, state: Mapping[str, object]) -> Bounds:
        """The bounds that `to_dict` described.

        Raises:
            FeatureError: a kind of bound is unknown.
        """
        features = []
        for values in state["features"]:
            kind = values["kind"]
            if kind not in _KINDS:
                raise FeatureError(f"expected a bound of kind {sorted(_KINDS)}; got {kind!r}")
            features.append(_KINDS[kind](**{key: value for key, value in values.items() if key != "kind"}))
        return cls(tuple(features), tuple(state["names"]))
