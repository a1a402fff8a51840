"""Gaia in: one star table, a catalogue store, frames, footprints, patches, cuts, and a mock sky.

    store = CatalogStore.open("gaia")
    patch = Patch(store, PatchGeometry.circle("north", ra_deg=150.0, dec_deg=30.0, radius_deg=10.0))
    stars = patch.stars(["phot_g_mean_mag", "bp_rp"])

The mock sky is in `sky_patches.mock`.
"""

from __future__ import annotations

from sky_patches.cuts import (
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
from sky_patches.errors import (
    FootprintError,
    FrameError,
    LoadError,
    MockError,
    SchemaError,
    SkyPatchesError,
    StoreError,
)
from sky_patches.footprint import Box, Circle, Footprint
from sky_patches.frames import PatchFrame
from sky_patches.loader import Loaded, LoadReport, read_stars
from sky_patches.natural import natural_patch
from sky_patches.patch import Patch, PatchGeometry, StarSource, TableSource
from sky_patches.schema import SCHEMA, StarColumn, StarTable, star_table, validate
from sky_patches.store import CatalogStore
from sky_patches.store_append import AppendReport

__all__ = [
    "SCHEMA",
    "AppendReport",
    "Box",
    "CatalogStore",
    "Circle",
    "ColourBetween",
    "Cut",
    "CutLog",
    "CutRecord",
    "Footprint",
    "FootprintError",
    "FrameError",
    "LoadError",
    "LoadReport",
    "Loaded",
    "MagnitudeBetween",
    "MockError",
    "MotionOutsideBox",
    "ParallaxBelow",
    "Patch",
    "PatchFrame",
    "PatchGeometry",
    "RuweBelow",
    "SchemaError",
    "SkyPatchesError",
    "StarColumn",
    "StarSource",
    "StarTable",
    "StoreError",
    "TableSource",
    "apply_cuts",
    "natural_patch",
    "read_stars",
    "star_table",
    "validate",
]
