"""The baryons of the solar neighbourhood by census: McKee, Parravano & Hollenbach (2015), ApJ 814, 13.

arXiv:1509.05334. What comes from where:

* Surface densities of stars, Msun/pc^2 (abstract): M dwarfs 17.3 +- 2.3; visible stars with them 27.0 +-
  2.7, so that the others have 9.7 +- 1.4 (difference, in quadrature); white dwarfs 4.9 +- 0.6; all stars and
  remnants 33.4 +- 3, which leaves 1.5 +- 1.2 (difference, in quadrature) for brown dwarfs (1.2), neutron
  stars and black holes.
* Gas (their table 2): mid-plane densities of hydrogen nuclei and vertical profiles of H2, three phases of HI,
  and HII; mass 1.4 m_H for each nucleus. The columns add up to 13.6, theirs to 13.7 +- 1.6 (the smooth
  profile of HII leaves out the Gum nebula). The error is one common factor.
* Mid-plane: 0.097 +- 0.013 Msun/pc^3 of all matter and 0.013 +- 0.003 of dark matter (abstract) leave 0.084
  for the baryons and, less the gas of table 2, 0.043 for the stars, whose error is quoted as 0.004; the gas
  is left with an error of 0.012 (difference, in quadrature).

Assumptions of ours, where the census is silent or its tables are finer than this model:

* all stars share one exponential scale height, their surface density over twice their mid-plane density: 388
  pc (the census has a height for each class);
* a drawn mid-plane density stretches all heights of stars, or all of gas, by one factor;
* away from the Sun stars fall off as exp(-R/2.6 kpc) (+- 0.5 kpc: the thin disc of Bland-Hawthorn & Gerhard
  2016, ARA&A 54, 529, section 5.1), H2 and HI as in McMillan (2017), and HII as HI. Heights do not flare.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from astropy import constants
from astropy import units as u

from dm_map.baryons.layers import Disc, Layered, VerticalProfile, positive_draw

__all__ = ["CensusBaryons"]

# Name, surface density and error in Msun/pc^2.
_STARS = (
    ("M dwarfs", 17.3, 2.3),
    ("other visible stars", 9.7, 1.4),
    ("white dwarfs", 4.9, 0.6),
    ("brown dwarfs, neutron stars, black holes", 1.5, 1.2),
)
_MIDPLANE_STARS, _MIDPLANE_STARS_ERROR = 0.043, 0.004

# Name, hydrogen nuclei per cm^3 in the plane, scale in kpc, vertical profile, radial length and hole in kpc.
_GAS: tuple[tuple[str, float, float, VerticalProfile, float, float], ...] = (
    ("H2", 0.15, 0.105, "gaussian", 1.5, 12.0),
    ("HI, cold", 0.80, 0.127, "gaussian", 7.0, 4.0),
    ("HI, warm", 0.13, 0.318, "gaussian", 7.0, 4.0),
    ("HI, warm and extended", 0.077, 0.403, "exponential", 7.0, 4.0),
    ("HII", 0.0154, 1.590, "exponential", 7.0, 4.0),
)
_GAS_COLUMN, _GAS_COLUMN_ERROR = 13.7, 1.6
_ALL_ERROR, _DARK_ERROR = 0.013, 0.003
_LENGTH, _LENGTH_ERROR = 2.6, 0.5

# Msun/pc^3 for one hydrogen nucleus per cm^3: helium and metals bring the mass to 1.4 m_H.
_RHO_PER_NUCLEUS = float((1.4 * 1.00794 * constants.u / u.cm**3).to_value(u.Msun / u.pc**3))
_FULL_WIDTH = {"exponential": 2.0, "gaussian": float(np.sqrt(np.pi))}


@dataclass(frozen=True)
class CensusBaryons(Layered):
    """Stars and gas by McKee et al. (2015); see the module for each number's source.

    Attributes:
        stars: Surface densities at the Sun, Msun/pc^2: M dwarfs, other visible stars, white dwarfs, the rest.
        midplane_stars: Mass density of all stars in the plane, Msun/pc^3.
        gas: Factor to all surface densities of gas.
        midplane_gas: Factor to all mid-plane densities of gas.
        length: Scale length of the stars, kpc.
    """

    name: ClassVar[str] = "census"
    reference: ClassVar[str] = "McKee, Parravano & Hollenbach 2015, ApJ 814, 13 (arXiv:1509.05334)"

    stars: tuple[float, float, float, float] = (17.3, 9.7, 4.9, 1.5)
    midplane_stars: float = _MIDPLANE_STARS
    gas: float = 1.0
    midplane_gas: float = 1.0
    length: float = _LENGTH

    @property
    def discs(self) -> tuple[Disc, ...]:
        """Four layers of stars, five of gas."""
        height = sum(self.stars) / (2.0 * self.midplane_stars) / 1000.0
        stars = [
            Disc.local(name, "stars", column, height, "exponential", self.length)
            for (name, _, _), column in zip(_STARS, self.stars, strict=True)
        ]
        return (*stars, *self._gas())

    def draw(self, seed: int) -> CensusBaryons:
        """The model with its parameters drawn within their errors, independently."""
        rng = np.random.default_rng(seed)
        first, second, third, rest = (positive_draw(rng, value, error) for _, value, error in _STARS)
        midplane_gas = sum(row[1] for row in _GAS) * _RHO_PER_NUCLEUS
        gas_error = np.sqrt(_ALL_ERROR**2 - _DARK_ERROR**2 - _MIDPLANE_STARS_ERROR**2) / midplane_gas
        return replace(
            self,
            stars=(first, second, third, rest),
            midplane_stars=positive_draw(rng, _MIDPLANE_STARS, _MIDPLANE_STARS_ERROR),
            gas=positive_draw(rng, 1.0, _GAS_COLUMN_ERROR / _GAS_COLUMN),
            midplane_gas=positive_draw(rng, 1.0, float(gas_error)),
            length=positive_draw(rng, _LENGTH, _LENGTH_ERROR),
        )

    def _gas(self) -> list[Disc]:
        stretch = self.gas / self.midplane_gas
        layers = []
        for name, nuclei, scale, profile, length, hole in _GAS:
            column = self.gas * nuclei * _RHO_PER_NUCLEUS * _FULL_WIDTH[profile] * scale * 1000.0
            layers.append(Disc.local(name, "gas", column, stretch * scale, profile, length, hole))
        return layers
