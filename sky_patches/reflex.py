"""The Sun's own motion in proper motions, and its removal for stars of known distance.

A star at rest in the Galaxy seems to move, because the Sun does: by -v_sun, seen across its distance d,

    mu = -v_sun,perpendicular / (4.74 d)        mas/yr, with v in km/s and d in kpc

Members of a stream share a velocity, not a proper motion: only with the Sun's part removed do proper
motions lie along the stream (gala's `reflex_correct` does the same on SkyCoord objects; the tests hold this
to it).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from astropy import units as u
from astropy.coordinates import ICRS, CartesianDifferential, Galactocentric, SkyCoord
from astropy.table import Column, Table
from jaxtyping import Float

from sky_patches.errors import FrameError
from sky_patches.frames import Scalars, numbers, table_column, tangent_axes, unit_vectors

__all__ = ["SUN", "SolarMotion", "reflex_corrected", "reflex_motion"]

_KM_S = u.km / u.s
_MAS_YR = u.mas / u.yr
# mas/yr of 1 km/s across the line of sight at 1 kpc.
_MAS_YR_PER_KM_S = float((1 * _KM_S / u.kpc).to_value(_MAS_YR, u.dimensionless_angles()))


@dataclass(frozen=True)
class SolarMotion:
    """Where the Sun is and how it moves, as astropy's Galactocentric frame takes it.

    The values are those of astropy's `galactocentric_frame_defaults` "v4.0", written out so that results do
    not change with astropy's choice.

    Attributes:
        distance_kpc: to the Galactic centre (GRAVITY Collaboration 2018).
        height_pc: above the mid-plane (Bennett & Bovy 2019).
        velocity_km_s: towards the centre, along rotation, and to the North, relative to the Galaxy (Drimmel &
            Poggio 2018, from Reid & Brunthaler 2004 and GRAVITY Collaboration 2018).
        centre_ra_deg, centre_dec_deg: direction of the Galactic centre, ICRS (Reid & Brunthaler 2004).
    """

    distance_kpc: float = 8.122
    height_pc: float = 20.8
    velocity_km_s: tuple[float, float, float] = (12.9, 245.6, 7.78)
    centre_ra_deg: float = 266.4051
    centre_dec_deg: float = -28.936175

    def to_astropy(self) -> Galactocentric:
        """The Galactocentric frame of these values."""
        return Galactocentric(
            galcen_coord=ICRS(ra=self.centre_ra_deg * u.deg, dec=self.centre_dec_deg * u.deg),
            galcen_distance=self.distance_kpc * u.kpc,
            galcen_v_sun=CartesianDifferential(self.velocity_km_s, unit=_KM_S),
            z_sun=self.height_pc * u.pc,
            roll=0 * u.deg,
        )

    @property
    def velocity_icrs(self) -> Float[np.ndarray, " 3"]:
        """Velocity of the Sun in the Galaxy along the ICRS axes, km/s, read-only."""
        return _velocity_icrs(self)


SUN = SolarMotion()
"""The default Sun: that of astropy's "v4.0"."""


def reflex_motion(
    ra: Scalars, dec: Scalars, distance: Scalars, sun: SolarMotion = SUN
) -> tuple[Float[np.ndarray, "..."], Float[np.ndarray, "..."]]:
    """Proper motion (pmra with cos(dec), pmdec; mas/yr) that a star at rest in the Galaxy shows.

    Args:
        ra, dec: ICRS position, deg or Quantity; any shape, broadcast.
        distance: from the Sun, kpc or Quantity.

    Raises:
        FrameError: a distance is not positive.
    """
    right, up, far = np.broadcast_arrays(numbers(ra, u.deg), numbers(dec, u.deg), numbers(distance, u.kpc))
    if np.any(far <= 0):
        raise FrameError(f"distances must be positive; got {float(far.min())} kpc")
    east, north = tangent_axes(right, up)
    scale = -_MAS_YR_PER_KM_S / far
    return np.asarray(scale * (east @ sun.velocity_icrs)), np.asarray(scale * (north @ sun.velocity_icrs))


def reflex_corrected(stars: Table, distance: Scalars, sun: SolarMotion = SUN) -> Table:
    """The stars with the Sun's motion taken out of pmra and pmdec: a new table, same rows and order.

    A radial velocity, where there is one, is corrected too: it gains the Sun's velocity towards the star.
    Errors stay as they are; an error of the distance is not propagated. Project afterwards to have
    corrected motions in a patch frame.

    Args:
        stars: Table with ra, dec, pmra and pmdec; columns without a unit are in Gaia's.
        distance: of all stars or of each, kpc or Quantity.

    Raises:
        FrameError: a column is missing, the stars are corrected already, or a distance is not positive.
    """
    if "reflex_corrected" in stars.meta:
        raise FrameError(
            "the motions of this table are corrected for the Sun's already; start from the original"
        )
    ra, dec = (table_column(stars, name, u.deg) for name in ("ra", "dec"))
    motions = [table_column(stars, name, _MAS_YR) for name in ("pmra", "pmdec")]
    reflex = reflex_motion(ra, dec, distance, sun)
    corrected = stars.copy()
    for name, motion, part in zip(("pmra", "pmdec"), motions, reflex, strict=True):
        corrected[name] = Column(motion - part, unit=_MAS_YR)
    if "radial_velocity" in stars.colnames:
        velocity = table_column(stars, "radial_velocity", _KM_S)
        corrected["radial_velocity"] = Column(
            velocity + unit_vectors(ra, dec) @ sun.velocity_icrs, unit=_KM_S
        )
    corrected.meta["reflex_corrected"] = {"velocity_km_s": list(sun.velocity_km_s)}
    return corrected


@lru_cache(maxsize=16)
def _velocity_icrs(sun: SolarMotion) -> Float[np.ndarray, " 3"]:
    # What is at rest in the Galaxy moves against the Sun, wherever it is: the frames differ by a constant.
    rest = SkyCoord(
        x=[0.0] * u.kpc, y=[0.0] * u.kpc, z=[0.0] * u.kpc,
        v_x=[0.0] * _KM_S, v_y=[0.0] * _KM_S, v_z=[0.0] * _KM_S,
        frame=sun.to_astropy(),
    )  # fmt: skip
    velocity = -np.asarray(rest.transform_to(ICRS()).velocity.d_xyz.to_value(_KM_S))[:, 0]
    velocity.setflags(write=False)
    return velocity
