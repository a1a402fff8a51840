"""Stars on disk once, as HEALPix-partitioned Parquet in the HATS layout."""

from __future__ import annotations

from sky_patches.store.append import AppendReport
from sky_patches.store.catalog_store import CatalogStore
from sky_patches.store.verify import Damage, VerifyReport

__all__ = [
    "AppendReport",
    "CatalogStore",
    "Damage",
    "VerifyReport",
]
