"""The natural patch: the smallest circle or rotated box that holds a set of stars, if they fill it.

For a catalogue whose footprint the user did not describe. A query of an archive is nearly always a cone or
a box, and the stars themselves show which; where they show neither, guessing would turn holes of the
footprint into false structure, so the user is asked instead.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from astropy.table import Table
from jaxtyping import Float
from scipy.optimize import minimize_scalar, nnls
from scipy.spatial import ConvexHull, KDTree, QhullError

from sky_patches.errors import FootprintError
from sky_patches.footprints import Box, Circle
from sky_patches.frames import PatchFrame
from sky_patches.patch import PatchGeometry, StarSource

__all__ = ["natural_patch"]

_LARGEST_RADIUS = 20.0
_LEAST_FILL = 0.8
_LEAST_STARS = 100
# A point with this many neighbours to expect and none found is empty: one in 55 by chance (e^-4).
_EXPECTED_NEIGHBOURS = 4.0
_PROBES = 5000
_DIRECTIONS_PER_DEGREE = 10
# Edge stars must stay inside after a round trip through the frame (rounding is 1e-13 deg).
_MARGIN = 1e-9


@dataclass(frozen=True)
class _Fit:
    frame: PatchFrame
    footprint: Circle | Box
    fill: float


def natural_patch(stars: Table | StarSource, name: str = "all") -> PatchGeometry:
    """The smallest circle or box, whichever the stars fill more evenly.

    The circle is the smallest cap of the sphere that holds all stars. The box is the smallest of those that
    lie along an edge of the stars' convex hull (rotating calipers; Toussaint 1983), in an offset frame turned
    along its sides. The fill of either is the share of its area with a star nearby, "near" being the radius
    in which four stars are expected.

    Args:
        stars: Table with ra and dec in degrees, or a source of stars.
        name: The patch's name.

    Raises:
        FootprintError: there are too few stars; the region is larger than a circle of 20 deg radius; or the
            stars fill neither shape to 80 %. The message says how to describe the footprint.
    """
    table = stars if isinstance(stars, Table) else stars.stars(columns=["ra", "dec"])
    ra, dec = _positions(table)
    circle = _smallest_circle(ra, dec)
    box = _smallest_box(ra, dec, circle.frame)
    best = max(circle, box, key=lambda fit: fit.fill)
    if best.fill < _LEAST_FILL:
        raise FootprintError(
            f"the {len(ra)} stars fill neither their smallest circle (radius "
            f"{circle.footprint.radius:.2f} deg, filled to {circle.fill:.0%}) nor their smallest box "
            f"({_sides(box.footprint)}, filled to {box.fill:.0%}); {_LEAST_FILL:.0%} is needed. "
            f"{_describe(circle.frame)}"
        )
    if best.footprint.solid_angle > Circle(_LARGEST_RADIUS).solid_angle:
        raise FootprintError(
            f"the stars cover {best.footprint.solid_angle:.0f} deg^2, more than a circle of "
            f"{_LARGEST_RADIUS:.0f} deg radius: too large to be taken as flat. {_describe(circle.frame)}"
        )
    return PatchGeometry(name, best.frame, best.footprint)


def _positions(table: Table) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    missing = [name for name in ("ra", "dec") if name not in table.colnames]
    if missing:
        raise FootprintError(f"the footprint of stars needs ra and dec; the table lacks {missing}")
    ra, dec = (np.asarray(table[name], dtype=float) for name in ("ra", "dec"))
    finite = np.isfinite(ra) & np.isfinite(dec)
    if finite.sum() < _LEAST_STARS:
        raise FootprintError(
            f"{finite.sum()} stars with positions are too few to show their footprint ({_LEAST_STARS} "
            "needed); describe it, for example PatchGeometry.circle(name, ra, dec, radius)"
        )
    return ra[finite], dec[finite]


def _smallest_circle(ra: Float[np.ndarray, " n"], dec: Float[np.ndarray, " n"]) -> _Fit:
    vectors = _vectors(ra, dec)
    middle = _offset_at(vectors.mean(axis=0))
    hull = _hull(*_gnomonic(middle, ra, dec))
    frame = _offset_at(_cap_centre(vectors[hull]))
    phi1, phi2 = frame.project_positions(ra, dec)
    footprint = Circle(float(np.hypot(phi1, phi2).max()) + _MARGIN)
    return _Fit(frame, footprint, _fill(footprint, phi1, phi2))


def _cap_centre(vectors: Float[np.ndarray, "h 3"]) -> Float[np.ndarray, " 3"]:
    """Centre of the smallest cap: the shortest w with w . x >= 1 for all x, along which the cap lies.

    A least-distance problem, solved through non-negative least squares (Lawson & Hanson 1974, chapter 23).
    """
    matrix = np.vstack([vectors.T, np.ones(len(vectors))])
    weights, _ = nnls(matrix, np.array([0.0, 0.0, 0.0, 1.0]))
    return vectors.T @ weights


def _smallest_box(ra: Float[np.ndarray, " n"], dec: Float[np.ndarray, " n"], frame: PatchFrame) -> _Fit:
    """Calipers in the tangent plane give the angle; a few rounds at the box's centre settle it."""
    edge = _outline(*_gnomonic(frame, ra, dec))
    for _ in range(3):
        turned = _turned(frame, _caliper_angle(*_gnomonic(frame, ra[edge], dec[edge])))
        turned = _polished(turned, ra[edge], dec[edge])
        box = _bounding_box(turned, ra[edge], dec[edge])
        frame = PatchFrame.offset(*(float(angle) for angle in turned.unproject(*box.centre)))
    angle = _caliper_angle(*_gnomonic(frame, ra[edge], dec[edge]))
    frame = _polished(_turned(frame, angle), ra[edge], dec[edge])
    box = _bounding_box(frame, ra, dec)
    return _Fit(frame, box, _fill(box, *frame.project_positions(ra, dec)))


