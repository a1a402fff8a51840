"""Cuts made of cuts: all of them, any of them, or the opposite of one. Each is a cut like any other.

Every part judges a missing value by its own `keep_missing`. A composite of which the table lacks a column
is not applied at all, and says so.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from sky_patches.cuts.basic import Cut, judge

__all__ = ["AllOf", "AnyOf", "Not"]


@dataclass(frozen=True, init=False)
class _Composite:
    parts: tuple[Cut, ...]

    def __init__(self, *parts: Cut) -> None:
        object.__setattr__(self, "parts", parts)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of all parts, each once."""
        return tuple(dict.fromkeys(name for part in self.parts for name in part.columns))

    @property
    def keep_missing(self) -> None:
        """The parts decide."""
        return None

    def _judgements(self, values: tuple[Float[np.ndarray, " n"], ...]) -> Bool[np.ndarray, "parts n"]:
        by_name = dict(zip(self.columns, values, strict=True))
        return np.array([judge(part, *(by_name[name] for name in part.columns)) for part in self.parts])


class AllOf(_Composite):
    """Stars that pass every one of the cuts, counted as one cut: AllOf(first, second, ...)."""

    @property
    def name(self) -> str:
        """What a reader of the log sees."""
        return " and ".join(f"({part.name})" for part in self.parts)

    def passes(self, *values: Float[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
        """True where all parts keep the star."""
        return np.all(self._judgements(values), axis=0)


class AnyOf(_Composite):
    """Stars that pass at least one of the cuts: AnyOf(first, second, ...)."""

    @property
    def name(self) -> str:
        """What a reader of the log sees."""
        return " or ".join(f"({part.name})" for part in self.parts)

    def passes(self, *values: Float[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
        """True where one part or more keeps the star."""
        return np.any(self._judgements(values), axis=0)


@dataclass(frozen=True)
class Not:
    """Stars that fail a cut.

    A star with a missing value is removed; with `keep_missing` it is kept; with `keep_missing=None` exactly
    those stars are kept that the cut itself removes.
    """

    part: Cut
    keep_missing: bool | None = False

    @property
    def name(self) -> str:
        """What a reader of the log sees."""
        return f"not ({self.part.name})"

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the part."""
        return self.part.columns

    def passes(self, *values: Float[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
        """True where the part removes the star."""
        return ~judge(self.part, *values)
