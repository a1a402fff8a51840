"""The same stream under several names and from several sources is one known stream."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from streams.agreement import agreement
from streams.crossmatch.known import KnownStream

__all__ = ["KnownGroup", "group_streams"]

_SYNONYMS: dict[str, tuple[str, ...]] = {
    "aau": ("aauatlas", "aaualiqauma", "atlas", "aliqauma"),
    "fimbulthul": ("omegacen", "omegacenfimbulthul", "ngc5139"),
    "fjorm": ("m68", "m68fjorm", "ngc4590"),
    "gjoll": ("ngc3201", "ngc3201gjoll"),
    "jhelum": ("jheluma", "jhelumb"),
    "lms1": ("wukong",),
    "m2": ("ngc7089",),
    "m5": ("ngc5904",),
    "m30": ("ngc7099",),
    "m92": ("ngc6341",),
    "orphan": ("chenab", "orphanchenab"),
    "pal5": ("palomar5",),
    "pal13": ("palomar13",),
    "pal15": ("palomar15",),
    "svol": ("m3svol",),
}
_CANONICAL = {alias: name for name, aliases in _SYNONYMS.items() for alias in aliases}
_SAME_TRACK_DEG = 1.0
_SAME_MOTION = 0.5
_SAME_MOTION_SHARE = 0.05
_SAME_SHARE = 0.6
_SAME_MEMBERS = 0.3
_EVERY = 5
"""Half a degree between the points at which two tracks are compared."""


@dataclass(frozen=True)
class KnownGroup:
    """One known stream and all its descriptions.

    Args:
        name: the most telling of its names.
        streams: its descriptions, in order of source.
    """

    name: str
    streams: tuple[KnownStream, ...]

    @property
    def sources(self) -> str:
        """The sources, separated by commas."""
        return ", ".join(stream.source for stream in self.streams)


def group_streams(known: Sequence[KnownStream]) -> tuple[KnownGroup, ...]:
    """Put together what is one stream: the same name but for case and punctuation, a known synonym, a shared
    part of the members, or one track within a degree with one proper motion along it (both known).

    The result is in order of name and does not depend on the order of the input.
    """
    ordered = sorted(known, key=lambda stream: (stream.source, stream.name))
    pairs = [
        (i, j)
        for i, first in enumerate(ordered)
        for j, second in enumerate(ordered[:i])
        if _key(first.name) == _key(second.name) or _same_members(first, second) or _same_track(first, second)
    ]
    rows, columns = np.array(pairs, dtype=int).reshape(-1, 2).T
    links = coo_array((np.ones(len(rows)), (rows, columns)), shape=(len(ordered), len(ordered)))
    labels = connected_components(links, directed=False)[1] if ordered else np.zeros(0, dtype=int)
    groups = [
        tuple(stream for stream, label in zip(ordered, labels, strict=True) if label == number)
        for number in np.unique(labels)
    ]
    return tuple(sorted((KnownGroup(_name(streams), streams) for streams in groups), key=lambda g: g.name))


def _key(name: str) -> str:
    plain = "".join(character for character in name.lower() if character.isalnum())
    return _CANONICAL.get(plain, plain)


def _name(streams: tuple[KnownStream, ...]) -> str:
    """A name rather than a number, and the one of the longest track."""
    return min(streams, key=lambda s: (_key(s.name).startswith("streamfinder"), -s.line.length, s.name)).name


def _same_members(first: KnownStream, second: KnownStream) -> bool:
    if first.members is None or second.members is None:
        return False
    both = agreement(first.members.source_id, second.members.source_id)
    return max(both.purity, both.completeness) >= _SAME_MEMBERS


def _same_track(first: KnownStream, second: KnownStream) -> bool:
    if not (first.has_proper_motion and second.has_proper_motion):
        return False
    short, long = sorted((first, second), key=lambda stream: stream.line.length)
    points, motions = short.line.points[::_EVERY], short.line.motions[::_EVERY]
    if long.line.distances(points[len(points) // 2 :][:1])[0] > short.line.length + _SAME_TRACK_DEG:
        return False
    beside = long.line.beside(points, motions)
    near = np.abs(beside.separation) <= _SAME_TRACK_DEG
    near &= np.isfinite(beside.motion).all(axis=1)
    if near.mean() < _SAME_SHARE:
        return False
    speed = float(np.median(np.linalg.norm(motions[near], axis=1)))
    difference = float(np.median(np.linalg.norm(beside.motion[near], axis=1)))
    return difference <= math.hypot(_SAME_MOTION, _SAME_MOTION_SHARE * speed)
