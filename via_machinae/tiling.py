"""Which patches of a tiling a store can be searched in, and the masks that a configuration asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from astropy.coordinates import offset_by, position_angle
from jaxtyping import Float

from sky_patches import CatalogStore, Circle, PatchGeometry
from sky_patches.footprints.shapes import angular_distance
from sky_patches.healpix import pixel_radius, radec_to_pixel
from sky_patches.masks import MaskSet
from sky_patches.masks.known_objects import read_known_objects
from sky_patches.tiling import Tiling, TilingRecipe, covered_moc, write_moc, write_tiling
from sky_patches.tiling.dust import DustZone
from sky_patches.tiling.zones import MAGELLANIC_CLOUDS, KeptSky, Zone
from via_machinae.config import Config, MasksConfig, TilingConfig
from via_machinae.errors import RunError

__all__ = ["filled_radius", "masks_of", "occupied", "tiling_of", "write_patches"]

# On average so many stars are wanted in a pixel; one with a fraction of the median is a hole.
_STARS_PER_PIXEL = 40
_LEAST_OF_MEDIAN = 0.1
_FEWEST_PIXELS = 64
_FINEST_ORDER = 8
# The farthest star of a sector lies this rarely as near to the centre as it does where the sector is full.
_STARS_PER_SECTOR = 60
_RARELY = 1e-4


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


def occupied(store: CatalogStore, config: TilingConfig) -> list[PatchGeometry]:
    """The patches of a tiling that the store fills, each as wide as it is filled.

    A patch that reaches beyond the stars has an edge that no footprint describes, and edges make false lines;
    so at the border of what a store holds a patch shrinks to the circle around its centre that is filled.

    Raises:
        RunError: there is none; the message names the fullest patches.
        SkyPatchesError: the tiling cannot be made.
    """
    tiling = tiling_of(config)
    radii = [_filled_radius(store, tiling, geometry) for geometry in tiling.geometries]
    least = config.min_fill * config.fiducial
    found = [
        replace(geometry, footprint=Circle(radius), fiducial_deg=min(radius, config.fiducial))
        for geometry, radius in zip(tiling.geometries, radii, strict=True)
        if radius > 0.0 and radius >= least
    ]
    if not found:
        best = np.argsort(radii)[::-1][:3]
        named = ", ".join(f"{tiling.tiles[index].name} ({radii[index]:.1f} deg)" for index in best)
        raise RunError(
            f"the stars of {store.path} fill no patch of the tiling to {least:.1f} deg around its centre "
            f"({config.min_fill:.0%} of the fiducial radius); fullest: {named}. Add stars, lower "
            "tiling.min_fill, or describe the region with [[patches]]"
        )
    return found


def _filled_radius(store: CatalogStore, tiling: Tiling, geometry: PatchGeometry) -> float:
    (ra, dec), radius = geometry.centre, tiling.recipe.radius
    if not any(_touches(part.order, part.pixel, ra, dec, radius) for part in store.partitions):
        return 0.0
    stars = store.cone(ra, dec, radius, columns=["ra", "dec"])
    return filled_radius(
        np.asarray(stars["ra"]), np.asarray(stars["dec"]), (ra, dec), radius, tiling.recipe.kept.zones
    )


def _touches(order: int, pixel: int, ra: float, dec: float, radius: float) -> bool:
    import healpy as hp  # late: it loads matplotlib.pyplot

    lon, lat = hp.pix2ang(1 << order, pixel, nest=True, lonlat=True)
    return bool(angular_distance(ra, dec, lon, lat) <= radius + pixel_radius(order))


def filled_radius(
    ra: Float[np.ndarray, " n"],
    dec: Float[np.ndarray, " n"],
    centre: tuple[float, float],
    radius: float,
    zones: Sequence[Zone] = (),
) -> float:
    """Radius of the largest circle around a patch's centre that is full of stars, at most the patch's own.

    Two looks: the farthest star of every sector tells an edge, whatever the gradient of the density; and a
    HEALPix pixel with hardly a star is a hole, before which the circle ends. Excluded zones do not count:
    they are holes of the footprint.

    Args:
        ra, dec: stars in the patch, deg.
        centre: (ra, dec) of the patch, deg.
        radius: of the patch, deg.
        zones: excluded circles.
    """
    if not len(ra):
        return 0.0
    return min(_edge(ra, dec, centre, radius, zones), _nearest_hole(ra, dec, centre, radius, zones))


def _edge(
    ra: np.ndarray, dec: np.ndarray, centre: tuple[float, float], radius: float, zones: Sequence[Zone]
) -> float:
    """Distance of the nearest edge, deg; the radius where there is none."""
    here, there = np.radians(centre), (np.radians(ra), np.radians(dec))
    distance = angular_distance(*centre, ra, dec)
    angle = np.asarray(position_angle(*here, *there).to_value("rad"))
    sectors = int(np.clip(len(ra) / _STARS_PER_SECTOR, 8, 72))
    sector = np.minimum((angle % (2.0 * np.pi)) * sectors / (2.0 * np.pi), sectors - 1).astype(int)
    farthest = np.zeros(sectors)
    np.maximum.at(farthest, sector, distance)
    count = np.maximum(np.bincount(sector, minlength=sectors), 1)
    short = np.flatnonzero(farthest < radius * _RARELY ** (0.5 / count))
    edges = [
        farthest[k] for k in short if not _in_zones(centre, (k + 0.5) / sectors, farthest[k], radius, zones)
    ]
    return min(edges, default=radius)


def _in_zones(
    centre: tuple[float, float], turn: float, begin: float, end: float, zones: Sequence[Zone]
) -> bool:
    """Whether all of a ray from `begin` to `end` lies in excluded zones."""
    steps = np.radians(np.linspace(begin, end, 12)[1:-1])
    lon, lat = (angle.to_value("deg") for angle in offset_by(*np.radians(centre), 2.0 * np.pi * turn, steps))
    inside = np.zeros(len(steps), dtype=bool)
    for zone in zones:
        inside |= angular_distance(zone.ra, zone.dec, lon, lat) <= zone.radius
    return bool(inside.all())


def _nearest_hole(
    ra: np.ndarray, dec: np.ndarray, centre: tuple[float, float], radius: float, zones: Sequence[Zone]
) -> float:
    """Distance at which the nearest pixel without stars begins, deg; the radius where there is none."""
    import healpy as hp  # late: it loads matplotlib.pyplot

    area = 2.0 * np.pi * (1.0 - np.cos(np.radians(radius)))
    pixels = max(_FEWEST_PIXELS, len(ra) / _STARS_PER_PIXEL)
    order = int(np.clip(np.floor(np.log2(pixels * 4.0 * np.pi / area / 12.0) / 2.0), 0, _FINEST_ORDER))
    reach = pixel_radius(order)
    lon, lat = hp.pix2ang(1 << order, np.arange(12 << (2 * order)), nest=True, lonlat=True)
    distance = angular_distance(*centre, lon, lat)
    looked_at = distance <= radius - reach
    for zone in zones:
        looked_at &= angular_distance(zone.ra, zone.dec, lon, lat) > zone.radius + reach
    counts = np.bincount(radec_to_pixel(ra, dec, order), minlength=len(lon))
    filled = counts[looked_at & (counts > 0)]
    if not len(filled):
        return radius
    empty = looked_at & (counts < _LEAST_OF_MEDIAN * np.median(filled))
    return radius if not empty.any() else float(max(0.0, distance[empty].min() - reach))
