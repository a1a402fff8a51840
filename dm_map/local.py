"""What is quoted of the Galaxy near the Sun: circular velocity, vertical force, surface density, dark matter.

From any field with members (a fitted potential), from a mock's truth, or from an `AccelerationMap`. Frame:
Galactocentric Cartesian in kpc, with the Sun on the negative x axis; the azimuth of the Sun is pi.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from dm_map.baryons import SOLAR_RADIUS, BaryonModel, dark_matter
from dm_map.errors import DmMapError
from dm_map.gravity import GALACTIC, GravityUnits, Smoothing
from dm_map.maps import AccelerationMap, Curve, DensityMap, Field, acceleration_map, density_map
from dm_map.maps import member_accelerations as accelerations_of
from dm_map.volume import Ball

__all__ = [
    "SUN_POSITION",
    "circular_velocity",
    "grid_RZ",
    "local_dark_matter",
    "meridional_points",
    "surface_density",
    "vertical_force",
]

#: The Sun in astropy's Galactocentric frame (defaults of v4.0), kpc.
SUN_POSITION = (-SOLAR_RADIUS, 0.0, 0.0208)

_SOLAR_AZIMUTH = math.pi
# Heights of the quadrature on either side of the plane, and directions on the circle of the radial term.
_HEIGHTS, _DIRECTIONS = 24, 16

Numbers = Float[np.ndarray, "..."] | Sequence[float] | float


def meridional_points(R: Numbers, z: Numbers, azimuth: float = _SOLAR_AZIMUTH) -> Float[np.ndarray, "n 3"]:
    """Positions at cylindrical radii R and heights z (broadcast against each other), one after another.

    Args:
        R: Cylindrical radii, kpc.
        z: Heights, kpc.
        azimuth: Angle from the x axis; the Sun's where left out.

    Raises:
        DmMapError: a radius is negative, or the shapes do not fit.
    """
    try:
        radius, height = np.broadcast_arrays(np.asarray(R, dtype=float), np.asarray(z, dtype=float))
    except ValueError as error:
        raise DmMapError(f"R and z must broadcast; got {np.shape(R)} and {np.shape(z)}") from error
    if np.any(radius < 0):
        raise DmMapError(f"cylindrical radii are not negative; the smallest is {radius.min():g}")
    x, y = radius * math.cos(azimuth), radius * math.sin(azimuth)
    return np.stack([x, y, height], axis=-1).reshape(-1, 3)


def grid_RZ(R: Numbers, z: Numbers, azimuth: float = _SOLAR_AZIMUTH) -> Float[np.ndarray, "n k 3"]:
    """Positions of a grid of n radii by k heights in a meridional plane.

    Raises:
        DmMapError: a radius is negative.
    """
    radius, height = np.atleast_1d(np.asarray(R, dtype=float)), np.atleast_1d(np.asarray(z, dtype=float))
    points = meridional_points(radius[:, None], height[None, :], azimuth)
    return points.reshape(len(radius), len(height), 3)


def circular_velocity(
    field: Field | AccelerationMap,
    R: Numbers | None = None,
    *,
    z: float = 0.0,
    azimuth: float = _SOLAR_AZIMUTH,
    volume: Ball | None = None,
    units: GravityUnits = GALACTIC,
) -> Curve:
    """v_c(R) = sqrt(-R a_R): the speed of a circular orbit if the radial force were axisymmetric.

    Args:
        field: A field, or a map, at whose positions it is evaluated.
        R: Cylindrical radii, kpc; left out for a map.
        z: Height, kpc.
        azimuth: Angle from the x axis.
        volume: Where the field was determined; None to trust it everywhere.
        units: Units of the field.

    Raises:
        DmMapError: no radii for a field, or the radial force of a member points outwards.
        VolumeError: a position lies outside the volume.
    """
    found = _map_of(field, R, z, azimuth, volume, units)
    radius = np.hypot(found.x[:, 0], found.x[:, 1])
    squared = -np.sum(found.members[..., :2] * found.x[:, :2], axis=-1)
    if np.any(squared < 0):
        member, position = (int(index) for index in np.argwhere(squared < 0)[0])
        raise DmMapError(
            f"the radial force of member {member} at {found.x[position]} points outwards: no circular orbit"
        )
    return Curve("v_c", "R", radius, np.sqrt(squared), found.units.length, found.units.velocity)


def vertical_force(
    field: Field | AccelerationMap,
    z: Numbers | None = None,
    *,
    R: float = SOLAR_RADIUS,
    azimuth: float = _SOLAR_AZIMUTH,
    volume: Ball | None = None,
    units: GravityUnits = GALACTIC,
) -> Curve:
    """K_z(R, z) = a_z, negative above the plane.

    Args:
        field: A field, or a map, at whose positions it is evaluated.
        z: Heights, kpc; left out for a map.
        R: Cylindrical radius, kpc.
        azimuth: Angle from the x axis.
        volume: Where the field was determined; None to trust it everywhere.
        units: Units of the field.

    Raises:
        DmMapError: no heights for a field.
        VolumeError: a position lies outside the volume.
    """
    found = _map_of(field, None if z is None else R, z, azimuth, volume, units)
    unit = found.units
    return Curve("K_z", "z", found.x[:, 2], found.members[..., 2], unit.length, unit.acceleration)


def surface_density(
    field: Field,
    z: Numbers,
    *,
    R: float = SOLAR_RADIUS,
    azimuth: float = _SOLAR_AZIMUTH,
    radial_term: bool = True,
    step: float = 0.1,
    volume: Ball | None = None,
    units: GravityUnits = GALACTIC,
) -> Curve:
    """Surface density of all matter at |z'| < z, from accelerations alone.

    Poisson's equation integrated from -z to z:

        Sigma(z) = [a_z(-z) - a_z(z)] / (4 pi G) - 1/(4 pi G) int_-z^z (d a_x/dx + d a_y/dy) dz'

    The first term is |K_z| / (2 pi G) in a symmetric disc, the usual approximation; the second vanishes only
    where the circular velocity is flat, and matters above 1 kpc. Its horizontal divergence is the mean over a
    disc of radius `step`, from the flux through its rim: no derivative is taken.

    Args:
        field: A field.
        z: Heights, kpc, positive.
        R: Cylindrical radius, kpc.
        azimuth: Angle from the x axis.
        radial_term: Whether the second term is added.
        step: Radius of the disc, kpc.
        volume: Where the field was determined; None to trust it everywhere.
        units: Units of the field.

    Raises:
        DmMapError: a height or the step is not positive.
        VolumeError: a position lies outside the volume.
    """
    heights = np.atleast_1d(np.asarray(z, dtype=float))
    if heights.ndim != 1 or not np.all(heights > 0) or not step > 0:
        raise DmMapError(f"a surface density takes positive heights and a positive step; got {z} and {step}")
    both = np.concatenate([-heights, heights])
    ends = meridional_points(R, both, azimuth)
    if volume is not None:
        volume.within(max(volume.radius - step, np.finfo(float).tiny)).require(ends)
    vertical = accelerations_of(field, ends)[..., 2]
    total = vertical[:, len(heights) :] - vertical[:, : len(heights)]
    if radial_term:
        total = total + _horizontal_divergence(field, heights, R, azimuth, step)
    members = units.rho_per_divergence * units.surface_per_column * total
    return Curve("Sigma", "z", heights, members, units.length, units.surface)


def local_dark_matter(
    field: Field,
    baryons: BaryonModel,
    *,
    at: Float[np.ndarray, "p 3"] | None = None,
    smoothing: Smoothing | None = None,
    volume: Ball | None = None,
    draws: int = 64,
    seed: int = 0,
    source: str = "bootstrap",
) -> DensityMap:
    """Density of the dark matter at the Sun, or at other positions: the total of the field less the baryons.

    In the plane the baryons are nearly nine tenths of the mass, and their error is as large as the dark
    matter; at 1 kpc it is a tenth of it, at 2 kpc a fiftieth: quote both places, and both baryon models.

    Args:
        field: A field, in Galactic units.
        baryons: Stars and gas.
        at: Positions, kpc; the Sun's where left out.
        smoothing: How the total is measured; the field's own density where left out.
        volume: Where the field was determined; None to trust it everywhere.
        draws: Draws of the baryons.
        seed: Seed of the draws.
        source: What the members of the field vary.

    Raises:
        VolumeError: a position lies outside the volume.
    """
    positions = np.array([SUN_POSITION]) if at is None else at
    total = density_map(field, positions, smoothing, volume=volume, source=source)
    return dark_matter(total, baryons, draws=draws, seed=seed)


def _map_of(
    field: Field | AccelerationMap,
    R: Numbers | None,
    z: Numbers | None,
    azimuth: float,
    volume: Ball | None,
    units: GravityUnits,
) -> AccelerationMap:
    if isinstance(field, AccelerationMap):
        if volume is not None:
            volume.require(field.x)
        return field
    if R is None or z is None:
        raise DmMapError(
            "a field is evaluated at radii R or heights z; give them, or pass an AccelerationMap"
        )
    return acceleration_map(field, meridional_points(R, z, azimuth), volume=volume, units=units)


def _horizontal_divergence(
    field: Field, heights: Float[np.ndarray, " p"], R: float, azimuth: float, step: float
) -> Float[np.ndarray, "m p"]:
    """int_-z^z (d a_x/dx + d a_y/dy) dz' for each height, by Gauss-Legendre on either side of the plane."""
    node, weight = np.polynomial.legendre.leggauss(_HEIGHTS)
    share = np.concatenate([-0.5 * (1.0 + node), 0.5 * (1.0 + node)])
    angle = 2.0 * math.pi * np.arange(_DIRECTIONS) / _DIRECTIONS
    rim = np.stack([np.cos(angle), np.sin(angle), np.zeros_like(angle)], axis=-1)
    columns = []
    for height in heights:
        centres = meridional_points(R, height * share, azimuth)
        a = accelerations_of(field, centres[:, None, :] + step * rim)
        divergence = 2.0 / step * np.mean(np.sum(a * rim, axis=-1), axis=-1)
        columns.append(divergence @ np.tile(0.5 * height * weight, 2))
    return np.stack(columns, axis=-1)
