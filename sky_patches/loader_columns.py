"""One column of a file onto one column of the schema: units, types, missing values, exact identifiers."""

from __future__ import annotations

import re
from dataclasses import dataclass

import astropy.units as u
import numpy as np
from astropy.table import MaskedColumn

from sky_patches.errors import LoadError
from sky_patches.schema import StarColumn

__all__ = ["Converted", "convert"]

_EXACT = 2**53
_DESIGNATION = re.compile(r"\s*(?:gaia\s+e?dr\d\s+)?(\d{1,19})\s*", re.IGNORECASE)


@dataclass(frozen=True)
class Converted:
    """Values of one schema column.

    Attributes:
        values: shape (n,), of the schema's type and unit; a missing float is NaN, a missing identifier is -1.
        missing: shape (n,), where there was no value.
        conversion: "unit found -> unit of the schema" where they differ, else empty.
        unit_assumed: whether the column needs a unit and the file declares none.
    """

    values: np.ndarray
    missing: np.ndarray
    conversion: str = ""
    unit_assumed: bool = False


def convert(column: object, label: str, spec: StarColumn, origin: str) -> Converted:
    """Bring `column`, called `label` in `origin`, to the type and unit of `spec`.

    Raises:
        LoadError: values that are no numbers, a unit that cannot be converted, or inexact identifiers.
    """
    where = f"{origin}: column {label!r}" + (f" (read as {spec.name})" if label != spec.name else "")
    values, missing = _values_and_mask(column, where)
    if spec.name == "source_id":
        return _convert_identifier(values, missing, where)
    numbers = _as_floats(values, missing, where)
    unit = _declared_unit(column, where, spec)
    if unit is None or unit == (spec.unit or u.dimensionless_unscaled):
        return Converted(numbers, np.isnan(numbers), unit_assumed=unit is None and spec.unit is not None)
    try:
        numbers = unit.to(spec.unit or u.dimensionless_unscaled, numbers)
    except u.UnitConversionError as error:
        raise LoadError(
            f"{where} is in {unit}, which cannot be converted to {spec.unit or 'a pure number'}; "
            "correct the unit in the file, or map another column with columns={...}"
        ) from error
    return Converted(numbers, np.isnan(numbers), f"{unit} -> {spec.unit or 'pure number'}")


def _values_and_mask(column: object, where: str) -> tuple[np.ndarray, np.ndarray]:
    # Columns, Quantities and their masked kinds; a masked Quantity shows its mask as an attribute.
    plain = getattr(column, "unmasked", column)
    data = plain.data.data if isinstance(plain, MaskedColumn) else np.asarray(getattr(plain, "value", plain))
    if data.ndim != 1 or data.dtype.names is not None:
        raise LoadError(f"{where} has shape {data.shape} and type {data.dtype}; expected one number per row")
    missing = np.broadcast_to(np.asarray(getattr(column, "mask", False), dtype=bool), data.shape)
    return np.asarray(data), missing.copy()


def _as_floats(values: np.ndarray, missing: np.ndarray, where: str) -> np.ndarray:
    if values.dtype.kind not in "fiu" and not missing.all():
        sample = values[~missing][0]
        raise LoadError(f"{where} holds {values.dtype} such as {sample!r}; expected numbers")
    return np.where(missing, np.nan, 0.0 if missing.all() else values.astype(np.float64))


def _declared_unit(column: object, where: str, spec: StarColumn) -> u.UnitBase | None:
    """The unit that the file declares, or None; spellings of VizieR and the Gaia archive are understood."""
    declared = getattr(column, "unit", None)
    text = "" if declared is None else str(declared).strip()
    if text in ("", "-", "--", "---", "None"):
        return None if spec.unit is not None else u.dimensionless_unscaled
    if isinstance(declared, u.UnitBase) and not isinstance(declared, u.UnrecognizedUnit):
        return declared
    # "Angle[deg]", "Time[Julian Years]" are the Gaia archive's way to write a quantity with its unit.
    text = re.sub(r"^\w+\[(.*)\]$", r"\1", text)
    for style in ("generic", "fits", "vounit", "cds"):
        try:
            return u.Unit(text, format=style)
        except ValueError:
            continue
    raise LoadError(f"{where} declares the unit {text!r}, which is not understood; expected {spec.unit}")


def _convert_identifier(values: np.ndarray, missing: np.ndarray, where: str) -> Converted:
    kind = values.dtype.kind
    if kind in "iu":
        too_large = (values > np.iinfo(np.int64).max) & ~missing
        ids = np.where(too_large, -1, values).astype(np.int64)
    elif kind == "f":
        return _identifier_from_floats(values, missing, where)
    elif kind in "OUS":
        ids, too_large = _identifiers_from_text(values, missing, where)
    else:
        raise LoadError(f"{where} holds {values.dtype}; expected 64-bit integers")
    if too_large.any():
        raise LoadError(
            f"{where}: {values[too_large][0]} does not fit a signed 64-bit integer, so it is no Gaia id"
        )
    # A negative number is how files without nulls write "no identifier".
    absent = missing | (ids < 0)
    return Converted(np.where(absent, -1, ids), absent)


def _identifier_from_floats(values: np.ndarray, missing: np.ndarray, where: str) -> Converted:
    absent = missing | ~np.isfinite(values)
    present = values[~absent]
    if np.any(np.abs(present) > _EXACT) or (present.size and values.dtype.itemsize < 8):
        raise LoadError(
            f"{where} arrives as {values.dtype}, which cannot hold integers above 2^53 exactly, so "
            f"identifiers such as {present[np.argmax(np.abs(present))]:.0f} are not exact; save it as int64"
        )
    if np.any(present != np.floor(present)):
        raise LoadError(
            f"{where} holds fractions such as {present[present != np.floor(present)][0]}; not identifiers"
        )
    ids = np.where(absent, -1, values).astype(np.int64)
    return Converted(np.where(ids < 0, -1, ids), absent | (ids < 0))


def _identifiers_from_text(
    values: np.ndarray, missing: np.ndarray, where: str
) -> tuple[np.ndarray, np.ndarray]:
    """Identifiers from digits or from designations such as "Gaia DR3 4295806720"."""
    ids = np.full(values.shape, -1, dtype=np.int64)
    too_large = np.zeros(values.shape, dtype=bool)
    for row in np.flatnonzero(~missing):
        text = values[row].decode(errors="replace") if isinstance(values[row], bytes) else str(values[row])
        match = _DESIGNATION.fullmatch(text)
        if match is None and text.strip() not in ("", "None", "nan"):
            raise LoadError(f"{where}: row {row} holds {text!r}; expected an integer or 'Gaia DR3 <integer>'")
        number = int(match.group(1)) if match else -1
        too_large[row] = number > np.iinfo(np.int64).max
        ids[row] = -1 if too_large[row] else number
    return ids, too_large
