"""Any file of stars onto the one schema, with a report of what was done; no row is lost in silence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from astropy.table import Column, MaskedColumn, Table

from sky_patches.column_names import nearest, text_list
from sky_patches.errors import LoadError
from sky_patches.formats import RawTable, read_file
from sky_patches.loader_columns import Converted, convert
from sky_patches.schema import REQUIRED, SCHEMA, StarTable, derive_colour, validate

__all__ = ["LoadReport", "Loaded", "read_stars"]

_RESERVED = ("reason", "_healpix_29")


@dataclass(frozen=True)
class LoadReport:
    """What `read_stars` found and did. `str(report)` is a summary for people.

    Attributes:
        origin: the file's path, or "table".
        format: "fits", "ecsv", "votable", "csv", "parquet" or "table".
        rows_read, rows_kept: counts; `rows_read == rows_kept + sum(rejected.values())`.
        rejected: rows rejected, by reason (a row is counted once, under the first reason that applies).
        recognised: name in the file, by schema name.
        derived: schema columns that were computed from others.
        extra: columns carried along because `keep` named them.
        ignored: columns of the file that were left out.
        converted: "unit found -> unit of the schema", by schema name, where the two differ.
        units_assumed: schema columns whose file declared no unit: taken to be in Gaia's.
        ra_wrapped: kept or rejected rows whose right ascension was moved into [0, 360) deg.
        notes: further remarks.
    """

    origin: str
    format: str
    rows_read: int
    rows_kept: int
    rejected: Mapping[str, int]
    recognised: Mapping[str, str]
    derived: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    converted: Mapping[str, str] = field(default_factory=dict)
    units_assumed: tuple[str, ...] = ()
    ra_wrapped: int = 0
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        renamed = [f"{found} as {name}" for name, found in self.recognised.items() if found != name]
        lines = [f"{self.origin} ({self.format}): {self.rows_kept} of {self.rows_read} rows kept"]
        lines += [f"rejected {count}: {reason}" for reason, count in self.rejected.items()]
        lines += [f"{name}: converted {change}" for name, change in self.converted.items()]
        lines += (
            [f"right ascension wrapped into [0, 360) deg: {self.ra_wrapped} rows"] if self.ra_wrapped else []
        )
        for label, names in (
            ("read under another name", renamed),
            ("no unit in the file, Gaia's assumed", self.units_assumed),
            ("derived", self.derived),
            ("carried along", self.extra),
            ("ignored", self.ignored),
        ):
            lines += [f"{label}: {', '.join(names)}"] if names else []
        return "\n  ".join([*lines, *self.notes])


@dataclass(frozen=True)
class Loaded:
    """Result of `read_stars`.

    Attributes:
        stars: a valid star table, in the order of the file.
        rejected: the other rows, same columns, with their `reason`.
        report: counts and names.
    """

    stars: StarTable
    rejected: Table
    report: LoadReport


def read_stars(
    source: Path | str | Table, *, columns: Mapping[str, str] | None = None, keep: Sequence[str] = ()
) -> Loaded:
    """Read stars from a file (FITS, ECSV, VOTable, CSV, Parquet) or a table, onto the schema.

    Columns are found by their Gaia or VizieR names, whatever the case. Declared units are converted; a column
    without a unit is taken to be in Gaia's unit. Right ascensions from -180 to 360 deg are wrapped into
    [0, 360). `bp_rp` is computed where absent. Rows are rejected, with a reason, that lack an identifier
    or a finite position or proper motion, that lie off the sky, or that repeat an earlier `source_id`.

    Args:
        source: a path, or a table (which is not changed).
        columns: name in the file by schema name, where the automatic recognition does not do.
        keep: further columns of the file to carry along unchanged.

    Raises:
        LoadError: an unreadable file, a missing required column, a unit that cannot be converted,
            identifiers that have lost digits, or a value that is no number.
    """
    raw, origin = _open(source)
    found = _recognise(raw.table, dict(columns or {}), origin)
    extra = _extra_columns(raw.table, keep, found, origin)
    converted = {
        name: convert(raw.table[found[name]], found[name], SCHEMA[name], origin)
        for name in SCHEMA
        if name in found
    }
    table = _assemble(converted)
    derived = ("bp_rp",) if derive_colour(table) else ()
    for name in extra:
        table[name] = raw.table[name]
    wrapped = _wrap_ra(table)
    reasons = _reasons(table, converted["source_id"].missing)
    stars, rejected = _split(table, reasons, converted["source_id"].missing)
    report = replace(
        _report_of_columns(raw, origin, found, extra, converted),
        rows_kept=len(stars),
        rejected=dict(Counter(reasons[reasons != ""].tolist()).most_common()),
        derived=derived,
        ra_wrapped=wrapped,
    )
    return Loaded(stars, rejected, report)


def _report_of_columns(
    raw: RawTable,
    origin: str,
    found: Mapping[str, str],
    extra: Sequence[str],
    converted: Mapping[str, Converted],
) -> LoadReport:
    """The report as far as the columns determine it."""
    used = {*found.values(), *extra}
    return LoadReport(
        origin=origin,
        format=raw.format,
        rows_read=len(raw.table),
        rows_kept=0,
        rejected={},
        recognised={name: found[name] for name in converted},
        extra=tuple(extra),
        ignored=tuple(name for name in raw.table.colnames if name not in used),
        converted={name: item.conversion for name, item in converted.items() if item.conversion},
        units_assumed=tuple(name for name, item in converted.items() if item.unit_assumed),
        notes=raw.notes,
    )


def _open(source: Path | str | Table) -> tuple[RawTable, str]:
    if isinstance(source, Table):
        if len(source) == 0:
            raise LoadError(f"the table has no rows (columns {source.colnames}); nothing to load")
        return RawTable(source, "table"), "table"
    if isinstance(source, (str, Path)):
        return read_file(Path(source)), str(source)
    raise LoadError(f"expected a path or an astropy Table, found {type(source).__name__}")


def _recognise(table: Table, chosen: dict[str, str], origin: str) -> dict[str, str]:
    """Name in the file by schema name; an explicit choice wins, then the schema's own name, then aliases."""
    unknown = [name for name in chosen if name not in SCHEMA]
    if unknown:
        raise LoadError(
            f"columns={chosen}: {unknown} are not names of the schema; write it as "
            f"{{schema name: name in the file}}. Nearest: {nearest(unknown[0], SCHEMA)}"
        )
    for name, label in chosen.items():
        if label not in table.colnames:
            raise LoadError(
                f"{origin}: columns[{name!r}] = {label!r} is not in the file, {text_list(table.colnames)}. "
                f"Nearest: {nearest(label, table.colnames)}"
            )
    found = dict(chosen)
    labels = {
        label.strip().lower(): label for label in reversed(table.colnames) if label not in chosen.values()
    }
    for name, spec in SCHEMA.items():
        match = next((labels[alias] for alias in (name, *spec.aliases) if alias in labels), None)
        if name not in found and match is not None:
            found[name] = match
    missing = [name for name in REQUIRED if name not in found]
    if missing:
        near = {name: nearest(name, table.colnames) for name in missing}
        hints = "".join(f"{name}: nearest {names}. " for name, names in near.items() if names)
        raise LoadError(
            f"{origin}: required column(s) {missing} not found, {text_list(table.colnames)}. {hints}"
            "If the file has them under other names, say columns={schema name: name in the file}, "
            "or --column NAME=NAME_IN_FILE on the command line"
        )
    return found


