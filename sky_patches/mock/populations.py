"""The Galaxy's stellar populations: where the stars of each are, how they move, how metal-rich they are."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

import astropy.units as u
import numpy as np
from astropy.coordinates import ICRS, CartesianDifferential, Galactocentric, SkyCoord
from jaxtyping import Float

__all__ = ["POPULATIONS", "Disc", "Halo", "Population", "galactocentric_frame", "galactocentric_positions"]


def galactocentric_frame() -> Galactocentric:
    """The Galactocentric frame of every mock: astropy's defaults of version v4.0, written out.

    Sun at 8.122 kpc (GRAVITY Collaboration 2018, A&A 615, L15), 20.8 pc above the plane (Bennett & Bovy 2019,
    MNRAS 482, 1417), moving at (12.9, 245.6, 7.78) km/s (Drimmel & Poggio 2018, RNAAS 2, 210). Right-handed:
    the Sun lies at x < 0 and the disc turns towards +y there.
    """
    return Galactocentric(
        galcen_coord=ICRS(ra=266.4051 * u.deg, dec=-28.936175 * u.deg),
        galcen_distance=8.122 * u.kpc,
        z_sun=20.8 * u.pc,
        galcen_v_sun=CartesianDifferential([12.9, 245.6, 7.78] * u.km / u.s),
        roll=0.0 * u.deg,
    )


def galactocentric_positions(
    directions: Float[np.ndarray, "n 3"], distance_kpc: Float[np.ndarray, "n k"]
) -> Float[np.ndarray, "n k 3"]:
    """Galactocentric positions in kpc of k distances along each of n ICRS unit vectors."""
    sun, axes = _affine()
    return sun + distance_kpc[..., None] * (directions @ axes)[:, None, :]


@cache
def _affine() -> tuple[Float[np.ndarray, " 3"], Float[np.ndarray, "3 3"]]:
    """The Sun's position (kpc), and the images of the three ICRS unit vectors relative to it."""
    # The transformation is affine: the images of the Sun and of the three unit vectors determine it.
    base = SkyCoord(
        x=[0.0, 1.0, 0.0, 0.0] * u.kpc,
        y=[0.0, 0.0, 1.0, 0.0] * u.kpc,
        z=[0.0, 0.0, 0.0, 1.0] * u.kpc,
        representation_type="cartesian",
        frame="icrs",
    ).transform_to(galactocentric_frame())
    images = base.cartesian.xyz.to_value(u.kpc).T
    return images[0], images[1:] - images[0]


_R_SUN = 8.122


@dataclass(frozen=True, slots=True)
class Disc:
    """Double exponential disc, exp(-(R - R_sun)/length - (|z| - z_sun)/height): 1 at the Sun; in kpc."""

    length: float
    height: float

    def __call__(self, xyz: Float[np.ndarray, "*shape 3"]) -> Float[np.ndarray, "*shape"]:
        """Density relative to the Sun's place, at Galactocentric positions in kpc."""
        radius = np.hypot(xyz[..., 0], xyz[..., 1])
        return np.exp(-(radius - _R_SUN) / self.length - (np.abs(xyz[..., 2]) - 0.0208) / self.height)


@dataclass(frozen=True, slots=True)
class Halo:
    """Flattened broken power law, m^-inner then m^-outer, m^2 = R^2 + (z/q)^2: 1 at the Sun; in kpc."""

    inner: float
    outer: float
    break_radius: float
    flattening: float

    def __call__(self, xyz: Float[np.ndarray, "*shape 3"]) -> Float[np.ndarray, "*shape"]:
        """Density relative to the Sun's place, at Galactocentric positions in kpc."""
        squared = xyz[..., 0] ** 2 + xyz[..., 1] ** 2 + (xyz[..., 2] / self.flattening) ** 2
        # A core of 0.5 kpc keeps the cusp at the Galactic centre integrable; nothing else sees it.
        m = np.sqrt(squared + 0.25)
        steep = np.where(m > self.break_radius, self.outer, self.inner)
        return (_R_SUN / self.break_radius) ** self.inner * (self.break_radius / m) ** steep


@dataclass(frozen=True, slots=True)
class Population:
    """One component of the Galaxy.

    Attributes:
        name: name of the component.
        law: density relative to its value at the Sun.
        local_fraction: number density at the Sun, in units of the thin disc's.
        dispersions: velocity dispersions in km/s along the axes of `alignment`.
        alignment: "cylindrical" (R, phi, z) or "spherical" (r, theta, phi) velocity ellipsoid.
        asymmetric_drift: lag behind the circular velocity in km/s; None for a population that does not
            rotate.
        feh_mean: mean [Fe/H].
        feh_spread: standard deviation of [Fe/H].
    """

    name: str
    law: Disc | Halo
    local_fraction: float
    dispersions: tuple[float, float, float]
    alignment: Literal["cylindrical", "spherical"]
    asymmetric_drift: float | None
    feh_mean: float
    feh_spread: float


POPULATIONS: tuple[Population, ...] = (
    Population("thin_disc", Disc(2.6, 0.3), 1.0, (43.1, 27.8, 17.5), "cylindrical", 15.0, -0.37, 0.20),
    Population("thick_disc", Disc(3.6, 0.9), 0.12, (67.0, 51.0, 42.0), "cylindrical", 53.0, -0.70, 0.25),
    Population(
        "halo", Halo(2.77, 4.6, 27.0, 0.64), 0.0036, (141.0, 75.0, 85.0), "spherical", None, -1.46, 0.30
    ),
)
"""Thin disc, thick disc and halo of the mock.

Density laws and local fractions: Juric et al. (2008, ApJ 673, 864, Table 10, corrected for bias), except that
the halo's fraction is 0.0036, not 0.0051, which gave too many faint stars against Gaia DR2 at (l, b) = (200,
45) deg. Outer halo slope and break: Deason et al. (2011, MNRAS 416, 2903). Disc kinematics and drifts: Robin
et al. (2003, A&A 409, 523, Table 4; for the thin disc its oldest age bin, which is what lies a kiloparsec
above the plane). Halo velocity ellipsoid: Bond et al. (2010, ApJ 716, 1). Metallicities: Robin et al. (2003)
and Ivezic et al. (2008, ApJ 684, 287), rounded.
"""
