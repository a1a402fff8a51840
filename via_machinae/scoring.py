"""Scores of one unit of work: the stars of a window, by the configured detector."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from density import (
    Anode,
    AtMost,
    BoostedTrees,
    Bound,
    Bounds,
    Cathode,
    ConditionalFlow,
    Detector,
    Unbounded,
    Window,
)
from sky_patches import CatalogStore
from streams import COMPONENTS
from via_machinae.config import Config
from via_machinae.patch_stars import PatchStars, load_patch
from via_machinae.run import Run, Unit, atomic_path

__all__ = ["ScoredUnit", "score_unit", "unit_seed", "units_of"]


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


def unit_seed(seed: int, unit: Unit) -> int:
    """Seed of a unit: depends on the unit's name alone, never on which process ran it or when."""
    digest = hashlib.sha256(f"{seed}/{unit.patch}/{unit.component}/{unit.low}/{unit.high}".encode()).digest()
    return int.from_bytes(digest[:4], "little")


def score_unit(run_path: Path, unit: Unit) -> ScoredUnit:
    """Score one unit and write its file; called in a worker process."""
    start = time.perf_counter()
    run, patch = _patch(str(run_path), unit.patch)
    other = COMPONENTS[1 - COMPONENTS.index(unit.component)]
    names = (other, *patch.features)
    x = np.column_stack([patch.values(name) for name in names])
    detector = _detector(run.config, _bounds(names, run.config))
    fitted = detector.fit(
        x,
        patch.values(unit.component),
        Window(unit.low, unit.high),
        seed=unit_seed(run.config.run.seed, unit),
    )
    rows = np.flatnonzero(np.isfinite(fitted.out_of_fold))
    with atomic_path(run.scores_path(unit)) as temporary:
        np.savez(
            temporary, source_id=patch.source_id[rows], log_ratio=fitted.out_of_fold[rows].astype(np.float32)
        )
    return ScoredUnit(unit, len(rows), time.perf_counter() - start)


@lru_cache(maxsize=2)
def _patch(run_path: str, name: str) -> tuple[Run, PatchStars]:
    """A patch is read once per process, not once per window."""
    run = Run.open(Path(run_path))
    geometry = next(geometry for geometry in run.geometries if geometry.name == name)
    return run, load_patch(CatalogStore.open(run.store), geometry, run.config)


def _bounds(names: tuple[str, ...], config: Config) -> Bounds:
    """The magnitude limit is the one hard edge among the features; a flow must know of it."""
    edges: dict[str, Bound] = {}
    if config.cuts.magnitude is not None:
        edges["phot_g_mean_mag"] = AtMost(config.cuts.magnitude[1])
    return Bounds(tuple(edges.get(name, Unbounded()) for name in names), names)


def _detector(config: Config, bounds: Bounds) -> Detector:
    flow = ConditionalFlow(**config.flow.model_dump(), bounds=bounds)
    settings, minimum = config.detector, config.windows.min_stars
    if settings.name == "anode":
        data = ConditionalFlow(
            kind=flow.kind,
            layers=flow.layers,
            hidden=flow.hidden,
            epochs=15,
            batch_size=512,
            learning_rate=2e-3,
            bounds=bounds,
        )
        return Anode(background=flow, data=data, folds=settings.folds, minimum=minimum)
    return Cathode(
        background=flow, classifier=BoostedTrees(members=settings.members),
        oversampling=settings.oversampling, folds=settings.folds, see_resonant=True, minimum=minimum,
    )  # fmt: skip
