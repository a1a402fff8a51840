"""Overlapping patches over the sky that is kept, and the sky that they cover."""

from __future__ import annotations

from sky_patches.tiling.coverage import covered_moc, kept_moc, read_moc, touched_pixels, write_moc
from sky_patches.tiling.dust import DustZone
from sky_patches.tiling.recipe import Tile, Tiling, TilingRecipe
from sky_patches.tiling.table import read_tiling, tiling_from_table, tiling_table, write_tiling
from sky_patches.tiling.zones import MAGELLANIC_CLOUDS, KeptSky, Zone

__all__ = [
    "DustZone",
    "KeptSky",
    "MAGELLANIC_CLOUDS",
    "Tile",
    "Tiling",
    "TilingRecipe",
    "Zone",
    "covered_moc",
    "kept_moc",
    "read_moc",
    "read_tiling",
    "tiling_from_table",
    "tiling_table",
    "touched_pixels",
    "write_moc",
    "write_tiling",
]
