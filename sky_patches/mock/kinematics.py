"""Velocities of the populations, and what they look like from the Sun."""

from __future__ import annotations

import astropy.units as u
import numpy as np
from astropy.coordinates import ICRS, CartesianDifferential, CartesianRepresentation
from astropy.table import Table
from jaxtyping import Float

from sky_patches.mock.populations import Population, galactocentric_frame

__all__ = ["circular_velocity", "draw_velocities", "heliocentric", "mean_velocities"]


def circular_velocity(radius_kpc: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Circular velocity in km/s at radii R in kpc: 229.0 - 1.7 (R - 8.122).

    Eilers et al. (2019, ApJ 871, 120, eq. 7).

    The published range is 5 to 25 kpc; the line is used beyond it, where only few disc stars are.
    """
    return 229.0 - 1.7 * (radius_kpc - 8.122)


def _axes(population: Population, xyz: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3 3"]:
    """Unit vectors (rows) of the velocity ellipsoid at each position."""
    radius = np.maximum(np.hypot(xyz[:, 0], xyz[:, 1]), 1e-9)
    cosine, sine, zero = xyz[:, 0] / radius, xyz[:, 1] / radius, np.zeros(len(xyz))
    outward, along = np.stack([cosine, sine, zero], -1), np.stack([-sine, cosine, zero], -1)
    up = np.broadcast_to([0.0, 0.0, 1.0], xyz.shape)
    if population.alignment == "cylindrical":
        return np.stack([outward, along, up], 1)
    distance = np.hypot(radius, xyz[:, 2])
    sin_theta, cos_theta = (radius / distance)[:, None], (xyz[:, 2] / distance)[:, None]
    radial, polar = sin_theta * outward + cos_theta * up, cos_theta * outward - sin_theta * up
    return np.stack([radial, polar, along], 1)


def mean_velocities(population: Population, xyz: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
    """Mean Galactocentric velocity (km/s) of a population at Galactocentric positions (kpc), shape (n, 3)."""
    if population.asymmetric_drift is None:
        return np.zeros_like(xyz)
    radius = np.maximum(np.hypot(xyz[:, 0], xyz[:, 1]), 1e-9)
    speed = circular_velocity(radius) - population.asymmetric_drift
    # The Sun is at x < 0 and moves towards +y: the disc turns clockwise.
    direction = np.stack([xyz[:, 1] / radius, -xyz[:, 0] / radius, np.zeros(len(xyz))], -1)
    return speed[:, None] * direction


def draw_velocities(
    population: Population, xyz: Float[np.ndarray, "n 3"], rng: np.random.Generator
) -> Float[np.ndarray, "n 3"]:
    """Draw Galactocentric velocities (km/s, shape (n, 3)) from the population's Gaussian ellipsoid."""
    random = rng.normal(size=xyz.shape) * np.array(population.dispersions)
    return mean_velocities(population, xyz) + np.einsum("ni,nij->nj", random, _axes(population, xyz))


def heliocentric(xyz: Float[np.ndarray, "n 3"], velocities: Float[np.ndarray, "n 3"]) -> Table:
    """Six-dimensional ICRS coordinates of Galactocentric phase-space points.

    Args:
        xyz: Galactocentric positions in kpc, shape (n, 3).
        velocities: Galactocentric velocities in km/s, shape (n, 3).

    Returns:
        Table with ra, dec (deg), distance (kpc), pmra (times cos dec), pmdec (mas/yr), radial_velocity
        (km/s).
    """
    motion = CartesianDifferential(velocities.T * u.km / u.s)
    place = CartesianRepresentation(xyz.T * u.kpc, differentials=motion)
    sky = galactocentric_frame().realize_frame(place).transform_to(ICRS())
    columns = {
        "ra": sky.ra.to(u.deg),
        "dec": sky.dec.to(u.deg),
        "distance": sky.distance.to(u.kpc),
        "pmra": sky.pm_ra_cosdec.to(u.mas / u.yr),
        "pmdec": sky.pm_dec.to(u.mas / u.yr),
        "radial_velocity": sky.radial_velocity.to(u.km / u.s),
    }
    return Table({name: u.Quantity(value.value, value.unit) for name, value in columns.items()})
