"""How the background of a patch is learned: one small conditional flow, every constant a measured default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from density import Bounds, ConditionalFlow
from via_machinae.background.errors import BackgroundError

__all__ = ["BackgroundRecipe"]


@dataclass(frozen=True)
class BackgroundRecipe:
    """One conditional flow for all stars of a patch.

    The defaults were chosen by the log density of held-out stars on a mock patch of 10^5 stars: splines beat
    shifts and scales of twice the cost, and their tails do not leave a star at a density many times too low.
    Position enters through the small networks of two layers, which draw gradients across a patch and no thin
    line: what is lost of a stream's contrast is measured by `benchmarks/background_absorption.py`.

    Args:
        kind: "spline" or "maf", see `density.ConditionalFlow`.
        layers: autoregressive layers.
        hidden: units of each hidden layer.
        bins: pieces of each spline; unused by "maf".
        epochs: passes over the training stars.
        batch_size: stars per step.
        learning_rate: peak rate.
        photometry: use BP-RP and G where the stars have both; without, proper motions alone are described, at
            each star's own error.
        faintest: limit in G at which the stars end, mag; None: estimated from the faintest of them.
        most_stars: a larger patch is learned from that many of its stars, picked at random.
        folds: 1: one flow for all stars; K > 1: each star's density by a flow that has not seen it, K times
            the work (a protection against outliers that a flow remembers; whole streams it cannot leave out).

    Raises:
        BackgroundError: a number below its least value.
        TrainingError: what `density.ConditionalFlow` refuses.
    """

    kind: str = "spline"
    layers: int = 2
    hidden: int = 64
    bins: int = 8
    epochs: int = 12
    batch_size: int = 1024
    learning_rate: float = 1e-2
    photometry: bool = True
    faintest: float | None = None
    most_stars: int = 200_000
    folds: int = 1

    def __post_init__(self) -> None:
        for name, least in (("most_stars", 100), ("folds", 1)):
            if getattr(self, name) < least:
                raise BackgroundError(f"{name} must be {least} or more; got {getattr(self, name)}")
        self.flow(None, None)

    def flow(self, features: Bounds | None, context: Bounds | None) -> ConditionalFlow:
        """The flow for features and a context with these bounds."""
        return ConditionalFlow(
            kind=self.kind,
            layers=self.layers,
            hidden=self.hidden,
            bins=self.bins,
            epochs=self.epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            bounds=features,
            resonant=context,
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> BackgroundRecipe:
        """The recipe that `to_dict` described.

        Raises:
            BackgroundError: a key is unknown.
        """
        unknown = set(values) - {part.name for part in fields(cls)}
        if unknown:
            raise BackgroundError(f"unknown keys of a background recipe: {sorted(unknown)}")
        return cls(**values)
