"""Circles and boxes in a patch's plane (phi1, phi2): what they contain, and how much of a strip.

Geometry here is flat: (phi1, phi2) in degrees are taken as Cartesian coordinates, which is what a line search
in the patch plane does. On a circle of 15 deg radius the flat area is 0.6 % larger than the solid angle, and
a flat circle lies within 0.05 deg of the great-circle one; `solid_angle` gives the true area on the sphere.

A line is r = phi1 sin(theta) - phi2 cos(theta), theta in radians, r in degrees: theta is the angle between
the line and the phi1 axis.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float
from scipy.special import j1

from sky_patches.errors import FootprintError

__all__ = ["Box", "Circle", "Footprint", "angular_distance", "line_offset", "strip"]

Scalars = float | int | np.ndarray
Values = Float[np.ndarray, "..."]


def line_offset(phi1: Scalars, phi2: Scalars, theta: Scalars) -> Values:
    """r = phi1 sin(theta) - phi2 cos(theta): signed distance (deg) of a point from the origin's line."""
    return np.asarray(np.asarray(phi1, dtype=float) * np.sin(theta) - np.asarray(phi2) * np.cos(theta))


@runtime_checkable
class Footprint(Protocol):
    """What a line search needs to know about the observed region; masks with holes can implement it too."""

    @property
    def area(self) -> float:
        """Flat area in deg^2."""

    @property
    def solid_angle(self) -> float:
        """Area on the sphere in deg^2."""

    @property
    def centre(self) -> tuple[float, float]:
        """(phi1, phi2) in deg of a central point."""

    def contains(self, phi1: Scalars, phi2: Scalars) -> Bool[np.ndarray, ...]:
        """True where a position (deg) is inside or on the border."""

    def strip_area(self, theta: Scalars, r: Scalars, width: Scalars) -> Values:
        """Area (deg^2) inside the footprint within width/2 of the line (theta, r); broadcasts."""

    def strip_length(self, theta: Scalars, r: Scalars) -> Values:
        """Length (deg) of the line (theta, r) inside the footprint; broadcasts."""

    def sample(self, n: int, seed: int) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
        """n positions (phi1, phi2), uniform over the flat area."""

    def boundary(self, n: int = 256) -> tuple[Float[np.ndarray, " p"], Float[np.ndarray, " p"]]:
        """A closed curve (phi1, phi2) around the footprint, of about n points, its corners included."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values that `footprint_from_dict` turns back into an equal footprint."""


@dataclass(frozen=True)
class Circle:
    """Circle of `radius` deg around the frame's origin, flat: phi1^2 + phi2^2 <= radius^2."""

    radius: float

    def __post_init__(self) -> None:
        if not 0.0 < self.radius <= 90.0:
            raise FootprintError(f"a circle's radius lies in (0, 90] deg; got {self.radius}")

    @property
    def area(self) -> float:
        """Flat area in deg^2."""
        return math.pi * self.radius**2

    @property
    def solid_angle(self) -> float:
        """Area on the sphere in deg^2: cos(phi2) integrates to 2 pi R J1(R) over the disc."""
        radius = math.radians(self.radius)
        return 2.0 * math.pi * radius * float(j1(radius)) * math.degrees(1.0) ** 2

    @property
    def centre(self) -> tuple[float, float]:
        """The origin."""
        return 0.0, 0.0

    def contains(self, phi1: Scalars, phi2: Scalars) -> Bool[np.ndarray, ...]:
        """True where a position (deg) is inside or on the border."""
        return np.asarray(np.square(phi1) + np.square(phi2) <= self.radius**2)

    def strip_area(self, theta: Scalars, r: Scalars, width: Scalars) -> Values:
        """Area (deg^2) inside the circle within width/2 of the line: a difference of two segments."""
        theta, r, width = strip(theta, r, width)
        return np.asarray(self._segment(r + width / 2) - self._segment(r - width / 2))

    def strip_length(self, theta: Scalars, r: Scalars) -> Values:
        """Length (deg) of the chord."""
        _, r, _ = strip(theta, r, 0.0)
        return np.asarray(2.0 * np.sqrt(np.maximum(self.radius**2 - r**2, 0.0)))

    def sample(self, n: int, seed: int) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
        """n positions (phi1, phi2), uniform over the flat area."""
        rng = np.random.default_rng(seed)
        distance = self.radius * np.sqrt(rng.random(n))
        angle = rng.uniform(0.0, 2.0 * np.pi, n)
        return distance * np.cos(angle), distance * np.sin(angle)

    def boundary(self, n: int = 256) -> tuple[Float[np.ndarray, " p"], Float[np.ndarray, " p"]]:
        """The circle as n points, the last equal to the first."""
        angle = np.linspace(0.0, 2.0 * np.pi, max(n, 4))
        return self.radius * np.cos(angle), self.radius * np.sin(angle)

    def to_dict(self) -> dict[str, Any]:
        """Plain values that `footprint_from_dict` turns back into an equal footprint."""
        return {"kind": "circle", **asdict(self)}

    def _segment(self, r: Scalars) -> Values:
        """Area of the part of the disc whose line offset is below r."""
        t = np.clip(r / self.radius, -1.0, 1.0)
        return np.asarray(self.radius**2 * (np.pi / 2 + np.arcsin(t) + t * np.sqrt(1.0 - t**2)))


