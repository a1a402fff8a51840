"""Compact over-densities: star clusters and ultra-faint dwarf galaxies in the scores of a stream search.

    found = CompactFinder(CompactRecipe(null_skies=100)).find(stars, footprint, windows, seed=1)
    clean = mask_compact([one for one in found if one.passes(0.01)], footprint)

The second catalogue of a scan. What passes is masked before lines are looked for: a cluster is a spot through
which a hundred lines run.
"""

from __future__ import annotations

from streams.compact.catalog import CompactCatalog, compact_rows
from streams.compact.discs import BestDiscs, DiscSearch, disc_significance
from streams.compact.errors import CompactError
from streams.compact.finder import CompactCandidate, CompactFinder, CompactRecipe, DiscDetection
from streams.compact.masking import mask_compact, mask_radius
from streams.compact.membership import (
    ClusterErrors,
    ClusterMembership,
    ClusterRecipe,
    Parallax,
    fit_cluster,
)
from streams.compact.null import compact_null_maxima
from streams.compact.profile import ClusterModel

__all__ = [
    "BestDiscs",
    "ClusterErrors",
    "ClusterMembership",
    "ClusterModel",
    "ClusterRecipe",
    "CompactCandidate",
    "CompactCatalog",
    "CompactError",
    "CompactFinder",
    "CompactRecipe",
    "DiscDetection",
    "DiscSearch",
    "Parallax",
    "compact_null_maxima",
    "compact_rows",
    "disc_significance",
    "fit_cluster",
    "mask_compact",
    "mask_radius",
]
