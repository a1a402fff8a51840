"""A tiling as a table on disk: ECSV with units, and the recipe in its metadata."""

from __future__ import annotations

import json
import os
import uuid
from pathlib import Path

from astropy import units as u
from astropy.io.registry import IORegistryError
from astropy.table import Column, Table

from sky_patches.errors import TilingError
from sky_patches.frames import PatchFrame
from sky_patches.tiling.recipe import Tile, Tiling, TilingRecipe
from sky_patches.tiling.zones import KeptSky

__all__ = ["read_tiling", "tiling_from_table", "tiling_table", "write_tiling"]

_FORMAT = 1
_KEYS = ("radius_deg", "fiducial_deg", "centres", "kept")


def tiling_table(tiling: Tiling) -> Table:
    """One row per patch: name, ra, dec, l, b, radius, fiducial (deg), neighbours (names and blanks)."""
    tiles, recipe = tiling.tiles, tiling.recipe
    ra, dec = ([getattr(tile, axis) for tile in tiles] for axis in ("ra", "dec"))
    longitude, latitude = PatchFrame.galactic().project_positions(ra, dec)
    angles = {
        "ra": (ra, "Right ascension of the centre, ICRS"),
        "dec": (dec, "Declination of the centre, ICRS"),
        "l": (longitude % 360.0, "Galactic longitude of the centre"),
        "b": (latitude, "Galactic latitude of the centre"),
        "radius": ([recipe.radius] * len(tiles), "Radius of the patch"),
        "fiducial": ([recipe.fiducial] * len(tiles), "Radius within which candidates count"),
    }
    table = Table({"name": [tile.name for tile in tiles]})
    for name, (values, description) in angles.items():
        table[name] = Column(values, unit=u.deg, description=description, dtype=float)
    table["neighbours"] = Column(
        [" ".join(tile.neighbours) for tile in tiles], description="Overlapping patches"
    )
    table.meta["tiling"] = {
        "format": _FORMAT,
        "radius_deg": recipe.radius,
        "fiducial_deg": recipe.fiducial,
        "centres": recipe.centres,
        "kept": json.dumps(recipe.kept.to_dict()),
    }
    return table


def tiling_from_table(table: Table) -> Tiling:
    """The tiling that `tiling_table` described.

    Raises:
        TilingError: a column or the metadata is missing, or of a newer format.
    """
    meta = dict(table.meta.get("tiling") or {})
    missing = [name for name in ("name", "ra", "dec", "neighbours") if name not in table.colnames]
    missing += [f"metadata {key!r}" for key in _KEYS if key not in meta]
    if missing:
        raise TilingError(f"the table is no tiling: it lacks {', '.join(missing)}")
    if meta.get("format") != _FORMAT:
        raise TilingError(f"the tiling has format {meta.get('format')}; this version reads {_FORMAT}")
    kept = KeptSky.from_dict(json.loads(meta["kept"]))
    recipe = TilingRecipe(float(meta["radius_deg"]), float(meta["fiducial_deg"]), kept, str(meta["centres"]))
    neighbours = [() if not names else tuple(str(names).split()) for names in table["neighbours"].tolist()]
    places = zip(table["name"], table["ra"], table["dec"], neighbours, strict=True)
    tiles = [Tile(str(name), float(ra), float(dec), others) for name, ra, dec, others in places]
    return Tiling(recipe, tuple(tiles))


def write_tiling(tiling: Tiling, path: Path | str) -> None:
    """Write the table as ECSV; the file appears whole or not at all."""
    path = Path(path)
    temporary = path.with_name(f".{uuid.uuid4().hex}.ecsv")
    try:
        tiling_table(tiling).write(temporary, format="ascii.ecsv")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def read_tiling(path: Path | str) -> Tiling:
    """The tiling of an ECSV file.

    Raises:
        TilingError: the file is missing, or no tiling.
    """
    try:
        table = Table.read(path, format="ascii.ecsv")
    except (OSError, ValueError, TypeError, IORegistryError) as error:
        raise TilingError(f"cannot read the tiling {path}: {error}") from error
    return tiling_from_table(table)
