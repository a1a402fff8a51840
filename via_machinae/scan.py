"""The conductor: plan a run, score its windows on all cores, make the catalogue."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any

from density import DensityError
from sky_patches import CatalogStore
from via_machinae.config import Config
from via_machinae.errors import RunError
from via_machinae.patch_stars import geometries, load_patch
from via_machinae.run import Run, Unit
from via_machinae.scoring import ScoredUnit, score_unit, units_of
from via_machinae.workers import completed

__all__ = ["plan_run", "score_run"]


def plan_run(store: Path, run: Path, config: Config, *, scored: bool = True) -> Run:
    """Open the run if it exists, else plan it: patches, cuts, windows.

    Args:
        store: the star catalogue.
        run: the run directory.
        config: the configuration.
        scored: its windows are to be scored; a likelihood search needs none.

    Raises:
        RunError: the directory holds a run of another configuration or other stars (the message says what
            differs), or no window has enough stars.
    """
    catalogue = CatalogStore.open(store)
    checksum = catalogue.checksum()
    if Run.exists(run):
        begun = Run.open(run)
        begun.require(config, checksum)
        if scored:
            _require_windows(begun.units, begun.manifest["stars"], config)
        return begun.at_store(store)
    if not len(catalogue):
        raise RunError(f"{store} holds no stars: add some with 'via-machinae import FILE --store {store}'")
    # Patch by patch: a tiling has a hundred, and their stars need not be in memory together.
    planned = geometries(catalogue, config)
    units: list[Unit] = []
    told: dict[str, dict[str, Any]] = {"stars": {}, "features": {}, "cuts": {}}
    for geometry in planned:
        patch = load_patch(catalogue, geometry, config)
        units += units_of(patch, config)
        facts = {"stars": len(patch.table), "features": list(patch.features), "cuts": patch.cuts}
        for key, fact in facts.items():
            told[key][geometry.name] = fact
    if scored:
        _require_windows(units, told["stars"], config)
    provenance = {"store_checksum": checksum, "store_provenance": catalogue.provenance, **told}
    return Run.create(
        run,
        config,
        store,
        geometries=planned,
        units=units,
        provenance=provenance,
    )


def _require_windows(units: list[Unit], stars: dict[str, int], config: Config) -> None:
    if not units:
        raise RunError(
            f"no window of {config.windows.width} mas/yr holds {config.windows.min_stars} stars "
            f"(stars after the cuts: {list(stars.values())}): "
            "lower windows.min_stars or widen the patch"
        )


def score_run(run: Run, workers: int, done: Callable[[ScoredUnit], None] | None = None) -> None:
    """Score all pending units on `workers` processes; a finished unit is on disk before `done` hears of it.

    Interrupting loses only the units at work; calling again continues.

    Raises:
        RunError: a unit failed (the message names it), or a worker process was killed.
    """
    pending = run.pending()
    if not pending:
        return
    for unit, future in completed(partial(score_unit, run.path), pending, workers):
        scored = _result(unit, future)
        if done is not None:
            done(scored)


def _result(unit: Unit, future: Future[ScoredUnit]) -> ScoredUnit:
    try:
        return future.result()
    except DensityError as error:
        raise RunError(
            f"window [{unit.low}, {unit.high}) of {unit.component} in patch {unit.patch!r}: {error}"
        ) from error
