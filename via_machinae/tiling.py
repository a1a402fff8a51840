"""Which patches of a tiling a store can be searched in, and the masks that a configuration asks for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from sky_patches import CatalogStore, PatchGeometry
from sky_patches.footprints.shapes import angular_distance
from sky_patches.healpix import pixel_radius, radec_to_pixel
from sky_patches.masks import MaskSet
from sky_patches.masks.known_objects import read_known_objects
from sky_patches.tiling import Tiling, TilingRecipe, covered_moc, write_moc, write_tiling
from sky_patches.tiling.dust import DustZone
from sky_patches.tiling.zones import MAGELLANIC_CLOUDS, KeptSky, Zone
from via_machinae.config import Config, MasksConfig, TilingConfig
from via_machinae.errors import RunError

__all__ = ["Occupied", "filled_share", "masks_of", "occupied", "tiling_of", "write_patches"]

# A pixel without a star is a hole in the data only where many stars are expected, also on the thin side of a
# gradient towards the Galactic pole.
_STARS_PER_PIXEL = 40
_FEWEST_PIXELS = 16
_FINEST_ORDER = 6


@dataclass(frozen=True)
class Occupied:
    """A patch of a tiling that holds stars of the store.

    Args:
        geometry: the patch, not masked.
        filled: share of the kept sky in its fiducial circle where the store has stars.
    """

    geometry: PatchGeometry
    filled: float


def tiling_of(config: TilingConfig) -> Tiling:
    """The tiling that a configuration describes.

    Raises:
        SkyPatchesError: the dust map cannot be read, or no sky is kept.
    """
    dust = None
    if config.dust is not None:
        dust = DustZone.read(config.dust, limit=config.dust_limit)
    kept = KeptSky(config.min_abs_b, _zones(config), dust)
    return TilingRecipe(config.radius, config.fiducial, kept, config.centres).build()


def _zones(config: TilingConfig) -> tuple[Zone, ...]:
    if config.exclude is None:
        return MAGELLANIC_CLOUDS
    return tuple(Zone(zone.name, zone.ra, zone.dec, zone.radius, "configuration") for zone in config.exclude)


def masks_of(config: Config) -> MaskSet:
    """The circles to leave out of every patch: known objects, and the excluded zones of a tiling.

    Known objects are masked where the configuration has a `masks` or a `tiling` section.

    Raises:
        SkyPatchesError: the list of objects cannot be read.
    """
    settings = config.masks
    if settings is None and config.tiling is not None:
        settings = MasksConfig()
    masks = MaskSet()
    if config.tiling is not None:
        masks = masks + MaskSet.of_zones(_zones(config.tiling))
    if settings is not None and settings.catalogue != "none":
        known = read_known_objects(settings.catalogue)
        masks = masks + MaskSet.around(
            known, scale=settings.scale, min_radius=settings.min_radius, max_radius=settings.max_radius
        )
    return masks


def write_patches(config: Config, out: Path, moc: Path | None = None) -> str:
    """Write the tiling as a table, and the sky in its fiducial circles as a MOC.

    Args:
        config: with a `tiling` section, or its defaults without one.
        out: ECSV file of the patches.
        moc: FITS file of the covered sky; none where it is None.

    Returns:
        A sentence: how many patches of which size, and what they cover.

    Raises:
        RunError: a file cannot be written.
        SkyPatchesError: the tiling cannot be made.
    """
    tiling = tiling_of(config.tiling or TilingConfig())
    covered = covered_moc(tiling, "fiducial")
    try:
        write_tiling(tiling, out)
        if moc is not None:
            write_moc(covered, moc)
    except OSError as error:
        raise RunError(
            f"the tiling cannot be written ({error}); choose another file or free space"
        ) from error
    return (
        f"{len(tiling)} patches of {tiling.recipe.radius:g} deg in {out}; their fiducial circles of "
        f"{tiling.recipe.fiducial:g} deg cover {covered.sky_fraction:.1%} of the sky"
    )


def occupied(store: CatalogStore, config: TilingConfig) -> list[Occupied]:
    """The patches of which the store fills enough.

    A patch that is half empty has an edge that no footprint describes, and edges make false lines.

    Raises:
        RunError: there is none; the message names the fullest patches.
        SkyPatchesError: the tiling cannot be made.
    """
    tiling = tiling_of(config)
    shares = [_share(store, tiling, geometry) for geometry in tiling.geometries]
    found = [
        Occupied(geometry, share)
        for geometry, share in zip(tiling.geometries, shares, strict=True)
        if share > 0.0 and share >= config.min_fill
    ]
    if not found:
        best = np.argsort(shares)[::-1][:3]
        named = ", ".join(f"{tiling.tiles[index].name} ({shares[index]:.0%})" for index in best)
        raise RunError(
            f"the stars of {store.path} fill no patch of the tiling to {config.min_fill:.0%} of its fiducial "
            f"circle; fullest: {named}. Add stars, lower tiling.min_fill, or describe the region with "
            "[[patches]]"
        )
    return found


def _share(store: CatalogStore, tiling: Tiling, geometry: PatchGeometry) -> float:
    ra, dec = geometry.centre
    if not any(
        _touches(part.order, part.pixel, ra, dec, tiling.recipe.fiducial) for part in store.partitions
    ):
        return 0.0
    stars = store.cone(ra, dec, tiling.recipe.fiducial, columns=["ra", "dec"])
    return filled_share(np.asarray(stars["ra"]), np.asarray(stars["dec"]), tiling.recipe, (ra, dec))


def _touches(order: int, pixel: int, ra: float, dec: float, radius: float) -> bool:
    import healpy as hp  # late: it loads matplotlib.pyplot

    lon, lat = hp.pix2ang(1 << order, pixel, nest=True, lonlat=True)
    return bool(angular_distance(ra, dec, lon, lat) <= radius + pixel_radius(order))


def filled_share(
    ra: Float[np.ndarray, " n"],
    dec: Float[np.ndarray, " n"],
    recipe: TilingRecipe,
    centre: tuple[float, float],
) -> float:
    """Share of the kept sky in a fiducial circle where there are stars.

    The circle is divided into HEALPix pixels, as small as leaves some forty stars in each on average; counted
    are those whose centre is kept, inside the circle, and have a star.

    Args:
        ra, dec: stars in the circle, deg.
        centre: (ra, dec) of the circle, deg.
    """
    import healpy as hp  # late: it loads matplotlib.pyplot

    if not len(ra):
        return 0.0
    area = 2.0 * np.pi * (1.0 - np.cos(np.radians(recipe.fiducial)))
    pixels = max(_FEWEST_PIXELS, len(ra) / _STARS_PER_PIXEL)
    order = int(np.clip(np.floor(np.log2(pixels * 4.0 * np.pi / area / 12.0) / 2.0), 0, _FINEST_ORDER))
    lon, lat = hp.pix2ang(1 << order, np.arange(12 * 4**order), nest=True, lonlat=True)
    inside = angular_distance(*centre, lon, lat) <= recipe.fiducial
    inside &= recipe.kept.contains(lon, lat)
    if not inside.any():
        return 1.0
    held = np.isin(np.flatnonzero(inside), radec_to_pixel(ra, dec, order))
    return float(held.mean())
