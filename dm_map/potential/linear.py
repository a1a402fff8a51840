"""A potential that is linear in its parameters: the sum of a dictionary's components."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from dm_map.errors import PotentialError
from dm_map.potential.components import MASS_OF_ONE, GalaComponent
from dm_map.potential.dictionary import Dictionary
from dm_map.potential.free_form import Harmonic

if TYPE_CHECKING:
    from gala.potential import CompositePotential

__all__ = ["LinearPotential"]

# Positions evaluated at once: bounds the memory to some 100 MB for 200 components.
_CHUNK = 16_384


@dataclass(frozen=True, eq=False)
class LinearPotential:
    """Phi = sum_k c_k Phi_k, with an ensemble of coefficients that carries its error.

    Attributes:
        dictionary: The K components.
        coefficients: c_k, shape (K,): the fit itself.
        members: The same fit m times over, by seed, bootstrap or both, shape (m, K); None where there are
            none.
        pattern_speed: Angular speed about z of the frame in which it is stationary, km/s/kpc.

    Raises:
        PotentialError: shapes disagree with the dictionary, or a coefficient is not finite.
    """

    dictionary: Dictionary
    coefficients: Float[np.ndarray, " K"]
    members: Float[np.ndarray, "m K"] | None = None
    pattern_speed: float = 0.0

    def __post_init__(self) -> None:
        if self.coefficients.shape != (len(self.dictionary),):
            raise PotentialError(
                f"{len(self.dictionary)} components need that many coefficients; "
                f"got shape {self.coefficients.shape}"
            )
        if self.members is not None and self.members.shape[1:] != self.coefficients.shape:
            raise PotentialError(f"members have shape (m, {len(self.dictionary)}); got {self.members.shape}")
        everything = (
            self.coefficients if self.members is None else np.vstack([self.coefficients, self.members])
        )
        if not np.all(np.isfinite(everything)):
            bad = int(np.argwhere(~np.isfinite(everything))[0][-1])
            raise PotentialError(f"the coefficient of {self.dictionary.names[bad]!r} is not finite")

    def potential(self, x: Float[np.ndarray, "*batch 3"]) -> Float[np.ndarray, "*batch"]:
        """Phi, (km/s)^2."""
        return self._one("potentials", x)

    def acceleration(self, x: Float[np.ndarray, "*batch 3"]) -> Float[np.ndarray, "*batch 3"]:
        """-grad Phi, (km/s)^2/kpc."""
        return self._one("accelerations", x)

    def density(self, x: Float[np.ndarray, "*batch 3"]) -> Float[np.ndarray, "*batch"]:
        """Mass density, Msun/pc^3."""
        return self._one("densities", x)

    def member_potentials(self, x: Float[np.ndarray, "*batch 3"]) -> Float[np.ndarray, "m *batch"]:
        """Phi of every member, (km/s)^2."""
        return self._sum("potentials", x, self._required_members())

    def member_accelerations(self, x: Float[np.ndarray, "*batch 3"]) -> Float[np.ndarray, "m *batch 3"]:
        """Acceleration of every member, (km/s)^2/kpc.

        Raises:
            PotentialError: there are no members.
        """
        return self._sum("accelerations", x, self._required_members())

    def member_densities(self, x: Float[np.ndarray, "*batch 3"]) -> Float[np.ndarray, "m *batch"]:
        """Mass density of every member, Msun/pc^3.

        Raises:
            PotentialError: there are no members.
        """
        return self._sum("densities", x, self._required_members())

    def layer(self, name: str) -> LinearPotential:
        """The part of one layer: "baryons", "halo" or "local".

        Raises:
            PotentialError: the dictionary has no component in it.
        """
        keep = self.dictionary.in_layer(name)
        if not np.any(keep):
            raise PotentialError(
                f"there is no layer {name!r} in this potential; it has {sorted(set(self.dictionary.layers))}"
            )
        return LinearPotential(
            self.dictionary.subset(keep),
            self.coefficients[keep],
            None if self.members is None else self.members[:, keep],
            self.pattern_speed,
        )

    def with_members(self, members: Float[np.ndarray, "m K"]) -> LinearPotential:
        """The same fit with an ensemble."""
        return replace(self, members=members)

    def total_mass(self) -> float:
        """Sum of the mass parameters, Msun: of NFW haloes the scale mass; without Burkert and local terms."""
        components = self.dictionary.components
        counted = [isinstance(c, GalaComponent) and c.kind != "burkert" for c in components]
        return float(MASS_OF_ONE * np.sum(self.coefficients[np.array(counted)]))

    def to_gala(self) -> CompositePotential:
        """A gala potential of the components whose coefficient is not zero; orbits can be integrated in it.

        One named part for each component, in C; all solid harmonics together are one part written in Python,
        "local: harmonics", and with it gala's Python integrators are used.

        Raises:
            PotentialError: all coefficients are zero.
        """
        from dm_map.potential.gala_terms import FieldPotential, SumInC, SumInPython

        used = self.coefficients != 0
        if not np.any(used):
            raise PotentialError("all coefficients are zero: there is no potential to hand over")
        in_python = used & np.array([isinstance(c, Harmonic) for c in self.dictionary.components])
        parts = SumInPython() if np.any(in_python) else SumInC()
        parts.field = self
        for k in np.flatnonzero(used & ~in_python):
            component = self.dictionary.components[int(k)]
            parts[component.name] = component.to_gala(float(self.coefficients[k]))
        if np.any(in_python):
            together = LinearPotential(self.dictionary.subset(in_python), self.coefficients[in_python])
            parts["local: harmonics"] = FieldPotential.of(together)
        return parts

    def _one(self, what: str, x: np.ndarray) -> np.ndarray:
        return self._sum(what, x, self.coefficients[None])[0]

    def _required_members(self) -> np.ndarray:
        if self.members is None:
            raise PotentialError("this potential has no members; fit several flows or bootstrap samples")
        return self.members

    def _sum(self, what: str, x: np.ndarray, rows: Float[np.ndarray, "m K"]) -> np.ndarray:
        """Only components that some row uses are evaluated, in chunks of positions."""
        used = np.any(rows != 0, axis=0)
        tail = (3,) if what == "accelerations" else ()
        flat = np.asarray(x, dtype=np.float64).reshape(-1, 3)
        out = np.zeros((len(rows), len(flat), *tail))
        if np.any(used):
            dictionary, weights = self.dictionary.subset(used), rows[:, used]
            extra = {"dtype": np.float64} if tail else {}
            for start in range(0, len(flat), _CHUNK):
                values = getattr(dictionary, what)(flat[start : start + _CHUNK], **extra)
                out[:, start : start + _CHUNK] = np.moveaxis(values @ weights.T, -1, 0)
        return out.reshape(len(rows), *np.shape(x)[:-1], *tail)
