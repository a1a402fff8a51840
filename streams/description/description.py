"""What a candidate carries: one value with frame, track, extent, photometry, distance and artefact flags."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from astropy.coordinates import BaseCoordinateFrame
from jaxtyping import Float

from sky_patches import KnownObject, PatchGeometry, read_known_objects
from sky_patches.frames import tangent_axes
from streams.description.artefacts import (
    ALIGNED_DEG,
    EDGE_SHARE,
    FIDUCIAL_SHARE,
    LOW_LATITUDE_DEG,
    SCAN_SHIFT,
    SCAN_SIGMA,
    galactic_alignment,
    known_objects_inside,
    middle_direction,
    scanning_difference,
    sky_coverage,
)
from streams.description.distance import DistanceEstimate, distance_by_ridge
from streams.description.errors import DescriptionError
from streams.description.extent import Extent, Photometry, extent_of, photometry_of
from streams.description.great_circle import GreatCircle, MemberCoordinates, fit_great_circle, sky_angles
from streams.description.track import StreamTrack, TrackPoints, fit_track
from streams.members import MemberStars
from streams.ridges import Ridge

__all__ = ["StreamDescription", "describe"]

Observations = tuple[Float[np.ndarray, " n"], Float[np.ndarray, " m"]]


@dataclass(frozen=True)
class StreamDescription:
    """A candidate stream in numbers; plain values, so it can be stored as JSON.

    Args:
        great_circle: the frame along the stream, with the pole's error.
        track: phi2 and proper motions along phi1, in that frame, with covariances.
        extent: width, length, number of stars, surface density.
        photometry: mean colour and magnitude, surface brightness.
        distance: by isochrone ridge.
        ra, dec: the track at phi1 = 0, ICRS, deg.
        l, b: the same place in Galactic coordinates, deg.
        position_angle: of the track there, from North through East, deg, 0 to 180.
        pmra, pmdec: proper motion of the track there, ICRS, mas/yr, as observed.
        flags: which signs of an artefact the candidate shows; see `FLAGS`.
        numbers: the number behind each flag.
        known_objects: names of known clusters and dwarf galaxies in the strip of the track.
        scanning: "known", or "unknown" where no column of observations was given.
    """

    great_circle: GreatCircle
    track: StreamTrack
    extent: Extent
    photometry: Photometry
    distance: DistanceEstimate
    ra: float
    dec: float
    l: float  # noqa: E741 (Galactic longitude has no other name)
    b: float
    position_angle: float
    pmra: float
    pmdec: float
    flags: tuple[str, ...]
    numbers: dict[str, float] = field(hash=False)
    known_objects: tuple[str, ...]
    scanning: str

    def frame(self) -> BaseCoordinateFrame:
        """The stream's frame as `gala.coordinates.GreatCircleICRSFrame`."""
        return self.great_circle.frame()

    def project(self, members: MemberStars) -> MemberCoordinates:
        """Stars in the stream's frame."""
        return self.great_circle.project(members)

    def sky_track(self, phi1: Float[np.ndarray, " k"]) -> tuple[Float[np.ndarray, " k"], ...]:
        """(ra, dec, pmra, pmdec) of the track at phi1, deg and mas/yr, ICRS."""
        points: TrackPoints = self.track(phi1)
        position = self.great_circle.sky(phi1, points.phi2)
        motion = self.great_circle.sky_motions(phi1, points.phi2, points.pm_phi1_cosphi2, points.pm_phi2)
        return *position, *motion

    def to_dict(self) -> dict[str, Any]:
        """Plain values that `from_dict` turns back into an equal description."""
        parts = {name: getattr(self, name).to_dict() for name in _PARTS}
        rest = {name: getattr(self, name) for name in self.__dataclass_fields__ if name not in _PARTS}
        lists = {name: list(getattr(self, name)) for name in ("flags", "known_objects")}
        return {**parts, **rest, **lists, "numbers": dict(self.numbers)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> StreamDescription:
        """The description that `to_dict` described.

        Raises:
            DescriptionError: a value is missing or unknown.
        """
        expected = set(cls.__dataclass_fields__)
        if set(values) != expected:
            raise DescriptionError(
                f"a description needs {sorted(expected)}; missing {sorted(expected - set(values))}, unknown "
                f"{sorted(set(values) - expected)}: make the catalogue anew"
            )
        parts = {name: kind.from_dict(values[name]) for name, kind in _PARTS.items()}
        plain = {
            "flags": tuple(values["flags"]), "known_objects": tuple(values["known_objects"]),
            "numbers": dict(values["numbers"]),
        }  # fmt: skip
        return cls(**{**values, **parts, **plain})


_PARTS: dict[str, Any] = {
    "great_circle": GreatCircle,
    "track": StreamTrack,
    "extent": Extent,
    "photometry": Photometry,
    "distance": DistanceEstimate,
}


def describe(
    members: MemberStars,
    *,
    geometries: Sequence[PatchGeometry] = (),
    objects: Iterable[KnownObject] | None = None,
    ridges: Sequence[Ridge] | None = None,
    background: MemberStars | None = None,
    observations: Observations | None = None,
    limits: tuple[float, float] | None = None,
) -> StreamDescription:
    """Describe a candidate from its probable members.

    Args:
        members: all stars with a probability that matters (above 0.01, say), each once.
        geometries: the patches in which it was found.
        objects: known clusters and dwarf galaxies; default the package's own list.
        ridges: colour-magnitude ridges; default `old_ridges(FINE_METALLICITIES)`.
        background: field stars, for the distance and for `observations`.
        observations: how often each member and each background star was observed, for example
            visibility_periods_used; without it the flag of the scanning law is unknown, not guessed.
        limits: brightest and faintest G of the survey's cuts; default those of the given stars.

    Raises:
        DescriptionError: fewer than three stars with a probability above 0, a value that is not finite, or
            observations that do not fit the stars.
    """
    # Sums in one order: the last digit does not depend on how the rows came.
    members, background, observations = _in_order(members, background, observations)
    circle = fit_great_circle(members)
    stars = circle.project(members)
    track = fit_track(stars, members.probability)
    extent = extent_of(stars.phi1, members.probability, (track.phi2.spread, track.phi2.spread_error))
    distance = distance_by_ridge(members, ridges, background, limits=limits)
    known = known_objects_inside(
        read_known_objects() if objects is None else objects, circle, track, extent.ends
    )
    numbers = _numbers(members, circle, track, extent, geometries)
    numbers |= _scanning(members, background, observations, circle, track, extent)
    numbers["known_objects"] = float(len(known))
    return StreamDescription(
        circle, track, extent, photometry_of(members, extent), distance, *_middle(circle, track),
        flags=_flags(numbers, distance.open), numbers=numbers, known_objects=known,
        scanning="unknown" if np.isnan(numbers["scanning_sigma"]) else "known",
    )  # fmt: skip


def _in_order(
    members: MemberStars, background: MemberStars | None, observations: Observations | None
) -> tuple[MemberStars, MemberStars | None, Observations | None]:
    """Stars by source_id, and their observations with them."""
    if observations is not None and background is None:
        raise DescriptionError("observations are compared with those of field stars: give `background` too")
    if observations is not None and background is not None:
        counts = (len(members), len(background))
        lengths = tuple(len(column) for column in observations)
        if lengths != counts:
            raise DescriptionError(
                f"observations need one value a star: {counts[0]} members and {counts[1]} field stars; got "
                f"{lengths[0]} and {lengths[1]}"
            )
    orders = [
        None if part is None else np.argsort(part.source_id, kind="stable") for part in (members, background)
    ]
    if observations is not None:
        observations = (observations[0][orders[0]], observations[1][orders[1]])
    return members.take(orders[0]), None if background is None else background.take(orders[1]), observations


def _middle(circle: GreatCircle, track: StreamTrack) -> tuple[float, ...]:
    """ra, dec, l, b, position angle, pmra, pmdec at phi1 = 0."""
    place, along = middle_direction(circle, track)
    ra, dec = sky_angles(place)
    longitude, latitude, *_ = galactic_alignment(circle, track)
    east, north = tangent_axes(ra, dec)
    angle = float(np.degrees(np.arctan2(along @ east, along @ north)) % 180.0)
    zero = np.zeros(1)
    points = track(zero)
    pmra, pmdec = circle.sky_motions(zero, points.phi2, points.pm_phi1_cosphi2, points.pm_phi2)
    return float(ra % 360.0), float(dec), longitude, latitude, angle, float(pmra[0]), float(pmdec[0])


def _numbers(
    members: MemberStars,
    circle: GreatCircle,
    track: StreamTrack,
    extent: Extent,
    geometries: Sequence[PatchGeometry],
) -> dict[str, float]:
    coverage = sky_coverage(members, circle, track, extent.ends, geometries)
    _, latitude, angle, chance = galactic_alignment(circle, track)
    return {
        "edge_share": coverage.edge_share, "outside_share": coverage.outside_share,
        "ends_at_border": float(coverage.ends_at_border), "fiducial_share": coverage.fiducial_share,
        "latitude": latitude, "latitude_angle": angle, "latitude_chance": chance,
    }  # fmt: skip


def _scanning(
    members: MemberStars,
    background: MemberStars | None,
    observations: Observations | None,
    circle: GreatCircle,
    track: StreamTrack,
    extent: Extent,
) -> dict[str, float]:
    if observations is None or background is None:
        return {"scanning_sigma": float("nan"), "scanning_shift": float("nan")}
    sigma, shift = scanning_difference(members, background, observations, circle, track, extent.ends)
    return {"scanning_sigma": sigma, "scanning_shift": shift}


def _flags(numbers: Mapping[str, float], distance_open: bool) -> tuple[str, ...]:
    """Flags that the numbers raise; a NaN raises none."""
    raised = {
        "edge": numbers["edge_share"] > EDGE_SHARE,
        "leaves_patch": numbers["ends_at_border"] > 0 or numbers["outside_share"] > 0,
        "outside_fiducial": numbers["fiducial_share"] < FIDUCIAL_SHARE,
        "galactic_latitude": numbers["latitude_angle"] < ALIGNED_DEG
        and abs(numbers["latitude"]) < LOW_LATITUDE_DEG,
        "scanning_law": abs(numbers["scanning_sigma"]) > SCAN_SIGMA
        and abs(numbers["scanning_shift"]) > SCAN_SHIFT,
        "known_object": numbers["known_objects"] > 0,
        "distance_open": distance_open,
    }
    return tuple(name for name, value in raised.items() if value)
