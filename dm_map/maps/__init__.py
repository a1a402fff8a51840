"""Result types: maps of the acceleration and of the mass density, their files and their error budget."""

from __future__ import annotations

from dm_map.maps.budget import Coverage, ErrorBudget, combine, coverage
from dm_map.maps.curve import Curve
from dm_map.maps.evaluate import (
    Field,
    acceleration_map,
    density_map,
    member_accelerations,
    member_densities,
)
from dm_map.maps.files import map_table, read_map, write_map
from dm_map.maps.members import ONE_SIGMA, Ensemble
from dm_map.maps.results import AccelerationMap, DensityMap

__all__ = [
    "ONE_SIGMA",
    "AccelerationMap",
    "Coverage",
    "Curve",
    "DensityMap",
    "Ensemble",
    "ErrorBudget",
    "Field",
    "acceleration_map",
    "combine",
    "coverage",
    "density_map",
    "map_table",
    "member_accelerations",
    "member_densities",
    "read_map",
    "write_map",
]
