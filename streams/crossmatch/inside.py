"""What of the known streams lies inside the footprints, where it could have been found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from sky_patches import PatchGeometry
from streams.crossmatch.known import KnownStream
from streams.crossmatch.track_line import positions_of

__all__ = ["Inside", "inside_footprints"]

# Every track has its own number of points, so that their axes have no name in common.
_Positions = tuple[Float[np.ndarray, " _"], Float[np.ndarray, " _"]]


@dataclass(frozen=True, eq=False)
class Inside:
    """The part of one known stream that was searched.

    Args:
        length: of its track, deg.
        stars: source_id of its listed members; None where the source has no list.
    """

    length: float
    stars: Int[np.ndarray, " n"] | None


def inside_footprints(known: Sequence[KnownStream], geometries: Sequence[PatchGeometry]) -> list[Inside]:
    """For each known stream, what lies in the fiducial region of at least one patch."""
    tracks = [positions_of(stream.line.points) for stream in known]
    lists = [None if s.members is None else (s.members.ra, s.members.dec) for s in known]
    every = tracks + [stars for stars in lists if stars is not None]
    searched = iter(_split(_searched(every, geometries), every))
    on_track = [next(searched) for _ in known]
    on_list = [None if stars is None else next(searched) for stars in lists]
    return [
        Inside(_length(stream, track), None if stream.members is None else stream.members.source_id[stars])
        for stream, track, stars in zip(known, on_track, on_list, strict=True)
    ]


def _length(stream: KnownStream, inside: Bool[np.ndarray, " n"]) -> float:
    """A step counts by how many of its two ends are inside."""
    steps = np.diff(stream.line.along)
    return float(np.sum(steps * (inside[1:].astype(float) + inside[:-1]) / 2.0))


def _searched(
    positions: Sequence[_Positions],
    geometries: Sequence[PatchGeometry],
) -> Bool[np.ndarray, " m"]:
    ra, dec = (np.concatenate([p[axis] for p in positions] or [np.zeros(0)]) for axis in (0, 1))
    found = np.zeros(len(ra), dtype=bool)
    for geometry in geometries:
        left = np.flatnonzero(~found)
        found[left] = geometry.is_fiducial(*geometry.frame.project_positions(ra[left], dec[left]))
    return found


def _split(
    values: Bool[np.ndarray, " m"],
    positions: Sequence[_Positions],
) -> list[np.ndarray]:
    return np.split(values, np.cumsum([len(ra) for ra, _ in positions]))[: len(positions)]
