"""The one schema of a star table: names, units and types, as in the Gaia DR3 archive.

Every table of stars in `sky_patches` is an `astropy.table.Table` whose columns carry these names and units.
A table comes from `read_stars` (any file), `star_table` (arrays in the schema's units) or `CatalogStore`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

import astropy.units as u
import numpy as np
from astropy.table import Column, MaskedColumn, Table
from numpy.typing import ArrayLike

from sky_patches.errors import SchemaError

__all__ = ["REQUIRED", "SCHEMA", "StarColumn", "StarTable", "derive_colour", "star_table", "validate"]

StarTable: TypeAlias = Table
"""An `astropy.table.Table` that passes `validate`."""

_MAS = u.mas
_MAS_YR = u.mas / u.yr
_KM_S = u.km / u.s


@dataclass(frozen=True)
class StarColumn:
    """One column of the schema.

    Attributes:
        name: name in the Gaia DR3 archive.
        unit: physical unit; None for identifiers and pure numbers.
        dtype: numpy type of the values in memory and on disk.
        required: whether a star without a finite value is rejected.
        description: one line for a reader.
        ucd: Unified Content Descriptor (IVOA UCD1+).
        aliases: other spellings found in files, lower case.
    """

    name: str
    unit: u.UnitBase | None
    dtype: np.dtype
    required: bool
    description: str
    ucd: str
    aliases: tuple[str, ...] = ()


def _col(
    name: str, unit: u.UnitBase | None, description: str, ucd: str, aliases: str, required: bool = False
) -> StarColumn:
    dtype = np.dtype(np.int64 if name == "source_id" else np.float64)
    return StarColumn(name, unit, dtype, required, description, ucd, tuple(aliases.split()))


# Aliases: VizieR's Gaia tables (I/345 DR2, I/350 EDR3, I/355 DR3), the archive's own variants, common
# hand-made files. Positions at another epoch (RAJ2000, _RA.icrs at J2000) are left out on purpose: they
# are not Gaia's ra, dec.
_COLUMNS: tuple[StarColumn, ...] = (
    _col(
        "source_id",
        None,
        "Gaia source identifier",
        "meta.id;meta.main",
        "source sourceid gaia_source_id gaia gaiadr2 gaiadr3 gaiaedr3 dr2_source_id dr3_source_id gaia_id",
        required=True,
    ),
    _col(
        "ra",
        u.deg,
        "Right ascension, ICRS, at the catalogue's epoch",
        "pos.eq.ra;meta.main",
        "ra_icrs radeg ra_deg",
        required=True,
    ),
    _col(
        "dec",
        u.deg,
        "Declination, ICRS, at the catalogue's epoch",
        "pos.eq.dec;meta.main",
        "de_icrs dec_icrs dedeg decdeg dec_deg",
        required=True,
    ),
    _col(
        "ra_error",
        _MAS,
        "Standard error of right ascension times cos(dec)",
        "stat.error;pos.eq.ra",
        "e_ra_icrs e_radeg e_ra",
    ),
    _col(
        "dec_error", _MAS, "Standard error of declination", "stat.error;pos.eq.dec", "e_de_icrs e_dedeg e_dec"
    ),
    _col("parallax", _MAS, "Parallax", "pos.parallax.trig", "plx"),
    _col(
        "parallax_error",
        _MAS,
        "Standard error of parallax",
        "stat.error;pos.parallax.trig",
        "e_plx e_parallax plx_error",
    ),
    _col(
        "pmra",
        _MAS_YR,
        "Proper motion in right ascension times cos(dec)",
        "pos.pm;pos.eq.ra",
        "pm_ra pm_ra_cosdec pmra_cosdec pmracosdec",
        required=True,
    ),
    _col(
        "pmdec",
        _MAS_YR,
        "Proper motion in declination",
        "pos.pm;pos.eq.dec",
        "pmde pm_dec pm_de",
        required=True,
    ),
    _col(
        "pmra_error", _MAS_YR, "Standard error of pmra", "stat.error;pos.pm;pos.eq.ra", "e_pmra pm_ra_error"
    ),
    _col(
        "pmdec_error",
        _MAS_YR,
        "Standard error of pmdec",
        "stat.error;pos.pm;pos.eq.dec",
        "e_pmde e_pmdec pm_dec_error",
    ),
    _col(
        "pmra_pmdec_corr",
        None,
        "Correlation of pmra and pmdec",
        "stat.correlation;pos.pm",
        "pmrapmdecor pmrapmdecorr",
    ),
    _col("phot_g_mean_mag", u.mag, "G magnitude", "phot.mag;em.opt", "gmag g_mag phot_g"),
    _col("phot_bp_mean_mag", u.mag, "BP magnitude", "phot.mag;em.opt.B", "bpmag bp_mag phot_bp"),
    _col("phot_rp_mean_mag", u.mag, "RP magnitude", "phot.mag;em.opt.R", "rpmag rp_mag phot_rp"),
    _col("bp_rp", u.mag, "Colour BP - RP", "phot.color;em.opt.B;em.opt.R", "bp-rp bprp bpmrp"),
    _col(
        "phot_bp_rp_excess_factor",
        None,
        "Flux in BP and RP over flux in G, as published (not corrected for colour)",
        "stat.param;phot.flux",
        "e_br_rp_ e(br/rp) e(bp/rp) bp_rp_excess_factor",
    ),
    _col(
        "astrometric_params_solved",
        None,
        "Which parameters were solved for: 3 position, 31 five parameters, 95 and a pseudo-colour",
        "meta.number",
        "solved",
    ),
    _col("ruwe", None, "Renormalised unit weight error of the astrometric fit", "stat.error", ""),
    _col(
        "radial_velocity",
        _KM_S,
        "Line-of-sight velocity, barycentric",
        "spect.dopplerVeloc.opt;em.opt.I",
        "rv dr2_radial_velocity",
    ),
    _col(
        "radial_velocity_error",
        _KM_S,
        "Standard error of radial_velocity",
        "stat.error;spect.dopplerVeloc.opt;em.opt.I",
        "e_rv dr2_radial_velocity_error",
    ),
)

SCHEMA: Mapping[str, StarColumn] = MappingProxyType({column.name: column for column in _COLUMNS})
"""Every known column by its name, in the order in which tables carry them."""

REQUIRED: tuple[str, ...] = tuple(column.name for column in _COLUMNS if column.required)
"""Names of the columns that every star table has."""


def star_table(
    columns: Mapping[str, ArrayLike], *, extra: Mapping[str, ArrayLike] | None = None
) -> StarTable:
    """A checked star table from plain arrays that are already in the schema's units.

    Args:
        columns: arrays of shape (n,) by schema name; `bp_rp` is derived if absent and both magnitudes are
            there.
        extra: further columns that the schema does not know, carried along unchanged.

    Raises:
        SchemaError: an unknown or missing name, unequal lengths, or values that `validate` refuses.
    """
    unknown = [name for name in columns if name not in SCHEMA]
    if unknown:
        raise SchemaError(
            f"columns {unknown} are not in the schema; pass them as `extra`. Known: {list(SCHEMA)}"
        )
    lengths = {name: np.shape(values) for name, values in {**columns, **(extra or {})}.items()}
    if len(set(lengths.values())) > 1 or any(len(shape) != 1 for shape in lengths.values()):
        raise SchemaError(f"columns must be one-dimensional and of one length, found shapes {lengths}")
    table = Table()
    for name, spec in SCHEMA.items():
        if name in columns:
            table[name] = _plain_column(spec, columns[name])
    for name, values in (extra or {}).items():
        table[name] = values
    derive_colour(table)
    return validate(table)


def derive_colour(table: Table) -> bool:
    """Add `bp_rp` in place where it is absent and both magnitudes are there; say whether it was added."""
    names = table.colnames
    if "bp_rp" in names or not {"phot_bp_mean_mag", "phot_rp_mean_mag"} <= set(names):
        return False
    colour = np.asarray(table["phot_bp_mean_mag"]) - np.asarray(table["phot_rp_mean_mag"])
    table.add_column(_plain_column(SCHEMA["bp_rp"], colour), index=names.index("phot_rp_mean_mag") + 1)
    return True


def validate(table: object) -> StarTable:
    """Check that `table` is a star table, and return it unchanged.

    Required columns are there; every column of the schema is one-dimensional, of the schema's type and
    unit, and not masked (a missing optional value is NaN); required values are finite, 0 <= ra < 360 and
    -90 <= dec <= 90.
    Columns that the schema does not know are not looked at.

    Raises:
        SchemaError: the message lists everything that is wrong.
    """
    if not isinstance(table, Table):
        raise SchemaError(
            f"expected an astropy Table, found {type(table).__name__}; use star_table or read_stars"
        )
    problems = [f"required column {name!r} is missing" for name in REQUIRED if name not in table.colnames]
    for name in table.colnames:
        if name in SCHEMA:
            problems += _column_problems(SCHEMA[name], table[name])
    if not problems:
        problems += _value_problems(table)
    if problems:
        raise SchemaError(
            "not a star table: " + "; ".join(problems) + ". Use read_stars or star_table to make one"
        )
    return table


def _plain_column(spec: StarColumn, values: ArrayLike) -> Column:
    array = np.asarray(values)
    if not np.can_cast(array.dtype, spec.dtype, casting="same_kind"):
        raise SchemaError(f"column {spec.name!r}: expected {spec.dtype}, found values of type {array.dtype}")
    return Column(array.astype(spec.dtype), name=spec.name, unit=spec.unit, description=spec.description)


def _column_problems(spec: StarColumn, column: object) -> list[str]:
    label = f"column {spec.name!r}"
    if isinstance(column, MaskedColumn):
        return [f"{label} is masked; fill missing values with NaN"]
    if not isinstance(column, Column):
        return [f"{label} is a {type(column).__name__}; expected a plain Column (Table, not QTable)"]
    problems = []
    if column.dtype != spec.dtype:
        problems.append(f"{label}: expected type {spec.dtype}, found {column.dtype}")
    if column.ndim != 1:
        problems.append(f"{label}: expected shape (n,), found {column.shape}")
    if (column.unit or u.dimensionless_unscaled) != (spec.unit or u.dimensionless_unscaled):
        problems.append(f"{label}: expected unit {spec.unit}, found {column.unit}")
    return problems


def _value_problems(table: Table) -> list[str]:
    problems = []
    for name in REQUIRED:
        bad = int(np.count_nonzero(~np.isfinite(np.asarray(table[name]))))
        if bad:
            problems.append(f"{bad} rows have no finite {name!r}")
    ra, dec = np.asarray(table["ra"]), np.asarray(table["dec"])
    outside = np.flatnonzero((ra < 0) | (ra >= 360) | (np.abs(dec) > 90))
    if outside.size:
        row = int(outside[0])
        problems.append(
            f"{outside.size} rows have ra outside [0, 360) or dec outside [-90, 90], "
            f"the first is row {row}: ra={ra[row]}, dec={dec[row]}"
        )
    return problems
