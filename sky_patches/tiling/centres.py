"""Centres of equal circles that cover a polar cap of the sky (and its mirror image), or the whole sky.

Rings: circles of radius f whose n centres stand on a parallel of latitude b cover a band around it. The band
ends in notches, where neighbouring circles cross, and in peaks, half a step aside:

    sin b sin h + cos b cos h cos(pi / n) = cos f      (h: latitude of a notch)

The next ring either has the same n, turned by half a step, so that its peaks fit the notches (the planar
optimum: Kershner 1939), or another n and then starts where the notches end. Which n each ring has is chosen
by a beam search for the fewest circles.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.spatial import SphericalVoronoi

from sky_patches.errors import TilingError

__all__ = ["Ring", "healpix_centres", "ring_centres", "rings_above"]

_BEAM = 150
_QUARTER = math.pi / 2
# Rounding must not open a gap: circles are laid out as if smaller by a milliarcsecond.
_SAFETY = math.radians(1e-3 / 3600)
_LARGEST_NSIDE = 512


@dataclass(frozen=True)
class Ring:
    """Centres on one parallel: latitude and phase of the first in deg, and how many.

    Attributes:
        turned: whether the ring continues the pattern of the one before it.
    """

    latitude: float
    count: int
    phase: float = 0.0
    turned: bool = False

    def centres(self) -> Float[np.ndarray, "n 2"]:
        """(longitude, latitude) of each centre, deg."""
        longitude = (self.phase + 360.0 * np.arange(self.count) / self.count) % 360.0
        return np.column_stack([longitude, np.full(self.count, self.latitude)])


@dataclass(frozen=True)
class _State:
    circles: int
    rings: tuple[Ring, ...]
    covered: float
    """Latitude (rad) below which nothing is left open: the notches of the last ring."""

    def merit(self, limit: float) -> float:
        return (math.sin(self.covered) - math.sin(limit)) / self.circles


def ring_centres(fiducial_deg: float, min_abs_b: float) -> Float[np.ndarray, "n 2"]:
    """(longitude, latitude), deg, of circles of radius `fiducial_deg` covering |latitude| >= `min_abs_b`."""
    north = np.concatenate([ring.centres() for ring in rings_above(fiducial_deg, min_abs_b)])
    return np.concatenate([north, north * [1.0, -1.0]])


def rings_above(fiducial_deg: float, limit_deg: float) -> tuple[Ring, ...]:
    """The rings of circles of radius `fiducial_deg` that cover all latitudes from `limit_deg` to the pole."""
    reach, limit = math.radians(fiducial_deg) - _SAFETY, math.radians(limit_deg)
    if _QUARTER - limit <= reach:
        return (Ring(90.0, 1),)
    beam, best = [_State(0, (), limit)], None
    while beam:
        grown = [after for state in beam for after in _grown(state, reach)]
        finished = [state for state in grown if state.covered >= _QUARTER]
        best = min([*finished, *([] if best is None else [best])], key=lambda s: s.circles, default=None)
        limit_count = math.inf if best is None else best.circles
        open_ended = [s for s in grown if s.covered < _QUARTER and s.circles < limit_count]
        beam = _fittest(open_ended, limit)
    if best is None:
        raise TilingError(f"no rings of circles of {fiducial_deg} deg cover the sky above {limit_deg} deg")
    return best.rings


def _fittest(states: list[_State], limit: float) -> list[_State]:
    """The states worth continuing: of two with equal numbers of circles, last and in all, the higher one."""
    highest: dict[tuple[int, int], _State] = {}
    for state in states:
        key = (state.circles, state.rings[-1].count)
        if key not in highest or state.covered > highest[key].covered:
            highest[key] = state
    return sorted(highest.values(), key=lambda s: -s.merit(limit))[:_BEAM]


def _grown(state: _State, reach: float) -> list[_State]:
    """All ways to add a ring, or the one circle that closes the pole."""
    if state.rings and state.covered >= _QUARTER - reach:
        return [_State(state.circles + 1, (*state.rings, Ring(90.0, 1)), _QUARTER)]
    fewest = max(3, math.ceil(math.pi * math.cos(state.covered) / math.sin(reach)))
    counts = range(max(3, int(0.6 * fewest)), max(8, int(1.7 * fewest)) + 1)
    fresh = [(_crossing(state.covered, count, reach), count, False) for count in counts]
    if state.rings:
        last = state.rings[-1]
        fresh.append((_turned_latitude(last, reach), last.count, True))
    return [
        _with_ring(state, min(latitude, _QUARTER), count, turned, reach)
        for latitude, count, turned in fresh
        if latitude is not None and (not state.rings or latitude > math.radians(state.rings[-1].latitude))
    ]


def _with_ring(state: _State, latitude: float, count: int, turned: bool, reach: float) -> _State:
    phase = 0.0
    if turned:
        phase = state.rings[-1].phase + 180.0 / count
    ring = Ring(math.degrees(latitude), count, phase % 360.0, turned)
    notch = _crossing(latitude, count, reach)
    covered = state.covered if notch is None else min(notch, _QUARTER)
    return _State(state.circles + count, (*state.rings, ring), covered)


def _turned_latitude(ring: Ring, reach: float) -> float | None:
    """Highest latitude of a ring of as many circles, turned by half a step, that leaves no gap to this one.

    Its peaks must reach down into this ring's notches, and this ring's peaks up into its notches.
    """
    latitude = math.radians(ring.latitude)
    notch = _crossing(latitude, ring.count, reach)
    under = _crossing(latitude + reach, ring.count, reach)
    return None if notch is None or under is None else min(notch + reach, under)


def _crossing(latitude: float, count: int, reach: float) -> float | None:
    """Upper latitude (rad) at distance `reach` from (0, latitude) on the meridian pi/count away, or None.

    The equation is symmetric in both latitudes: it gives the notch above a ring, and also the highest ring
    whose lower notch is at `latitude`.
    """
    across, up = math.cos(latitude) * math.cos(math.pi / count), math.sin(latitude)
    amplitude = math.hypot(across, up)
    if amplitude < math.cos(reach):
        return None
    return math.atan2(up, across) + math.acos(math.cos(reach) / amplitude)


def healpix_centres(fiducial_deg: float) -> Float[np.ndarray, "n 2"]:
    """(longitude, latitude) in deg of the pixels of the coarsest HEALPix grid whose circles cover the sky.

    Any nside counts, not only powers of two: only the centres are used.
    """
    import healpy as hp  # late: it loads matplotlib.pyplot

    smallest = max(1, int(0.8 * math.degrees(hp.max_pixrad(1)) / fiducial_deg) - 1)
    for nside in range(smallest, _LARGEST_NSIDE + 1):
        longitude, latitude = hp.pix2ang(nside, np.arange(12 * nside**2), lonlat=True)
        if _largest_gap(longitude, latitude) <= fiducial_deg - math.degrees(_SAFETY):
            return np.column_stack([longitude, latitude])
    raise TilingError(
        f"a fiducial radius of {fiducial_deg} deg needs a HEALPix grid finer than nside {_LARGEST_NSIDE}"
    )


def _largest_gap(longitude: np.ndarray, latitude: np.ndarray) -> float:
    """Largest distance (deg) of any point of the sphere to its nearest centre: a corner of a Voronoi cell."""
    lon, lat = np.radians(longitude), np.radians(latitude)
    vectors = np.column_stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])
    cells = SphericalVoronoi(vectors)
    nearest = [
        float(np.min(cells.vertices[corners] @ centre))
        for centre, corners in zip(vectors, cells.regions, strict=True)
    ]
    return math.degrees(math.acos(min(nearest)))