@dataclass(frozen=True)
class Box:
    """Box phi1_min <= phi1 <= phi1_max, phi2_min <= phi2 <= phi2_max (deg)."""

    phi1_min: float
    phi1_max: float
    phi2_min: float
    phi2_max: float

    def __post_init__(self) -> None:
        ordered = self.phi1_min < self.phi1_max and self.phi2_min < self.phi2_max
        inside = max(abs(self.phi1_min), abs(self.phi1_max)) <= 180.0
        inside = inside and max(abs(self.phi2_min), abs(self.phi2_max)) <= 90.0
        if not (ordered and inside):
            raise FootprintError(
                "a box needs -180 <= phi1_min < phi1_max <= 180 and -90 <= phi2_min < phi2_max <= 90 deg; "
                f"got {self}. A box across phi1 = 180 deg needs a frame with its origin inside the box"
            )

    @property
    def sides(self) -> tuple[float, float]:
        """Lengths along phi1 and phi2, deg."""
        return self.phi1_max - self.phi1_min, self.phi2_max - self.phi2_min

    @property
    def area(self) -> float:
        """Flat area in deg^2."""
        return self.sides[0] * self.sides[1]

    @property
    def solid_angle(self) -> float:
        """Area on the sphere in deg^2."""
        low, high = math.radians(self.phi2_min), math.radians(self.phi2_max)
        return self.sides[0] * math.degrees(math.sin(high) - math.sin(low))

    @property
    def centre(self) -> tuple[float, float]:
        """(phi1, phi2) in deg of the middle."""
        return (self.phi1_min + self.phi1_max) / 2, (self.phi2_min + self.phi2_max) / 2

    def contains(self, phi1: Scalars, phi2: Scalars) -> Bool[np.ndarray, ...]:
        """True where a position (deg) is inside or on the border."""
        phi1, phi2 = np.asarray(phi1), np.asarray(phi2)
        inside1 = (phi1 >= self.phi1_min) & (phi1 <= self.phi1_max)
        return np.asarray(inside1 & (phi2 >= self.phi2_min) & (phi2 <= self.phi2_max))

    def strip_area(self, theta: Scalars, r: Scalars, width: Scalars) -> Values:
        """Area (deg^2) inside the box within width/2 of the line (theta, r); exact."""
        theta, r, width = strip(theta, r, width)
        return np.asarray(self._below(theta, r + width / 2) - self._below(theta, r - width / 2))

    def strip_length(self, theta: Scalars, r: Scalars) -> Values:
        """Length (deg) of the line inside the box."""
        theta, r, _ = strip(theta, r, 0.0)
        depth, ramp, top, chord = self._profile(theta, r)
        to_edge = np.minimum(depth, ramp + top - depth)
        rising = np.divide(to_edge, ramp, out=np.ones_like(depth), where=ramp > 1e-12)
        return np.asarray(np.where(to_edge >= 0, chord * np.clip(rising, 0.0, 1.0), 0.0))

    def sample(self, n: int, seed: int) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
        """n positions (phi1, phi2), uniform over the flat area."""
        rng = np.random.default_rng(seed)
        return rng.uniform(self.phi1_min, self.phi1_max, n), rng.uniform(self.phi2_min, self.phi2_max, n)

    def boundary(self, n: int = 256) -> tuple[Float[np.ndarray, " p"], Float[np.ndarray, " p"]]:
        """About n points along the four sides, corners included, the last equal to the first."""
        step = np.linspace(0.0, 1.0, max(n // 4, 1), endpoint=False)
        side1, side2 = self.sides
        along = np.concatenate([step, np.ones_like(step), 1.0 - step, np.zeros_like(step), [0.0]])
        across = np.concatenate([np.zeros_like(step), step, np.ones_like(step), 1.0 - step, [0.0]])
        return self.phi1_min + side1 * along, self.phi2_min + side2 * across

    def to_dict(self) -> dict[str, Any]:
        """Plain values that `footprint_from_dict` turns back into an equal footprint."""
        return {"kind": "box", **asdict(self)}

    def _profile(self, theta: Scalars, r: Scalars) -> tuple[Scalars, Scalars, Scalars, Scalars]:
        """The length of the line as a function of r is a trapezoid: depth into it, ramp, top and height.

        The trapezoid is the convolution of the two sides' projections on the direction of r; the shorter
        projection is the ramp, so that no difference of nearly equal numbers is divided by a small one.
        """
        side1, side2 = self.sides
        shadow1, shadow2 = side1 * np.abs(np.sin(theta)), side2 * np.abs(np.cos(theta))
        ramp, top = np.minimum(shadow1, shadow2), np.maximum(shadow1, shadow2)
        depth = r - line_offset(*self.centre, theta) + (ramp + top) / 2
        return depth, ramp, top, self.area / top

    def _below(self, theta: Scalars, r: Scalars) -> Values:
        """Area of the part of the box whose line offset is below r: the integral of the trapezoid."""
        depth, ramp, top, chord = self._profile(theta, r)
        depth = np.clip(depth, 0.0, ramp + top)
        safe = np.where(ramp > 0, ramp, 1.0)
        rising = chord * np.minimum(depth, ramp) ** 2 / (2.0 * safe)
        level = chord * np.clip(depth - ramp, 0.0, top - ramp)
        falling = np.clip(depth - top, 0.0, ramp)
        return np.asarray(rising + level + chord * falling * (1.0 - falling / (2.0 * safe)))


def strip(theta: Scalars, r: Scalars, width: Scalars) -> tuple[Values, Values, Values]:
    """The numbers of a strip (rad, deg, deg), broadcast against each other; no negative width."""
    theta, r, width = np.broadcast_arrays(*(np.asarray(value, dtype=float) for value in (theta, r, width)))
    if np.any(width < 0):
        raise FootprintError(f"a strip's width cannot be negative; got {float(width.min())} deg")
    return theta, r, width


def angular_distance(lon1: Scalars, lat1: Scalars, lon2: Scalars, lat2: Scalars) -> Values:
    """Great-circle distance (deg) of positions in deg; exact for small and large angles (haversine)."""
    first, second = np.radians(lat1), np.radians(lat2)
    turn = np.sin(np.radians(np.subtract(lon2, lon1)) / 2) ** 2
    square = np.sin((second - first) / 2) ** 2 + np.cos(first) * np.cos(second) * turn
    return np.asarray(np.degrees(2.0 * np.arcsin(np.sqrt(np.clip(square, 0.0, 1.0)))))
