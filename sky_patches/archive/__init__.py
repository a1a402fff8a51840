"""Gaia from an archive: a TAP client that loses no rows, and a store that is kept fresh with it.

from sky_patches.archive import ArchiveCuts, refresh

refresh("gaia", "cone:150,30,10", "dr3", cuts=ArchiveCuts(parallax_below=1.0))
"""

from __future__ import annotations

from sky_patches.archive.client import TapClient
from sky_patches.archive.engine import RefreshProgress
from sky_patches.archive.errors import ArchiveError
from sky_patches.archive.estimate import RefreshEstimate, estimate_refresh
from sky_patches.archive.pixel import SkyPixel
from sky_patches.archive.query import ArchiveCuts, ArchiveQuery
from sky_patches.archive.refresh import refresh
from sky_patches.archive.refresh_errors import PixelTooFullError, RefreshError, ReplaceNeededError
from sky_patches.archive.refresh_values import GAIA_TAP, RefreshReport, RefreshSettings
from sky_patches.archive.region_text import parse_region, parse_regions
from sky_patches.archive.regions import (
    AbsLatitude,
    Cone,
    Intersection,
    LonLatBox,
    Pixels,
    Polygon,
    Region,
    RegionError,
    Union,
    WholeSky,
)
from sky_patches.archive.releases import DR2, DR3, Release, ReleaseError, release_named
from sky_patches.archive.repair import Repaired, repair_store
from sky_patches.archive.retry import ClientPolicy
from sky_patches.archive.stream_track import StreamTrack

__all__ = [
    "DR2",
    "DR3",
    "GAIA_TAP",
    "AbsLatitude",
    "ArchiveCuts",
    "ArchiveError",
    "ArchiveQuery",
    "ClientPolicy",
    "Cone",
    "Intersection",
    "LonLatBox",
    "PixelTooFullError",
    "Pixels",
    "Polygon",
    "RefreshError",
    "RefreshEstimate",
    "RefreshProgress",
    "RefreshReport",
    "RefreshSettings",
    "Region",
    "RegionError",
    "Release",
    "ReleaseError",
    "Repaired",
    "ReplaceNeededError",
    "SkyPixel",
    "StreamTrack",
    "TapClient",
    "Union",
    "WholeSky",
    "estimate_refresh",
    "parse_region",
    "parse_regions",
    "refresh",
    "release_named",
    "repair_store",
]
