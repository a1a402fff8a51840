"""The isotropic Hernquist sphere: a cusp, and a distribution function in closed form."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from dm_map.errors import MockError
from dm_map.gravity import NATURAL, GravityUnits
from dm_map.mocks.base import Numbers, Positions, isotropic_directions, sample_sphere
from dm_map.stars import StarSample
from dm_map.volume import Ball

__all__ = ["Hernquist"]

# Below this angle the closed form of the distribution function loses digits, and its series takes over.
_SERIES_BELOW = 0.3
_SERIES_TERMS = range(2, 14)


@dataclass(frozen=True)
class Hernquist:
    """Isotropic Hernquist sphere in units of G = M = a = 1 (Hernquist 1990, ApJ 356, 359).

    Phi = -1/(1 + r), rho = 1 / (2 pi r (1 + r)^3). His equation 17 with q = sqrt(-E) = sin(theta) reads

        f = [3 theta + sin(8 theta)/8 - sin(4 theta)] / (8 sqrt(2) pi^3 cos(theta)^5),

    whose bracket B has the derivative 8 sin(2 theta)^4: what makes f and its slope exact to rounding. The
    tracers are the mass. The acceleration has no limit at the centre, where its length is one.
    """

    name: ClassVar[str] = "hernquist"
    units: ClassVar[GravityUnits] = NATURAL
    volume: ClassVar[Ball | None] = None
    pattern_speed: ClassVar[float] = 0.0
    stationary: ClassVar[bool] = True

    def potential(self, x: Positions) -> Numbers:
        """Phi(x), in units of G M / a."""
        return np.asarray(-1.0 / (1.0 + np.linalg.norm(x, axis=-1)))

    def acceleration(self, x: Positions) -> Positions:
        """a = -grad Phi, in units of G M / a^2."""
        radius = np.linalg.norm(x, axis=-1, keepdims=True)
        return np.asarray(-x / (radius * (1.0 + radius) ** 2))

    def density(self, x: Positions) -> Numbers:
        """rho(x), in units of M / a^3; also the probability density of a tracer's position."""
        radius = np.linalg.norm(x, axis=-1)
        return np.asarray(1.0 / (2.0 * np.pi * radius * (1.0 + radius) ** 3))

    def mass_within(self, r: Numbers) -> Numbers:
        """Mass inside radius r, in units of M; also the distribution function of the tracers' radii."""
        return np.asarray((r / (1.0 + r)) ** 2)

    def radial_dispersion(self, r: Numbers) -> Numbers:
        """One-dimensional velocity dispersion from Jeans' equation (his equation 10).

        The closed form loses digits as r^4: good to 1e-3 up to r = 500.
        """
        logarithm = 12.0 * r * (1.0 + r) ** 3 * np.log1p(1.0 / r)
        polynomial = r / (1.0 + r) * (25.0 + 52.0 * r + 42.0 * r**2 + 12.0 * r**3)
        return np.asarray(np.sqrt((logarithm - polynomial) / 12.0))

    def _binding(self, x: np.ndarray, v: np.ndarray) -> np.ndarray:
        return np.asarray(-self.potential(x) - 0.5 * np.sum(v**2, axis=-1))

    def log_density(self, x: Positions, v: Positions) -> Numbers:
        """ln f(x, v), normalised over phase space; -inf for unbound velocities."""
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(_distribution(np.asarray(np.maximum(self._binding(x, v), 0.0)))))

    def scores(self, x: Positions, v: Positions) -> tuple[Positions, Positions]:
        """(grad_x ln f, grad_v ln f) = d ln f / d(-E) (a, -v).

        Raises:
            MockError: a velocity is not bound, so that f = 0 there; the message gives the energy.
        """
        binding = self._binding(x, v)
        if not np.all(binding > 0):
            raise MockError(
                f"a velocity has the energy {-np.min(binding):.4g}: it is not bound and f = 0 there"
            )
        theta = np.asarray(np.arcsin(np.sqrt(binding)))
        slope = 5.0 * np.tan(theta) + 8.0 * np.sin(2.0 * theta) ** 4 / _bracket(theta)
        factor = np.asarray(slope / np.sin(2.0 * theta))[..., None]
        return factor * self.acceleration(x), -factor * v

    def sample_positions(self, n: int, seed: int, radius: float) -> Float[np.ndarray, "n 3"]:
        """Positions of n tracers out of those within the radius, by the inverse of `mass_within`."""
        rng = np.random.default_rng(seed)
        # 1 - random is never zero: no star sits at the centre, where the acceleration has no direction.
        root = np.sqrt((1.0 - rng.random(n)) * float(self.mass_within(np.asarray(radius))))
        return (root / (1.0 - root))[:, None] * isotropic_directions(n, rng)

    def sample_velocities(self, x: Float[np.ndarray, "n 3"], seed: int) -> Float[np.ndarray, "n 3"]:
        """One velocity at each position, by rejection under a staircase that is never below v^2 f."""
        rng = np.random.default_rng(seed)
        chunks = np.array_split(-self.potential(x), max(1, math.ceil(len(x) / 20_000)))
        speed = np.concatenate([_speeds(chunk, rng) for chunk in chunks])
        return speed[:, None] * isotropic_directions(len(x), rng)

    def sample(self, n: int, seed: int, radius: float = 10.0) -> StarSample:
        """n tracers out of those within the radius (82.6 % of all for the default).

        Raises:
            MockError: n is negative.
        """
        return sample_sphere(self, n, seed, radius)


