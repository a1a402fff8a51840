"""Tilings: overlapping circular patches that leave no kept position outside all fiducial circles."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float
from scipy.spatial import KDTree

from sky_patches.errors import TilingError
from sky_patches.footprints.shapes import angular_distance
from sky_patches.frames import PatchFrame, unit_vectors
from sky_patches.patch import PatchGeometry
from sky_patches.tiling.centres import healpix_centres, ring_centres
from sky_patches.tiling.zones import MAGELLANIC_CLOUDS, KeptSky, from_galactic

__all__ = ["Tile", "Tiling", "TilingRecipe"]

Centres = Literal["rings", "healpix"]
# Probes of the kept sky stand this many to a fiducial radius.
_PROBES_PER_RADIUS = 20
_OUTSIDE_THE_DISC = KeptSky(20.0, MAGELLANIC_CLOUDS)


@dataclass(frozen=True)
class Tile:
    """One patch of a tiling.

    Attributes:
        name: from its Galactic position, such as "l083.1b+27.4".
        ra, dec: centre, ICRS, deg.
        neighbours: names of the patches whose circles overlap this one, nearest first.
    """

    name: str
    ra: float
    dec: float
    neighbours: tuple[str, ...] = ()


@dataclass(frozen=True)
class TilingRecipe:
    """What a tiling is made from.

    Attributes:
        radius: of each patch, deg.
        fiducial: radius of the circle in which candidates count, deg; these circles cover the kept sky.
        kept: the sky to cover.
        centres: "rings" of Galactic latitude (fewer patches), or "healpix" (an even grid, in Galactic
            coordinates; it does not know where the kept sky ends).
    """

    radius: float = 15.0
    fiducial: float = 10.0
    kept: KeptSky = _OUTSIDE_THE_DISC
    centres: Centres = "rings"

    def __post_init__(self) -> None:
        if not (0.0 < self.fiducial < self.radius <= 30.0):
            raise TilingError(
                f"a tiling needs 0 < fiducial < radius <= 30 deg; got fiducial={self.fiducial}, "
                f"radius={self.radius}"
            )
        if self.centres not in ("rings", "healpix"):
            raise TilingError(f"centres are 'rings' or 'healpix'; got {self.centres!r}")
        reach = _flat_reach(self.fiducial)
        if reach > self.radius:
            raise TilingError(
                f"a circle of {self.fiducial} deg on the sphere reaches {reach:.3f} deg in the flat patch, "
                f"beyond its radius of {self.radius} deg: make the radius larger"
            )

    def build(self) -> Tiling:
        """The tiling: all centres, less those whose fiducial circle holds no kept sky.

        Raises:
            TilingError: nothing of the sky is kept, or the circles are too small to lay out.
        """
        if self.centres == "rings":
            places = ring_centres(self.fiducial, self.kept.min_abs_b)
        else:
            places = healpix_centres(self.fiducial)
        ra, dec = from_galactic(places[:, 0], places[:, 1])
        useful = _holds_kept_sky(ra, dec, self.fiducial, self.kept)
        if not useful.any():
            raise TilingError(
                f"no sky is kept: |b| >= {self.kept.min_abs_b} deg lies wholly in excluded zones"
            )
        names = _names(places[useful], self.fiducial)
        beside = _neighbours(ra[useful], dec[useful], self.radius)
        tiles = [
            Tile(name, float(east), float(north), tuple(names[other] for other in others))
            for name, east, north, others in zip(names, ra[useful], dec[useful], beside, strict=True)
        ]
        return Tiling(self, tuple(tiles))


@dataclass(frozen=True)
class Tiling:
    """Patches that cover the kept sky; made by `TilingRecipe.build`, or read back from its table.

    Attributes:
        recipe: what it was made from.
        tiles: the patches, from North to South in Galactic latitude as rings or pixels run.
    """

    recipe: TilingRecipe
    tiles: tuple[Tile, ...]

    def __len__(self) -> int:
        return len(self.tiles)

    def __getitem__(self, name: str) -> Tile:
        for tile in self.tiles:
            if tile.name == name:
                return tile
        raise TilingError(
            f"the tiling has no patch {name!r}; it has {[tile.name for tile in self.tiles[:5]]}..."
        )

    @property
    def geometries(self) -> list[PatchGeometry]:
        """All patches with their fiducial circles."""
        return [self.geometry(tile) for tile in self.tiles]

    def geometry(self, tile: Tile) -> PatchGeometry:
        """One patch: a circle around its centre, with its fiducial circle."""
        recipe = self.recipe
        return PatchGeometry.circle(tile.name, tile.ra, tile.dec, recipe.radius, fiducial_deg=recipe.fiducial)

    def covers(self, ra: Float[np.ndarray, " n"], dec: Float[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
        """True where a position (ICRS, deg) lies in the fiducial circle of at least one patch."""
        distance, _ = self._tree.query(unit_vectors(ra, dec))
        return np.asarray(distance <= 2.0 * math.sin(math.radians(self.recipe.fiducial) / 2.0))

    def owner(self, ra: Float[np.ndarray, " n"], dec: Float[np.ndarray, " n"]) -> np.ndarray:
        """Index in `tiles` of the patch whose centre is nearest: which one speaks for a position."""
        _, nearest = self._tree.query(unit_vectors(ra, dec))
        return np.asarray(nearest)

    @cached_property
    def _tree(self) -> KDTree:
        ra, dec = (np.array([getattr(tile, axis) for tile in self.tiles]) for axis in ("ra", "dec"))
        return KDTree(unit_vectors(ra, dec))


def _flat_reach(radius_deg: float) -> float:
    """Largest flat distance from the origin, (phi1^2 + phi2^2)^(1/2), on a great-circle circle, deg."""
    angle = np.linspace(0.0, 360.0, 721)
    frame = PatchFrame.offset(0.0, 0.0)
    x, y = np.sin(np.radians(radius_deg)) * np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))])
    ra, dec = np.degrees(np.arctan2(x, np.cos(np.radians(radius_deg)))), np.degrees(np.arcsin(y))
    return float(np.hypot(*frame.project_positions(ra, dec)).max())


def _holds_kept_sky(
    ra: Float[np.ndarray, " t"], dec: Float[np.ndarray, " t"], fiducial: float, kept: KeptSky
) -> Bool[np.ndarray, " t"]:
    """False only for circles without kept sky: each probe speaks for all sky nearer to it than a pixel."""
    probe_ra, probe_dec, reach = _probes(kept, fiducial)
    if not len(probe_ra):
        return np.zeros(len(ra), dtype=bool)
    distance, _ = KDTree(unit_vectors(probe_ra, probe_dec)).query(unit_vectors(ra, dec))
    return np.asarray(distance <= 2.0 * math.sin(math.radians(fiducial + reach) / 2.0))


def _probes(kept: KeptSky, fiducial: float) -> tuple[np.ndarray, np.ndarray, float]:
    """Centres of the HEALPix pixels that may hold kept sky, and how far their corners lie from them (deg).

    Where there is a dust map, the pixels are its own or their children, so that each is wholly in or out of
    it.
    """
    import healpy as hp  # late: it loads matplotlib.pyplot

    order = min(10, max(4, math.ceil(math.log2(58.6 * _PROBES_PER_RADIUS / fiducial))))
    if kept.dust is not None:
        order = max(order, kept.dust.order)
    lon, lat = hp.pix2ang(1 << order, np.arange(12 * 4**order), nest=True, lonlat=True)
    reach = math.degrees(hp.max_pixrad(1 << order))
    if kept.dust is not None and kept.dust.frame == "icrs":
        ra, dec = lon, lat
    else:
        ra, dec = from_galactic(lon, lat)
    possible = kept.possible(ra, dec, reach)
    if kept.dust is not None:
        possible &= ~kept.dust.contains(ra, dec)
    return ra[possible], dec[possible], reach


def _names(places: Float[np.ndarray, "t 2"], fiducial: float) -> list[str]:
    """Names from Galactic coordinates, with as many digits as tell neighbours apart."""
    digits = max(1, math.ceil(1.0 - math.log10(fiducial)))
    longitude = np.round(places[:, 0], digits) % 360.0
    return [
        f"l{lon:0{4 + digits}.{digits}f}b{lat:+0{4 + digits}.{digits}f}"
        for lon, lat in zip(longitude, places[:, 1] + 0.0, strict=True)
    ]


def _neighbours(ra: Float[np.ndarray, " t"], dec: Float[np.ndarray, " t"], radius: float) -> list[list[int]]:
    """For each patch the others nearer than two radii, nearest first."""
    chord = 2.0 * math.sin(math.radians(min(radius, 90.0)))
    found = KDTree(unit_vectors(ra, dec)).query_ball_point(unit_vectors(ra, dec), chord)
    answer = []
    for index, near in enumerate(found):
        others = np.array([other for other in near if other != index], dtype=int)
        distance = angular_distance(ra[index], dec[index], ra[others], dec[others])
        # Distances that are equal but for rounding keep one order everywhere.
        order = np.lexsort((others, np.round(distance, 9)))
        answer.append([int(other) for other in others[order]])
    return answer
