"""Phase-space densities by normalizing flows, their ensembles, and accelerations position by position."""

from __future__ import annotations

from dm_map.flows.density import PhaseSpaceDensity
from dm_map.flows.ensemble import FlowEnsemble, fit_ensemble, sample_fingerprint
from dm_map.flows.pointwise import PointwiseMap, pointwise_accelerations
from dm_map.flows.recipe import PhaseSpaceFlow
from dm_map.flows.score_sample import ScoreSample, draw_scores
from dm_map.flows.stationarity import SteadyState

__all__ = [
    "FlowEnsemble",
    "PhaseSpaceDensity",
    "PhaseSpaceFlow",
    "PointwiseMap",
    "ScoreSample",
    "SteadyState",
    "draw_scores",
    "fit_ensemble",
    "pointwise_accelerations",
    "sample_fingerprint",
]
