"""Signs that a candidate is not a stream: borders, the Galaxy's layers, the scanning law, known clusters."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float

from sky_patches import KnownObject, MaskSet, PatchFrame, PatchGeometry, WithHoles
from sky_patches.frames import tangent_axes, unit_vectors
from streams.description.great_circle import GreatCircle, sky_angles
from streams.description.track import StreamTrack
from streams.members import MemberStars

__all__ = [
    "FLAGS",
    "SkyCoverage",
    "galactic_alignment",
    "known_objects_inside",
    "scanning_difference",
    "sky_coverage",
]

FLAGS: dict[str, str] = {
    "edge": "more than a quarter of the expected members lie within one width of the border of the patches",
    "leaves_patch": "the track reaches the border of the patches, or crosses it: the stream may go on",
    "outside_fiducial": "fewer than a tenth of the expected members lie where any patch counts candidates",
    "galactic_latitude": "the track follows a parallel of Galactic latitude at low latitude",
    "scanning_law": "stars on the track were observed more, or less, often than stars beside it",
    "known_object": "a known star cluster or dwarf galaxy lies in the strip of the track",
    "distance_open": "the colours and magnitudes of the members leave the distance open",
}
"""What each flag means."""

EDGE_SHARE, FIDUCIAL_SHARE = 0.25, 0.1
ALIGNED_DEG = 10.0
"""A random direction is as close to the parallel once in nine times."""
LOW_LATITUDE_DEG = 30.0
"""Below it counts of a plane-parallel Galaxy change by more than 3 % per degree of latitude: a line finder
that takes the background for smooth sees layers as lines."""
SCAN_SIGMA, SCAN_SHIFT = 5.0, 0.25
"""A difference of observations counts when it is significant and a quarter of their own scatter."""
STRIP_WIDTHS = 2.0
BESIDE_WIDTHS = (3.0, 10.0)
_DIRECTIONS = np.arange(8) * np.pi / 4.0
_CLOSEST_BORDER_DEG = 0.25


@dataclass(frozen=True)
class SkyCoverage:
    """How a candidate lies in the patches in which it was found.

    Args:
        edge_share: share of the expected members within one width of the border of the patches together
            (their outer shapes; holes of masks are no border).
        outside_share: share of the track, between the ends, outside the patches.
        ends_at_border: ends of the track (0, 1 or 2) at the border of the patches.
        fiducial_share: share of the expected members in the fiducial part of a patch.
    """

    edge_share: float
    outside_share: float
    ends_at_border: int
    fiducial_share: float


def sky_coverage(
    members: MemberStars,
    circle: GreatCircle,
    track: StreamTrack,
    ends: tuple[float, float],
    geometries: Sequence[PatchGeometry],
) -> SkyCoverage:
    """Members and track against the footprints of the patches; NaN where no patch is given."""
    if not geometries:
        return SkyCoverage(float("nan"), float("nan"), 0, float("nan"))
    shapes = [_outer(geometry) for geometry in geometries]
    weight = members.probability / members.probability.sum()
    reach = max(track.phi2.spread, 1e-3)
    phi1, phi2 = circle.positions(members.ra, members.dec)
    near = np.ones(len(members), dtype=bool)
    stretch = 1.0 / np.maximum(np.cos(np.radians(phi2)), 1e-6)
    for angle in _DIRECTIONS:
        height = np.clip(phi2 + reach * np.sin(angle), -90.0, 90.0)
        moved = circle.sky(phi1 + reach * np.cos(angle) * stretch, height)
        near &= _inside(shapes, *moved)
    steps = np.linspace(*ends, 101)
    on_track = _inside(shapes, *circle.sky(steps, track.phi2.value(steps)))
    step = max(2.0 * reach, _CLOSEST_BORDER_DEG)
    beyond = np.array([ends[0] - step, ends[1] + step])
    going_on = _inside(shapes, *circle.sky(beyond, track.phi2.value(beyond)))
    fiducial = _inside(geometries, members.ra, members.dec, fiducial=True)
    return SkyCoverage(
        float(weight[~near].sum()), float(1.0 - on_track.mean()), int((~going_on).sum()),
        float(weight[fiducial].sum()),
    )  # fmt: skip


def _outer(geometry: PatchGeometry) -> PatchGeometry:
    footprint = geometry.footprint
    return replace(geometry, footprint=footprint.whole) if isinstance(footprint, WithHoles) else geometry


def _inside(
    geometries: Sequence[PatchGeometry],
    ra: Float[np.ndarray, " n"],
    dec: Float[np.ndarray, " n"],
    *,
    fiducial: bool = False,
) -> Bool[np.ndarray, " n"]:
    """Whether a position lies in at least one patch, or in its fiducial part."""
    inside = np.zeros(len(ra), dtype=bool)
    for geometry in geometries:
        place = geometry.frame.project_positions(ra, dec)
        inside |= geometry.is_fiducial(*place) if fiducial else geometry.footprint.contains(*place)
    return inside


def galactic_alignment(circle: GreatCircle, track: StreamTrack) -> tuple[float, float, float, float]:
    """Galactic l and b of the track's middle, its angle (deg, 0 to 90) to the parallel of b, and the chance.

    The chance is that of a random direction to lie as close to the parallel: the angle over 90 deg.
    """
    middle, along = middle_direction(circle, track)
    matrix = PatchFrame.galactic().matrix
    longitude, latitude = sky_angles(matrix @ middle)
    east, north = tangent_axes(longitude, latitude)
    direction = matrix @ along
    angle = float(np.degrees(np.arctan2(abs(direction @ north), abs(direction @ east))))
    return float(longitude % 360.0), float(latitude), angle, angle / 90.0


def middle_direction(
    circle: GreatCircle, track: StreamTrack
) -> tuple[Float[np.ndarray, " 3"], Float[np.ndarray, " 3"]]:
    """Unit vectors (ICRS) of the track's place at phi1 = 0, and of its direction there."""
    height = float(track.phi2.value(np.array(0.0)))
    slope = track.phi2.coefficients[1] if track.phi2.degree else 0.0
    east, north = tangent_axes(np.array(0.0), np.array(height))
    along = east * np.cos(np.radians(height)) + north * slope
    middle = unit_vectors(np.array(0.0), np.array(height))
    return middle @ circle.matrix, (along / np.linalg.norm(along)) @ circle.matrix


