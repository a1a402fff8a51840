"""What a candidate carries: frame, track, extent, photometry, distance by ridge, artefact flags.

description = describe(members, geometries=[patch.geometry])
description.great_circle.pole_ra, description.track(phi1), description.distance.distance_kpc
"""

from __future__ import annotations

from streams.description.artefacts import FLAGS, SkyCoverage
from streams.description.description import StreamDescription, describe
from streams.description.distance import DistanceEstimate, distance_by_ridge
from streams.description.errors import DescriptionError
from streams.description.extent import Extent, Photometry, surface_brightness, surface_density
from streams.description.great_circle import GreatCircle, MemberCoordinates, fit_great_circle
from streams.description.track import Polynomial, StreamTrack, TrackPoints, fit_track

__all__ = [
    "DescriptionError",
    "DistanceEstimate",
    "Extent",
    "FLAGS",
    "GreatCircle",
    "MemberCoordinates",
    "Photometry",
    "Polynomial",
    "SkyCoverage",
    "StreamDescription",
    "StreamTrack",
    "TrackPoints",
    "describe",
    "distance_by_ridge",
    "fit_great_circle",
    "fit_track",
    "surface_brightness",
    "surface_density",
]
