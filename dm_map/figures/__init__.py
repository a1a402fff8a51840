"""Figures of results: each takes result objects and gives a matplotlib Figure, which the caller saves."""

from __future__ import annotations

from dm_map.figures.comparison import draw_comparison
from dm_map.figures.curves import draw_dark_matter, draw_dynamics
from dm_map.figures.planes import draw_acceleration, draw_density
from dm_map.figures.profile import draw_profile
from dm_map.figures.published import draw_published
from dm_map.figures.residuals import draw_residuals

__all__ = [
    "draw_acceleration",
    "draw_comparison",
    "draw_dark_matter",
    "draw_density",
    "draw_dynamics",
    "draw_profile",
    "draw_published",
    "draw_residuals",
]
