"""Cuts on stars: named, composable, and each reports how many stars it removed and why.

A value that is missing (NaN or masked) fails a cut unless `keep_missing` is set, and is counted on its own. A
column that the table lacks, or that holds no value at all, cannot decide anything: the cut is reported as not
applied and removes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from astropy.table import MaskedColumn, Table
from jaxtyping import Bool, Float

__all__ = [
    "ColourBetween",
    "Cut",
    "CutLog",
    "CutRecord",
    "MagnitudeBetween",
    "MotionOutsideBox",
    "ParallaxBelow",
    "RuweBelow",
    "apply_cuts",
    "judge",
]


@runtime_checkable
class Cut(Protocol):
    """A condition on some columns of a star table. A new cut is a frozen dataclass with these members."""

    @property
    def name(self) -> str:
        """What a reader of the log sees."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that decide."""

    @property
    def keep_missing(self) -> bool | None:
        """Whether a star without a value in one of the columns is kept; None: `passes` decides."""

    def passes(self, *values: Float[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
        """True for the stars to keep; one array per column, missing values are NaN."""


@dataclass(frozen=True)
class ParallaxBelow:
    """Distant stars: parallax < `limit` mas. Negative parallaxes pass, as measurement errors make them."""

    limit: float = 1.0
    keep_missing: bool = False
    columns: tuple[str, ...] = ("parallax",)

    @property
    def name(self) -> str:
        """What a reader of the log sees."""
        return f"parallax < {self.limit:g} mas"

    def passes(self, *values: Float[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
        """True where the parallax is below the limit."""
        return values[0] < self.limit


@dataclass(frozen=True)
class RuweBelow:
    """Good astrometric fits: RUWE < `limit` (1.4 is the usual limit for Gaia DR3; DR2 has no such column)."""

    limit: float = 1.4
    keep_missing: bool = False
    columns: tuple[str, ...] = ("ruwe",)

    @property
    def name(self) -> str:
        """What a reader of the log sees."""
        return f"ruwe < {self.limit:g}"

    def passes(self, *values: Float[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
        """True where RUWE is below the limit."""
        return values[0] < self.limit


@dataclass(frozen=True)
class MagnitudeBetween:
    """`low` <= G < `high` (mag)."""

    low: float
    high: float
    keep_missing: bool = False
    columns: tuple[str, ...] = ("phot_g_mean_mag",)

    @property
    def name(self) -> str:
        """What a reader of the log sees."""
        return f"{self.low:g} <= {self.columns[0]} < {self.high:g}"

    def passes(self, *values: Float[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
        """True where the magnitude lies in the half-open interval."""
        return (values[0] >= self.low) & (values[0] < self.high)


@dataclass(frozen=True)
class ColourBetween:
    """`low` <= BP-RP < `high` (mag)."""

    low: float
    high: float
    keep_missing: bool = False
    columns: tuple[str, ...] = ("bp_rp",)

    @property
    def name(self) -> str:
        """What a reader of the log sees."""
        return f"{self.low:g} <= {self.columns[0]} < {self.high:g}"

    def passes(self, *values: Float[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
        """True where the colour lies in the half-open interval."""
        return (values[0] >= self.low) & (values[0] < self.high)


@dataclass(frozen=True)
class MotionOutsideBox:
    """Drop stars with both proper-motion components below `half_width` mas/yr: distant stars pile up."""

    half_width: float = 2.0
    keep_missing: bool = False
    columns: tuple[str, ...] = ("pm_phi1_cosphi2", "pm_phi2")

    @property
    def name(self) -> str:
        """What a reader of the log sees."""
        return f"not both |{self.columns[0]}| and |{self.columns[1]}| < {self.half_width:g} mas/yr"

    def passes(self, *values: Float[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
        """True where at least one component is outside the box."""
        return np.maximum(np.abs(values[0]), np.abs(values[1])) >= self.half_width


@dataclass(frozen=True)
class CutRecord:
    """What one cut did.

    Attributes:
        name: the condition.
        applied: False where the columns were absent or wholly empty; `reason` then says which.
        before: stars that entered.
        removed: stars removed, those with a missing value included.
        missing: stars with a missing value in one of the columns, kept or not.
    """

    name: str
    applied: bool
    before: int
    removed: int
    missing: int
    reason: str = ""


@dataclass(frozen=True)
class CutLog:
    """The cuts in their order, each with its counts."""

    records: tuple[CutRecord, ...]

    @property
    def removed(self) -> int:
        """Stars removed in all."""
        return sum(record.removed for record in self.records)

    @property
    def not_applied(self) -> tuple[str, ...]:
        """Names of the cuts that could not be applied."""
        return tuple(record.name for record in self.records if not record.applied)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a provenance record."""
        return {"cuts": [asdict(record) for record in self.records], "removed": self.removed}

    def __str__(self) -> str:
        return "\n".join(_line(record) for record in self.records)


def apply_cuts(stars: Table, cuts: Iterable[Cut]) -> tuple[Table, CutLog]:
    """Apply cuts one after another.

    Args:
        stars: Table of n stars; it is not changed.
        cuts: Conditions, applied in their order; the order changes the counts, never the result.

    Returns:
        The stars that passed all, in their order, and the log of what each cut removed.
    """
    kept, records = np.arange(len(stars)), []
    for cut in cuts:
        passed, record = _apply_one(stars, kept, cut)
        kept = kept[passed]
        records.append(record)
    return stars[kept], CutLog(tuple(records))


def judge(cut: Cut, *values: Float[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
    """True for the stars that a cut keeps, missing values judged as it says; one array per column."""
    passed = np.asarray(cut.passes(*values), dtype=bool)
    if cut.keep_missing is None:
        return passed
    missing = np.any([np.isnan(column) for column in values], axis=0)
    return np.where(missing, cut.keep_missing, passed)


def _apply_one(stars: Table, kept: np.ndarray, cut: Cut) -> tuple[Bool[np.ndarray, " k"], CutRecord]:
    before = len(kept)
    reason = _not_applicable(stars, cut)
    if reason:
        return np.ones(before, dtype=bool), CutRecord(cut.name, False, before, 0, 0, reason)
    values = [_values(stars, name)[kept] for name in cut.columns]
    missing = np.any([np.isnan(column) for column in values], axis=0)
    passed = judge(cut, *values)
    removed = int(before - passed.sum())
    return passed, CutRecord(cut.name, True, before, removed, int(missing.sum()))


def _not_applicable(stars: Table, cut: Cut) -> str:
    absent = [name for name in cut.columns if name not in stars.colnames]
    if absent:
        return f"the table has no column {', '.join(absent)}"
    empty = [name for name in cut.columns if len(stars) and np.isnan(_values(stars, name)).all()]
    return f"no star has a value in {', '.join(empty)}" if empty else ""


def _values(stars: Table, name: str) -> Float[np.ndarray, " n"]:
    column = stars[name].astype(np.float64)
    return np.asarray(column.filled(np.nan) if isinstance(column, MaskedColumn) else column)


def _line(record: CutRecord) -> str:
    if not record.applied:
        return f"{record.name}: not applied, {record.reason}"
    missing = f", {record.missing} without a value" if record.missing else ""
    return f"{record.name}: removed {record.removed} of {record.before} stars{missing}"
