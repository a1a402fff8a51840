"""Which part of a patch was observed: circles and boxes, with holes."""

from __future__ import annotations

from sky_patches.footprints.from_dict import footprint_from_dict
from sky_patches.footprints.holes import Hole, WithHoles
from sky_patches.footprints.shapes import Box, Circle, Footprint, line_offset

__all__ = [
    "Box",
    "Circle",
    "Footprint",
    "Hole",
    "WithHoles",
    "footprint_from_dict",
    "line_offset",
]
