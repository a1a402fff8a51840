"""Particle spray: where the stars that a progenitor lost are today."""

from __future__ import annotations

import astropy.units as u
import gala.dynamics as gd
import gala.potential as gp
import numpy as np
from astropy.coordinates import SkyCoord
from gala.dynamics.mockstream import ChenStreamDF, MockStreamGenerator
from jaxtyping import Float

from sky_patches.errors import MockError
from sky_patches.mock.populations import galactocentric_frame
from sky_patches.mock.recipe import MockStream

__all__ = ["milky_way", "progenitor", "spray"]


def milky_way() -> gp.CompositePotential:
    """The potential of every mock stream: gala's MilkyWayPotential2022, by its lasting name."""
    return gp.MilkyWayPotential(version="v2")


def progenitor(stream: MockStream) -> gd.PhaseSpacePosition:
    """Where the progenitor is today: Galactocentric phase-space position (kpc, km/s)."""
    point = SkyCoord(
        ra=stream.ra_deg * u.deg,
        dec=stream.dec_deg * u.deg,
        distance=stream.distance_kpc * u.kpc,
        pm_ra_cosdec=stream.pm_ra_cosdec * u.mas / u.yr,
        pm_dec=stream.pm_dec * u.mas / u.yr,
        radial_velocity=stream.radial_velocity * u.km / u.s,
    )
    here = gd.PhaseSpacePosition(point.transform_to(galactocentric_frame()).cartesian)
    if stream.progenitor_offset_myr == 0.0:
        return here
    steps = 200
    orbit = milky_way().integrate_orbit(here, dt=stream.progenitor_offset_myr / steps * u.Myr, n_steps=steps)
    return orbit[-1]


def spray(stream: MockStream, seed: int) -> tuple[Float[np.ndarray, "n 3"], Float[np.ndarray, "n 3"]]:
    """Stream particles today, released as in Chen et al. (2025, ApJS 276, 32), self-gravity included.

    Args:
        stream: the recipe.
        seed: seed of the release, below 2^32.

    Returns:
        Galactocentric positions in kpc and velocities in km/s, each of shape (n, 3).

    Raises:
        MockError: the orbit could not be integrated.
    """
    steps = max(2, round(1000.0 * stream.age_gyr / stream.release_step_myr))
    released = np.full(steps + 1, stream.release_particles)
    released[steps + 1 - round(1000.0 * stream.dissolved_gyr / stream.release_step_myr) :] = 0
    mass = stream.progenitor_mass * u.Msun
    cluster = gp.PlummerPotential(m=mass, b=stream.progenitor_scale_pc * u.pc, units=milky_way().units)
    release = ChenStreamDF(
        lead=stream.tails != "trailing",
        trail=stream.tails != "leading",
        random_state=np.random.RandomState(seed),
    )
    generator = MockStreamGenerator(release, gp.Hamiltonian(milky_way()), progenitor_potential=cluster)
    try:
        particles, _ = generator.run(
            progenitor(stream),
            mass,
            dt=-stream.release_step_myr * u.Myr,
            n_steps=steps,
            n_particles=released,
        )
    except RuntimeError as problem:  # gala's integrator gave up
        raise MockError(
            f"stream {stream.name!r}: the orbits could not be integrated ({problem}); "
            f"raise progenitor_scale_pc (now {stream.progenitor_scale_pc}) or move the orbit"
        ) from problem
    return particles.xyz.to_value(u.kpc).T, particles.v_xyz.to_value(u.km / u.s).T
