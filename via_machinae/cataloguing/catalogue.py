"""The catalogue of a run: all patches searched, joined, weighed, described and ranked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from sky_patches import CatalogStore
from streams import (
    CatalogEntry,
    EntryEvidence,
    JoinedStream,
    MergeDecision,
    StreamCatalog,
    describe,
    false_discovery_rates,
    join_streams,
)
from streams.catalog import flags_of, population_of, ranked, track_of_description
from streams.compact import CompactCatalog
from via_machinae.cataloguing.evidence import with_evidence
from via_machinae.cataloguing.explaining import forget_merging, write_merging
from via_machinae.cataloguing.patch_search import PatchResult, search_patch
from via_machinae.cataloguing.recipes import null_skies_of
from via_machinae.config import Config
from via_machinae.errors import RunError
from via_machinae.run import Run
from via_machinae.workers import completed, workers_of

__all__ = ["make_catalog"]


def make_catalog(run: Run, config: Config, progress: Callable[[], None] | None = None) -> StreamCatalog:
    """Find the candidates of every patch, join them across patches and write the catalogue of the run.

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
    patches = _search_all(run, config, progress)
    streams, decisions = _join(patches, run, config)
    entries = ranked(_entries(streams, patches, run, config))
    threshold = config.membership.threshold
    catalog = StreamCatalog.of(entries, _provenance(run, config), member_threshold=threshold)
    # A log of another catalogue would be told as if it were this one's.
    forget_merging(run)
    catalog.write(run.path / "catalog")
    _compact(patches, catalog.provenance).write(run.path / "catalog")
    write_merging(run, catalog, [entry.label for entry in entries], streams, decisions, patches)
    return catalog


def _search_all(run: Run, config: Config, progress: Callable[[], None] | None) -> dict[str, PatchResult]:
    """The result of each patch; several patches are searched side by side."""
    names = [geometry.name for geometry in run.geometries]
    search = partial(search_patch, run.path, config)
    if len(names) == 1:
        return {names[0]: search(names[0], progress)}
    found = {}
    for name, future in completed(search, names, workers_of(config)):
        found[name] = future.result()
        if progress is not None:
            for _ in range(null_skies_of(config)):
                progress()
    return {name: found[name] for name in names}


def _compact(patches: dict[str, PatchResult], provenance: Mapping[str, Any]) -> CompactCatalog:
    """The second catalogue: clusters and dwarf galaxies of all patches."""
    return CompactCatalog.merge(
        [(patch.objects, patch.object_members) for patch in patches.values()], provenance
    )


def _join(
    patches: dict[str, PatchResult], run: Run, config: Config
) -> tuple[list[JoinedStream], list[MergeDecision]]:
    found = [stream for patch in patches.values() for stream in patch.found()]
    streams, decisions = join_streams(found)
    geometries = {name: patch.geometry for name, patch in patches.items()}
    return with_evidence(streams, found, geometries, run, config), decisions


def _entries(
    streams: list[JoinedStream], patches: dict[str, PatchResult], run: Run, config: Config
) -> list[CatalogEntry]:
    """One entry per candidate; the false-discovery rate counts all patches that were searched."""
    probabilities = np.array([stream.false_alarm_probability for stream in streams], dtype=float)
    rates = false_discovery_rates(probabilities, len(patches))
    return [
        _entry(stream, float(rate), patches, run, config) for stream, rate in zip(streams, rates, strict=True)
    ]


def _entry(
    stream: JoinedStream, rate: float, patches: dict[str, PatchResult], run: Run, config: Config
) -> CatalogEntry:
    names = sorted(set(stream.record.patches), key=lambda name: name != _patch_of(stream))
    description = describe(
        stream.members,
        geometries=[patches[name].geometry for name in names],
        limits=config.cuts.magnitude,
    )
    return CatalogEntry(
        stream.record.best, tuple(names), _evidence(stream, rate, patches, config),
        track_of_description(description), population_of(description), stream.members, stream.patch_of,
        flags_of(description),
    )  # fmt: skip


def _patch_of(stream: JoinedStream) -> str:
    """Patch of the best part."""
    return stream.record.patches[stream.record.parts.index(stream.record.best)]


def _evidence(
    stream: JoinedStream, rate: float, patches: dict[str, PatchResult], config: Config
) -> EntryEvidence:
    rows = [_row(patches, part) for part in stream.parts]
    best = _row(patches, stream.record.best)
    return EntryEvidence(
        stream.significance,
        stream.false_alarm_probability,
        rate,
        max(rate, stream.false_alarm_probability) < config.significance.threshold,
        contrast=float(best["contrast"]),
        stability=float(best["stability"]),
        independent_stars=int(best["line_stars"]) + sum(test.count for test in stream.record.continuations),
        line_stars=int(best["line_stars"]),
        line_expected=float(best["line_expected"]),
        regions=sum(int(row["regions"]) for row in rows),
        components=tuple(sorted({name for row in rows for name in str(row["components"]).split()})),
    )


def _row(patches: dict[str, PatchResult], label: str) -> Any:
    patch, number = label.rsplit("/", 1)
    return patches[patch].streams[int(number)]


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
