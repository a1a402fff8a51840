"""From what a telescope measures to Galactocentric positions and velocities, and their covariance.

astropy defines the frame; because its transformation is a rotation and a shift, that rotation is taken from
astropy once and applied here to all stars at a time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from astropy import units as u
from astropy.coordinates import (
    ICRS,
    CartesianDifferential,
    CartesianRepresentation,
    Galactocentric,
)
from jaxtyping import Float

from dm_map.errors import SampleError

__all__ = ["KM_S_PER_MAS_YR_KPC", "Observables", "SolarFrame"]

#: Transverse velocity in km/s of 1 mas/yr at 1 kpc.
KM_S_PER_MAS_YR_KPC = float(
    (1 * u.mas / u.yr * u.kpc).to_value(u.km / u.s, equivalencies=u.dimensionless_angles())
)

# Rows whose Jacobians (36 numbers each) are held at a time.
_CHUNK = 200_000


class Observables(NamedTuple):
    """What is measured of n stars, ICRS.

    Attributes:
        ra, dec: Position, deg.
        distance: kpc.
        pmra, pmdec: Proper motion, mas/yr; pmra includes cos(dec).
        radial_velocity: Barycentric, km/s.
    """

    ra: Float[np.ndarray, " n"]
    dec: Float[np.ndarray, " n"]
    distance: Float[np.ndarray, " n"]
    pmra: Float[np.ndarray, " n"]
    pmdec: Float[np.ndarray, " n"]
    radial_velocity: Float[np.ndarray, " n"]


@dataclass(frozen=True)
class SolarFrame:
    """Where the Sun is in the Galaxy and how it moves: fixes the Galactocentric Cartesian frame.

    The x axis points from the Sun's projection on the plane to the Galactic centre, y along the rotation
    of the disc, z to the north Galactic pole. The frame is inertial (no rotation with the disc).

    Attributes:
        distance: From the Sun to the Galactic centre, kpc.
        height: Of the Sun above the plane, pc.
        velocity: Of the Sun, (v_x, v_y, v_z), km/s.
        centre: Right ascension and declination of the Galactic centre (ICRS), deg.
        source: Where the numbers come from.

    Raises:
        SampleError: a value is not finite, the distance is not positive, or the height exceeds it.
    """

    distance: float = 8.122
    height: float = 20.8
    velocity: tuple[float, float, float] = (12.9, 245.6, 7.78)
    centre: tuple[float, float] = (266.4051, -28.936175)
    source: str = (
        "astropy Galactocentric defaults v4.0: GRAVITY 2018 (distance), Bennett & Bovy 2019 (height), "
        "Drimmel & Poggio 2018 (velocity), Reid & Brunthaler 2004 (centre)"
    )

    def __post_init__(self) -> None:
        numbers = (self.distance, self.height, *self.velocity, *self.centre)
        if len(self.velocity) != 3 or not all(map(math.isfinite, numbers)):
            raise SampleError(f"the Sun's distance, height and velocity are finite numbers; got {numbers}")
        if not abs(self.height) * 1e-3 < self.distance:
            raise SampleError(
                f"the Sun's distance in kpc is positive and exceeds its height in pc; got {self.distance} "
                f"kpc and {self.height} pc"
            )

    def astropy(self) -> Galactocentric:
        """The frame as astropy has it; independent of astropy's own defaults."""
        return Galactocentric(
            galcen_coord=ICRS(self.centre[0] * u.deg, self.centre[1] * u.deg),
            galcen_distance=self.distance * u.kpc,
            galcen_v_sun=CartesianDifferential(self.velocity * (u.km / u.s)),
            z_sun=self.height * u.pc,
            roll=0 * u.deg,
        )

    @property
    def position(self) -> tuple[float, float, float]:
        """Galactocentric position of the Sun, kpc."""
        x, y, z = (float(value) for value in _rotation_and_shift(self)[1])
        return x, y, z

    def phase_space(self, observed: Observables) -> tuple[Float[np.ndarray, "n 3"], Float[np.ndarray, "n 3"]]:
        """Galactocentric positions (kpc) and velocities (km/s) of n stars, each of shape (n, 3)."""
        rotation, shift = _rotation_and_shift(self)
        east, north, outward = _triad(observed.ra, observed.dec)
        tangential = observed.pmra[:, None] * east + observed.pmdec[:, None] * north
        v = KM_S_PER_MAS_YR_KPC * observed.distance[:, None] * tangential
        v += observed.radial_velocity[:, None] * outward
        x = observed.distance[:, None] * outward
        return x @ rotation.T + shift, v @ rotation.T + np.asarray(self.velocity)

    def observables(self, x: Float[np.ndarray, "n 3"], v: Float[np.ndarray, "n 3"]) -> Observables:
        """What would be measured of stars at x (kpc) with velocities v (km/s): inverse of `phase_space`.

        Raises:
            SampleError: a star is at the Sun itself, where no direction is defined.
        """
        rotation, shift = _rotation_and_shift(self)
        seen, moving = (x - shift) @ rotation, (v - np.asarray(self.velocity)) @ rotation
        distance = np.linalg.norm(seen, axis=1)
        if not np.all(distance > 0):
            raise SampleError(f"star {int(np.argmin(distance))} is at the Sun's own position {self.position}")
        ra = np.degrees(np.arctan2(seen[:, 1], seen[:, 0])) % 360.0
        dec = np.degrees(np.arctan2(seen[:, 2], np.hypot(seen[:, 0], seen[:, 1])))
        along = [np.sum(axis * moving, axis=1) for axis in _triad(ra, dec)]
        transverse = KM_S_PER_MAS_YR_KPC * distance
        return Observables(ra, dec, distance, along[0] / transverse, along[1] / transverse, along[2])

    def jacobian(self, observed: Observables) -> Float[np.ndarray, "n 6 6"]:
        """Derivatives of (x, v) by (ra cos(dec), dec, distance, pmra, pmdec, radial velocity).

        Angles in radians, otherwise the units of `Observables`. The proper motion is taken along the fixed
        directions east and north at the star, as in Gaia's astrometric model, so that nothing is special
        at the poles.

        Returns:
            Shape (n, 6, 6): rows x, y, z (kpc), v_x, v_y, v_z (km/s).
        """
        rotation, _ = _rotation_and_shift(self)
        triad = _triad(observed.ra, observed.dec)
        east, north, outward = (axis @ rotation.T for axis in triad)
        d, scale = observed.distance[:, None], KM_S_PER_MAS_YR_KPC
        pmra, pmdec, radial = (column[:, None] for column in observed[3:])
        found = np.zeros((len(east), 6, 6))
        found[:, :3, 0], found[:, :3, 1], found[:, :3, 2] = d * east, d * north, outward
        found[:, 3:, 0] = radial * east - scale * d * pmra * outward
        found[:, 3:, 1] = radial * north - scale * d * pmdec * outward
        found[:, 3:, 2] = scale * (pmra * east + pmdec * north)
        found[:, 3:, 3], found[:, 3:, 4], found[:, 3:, 5] = scale * d * east, scale * d * north, outward
        return found

    def covariance(
        self,
        observed: Observables,
        errors: Float[np.ndarray, "n 6"],
        correlations: dict[tuple[int, int], Float[np.ndarray, " n"]],
    ) -> Float[np.ndarray, "n 6 6"]:
        """Covariance of (x, v) to first order in the errors.

        First order is good while distance errors are small against the distance (below about 20 %).

        Args:
            observed: The measured values.
            errors: Standard errors in the order and units of `jacobian`.
            correlations: Correlation coefficients by (row, column) of that order; absent ones are zero.
        """
        found = np.empty((len(errors), 6, 6))
        for start in range(0, len(errors), _CHUNK):
            part = slice(start, start + _CHUNK)
            scaled = self.jacobian(Observables(*(column[part] for column in observed)))
            scaled *= errors[part, None, :]
            spread = np.broadcast_to(np.eye(6), scaled.shape).copy()
            for (i, j), coefficient in correlations.items():
                spread[:, i, j] = spread[:, j, i] = coefficient[part]
            found[part] = scaled @ spread @ np.swapaxes(scaled, -1, -2)
        return 0.5 * (found + np.swapaxes(found, -1, -2))


