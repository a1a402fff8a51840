"""Regions of the sky as values, and the HEALPix pixels that they touch.

A region knows how far a point is from it, or a little less. A pixel may touch it only if the pixel's centre
is nearer than the pixel's corners are, so descending from the twelve base pixels finds every pixel that
holds a point of the region. A few more may be found; none is missed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int64

from sky_patches.archive.errors import ArchiveError
from sky_patches.archive.sphere import (
    arc_distance,
    east_of,
    frame_named,
    separation,
    to_frame,
    unit_vectors,
    winds_around,
)
from sky_patches.healpix import MAX_ORDER, pixel_radius

__all__ = [
    "AbsLatitude",
    "Cone",
    "Intersection",
    "LonLatBox",
    "Pixels",
    "Polygon",
    "Region",
    "RegionError",
    "Union",
    "WholeSky",
    "pixels_near",
]

# Some frames (FK4 with its aberration, stream frames of seven digits) stretch distances by up to 1e-4.
_STRETCH = 1.001
_SLACK_DEG = 1e-7

Degrees = Float[np.ndarray, " n"]


class RegionError(ArchiveError):
    """A region of the sky that is ill-defined, empty, or written in a way that is not understood."""


@runtime_checkable
class Region(Protocol):
    """A part of the sky that a refresh fetches."""

    def pixels(self, order: int) -> Int64[np.ndarray, " m"]:
        """Sorted NESTED pixels of `order` that hold at least one point of the region; a few more may be."""


class _ByDistance(ABC):
    """The pixels of a region that knows how far it is."""

    @abstractmethod
    def distance(self, ra: Degrees, dec: Degrees) -> Degrees:
        """Distance (deg) from ICRS positions to the region, or a little less; zero inside."""

    def pixels(self, order: int) -> Int64[np.ndarray, " m"]:
        """Sorted NESTED pixels of `order` that the region touches."""
        return pixels_near(self.distance, order)


@dataclass(frozen=True)
class Cone(_ByDistance):
    """Everything within `radius` deg of a point (deg) of a frame, the edge included.

    Raises:
        RegionError: a frame that is not known, a latitude beyond 90 deg, or a radius that is not positive.
    """

    lon: float
    lat: float
    radius: float
    frame: str = "icrs"

    def __post_init__(self) -> None:
        _check_position(self.lon, self.lat, self.frame)
        if not 0.0 < self.radius <= 180.0:
            raise RegionError(f"the radius of a cone lies in (0, 180] deg, found {self.radius}")

    def distance(self, ra: Degrees, dec: Degrees) -> Degrees:
        """Distance (deg) from ICRS positions to the edge; zero inside."""
        there = unit_vectors(*to_frame(ra, dec, self.frame))
        here = unit_vectors(np.array([float(self.lon)]), np.array([float(self.lat)]))
        return np.maximum(separation(there, here) - self.radius, 0.0)


@dataclass(frozen=True)
class LonLatBox(_ByDistance):
    """Between two meridians and two parallels of a frame (deg), the edges included.

    It runs from `lon_min` eastwards to `lon_max`: (350, 10) crosses zero. Meridians 360 deg apart or more
    make a full belt.

    Raises:
        RegionError: a frame that is not known, latitudes beyond 90 deg or in the wrong order.
    """

    lon_min: float
    lon_max: float
    lat_min: float
    lat_max: float
    frame: str = "icrs"

    def __post_init__(self) -> None:
        _check_position(self.lon_min, self.lat_min, self.frame)
        _check_position(self.lon_max, self.lat_max, self.frame)
        if not self.lat_min < self.lat_max:
            raise RegionError(f"a box needs lat_min < lat_max, found {self.lat_min} and {self.lat_max}")
        if self.lon_min == self.lon_max:
            raise RegionError(f"a box needs two different meridians, found {self.lon_min} twice")

    @property
    def _width(self) -> float:
        return 360.0 if self.lon_max - self.lon_min >= 360.0 else (self.lon_max - self.lon_min) % 360.0

    def distance(self, ra: Degrees, dec: Degrees) -> Degrees:
        """Distance (deg) from ICRS positions to the box; zero inside."""
        lon, lat = to_frame(ra, dec, self.frame)
        between = east_of(lon, self.lon_min) <= self._width
        vertical = np.maximum(np.maximum(self.lat_min - lat, lat - self.lat_max), 0.0)
        # Beside the box, the nearest point lies on one of its meridians: along a parallel the distance
        # shrinks towards them.
        there = unit_vectors(lon, lat)
        beside = np.minimum(
            self._from_meridian(there, self.lon_min), self._from_meridian(there, self.lon_max)
        )
        return np.where(between, vertical, beside)

    def _from_meridian(self, there: Float[np.ndarray, "n 3"], lon: float) -> Degrees:
        # In two pieces: from pole to pole there would be no shorter arc.
        lats = np.array([self.lat_min, (self.lat_min + self.lat_max) / 2, self.lat_max])
        low, middle, high = unit_vectors(np.full(3, float(lon)), lats)
        return np.minimum(arc_distance(there, low, middle), arc_distance(there, middle, high))


@dataclass(frozen=True)
class AbsLatitude(_ByDistance):
    """|latitude| >= `above`, or |latitude| <= `below` (deg), of a frame; of the Galaxy by default.

    Raises:
        RegionError: not exactly one of the two limits, or one outside 0 to 90.
    """

    above: float | None = None
    below: float | None = None
    frame: str = "galactic"

    def __post_init__(self) -> None:
        limits = [limit for limit in (self.above, self.below) if limit is not None]
        if len(limits) != 1 or not 0.0 <= limits[0] < 90.0:
            raise RegionError(
                f"|b| takes one limit, above or below, in [0, 90) deg; found above={self.above}, "
                f"below={self.below}"
            )
        _check_position(0.0, 0.0, self.frame)

    def distance(self, ra: Degrees, dec: Degrees) -> Degrees:
        """Distance (deg) from ICRS positions to the nearest parallel; zero inside."""
        height = np.abs(to_frame(ra, dec, self.frame)[1])
        return np.maximum(self.above - height if self.above is not None else height - self.below, 0.0)


@dataclass(frozen=True)
class Polygon(_ByDistance):
    """The inside of a polygon whose sides are great circles; the last corner is joined to the first.

    Attributes:
        corners: (longitude, latitude) of each, deg, in either sense, at least three.
        frame: frame of the corners.

    Raises:
        RegionError: fewer than three corners, or a polygon that does not fit in half the sky.
    """

    corners: tuple[tuple[float, float], ...]
    frame: str = "icrs"

    def __post_init__(self) -> None:
        for lon, lat in self.corners:
            _check_position(lon, lat, self.frame)
        if len(self.corners) < 3:
            raise RegionError(f"a polygon needs three corners or more, found {len(self.corners)}")
        if not np.all(self._vectors @ self._axis > 1e-6):
            raise RegionError(
                "a polygon must fit in half of the sky around its middle; write a larger one as several "
                "that are joined"
            )

    @cached_property
    def _vectors(self) -> Float[np.ndarray, "k 3"]:
        lon, lat = np.array(self.corners, dtype=float).T
        return unit_vectors(lon, lat)

    @cached_property
    def _axis(self) -> Float[np.ndarray, " 3"]:
        middle = self._vectors.sum(axis=0)
        return middle / max(float(np.linalg.norm(middle)), 1e-300)

    def distance(self, ra: Degrees, dec: Degrees) -> Degrees:
        """Distance (deg) from ICRS positions to the nearest side; zero inside."""
        there = unit_vectors(*to_frame(ra, dec, self.frame))
        sides = zip(self._vectors, np.roll(self._vectors, -1, axis=0), strict=True)
        nearest = np.min([arc_distance(there, start, stop) for start, stop in sides], axis=0)
        inside = winds_around(there, self._vectors) & (there @ self._axis > 0.0)
        return np.where(inside, 0.0, nearest)


@dataclass(frozen=True)
class Pixels:
    """HEALPix pixels, NESTED, of one order.

    Raises:
        RegionError: no pixel, or one that does not exist at `order`.
    """

    order: int
    numbers: tuple[int, ...]

    def __post_init__(self) -> None:
        if not 0 <= self.order <= MAX_ORDER:
            raise RegionError(f"HEALPix orders are 0 to {MAX_ORDER}, found {self.order}")
        last = (12 << (2 * self.order)) - 1
        bad = [number for number in self.numbers if not 0 <= number <= last]
        if bad or not self.numbers:
            raise RegionError(f"pixels of order {self.order} are 0 to {last}, found {bad or 'none'}")

    def pixels(self, order: int) -> Int64[np.ndarray, " m"]:
        """Their descendants, or their ancestors, at `order`."""
        numbers = np.unique(np.asarray(self.numbers, dtype=np.int64))
        if order <= self.order:
            return np.unique(numbers >> (2 * (self.order - order)))
        shift = 2 * (order - self.order)
        return ((numbers << shift)[:, None] + np.arange(1 << shift)).ravel()


@dataclass(frozen=True)
class WholeSky:
    """Everything."""

    def pixels(self, order: int) -> Int64[np.ndarray, " m"]:
        """All pixels of `order`."""
        return np.arange(12 << (2 * order), dtype=np.int64)


@dataclass(frozen=True)
class Union:
    """What lies in at least one of the regions."""

    regions: tuple[Region, ...]

    def __post_init__(self) -> None:
        if not self.regions:
            raise RegionError("a union needs at least one region")

    def pixels(self, order: int) -> Int64[np.ndarray, " m"]:
        """Pixels that at least one of the regions touches."""
        return np.unique(np.concatenate([region.pixels(order) for region in self.regions]))


@dataclass(frozen=True)
class Intersection:
    """What lies in all of the regions."""

    regions: tuple[Region, ...]

    def __post_init__(self) -> None:
        if not self.regions:
            raise RegionError("an intersection needs at least one region")

    def pixels(self, order: int) -> Int64[np.ndarray, " m"]:
        """Pixels that every one of the regions touches."""
        found = self.regions[0].pixels(order)
        for region in self.regions[1:]:
            found = np.intersect1d(found, region.pixels(order))
        return found


def pixels_near(distance: Callable[[Degrees, Degrees], Degrees], order: int) -> Int64[np.ndarray, " m"]:
    """Sorted NESTED pixels of `order` that may hold a point where `distance(ra, dec)` (deg) is zero."""
    import healpy as hp  # late: it loads matplotlib.pyplot

    if not 0 <= order <= MAX_ORDER:
        raise RegionError(f"HEALPix orders are 0 to {MAX_ORDER}, found {order}")
    found = np.arange(12, dtype=np.int64)
    for level in range(order + 1):
        if level:
            found = (4 * found[:, None] + np.arange(4)).ravel()
        ra, dec = hp.pix2ang(1 << level, found, nest=True, lonlat=True)
        found = found[distance(ra, dec) <= pixel_radius(level) * _STRETCH + _SLACK_DEG]
    return found


def _check_position(lon: float, lat: float, frame: str) -> None:
    frame_named(frame)
    if not (np.isfinite(lon) and np.isfinite(lat) and abs(lat) <= 90.0):
        raise RegionError(f"a position needs finite angles with |latitude| <= 90 deg, found ({lon}, {lat})")