def _bracket(theta: Numbers) -> Numbers:
    """B = 3 theta + sin(8 theta)/8 - sin(4 theta) = 25.6 theta^5 - ..."""
    closed = 3.0 * theta + np.sin(8.0 * theta) / 8.0 - np.sin(4.0 * theta)
    small = np.minimum(theta, _SERIES_BELOW)
    series = sum(
        (-1) ** k * (8.0 ** (2 * k) - 4.0 ** (2 * k + 1)) * small ** (2 * k + 1) / math.factorial(2 * k + 1)
        for k in _SERIES_TERMS
    )
    return np.asarray(np.where(theta < _SERIES_BELOW, series, closed))


def _distribution(binding: Numbers) -> Numbers:
    """f of the binding energy -E."""
    theta = np.asarray(np.arcsin(np.sqrt(binding)))
    return np.asarray(_bracket(theta) / (8.0 * math.sqrt(2.0) * np.pi**3 * np.cos(theta) ** 5))


def _speeds(psi: np.ndarray, rng: np.random.Generator, steps: int = 32) -> np.ndarray:
    """Speeds from v^2 f(psi - v^2/2), psi = -Phi at the star.

    f rises with the binding energy, so on a step [v_0, v_1] the law is at most v_1^2 f(psi - v_0^2/2): the
    staircase is a bound, not a fit. Near the cusp the speeds gather at sqrt(2 (1 - psi)): steps are equal in
    asinh of the speed over that.
    """
    scale = np.sqrt(2.0 * (1.0 - psi))[:, None]
    edges = scale * np.sinh(
        np.linspace(0.0, 1.0, steps + 1) * np.arcsinh(np.sqrt(2.0 * psi)[:, None] / scale)
    )
    bound = edges[:, 1:] ** 2 * _distribution(np.maximum(psi[:, None] - 0.5 * edges[:, :-1] ** 2, 0.0))
    cumulative = np.cumsum(bound * np.diff(edges, axis=1), axis=1)
    speed = np.empty_like(psi)
    left = np.arange(len(psi))
    while len(left):
        chosen = rng.random((len(left), 1)) * cumulative[left, -1:]
        step = np.minimum(np.sum(cumulative[left] < chosen, axis=1), steps - 1)
        low, high = edges[left, step], edges[left, step + 1]
        proposal = low + (high - low) * rng.random(len(left))
        law = proposal**2 * _distribution(np.maximum(psi[left] - 0.5 * proposal**2, 0.0))
        passed = rng.random(len(left)) * bound[left, step] < law
        speed[left[passed]] = proposal[passed]
        left = left[~passed]
    return speed
