"""A patch of a finished run with all that a trial needs of it, read once per process."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from astropy.table import Table, vstack
from jaxtyping import Float, Int

from sky_patches import SCHEMA, CatalogStore, Patch, PatchGeometry, apply_cuts
from streams import WindowScores
from streams.injection import SurveyStars, densest_motion
from via_machinae.cataloguing import fiducial_stars, searched_geometry
from via_machinae.injecting.directory import base_members
from via_machinae.patch_stars import PatchStars, cuts_of, load_patch
from via_machinae.run import Run, Unit

__all__ = ["Field", "field_of", "with_stars"]

_DONORS = 20_000
_MAGNITUDES = (3.0, 21.0)
"""Limits of a survey without a cut in magnitude."""


@dataclass(frozen=True, eq=False)
class Field:
    """A patch of a finished run.

    Args:
        run: the run.
        patch: its stars after the cuts.
        trainings: the scores of the run: of the first training, and of each retraining, window by window.
        units: the windows, in the same order.
        survey: what is measured of a star there.
        densest: where its stars are densest in proper motion, patch frame, mas/yr.
        searched: the patch with holes for the compact objects that the run has found in it.
        known: source_id of the members of each candidate that the run has already.
    """

    run: Run
    patch: PatchStars
    trainings: list[list[WindowScores]]
    units: list[Unit]
    survey: SurveyStars
    densest: tuple[float, float]
    searched: PatchGeometry
    known: dict[str, Int[np.ndarray, " _"]]

    def fiducial(self, patch: PatchStars) -> np.ndarray:
        """Stars of a patch that lines are made of: by the run's colours, and outside the compact objects."""
        phi1, phi2 = patch.values("phi1"), patch.values("phi2")
        return fiducial_stars(patch, self.run.config) & self.searched.footprint.contains(phi1, phi2)


@lru_cache(maxsize=2)
def field_of(run_path: str, name: str) -> Field:
    """Read a patch of a run."""
    run = Run.open(Path(run_path))
    geometry = next(geometry for geometry in run.geometries if geometry.name == name)
    store = CatalogStore.open(run.store)
    patch = load_patch(store, geometry, run.config)
    trainings = [run.scores(name, patch.source_id), *run.retrained_scores(name, patch.source_id)]
    motions = np.column_stack([patch.values(column) for column in ("pm_phi1_cosphi2", "pm_phi2")])
    return Field(
        run, patch, trainings, [unit for unit in run.units if unit.patch == name],
        _survey(store, patch, run), densest_motion(motions), searched_geometry(run, name),
        base_members(run),
    )  # fmt: skip


def _survey(store: CatalogStore, patch: PatchStars, run: Run) -> SurveyStars:
    """At most `_DONORS` stars of the patch, with all columns of the store."""
    columns = [name for name in store.columns if name in SCHEMA]
    stars = Patch(store, patch.geometry).stars(columns)[columns]
    stars = stars[np.isin(np.asarray(stars["source_id"]), patch.source_id)]
    stars = stars[np.argsort(np.asarray(stars["source_id"]))]
    step = max(len(stars) // _DONORS, 1)
    return SurveyStars(stars[::step], run.config.cuts.magnitude or _MAGNITUDES)


def with_stars(field: Field, injected: Table, most: int) -> tuple[PatchStars, Int[np.ndarray, " n"]]:
    """The patch with injected stars that pass its cuts, ordered by source_id; and which stars these are.

    Args:
        field: the patch.
        injected: rows as the survey lists them, in random order.
        most: so many of those that pass are used.
    """
    patch, config = field.patch, field.run.config
    rows = patch.geometry.frame.project(injected)
    phi1, phi2 = (np.asarray(rows[name], dtype=float) for name in ("phi1", "phi2"))
    rows = rows[patch.geometry.footprint.contains(phi1, phi2)]
    rows, _ = apply_cuts(rows, cuts_of(config.cuts, rows.colnames))
    rows = rows[_finite(rows, patch)][:most]
    ids = np.sort(np.asarray(rows["source_id"], dtype=np.int64))
    if not len(rows):
        return patch, ids
    rows = rows[patch.table.colnames]
    rows.meta.clear()
    stars = vstack([patch.table, rows], metadata_conflicts="silent")
    stars = stars[np.argsort(np.asarray(stars["source_id"]), kind="stable")]
    return PatchStars(patch.geometry, stars, patch.features, patch.cuts), ids


def _finite(rows: Table, patch: PatchStars) -> np.ndarray:
    names = ("pm_phi1_cosphi2", "pm_phi2", *patch.features)
    values: list[Float[np.ndarray, " n"]] = [np.asarray(rows[name], dtype=float) for name in names]
    return np.isfinite(values).all(axis=0)
