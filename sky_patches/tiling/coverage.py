"""Coverage of the sky as a MOC (IVOA Multi-Order Coverage map; mocpy), and as HEALPix pixels."""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from typing import Literal

import numpy as np
from astropy import units as u
from astropy.coordinates import Latitude, Longitude
from jaxtyping import Int64
from mocpy import MOC

from sky_patches.errors import TilingError
from sky_patches.healpix import cone_pixels
from sky_patches.tiling.recipe import Tiling
from sky_patches.tiling.zones import KeptSky

__all__ = ["covered_moc", "kept_moc", "read_moc", "touched_pixels", "write_moc"]


def covered_moc(tiling: Tiling, circles: Literal["fiducial", "patch"] = "fiducial", order: int = 9) -> MOC:
    """The sky inside at least one circle of the tiling.

    Args:
        circles: the fiducial circles, or the whole patches.
        order: HEALPix order of the finest cells (9: 7 arcmin); cells at an edge are counted in.
    """
    radius = tiling.recipe.fiducial if circles == "fiducial" else tiling.recipe.radius
    ra, dec = ([getattr(tile, axis) for tile in tiling.tiles] for axis in ("ra", "dec"))
    longitude, latitude = Longitude(ra, u.deg), Latitude(dec, u.deg)
    return MOC.from_cones(
        longitude, latitude, radius=radius * u.deg, max_depth=order, union_strategy="large_cones"
    )


def kept_moc(kept: KeptSky, order: int = 9) -> MOC:
    """The kept sky: the cells of an order whose centres are kept."""
    import healpy as hp  # late: it loads matplotlib.pyplot

    pixels = np.arange(12 * 4**order)
    ra, dec = hp.pix2ang(1 << order, pixels, nest=True, lonlat=True)
    inside = pixels[kept.contains(ra, dec)].astype(np.uint64)
    return MOC.from_healpix_cells(inside, np.full(inside.size, order, dtype=np.uint8), max_depth=order)


def touched_pixels(tiling: Tiling, order: int) -> Int64[np.ndarray, " m"]:
    """NESTED pixels of `order`, ascending, that some patch touches: what an archive has to be asked for."""
    touched = [cone_pixels(tile.ra, tile.dec, tiling.recipe.radius, order) for tile in tiling.tiles]
    return np.unique(np.concatenate(touched))


def write_moc(moc: MOC, path: Path | str) -> None:
    """Write a MOC as FITS; the file appears whole or not at all."""
    path = Path(path)
    temporary = path.with_name(f".{uuid.uuid4().hex}.fits")
    try:
        moc.save(temporary, format="fits")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def read_moc(path: Path | str) -> MOC:
    """The MOC of a FITS file.

    Raises:
        TilingError: the file is missing, or holds no MOC.
    """
    try:
        return MOC.load(path, format="fits")
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise TilingError(f"cannot read {path} as a MOC: {error}") from error
