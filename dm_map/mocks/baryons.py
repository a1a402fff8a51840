"""The baryons of a mock galaxy: all of its field but the halo, known without error."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from dm_map.baryons import SOLAR_RADIUS
from dm_map.mocks.base import Mock
from dm_map.mocks.gala_field import GalaField
from dm_map.mocks.kicked import Kicked

__all__ = ["MockBaryons"]

_NODES = 400


@dataclass(frozen=True, eq=False)
class MockBaryons:
    """All of a mock's field but its halo, known without error: what is left is the mock's dark matter.

    Attributes:
        parts: The discs, bulge and bar.
        name: Short name.
        reference: Where the model comes from.
    """

    parts: GalaField
    name: str = "mock"
    reference: str = "the mock's own discs, bulge and bar"
    _known: dict[tuple[tuple[int, ...], bytes], np.ndarray] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, mock: Mock) -> MockBaryons:
        """Those of a mock galaxy."""
        from gala.potential import CCompositePotential

        whole = (mock.mock if isinstance(mock, Kicked) else mock).gala_potential
        parts = CCompositePotential()
        for name, part in whole.items():
            if name != "halo":
                parts[name] = part
        return cls(GalaField(parts))

    def density(self, x: Float[np.ndarray, "*batch 3"]) -> Float[np.ndarray, "*batch"]:
        """Mass density at Galactocentric positions (kpc), Msun/pc^3."""
        # Every draw is this model: the same positions are asked for again and again.
        key = (x.shape, x.tobytes())
        if key not in self._known:
            self._known.clear()
            self._known[key] = self.parts.density(np.ascontiguousarray(x))
        return self._known[key]

    def surface_density(self, z_max: float) -> float:
        """Surface density at the Sun within |z| < z_max (kpc), Msun/pc^2, by the midpoint rule."""
        z = (np.arange(_NODES) + 0.5) * z_max / _NODES
        x = np.stack([np.full_like(z, -SOLAR_RADIUS), np.zeros_like(z), z], axis=-1)
        both = self.density(x) + self.density(x * np.array([1.0, 1.0, -1.0]))
        return float(1000.0 * np.sum(both) * z_max / _NODES)

    def draw(self, seed: int) -> MockBaryons:
        """Itself: a mock's baryons have no error."""
        return self
