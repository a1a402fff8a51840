"""The stars of a patch as the line finder and the membership fit see them: arrays in one order."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from astropy.table import Table
from jaxtyping import Float, Int

from streams.errors import RegionError
from streams.regions import COMPONENTS

__all__ = ["MOTION_PER_PARALLAX_ERROR", "StreamStars"]

MOTION_PER_PARALLAX_ERROR = 1.4
"""Proper-motion error over parallax error, per year, of one Gaia DR2 solution: the median over real stars.

Both come from the same observations, so one tells the other where a table has dropped it. In DR2 the two
components have 1.6 and 1.2, in DR3 both are near 1.0; a fitted intrinsic spread makes up for the difference.
"""


@dataclass(frozen=True)
class StreamStars:
    """Stars of one patch, in patch coordinates, float64.

    Args:
        source_id: Gaia source identifiers.
        position: (phi1, phi2), deg.
        proper_motion: (pm_phi1_cosphi2, pm_phi2), mas/yr.
        proper_motion_error: their standard errors, mas/yr; from the parallax error where the table has none,
            0 where it has neither.
        photometry: columns such as (bp_rp, phot_g_mean_mag), mag; shape (n, 0) where there are none.
        photometry_names: their names.
    """

    source_id: Int[np.ndarray, " n"]
    position: Float[np.ndarray, "n 2"]
    proper_motion: Float[np.ndarray, "n 2"]
    proper_motion_error: Float[np.ndarray, "n 2"]
    photometry: Float[np.ndarray, "n p"]
    photometry_names: tuple[str, ...] = field(default=())

    @classmethod
    def from_table(
        cls, table: Table, photometry: tuple[str, ...] = ("bp_rp", "phot_g_mean_mag")
    ) -> StreamStars:
        """Stars of a patch table (`sky_patches.Patch.stars`); photometry it lacks is left out.

        Raises:
            RegionError: a position or proper-motion column is missing.
        """
        needed = ("source_id", "phi1", "phi2", *COMPONENTS)
        missing = [name for name in needed if name not in table.colnames]
        if missing:
            raise RegionError(
                f"the patch table lacks {missing}; it has {table.colnames}: use sky_patches.Patch.stars()"
            )
        present = tuple(
            name for name in photometry if name in table.colnames and np.isfinite(_values(table, name)).any()
        )
        return cls(
            np.asarray(table["source_id"], dtype=np.int64),
            _columns(table, ("phi1", "phi2")),
            _columns(table, COMPONENTS),
            _errors(table),
            _columns(table, present),
            present,
        )

    def __len__(self) -> int:
        return len(self.source_id)


def _columns(table: Table, names: tuple[str, ...]) -> np.ndarray:
    columns = [_values(table, name) for name in names]
    return np.column_stack(columns) if columns else np.empty((len(table), 0))


def _values(table: Table, name: str) -> np.ndarray:
    """A column as float64; a masked value is no measurement, whatever number lies beneath: NaN."""
    values = np.array(table[name], dtype=float)
    values[np.ma.getmaskarray(np.ma.asarray(table[name]))] = np.nan
    return values


def _errors(table: Table) -> np.ndarray:
    names = tuple(f"{name}_error" for name in COMPONENTS)
    if set(names) <= set(table.colnames):
        return np.nan_to_num(_columns(table, names), nan=0.0)
    if "parallax_error" in table.colnames:
        error = np.nan_to_num(_values(table, "parallax_error"), nan=0.0)
        return np.column_stack([error, error]) * MOTION_PER_PARALLAX_ERROR
    return np.zeros((len(table), 2))
