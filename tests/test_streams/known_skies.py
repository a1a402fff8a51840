"""Synthetic known streams and candidates for the tests of the cross-match; no file is needed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sky_patches import PatchFrame, PatchGeometry
from streams.crossmatch import KnownStream
from streams.members import MemberStars

__all__ = ["GEOMETRIES", "KNOWN", "known_stream", "members_on", "sky", "turned", "turned_known"]

_FIRST_ID = 1_000_000


def known_stream(
    name: str,
    ra: float,
    dec: float,
    rotation: float,
    motion: tuple[float, float],
    *,
    source: str = "paper",
    half_length: float = 20.0,
    width: float = 0.2,
    listed: int = 0,
) -> KnownStream:
    """A stream on a great circle about a position, with a proper motion (along, across) and maybe a list."""
    frame = PatchFrame.offset(ra, dec, rotation)
    phi1 = np.linspace(-half_length, half_length, 41)
    along, across = np.full(41, motion[0]), np.full(41, motion[1])
    track = (*frame.unproject(phi1, 0.0 * phi1), *frame.unproject_motions(phi1, 0.0 * phi1, along, across))
    stream = KnownStream(name, source, track[0], track[1], np.full(41, 10.0), track[2], track[3], width)
    if not listed:
        return stream
    members = members_on(stream, listed, seed=len(name), first_id=_FIRST_ID * (1 + abs(int(ra))))
    return replace(stream, members=members)


def members_on(
    stream: KnownStream,
    stars: int,
    *,
    seed: int,
    first_id: int = 1,
    part: tuple[float, float] = (0.0, 1.0),
    error: float = 0.2,
) -> MemberStars:
    """Stars scattered about a part of a track by its width, with proper motions of the given error."""
    rng = np.random.default_rng(seed)
    node = rng.integers(int(part[0] * 40), int(part[1] * 40) + 1, stars)
    ra0, dec0 = stream.ra[node], stream.dec[node]
    x, y = rng.normal(0.0, stream.width, (2, stars))
    dec = dec0 + y
    nothing = np.full(stars, np.nan)
    values = {name: nothing for name in MemberStars.__dataclass_fields__}
    values |= {
        "source_id": first_id + np.arange(stars), "probability": rng.uniform(0.55, 1.0, stars),
        "ra": ra0 + x / np.cos(np.radians(dec)), "dec": dec,
        "pmra": np.nan_to_num(stream.pmra[node]) + rng.normal(0.0, error, stars),
        "pmdec": np.nan_to_num(stream.pmdec[node]) + rng.normal(0.0, error, stars),
    }  # fmt: skip
    return MemberStars(**values)


def turned(stars: MemberStars, by: PatchFrame, first_id: int | None = None) -> MemberStars:
    """The stars with the sky turned so that the frame's coordinates become ICRS."""
    ra, dec = by.project_positions(stars.ra, stars.dec)
    pmra, pmdec = by.project_motions(stars.ra, stars.dec, stars.pmra, stars.pmdec)
    ids = stars.source_id if first_id is None else first_id + np.arange(len(stars))
    return replace(stars, source_id=ids, ra=ra % 360.0, dec=dec, pmra=pmra, pmdec=pmdec)


def turned_known(stream: KnownStream, by: PatchFrame) -> KnownStream:
    """A known stream on the turned sky."""
    ra, dec = by.project_positions(stream.ra, stream.dec)
    pmra, pmdec = by.project_motions(stream.ra, stream.dec, stream.pmra, stream.pmdec)
    members = None if stream.members is None else turned(stream.members, by)
    return replace(stream, ra=ra % 360.0, dec=dec, pmra=pmra, pmdec=pmdec, members=members)


KNOWN = (
    known_stream("North", 150.0, 35.0, 20.0, (-6.0, 2.0), listed=200),
    known_stream("Wrap", 358.0, -20.0, 80.0, (3.0, -4.0)),
    known_stream("Polar", 40.0, 80.0, 100.0, (5.0, 0.0), listed=80),
    known_stream("Still", 210.0, -45.0, 0.0, (float("nan"), float("nan"))),
)
GEOMETRIES = (
    PatchGeometry.circle("north", 150.0, 35.0, 15.0, 10.0),
    PatchGeometry.circle("wrap", 358.0, -20.0, 15.0),
)


def sky() -> dict[str, MemberStars]:
    """A candidate of each known stream, of stars that nobody listed."""
    return {
        f"VM-{number + 1}": members_on(stream, 60, seed=number, first_id=10 * number + 1, part=(0.3, 0.7))
        for number, stream in enumerate(KNOWN)
    }
