"""The recipes that a configuration describes."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool

from streams import CandidateFinder, LineRecipe, MembershipRecipe, RegionRecipe
from streams.compact import CompactFinder, CompactRecipe
from via_machinae.config import Config
from via_machinae.patch_stars import PatchStars

__all__ = ["compact_finder_of", "fiducial_stars", "finder_of", "null_skies_of", "region_recipe"]


def region_recipe(config: Config) -> RegionRecipe:
    """How windows are cut into regions of interest."""
    regions = config.regions
    return RegionRecipe(regions.width, regions.step, regions.min_stars, regions.exclude_below)


def finder_of(config: Config) -> CandidateFinder:
    """The line finder that a configuration describes."""
    lines, significance = config.lines, config.significance
    return CandidateFinder(
        regions=region_recipe(config),
        lines=LineRecipe(lines.widths, lines.ranks, lines.angle_step, lines.offset_step),
        membership=MembershipRecipe(half_box=config.membership.half_box),
        cell_deg=lines.cell,
        null_skies=significance.null_skies,
        report_below=significance.report_below,
        max_candidates=significance.max_candidates,
    )


def compact_finder_of(config: Config) -> CompactFinder:
    """The search for clusters and dwarf galaxies that a configuration describes."""
    compact, significance = config.compact, config.significance
    return CompactFinder(
        CompactRecipe(
            regions=region_recipe(config),
            scales=compact.scales,
            null_skies=significance.null_skies,
            report_below=significance.report_below,
            max_candidates=significance.max_candidates,
            min_axis_ratio=compact.min_axis_ratio,
            max_radius=compact.max_radius,
        )
    )


def null_skies_of(config: Config) -> int:
    """Null skies of a patch, in both searches: the steps of its progress."""
    return config.significance.null_skies * (2 if config.compact.enabled else 1)


def fiducial_stars(patch: PatchStars, config: Config) -> Bool[np.ndarray, " n"]:
    """Stars whose colour is that of old streams; all of them where the table has no colour."""
    colour = config.regions.colour
    if colour is None or "bp_rp" not in patch.features:
        return np.ones(len(patch.table), dtype=bool)
    return (patch.values("bp_rp") > colour[0]) & (patch.values("bp_rp") < colour[1])
