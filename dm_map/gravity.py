"""From accelerations to mass density: Poisson's equation and Gauss's theorem, in Galactic units.

Positions are in kpc, velocities in km/s, accelerations in (km/s)^2/kpc, mass densities in Msun/pc^3.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from astropy import constants
from astropy import units as u
from jaxtyping import Float
from scipy.integrate import lebedev_rule

from dm_map.errors import DmMapError

__all__ = [
    "GEV_PER_CM3",
    "GRAVITATIONAL_CONSTANT",
    "mass_density",
    "mean_density_in_ball",
    "rho_per_divergence",
]

#: G in kpc (km/s)^2 / Msun.
GRAVITATIONAL_CONSTANT = float(constants.G.to_value(u.kpc * (u.km / u.s) ** 2 / u.Msun))

#: One Msun/pc^3 in GeV/cm^3 (rest energy), the unit of direct-detection experiments.
GEV_PER_CM3 = float((1 * u.Msun / u.pc**3 * constants.c**2).to_value(u.GeV / u.cm**3))

_PC3_PER_KPC3 = float((1 * u.kpc**3).to_value(u.pc**3))

Acceleration = Callable[[np.ndarray], np.ndarray]


def rho_per_divergence(gravitational_constant: float = GRAVITATIONAL_CONSTANT) -> float:
    """Mass density per unit of div a: -1/(4 pi G), in (Msun/kpc^3) / ((km/s)^2/kpc^2) by default."""
    return -1.0 / (4.0 * math.pi * gravitational_constant)


def mass_density(divergence: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """Mass density rho = -div a / (4 pi G) (Poisson's equation).

    Args:
        divergence: div a in (km/s)^2/kpc^2, any shape.

    Returns:
        rho in Msun/pc^3, same shape; negative where the acceleration diverges.
    """
    return np.asarray(rho_per_divergence() / _PC3_PER_KPC3 * divergence)


def mean_density_in_ball(
    acceleration: Acceleration, centres: Float[np.ndarray, "p 3"], radius: float, *, order: int = 17
) -> Float[np.ndarray, " p"]:
    """Mean mass density within balls from the flux through their surfaces: no derivative is taken.

    Gauss's theorem: rho = -3 <a . n> / (4 pi G h), the mean over the sphere by a Lebedev rule, exact for
    accelerations that are polynomials of degree below `order` on it.

    Args:
        acceleration: Function from positions (n, 3) in kpc to accelerations (n, 3) in (km/s)^2/kpc.
        centres: Centres of p balls, kpc.
        radius: Their radius h, kpc.
        order: Order of the Lebedev rule (3, 5, ..., 31, 35, 41, ... as in scipy.integrate.lebedev_rule).

    Returns:
        Mean densities in Msun/pc^3, shape (p,).

    Raises:
        DmMapError: the radius is not positive, or there is no rule of that order.
    """
    if not (radius > 0 and math.isfinite(radius)):
        raise DmMapError(f"a ball's radius is a positive length in kpc; got {radius}")
    try:
        nodes, weights = lebedev_rule(order)
    except NotImplementedError as error:
        raise DmMapError(f"there is no Lebedev rule of order {order}; try 17 or 31") from error
    normals = nodes.T
    surface = centres[:, None, :] + radius * normals
    field = acceleration(surface.reshape(-1, 3)).reshape(surface.shape)
    flux = np.sum(field * normals, axis=-1) @ (weights / weights.sum())
    return mass_density(3.0 / radius * flux)
