"""Circles around known clusters and galaxies, to be cut out of a search."""

from __future__ import annotations

from sky_patches.masks.circles import CircleMask, MaskSet
from sky_patches.masks.known_objects import KnownObject, read_known_objects

__all__ = [
    "CircleMask",
    "KnownObject",
    "MaskSet",
    "read_known_objects",
]