@lru_cache(maxsize=16)
def _rotation_and_shift(frame: SolarFrame) -> tuple[Float[np.ndarray, "3 3"], Float[np.ndarray, " 3"]]:
    """x_galactocentric = rotation @ x_icrs + shift, from what astropy makes of the origin and the axes."""
    corners = np.concatenate([np.zeros((3, 1)), np.eye(3)], axis=1) * u.kpc
    images = ICRS(CartesianRepresentation(corners)).transform_to(frame.astropy())
    placed = images.cartesian.xyz.to_value(u.kpc)
    shift = placed[:, 0].copy()
    rotation = placed[:, 1:] - shift[:, None]
    # The differences carry the rounding of numbers near 8; the nearest rotation does not.
    left, _, right = np.linalg.svd(rotation)
    rotation = left @ right
    rotation.flags.writeable = shift.flags.writeable = False
    return rotation, shift


def _triad(
    ra: Float[np.ndarray, " n"], dec: Float[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, "n 3"], Float[np.ndarray, "n 3"], Float[np.ndarray, "n 3"]]:
    """Unit vectors to the east, to the north and outward at each star, ICRS."""
    alpha, delta = np.radians(ra), np.radians(dec)
    zero = np.zeros_like(alpha)
    east = np.stack([-np.sin(alpha), np.cos(alpha), zero], axis=1)
    north = np.stack([-np.sin(delta) * np.cos(alpha), -np.sin(delta) * np.sin(alpha), np.cos(delta)], axis=1)
    outward = np.stack([np.cos(delta) * np.cos(alpha), np.cos(delta) * np.sin(alpha), np.sin(delta)], axis=1)
    return east, north, outward
