"""The great circle along a stream: a frame in which the stream lies on the equator, and its error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import astropy.units as u
import numpy as np
from astropy.coordinates import BaseCoordinateFrame, SkyCoord
from jaxtyping import Float

from sky_patches.frames import tangent_axes, unit_vectors
from streams.description.errors import DescriptionError
from streams.description.regression import regress
from streams.members import MemberStars

__all__ = ["GreatCircle", "MemberCoordinates", "fit_great_circle", "sky_angles", "weighted_quantiles"]

LEAST_STARS = 3
"""A great circle has two parameters, and its width is a third."""
_MIDDLE_ROUNDS = 3


@dataclass(frozen=True, eq=False)
class MemberCoordinates:
    """Member stars in a stream's own frame; row for row as the members.

    Args:
        phi1, phi2: along and across the great circle, deg; phi1 in (-180, 180].
        pm_phi1_cosphi2, pm_phi2: mas/yr, as observed.
        pm_phi1_cosphi2_error, pm_phi2_error: mas/yr; NaN where the survey has none.
    """

    phi1: Float[np.ndarray, " n"]
    phi2: Float[np.ndarray, " n"]
    pm_phi1_cosphi2: Float[np.ndarray, " n"]
    pm_phi2: Float[np.ndarray, " n"]
    pm_phi1_cosphi2_error: Float[np.ndarray, " n"]
    pm_phi2_error: Float[np.ndarray, " n"]


@dataclass(frozen=True)
class GreatCircle:
    """A frame with its equator on a great circle: gala's GreatCircleICRSFrame as plain numbers.

    Args:
        pole_ra, pole_dec: ICRS position of phi2 = +90 deg, deg.
        ra0, dec0: ICRS position of (phi1, phi2) = (0, 0), deg; 90 deg from the pole.
        pole_error: largest standard error of the pole in any direction, deg; NaN where it is not known.
    """

    pole_ra: float
    pole_dec: float
    ra0: float
    dec0: float
    pole_error: float = float("nan")

    @property
    def matrix(self) -> Float[np.ndarray, "3 3"]:
        """Rotation from ICRS unit vectors to this frame's; if rounding tilts the axes, the origin is kept."""
        origin = unit_vectors(np.array(self.ra0), np.array(self.dec0))
        pole = unit_vectors(np.array(self.pole_ra), np.array(self.pole_dec))
        second = np.cross(pole, origin)
        second /= np.linalg.norm(second)
        return np.stack([origin, second, np.cross(origin, second)])

    def frame(self) -> BaseCoordinateFrame:
        """The same frame as `gala.coordinates.GreatCircleICRSFrame`."""
        from gala.coordinates import GreatCircleICRSFrame

        pole = SkyCoord(self.pole_ra * u.deg, self.pole_dec * u.deg)
        return GreatCircleICRSFrame(pole=pole, origin=SkyCoord(self.ra0 * u.deg, self.dec0 * u.deg))

    def positions(
        self, ra: Float[np.ndarray, "*shape"], dec: Float[np.ndarray, "*shape"]
    ) -> tuple[Float[np.ndarray, "*shape"], Float[np.ndarray, "*shape"]]:
        """(phi1, phi2), deg, of ICRS positions, deg."""
        return sky_angles(unit_vectors(ra, dec) @ self.matrix.T)

    def sky(
        self, phi1: Float[np.ndarray, "*shape"], phi2: Float[np.ndarray, "*shape"]
    ) -> tuple[Float[np.ndarray, "*shape"], Float[np.ndarray, "*shape"]]:
        """(ra, dec), deg, ra in [0, 360), of positions in this frame: the inverse of `positions`."""
        ra, dec = sky_angles(unit_vectors(phi1, phi2) @ self.matrix)
        wrapped = np.asarray(ra % 360.0)
        return np.where(wrapped >= 360.0, 0.0, wrapped), dec

    def project(self, members: MemberStars) -> MemberCoordinates:
        """Positions, proper motions and their errors in this frame."""
        phi1, phi2 = self.positions(members.ra, members.dec)
        turn = self._jacobian(members.ra, members.dec, phi1, phi2)
        motion = np.einsum("nij,nj->ni", turn, np.column_stack([members.pmra, members.pmdec]))
        errors = np.column_stack([members.pmra_error, members.pmdec_error])
        correlation = np.nan_to_num(members.pmra_pmdec_corr)
        # Variance along each new axis: a^2 s1^2 + b^2 s2^2 + 2 a b rho s1 s2.
        scaled = turn * errors[:, None, :]
        variance = (scaled**2).sum(axis=2) + 2.0 * correlation[:, None] * scaled.prod(axis=2)
        error = np.sqrt(np.maximum(variance, 0.0))
        return MemberCoordinates(phi1, phi2, motion[:, 0], motion[:, 1], error[:, 0], error[:, 1])

    def sky_motions(
        self,
        phi1: Float[np.ndarray, " n"],
        phi2: Float[np.ndarray, " n"],
        pm_phi1_cosphi2: Float[np.ndarray, " n"],
        pm_phi2: Float[np.ndarray, " n"],
    ) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
        """(pmra, pmdec), mas/yr (pmra with cos(dec)), of proper motions in this frame."""
        turn = self._jacobian(*self.sky(phi1, phi2), phi1, phi2)
        motion = np.einsum("nji,nj->ni", turn, np.column_stack([pm_phi1_cosphi2, pm_phi2]))
        return motion[:, 0], motion[:, 1]

    def to_dict(self) -> dict[str, float]:
        """Plain values that `from_dict` turns back into an equal frame."""
        names = ("pole_ra", "pole_dec", "ra0", "dec0", "pole_error")
        return {name: getattr(self, name) for name in names}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> GreatCircle:
        """The frame that `to_dict` described."""
        return cls(**values)

    def _jacobian(self, ra: Any, dec: Any, phi1: Any, phi2: Any) -> Float[np.ndarray, "n 2 2"]:
        """From (pmra, pmdec) to (pm_phi1_cosphi2, pm_phi2), one rotation for each star."""
        old = np.stack(tangent_axes(ra, dec), axis=-2) @ self.matrix.T
        new = np.stack(tangent_axes(phi1, phi2), axis=-2)
        return new @ np.swapaxes(old, -1, -2)


