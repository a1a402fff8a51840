"""The catalogue of a run: all that was found, joined, weighed, described and ranked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from sky_patches import CatalogStore
from streams import (
    CatalogEntry,
    EntryEvidence,
    EntryPopulation,
    JoinedStream,
    MergeDecision,
    StreamCatalog,
    describe,
    false_discovery_rates,
    join_streams,
)
from streams.catalog import flags_of, population_of, ranked, track_of_description, with_modulus
from streams.compact import CompactCatalog
from via_machinae.cataloguing.evidence import with_evidence
from via_machinae.cataloguing.explaining import forget_merging, write_merging
from via_machinae.cataloguing.findings import Findings, findings_of
from via_machinae.config import Config
from via_machinae.run import Run

__all__ = ["make_catalog"]

COMPACT_LENGTH = 6.0
"""In Gaussian widths: what is shorter (a round cluster's is 3.3) is flagged."""


def make_catalog(
    run: Run,
    config: Config,
    progress: Callable[[], None] | None = None,
    *,
    search_scores: bool = True,
) -> StreamCatalog:
    """Join the candidates of all patches and searches of a run and write its catalogue.

    It holds everything found so far: by anomaly scores, and by the likelihood search where that was done
    (`via_machinae.searching`). A stream that both found is one entry. What lies in the run and was made with
    other settings is left out, and `provenance["left_out"]` says so.

    Args:
        run: a run with all its units scored, or searched by likelihood.
        config: its configuration; sections that scores do not depend on may differ from the run's own.
        progress: called after each null sky of each patch whose scores are searched.
        search_scores: search the scores now where that was not done; false: take what lies there.

    Raises:
        RunError: units are missing, a file is damaged, or the scores are of other stars or settings.
        StreamsError: a patch cannot be searched.
    """
    store = CatalogStore.open(run.store)
    run.require(config, store.checksum())
    findings = findings_of(run, config, search_scores=search_scores, progress=progress)
    streams, decisions = _join(findings, run, config)
    entries = ranked(_entries(streams, findings, config))
    threshold = config.membership.threshold
    catalog = StreamCatalog.of(entries, _provenance(run, config, findings), member_threshold=threshold)
    # A log of another catalogue would be told as if it were this one's.
    forget_merging(run)
    catalog.write(run.path / "catalog")
    _compact(findings, catalog.provenance).write(run.path / "catalog")
    write_merging(run, catalog, [entry.label for entry in entries], streams, decisions, findings)
    return catalog


def _compact(findings: Findings, provenance: Mapping[str, Any]) -> CompactCatalog:
    """The second catalogue: clusters and dwarf galaxies of all patches whose scores were searched."""
    return CompactCatalog.merge(
        [(patch.objects, patch.object_members) for patch in findings.anomaly.values()], provenance
    )


def _join(findings: Findings, run: Run, config: Config) -> tuple[list[JoinedStream], list[MergeDecision]]:
    found = findings.found()
    streams, decisions = join_streams(found)
    return with_evidence(streams, found, findings, run, config), decisions


def _entries(streams: list[JoinedStream], findings: Findings, config: Config) -> list[CatalogEntry]:
    """One entry per candidate; the false-discovery rate counts each patch once for each search of it."""
    probabilities = np.array([stream.false_alarm_probability for stream in streams], dtype=float)
    rates = false_discovery_rates(probabilities, len(findings.patches)) if streams else []
    return [
        _entry(stream, float(rate), findings, config) for stream, rate in zip(streams, rates, strict=True)
    ]


def _entry(stream: JoinedStream, rate: float, findings: Findings, config: Config) -> CatalogEntry:
    names = sorted(set(stream.record.patches), key=lambda name: name != _patch_of(stream))
    description = describe(
        stream.members,
        geometries=[findings.geometry(name) for name in names],
        limits=config.cuts.magnitude,
    )
    population = _population(population_of(description), stream, findings)
    flags = [flag for flag in flags_of(description) if flag != "distance_open" or population.distance_open]
    return CatalogEntry(
        stream.record.best, tuple(names), _evidence(stream, rate, findings, config),
        track_of_description(description), population, stream.members, stream.patch_of, tuple(flags),
    )  # fmt: skip


def _population(described: EntryPopulation, stream: JoinedStream, findings: Findings) -> EntryPopulation:
    """With the best refined distance of its parts, where the likelihood search knows one."""
    rows = [findings.row(part) for part in stream.parts if findings.search(part) == "likelihood"]
    known = [row for row in rows if np.isfinite(row["modulus_error"])]
    if not known:
        return described
    best = min(known, key=lambda row: float(row["modulus_error"]))
    return with_modulus(described, float(best["modulus"]), float(best["modulus_error"]), str(best["ridge"]))


def _patch_of(stream: JoinedStream) -> str:
    """Patch of the best part."""
    return stream.record.patches[stream.record.parts.index(stream.record.best)]


def _evidence(stream: JoinedStream, rate: float, findings: Findings, config: Config) -> EntryEvidence:
    best = findings.row(stream.record.best)
    # Regions of interest are those of the search in anomaly scores.
    rows = [findings.row(part) for part in stream.parts if findings.search(part) == "anomaly"]
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
        search=stream.searches,
    )


def _provenance(run: Run, config: Config, findings: Findings) -> dict[str, Any]:
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
        "searched": {"anomaly": sorted(findings.anomaly), "likelihood": sorted(findings.likelihood)},
        "left_out": list(findings.left_out),
        "config": config.model_dump(mode="json"),
        "config_hash": config.hash(),
    }
