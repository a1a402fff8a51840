"""Globular clusters and dwarf galaxies of a mock sky: compact groups of old stars that move together."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Literal

import astropy.units as u
import numpy as np
from astropy.table import Table, vstack
from jaxtyping import Float

from sky_patches.errors import MockError
from sky_patches.mock.streams import Selection, add_light

__all__ = ["MockCluster", "draw_cluster"]

_KMS_PER_MASYR_KPC = 4.740470463533349
_TRUNCATION = 10.0  # half-light radii
_EXPONENTIAL_HALF_LIGHT = 1.6783469900166605  # projected half-light radius over the scale length
_LARGEST_BATCH = 100_000
_GIVE_UP_AFTER = 1_000_000


@dataclass(frozen=True, slots=True)
class MockCluster:
    """Recipe of one globular cluster or dwarf galaxy: round, old, and without rotation.

    Attributes:
        name: unique name.
        kind: "globular cluster" (projected Plummer profile) or "dwarf galaxy" (projected exponential).
        stars: number of its stars in the catalogue (in the footprint, all cuts passed).
        ra_deg: right ascension of its centre, ICRS degrees.
        dec_deg: its declination.
        distance_kpc: its heliocentric distance.
        pm_ra_cosdec: its proper motion in right ascension times cos(dec), mas/yr.
        pm_dec: its proper motion in declination, mas/yr.
        radial_velocity: its heliocentric radial velocity, km/s.
        half_light_pc: projected half-light radius; the profile ends at ten of them.
        dispersion: velocity dispersion in one dimension, the same at all radii, km/s.
        metallicity: [Fe/H], one value for all stars.

    Raises:
        MockError: a value is out of range; the message names it.
    """

    name: str
    kind: Literal["globular cluster", "dwarf galaxy"]
    stars: int
    ra_deg: float
    dec_deg: float
    distance_kpc: float
    pm_ra_cosdec: float
    pm_dec: float
    radial_velocity: float
    half_light_pc: float
    dispersion: float = 5.0
    metallicity: float = -1.6

    def __post_init__(self) -> None:
        if not self.name:
            raise MockError("a mock cluster needs a name, got an empty one")
        if self.kind not in ("globular cluster", "dwarf galaxy"):
            raise MockError(
                f"cluster {self.name!r}: kind must be 'globular cluster' or 'dwarf galaxy', got {self.kind!r}"
            )
        numbers = {name: value for name, value in asdict(self).items() if not isinstance(value, str)}
        for attribute, value in numbers.items():
            if not math.isfinite(value):
                raise MockError(f"cluster {self.name!r}: {attribute} must be finite, got {value}")
        for attribute in ("stars", "distance_kpc", "half_light_pc"):
            if not numbers[attribute] > 0:
                raise MockError(
                    f"cluster {self.name!r}: {attribute} must be positive, got {numbers[attribute]}"
                )
        if not (abs(self.dec_deg) <= 90.0 and self.dispersion >= 0.0):
            raise MockError(
                f"cluster {self.name!r}: dec_deg must lie in [-90, 90] and dispersion be zero or positive, "
                f"got {self.dec_deg} and {self.dispersion}"
            )

    @property
    def half_light_deg(self) -> float:
        """Projected half-light radius on the sky, degrees."""
        return math.degrees(math.atan(1e-3 * self.half_light_pc / self.distance_kpc))


def _projected_radii(cluster: MockCluster, n: int, rng: np.random.Generator) -> Float[np.ndarray, " n"]:
    """Projected radii in half-light radii, out to the truncation."""
    level = rng.random(n)
    if cluster.kind == "globular cluster":
        # Plummer: the projected share within R is R^2 / (1 + R^2), by its inverse.
        inside = _TRUNCATION**2 / (1.0 + _TRUNCATION**2) * level
        return np.sqrt(inside / (1.0 - inside))
    # Exponential: R / scale follows a gamma distribution of shape 2; its inverse, by interpolation.
    grid = np.linspace(0.0, _TRUNCATION * _EXPONENTIAL_HALF_LIGHT, 4001)
    share = 1.0 - (1.0 + grid) * np.exp(-grid)
    return np.interp(share[-1] * level, share, grid) / _EXPONENTIAL_HALF_LIGHT


def _local_axes(
    lon: Float[np.ndarray, " n"], lat: Float[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, "n 3"], Float[np.ndarray, "n 3"], Float[np.ndarray, "n 3"]]:
    """Unit vectors outwards, to the east and to the north at positions in radians."""
    zero = np.zeros_like(lon)
    out = np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)
    east = np.stack([-np.sin(lon), np.cos(lon), zero], axis=-1)
    return out, east, np.cross(out, east)


def _phase_space(cluster: MockCluster, n: int, rng: np.random.Generator) -> Table:
    """True positions and motions of `n` stars; the common velocity is seen in perspective."""
    centre = np.radians([cluster.ra_deg]), np.radians([cluster.dec_deg])
    out, east, north = (axis[0] for axis in _local_axes(*centre))
    size = 1e-3 * cluster.half_light_pc
    radius, turn = size * _projected_radii(cluster, n, rng), 2.0 * np.pi * rng.random(n)
    across = radius[:, None] * (np.cos(turn)[:, None] * east + np.sin(turn)[:, None] * north)
    # Depth: as wide as the profile; an even turn of a second radius about the line of sight's normal.
    depth = size * _projected_radii(cluster, n, rng) * np.cos(2.0 * np.pi * rng.random(n))
    place = cluster.distance_kpc * out + across + depth[:, None] * out
    sideways = _KMS_PER_MASYR_KPC * cluster.distance_kpc
    mean = cluster.radial_velocity * out + sideways * (cluster.pm_ra_cosdec * east + cluster.pm_dec * north)
    velocity = mean + cluster.dispersion * rng.normal(size=(n, 3))
    distance = np.linalg.norm(place, axis=1)
    lon, lat = np.arctan2(place[:, 1], place[:, 0]), np.arcsin(place[:, 2] / distance)
    outwards, eastwards, northwards = (
        np.einsum("ni,ni->n", velocity, axis) for axis in _local_axes(lon, lat)
    )
    motion = u.mas / u.yr
    return Table(
        {
            "ra": np.degrees(lon) % 360.0 * u.deg,
            "dec": np.degrees(lat) * u.deg,
            "distance": distance * u.kpc,
            "pmra": eastwards / (_KMS_PER_MASYR_KPC * distance) * motion,
            "pmdec": northwards / (_KMS_PER_MASYR_KPC * distance) * motion,
            "radial_velocity": outwards * u.km / u.s,
        }
    )


def draw_cluster(
    cluster: MockCluster, survey: Selection, seeds: np.random.SeedSequence
) -> tuple[Table, Table]:
    """Draw exactly `cluster.stars` stars that pass the survey's cuts.

    Args:
        cluster: the recipe.
        survey: footprint, limits and errors.
        seeds: source of all randomness.

    Returns:
        True stars and observed stars, in the same (random) order.

    Raises:
        MockError: almost none of its stars passes the cuts.
    """
    rng = np.random.default_rng(seeds)
    true, seen, found, tried = [], [], 0, 0
    while found < cluster.stars:
        passing = max(found, 1) / max(tried, 2)
        size = min(_LARGEST_BATCH, int(1.1 * (cluster.stars - found) / passing) + 100)
        stars = _phase_space(cluster, size, rng)
        add_light(stars, cluster.metallicity, survey.true_limits, rng)
        observed, kept = survey.measure(stars, rng)
        true.append(stars[kept])
        seen.append(observed[kept])
        found, tried = found + int(kept.sum()), tried + size
        if tried > _GIVE_UP_AFTER and found < 1e-3 * tried:
            raise MockError(
                f"cluster {cluster.name!r}: only {found} of {tried} of its stars are in the footprint and "
                f"pass the cuts (distance {cluster.distance_kpc} kpc): move it into the footprint, or nearer"
            )
    return vstack(true)[: cluster.stars], vstack(seen)[: cluster.stars]
