"""Streams, globular clusters and dwarf galaxies of a mock sky, drawn at random over its region."""

from __future__ import annotations

from dataclasses import replace

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from jaxtyping import Float

from sky_patches.errors import MockError
from sky_patches.mock.clusters import MockCluster
from sky_patches.mock.kinematics import heliocentric
from sky_patches.mock.populations import galactocentric_frame
from sky_patches.mock.recipe import MockStream
from sky_patches.mock.sky_region import SkyRegion

__all__ = ["random_clusters", "random_dwarfs", "random_streams"]

_FEWEST_STARS = 60
_SHARE_SEEN = 0.3  # of the particles in the region; more may be too faint, or lost to the scanning law
_CLUSTERS, _DWARFS, _STREAMS = 0, 1, 2
_HALO_DISPERSION = 120.0  # km/s, isotropic
_LEAST_ANGULAR_MOMENTUM = 1500.0  # kpc km/s: no orbit dives to the Galactic centre, where spray is stiff
_FASTEST = 330.0  # km/s; all orbits stay bound


def random_clusters(n: int, region: SkyRegion, seed: int) -> tuple[MockCluster, ...]:
    """`n` globular clusters named "mock cluster 1", ...: 3 to 40 kpc away, 40 to 2000 stars each."""
    rng = _generator(seed, _CLUSTERS, n)
    return tuple(
        MockCluster(
            f"mock cluster {number}", "globular cluster", int(_log_uniform(40, 2000, rng)),
            *_halo_orbit(region, (3.0, 40.0), rng),
            half_light_pc=float(_log_uniform(2.0, 12.0, rng)),
            dispersion=float(rng.uniform(1.0, 8.0)),
            metallicity=float(np.clip(rng.normal(-1.5, 0.4), -2.3, -0.5)),
        )
        for number in range(1, n + 1)
    )  # fmt: skip


def random_dwarfs(n: int, region: SkyRegion, seed: int) -> tuple[MockCluster, ...]:
    """`n` dwarf galaxies named "mock dwarf 1", ...: 20 to 130 kpc away, 30 to 600 stars each."""
    rng = _generator(seed, _DWARFS, n)
    return tuple(
        MockCluster(
            f"mock dwarf {number}", "dwarf galaxy", int(_log_uniform(30, 600, rng)),
            *_halo_orbit(region, (20.0, 130.0), rng),
            half_light_pc=float(_log_uniform(30.0, 500.0, rng)),
            dispersion=float(rng.uniform(3.0, 9.0)),
            metallicity=float(np.clip(rng.normal(-2.1, 0.3), -2.6, -1.4)),
        )
        for number in range(1, n + 1)
    )  # fmt: skip


def random_streams(n: int, region: SkyRegion, seed: int) -> tuple[MockStream, ...]:
    """`n` streams named "mock stream 1", ...: 6 to 15 kpc away, 60 to 300 stars each, both tails.

    In a small region a stream has as many stars as its part there can give.
    """
    rng = _generator(seed, _STREAMS, n)
    streams: list[MockStream] = []
    while len(streams) < n:
        number = len(streams) + 1
        stars = int(_log_uniform(_FEWEST_STARS, 300, rng))
        orbit = _halo_orbit(region, (6.0, 15.0), rng)
        stream = (
            MockStream(
                f"mock stream {number}", stars, *orbit,
                progenitor_mass=float(_log_uniform(5e3, 4e4, rng)),
                progenitor_offset_myr=float(rng.uniform(-15.0, 15.0)),
                progenitor_scale_pc=30.0,
                age_gyr=2.5,
                release_step_myr=4.0,
                release_particles=2,
                metallicity=float(np.clip(rng.normal(-1.9, 0.3), -2.3, -1.2)),
            )
        )  # fmt: skip
        most = int(_SHARE_SEEN * _particles_inside(stream, region))
        if most >= _FEWEST_STARS:
            streams.append(replace(stream, stars=min(stars, most)))
    return tuple(streams)


def _particles_inside(stream: MockStream, region: SkyRegion) -> int:
    """How many particles of a trial spray lie in the region: none where the orbits cannot be integrated
    (gala's integrator finds some too stiff)."""
    # gala takes a second to import, and only who makes a stream needs it.
    from sky_patches.mock.spray import spray

    try:
        particles = heliocentric(*spray(stream, 0))
    except MockError:
        return 0
    return int(region.contains(np.asarray(particles["ra"]), np.asarray(particles["dec"])).sum())


def _generator(seed: int, kind: int, n: int) -> np.random.Generator:
    if seed < 0 or n < 0:
        raise MockError(f"seed and number of objects must be zero or positive, got {seed} and {n}")
    return np.random.default_rng(np.random.SeedSequence([seed, kind]))


def _log_uniform(low: float, high: float, rng: np.random.Generator) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _halo_orbit(
    region: SkyRegion, distances: tuple[float, float], rng: np.random.Generator
) -> tuple[float, float, float, float, float, float]:
    """A place in the region and a halo velocity: ra, dec, distance, pmra cos dec, pmdec, radial velocity."""
    ra, dec = region.draw_positions(1, rng)
    far = _log_uniform(*distances, rng)
    place = SkyCoord(ra * u.deg, dec * u.deg, distance=far * u.kpc).transform_to(galactocentric_frame())
    xyz = place.cartesian.xyz.to_value(u.kpc).T
    row = heliocentric(xyz, _bound_velocity(xyz, rng))[0]
    return (
        float(ra[0]), float(dec[0]), far, float(row["pmra"]), float(row["pmdec"]),
        float(row["radial_velocity"]),
    )  # fmt: skip


def _bound_velocity(xyz: Float[np.ndarray, "1 3"], rng: np.random.Generator) -> Float[np.ndarray, "1 3"]:
    # Near the centre no bound velocity has that much: there half of a typical one will do.
    least = min(_LEAST_ANGULAR_MOMENTUM, 0.5 * _HALO_DISPERSION * float(np.linalg.norm(xyz)))
    while True:
        velocity = _HALO_DISPERSION * rng.normal(size=(1, 3))
        turning = np.linalg.norm(np.cross(xyz, velocity))
        if np.linalg.norm(velocity) < _FASTEST and turning > least:
            return velocity
