"""Gaia in: one star table, a catalogue store, frames, footprints, patches, cuts, and a mock sky.

    store = CatalogStore.open("gaia")
    patch = Patch(store, PatchGeometry.circle("north", ra_deg=150.0, dec_deg=30.0, radius_deg=10.0))
    stars = patch.stars(["phot_g_mean_mag", "bp_rp"])

The mock sky is in `sky_patches.mock`.
"""

from __future__ import annotations

from sky_patches.cuts import (
    AllOf,
    AnyOf,
    ColourBetween,
    Cut,
    CutLog,
    CutRecord,
    FiniteParallax,
    FiveParameters,
    FluxExcessDr2,
    FluxExcessWithin,
    MagnitudeBetween,
    MotionOutsideBox,
    Not,
    NotNearby,
    ParallaxBelow,
    RuweBelow,
    apply_cuts,
    five_parameter_cut,
)
from sky_patches.errors import (
    FootprintError,
    FrameError,
    LoadError,
    MaskError,
    MockError,
    SchemaError,
    SkyPatchesError,
    StoreError,
    TilingError,
)
from sky_patches.footprints import Box, Circle, Footprint, Hole, WithHoles
from sky_patches.frames import PatchFrame
from sky_patches.loader import Loaded, LoadReport, read_stars
from sky_patches.masks import CircleMask, KnownObject, MaskSet, read_known_objects
from sky_patches.natural import natural_patch
from sky_patches.patch import Patch, PatchGeometry, StarSource, TableSource
from sky_patches.reflex import SUN, SolarMotion, reflex_corrected, reflex_motion
from sky_patches.schema import SCHEMA, StarColumn, StarTable, star_table, validate
from sky_patches.store import AppendReport, CatalogStore, Damage, VerifyReport
from sky_patches.tiling import (
    MAGELLANIC_CLOUDS,
    DustZone,
    KeptSky,
    Tile,
    Tiling,
    TilingRecipe,
    Zone,
    covered_moc,
    kept_moc,
    read_moc,
    read_tiling,
    tiling_from_table,
    tiling_table,
    touched_pixels,
    write_moc,
    write_tiling,
)

__all__ = [
    "AllOf",
    "AnyOf",
    "AppendReport",
    "Box",
    "CatalogStore",
    "Circle",
    "CircleMask",
    "ColourBetween",
    "Cut",
    "CutLog",
    "CutRecord",
    "Damage",
    "DustZone",
    "FiniteParallax",
    "FiveParameters",
    "FluxExcessDr2",
    "FluxExcessWithin",
    "Footprint",
    "FootprintError",
    "FrameError",
    "Hole",
    "KeptSky",
    "KnownObject",
    "LoadError",
    "LoadReport",
    "Loaded",
    "MAGELLANIC_CLOUDS",
    "MagnitudeBetween",
    "MaskError",
    "MaskSet",
    "MockError",
    "MotionOutsideBox",
    "Not",
    "NotNearby",
    "ParallaxBelow",
    "Patch",
    "PatchFrame",
    "PatchGeometry",
    "RuweBelow",
    "SCHEMA",
    "SUN",
    "SchemaError",
    "SkyPatchesError",
    "SolarMotion",
    "StarColumn",
    "StarSource",
    "StarTable",
    "StoreError",
    "TableSource",
    "Tile",
    "Tiling",
    "TilingError",
    "TilingRecipe",
    "VerifyReport",
    "WithHoles",
    "Zone",
    "apply_cuts",
    "covered_moc",
    "five_parameter_cut",
    "kept_moc",
    "natural_patch",
    "read_known_objects",
    "read_moc",
    "read_stars",
    "read_tiling",
    "reflex_corrected",
    "reflex_motion",
    "star_table",
    "tiling_from_table",
    "tiling_table",
    "touched_pixels",
    "validate",
    "write_moc",
    "write_tiling",
]
