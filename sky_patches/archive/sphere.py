"""Positions in named frames, and distances on the sphere; unit vectors and degrees."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from astropy import units as u
from astropy.coordinates import BaseCoordinateFrame, SkyCoord, frame_transform_graph
from astropy.coordinates.errors import ConvertError
from jaxtyping import Bool, Float

from sky_patches.column_names import nearest
from sky_patches.errors import FrameError
from sky_patches.frames import PatchFrame, gala_frame_names

__all__ = [
    "arc_distance",
    "frame_named",
    "east_of",
    "separation",
    "to_frame",
    "unit_vectors",
    "winds_around",
]

_PROBE = SkyCoord([0.0, 90.0], [0.0, 45.0], unit="deg")


@lru_cache(maxsize=64)
def frame_named(name: str) -> BaseCoordinateFrame:
    """The frame that astropy knows as `name` ("icrs", "galactic", "fk5", ...), or gala ("GD1Koposov10").

    Raises:
        FrameError: an unknown name, or a frame that a direction alone cannot be expressed in.
    """
    found = frame_transform_graph.lookup_name(name.lower())
    if found is None:
        return _gala_frame(name)
    try:
        frame = found()
        moved = _PROBE.transform_to(frame).represent_as("unitspherical")
    except (ConvertError, ValueError, TypeError, AttributeError, u.UnitsError) as error:
        raise FrameError(
            f"directions cannot be expressed in the frame {name!r} without more settings ({error}); use one "
            "such as icrs, galactic, fk5 or supergalactic"
        ) from error
    if not (np.isfinite(moved.lon.deg).all() and np.isfinite(moved.lat.deg).all()):
        raise FrameError(f"directions cannot be expressed in the frame {name!r}; use icrs or galactic")
    return frame


def _gala_frame(name: str) -> BaseCoordinateFrame:
    exact = [known for known in gala_frame_names() if known.lower() == name.lower()]
    if not exact:
        choices = [*frame_transform_graph.get_names(), *gala_frame_names()]
        near = ", ".join(nearest(name, choices)) or "icrs, galactic"
        raise FrameError(f"neither astropy nor gala has a frame {name!r}; nearest: {near}")
    return PatchFrame.gala(exact[0]).to_astropy()


def to_frame(
    ra: Float[np.ndarray, " n"], dec: Float[np.ndarray, " n"], frame: str
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Longitude and latitude (deg) in a named frame of ICRS positions (deg)."""
    if frame.lower() == "icrs":
        return np.asarray(ra, dtype=float), np.asarray(dec, dtype=float)
    moved = SkyCoord(ra, dec, unit="deg").transform_to(frame_named(frame)).represent_as("unitspherical")
    return np.asarray(moved.lon.deg, dtype=float), np.asarray(moved.lat.deg, dtype=float)


def unit_vectors(lon: Float[np.ndarray, " n"], lat: Float[np.ndarray, " n"]) -> Float[np.ndarray, "n 3"]:
    """Cartesian unit vectors of angles in deg."""
    lam, phi = np.radians(lon), np.radians(lat)
    return np.column_stack([np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)])


def east_of(lon: Float[np.ndarray, " n"], start: float) -> Float[np.ndarray, " n"]:
    """How far east of the meridian `start` each longitude is, deg in [0, 360)."""
    east = np.mod(lon - start, 360.0)
    return np.where(east >= 360.0, 0.0, east)


def separation(there: Float[np.ndarray, "n 3"], here: Float[np.ndarray, "m 3"]) -> Float[np.ndarray, " n"]:
    """Angle (deg) between unit vectors, row by row, exact for small and for large angles."""
    difference = np.linalg.norm(there - here, axis=1)
    return np.degrees(2.0 * np.arctan2(difference, np.linalg.norm(there + here, axis=1)))


def arc_distance(
    there: Float[np.ndarray, "n 3"], start: Float[np.ndarray, " 3"], stop: Float[np.ndarray, " 3"]
) -> Float[np.ndarray, " n"]:
    """Angle (deg) from points to the shorter arc of the great circle between two others."""
    pole = np.cross(start, stop)
    length = float(np.linalg.norm(pole))
    ends = np.minimum(separation(there, start[None, :]), separation(there, stop[None, :]))
    if length < 1e-12:
        return ends
    pole = pole / length
    # Where the foot of the perpendicular lies between the ends, it is the nearest point.
    beyond_start = there @ np.cross(pole, start)
    before_stop = there @ np.cross(stop, pole)
    height = np.degrees(np.abs(np.arcsin(np.clip(there @ pole, -1.0, 1.0))))
    return np.where((beyond_start >= 0.0) & (before_stop >= 0.0), height, ends)


def winds_around(
    there: Float[np.ndarray, "n 3"], corners: Float[np.ndarray, "k 3"]
) -> Bool[np.ndarray, " n"]:
    """Whether a closed chain of arcs runs around each point, or around the point opposite to it."""
    total = np.zeros(len(there))
    for start, stop in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        # The angle at the point between the directions to both ends of the arc.
        first = np.cross(there, start)
        second = np.cross(there, stop)
        sine = np.einsum("ij,ij->i", there, np.cross(first, second))
        total += np.arctan2(sine, np.einsum("ij,ij->i", first, second))
    return np.abs(total) > np.pi
