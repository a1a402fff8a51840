"""Mass density from accelerations without a derivative: flux through a sphere, and a Gaussian kernel.

Both return the density smoothed over a known volume, never the density at a point: a comparison needs the
truth smoothed alike, which `dm_map.gravity.smoothing` provides.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float
from scipy.integrate import lebedev_rule
from scipy.special import roots_genlaguerre

from dm_map.errors import DmMapError
from dm_map.gravity.quadrature import sum_around
from dm_map.gravity.units import GALACTIC, GravityUnits, mass_density

__all__ = ["kernel_density", "kernel_widths", "mean_density_in_ball"]

#: Positions (n, 3) to accelerations (n, 3), or to those of m members at once, (m, n, 3).
Acceleration = Callable[[np.ndarray], np.ndarray]


def mean_density_in_ball(
    acceleration: Acceleration,
    centres: Float[np.ndarray, "p 3"],
    radius: float,
    *,
    order: int = 17,
    units: GravityUnits = GALACTIC,
) -> Float[np.ndarray, "*members p"]:
    """Mean mass density within balls from the flux through their surfaces: no derivative is taken.

    Gauss's theorem: rho = -3 <a . n> / (4 pi G h), the mean over the sphere by a Lebedev rule, exact for
    accelerations that are polynomials of degree below `order` on it.

    Args:
        acceleration: Function from positions (n, 3) to accelerations (n, 3), or (m, n, 3) for m members.
        centres: Centres of p balls, kpc for Galactic units.
        radius: Their radius h.
        order: Order of the Lebedev rule (3, 5, ..., 31, 35, 41, ... as in scipy.integrate.lebedev_rule).
        units: Units of the field.

    Returns:
        Mean densities, Msun/pc^3 for Galactic units, shape (p,) or (m, p).

    Raises:
        DmMapError: the radius is not positive, or there is no rule of that order.
    """
    if not (radius > 0 and math.isfinite(radius)):
        raise DmMapError(f"a ball's radius is a positive length; got {radius}")
    normals, weights = _sphere(order)
    flux = sum_around(acceleration, centres, radius * normals, normals * weights[:, None])
    return mass_density(3.0 / radius * flux, units)


def kernel_density(
    acceleration: Acceleration,
    x: Float[np.ndarray, "p 3"],
    width: float | Sequence[float],
    *,
    radii: int = 10,
    order: int = 17,
    units: GravityUnits = GALACTIC,
) -> Float[np.ndarray, "*members p"]:
    """Mass density smoothed by a Gaussian kernel, without a derivative.

    By parts, the smoothed divergence is the expectation of the accelerations against the kernel's score:
    rho_K = -1/(4 pi G) E[ sum_i (a_i(x + d) - a_i(x - d)) d_i / (2 h_i^2) ] over d_i ~ N(0, h_i^2). The
    antithetic steps d are those of a quadrature, Gauss-Laguerre in d^2/2h^2 times a Lebedev rule in its
    direction: on smooth fields 1,100 of them come much closer than 8,192 quasi-random ones.

    Args:
        acceleration: Function from positions (n, 3) to accelerations (n, 3), or (m, n, 3) for m members.
        x: Positions, kpc for Galactic units.
        width: Standard deviation h of the kernel: one number, or one for each axis.
        radii: Number of lengths of d.
        order: Order of the Lebedev rule.
        units: Units of the field.

    Returns:
        Smoothed densities, Msun/pc^3 for Galactic units, shape (p,) or (m, p).

    Raises:
        DmMapError: a width is not positive, or there is no rule of that order.
    """
    widths = kernel_widths(width)
    if radii < 1:
        raise DmMapError(f"a kernel takes one or more radii; got {radii}")
    normals, weights = _sphere(order)
    squared, radial = roots_genlaguerre(radii, 0.5)
    steps = (np.sqrt(2.0 * squared)[:, None, None] * normals).reshape(-1, 3)
    against = steps * np.outer(radial / radial.sum(), weights).reshape(-1, 1)
    return mass_density(sum_around(acceleration, x, steps * widths, against / widths), units)


def kernel_widths(width: float | Sequence[float]) -> Float[np.ndarray, "3"]:
    """The three standard deviations of a kernel.

    Raises:
        DmMapError: not one or three positive numbers.
    """
    widths = np.asarray(width, dtype=np.float64)
    if widths.shape not in ((), (3,)) or not np.all((widths > 0) & np.isfinite(widths)):
        raise DmMapError(f"a kernel's width is one positive length, or three; got {width}")
    return np.broadcast_to(widths, (3,)).copy()


def _sphere(order: int) -> tuple[Float[np.ndarray, "k 3"], Float[np.ndarray, " k"]]:
    """Directions and weights (of sum one) of a Lebedev rule; with each direction comes its opposite."""
    try:
        nodes, weights = lebedev_rule(order)
    except NotImplementedError as error:
        raise DmMapError(f"there is no Lebedev rule of order {order}; try 17 or 31") from error
    return nodes.T, weights / weights.sum()
