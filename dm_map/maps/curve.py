"""A quantity along one coordinate, never without its error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from astropy.table import Table
from jaxtyping import Float

from dm_map.maps.members import Ensemble, check_members

__all__ = ["Curve"]


@dataclass(frozen=True, eq=False)
class Curve(Ensemble):
    """A quantity along one coordinate, by m members.

    Attributes:
        name: What it is.
        coordinate: Name of the coordinate.
        at: Its p values.
        members: Values, shape (m, p).
        coordinate_unit: Name of the unit of the coordinate.
        unit: Name of the unit of the values.

    Raises:
        DmMapError: fewer than two members, another shape, or values that are not finite.
    """

    name: str
    coordinate: str
    at: Float[np.ndarray, " p"]
    members: Float[np.ndarray, "m p"]
    coordinate_unit: str = ""
    unit: str = ""

    def __post_init__(self) -> None:
        check_members(self.members, (len(self.at),), self.name)

    @property
    def ensemble(self) -> Float[np.ndarray, "m p"]:
        """The members."""
        return self.members

    def table(self, level: float = 0.68) -> Table:
        """One row for each value of the coordinate: value, error, and the interval of that probability."""
        low, high = self.interval(level)
        columns = [self.at, self.value, self.error, low, high]
        names = [self.coordinate, self.name, f"{self.name}_error", f"{self.name}_low", f"{self.name}_high"]
        units = [self.coordinate_unit] + 4 * [self.unit]
        return Table(columns, names=names, units=units, meta={"level": level})
