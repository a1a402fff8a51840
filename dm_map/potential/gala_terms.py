"""Fields written in Python as gala potentials, for orbits by gala's integrators."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
from gala.potential import CCompositePotential, CompositePotential, PotentialBase, PotentialParameter
from gala.units import galactic

from dm_map.potential.components import KMS_PER_KPC_MYR

__all__ = ["FieldPotential", "SumInC", "SumInPython"]


@runtime_checkable
class _Field(Protocol):
    def potential(self, x: np.ndarray) -> np.ndarray: ...
    def acceleration(self, x: np.ndarray) -> np.ndarray: ...
    def density(self, x: np.ndarray) -> np.ndarray: ...


class FieldPotential(PotentialBase):
    """Any field of this package, times a coefficient, as a gala potential in galactic units (kpc, Myr, Msun).

    gala integrates orbits in it through its Python functions: about a hundred times slower than potentials
    written in C, and right everywhere.
    """

    coefficient = PotentialParameter("coefficient", physical_type="dimensionless", default=1.0)

    # gala's constructor takes parameters only, and rebuilds copies through it: the field is set by `of`.
    field: _Field

    @classmethod
    def of(cls, field: _Field, coefficient: float = 1.0) -> FieldPotential:
        """The field in kpc, (km/s)^2 and Msun/pc^3, times the coefficient."""
        made = cls(coefficient=coefficient, units=galactic)
        made.field = field
        return made

    def replicate(self, **kwargs: Any) -> FieldPotential:
        """A copy with changed parameters, of the same field."""
        copy = super().replicate(**kwargs)
        copy.field = self.field
        return copy

    def _energy(self, q: np.ndarray, t: float | np.ndarray = 0.0) -> np.ndarray:
        return self._factor * self.field.potential(q) / KMS_PER_KPC_MYR**2

    def _gradient(self, q: np.ndarray, t: float | np.ndarray = 0.0) -> np.ndarray:
        # gala hands over (3, n) here and (n, 3) elsewhere.
        return -self._factor * self.field.acceleration(np.asarray(q).T).T / KMS_PER_KPC_MYR**2

    def _density(self, q: np.ndarray, t: float | np.ndarray = 0.0) -> np.ndarray:
        return self._factor * self.field.density(q) * 1e9

    @property
    def _factor(self) -> float:
        return float(self.parameters["coefficient"])


class SumInC(CCompositePotential):
    """A sum of gala's C potentials that takes its mass density from a field of this package.

    gala has no density for flattened and triaxial NFW haloes, and returns NaN.
    """

    field: _Field

    def _density(self, q: np.ndarray, t: float | np.ndarray = 0.0) -> np.ndarray:
        return self.field.density(q) * 1e9


class SumInPython(CompositePotential):
    """The same where a part is written in Python."""

    field: _Field

    def _density(self, q: np.ndarray, t: float | np.ndarray = 0.0) -> np.ndarray:
        return self.field.density(q) * 1e9
