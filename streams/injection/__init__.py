"""Streams to put into real or mock patches, each with its truth: how complete is a search?

    place = Place.random(geometry, motion=(4.0, -6.0), rng=rng)
    stream = ModelStream(width=0.2, distance=9.0).make(place, survey, geometry, 100, rng)
    stream.stars, stream.truth

Three makers: `ModelStream` (a great circle and an old population's light), `MovedMembers` (real members of a
known stream turned onto another place), `SprayStream` (particle spray along an orbit).
"""

from __future__ import annotations

from streams.injection.densest import densest_motion
from streams.injection.errors import InjectionError
from streams.injection.light import surface_brightness, surface_density
from streams.injection.makers import StreamMaker
from streams.injection.model_stream import ModelStream
from streams.injection.moved_members import MovedMembers, great_circle_frame, read_members
from streams.injection.place import Place
from streams.injection.spray_stream import SprayStream
from streams.injection.survey import SurveyStars
from streams.injection.truth import InjectedStream, StreamTruth

__all__ = [
    "InjectedStream",
    "InjectionError",
    "ModelStream",
    "MovedMembers",
    "Place",
    "SprayStream",
    "StreamMaker",
    "StreamTruth",
    "SurveyStars",
    "densest_motion",
    "great_circle_frame",
    "read_members",
    "surface_brightness",
    "surface_density",
]
