"""Scores of one unit of work: the stars of a window, by the configured detector."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from density import Window
from sky_patches import CatalogStore
from streams import COMPONENTS, WindowScores
from via_machinae.config import Config
from via_machinae.detectors import detector_of
from via_machinae.patch_stars import PatchStars, load_patch
from via_machinae.run import RETRAINED, Run, Unit, atomic_path

__all__ = ["ScoredUnit", "score_unit", "scores_of", "unit_seed", "units_of"]


@dataclass(frozen=True)
class ScoredUnit:
    """What a finished unit reports back.

    Args:
        unit: the unit.
        stars: stars scored.
        seconds: time it took on one core.
    """

    unit: Unit
    stars: int
    seconds: float


def units_of(patch: PatchStars, config: Config) -> list[Unit]:
    """All windows of a patch, over the whole range of both components.

    Windows lie on multiples of the step. A window needs `min_stars` stars, and as many beside it.
    """
    windows = config.windows
    units = []
    for component in COMPONENTS:
        m = np.sort(patch.values(component))
        first = np.floor(m[0] / windows.step) * windows.step - windows.width
        for low in np.arange(first, m[-1], windows.step):
            # Rounded so that a window has one name whatever the range of the stars.
            low, high = round(float(low), 6), round(float(low) + windows.width, 6)
            inside = int(np.diff(np.searchsorted(m, [low, high]))[0])
            if inside >= windows.min_stars <= len(m) - inside:
                units.append(Unit(patch.geometry.name, component, low, high))
    return units


def unit_seed(seed: int, unit: Unit, retraining: int = 0) -> int:
    """Seed of a unit: depends on its name alone, never on which process ran it or when.

    Args:
        seed: root seed of the run.
        unit: the unit.
        retraining: 0 for the scores that make the catalogue, 1 ... for those that tell what is stable.
    """
    name = f"{seed}/{unit.patch}/{unit.component}/{unit.low}/{unit.high}"
    if retraining:
        name += f"/retraining {retraining}"
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "little")


def scores_of(patch: PatchStars, unit: Unit, config: Config, *, retraining: int = 0) -> WindowScores:
    """Cross-fitted scores of one window's stars by the configured detector, which sees no positions.

    Args:
        patch: the stars; rows of the result count in its table.
        unit: the window. Its patch is a name only: the stars are those of `patch`.
        config: the detector, its flow and features.
        retraining: which training; see `unit_seed`.

    Raises:
        DensityError: too few stars in the window or beside it, or a model that could not be trained.
    """
    other = COMPONENTS[1 - COMPONENTS.index(unit.component)]
    names = (other, *patch.features)
    m, window = patch.values(unit.component), Window(unit.low, unit.high)
    detector = detector_of(config, names, m, window)
    x = np.column_stack([patch.values(name) for name in names])
    fitted = detector.fit(x, m, window, seed=unit_seed(config.run.seed, unit, retraining))
    rows = np.flatnonzero(np.isfinite(fitted.out_of_fold))
    log_ratio = fitted.out_of_fold[rows].astype(np.float32)
    return WindowScores(unit.component, unit.low, unit.high, rows, log_ratio)


def score_unit(run_path: Path, unit: Unit) -> ScoredUnit:
    """Score one unit, as often as it is to be trained, and write its file; called in a worker process."""
    start = time.perf_counter()
    run, patch = _patch(str(run_path), unit.patch)
    trainings = [
        scores_of(patch, unit, run.config, retraining=number)
        for number in range(run.config.detector.retrainings)
    ]
    _write(run.scores_path(unit), patch, trainings)
    return ScoredUnit(unit, len(trainings[0].rows), time.perf_counter() - start)


def _write(path: Path, patch: PatchStars, trainings: list[WindowScores]) -> None:
    """Stars and first scores; the retrainings' beside them, row by row (NaN: no finite score there)."""
    rows = trainings[0].rows
    arrays = {"source_id": patch.source_id[rows], "log_ratio": trainings[0].log_ratio}
    if len(trainings) > 1:
        scores = np.full((len(trainings) - 1, len(patch.table)), np.nan, dtype=np.float32)
        for number, training in enumerate(trainings[1:]):
            scores[number, training.rows] = training.log_ratio
        arrays[RETRAINED] = scores[:, rows]
    with atomic_path(path) as temporary:
        np.savez(temporary, **arrays)


@lru_cache(maxsize=2)
def _patch(run_path: str, name: str) -> tuple[Run, PatchStars]:
    """A patch is read once per process, not once per window."""
    run = Run.open(Path(run_path))
    geometry = next(geometry for geometry in run.geometries if geometry.name == name)
    return run, load_patch(CatalogStore.open(run.store), geometry, run.config)
