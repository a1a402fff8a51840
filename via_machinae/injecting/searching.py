"""The search of a patch with injected stars, with null skies that are drawn once per patch."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from streams import Candidate, NullMaxima, WindowScores, regions_of_interest
from streams.candidates import PatchSearch
from streams.merging import mean_scores
from via_machinae.cataloguing import finder_of
from via_machinae.injecting.directory import InjectionDirectory
from via_machinae.injecting.errors import InjectError
from via_machinae.injecting.field import Field, field_of
from via_machinae.patch_stars import PatchStars
from via_machinae.run import write_json

__all__ = ["prepare_null", "searched"]


def searched(
    directory: InjectionDirectory, field: Field, patch: PatchStars, trainings: list[list[WindowScores]]
) -> list[Candidate]:
    """Candidates of a patch with injected stars, by the run's own settings.

    The null skies are those of the patch as it is: they scatter the stars of its regions over its smooth
    density, in which a stream's stars are a few more of several thousand. With `fresh_null` they are drawn
    from the patch with the injected stars, as a scan of it would.

    Args:
        directory: the campaign.
        field: the patch of the run.
        patch: the same with the injected stars.
        trainings: scores of its windows, by each training; the search uses their mean.
    """
    search = _search(field, patch, trainings)
    null = search.null(field.run.config.run.seed) if directory.fresh_null else _kept_null(directory, field)
    return search.candidates(null, field.run.config.run.seed)


def prepare_null(path: Path, patch: str) -> str:
    """Draw and keep the null skies of a patch of the run; called in a worker process."""
    directory = InjectionDirectory.open(path)
    _kept_null(directory, field_of(str(directory.run), patch))
    return patch


def _kept_null(directory: InjectionDirectory, field: Field) -> NullMaxima:
    path = directory.null_path(field.patch.geometry.name)
    if path.is_file():
        try:
            return NullMaxima(np.array(json.loads(path.read_text(encoding="utf-8"))["maxima"], dtype=float))
        except (ValueError, KeyError, TypeError) as error:
            raise InjectError(f"{path} cannot be read ({error}): delete it, it is made again") from error
    null = _search(field, field.patch, field.trainings).null(field.run.config.run.seed)
    write_json(path, {"maxima": null.maxima.tolist()})
    return null


def _search(field: Field, patch: PatchStars, trainings: list[list[WindowScores]]) -> PatchSearch:
    stars, finder = patch.stream_stars(), finder_of(field.run.config)
    regions = regions_of_interest(
        mean_scores(trainings), stars.proper_motion, field.fiducial(patch), finder.regions
    )
    return PatchSearch.build(finder, stars, field.searched.footprint, regions)
