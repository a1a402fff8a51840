"""Radially anisotropic tracers in a Plummer sphere, with a closed distribution function."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from dm_map.errors import MockError
from dm_map.mocks.base import Numbers, Positions, isotropic_directions, sample_sphere
from dm_map.mocks.plummer import PlummerField
from dm_map.stars import StarSample

__all__ = ["OsipkovMerrittPlummer"]

# f >= 0 up to Q = 1 asks for r_a^2 >= 9/16.
_SMALLEST_RADIUS = 0.75


@dataclass(frozen=True)
class OsipkovMerrittPlummer(PlummerField):
    """Plummer sphere whose orbits become radial outside r_a: beta = r^2 / (r^2 + r_a^2) (Merritt 1985).

    f depends on Q = -E - L^2 / (2 r_a^2) alone. With psi = -Phi the augmented density is
    (1 + r^2/r_a^2) rho = 3/(4 pi) [(1 - 1/r_a^2) psi^5 + psi^3/r_a^2], and a power psi^n belongs to
    c_n Q^(n - 3/2) with c_n = n! / ((2 pi)^(3/2) Gamma(n - 1/2)), so that (Dejonghe 1987)

        f = 3 c_3 / (4 pi r_a^2) Q^(3/2) (1 + k Q^2),     k = (r_a^2 - 1) c_5/c_3 = 16 (r_a^2 - 1) / 7.

    Units of G = M = b = 1; the tracers are the mass.

    Attributes:
        anisotropy_radius: r_a, at least 3/4, below which f would be negative.

    Raises:
        MockError: r_a is smaller than 3/4, or not finite.
    """

    name: ClassVar[str] = "plummer-om"
    anisotropy_radius: float = 1.0

    def __post_init__(self) -> None:
        if not (self.anisotropy_radius >= _SMALLEST_RADIUS and math.isfinite(self.anisotropy_radius)):
            raise MockError(
                f"the anisotropy radius is finite and at least {_SMALLEST_RADIUS} scale radii, or f would be "
                f"negative; got {self.anisotropy_radius}"
            )

    @property
    def _curvature(self) -> float:
        return 16.0 / 7.0 * (self.anisotropy_radius**2 - 1.0)

    def anisotropy(self, r: Numbers) -> Numbers:
        """beta(r) = 1 - sigma_t^2 / sigma_r^2, with sigma_t in one tangential direction."""
        return np.asarray(r**2 / (r**2 + self.anisotropy_radius**2))

    def _binding(self, x: np.ndarray, v: np.ndarray) -> np.ndarray:
        momentum = np.sum(np.cross(x, v) ** 2, axis=-1)
        energy = self.potential(x) + 0.5 * np.sum(v**2, axis=-1)
        return np.asarray(-energy - 0.5 * momentum / self.anisotropy_radius**2)

    def log_density(self, x: Positions, v: Positions) -> Numbers:
        """ln f(x, v), normalised over phase space; -inf where Q <= 0."""
        q = np.maximum(self._binding(x, v), 0.0)
        of_cube = math.gamma(4.0) / ((2.0 * math.pi) ** 1.5 * math.gamma(2.5))
        constant = math.log(3.0 / (4.0 * math.pi) * of_cube / self.anisotropy_radius**2)
        with np.errstate(divide="ignore"):
            return np.asarray(constant + 1.5 * np.log(q) + np.log1p(self._curvature * q**2))

    def scores(self, x: Positions, v: Positions) -> tuple[Positions, Positions]:
        """d ln f / dQ times (grad_x Q, grad_v Q).

        Raises:
            MockError: f = 0 at a velocity; the message gives Q.
        """
        q = self._binding(x, v)[..., None]
        if not np.all(q > 0):
            raise MockError(f"Q = -E - L^2/(2 r_a^2) is {np.min(q):.4g} for a velocity: f = 0 there")
        slope = 1.5 / q + 2.0 * self._curvature * q / (1.0 + self._curvature * q**2)
        along = np.sum(x * v, axis=-1, keepdims=True)
        of_x = x * np.sum(v**2, axis=-1, keepdims=True) - along * v
        of_v = v * np.sum(x**2, axis=-1, keepdims=True) - along * x
        squared = self.anisotropy_radius**2
        return slope * (self.acceleration(x) - of_x / squared), -slope * (v + of_v / squared)

    def sample_velocities(self, x: Float[np.ndarray, "n 3"], seed: int) -> Float[np.ndarray, "n 3"]:
        """One velocity at each position: an isotropic vector of sqrt(2 (psi - Q)), tangentially shrunk."""
        rng = np.random.default_rng(seed)
        psi = -self.potential(x)
        u = np.sqrt(2.0 * psi * (1.0 - self._fractions(psi, rng)))[:, None] * isotropic_directions(
            len(x), rng
        )
        radius = np.linalg.norm(x, axis=-1, keepdims=True)
        outward = np.divide(x, radius, out=np.zeros_like(x), where=radius > 0)
        radial = np.sum(u * outward, axis=-1, keepdims=True) * outward
        return radial + (u - radial) / np.sqrt(1.0 + (radius / self.anisotropy_radius) ** 2)

    def _fractions(self, psi: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Q / psi by rejection: Q^(3/2) sqrt(psi - Q) is a Beta law, 1 + k Q^2 at most 1 + max(k, 0) psi^2.

        At least 0.43 of the proposals pass for k >= 0 (the second moment of the law), and 9/16 of them for
        k < 0.
        """
        fraction = np.empty_like(psi)
        left = np.arange(len(psi))
        while len(left):
            proposal = rng.beta(2.5, 1.5, len(left))
            chance = 1.0 + self._curvature * (proposal * psi[left]) ** 2
            passed = rng.random(len(left)) * (1.0 + max(self._curvature, 0.0) * psi[left] ** 2) < chance
            fraction[left[passed]] = proposal[passed]
            left = left[~passed]
        return fraction

    def sample(self, n: int, seed: int, radius: float = 10.0) -> StarSample:
        """n tracers out of those within the radius (98.5 % of all for the default).

        Raises:
            MockError: n is negative.
        """
        return sample_sphere(self, n, seed, radius)
