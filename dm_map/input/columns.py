"""Columns of a star table by Gaia's names, in fixed units, missing values as NaN."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from astropy import units as u
from astropy.table import Table
from jaxtyping import Float

from dm_map.errors import SampleError

__all__ = ["CORRELATIONS", "StarColumns"]

_MAS_YR, _KM_S = u.mas / u.yr, u.km / u.s

_UNITS: dict[str, u.UnitBase] = {
    "ra": u.deg,
    "dec": u.deg,
    "distance": u.kpc,
    "parallax": u.mas,
    "pmra": _MAS_YR,
    "pmdec": _MAS_YR,
    "radial_velocity": _KM_S,
    "ra_error": u.mas,
    "dec_error": u.mas,
    "distance_error": u.kpc,
    "parallax_error": u.mas,
    "pmra_error": _MAS_YR,
    "pmdec_error": _MAS_YR,
    "radial_velocity_error": _KM_S,
}

# Spellings of VizieR's Gaia tables and of common files, lower case.
_ALIASES: dict[str, tuple[str, ...]] = {
    "ra": ("ra_icrs", "radeg", "ra_deg"),
    "dec": ("de_icrs", "dec_icrs", "dedeg", "dec_deg"),
    "distance": ("dist",),
    "parallax": ("plx",),
    "pmra": ("pm_ra", "pm_ra_cosdec", "pmra_cosdec"),
    "pmdec": ("pmde", "pm_dec"),
    "radial_velocity": ("rv", "vlos", "dr2_radial_velocity"),
    "ra_error": ("e_ra_icrs", "e_ra"),
    "dec_error": ("e_de_icrs", "e_dec_icrs", "e_dec"),
    "distance_error": ("dist_error", "e_dist", "e_distance"),
    "parallax_error": ("e_plx", "e_parallax"),
    "pmra_error": ("e_pmra",),
    "pmdec_error": ("e_pmde", "e_pmdec"),
    "radial_velocity_error": ("e_rv", "rv_error", "dr2_radial_velocity_error"),
}

_MEASURED = ("ra", "dec", "parallax", "pmra", "pmdec")

#: Gaia's correlation columns, with the places of the two in (ra, dec, parallax, pmra, pmdec).
CORRELATIONS: dict[str, tuple[int, int]] = {
    f"{_MEASURED[i]}_{_MEASURED[j]}_corr": (i, j) for i in range(5) for j in range(i + 1, 5)
}


@dataclass(frozen=True, eq=False)
class StarColumns:
    """Access to the columns of one table.

    Attributes:
        table: The table as it came; it is not changed.
        origin: Its name in messages.
        chosen: Name in the table by the name here, where the automatic recognition does not do.

    Raises:
        SampleError: `chosen` has a key that is no column here, or names one that the table lacks.
    """

    table: Table
    origin: str
    chosen: Mapping[str, str]

    def __post_init__(self) -> None:
        for name, label in self.chosen.items():
            if name not in _UNITS and name not in CORRELATIONS:
                near = difflib.get_close_matches(name, [*_UNITS, *CORRELATIONS], n=3, cutoff=0.4)
                raise SampleError(
                    f"columns={{{name!r}: ...}}: {name} is not a column that is read; near matches: {near}"
                )
            if label not in self.table.colnames:
                raise SampleError(
                    f"{self.origin}: the column {label!r}, asked for as {name}, is not there; "
                    f"{self.nearby(label)}"
                )

    def label(self, name: str) -> str | None:
        """The column's name in the table, or None: an explicit choice, else Gaia's name, else an alias."""
        if name in self.chosen:
            return self.chosen[name]
        labels = {label.strip().lower(): label for label in reversed(self.table.colnames)}
        return next((labels[known] for known in (name, *_ALIASES.get(name, ())) if known in labels), None)

    def unit_assumed(self, name: str) -> bool:
        """Whether the table has the column without a unit, so that the unit here is taken for it."""
        label = self.label(name)
        return (
            label is not None and name in _UNITS and not str(getattr(self.table[label], "unit", None) or "")
        )

    def values(self, name: str, unit: u.UnitBase | None = None) -> Float[np.ndarray, " n"]:
        """Values of a column, float64, in its name's unit (or in `unit`); NaN where missing.

        Raises:
            SampleError: the column is absent (the message has its near matches), is no column of numbers, or
                has a unit that cannot be converted.
        """
        label = self.label(name)
        if label is None:
            raise SampleError(
                f"{self.origin} has no column {name}; {self.nearby(name)}. If it is there under another "
                f"name, say columns={{{name!r}: name in the table}}, on the command line --column {name}=NAME"
            )
        column = self.table[label]
        masked = np.broadcast_to(np.asarray(getattr(column, "mask", False), dtype=bool), np.shape(column))
        try:
            plain = np.asarray(getattr(column, "unmasked", column))
            values = np.ma.getdata(plain).astype(np.float64)
        except (TypeError, ValueError) as error:
            raise SampleError(f"{self.origin}: the column {label} is not one of numbers ({error})") from error
        if values.ndim != 1:
            raise SampleError(f"{self.origin}: the column {label} has shape {values.shape}; expected (n,)")
        return np.where(masked, np.nan, self._converted(values, label, unit or _UNITS.get(name)))

    def nearby(self, name: str) -> str:
        """The names that look like `name`, and all names, for a message."""
        names = self.table.colnames
        lowered = {label.lower(): label for label in reversed(names)}
        inside = [label for low, label in lowered.items() if name.lower() in low]
        close = [lowered[key] for key in difflib.get_close_matches(name.lower(), lowered, n=3, cutoff=0.5)]
        likely = list(dict.fromkeys([*inside, *close]))[:5]
        near = f"near matches: {', '.join(likely)}; " if likely else ""
        return f"{near}the columns are {names[:40]}{' and more' if len(names) > 40 else ''}"

    def _converted(self, values: np.ndarray, label: str, unit: u.UnitBase | None) -> np.ndarray:
        given = getattr(self.table[label], "unit", None)
        if unit is None or not str(given or ""):
            return values
        try:
            return (values * u.Unit(str(given))).to_value(unit)
        except (ValueError, TypeError, u.UnitConversionError) as error:
            raise SampleError(
                f"{self.origin}: the column {label} is in {given}; expected {unit} or what can be converted "
                "to it"
            ) from error
