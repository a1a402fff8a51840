"""A footprint with round holes: what a mask leaves of a circle or a box."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from sky_patches.errors import FootprintError
from sky_patches.footprints.polygon import Polygon, clipped
from sky_patches.footprints.shapes import Box, Circle, Scalars, Values, angular_distance, strip

__all__ = ["Hole", "WithHoles"]

_CORNERS = 180
# An inscribed polygon of n corners lacks area; this radius gives it the circle's.
_SWELL = math.sqrt(2 * math.pi / _CORNERS / math.sin(2 * math.pi / _CORNERS))


# Less than this share of a footprint is below the precision of its areas.
_LEAST_SHARE = 1e-4


@dataclass(frozen=True)
class Hole:
    """A circle of the sky that is left out of a footprint.

    Attributes:
        name: what was masked.
        phi1, phi2: its centre in the patch's frame, deg.
        radius: great-circle radius, deg.
    """

    name: str
    phi1: float
    phi2: float
    radius: float

    def __post_init__(self) -> None:
        place = math.isfinite(self.phi1) and abs(self.phi2) <= 90.0
        if not (place and 0.0 < self.radius <= 90.0):
            raise FootprintError(f"a hole needs a centre on the sky and a radius in (0, 90] deg; got {self}")

    def contains(self, phi1: Scalars, phi2: Scalars) -> Bool[np.ndarray, ...]:
        """True where a position (deg) is inside the hole or on its border."""
        return np.asarray(angular_distance(self.phi1, self.phi2, phi1, phi2) <= self.radius)

    def outline(self) -> Polygon:
        """The hole in the flat (phi1, phi2) plane, of the same area to a part in a thousand."""
        angle = 2.0 * np.pi * np.arange(_CORNERS) / _CORNERS
        reach = math.radians(self.radius * _SWELL)
        lat = math.radians(self.phi2)
        sine = math.sin(lat) * math.cos(reach) + math.cos(lat) * math.sin(reach) * np.cos(angle)
        east = np.sin(angle) * math.sin(reach) * math.cos(lat)
        turn = np.arctan2(east, math.cos(reach) - math.sin(lat) * sine)
        # East is the second half of the turn: this order runs counter-clockwise.
        return Polygon(self.phi1 - np.degrees(turn), np.degrees(np.arcsin(np.clip(sine, -1.0, 1.0))))


@dataclass(frozen=True)
class WithHoles:
    """A circle or box without some circles of the sky; a footprint like any other.

    Areas and lengths come from polygons of 180 corners that follow the holes inside the outer shape: exact
    for the polygons, and right to a part in a thousand of a hole's area for the circles. `contains` is exact.

    Attributes:
        whole: the outer shape.
        holes: the circles left out; none overlaps another (see `sky_patches.masks.merged`).
    """

    whole: Circle | Box
    holes: tuple[Hole, ...]

    def __post_init__(self) -> None:
        for index, first in enumerate(self.holes):
            for second in self.holes[index + 1 :]:
                gap = angular_distance(first.phi1, first.phi2, second.phi1, second.phi2)
                if gap < first.radius + second.radius:
                    raise FootprintError(
                        f"holes {first.name!r} and {second.name!r} overlap (centres {float(gap):.3f} deg "
                        f"apart, radii {first.radius} and {second.radius}): merge them first"
                    )
        if self.area <= _LEAST_SHARE * self.whole.area:
            raise FootprintError(f"the holes leave nothing of {self.whole}")

    @property
    def area(self) -> float:
        """Flat area in deg^2."""
        return self.whole.area - sum(polygon.area for polygon in _polygons(self.whole, self.holes))

    @property
    def solid_angle(self) -> float:
        """Area on the sphere in deg^2."""
        inside = _polygons(self.whole, self.holes)
        return self.whole.solid_angle - sum(polygon.solid_angle for polygon in inside)

    @property
    def centre(self) -> tuple[float, float]:
        """(phi1, phi2) in deg of the middle of the outer shape, be it in a hole or not."""
        return self.whole.centre

    def reached(self) -> WithHoles:
        """The same footprint without the holes that lie wholly outside the outer shape."""
        parts = zip(self.holes, _polygons(self.whole, self.holes), strict=True)
        return WithHoles(self.whole, tuple(hole for hole, part in parts if part.x.size))

    def contains(self, phi1: Scalars, phi2: Scalars) -> Bool[np.ndarray, ...]:
        """True where a position (deg) is inside the outer shape and in no hole."""
        inside = np.asarray(self.whole.contains(phi1, phi2))
        for hole in self.holes:
            inside = inside & ~hole.contains(phi1, phi2)
        return np.asarray(inside)

    def strip_area(self, theta: Scalars, r: Scalars, width: Scalars) -> Values:
        """Area (deg^2) inside the footprint within width/2 of the line (theta, r); broadcasts."""
        theta, r, width = strip(theta, r, width)
        area = self.whole.strip_area(theta, r, width)
        for polygon in _polygons(self.whole, self.holes):
            area = area - (polygon.below(theta, r + width / 2) - polygon.below(theta, r - width / 2))
        return np.asarray(area)

    def strip_length(self, theta: Scalars, r: Scalars) -> Values:
        """Length (deg) of the line (theta, r) inside the footprint; broadcasts."""
        theta, r, _ = strip(theta, r, 0.0)
        length = self.whole.strip_length(theta, r)
        for polygon in _polygons(self.whole, self.holes):
            length = length - polygon.chord(theta, r)
        return np.asarray(np.maximum(length, 0.0))

    def sample(self, n: int, seed: int) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
        """n positions (phi1, phi2), uniform over the flat area outside the holes."""
        share = self.area / self.whole.area
        drawn = n
        while True:
            # Draws of one seed begin alike only for one n, so a second try starts over with more.
            drawn = int(drawn / share) + 10 * int(math.sqrt(drawn)) + 20
            phi1, phi2 = self.whole.sample(drawn, seed)
            inside = self.contains(phi1, phi2)
            if inside.sum() >= n:
                return phi1[inside][:n], phi2[inside][:n]

    def boundary(self, n: int = 256) -> tuple[Float[np.ndarray, " p"], Float[np.ndarray, " p"]]:
        """A closed curve around the outer shape; the holes are not drawn."""
        return self.whole.boundary(n)

    def to_dict(self) -> dict[str, Any]:
        """Plain values that `footprint_from_dict` turns back into an equal footprint."""
        holes = [asdict(hole) for hole in self.holes]
        return {"kind": "with_holes", "whole": self.whole.to_dict(), "holes": holes}


@lru_cache(maxsize=256)
def _polygons(whole: Circle | Box, holes: tuple[Hole, ...]) -> tuple[Polygon, ...]:
    """The part of each hole inside the outer shape; without corners where there is none."""
    edge = Polygon(*(values[:-1] for values in whole.boundary(720)))
    parts = []
    for hole in holes:
        outline = hole.outline()
        if not whole.contains(outline.x, outline.y).all():
            outline = clipped(outline, edge)
        parts.append(outline)
    return tuple(parts)
