"""From a fitted potential to what is quoted and drawn: maps, curves, profile, local values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float

from dm_map.baryons import SOLAR_RADIUS, BaryonModel, dark_matter
from dm_map.local import circular_velocity, surface_density, vertical_force
from dm_map.maps import AccelerationMap, Curve, DensityMap, Field, acceleration_map, density_map
from dm_map.profiles import Burkert, GeneralizedNFW, ProfileFit, RadialProfile, fit_profile, spherical_average
from via_machinae.dark_matter.grid import MapGrid

__all__ = ["SCALE_PRIOR", "Products"]

#: Prior of the gNFW scale radius, kpc: within 3 kpc of the Sun the stars say next to nothing about it.
SCALE_PRIOR = (18.0, 6.0)

_BARYON_DRAWS = 64


@dataclass(frozen=True, eq=False)
class Products:
    """All that is made from one field on one grid.

    Attributes:
        method: Name of the method that gave the field.
        field: The potential with its members, or a truth.
        baryons: Stars and gas, taken from the total.
        grid: Where.
        seed: Of the draws of the baryons.
        source: What the field's members vary.
        provenance: Version, settings, stars.
    """

    method: str
    field: Field
    baryons: BaryonModel
    grid: MapGrid
    seed: int
    source: str
    provenance: Mapping[str, Any]

    def total_at(self, x: Float[np.ndarray, "p 3"]) -> DensityMap:
        """Total mass density.

        Raises:
            VolumeError: a position is outside the ball of the grid.
        """
        return density_map(
            self.field, x, volume=self.grid.ball, source=self.source, method=self.method,
            provenance=self.provenance,
        )  # fmt: skip

    def dark_at(self, x: Float[np.ndarray, "p 3"], baryons: BaryonModel | None = None) -> DensityMap:
        """Mass density of the dark matter, errors of the baryons included.

        Raises:
            VolumeError: a position is outside the ball of the grid.
        """
        taken = self.baryons if baryons is None else baryons
        return dark_matter(self.total_at(x), taken, draws=_BARYON_DRAWS, seed=self.seed)

    def _dark_once(self, x: Float[np.ndarray, "p 3"]) -> DensityMap:
        """The same with every member once: in an estimate of covariance repetitions would pass for data."""
        total = self.total_at(x)
        return dark_matter(total, self.baryons, draws=len(total.members), seed=self.seed)

    @cached_property
    def acceleration(self) -> AccelerationMap:
        """In the meridional plane."""
        return acceleration_map(
            self.field, self.grid.meridional, volume=self.grid.ball, source=self.source, method=self.method,
            provenance=self.provenance,
        )  # fmt: skip

    @cached_property
    def total(self) -> DensityMap:
        """Total density in the meridional plane."""
        return self.total_at(self.grid.meridional)

    @cached_property
    def dark(self) -> DensityMap:
        """Dark matter in the meridional plane."""
        return self.dark_at(self.grid.meridional)

    @cached_property
    def dark_slice(self) -> DensityMap:
        """Dark matter in the horizontal plane at the reference height."""
        return self.dark_at(self.grid.horizontal)

    @cached_property
    def dark_by_height(self) -> Curve:
        """Dark matter at the Sun's radius against |z|, the mean of both sides."""
        z = self.grid.heights
        return two_sided(self.dark_at(self.grid.both_sides(SOLAR_RADIUS, z)), "z", z)

    @cached_property
    def dark_by_radius(self) -> Curve:
        """Dark matter at |z| = the reference height against R, the mean of both sides."""
        R = self.grid.radii(self.grid.height)
        return two_sided(self.dark_at(self.grid.both_sides(R, self.grid.height)), "R", R)

    @cached_property
    def circular_velocity(self) -> Curve:
        """In the plane against R."""
        return circular_velocity(self.field, self.grid.radii(0.0), volume=self.grid.ball)

    @cached_property
    def vertical_force(self) -> Curve:
        """At the Sun's radius against z."""
        z = np.concatenate([-self.grid.heights[::-1], [0.0], self.grid.heights])
        return vertical_force(self.field, z, volume=self.grid.ball)

    @cached_property
    def surface_density(self) -> Curve:
        """Of all matter at the Sun's radius against z, the radial term included."""
        step = min(0.1, 0.4 * self.grid.spacing)
        z = self.grid.heights[self.grid.heights + 0.05 < self.grid.ball.radius - step]
        return surface_density(self.field, z, step=step, volume=self.grid.ball)

    @cached_property
    def profile(self) -> RadialProfile:
        """Dark matter in spherical shells, at |z| above the reference height."""
        x = self.grid.shell_positions
        chosen = x[np.abs(x[:, 2]) >= self.grid.height]
        return spherical_average(self._dark_once(chosen), self.grid.shell_edges)

    @cached_property
    def profile_fits(self) -> dict[str, ProfileFit]:
        """A cusp and a core fitted to the profile."""
        priors = {"scale": SCALE_PRIOR}
        return {
            "gNFW": fit_profile(self.profile, GeneralizedNFW(), priors=priors),
            "Burkert": fit_profile(self.profile, Burkert()),
        }


def two_sided(found: DensityMap, coordinate: str, at: Float[np.ndarray, " p"]) -> Curve:
    """Mean of the values above the plane (first half of the map) and below, member by member."""
    above, below = np.split(found.members, 2, axis=1)
    return Curve("rho_dm", coordinate, at, 0.5 * (above + below), found.units.length, found.unit)
