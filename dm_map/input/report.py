"""What became of the rows of a table on the way to a star sample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from dm_map.input.galactocentric import SolarFrame
from dm_map.input.luminosity import LuminosityReport

__all__ = ["InputReport", "Sieve"]


@dataclass(frozen=True, eq=False)
class InputReport:
    """What `read_stars` found and did. `str(report)` is a summary for people.

    Attributes:
        origin: The file's path, or "the table".
        rows, kept: Counts; `rows == kept + sum(dropped.values())`.
        dropped: Rows dropped by reason; a row counts once, under the first reason that applies.
        recognised: Name in the table by the name here.
        units_assumed: Columns without a unit, taken to be in the unit of `read_stars`.
        distances: Where the distances come from, in words.
        covariance: Whether the sample carries measurement errors.
        frame: The Sun's place and motion.
        radius: Of the ball around the Sun, kpc.
        index: Row in the table of each star of the sample, shape (kept,), to join further columns.
        luminosity: What the luminosity cut did, where one was asked for.
        notes: What a user should know about these stars: biases, assumptions, absent columns.
    """

    origin: str
    rows: int
    kept: int
    dropped: Mapping[str, int]
    recognised: Mapping[str, str]
    units_assumed: tuple[str, ...]
    distances: str
    covariance: bool
    frame: SolarFrame
    radius: float
    index: Int[np.ndarray, " k"] = field(repr=False)
    luminosity: LuminosityReport | None = None
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a provenance record (without the index)."""
        return {
            "origin": self.origin,
            "rows": self.rows,
            "kept": self.kept,
            "dropped": dict(self.dropped),
            "columns": dict(self.recognised),
            "units_assumed": list(self.units_assumed),
            "distances": self.distances,
            "covariance": self.covariance,
            "sun_position_kpc": list(self.frame.position),
            "sun_velocity_km_s": list(self.frame.velocity),
            "sun_source": self.frame.source,
            "radius_kpc": self.radius,
            "luminosity": None if self.luminosity is None else str(self.luminosity),
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        renamed = [f"{label} as {name}" for name, label in self.recognised.items() if label != name]
        lines = [
            f"{self.origin}: {self.kept:,} of {self.rows:,} rows are stars within {self.radius:g} kpc of "
            "the Sun"
        ]
        lines += [f"dropped {count:,}: {reason}" for reason, count in self.dropped.items()]
        lines += [str(self.luminosity)] if self.luminosity else []
        lines += [f"distances: {self.distances}", f"Sun: {self.frame.source}"]
        lines += [f"read under another name: {', '.join(renamed)}"] if renamed else []
        if self.units_assumed:
            lines.append(
                f"without a unit in the table, the usual one assumed: {', '.join(self.units_assumed)}"
            )
        return "\n  ".join([*lines, *self.notes])


class Sieve:
    """Rows that are still in, and the first reason for which each of the others was dropped."""

    def __init__(self, rows: int) -> None:
        self._reasons: list[str] = []
        self._code = np.zeros(rows, dtype=np.int16)

    def drop(self, rows: Bool[np.ndarray, " n"], reason: str) -> None:
        """Drop rows that are still in."""
        if reason not in self._reasons:
            self._reasons.append(reason)
        self._code[rows & (self._code == 0)] = self._reasons.index(reason) + 1

    @property
    def kept(self) -> Bool[np.ndarray, " n"]:
        """Which rows are in."""
        return self._code == 0

    @property
    def dropped(self) -> dict[str, int]:
        """Counts by reason, in the order of the questions; reasons that met no row are absent."""
        counts = np.bincount(self._code, minlength=len(self._reasons) + 1)[1:]
        return {reason: int(count) for reason, count in zip(self._reasons, counts, strict=True) if count}
