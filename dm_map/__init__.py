"""From phase-space densities of stars to accelerations and dark matter."""

from __future__ import annotations

from dm_map.boltzmann import PointwiseAcceleration, acceleration_from_scores
from dm_map.errors import AccelerationError, DmMapError, MockError
from dm_map.gravity import GEV_PER_CM3, GRAVITATIONAL_CONSTANT, mass_density, mean_density_in_ball
from dm_map.mocks import Plummer

__all__ = [
    "AccelerationError",
    "DmMapError",
    "GEV_PER_CM3",
    "GRAVITATIONAL_CONSTANT",
    "MockError",
    "Plummer",
    "PointwiseAcceleration",
    "acceleration_from_scores",
    "mass_density",
    "mean_density_in_ball",
]
