"""What other patches say of a candidate: its track continued over stars that had no part in finding it."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import numpy as np

from sky_patches import CatalogStore
from streams import FoundStream, JoinedStream, RankedPatch, continuations, regions_of_interest
from streams.merging import SearchedPatch, WeighedPatch, mean_scores
from via_machinae.cataloguing.findings import Findings
from via_machinae.cataloguing.recipes import fiducial_stars, region_recipe
from via_machinae.config import Config
from via_machinae.patch_stars import load_patch
from via_machinae.run import Run
from via_machinae.searching import SearchedStars, searched_stars

__all__ = ["with_evidence"]

_PATCHES_IN_MEMORY = 4


def with_evidence(
    streams: list[JoinedStream], found: list[FoundStream], findings: Findings, run: Run, config: Config
) -> list[JoinedStream]:
    """The same candidates with the evidence of the patches that their best part's track enters.

    The best part's own search is asked: in anomaly scores the best stars of the region of its proper motion
    are counted on the continued track, in the likelihood search those of the highest density ratio for its
    proper motion and distance. Either rank knows no places.

    Args:
        streams: joined candidates.
        found: all candidates of single patches.
        findings: what each patch holds.
        run: the run.
        config: configuration of the search.
    """
    by_label = {stream.label: stream for stream in found}
    ranked, weighed = _ranked(findings, run, config), _weighed(run, config)
    tested = []
    for stream in streams:
        best = by_label[stream.record.best]
        patches = findings.anomaly if best.search == "anomaly" else findings.likelihood
        if len(patches) == 1:
            tested.append(stream)
            continue
        load = ranked if best.search == "anomaly" else partial(weighed, findings.row(best.label))
        every = [patch.geometry for patch in patches.values()]
        tested.append(stream.with_evidence(continuations(best.sky, best.geometry, every, load)))
    return tested


def _ranked(findings: Findings, run: Run, config: Config) -> Callable[[str], SearchedPatch]:
    """Patches by name, as the line finder saw them; the last few stay in memory."""
    store = CatalogStore.open(run.store)

    @lru_cache(maxsize=_PATCHES_IN_MEMORY)
    def load(name: str) -> RankedPatch:
        patch, geometry = load_patch(store, run.geometry(name), run.config), findings.anomaly[name].geometry
        trainings = [run.scores(name, patch.source_id), *run.retrained_scores(name, patch.source_id)]
        stars = patch.stream_stars()
        regions = regions_of_interest(
            mean_scores(trainings),
            stars.proper_motion,
            fiducial_stars(patch, config) & geometry.footprint.contains(*stars.position.T),
            region_recipe(config),
        )
        return RankedPatch(geometry, patch.values("ra"), patch.values("dec"), regions)

    return load


def _weighed(run: Run, config: Config) -> Callable[[Any, str], SearchedPatch]:
    """Patches by a candidate's row and a name, as the likelihood search weighs them for its population."""

    @lru_cache(maxsize=_PATCHES_IN_MEMORY)
    def read(name: str) -> tuple[SearchedStars, np.ndarray]:
        here = searched_stars(run.path, config, name)
        return here, here.background().log_density

    def load(row: Any, name: str) -> WeighedPatch:
        here, log_background = read(name)
        patch = here.patch
        ridge = next((ridge for ridge in here.ridges if ridge.name == str(row["ridge"])), None)
        return WeighedPatch(
            patch.geometry, patch.values("ra"), patch.values("dec"), patch.stream_stars(), log_background,
            config.search.spread, ridge, float(row["modulus"]),
        )  # fmt: skip

    return load