def _outline(x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"]) -> np.ndarray:
    """Indices of the stars that can decide a box: the convex hull, and the outermost in each direction.

    The hull alone is not enough: a side of constant phi2 is curved in the tangent plane.
    """
    direction = np.floor(np.degrees(np.arctan2(y, x)) * _DIRECTIONS_PER_DEGREE).astype(int)
    order = np.lexsort((np.hypot(x, y), direction))
    last = np.flatnonzero(np.diff(direction[order], append=direction.max() + 1))
    return np.union1d(order[last], _hull(x, y))


def _caliper_angle(x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"]) -> float:
    """Angle (deg, from the x axis) of the long side of the smallest rectangle around points in a plane."""
    corners = np.column_stack([x, y])[_hull(x, y)]
    edges = np.roll(corners, -1, axis=0) - corners
    angles = np.arctan2(edges[:, 1], edges[:, 0]) % (np.pi / 2)
    along = corners @ np.stack([np.cos(angles), np.sin(angles)])
    across = corners @ np.stack([-np.sin(angles), np.cos(angles)])
    length, height = np.ptp(along, axis=0), np.ptp(across, axis=0)
    best = int(np.argmin(length * height))
    return math.degrees(angles[best]) + (0.0 if length[best] >= height[best] else 90.0)


def _polished(frame: PatchFrame, ra: Float[np.ndarray, " n"], dec: Float[np.ndarray, " n"]) -> PatchFrame:
    """Turn the frame by up to a degree to the smallest box on the sphere, whose sides are curved."""

    def area(angle: float) -> float:
        return _bounding_box(_turned(frame, float(angle)), ra, dec).solid_angle

    best = minimize_scalar(area, bounds=(-1.0, 1.0), method="bounded", options={"xatol": 1e-4})
    return _turned(frame, float(best.x)) if best.fun < area(0.0) else frame


def _bounding_box(frame: PatchFrame, ra: Float[np.ndarray, " n"], dec: Float[np.ndarray, " n"]) -> Box:
    phi1, phi2 = frame.project_positions(ra, dec)
    low1, high1, low2, high2 = (float(edge) for side in (phi1, phi2) for edge in (side.min(), side.max()))
    return Box(low1 - _MARGIN, high1 + _MARGIN, low2 - _MARGIN, high2 + _MARGIN)


def _fill(footprint: Circle | Box, phi1: Float[np.ndarray, " n"], phi2: Float[np.ndarray, " n"]) -> float:
    """Share of the footprint's area with a star within the distance that holds four stars on average."""
    reach = math.sqrt(_EXPECTED_NEIGHBOURS * footprint.area / (math.pi * phi1.size))
    probes = np.column_stack(footprint.sample(_PROBES, seed=0))
    distance, _ = KDTree(np.column_stack([phi1, phi2])).query(probes, distance_upper_bound=reach)
    return float(np.isfinite(distance).mean())


def _vectors(ra: Float[np.ndarray, " n"], dec: Float[np.ndarray, " n"]) -> Float[np.ndarray, "n 3"]:
    lon, lat = np.radians(ra), np.radians(dec)
    return np.column_stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])


def _offset_at(vector: Float[np.ndarray, " 3"]) -> PatchFrame:
    x, y, z = (float(component) for component in vector)
    return PatchFrame.offset(math.degrees(math.atan2(y, x)), math.degrees(math.atan2(z, math.hypot(x, y))))


def _turned(frame: PatchFrame, angle_deg: float) -> PatchFrame:
    """The frame with its phi1 axis turned by `angle_deg` from phi1 towards phi2."""
    return PatchFrame.offset(frame.ra_deg, frame.dec_deg, frame.rotation_deg - angle_deg)


def _gnomonic(
    frame: PatchFrame, ra: Float[np.ndarray, " n"], dec: Float[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Tangent-plane coordinates (deg): great circles are straight, so convex stays convex."""
    phi1, phi2 = (np.radians(angle) for angle in frame.project_positions(ra, dec))
    depth = np.cos(phi1) * np.cos(phi2)
    if depth.min() < math.cos(math.radians(60.0)):
        raise FootprintError(
            "the stars spread over more than 60 deg from their mean position: too large for one patch. "
            f"{_describe(frame)}"
        )
    return np.degrees(np.tan(phi1)), np.degrees(np.sin(phi2) / depth)


def _hull(x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"]) -> np.ndarray:
    try:
        return ConvexHull(np.column_stack([x, y])).vertices
    except QhullError as error:
        raise FootprintError(
            f"the {x.size} stars lie on a point or a line (spread {np.ptp(x):.3g} x {np.ptp(y):.3g} deg): "
            "no footprint can be drawn around them; describe it, for example "
            "PatchGeometry.circle(name, ra, dec, radius)"
        ) from error


def _sides(box: Box) -> str:
    return f"{box.sides[0]:.2f} x {box.sides[1]:.2f} deg"


def _describe(frame: PatchFrame) -> str:
    return (
        "Describe the footprint, for example PatchGeometry.circle(name, "
        f"ra_deg={frame.ra_deg:.2f}, dec_deg={frame.dec_deg:.2f}, radius_deg=...) or PatchGeometry(name, "
        "PatchFrame.gala('GD1Koposov10'), Box(phi1_min, phi1_max, phi2_min, phi2_max))"
    )
