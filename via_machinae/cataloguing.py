"""From the scores of a run to its catalogue."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io.registry import IORegistryError
from astropy.table import Table

from sky_patches import CatalogStore
from streams import (
    CandidateFinder,
    LineRecipe,
    MembershipRecipe,
    RegionRecipe,
    StreamCatalog,
    WindowScores,
    candidate_rows,
)
from via_machinae.config import Config
from via_machinae.errors import RunError
from via_machinae.patch_stars import PatchStars, load_patch
from via_machinae.run import Run, atomic_path
from via_machinae.version import __version__
from via_machinae.workers import completed, workers_of

__all__ = ["finder_of", "make_catalog", "patch_tables"]


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
    catalog = StreamCatalog.merge(_all_tables(run, config, progress), _provenance(run, config))
    catalog.write(run.path / "catalog")
    return catalog


def _all_tables(run: Run, config: Config, progress: Callable[[], None] | None) -> list[tuple[Table, Table]]:
    """Candidates and members of each patch; several patches are searched side by side."""
    names = [geometry.name for geometry in run.geometries]
    search = partial(patch_tables, run.path, config)
    if len(names) == 1:
        return [search(names[0], progress)]
    found = {}
    for name, future in completed(search, names, workers_of(config)):
        found[name] = future.result()
        _tell(config, progress)
    return [found[name] for name in names]


def patch_tables(
    run_path: Path, config: Config, name: str, progress: Callable[[], None] | None = None
) -> tuple[Table, Table]:
    """Candidates and members of one patch: a restartable unit, kept in the run and taken from there again.

    Args:
        run_path: the run directory.
        config: configuration of the search.
        name: the patch.
        progress: called after each null sky.
    """
    run = Run.open(run_path)
    geometry = next(geometry for geometry in run.geometries if geometry.name == name)
    patch = load_patch(CatalogStore.open(run.store), geometry, run.config)
    windows = run.scores(name, patch.source_id)
    files = [run.path / "catalog" / "patches" / name / f"{part}.ecsv" for part in ("streams", "members")]
    key = _key(config, patch, windows)
    kept = _kept(files, key)
    if kept is not None:
        _tell(config, progress)
        return kept
    tables = _search(config, patch, windows, progress)
    for table, path in zip(tables, files, strict=True):
        table.meta["made_by"] = key
        with atomic_path(path) as temporary:
            table.write(temporary)
    return tables


def _tell(config: Config, progress: Callable[[], None] | None) -> None:
    """Count the null skies of a patch that was searched before, or in another process."""
    if progress is not None:
        for _ in range(config.significance.null_skies):
            progress()


def _key(config: Config, patch: PatchStars, windows: list[WindowScores]) -> str:
    """What a search depends on: version, configuration, stars and scores."""
    digest = hashlib.sha256(f"{__version__} {config.hash()}".encode())
    digest.update(patch.source_id.tobytes())
    for window in windows:
        digest.update(f"{window.component} {window.low} {window.high}".encode())
        digest.update(window.rows.tobytes() + window.log_ratio.tobytes())
    return digest.hexdigest()


def _kept(files: list[Path], key: str) -> tuple[Table, Table] | None:
    """The tables of an earlier search with the same configuration and stars, if both are whole."""
    try:
        streams, members = (Table.read(path) for path in files)
    except (OSError, ValueError, TypeError, IORegistryError):
        return None
    return (streams, members) if {streams.meta.get("made_by"), members.meta.get("made_by")} == {key} else None


def _search(
    config: Config, patch: PatchStars, windows: list[WindowScores], progress: Callable[[], None] | None
) -> tuple[Table, Table]:
    stars = patch.stream_stars()
    candidates = finder_of(config).find(
        stars, patch.geometry.footprint, windows,
        keep=_fiducial(patch, config), seed=config.run.seed, progress=progress,
    )  # fmt: skip
    return candidate_rows(
        candidates, stars, patch.geometry,
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
