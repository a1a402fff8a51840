"""Masks: circles of the sky around known objects, as cuts on stars and as holes in a patch's footprint."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from astropy import units as u
from astropy.table import Column, Table
from jaxtyping import Bool, Float

from sky_patches.errors import MaskError
from sky_patches.footprints.holes import Hole, WithHoles
from sky_patches.footprints.shapes import angular_distance
from sky_patches.frames import PatchFrame
from sky_patches.masks.known_objects import KnownObject
from sky_patches.patch import PatchGeometry
from sky_patches.tiling.zones import Zone

__all__ = ["CircleMask", "MaskSet", "merged"]


@dataclass(frozen=True)
class CircleMask:
    """A cut: stars inside a circle are removed.

    Attributes:
        name: what is masked, in the log.
        lon, lat: centre of the circle, deg.
        radius: great-circle radius, deg; the border belongs to the mask.
        columns: the columns of longitude and latitude, deg: ("ra", "dec"), or ("phi1", "phi2") of a patch.
    """

    name: str
    lon: float
    lat: float
    radius: float
    columns: tuple[str, str] = ("ra", "dec")
    keep_missing: bool = False

    def __post_init__(self) -> None:
        place = math.isfinite(self.lon) and abs(self.lat) <= 90.0
        if not (place and 0.0 < self.radius <= 90.0):
            raise MaskError(
                f"a mask needs a centre on the sky and a radius in (0, 90] deg; got {self.name!r} at "
                f"({self.lon}, {self.lat}), radius {self.radius}"
            )

    def passes(self, *values: Float[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
        """True for stars outside the circle."""
        return np.asarray(angular_distance(self.lon, self.lat, values[0], values[1]) > self.radius)


@dataclass(frozen=True)
class MaskSet:
    """Circles of the sky (ra, dec), one for each object or group of objects.

    Iterating gives the circles, each a cut of its own: `apply_cuts(stars, masks)` reports how many stars each
    one removed.
    """

    masks: tuple[CircleMask, ...] = ()

    @classmethod
    def around(
        cls,
        objects: Iterable[KnownObject],
        *,
        scale: float = 10.0,
        min_radius: float = 0.2,
        max_radius: float = 2.0,
    ) -> MaskSet:
        """Circles of `scale` half-light radii, at least `min_radius` and at most `max_radius` deg.

        Of a Plummer profile 1 / (1 + scale^2) lies outside: 1 % for 10. Objects of unknown size get
        `min_radius`.

        Raises:
            MaskError: the scale or a radius is impossible.
        """
        if not (scale > 0 and 0 < min_radius <= max_radius <= 90):
            raise MaskError(
                f"masks need scale > 0 and 0 < min_radius <= max_radius <= 90 deg; got scale={scale}, "
                f"min_radius={min_radius}, max_radius={max_radius}"
            )
        masks = []
        for known in objects:
            size = 0.0 if math.isnan(known.rhalf_arcmin) else scale * known.rhalf_arcmin / 60.0
            radius = min(max(size, min_radius), max_radius)
            masks.append(CircleMask(known.name, known.ra, known.dec, radius))
        return cls(tuple(masks))

    @classmethod
    def of_zones(cls, zones: Iterable[Zone]) -> MaskSet:
        """The excluded zones of a tiling as masks."""
        return cls(tuple(CircleMask(zone.name, zone.ra, zone.dec, zone.radius) for zone in zones))

    def __iter__(self) -> Iterator[CircleMask]:
        return iter(self.masks)

    def __len__(self) -> int:
        return len(self.masks)

    def __add__(self, other: MaskSet) -> MaskSet:
        return MaskSet((*self.masks, *other.masks))

    def near(self, ra: float, dec: float, radius: float) -> MaskSet:
        """The circles that overlap a circle of the sky; all in deg."""
        near = (angular_distance(ra, dec, mask.lon, mask.lat) < radius + mask.radius for mask in self.masks)
        return MaskSet(tuple(mask for mask, overlaps in zip(self.masks, near, strict=True) if overlaps))

    def merged(self) -> MaskSet:
        """Circles of which none overlaps another: overlapping ones become the smallest circle around both."""
        return MaskSet(merged(self.masks))

    def masked(self, ra: Float[np.ndarray, " n"], dec: Float[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
        """True for positions (deg) inside at least one circle."""
        inside = np.zeros(np.shape(ra), dtype=bool)
        for mask in self.masks:
            inside |= ~mask.passes(ra, dec)
        return inside

    @property
    def solid_angle(self) -> float:
        """Area of the sky inside the circles, deg^2; overlaps are counted once, as `merged` joins them."""
        caps = (1.0 - math.cos(math.radians(mask.radius)) for mask in merged(self.masks))
        return 2.0 * math.pi * sum(caps) * math.degrees(1.0) ** 2

    def pierce(self, geometry: PatchGeometry) -> PatchGeometry:
        """The patch without the masked circles: its footprint gets holes, where a circle reaches into it.

        Raises:
            MaskError: the patch has holes already.
            FootprintError: nothing of the patch is left.
        """
        footprint = geometry.footprint
        if isinstance(footprint, WithHoles):
            raise MaskError(f"patch {geometry.name!r} has holes already: mask the whole patch once")
        near = self.near(*geometry.centre, geometry.radius_deg).merged()
        pierced = WithHoles(footprint, tuple(_hole(mask, geometry.frame) for mask in near)).reached()
        return replace(geometry, footprint=pierced) if pierced.holes else geometry

    def to_table(self) -> Table:
        """Name, centre and radius of each circle, deg."""
        table = Table({"name": [mask.name for mask in self.masks]})
        for name, attribute in (("ra", "lon"), ("dec", "lat"), ("radius", "radius")):
            values = [getattr(mask, attribute) for mask in self.masks]
            table[name] = Column(values, unit=u.deg, dtype=float)
        return table


def merged(masks: Iterable[CircleMask]) -> tuple[CircleMask, ...]:
    """Circles that do not overlap and hold all that the given ones hold, names joined by " + ".

    Two circles that overlap are replaced by the smallest circle around both, until none overlaps another. A
    circle inside another leaves its name only.
    """
    pending, apart = list(masks), list[CircleMask]()
    while pending:
        mask = pending.pop(0)
        partner = next((other for other in apart if _overlap(mask, other)), None)
        if partner is None:
            apart.append(mask)
        else:
            apart.remove(partner)
            pending.insert(0, _enclosing(partner, mask))
    return tuple(apart)


def _overlap(first: CircleMask, second: CircleMask) -> bool:
    distance = float(angular_distance(first.lon, first.lat, second.lon, second.lat))
    return distance <= first.radius + second.radius


def _enclosing(first: CircleMask, second: CircleMask) -> CircleMask:
    """The smallest circle around two: its middle lies on the great circle through their centres."""
    large, small = (first, second) if first.radius >= second.radius else (second, first)
    name = " + ".join(dict.fromkeys([*first.name.split(" + "), *second.name.split(" + ")]))
    distance = float(angular_distance(large.lon, large.lat, small.lon, small.lat))
    if distance + small.radius <= large.radius:
        return CircleMask(name, large.lon, large.lat, large.radius, large.columns)
    radius = (distance + large.radius + small.radius) / 2.0
    # In a frame around the large circle the small one lies in some direction: step towards it.
    frame = PatchFrame.offset(large.lon, large.lat)
    phi1, phi2 = (math.radians(angle) for angle in frame.project_positions(small.lon, small.lat))
    bearing = math.atan2(math.cos(phi2) * math.sin(phi1), math.sin(phi2))
    step = math.radians(radius - large.radius)
    up = math.asin(math.sin(step) * math.cos(bearing))
    right = math.atan2(math.sin(step) * math.sin(bearing), math.cos(step))
    lon, lat = frame.unproject(math.degrees(right), math.degrees(up))
    # A rounding error must not let a star of the old border out.
    return CircleMask(name, float(lon), float(lat), radius + 1e-9, large.columns)


def _hole(mask: CircleMask, frame: PatchFrame) -> Hole:
    phi1, phi2 = frame.project_positions(mask.lon, mask.lat)
    return Hole(mask.name, float(phi1), float(phi2), mask.radius)
