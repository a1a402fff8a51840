"""Spherical density profiles of haloes, with the density at the Sun as their first parameter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from dm_map.baryons import SOLAR_RADIUS

__all__ = ["Burkert", "GeneralizedNFW", "HaloProfile", "PseudoIsothermal"]

Radii = Float[np.ndarray, " p"]
# Scales beyond these cannot be told from a power law, or from a constant, within a few kpc of the Sun.
_SMALLEST, _LARGEST = 0.1, 100.0


@runtime_checkable
class HaloProfile(Protocol):
    """A family of density profiles."""

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names; the first is "local", the density at `radius`."""

    @property
    def start(self) -> tuple[float, ...]:
        """Where a fit starts, but for "local"."""

    @property
    def bounds(self) -> tuple[tuple[float, float], ...]:
        """Smallest and largest values, but for "local", which has none."""

    @property
    def radius(self) -> float:
        """Radius of the local density, kpc."""

    def density(self, r: Radii, values: Float[np.ndarray, " k"]) -> Radii:
        """Density at spherical radii (kpc), in the unit of the local density."""


@dataclass(frozen=True)
class GeneralizedNFW:
    """rho proportional to (r/r_s)^-gamma (1 + r/r_s)^(gamma - 3) (Zhao 1996): gamma = 1 is NFW's, 0 a core.

    Attributes:
        radius: Radius of the local density, kpc.
    """

    parameters: ClassVar[tuple[str, ...]] = ("local", "scale", "gamma")
    start: ClassVar[tuple[float, ...]] = (15.0, 1.0)
    bounds: ClassVar[tuple[tuple[float, float], ...]] = ((_SMALLEST, _LARGEST), (0.0, 2.99))

    radius: float = SOLAR_RADIUS

    def density(self, r: Radii, values: Float[np.ndarray, " k"]) -> Radii:
        """Density at spherical radii (kpc), in the unit of the local density."""
        local, scale, gamma = values
        inner = (r / self.radius) ** -gamma
        return np.asarray(local * inner * ((scale + r) / (scale + self.radius)) ** (gamma - 3.0))


@dataclass(frozen=True)
class Burkert:
    """rho proportional to 1 / [(1 + r/r_c) (1 + (r/r_c)^2)] (Burkert 1995): a core and an outer slope of -3.

    Attributes:
        radius: Radius of the local density, kpc.
    """

    parameters: ClassVar[tuple[str, ...]] = ("local", "core")
    start: ClassVar[tuple[float, ...]] = (8.0,)
    bounds: ClassVar[tuple[tuple[float, float], ...]] = ((_SMALLEST, _LARGEST),)

    radius: float = SOLAR_RADIUS

    def density(self, r: Radii, values: Float[np.ndarray, " k"]) -> Radii:
        """Density at spherical radii (kpc), in the unit of the local density."""
        local, core = values
        here, there = r / core, self.radius / core
        return np.asarray(local * ((1.0 + there) * (1.0 + there**2)) / ((1.0 + here) * (1.0 + here**2)))


@dataclass(frozen=True)
class PseudoIsothermal:
    """rho proportional to 1 / [1 + (r/r_c)^2]: a core and a flat rotation curve.

    Attributes:
        radius: Radius of the local density, kpc.
    """

    parameters: ClassVar[tuple[str, ...]] = ("local", "core")
    start: ClassVar[tuple[float, ...]] = (5.0,)
    bounds: ClassVar[tuple[tuple[float, float], ...]] = ((_SMALLEST, _LARGEST),)

    radius: float = SOLAR_RADIUS

    def density(self, r: Radii, values: Float[np.ndarray, " k"]) -> Radii:
        """Density at spherical radii (kpc), in the unit of the local density."""
        local, core = values
        return np.asarray(local * (1.0 + (self.radius / core) ** 2) / (1.0 + (r / core) ** 2))
