"""What every mock offers, and where the Sun is."""

from __future__ import annotations

import operator
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from dm_map.errors import MockError
from dm_map.gravity import GravityUnits
from dm_map.stars import StarSample
from dm_map.volume import Ball

__all__ = [
    "Mock",
    "Numbers",
    "Positions",
    "SOLAR_BALL",
    "SUN_POSITION",
    "SUN_VELOCITY",
    "Sphere",
    "isotropic_directions",
    "require_count",
    "sample_sphere",
]

Positions = Float[np.ndarray, "*batch 3"]
Numbers = Float[np.ndarray, "*batch"]

#: The Sun in astropy's Galactocentric frame (defaults v4.0): kpc and km/s. Galactic rotation at the Sun is
#: towards +y, so the Galaxy turns with a negative angular speed about z.
SUN_POSITION = (-8.122, 0.0, 0.0208)
SUN_VELOCITY = (12.9, 245.6, 7.78)

#: The volume of the mock galaxies: 4 kpc around the Sun.
SOLAR_BALL = Ball(SUN_POSITION, 4.0)


@runtime_checkable
class Mock(Protocol):
    """Tracers in a known field. Cartesian components are the last axis of every array.

    With Omega = `pattern_speed` about z and x, v in the inertial frame, a stationary mock obeys

        (v - Omega z x x) . s_x + (a - Omega z x v) . s_v = 0,

    which is equation (1) of `dm_map.boltzmann` where Omega = 0.
    """

    @property
    def name(self) -> str:
        """A short name, for tables and file names."""
        ...

    @property
    def units(self) -> GravityUnits:
        """The units of all arrays."""
        ...

    @property
    def volume(self) -> Ball | None:
        """Where the tracers live; None for all space."""
        ...

    @property
    def pattern_speed(self) -> float:
        """Angular speed about z of the frame in which the field stands still, km/s/kpc."""
        ...

    @property
    def stationary(self) -> bool:
        """Whether the tracers are in equilibrium in that frame."""
        ...

    def potential(self, x: Positions) -> Numbers:
        """Phi(x) of the field."""
        ...

    def acceleration(self, x: Positions) -> Positions:
        """a(x) = -grad Phi."""
        ...

    def density(self, x: Positions) -> Numbers:
        """Mass density rho(x) of the field, -div a / (4 pi G)."""
        ...

    def log_density(self, x: Positions, v: Positions) -> Numbers:
        """ln f(x, v) of the tracers inside the volume, whose edge it does not see; -inf where f = 0."""
        ...

    def scores(self, x: Positions, v: Positions) -> tuple[Positions, Positions]:
        """(grad_x ln f, grad_v ln f), exact."""
        ...

    def sample_velocities(self, x: Float[np.ndarray, "n 3"], seed: int) -> Float[np.ndarray, "n 3"]:
        """One velocity at each position, from f(v | x)."""
        ...

    def sample(self, n: int, seed: int) -> StarSample:
        """n tracers drawn from f, independent of each other and in random order."""
        ...


def require_count(n: int) -> int:
    """The number of tracers as an int.

    Raises:
        MockError: it is negative.
    """
    count = operator.index(n)
    if count < 0:
        raise MockError(f"the number of tracers cannot be negative; got {count}")
    return count


@runtime_checkable
class Sphere(Protocol):
    """What `sample_sphere` needs of a spherical mock."""

    def sample_positions(self, n: int, seed: int, radius: float) -> Float[np.ndarray, "n 3"]:
        """Positions of n tracers out of those within the radius."""
        ...

    def sample_velocities(self, x: Float[np.ndarray, "n 3"], seed: int) -> Float[np.ndarray, "n 3"]:
        """One velocity at each position."""
        ...


def sample_sphere(sphere: Sphere, n: int, seed: int, radius: float) -> StarSample:
    """n tracers of a sphere out of those within the radius, which is their volume.

    A cut in position leaves f inside as it is, so the sample is as stationary there as the whole sphere.

    Raises:
        MockError: n is negative.
        VolumeError: the radius is not positive and finite.
    """
    volume = Ball((0.0, 0.0, 0.0), radius)
    for_positions, for_velocities = (int(s) for s in np.random.SeedSequence(seed).generate_state(2))
    x = sphere.sample_positions(require_count(n), for_positions, radius)
    # Rounding can put a star on the sphere itself, which does not belong to the volume.
    x *= np.minimum(1.0, radius * (1 - 1e-12) / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-300))
    return StarSample(x, sphere.sample_velocities(x, for_velocities), volume)


def isotropic_directions(n: int, rng: np.random.Generator) -> Float[np.ndarray, "n 3"]:
    """n unit vectors, uniform over the sphere."""
    normal = rng.standard_normal((n, 3))
    return normal / np.linalg.norm(normal, axis=-1, keepdims=True)