def scanning_difference(
    members: MemberStars,
    background: MemberStars,
    observations: tuple[Float[np.ndarray, " n"], Float[np.ndarray, " m"]],
    circle: GreatCircle,
    track: StreamTrack,
    ends: tuple[float, float],
) -> tuple[float, float]:
    """How much more often stars on the track were observed than field stars beside it.

    Args:
        members: the candidate's stars.
        background: field stars; those 3 to 10 widths from the track, between its ends, are compared.
        observations: of the members and of the background, for example visibility_periods_used.
        circle, track, ends: where the stream is.

    Returns:
        The difference of the means in standard errors, and in standard deviations of the field; NaN where
        fewer than three stars lie beside the track or all were observed equally often.
    """
    on, off = observations
    phi1, phi2 = circle.positions(background.ra, background.dec)
    distance = np.abs(phi2 - track.phi2.value(phi1)) / max(track.phi2.spread, 1e-3)
    beside = (distance > BESIDE_WIDTHS[0]) & (distance < BESIDE_WIDTHS[1]) & np.isfinite(off)
    values = off[beside & (phi1 >= ends[0]) & (phi1 <= ends[1])]
    known = np.isfinite(on)
    weight = members.probability[known]
    if len(values) < 3 or weight.sum() <= 0 or values.std() == 0.0:
        return float("nan"), float("nan")
    difference = float(np.average(on[known], weights=weight) - values.mean())
    effective = weight.sum() ** 2 / (weight**2).sum()
    scatter = float(values.std(ddof=1))
    return difference / (scatter * float(np.sqrt(1.0 / effective + 1.0 / len(values)))), difference / scatter


def known_objects_inside(
    objects: Iterable[KnownObject], circle: GreatCircle, track: StreamTrack, ends: tuple[float, float]
) -> tuple[str, ...]:
    """Names of the known objects whose circle, as `MaskSet.around` masks it, reaches into the strip."""
    masks = tuple(MaskSet.around(objects))
    if not masks:
        return ()
    ra, dec, radius = np.array([(mask.lon, mask.lat, mask.radius) for mask in masks]).T
    phi1, phi2 = circle.positions(ra, dec)
    along = (phi1 >= ends[0] - radius) & (phi1 <= ends[1] + radius)
    across = np.abs(phi2 - track.phi2.value(phi1)) <= STRIP_WIDTHS * track.phi2.spread + radius
    return tuple(sorted(masks[row].name for row in np.flatnonzero(along & across)))
