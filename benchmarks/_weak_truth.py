"""Where the benchmarks of the weak form compare with the mock's truth, and what they compare."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dm_map.mocks.isothermal import IsothermalMixture
from dm_map.potential import LinearPotential

__all__ = ["POINTS", "POINT_NAMES", "QUANTITIES", "Truth"]

#: Positions (x, 0, z), kpc.
_WHERE = ((8.122, 0.0), (8.122, 0.5), (8.122, 1.0), (8.122, 1.5), (8.122, 2.0), (7.1, 1.5), (9.1, 1.5))
POINTS = np.array([(-radius, 0.0, height) for radius, height in _WHERE])
POINT_NAMES = tuple(f"R {radius:.1f} z {height:g}" for radius, height in _WHERE)
QUANTITIES = ("|a|", "rho", "rho_DM")


@dataclass(frozen=True, eq=False)
class Truth:
    """|a|, rho and rho_DM of a mock at POINTS; rho_DM of a fit is its rho minus the mock's own baryons."""

    mock: IsothermalMixture

    @cached_property
    def dark(self) -> np.ndarray:
        """Density of the halo, Msun/pc^3."""
        from astropy import units as u

        found = self.mock.gala_potential["halo"].density(POINTS.T * u.kpc)
        return np.asarray(found.to_value(u.Msun / u.pc**3))

    @cached_property
    def values(self) -> np.ndarray:
        """The truth, shape (3, points)."""
        strength = np.linalg.norm(self.mock.acceleration(POINTS), axis=1)
        return np.stack([strength, self.mock.density(POINTS), self.dark])

    def of_fit(self, potential: LinearPotential) -> np.ndarray:
        """The same of a fit, shape (3, points)."""
        rho = potential.density(POINTS)
        a = np.linalg.norm(potential.acceleration(POINTS), axis=-1)
        return np.stack([a, rho, rho - self._baryons])

    def of_members(self, potential: LinearPotential) -> np.ndarray:
        """The same of every member, shape (members, 3, points)."""
        rho = potential.member_densities(POINTS)
        a = np.linalg.norm(potential.member_accelerations(POINTS), axis=-1)
        return np.stack([a, rho, rho - self._baryons], axis=1)

    @property
    def _baryons(self) -> np.ndarray:
        return self.values[1] - self.dark
