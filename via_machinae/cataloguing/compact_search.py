"""Star clusters and dwarf galaxies in a patch: found in the same scores, masked before lines are sought."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

import numpy as np
from astropy.table import Table
from jaxtyping import Bool

from sky_patches import KnownObject, PatchGeometry, read_known_objects
from streams import WindowScores
from streams.compact import CompactCandidate, Parallax, compact_rows, mask_compact
from via_machinae.cataloguing.recipes import compact_finder_of
from via_machinae.config import Config, MasksConfig
from via_machinae.patch_stars import PatchStars

__all__ = ["search_compact"]

_PARALLAX = ("parallax", "parallax_error")


def search_compact(
    config: Config,
    patch: PatchStars,
    windows: list[WindowScores],
    keep: Bool[np.ndarray, " n"],
    progress: Callable[[], None] | None,
) -> tuple[tuple[Table, Table], PatchGeometry]:
    """Compact over-densities of a patch, and the patch with a hole for each that passes.

    Args:
        config: of the run; with `compact.enabled` false the tables are empty and the patch is as it was.
        patch: its stars.
        windows: their scores, the mean of all trainings.
        keep: stars that may be ranked.
        progress: called after each null sky.

    Returns:
        Tables of the objects and of their stars, and the patch.
    """
    stars, parallax = patch.stream_stars(), _parallax(patch)
    found: list[CompactCandidate] = []
    if config.compact.enabled:
        found = compact_finder_of(config).find(
            stars, patch.geometry.footprint, windows,
            keep=keep, parallax=parallax, seed=config.run.seed, progress=progress,
        )  # fmt: skip
    threshold = config.compact.threshold
    tables = compact_rows(
        found, stars, patch.geometry,
        threshold=threshold, member_threshold=config.membership.threshold, parallax=parallax,
        known=_known(config.masks),
    )  # fmt: skip
    passing = [one for one in found if one.passes(threshold)]
    if not passing:
        return tables, patch.geometry
    clean = mask_compact(passing, patch.geometry.footprint, scale=config.compact.mask_scale)
    return tables, replace(patch.geometry, footprint=clean)


def _parallax(patch: PatchStars) -> Parallax | None:
    if not set(_PARALLAX) <= set(patch.table.colnames):
        return None
    value, error = (patch.values(name) for name in _PARALLAX)
    return Parallax(value, error) if np.isfinite(value).any() else None


def _known(masks: MasksConfig | None) -> tuple[KnownObject, ...]:
    """Known objects that an over-density may be: those of the run's masks, or the package's own list."""
    return _listed("builtin" if masks is None or masks.catalogue == "none" else masks.catalogue)


@lru_cache(maxsize=1)
def _listed(catalogue: str) -> tuple[KnownObject, ...]:
    return read_known_objects(catalogue)
