"""Potentials that are fitted to stars: dictionaries of components, their sums, and how they are solved for.

The neural potential is in `dm_map.potential.neural`, apart from the rest because it needs torch.
"""

from __future__ import annotations

from dm_map.potential.components import Component, GalaComponent
from dm_map.potential.dictionary import Dictionary
from dm_map.potential.factories import bars, galactic_dictionary, triaxial_haloes
from dm_map.potential.free_form import Blob, Harmonic, free_form_layer
from dm_map.potential.from_scores import (
    PatternSpeedScan,
    ScoreFit,
    Scores,
    density_points,
    potential_from_scores,
    scan_pattern_speed,
    tail_weights,
)
from dm_map.potential.linear import LinearPotential
from dm_map.potential.solver import Solution, nonnegative_fit
from dm_map.potential.store import load_potential, save_potential

__all__ = [
    "Blob",
    "Component",
    "Dictionary",
    "GalaComponent",
    "Harmonic",
    "LinearPotential",
    "PatternSpeedScan",
    "ScoreFit",
    "Scores",
    "Solution",
    "bars",
    "density_points",
    "free_form_layer",
    "galactic_dictionary",
    "load_potential",
    "nonnegative_fit",
    "potential_from_scores",
    "save_potential",
    "scan_pattern_speed",
    "tail_weights",
    "triaxial_haloes",
]
