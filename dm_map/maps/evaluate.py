"""Fields to maps: accelerations and mass densities of every member of a field at positions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from dm_map.gravity import GALACTIC, GravityUnits, Pointwise, Smoothing
from dm_map.maps.results import AccelerationMap, DensityMap
from dm_map.volume import Ball

__all__ = ["Field", "acceleration_map", "density_map", "member_accelerations", "member_densities"]


@runtime_checkable
class Field(Protocol):
    """A gravitational field: a mock's truth, or a fitted potential.

    A fitted one has `member_accelerations(x (..., 3)) -> (m, ..., 3)` and `member_densities(x) -> (m, ...)`
    besides; a field without them is taken to be known exactly, and its maps have errors of zero.
    """

    def acceleration(self, x: np.ndarray) -> np.ndarray:
        """-grad Phi."""

    def density(self, x: np.ndarray) -> np.ndarray:
        """Mass density."""


def member_accelerations(field: Field, x: Float[np.ndarray, "*batch 3"]) -> Float[np.ndarray, "m *batch 3"]:
    """Accelerations of every member; two equal ones for a field that is known exactly."""
    return _members(field, "member_accelerations", field.acceleration)(x)


def member_densities(field: Field, x: Float[np.ndarray, "*batch 3"]) -> Float[np.ndarray, "m *batch"]:
    """Mass densities of every member; two equal ones for a field that is known exactly."""
    return _members(field, "member_densities", field.density)(x)


def acceleration_map(
    field: Field,
    x: Float[np.ndarray, "p 3"],
    *,
    volume: Ball | None = None,
    source: str = "bootstrap",
    units: GravityUnits = GALACTIC,
    method: str = "",
    provenance: Mapping[str, Any] | None = None,
) -> AccelerationMap:
    """The acceleration of a field at positions.

    Args:
        field: Fitted potential, or truth.
        x: Positions, kpc for Galactic units.
        volume: Where the field was determined; None to trust it everywhere.
        source: What its members vary.
        units: Units of the field.
        method: How the field was made, in words.
        provenance: Version, configuration, data, seeds.

    Raises:
        VolumeError: a position lies outside the volume.
    """
    if volume is not None:
        volume.require(x)
    members = np.asarray(member_accelerations(field, x), dtype=np.float64)
    sources = (_named(field, source),) * len(members)
    return AccelerationMap(x, members, sources, units, method, dict(provenance or {}))


def density_map(
    field: Field,
    x: Float[np.ndarray, "p 3"],
    smoothing: Smoothing | None = None,
    *,
    volume: Ball | None = None,
    matter: str = "total",
    source: str = "bootstrap",
    units: GravityUnits = GALACTIC,
    method: str = "",
    provenance: Mapping[str, Any] | None = None,
) -> DensityMap:
    """The mass density of a field at positions.

    Args:
        field: Fitted potential, or truth.
        x: Positions, kpc for Galactic units.
        smoothing: BallMean or GaussianKernel reads the density off the accelerations; Pointwise (None) takes
            the field's own.
        volume: Where the field was determined; None to trust it everywhere.
        matter: What is weighed.
        source: What its members vary.
        units: Units of the field.
        method: How the field was made, in words.
        provenance: Version, configuration, data, seeds.

    Raises:
        VolumeError: a position, or the volume over which it is smoothed, reaches outside the volume.
    """
    smoothing = Pointwise() if smoothing is None else smoothing
    if volume is not None:
        # With a reach as large as the volume no position is inside.
        inner = volume.within(max(volume.radius - smoothing.reach, np.finfo(float).tiny))
        inner.require(x, "smoothing volume" if smoothing.reach else "position")
    if isinstance(smoothing, Pointwise):
        members = member_densities(field, x)
    else:
        members = smoothing.from_acceleration(lambda near: member_accelerations(field, near), x, units)
    members = np.asarray(members, dtype=np.float64)
    sources = (_named(field, source),) * len(members)
    return DensityMap(x, members, sources, matter, smoothing, units, method, dict(provenance or {}))


def _named(field: Field, source: str) -> str:
    return source if hasattr(field, "member_accelerations") else "exact"


def _members(
    field: Field, name: str, single: Callable[[np.ndarray], np.ndarray]
) -> Callable[[np.ndarray], np.ndarray]:
    if hasattr(field, name):
        found: Callable[[np.ndarray], np.ndarray] = getattr(field, name)
        return found
    return lambda x: np.repeat(np.asarray(single(x))[None], 2, axis=0)
