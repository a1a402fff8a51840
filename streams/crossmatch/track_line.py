"""A track as a line on the sphere: where a star stands beside it, and what proper motion it has there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.spatial import cKDTree

from sky_patches.frames import tangent_axes, unit_vectors
from streams.crossmatch.errors import CrossMatchError

__all__ = ["Beside", "TrackLine", "motion_vectors", "positions_of"]

_SPACING_DEG = 0.1
_SMALLEST_STEP = 1e-9


@dataclass(frozen=True, eq=False)
class Beside:
    """Stars beside a track.

    Args:
        node: index of the nearest point of the line.
        separation: signed distance from the line, deg; beyond an end, the distance from the end.
        along: arc length along the line, deg.
        motion: proper motion minus the track's, (along, across) the track, mas/yr; NaN where it has none.
    """

    node: Int[np.ndarray, " n"]
    separation: Float[np.ndarray, " n"]
    along: Float[np.ndarray, " n"]
    motion: Float[np.ndarray, "n 2"]


@dataclass(frozen=True, eq=False)
class TrackLine:
    """Points on the sphere 0.1 deg apart; everything as Cartesian vectors, so that no pole is special.

    Args:
        points: unit vectors.
        tangents: unit vectors along the line.
        motions: proper motions as tangent vectors, mas/yr; NaN where the source has none.
        distance: kpc, or NaN.
        along: arc length from the first point, deg.
    """

    points: Float[np.ndarray, "n 3"]
    tangents: Float[np.ndarray, "n 3"]
    motions: Float[np.ndarray, "n 3"]
    distance: Float[np.ndarray, " n"]
    along: Float[np.ndarray, " n"]
    tree: cKDTree

    @classmethod
    def through(
        cls,
        ra: Float[np.ndarray, " n"],
        dec: Float[np.ndarray, " n"],
        pmra: Float[np.ndarray, " n"],
        pmdec: Float[np.ndarray, " n"],
        distance: Float[np.ndarray, " n"],
    ) -> TrackLine:
        """The line through nodes in order along a track (deg, mas/yr, kpc).

        Raises:
            CrossMatchError: all nodes are one point.
        """
        vectors = unit_vectors(ra, dec)
        values = np.column_stack([vectors, motion_vectors(ra, dec, pmra, pmdec), distance])
        steps = np.linalg.norm(np.diff(vectors, axis=0), axis=1)
        values = values[np.append(True, steps > _SMALLEST_STEP)]
        if len(values) < 2:
            raise CrossMatchError(
                f"a track needs two different points; all are at ra {ra[0]}, dec {dec[0]} deg"
            )
        values = _thinned_and_filled(values)
        points = values[:, :3] / np.linalg.norm(values[:, :3], axis=1, keepdims=True)
        gaps = _angle(np.linalg.norm(np.diff(points, axis=0), axis=1))
        along = np.append(0.0, np.cumsum(gaps))
        return cls(points, _tangents(points), values[:, 3:6], values[:, 6], along, cKDTree(points))

    @property
    def length(self) -> float:
        """Length, deg."""
        return float(self.along[-1])

    def beside(self, points: Float[np.ndarray, "m 3"], motions: Float[np.ndarray, "m 3"]) -> Beside:
        """Stars (unit vectors; proper motions as tangent vectors, mas/yr) as seen from the line.

        The track's motion is taken to the star without turning; over the few degrees that matter its length
        changes by less than a part in a thousand.
        """
        chord, node = self.tree.query(points)
        tangent, here = self.tangents[node], self.points[node]
        normal = np.cross(here, tangent)
        ahead = np.degrees(np.arctan2(_dot(points, tangent), _dot(points, here)))
        across = np.degrees(np.arcsin(np.clip(_dot(points, normal), -1.0, 1.0)))
        beyond = self._beyond(node, ahead)
        separation = np.where(beyond, np.copysign(_angle(chord), across), across)
        difference = motions - self.motions[node]
        motion = np.column_stack([_dot(difference, tangent), _dot(difference, normal)])
        along = self.along[node] + np.where(beyond, 0.0, ahead)
        return Beside(node, separation, np.clip(along, 0.0, self.length), motion)

    def distances(self, points: Float[np.ndarray, "m 3"]) -> Float[np.ndarray, " m"]:
        """Angle (deg) from the nearest point of the line."""
        return _angle(self.tree.query(points)[0])

    def _beyond(self, node: Int[np.ndarray, " n"], ahead: Float[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
        return ((node == 0) & (ahead < 0.0)) | ((node == len(self.points) - 1) & (ahead > 0.0))


def motion_vectors(
    ra: Float[np.ndarray, " n"],
    dec: Float[np.ndarray, " n"],
    pmra: Float[np.ndarray, " n"],
    pmdec: Float[np.ndarray, " n"],
) -> Float[np.ndarray, "n 3"]:
    """Proper motions (mas/yr, pmra with cos(dec)) at positions (deg) as tangent vectors."""
    east, north = tangent_axes(ra, dec)
    return pmra[:, None] * east + pmdec[:, None] * north


def positions_of(points: Float[np.ndarray, "n 3"]) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """(ra, dec) in deg of unit vectors."""
    ra = np.degrees(np.arctan2(points[:, 1], points[:, 0])) % 360.0
    return ra, np.degrees(np.arctan2(points[:, 2], np.hypot(points[:, 0], points[:, 1])))


def _thinned_and_filled(values: Float[np.ndarray, "n 7"]) -> Float[np.ndarray, "m 7"]:
    """Linear interpolation along the chords at about the spacing; vectors are made unit ones afterwards."""
    steps = np.linalg.norm(np.diff(values[:, :3], axis=0), axis=1)
    length = np.append(0.0, np.cumsum(steps))
    count = max(int(np.ceil(np.degrees(length[-1]) / _SPACING_DEG)), 1) + 1
    at = np.linspace(0.0, length[-1], count)
    return np.column_stack([np.interp(at, length, column) for column in values.T])


def _tangents(points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
    steps = np.gradient(points, axis=0)
    steps -= _dot(steps, points)[:, None] * points
    return steps / np.linalg.norm(steps, axis=1, keepdims=True)


def _angle(chord: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    return np.degrees(2.0 * np.arcsin(np.clip(chord / 2.0, 0.0, 1.0)))


def _dot(a: Float[np.ndarray, "n 3"], b: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, " n"]:
    return np.einsum("ni,ni->n", a, b)
