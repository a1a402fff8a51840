"""Pieces of real streams (the STREAMFINDER list), turned onto lines across a field of stars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from _likelihood_skies import Field, HiddenSky, HiddenStream, lines_across
from astropy.table import Table, vstack
from jaxtyping import Float

from sky_patches.frames import unit_vectors
from streams import StreamStars
from streams.crossmatch import galstreams_streams
from streams.injection import MovedMembers, great_circle_frame, read_members

__all__ = ["LENGTH", "STREAMS", "Piece", "pieces", "sky_with_pieces"]

STREAMS: Mapping[int, str] = {
    4: "AAU-ATLAS", 19: "Leiptr", 33: "Gaia-10", 34: "NGC3201-Gjoll", 41: "Ylgr", 44: "Gaia-7",
    48: "Orphan-Chenab", 53: "GD-1", 59: "Gaia-6", 61: "Pal5", 63: "Kshir", 64: "Svol",
}  # fmt: skip
"""Number in the list and name of the galstreams track, which has the distance: narrow streams (scatter across
below 1 deg) with 60 members or more within 20 deg, whose proper motions stay below 14 mas/yr."""
LENGTH = 20.0
"""Of a piece, deg: the diameter of the field."""


@dataclass(frozen=True, eq=False)
class Piece:
    """The 20 deg of a stream that hold most of its members.

    Args:
        number: of the stream in the list.
        name: of the stream.
        members: their rows of the list.
        motion: mean proper motion (along, across) in the middle of the piece, mas/yr.
        gradient: its change along the piece, mas/yr/deg.
        width: scatter of the members across a parabola along the piece, deg.
        distance: of the galstreams track there, kpc.
    """

    number: int
    name: str
    members: Table
    motion: tuple[float, float]
    gradient: tuple[float, float]
    width: float
    distance: float

    @classmethod
    def of(cls, members: Table, number: int, name: str, distance: float) -> Piece:
        """Measure a piece that was cut out."""
        ra, dec, pmra, pmdec = (
            np.asarray(members[column], dtype=float) for column in ("ra", "dec", "pmra", "pmdec")
        )
        frame = great_circle_frame(ra, dec)
        along, across = frame.project_positions(ra, dec)
        motions = frame.project_motions(ra, dec, pmra, pmdec)
        (first, slope1), (second, slope2) = (
            np.polynomial.polynomial.polyfit(along, motion, 1) for motion in motions
        )
        residual = across - np.polyval(np.polyfit(along, across, 2), along)
        motion, gradient = (float(first), float(second)), (float(slope1), float(slope2))
        return cls(number, name, members, motion, gradient, float(np.std(residual)), distance)


@lru_cache(maxsize=4)
def pieces(path: Path, numbers: Sequence[int]) -> tuple[Piece, ...]:
    """The densest piece of each stream of a member list.

    Args:
        path: as `streams.injection.read_members` takes it.
        numbers: of the streams, keys of `STREAMS`.
    """
    members, tracks = read_members(path), {one.name: one for one in galstreams_streams()}
    found = []
    for number in numbers:
        own = _densest(members[np.asarray(members["stream"]) == number])
        track = tracks[STREAMS[number]]
        middle = unit_vectors(np.asarray(own["ra"]), np.asarray(own["dec"])).mean(axis=0)
        nearest = int(np.argmax(unit_vectors(track.ra, track.dec) @ middle))
        found.append(Piece.of(own, number, STREAMS[number], float(track.distance[nearest])))
    return tuple(found)


def _densest(members: Table) -> Table:
    ra, dec = (np.asarray(members[name], dtype=float) for name in ("ra", "dec"))
    along, _ = great_circle_frame(ra, dec).project_positions(ra, dec)
    inside: Float[np.ndarray, "n n"] = np.abs(along[:, None] - along) <= LENGTH / 2
    return members[inside[np.argmax(inside.sum(axis=1))]]


def sky_with_pieces(
    field: Field, chosen: Sequence[Piece], count: int | None, seeds: Sequence[int]
) -> tuple[HiddenSky, tuple[Piece, ...]]:
    """The field with a number of members of each piece; their truth, and the pieces in the same order.

    A piece is turned from its own great circle onto a line of the field, its proper motions with it (the mean
    of both components stays what it is along and across the stream). Members fainter than the field's limit,
    or outside it, do not count.

    Args:
        field: stars, without streams.
        chosen: pieces.
        count: members kept of each, at random; fewer where fewer are seen. None: all that are seen.
        seeds: of the places and the choice of members.
    """
    places = lines_across(field, [one.motion for one in chosen], np.random.default_rng([*seeds, 0]))
    tables, truths = [field.table], []
    for one, place in zip(chosen, places, strict=True):
        rng = np.random.default_rng([*seeds, one.number])
        maker = MovedMembers(one.members, one.number, length=LENGTH)
        # `lines_across` reads proper motions in the frame of the patch; these are along and across the line.
        made = maker.make(
            replace(place, motion=one.motion), field.survey, field.geometry, len(one.members), rng
        )
        listed = field.observed(made.stars)[:count]
        tables.append(listed[field.table.colnames])
        identifiers = np.sort(np.asarray(listed["source_id"], dtype=np.int64))
        truths.append(HiddenStream(one.name, identifiers, one.motion))
    table = vstack(tables)
    table = table[np.argsort(np.asarray(table["source_id"]), kind="stable")]
    return HiddenSky(field.geometry, table, StreamStars.from_table(table), tuple(truths)), tuple(chosen)
