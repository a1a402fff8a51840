"""What other patches say of a candidate: its track continued over stars that had no part in finding it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache

from sky_patches import CatalogStore, PatchGeometry
from streams import FoundStream, JoinedStream, RankedPatch, continuations, regions_of_interest
from streams.merging import mean_scores
from via_machinae.cataloguing.patch_search import geometry_of
from via_machinae.cataloguing.recipes import fiducial_stars, region_recipe
from via_machinae.config import Config
from via_machinae.patch_stars import load_patch
from via_machinae.run import Run

__all__ = ["with_evidence"]

_PATCHES_IN_MEMORY = 4


def with_evidence(
    streams: list[JoinedStream],
    found: list[FoundStream],
    geometries: Mapping[str, PatchGeometry],
    run: Run,
    config: Config,
) -> list[JoinedStream]:
    """The same candidates with the evidence of the patches that their best part's track enters.

    Args:
        streams: joined candidates.
        found: all candidates of single patches.
        geometries: every patch as it was searched.
        run: the run.
        config: configuration of the search.
    """
    if len(geometries) == 1:
        return streams
    by_label = {stream.label: stream for stream in found}
    load = _loader(geometries, run, config)
    every, tested = list(geometries.values()), []
    for stream in streams:
        best = by_label[stream.record.best]
        tested.append(stream.with_evidence(continuations(best.sky, best.geometry, every, load)))
    return tested


def _loader(
    geometries: Mapping[str, PatchGeometry], run: Run, config: Config
) -> Callable[[str], RankedPatch]:
    """Patches by name, as the line finder saw them; the last few stay in memory."""
    store = CatalogStore.open(run.store)

    @lru_cache(maxsize=_PATCHES_IN_MEMORY)
    def load(name: str) -> RankedPatch:
        patch = load_patch(store, geometry_of(run, name), run.config)
        trainings = [run.scores(name, patch.source_id), *run.retrained_scores(name, patch.source_id)]
        stars = patch.stream_stars()
        regions = regions_of_interest(
            mean_scores(trainings),
            stars.proper_motion,
            fiducial_stars(patch, config) & geometries[name].footprint.contains(*stars.position.T),
            region_recipe(config),
        )
        return RankedPatch(geometries[name], patch.values("ra"), patch.values("dec"), regions)

    return load
