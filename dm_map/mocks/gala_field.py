"""A potential of gala as a field in kpc, km/s and Msun/pc^3."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from astropy import units as u

from dm_map.errors import MockError
from dm_map.mocks.base import Numbers, Positions

__all__ = ["GalaField", "GalaPotential"]


@runtime_checkable
class GalaPotential(Protocol):
    """The part of gala's potentials that is used: Quantities of positions (3, n) in, Quantities out."""

    def energy(self, q: Any) -> Any:
        """Potential energy per mass."""
        ...

    def acceleration(self, q: Any) -> Any:
        """Minus its gradient."""
        ...

    def density(self, q: Any) -> Any:
        """Mass density."""
        ...


@dataclass(frozen=True, eq=False)
class GalaField:
    """Potential, acceleration and density of a gala potential at time zero, of positions (..., 3)."""

    gala_potential: GalaPotential

    def potential(self, x: Positions) -> Numbers:
        """Phi in (km/s)^2."""
        return self._evaluate(self.gala_potential.energy, x, u.km**2 / u.s**2).reshape(x.shape[:-1])

    def acceleration(self, x: Positions) -> Positions:
        """a = -grad Phi in (km/s)^2/kpc."""
        return self._evaluate(self.gala_potential.acceleration, x, u.km**2 / u.s**2 / u.kpc).T.reshape(
            x.shape
        )

    def density(self, x: Positions) -> Numbers:
        """rho in Msun/pc^3.

        Raises:
            MockError: gala has no density of this potential (NaN for a triaxial NFW).
        """
        return self._evaluate(self.gala_potential.density, x, u.Msun / u.pc**3).reshape(x.shape[:-1])

    def _evaluate(self, quantity: Any, x: np.ndarray, unit: u.UnitBase) -> np.ndarray:
        values = np.asarray(quantity(x.reshape(-1, 3).T << u.kpc).to_value(unit))
        if not np.all(np.isfinite(values)):
            raise MockError(
                f"{type(self.gala_potential).__name__}.{quantity.__name__} is not finite at some of "
                f"{x.size // 3} positions; use a potential that gala evaluates everywhere in the volume"
            )
        return values