def _extra_columns(table: Table, keep: Sequence[str], found: Mapping[str, str], origin: str) -> list[str]:
    if isinstance(keep, str):
        raise LoadError(f"keep must be a list of names, found the string {keep!r}; write keep=[{keep!r}]")
    for name in keep:
        if name not in table.colnames:
            raise LoadError(
                f"{origin}: keep names {name!r}, which is not in the file, {text_list(table.colnames)}. "
                f"Nearest: {nearest(name, table.colnames)}"
            )
        if name in _RESERVED or (name in SCHEMA and found.get(name) != name):
            raise LoadError(f"{origin}: {name!r} is a reserved name; rename the column before it is kept")
    # A column that was recognised is there already, under the schema's name.
    return [name for name in dict.fromkeys(keep) if name not in SCHEMA]


def _assemble(converted: Mapping[str, Converted]) -> Table:
    table = Table()
    for name, item in converted.items():
        spec = SCHEMA[name]
        table[name] = Column(item.values, unit=spec.unit, description=spec.description)
    return table


def _wrap_ra(table: Table) -> int:
    """Move right ascensions from [-180, 0) and from 360 exactly into [0, 360), in place; count them."""
    ra = np.asarray(table["ra"])
    outside = ((ra >= -180.0) & (ra < 0.0)) | (ra == 360.0)
    wrapped = np.mod(ra[outside], 360.0)
    # mod of a tiny negative number rounds up to 360 itself.
    ra[outside] = np.where(wrapped >= 360.0, 0.0, wrapped)
    return int(np.count_nonzero(outside))


def _reasons(table: Table, missing_id: np.ndarray) -> np.ndarray:
    """For each row the first reason to reject it, or an empty string."""
    reasons = np.full(len(table), "", dtype=object)

    def reject(rows: np.ndarray, reason: str) -> None:
        reasons[rows & (reasons == "")] = reason

    reject(missing_id, "source_id is missing")
    for name in REQUIRED:
        if name != "source_id":
            reject(~np.isfinite(np.asarray(table[name])), f"{name} is not finite")
    ra, dec = np.asarray(table["ra"]), np.asarray(table["dec"])
    reject((ra < 0.0) | (ra >= 360.0), "ra is outside [-180, 360] deg")
    reject(np.abs(dec) > 90.0, "dec is outside [-90, 90] deg")
    good = np.flatnonzero(reasons == "")
    _, first = np.unique(np.asarray(table["source_id"])[good], return_index=True)
    repeated = np.ones(good.size, dtype=bool)
    repeated[first] = False
    reasons[good[repeated]] = "source_id repeats an earlier row"
    return reasons


def _split(table: Table, reasons: np.ndarray, missing_id: np.ndarray) -> tuple[StarTable, Table]:
    good = reasons == ""
    stars, rejected = table[good], table[~good]
    rejected["source_id"] = MaskedColumn(
        rejected["source_id"], mask=missing_id[~good], description=SCHEMA["source_id"].description
    )
    rejected["reason"] = Column(
        reasons[~good].astype(str), dtype="U40", description="Why the row was rejected"
    )
    return validate(stars), rejected
