"""Member stars of a candidate in ICRS, as they travel between patches, descriptions and files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import astropy.units as u
import numpy as np
from astropy.table import Table
from jaxtyping import Bool, Float, Int

from streams.errors import CatalogError

__all__ = ["MEMBER_COLUMNS", "MemberStars"]

_MOTION = u.mas / u.yr
MEMBER_COLUMNS: dict[str, tuple[u.UnitBase | None, bool]] = {
    "source_id": (None, True),
    "probability": (None, True),
    "ra": (u.deg, True),
    "dec": (u.deg, True),
    "pmra": (_MOTION, True),
    "pmdec": (_MOTION, True),
    "pmra_error": (_MOTION, False),
    "pmdec_error": (_MOTION, False),
    "pmra_pmdec_corr": (None, False),
    "parallax": (u.mas, False),
    "parallax_error": (u.mas, False),
    "phot_g_mean_mag": (u.mag, False),
    "bp_rp": (u.mag, False),
}
"""Unit of each column, and whether a table must have it; what it may lack is NaN where it does."""


@dataclass(frozen=True, eq=False)
class MemberStars:
    """Stars with their probability of belonging to one stream; ICRS, Gaia's column names and units.

    Args:
        source_id: Gaia source identifiers, each once.
        probability: of membership, 0 to 1; stars of small probability are kept, so that sums are right.
        ra, dec: deg.
        pmra, pmdec: pmra includes cos(dec); mas/yr, as observed (no correction for the Sun's motion).
        pmra_error, pmdec_error, pmra_pmdec_corr: their errors (mas/yr) and correlation.
        parallax, parallax_error: mas.
        phot_g_mean_mag, bp_rp: mag.

    Columns that a survey lacks are NaN.
    """

    source_id: Int[np.ndarray, " n"]
    probability: Float[np.ndarray, " n"]
    ra: Float[np.ndarray, " n"]
    dec: Float[np.ndarray, " n"]
    pmra: Float[np.ndarray, " n"]
    pmdec: Float[np.ndarray, " n"]
    pmra_error: Float[np.ndarray, " n"]
    pmdec_error: Float[np.ndarray, " n"]
    pmra_pmdec_corr: Float[np.ndarray, " n"]
    parallax: Float[np.ndarray, " n"]
    parallax_error: Float[np.ndarray, " n"]
    phot_g_mean_mag: Float[np.ndarray, " n"]
    bp_rp: Float[np.ndarray, " n"]

    @classmethod
    def from_table(cls, table: Table) -> MemberStars:
        """Members from a table with these column names (units are converted; plain columns have Gaia's).

        Raises:
            CatalogError: a column that every member needs is missing.
        """
        missing = [
            name for name, (_, needed) in MEMBER_COLUMNS.items() if needed and name not in table.colnames
        ]
        if missing:
            raise CatalogError(
                f"member stars need the columns {missing}; the table has {table.colnames}: "
                "make the catalogue anew from the run"
            )
        values = {name: _values(table, name, unit) for name, (unit, _) in MEMBER_COLUMNS.items()}
        return cls(**{**values, "source_id": np.asarray(table["source_id"], dtype=np.int64)})

    @classmethod
    def concatenate(cls, parts: Sequence[MemberStars]) -> MemberStars:
        """The stars of several lists, each source_id once: the entry of highest probability stays.

        Equal probabilities: the entry of the earliest part stays. Result in order of source_id.
        """
        stacked = {name: np.concatenate([getattr(part, name) for part in parts]) for name in MEMBER_COLUMNS}
        order = np.lexsort((-stacked["probability"], stacked["source_id"]))
        ids = stacked["source_id"][order]
        first = np.append(True, ids[1:] != ids[:-1]) if len(ids) else np.zeros(0, dtype=bool)
        return cls(**{name: values[order[first]] for name, values in stacked.items()})

    def to_table(self) -> Table:
        """A table with units."""
        return Table(
            {
                name: getattr(self, name) if unit is None else u.Quantity(getattr(self, name), unit)
                for name, (unit, _) in MEMBER_COLUMNS.items()
            }
        )

    def take(self, chosen: Bool[np.ndarray, " n"] | Int[np.ndarray, " m"]) -> MemberStars:
        """Some of the stars."""
        return MemberStars(**{field.name: getattr(self, field.name)[chosen] for field in fields(self)})

    @property
    def stars(self) -> float:
        """Expected number of members: the sum of the probabilities."""
        return float(self.probability.sum())

    def __len__(self) -> int:
        return len(self.source_id)


def _values(table: Table, name: str, unit: Any) -> np.ndarray:
    """A column as float64 in the given unit; what is masked or absent is NaN."""
    if name not in table.colnames:
        return np.full(len(table), np.nan)
    column = table[name]
    values = np.array(column, dtype=float)
    values[np.ma.getmaskarray(np.ma.asarray(column))] = np.nan
    if unit is not None and getattr(column, "unit", None) is not None:
        values = u.Quantity(values, column.unit).to_value(unit)
    return values
