"""From the scores of a run to its catalogue."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from astropy.table import Table

from sky_patches import CatalogStore, PatchGeometry
from streams import (
    CandidateFinder,
    LineRecipe,
    MembershipRecipe,
    RegionRecipe,
    StreamCatalog,
    candidate_rows,
)
from via_machinae.config import Config
from via_machinae.errors import RunError
from via_machinae.patch_stars import PatchStars, load_patch
from via_machinae.run import Run

__all__ = ["finder_of", "make_catalog"]


def finder_of(config: Config) -> CandidateFinder:
    """The line finder that a configuration describes."""
    regions, lines, significance = config.regions, config.lines, config.significance
    return CandidateFinder(
        regions=RegionRecipe(regions.width, regions.step, regions.min_stars, regions.exclude_below),
        lines=LineRecipe(lines.widths, lines.ranks, lines.angle_step, lines.offset_step),
        membership=MembershipRecipe(half_box=config.membership.half_box),
        cell_deg=lines.cell,
        null_skies=significance.null_skies,
        report_below=significance.report_below,
        max_candidates=significance.max_candidates,
    )


def make_catalog(run: Run, config: Config, progress: Callable[[], None] | None = None) -> StreamCatalog:
    """Find the candidates of every patch and write the catalogue of the run.

    Args:
        run: a run with all its units scored.
        config: its configuration; sections that scores do not depend on may differ from the run's own.
        progress: called after each null sky of each patch.

    Raises:
        RunError: units are missing, a file is damaged, or the scores are of other stars or settings.
        StreamsError: a patch cannot be searched.
    """
    store = CatalogStore.open(run.store)
    run.require(config, store.checksum())
    missing = len(run.pending())
    if missing:
        raise RunError(
            f"{run.path} has {missing} of {len(run.units)} windows still to score: "
            f"run 'via-machinae scan --store {run.store} --run {run.path}' again to finish"
        )
    rows = [_patch_rows(run, config, store, geometry, progress) for geometry in run.geometries]
    catalog = StreamCatalog.merge(rows, _provenance(run, config))
    catalog.write(run.path / "catalog")
    return catalog


def _patch_rows(
    run: Run,
    config: Config,
    store: CatalogStore,
    geometry: PatchGeometry,
    progress: Callable[[], None] | None,
) -> tuple[Table, Table]:
    patch = load_patch(store, geometry, run.config)
    stars = patch.stream_stars()
    candidates = finder_of(config).find(
        stars, geometry.footprint, run.scores(geometry.name, patch.source_id),
        keep=_fiducial(patch, config), seed=config.run.seed, progress=progress,
    )  # fmt: skip
    return candidate_rows(
        candidates, stars, geometry,
        threshold=config.significance.threshold, member_threshold=config.membership.threshold,
    )  # fmt: skip


def _fiducial(patch: PatchStars, config: Config) -> np.ndarray:
    """Stars whose colour is that of old streams; all of them where the table has no colour."""
    colour = config.regions.colour
    if colour is None or "bp_rp" not in patch.features:
        return np.ones(len(patch.table), dtype=bool)
    return (patch.values("bp_rp") > colour[0]) & (patch.values("bp_rp") < colour[1])


def _provenance(run: Run, config: Config) -> dict[str, Any]:
    kept = (
        "version",
        "created",
        "scoring_hash",
        "store_checksum",
        "store_provenance",
        "features",
        "cuts",
        "stars",
    )
    return {
        **{key: run.manifest[key] for key in kept},
        "config": config.model_dump(mode="json"),
        "config_hash": config.hash(),
    }