def sky_angles(
    vectors: Float[np.ndarray, "*shape 3"],
) -> tuple[Float[np.ndarray, "*shape"], Float[np.ndarray, "*shape"]]:
    """Longitude in (-180, 180] and latitude, deg, of vectors of any length."""
    x, y, z = np.moveaxis(vectors, -1, 0)
    longitude = np.degrees(np.arctan2(y, x))
    longitude = np.where(longitude <= -180.0, 180.0, longitude)
    # arctan2 keeps full precision at the poles, where arcsin loses half of it.
    return np.asarray(longitude), np.asarray(np.degrees(np.arctan2(z, np.hypot(x, y))))


def weighted_quantiles(
    values: Float[np.ndarray, " n"], weight: Float[np.ndarray, " n"], shares: Float[np.ndarray, " k"]
) -> Float[np.ndarray, " k"]:
    """Quantiles of weighted values: a star stands at the middle of its own step of the cumulated weight."""
    order = np.argsort(values, kind="stable")
    cumulated = np.cumsum(weight[order])
    return np.interp(shares, (cumulated - 0.5 * weight[order]) / cumulated[-1], values[order])


def fit_great_circle(members: MemberStars) -> GreatCircle:
    """The great circle nearest to the members: least mean square of their distances, weighted by probability.

    The pole n minimises sum_i p_i (n . x_i)^2: it is the eigenvector of the smallest eigenvalue of the
    weighted sum of x x^T, a closed form without a start and without a singular place on the sky. With the
    probabilities of a fitted mixture as weights this is its M-step. Of the two poles, that one is taken
    about which the stream's mean proper motion is towards growing phi1, so a rotated sky has a rotated pole.
    The origin is the weighted median along the stream. The error is that of a regression
    phi2 = u cos(phi1) + v sin(phi1), see `regress`: the pole moves by u towards the origin, by v beside it.

    Raises:
        DescriptionError: fewer than three stars have a probability above zero, or a value is not finite.
    """
    _check(members)
    vectors, weight = unit_vectors(members.ra, members.dec), members.probability
    _, axes = np.linalg.eigh((vectors * weight[:, None]).T @ vectors)
    pole, origin = axes[:, 0], _across((vectors * weight[:, None]).sum(axis=0), axes[:, 0])
    pole = pole if _prograde(members, pole) else -pole
    for _ in range(_MIDDLE_ROUNDS):
        # The median of an angle depends on where it is cut: cut opposite to the last median.
        phi1, phi2 = sky_angles(vectors @ np.stack([origin, np.cross(pole, origin), pole]).T)
        middle = np.radians(weighted_quantiles(phi1, weight, np.array([0.5]))[0])
        origin = np.cos(middle) * origin + np.sin(middle) * np.cross(pole, origin)
    phi1, phi2 = sky_angles(vectors @ np.stack([origin, np.cross(pole, origin), pole]).T)
    spread = (weight * phi2**2).sum() / weight.sum()
    design = np.column_stack([np.cos(np.radians(phi1)), np.sin(np.radians(phi1))])
    tilt = regress(design, phi2, np.full(len(phi2), max(spread, 1e-12)), weight).covariance
    (pole_ra, ra0), (pole_dec, dec0) = sky_angles(np.stack([pole, origin]))
    error = float(np.sqrt(np.linalg.eigvalsh(tilt)[-1]))
    return GreatCircle(float(pole_ra % 360.0), float(pole_dec), float(ra0 % 360.0), float(dec0), error)


def _check(members: MemberStars) -> None:
    values = np.stack([members.probability, members.ra, members.dec, members.pmra, members.pmdec])
    bad = ~np.isfinite(values).all(axis=0)
    if bad.any():
        raise DescriptionError(
            f"{bad.sum()} of {len(members)} member stars have no finite position, proper motion or "
            f"probability (first: source_id {members.source_id[bad][0]}): leave them out"
        )
    counted = int((members.probability > 0).sum())
    if counted < LEAST_STARS:
        raise DescriptionError(
            f"a stream is described from at least {LEAST_STARS} stars of probability above 0; got {counted}"
        )


def _across(vector: Float[np.ndarray, " 3"], pole: Float[np.ndarray, " 3"]) -> Float[np.ndarray, " 3"]:
    """The unit vector of a direction's part in the plane of the great circle."""
    inside = vector - (vector @ pole) * pole
    length = float(np.linalg.norm(inside))
    if length < 1e-9:
        # A stream all around the sky has no middle: any fixed place of the circle serves.
        inside = np.cross(pole, np.eye(3)[int(np.argmin(np.abs(pole)))])
        length = float(np.linalg.norm(inside))
    return inside / length


def _prograde(members: MemberStars, pole: Float[np.ndarray, " 3"]) -> bool:
    """Whether the members move, on average, towards growing phi1 about this pole: (x cross v) . pole > 0."""
    east, north = tangent_axes(members.ra, members.dec)
    velocity = members.pmra[:, None] * east + members.pmdec[:, None] * north
    turning = np.cross(unit_vectors(members.ra, members.dec), velocity) @ pole
    return bool((members.probability * turning).sum() >= 0.0)
