"""Spherical averages of a density map: rho(r) with the covariance of its points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from astropy.table import Table
from jaxtyping import Float, Int

from dm_map.errors import DmMapError
from dm_map.maps import DensityMap, Ensemble
from dm_map.maps.members import check_members

__all__ = ["RadialProfile", "spherical_average"]


@dataclass(frozen=True, eq=False)
class RadialProfile(Ensemble):
    """Mean density in shells, by m members.

    Attributes:
        r: Mean Galactocentric radius of the positions in each of k shells, kpc.
        members: Mean densities, shape (m, k).
        count: Positions in each shell.
        matter: What is weighed.
        unit: Name of the unit of the densities.

    Raises:
        DmMapError: fewer than two members, another shape, or values that are not finite.
    """

    r: Float[np.ndarray, " k"]
    members: Float[np.ndarray, "m k"]
    count: Int[np.ndarray, " k"]
    matter: str = "dark matter"
    unit: str = "Msun/pc3"

    def __post_init__(self) -> None:
        check_members(self.members, (len(self.r),), "a radial profile")

    @property
    def ensemble(self) -> Float[np.ndarray, "m k"]:
        """The members."""
        return self.members

    @property
    def covariance(self) -> Float[np.ndarray, "k k"]:
        """Covariance of the shells over the members; shells of one map are far from independent.

        The correlations are shrunk towards none by Ledoit & Wolf's (2004) rule, which makes the matrix
        invertible with few members and leaves it alone with many.

        Raises:
            DmMapError: a shell does not scatter at all: its members are no measurement.
        """
        from sklearn.covariance import ledoit_wolf

        spread = self.deviation
        if not np.all(spread > 0):
            raise DmMapError(
                f"the members agree exactly at r = {self.r[np.argmin(spread)]:g}: no error to fit with"
            )
        correlation, _ = ledoit_wolf(
            (self.members - self.members.mean(axis=0)) / spread, assume_centered=True
        )
        unit_diagonal = np.sqrt(np.diag(correlation))
        return correlation / np.outer(unit_diagonal, unit_diagonal) * np.outer(spread, spread)

    def table(self, level: float = 0.68) -> Table:
        """One row for each shell: radius, density, error, the interval of that probability, positions."""
        low, high = self.interval(level)
        columns = [self.r, self.value, self.error, low, high, self.count]
        names = ["r", "rho", "rho_error", "rho_low", "rho_high", "positions"]
        units = ["kpc"] + 4 * [self.unit] + [None]
        return Table(columns, names=names, units=units, meta={"level": level, "matter": self.matter})


def spherical_average(
    found: DensityMap, edges: Float[np.ndarray, " e"], *, min_height: float = 0.0
) -> RadialProfile:
    """Mean density of the map's positions in spherical shells about the Galactic centre.

    Args:
        found: A map, at positions that fill the shells evenly (`Ball.uniform`).
        edges: Edges of the shells, kpc, increasing.
        min_height: Positions at smaller |z| are left out: near the plane the dark matter is the small
            difference of two large densities.

    Raises:
        DmMapError: the edges do not increase, or a shell holds no position.
    """
    if edges.ndim != 1 or len(edges) < 2 or not np.all(np.diff(edges) > 0):
        raise DmMapError(f"the edges of shells are two or more increasing radii; got {edges}")
    radius = np.linalg.norm(found.x, axis=1)
    shell = np.digitize(radius, edges) - 1
    shell[np.abs(found.x[:, 2]) < min_height] = -1
    rows = [np.flatnonzero(shell == number) for number in range(len(edges) - 1)]
    empty = [number for number, chosen in enumerate(rows) if not len(chosen)]
    if empty:
        low, high = edges[empty[0]], edges[empty[0] + 1]
        raise DmMapError(f"no position at |z| >= {min_height:g} lies between r = {low:g} and {high:g} kpc")
    return RadialProfile(
        np.array([radius[chosen].mean() for chosen in rows]),
        np.stack([found.members[:, chosen].mean(axis=1) for chosen in rows], axis=-1),
        np.array([len(chosen) for chosen in rows]),
        found.matter,
        found.unit,
    )
