"""Lists of known globular clusters and dwarf galaxies: what a search for new streams must not find again.

Read from the Local Volume Database (Pace 2025; CC0): its CSV files on disk, or their URL through astropy's
cache; from galstreams, where it is installed; or from the package's own short list of the brightest.
"""

from __future__ import annotations

import csv
import importlib.util
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
from astropy.utils.data import download_file

from sky_patches.column_names import text_list
from sky_patches.errors import MaskError
from sky_patches.tiling.zones import from_galactic

__all__ = ["BUILTIN", "KnownObject", "read_known_objects"]

BUILTIN = "builtin"
"""Name of the package's own list: 30 globular clusters and 9 dwarf galaxies."""

_GALSTREAMS = "galstreams"
_NEEDED = ("ra", "dec", "rhalf")
_SCHEMES = ("http://", "https://", "ftp://", "file://")


@dataclass(frozen=True)
class KnownObject:
    """A globular cluster or dwarf galaxy.

    Attributes:
        name: as listed, underscores read as blanks.
        ra, dec: ICRS, deg.
        rhalf_arcmin: half-light radius; NaN where it is not known.
        kind: "globular cluster", "dwarf galaxy", or empty where the list does not say.
        source: the list.
    """

    name: str
    ra: float
    dec: float
    rhalf_arcmin: float
    kind: str
    source: str


def read_known_objects(
    catalogue: Path | str = BUILTIN, *, confirmed_only: bool = True
) -> tuple[KnownObject, ...]:
    """All objects of a list.

    Args:
        catalogue: "builtin"; "galstreams" (its lists of 2010 and 2018; no half-light radii of clusters); a
            CSV file with the columns of the Local Volume Database (at least ra, dec, rhalf and key or
            name); a directory of such files; or the URL of one, which astropy downloads once and keeps.
        confirmed_only: leave out rows whose `confirmed_real` is 0.

    Raises:
        MaskError: the list cannot be reached or read; the message says what is missing.
    """
    text = str(catalogue)
    if text == BUILTIN:
        own = files("sky_patches.masks") / "data" / "known_objects.csv"
        return tuple(_parsed(own.read_text(encoding="utf-8"), "known_objects.csv", confirmed_only))
    if text == _GALSTREAMS:
        return tuple(_of_galstreams())
    if text.startswith(_SCHEMES):
        return tuple(_parsed(_text(_downloaded(text)), Path(text).name, confirmed_only))
    return _of_files(Path(text), confirmed_only)


def _of_files(path: Path, confirmed_only: bool) -> tuple[KnownObject, ...]:
    if not path.is_dir():
        return tuple(_parsed(_text(path), path.name, confirmed_only))
    lists = sorted(path.glob("*.csv"))
    if not lists:
        raise MaskError(
            f"the directory {path} holds no CSV file; expected those of the Local Volume Database"
        )
    return tuple(found for file in lists for found in _parsed(_text(file), file.name, confirmed_only))


def _downloaded(url: str) -> Path:
    try:
        return Path(download_file(url, cache=True, show_progress=False))
    except (OSError, ValueError) as error:
        raise MaskError(
            f"cannot download the list of known objects {url}: {error}. Give a file, or 'builtin'"
        ) from error


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise MaskError(
            f"cannot read the list of known objects {path}: {error}. Give a CSV file, a directory, a URL, "
            "'builtin' or 'galstreams'"
        ) from error


def _parsed(text: str, source: str, confirmed_only: bool) -> Iterator[KnownObject]:
    # The csv module and not a table reader: some of the database's files repeat column names.
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    reader = csv.DictReader(lines)
    columns = reader.fieldnames or []
    missing = [name for name in _NEEDED if name not in columns]
    missing += [] if {"key", "name"} & set(columns) else ["key or name"]
    if missing:
        raise MaskError(f"{source} is no list of known objects: no column {missing}; {text_list(columns)}")
    for number, row in enumerate(reader, start=1):
        if confirmed_only and (row.get("confirmed_real") or "1").strip() == "0":
            continue
        yield _object(row, source, number)


def _object(row: dict[str, str], source: str, number: int) -> KnownObject:
    name = (row.get("name") or row.get("key") or "").strip().replace("_", " ")
    try:
        ra, dec = float(row["ra"]), float(row["dec"])
        rhalf = float(row["rhalf"]) if (row["rhalf"] or "").strip() else math.nan
    except (TypeError, ValueError) as error:
        raise MaskError(f"{source}, row {number} ({name or 'no name'}): not a number: {error}") from error
    if not (math.isfinite(ra) and abs(dec) <= 90.0) or rhalf < 0.0:
        raise MaskError(
            f"{source}, row {number} ({name or 'no name'}): impossible values ra={ra}, dec={dec}, "
            f"rhalf={rhalf}"
        )
    return KnownObject(name, ra % 360.0, dec, rhalf, (row.get("kind") or _kind(source)).strip(), source)


def _kind(source: str) -> str:
    """The database keeps clusters in files called gc_*, galaxies in dwarf_*."""
    stem = source.lower()
    if stem.startswith("gc"):
        return "globular cluster"
    return "dwarf galaxy" if stem.startswith("dwarf") else ""


def _of_galstreams() -> Iterator[KnownObject]:
    # Found without importing it: that would take seconds.
    spec = importlib.util.find_spec(_GALSTREAMS)
    if spec is None or not spec.submodule_search_locations:
        raise MaskError("galstreams is not installed: install it (extra 'known-streams'), or use 'builtin'")
    folder = Path(spec.submodule_search_locations[0]) / "lib"
    clusters = _text(folder / "globular_cluster_params.harris2010.tableI.csv")
    for row in _plain_rows(clusters):
        yield _galactic(row[0], row[4], row[5], "", "globular cluster", "galstreams, Harris 1996 (2010)")
    for row in _plain_rows(_text(folder / "mw_satellites_2018.csv"))[1:]:
        yield _galactic(row[1], row[2], row[3], row[6], "dwarf galaxy", "galstreams, satellites 2018")


def _plain_rows(text: str) -> list[list[str]]:
    lines: Iterable[str] = (line for line in text.splitlines() if line.strip() and not line.startswith("#"))
    return [[cell.strip() for cell in row] for row in csv.reader(lines)]


def _galactic(name: str, lon: str, lat: str, rhalf: str, kind: str, source: str) -> KnownObject:
    try:
        ra, dec = from_galactic(np.array([float(lon)]), np.array([float(lat)]))
        return KnownObject(name, float(ra[0]), float(dec[0]), float(rhalf or "nan"), kind, source)
    except ValueError as error:
        raise MaskError(f"{source}: {name}: not a number: {error}") from error
