"""Cuts on stars: named, composable, each counting what it removed."""

from __future__ import annotations

from sky_patches.cuts.algebra import AllOf, AnyOf, Not
from sky_patches.cuts.basic import (
    ColourBetween,
    Cut,
    CutLog,
    CutRecord,
    MagnitudeBetween,
    MotionOutsideBox,
    ParallaxBelow,
    RuweBelow,
    apply_cuts,
)
from sky_patches.cuts.quality import (
    FiniteParallax,
    FiveParameters,
    FluxExcessDr2,
    FluxExcessWithin,
    NotNearby,
    five_parameter_cut,
)

__all__ = [
    "AllOf",
    "AnyOf",
    "ColourBetween",
    "Cut",
    "CutLog",
    "CutRecord",
    "FiniteParallax",
    "FiveParameters",
    "FluxExcessDr2",
    "FluxExcessWithin",
    "MagnitudeBetween",
    "MotionOutsideBox",
    "Not",
    "NotNearby",
    "ParallaxBelow",
    "RuweBelow",
    "apply_cuts",
    "five_parameter_cut",
]
