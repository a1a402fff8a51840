"""Maps of the acceleration and of the mass density: values at positions, never without their error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
from jaxtyping import Float

from dm_map.errors import DmMapError
from dm_map.gravity import GALACTIC, GEV_PER_CM3, GravityUnits, Pointwise, Smoothing
from dm_map.maps.members import Ensemble, check_members, check_sources

__all__ = ["AccelerationMap", "DensityMap"]

Map = TypeVar("Map", bound="FieldMap")


class FieldMap(Ensemble):
    """What maps of any field share: members over positions, their sources, files."""

    #: What is mapped, in words.
    of: ClassVar[str]

    members: np.ndarray
    sources: tuple[str, ...]

    @property
    def ensemble(self) -> Float[np.ndarray, "m ..."]:
        """The members."""
        return self.members

    def select(self: Map, source: str) -> Map:
        """The members that vary one source.

        Raises:
            DmMapError: fewer than two do.
        """
        rows = _rows(self.sources, source)
        return replace(self, members=self.members[rows], sources=(source,) * len(rows))

    def write(self, path: Path | str, *, overwrite: bool = False) -> Path:
        """Write the map as FITS or ECSV, by the suffix; see `dm_map.maps.files.write_map`."""
        from dm_map.maps.files import write_map

        return write_map(self, path, overwrite=overwrite)

    @classmethod
    def read(cls: type[Map], path: Path | str) -> Map:
        """Read what `write` wrote, exactly.

        Raises:
            DmMapError: there is no such file, or it holds something else.
        """
        from dm_map.maps.files import read_map

        found = read_map(path)
        if not isinstance(found, cls):
            raise DmMapError(f"{path} holds a map of {found.of}, not of {cls.of}")
        return found


@dataclass(frozen=True, eq=False)
class AccelerationMap(FieldMap):
    """Gravitational acceleration at p positions, by m members.

    Attributes:
        x: Positions, kpc for Galactic units.
        members: Accelerations, (km/s)^2/kpc for Galactic units.
        sources: For each member what it varies: "training", "bootstrap", "measurement", "baryons", ...
        units: Units of the field.
        method: How it was made, in words.
        provenance: Version, configuration, data, seeds: whatever JSON can hold.

    Raises:
        DmMapError: fewer than two members, shapes that disagree, values that are not finite.
    """

    of: ClassVar[str] = "the acceleration"

    x: Float[np.ndarray, "p 3"]
    members: Float[np.ndarray, "m p 3"]
    sources: tuple[str, ...]
    units: GravityUnits = GALACTIC
    method: str = ""
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_members(self.members, (len(self.x), 3), "an acceleration")
        check_sources(self.sources, len(self.members))

    @property
    def unit(self) -> str:
        """Name of the unit of the values."""
        return self.units.acceleration

    @property
    def relative_error(self) -> Float[np.ndarray, " p"]:
        """Length of the error vector over that of the acceleration."""
        size = np.linalg.norm(self.value, axis=-1)
        length = np.linalg.norm(self.error, axis=-1)
        return np.divide(length, size, out=np.full_like(size, np.inf), where=size > 0)


@dataclass(frozen=True, eq=False)
class DensityMap(FieldMap):
    """Mass density at p positions, by m members.

    Attributes:
        x: Positions, kpc for Galactic units.
        members: Mass densities, Msun/pc^3 for Galactic units.
        sources: For each member what it varies: "training", "bootstrap", "measurement", "baryons", ...
        matter: What is weighed: "total", "dark matter", ...
        smoothing: The volume over which each value is an average.
        units: Units of the field.
        method: How it was made, in words.
        provenance: Version, configuration, data, seeds: whatever JSON can hold.

    Raises:
        DmMapError: fewer than two members, shapes that disagree, values that are not finite.
    """

    of: ClassVar[str] = "the mass density"

    x: Float[np.ndarray, "p 3"]
    members: Float[np.ndarray, "m p"]
    sources: tuple[str, ...]
    matter: str = "total"
    smoothing: Smoothing = field(default_factory=Pointwise)
    units: GravityUnits = GALACTIC
    method: str = ""
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_members(self.members, (len(self.x),), "a mass density")
        check_sources(self.sources, len(self.members))

    @property
    def unit(self) -> str:
        """Name of the unit of the values."""
        return self.units.rho

    def in_gev(self) -> DensityMap:
        """The same map in GeV/cm^3 (rest energy), the unit of direct-detection experiments.

        Raises:
            DmMapError: the map is not in Msun/pc^3.
        """
        if self.units.rho != GALACTIC.rho:
            raise DmMapError(
                f"only densities in Msun/pc3 are converted to GeV/cm3; this map's are in {self.unit!r}"
            )
        scale = GEV_PER_CM3 * self.units.rho_per_divergence
        units = replace(self.units, rho="GeV/cm3", rho_per_divergence=scale)
        return replace(self, members=GEV_PER_CM3 * self.members, units=units)


def _rows(sources: tuple[str, ...], source: str) -> np.ndarray:
    rows = np.flatnonzero(np.array(sources) == source)
    if len(rows) < 2:
        raise DmMapError(
            f"{len(rows)} members vary {source!r}, and an error takes two; there are {sorted(set(sources))}"
        )
    return rows
