"""A dictionary: the components whose weighted sum is the potential."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float

from dm_map.errors import PotentialError
from dm_map.potential.components import Component, Layer
from dm_map.potential.tables import acceleration_tables
from dm_map.volume import Ball

__all__ = ["Dictionary"]

# Below so many positions exact evaluation costs less than the table.
_TABLE_PAYS_FROM = 20_000


@dataclass(frozen=True)
class Dictionary:
    """Components in a fixed order: column k of every array is component k for a coefficient of one.

    Attributes:
        components: K components of different names.
        volume: Where the dictionary is used; accelerations of axisymmetric components are tabulated there for
            large samples. None: always exact.

    Raises:
        PotentialError: no component, or two of one name.
    """

    components: tuple[Component, ...]
    volume: Ball | None = None

    def __post_init__(self) -> None:
        names = self.names
        if not names:
            raise PotentialError("a dictionary has at least one component; got none")
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise PotentialError(f"the names of components differ; repeated: {repeated[:5]}")

    def __len__(self) -> int:
        return len(self.components)

    def __add__(self, other: Dictionary) -> Dictionary:
        """The components of both; the volume of the first that has one."""
        return Dictionary(self.components + other.components, self.volume or other.volume)

    @property
    def names(self) -> tuple[str, ...]:
        """Names in order."""
        return tuple(component.name for component in self.components)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Layer of each component, in order."""
        return tuple(component.layer for component in self.components)

    @property
    def positive(self) -> Bool[np.ndarray, " K"]:
        """Which coefficients cannot be negative."""
        return np.array([component.positive for component in self.components])

    def in_layer(self, layer: str) -> Bool[np.ndarray, " K"]:
        """Which components belong to a layer."""
        return np.array([name == layer for name in self.layers])

    def subset(self, keep: Bool[np.ndarray, " K"] | Iterable[int | np.integer]) -> Dictionary:
        """The components where `keep` is true, or at these indices.

        Raises:
            PotentialError: nothing is kept.
        """
        chosen = np.asarray(keep if isinstance(keep, np.ndarray) else list(keep))
        index = np.flatnonzero(chosen) if chosen.dtype == bool else chosen
        return replace(self, components=tuple(self.components[int(k)] for k in index))

    def potentials(self, x: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n K"]:
        """Phi_k, (km/s)^2."""
        return self._columns(x, lambda component: component.potential(x))

    def densities(self, x: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n K"]:
        """rho_k, Msun/pc^3."""
        return self._columns(x, lambda component: component.density(x))

    def accelerations(
        self, x: Float[np.ndarray, "n 3"], dtype: type[np.floating] = np.float32
    ) -> Float[np.ndarray, "n 3 K"]:
        """a_k, (km/s)^2/kpc, shape (n, 3, K).

        In float32 and for 20,000 positions or more in the dictionary's volume, axisymmetric components come
        from interpolated tables, right to 1e-5 of |a_k|; otherwise all values are exact. The caller chunks:
        the result takes 12 n K bytes in float32.
        """
        out = np.empty((len(x), 3, len(self)), dtype=dtype)
        exact = np.ones(len(self), dtype=bool)
        if self.volume is not None and dtype == np.float32 and len(x) >= _TABLE_PAYS_FROM:
            tables = acceleration_tables(self.components, self.volume)
            if np.all(self.volume.contains(x)) and np.any(tables.tabulated):
                tables.fill(x, out)
                exact = ~tables.tabulated
        for k in np.flatnonzero(exact):
            out[:, :, k] = self.components[k].acceleration(x)
        return out

    def _columns(
        self, x: Float[np.ndarray, "n 3"], of: Callable[[Component], np.ndarray]
    ) -> Float[np.ndarray, "n K"]:
        out = np.empty((len(x), len(self)))
        for k, component in enumerate(self.components):
            out[:, k] = of(component)
        return out
