"""The Plummer sphere: its field, and isotropic tracers in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from dm_map.errors import MockError
from dm_map.gravity import NATURAL, GravityUnits
from dm_map.mocks.base import Numbers, Positions, isotropic_directions, sample_sphere
from dm_map.stars import StarSample
from dm_map.volume import Ball

__all__ = ["Plummer", "PlummerField"]


class PlummerField:
    """Field of a Plummer sphere in units of G = M = b = 1 (Plummer 1911): Phi = -(1 + r^2)^(-1/2)."""

    units: ClassVar[GravityUnits] = NATURAL
    volume: ClassVar[Ball | None] = None
    pattern_speed: ClassVar[float] = 0.0
    stationary: ClassVar[bool] = True

    def potential(self, x: Positions) -> Numbers:
        """Phi(x), in units of G M / b."""
        return np.asarray(-1.0 / np.sqrt(1.0 + np.sum(x**2, axis=-1)))

    def acceleration(self, x: Positions) -> Positions:
        """a = -grad Phi, in units of G M / b^2."""
        return -x * (1.0 + np.sum(x**2, axis=-1, keepdims=True)) ** -1.5

    def density(self, x: Positions) -> Numbers:
        """rho(x), in units of M / b^3; also the probability density of a tracer's position."""
        return np.asarray(3.0 / (4.0 * np.pi) * (1.0 + np.sum(x**2, axis=-1)) ** -2.5)

    def mass_within(self, r: Numbers) -> Numbers:
        """Mass inside radius r, in units of M; also the distribution function of the tracers' radii."""
        return np.asarray(r**3 * (1.0 + r**2) ** -1.5)

    def escape_speed(self, x: Positions) -> Numbers:
        """v_esc = sqrt(-2 Phi)."""
        return np.asarray(np.sqrt(-2.0 * self.potential(x)))

    def sample_positions(self, n: int, seed: int, radius: float) -> Float[np.ndarray, "n 3"]:
        """Positions of n tracers out of those within the radius, by the inverse of `mass_within`."""
        rng = np.random.default_rng(seed)
        # M(<r) = u solved for r: r^2 / (1 + r^2) = u^(2/3).
        squared = (rng.random(n) * float(self.mass_within(np.asarray(radius)))) ** (2.0 / 3.0)
        return np.sqrt(squared / (1.0 - squared))[:, None] * isotropic_directions(n, rng)


@dataclass(frozen=True)
class Plummer(PlummerField):
    """Isotropic Plummer sphere in units of G = M = b = 1 (Plummer 1911; Dejonghe 1987).

    Phi = -(1 + r^2)^(-1/2), rho = 3/(4 pi) (1 + r^2)^(-5/2), and f is proportional to (-E)^(7/2) with
    E = v^2/2 + Phi. The tracers are the mass. All arrays have the Cartesian components as their last axis.
    """

    name: ClassVar[str] = "plummer"

    def log_density(self, x: Positions, v: Positions) -> Numbers:
        """ln f(x, v), normalised over phase space; -inf for unbound velocities."""
        binding = -self.potential(x) - 0.5 * np.sum(v**2, axis=-1)
        # f = 24 sqrt(2) / (7 pi^3) (-E)^(7/2) for unit mass (Binney & Tremaine 2008, section 4.3).
        with np.errstate(divide="ignore"):
            logarithm = np.log(np.maximum(binding, 0.0))
        return np.asarray(np.log(24.0 * np.sqrt(2.0) / (7.0 * np.pi**3)) + 3.5 * logarithm)

    def scores(self, x: Positions, v: Positions) -> tuple[Positions, Positions]:
        """(grad_x ln f, grad_v ln f) = 7/2 (a, -v) / (-E).

        Raises:
            MockError: a velocity is not bound, so that f = 0 there; the message gives the speed.
        """
        binding = -self.potential(x) - 0.5 * np.sum(v**2, axis=-1)
        if not np.all(binding > 0):
            worst = np.unravel_index(np.argmin(binding), binding.shape)
            speed, limit = np.linalg.norm(v[worst]), self.escape_speed(x)[worst]
            raise MockError(f"a speed of {speed:.4g} is not below the escape speed {limit:.4g}: f = 0 there")
        factor = 3.5 / np.asarray(binding)[..., None]
        return factor * self.acceleration(x), -factor * v

    def sample_velocities(self, x: Float[np.ndarray, "n 3"], seed: int) -> Float[np.ndarray, "n 3"]:
        """One velocity at each position: (v / v_esc)^2 follows Beta(3/2, 9/2), its direction is isotropic."""
        rng = np.random.default_rng(seed)
        speed = self.escape_speed(x) * np.sqrt(rng.beta(1.5, 4.5, len(x)))
        return speed[:, None] * isotropic_directions(len(x), rng)

    def sample(self, n: int, seed: int, radius: float = 10.0) -> StarSample:
        """n tracers out of those within the radius (98.5 % of all for the default).

        Raises:
            MockError: n is negative.
        """
        return sample_sphere(self, n, seed, radius)
