"""Units of a gravitational field, and Poisson's equation in them.

Galactic units: kpc, km/s, (km/s)^2/kpc for accelerations, Msun/pc^3 for mass densities.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from astropy import constants
from astropy import units as u
from jaxtyping import Float

__all__ = [
    "GALACTIC",
    "GEV_PER_CM3",
    "GRAVITATIONAL_CONSTANT",
    "NATURAL",
    "GravityUnits",
    "mass_density",
    "rho_per_divergence",
]

#: G in kpc (km/s)^2 / Msun.
GRAVITATIONAL_CONSTANT = float(constants.G.to_value(u.kpc * (u.km / u.s) ** 2 / u.Msun))

#: One Msun/pc^3 in GeV/cm^3 (rest energy), the unit of direct-detection experiments.
GEV_PER_CM3 = float((1 * u.Msun / u.pc**3 * constants.c**2).to_value(u.GeV / u.cm**3))

_PC3_PER_KPC3 = float((1 * u.kpc**3).to_value(u.pc**3))


def rho_per_divergence(gravitational_constant: float = GRAVITATIONAL_CONSTANT) -> float:
    """Mass density per unit of div a: -1/(4 pi G), in (Msun/kpc^3) / ((km/s)^2/kpc^2) by default."""
    return -1.0 / (4.0 * math.pi * gravitational_constant)


@dataclass(frozen=True)
class GravityUnits:
    """Units of a field: Galactic ones, or natural ones (G = 1) of textbook models.

    Attributes:
        length: Name of the unit of positions.
        velocity: Name of the unit of velocities.
        rho: Name of the unit of mass density.
        rho_per_divergence: Mass density per unit of div a, -1/(4 pi G) in these units.
    """

    length: str
    velocity: str
    rho: str
    rho_per_divergence: float

    @property
    def acceleration(self) -> str:
        """Name of the unit of accelerations: km2 / (kpc s2) in Galactic units."""
        return str(u.Unit(self.velocity) ** 2 / u.Unit(self.length)) if self.length else ""

    @property
    def surface(self) -> str:
        """Name of the unit of surface densities: Msun/pc2 in Galactic units."""
        return "Msun/pc2" if self.rho else ""

    @property
    def surface_per_column(self) -> float:
        """Surface density per unit of (rho times length): 1000 Msun/pc^2 in a kpc of one Msun/pc^3."""
        if not self.rho:
            return 1.0
        return float((u.Unit(self.rho) * u.Unit(self.length)).to(u.Unit(self.surface)))


#: kpc, km/s, Msun/pc^3.
GALACTIC = GravityUnits("kpc", "km/s", "Msun/pc3", rho_per_divergence() / _PC3_PER_KPC3)

#: G = 1 and the model's own mass and length.
NATURAL = GravityUnits("", "", "", rho_per_divergence(1.0))


def mass_density(
    divergence: Float[np.ndarray, "..."], units: GravityUnits = GALACTIC
) -> Float[np.ndarray, "..."]:
    """Mass density rho = -div a / (4 pi G) (Poisson's equation).

    Args:
        divergence: div a, in (km/s)^2/kpc^2 for Galactic units, any shape.
        units: Units of the field.

    Returns:
        rho in Msun/pc^3 for Galactic units, same shape; negative where the acceleration diverges.
    """
    return np.asarray(units.rho_per_divergence * divergence)
