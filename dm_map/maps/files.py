"""Maps on disk: FITS or ECSV, with units, descriptions, UCDs and provenance; read back to the last bit."""

from __future__ import annotations

import json
import os
import uuid
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from astropy import units as u
from astropy.io import fits
from astropy.io.registry import IORegistryError
from astropy.table import Column, Table

from dm_map.errors import DmMapError
from dm_map.gravity import GravityUnits, smoothing_from
from dm_map.maps.members import ONE_SIGMA
from dm_map.maps.results import AccelerationMap, DensityMap

__all__ = ["map_table", "read_map", "write_map"]

_FORMAT = 1
_KEY = "DMMAP"
_FORMATS = {".fits": "fits", ".ecsv": "ascii.ecsv"}
_UCD = {"acceleration": "phys.acceleration", "density": "phys.density"}


def map_table(found: AccelerationMap | DensityMap) -> Table:
    """One row for each position: x, y, z, value, error, low, high (68.27 per cent) and all members."""
    kind = "acceleration" if isinstance(found, AccelerationMap) else "density"
    noun = "Acceleration" if isinstance(found, AccelerationMap) else f"Mass density ({found.matter})"
    ucd, unit, table = _UCD[kind], u.Unit(found.unit), Table()
    for axis, values in zip("xyz", found.x.T, strict=True):
        _add(
            table, axis, values, u.Unit(found.units.length), f"Position along {axis}", f"pos.cartesian.{axis}"
        )
    low, high = found.interval(ONE_SIGMA)
    _add(table, "value", found.value, unit, f"{noun}: median of the members", f"{ucd};stat.median")
    _add(table, "error", found.error, unit, "Half the interval of 68.27 per cent", f"stat.error;{ucd}")
    _add(table, "low", low, unit, "Lower end of the interval of 68.27 per cent", f"{ucd};stat.min")
    _add(table, "high", high, unit, "Upper end of the interval of 68.27 per cent", f"{ucd};stat.max")
    _add(table, "members", np.moveaxis(found.members, 0, 1), unit, f"{noun} by every member", ucd)
    table.meta[_KEY] = _one_line(_description(found, kind))
    return table


def write_map(found: AccelerationMap | DensityMap, path: Path | str, *, overwrite: bool = False) -> Path:
    """Write a map; the file appears whole or not at all.

    Args:
        found: The map.
        path: Ends in .fits or .ecsv.
        overwrite: Replace a file that is there.

    Raises:
        DmMapError: the suffix is another, a file is there, or the provenance is not JSON.
    """
    path = Path(path)
    style = _style(path)
    if path.exists() and not overwrite:
        raise DmMapError(f"{path} exists; choose another name, or ask with overwrite=True")
    table = map_table(found)
    temporary = path.with_name(f".{uuid.uuid4().hex}{path.suffix}")
    try:
        table.write(temporary, format=style)
        if style == "fits":
            _annotate(temporary, table)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def read_map(path: Path | str) -> AccelerationMap | DensityMap:
    """Read a map that `write_map` wrote.

    Raises:
        DmMapError: there is no such file, it is damaged, or of a newer format.
    """
    path = Path(path)
    style = _style(path)
    options = {"mask_invalid": False} if style == "fits" else {}
    try:
        table = Table.read(path, format=style, **options)
        said = json.loads(table.meta[_KEY])
        x = np.stack([_floats(table[axis]) for axis in "xyz"], axis=-1)
        members = np.ascontiguousarray(np.moveaxis(_floats(table["members"]), 1, 0))
    except (OSError, ValueError, KeyError, TypeError, IORegistryError) as error:
        raise DmMapError(f"{path} is no readable map ({error})") from error
    if said.get("format") != _FORMAT:
        raise DmMapError(f"{path} has format {said.get('format')}; this version reads {_FORMAT}")
    units = GravityUnits(**said["units"])
    sources = tuple(name for name, count in said["sources"] for _ in range(count))
    if said["kind"] == "acceleration":
        return AccelerationMap(x, members, sources, units, said["method"], said["provenance"])
    smoothing = smoothing_from(said["smoothing"])
    return DensityMap(
        x, members, sources, said["matter"], smoothing, units, said["method"], said["provenance"]
    )


def _description(found: AccelerationMap | DensityMap, kind: str) -> dict[str, Any]:
    said = {
        "format": _FORMAT,
        "kind": kind,
        "sources": _runs(found.sources),
        "units": asdict(found.units),
        "method": found.method,
        "provenance": dict(found.provenance),
    }
    if isinstance(found, DensityMap):
        said |= {"matter": found.matter, "smoothing": found.smoothing.to_dict()}
    return said


def _runs(sources: tuple[str, ...]) -> list[tuple[str, int]]:
    """Equal neighbours once, with their number: a thousand members vary one or two things."""
    return [(name, len(list(same))) for name, same in groupby(sources)]


def _one_line(said: dict[str, Any]) -> str:
    """JSON without a blank or a quote: FITS cuts it into cards and doubles quotes at their edges."""
    try:
        text = json.dumps(said, sort_keys=True, separators=(",", ":"))
    except TypeError as error:
        raise DmMapError(
            f"the provenance must be JSON ({error}); write numbers, strings, lists and maps"
        ) from error
    return text.replace(" ", "\\u0020").replace("'", "\\u0027").replace("&", "\\u0026")


def _annotate(path: Path, table: Table) -> None:
    """Descriptions and UCDs where FITS readers other than astropy look for them."""
    with fits.open(path, mode="update") as whole:
        header = whole[1].header
        header["EXTNAME"] = _KEY
        for number, name in enumerate(table.colnames, start=1):
            header[f"TCOMM{number}"] = table[name].description
            header[f"TUCD{number}"] = table[name].meta["ucd"]


def _add(table: Table, name: str, values: np.ndarray, unit: u.UnitBase, description: str, ucd: str) -> None:
    table[name] = Column(values, unit=unit, description=description)
    table[name].meta["ucd"] = ucd


def _floats(column: Any) -> np.ndarray:
    return np.asarray(column, dtype=np.float64)


def _style(path: Path) -> str:
    try:
        return _FORMATS[path.suffix]
    except KeyError:
        raise DmMapError(f"a map is written as .fits or .ecsv; got {path.name!r}") from None
