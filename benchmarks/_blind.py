"""What the blind benchmarks of the search share: a scan, and its figures once the catalogue is written."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from _raw_contrast import RawLines
from jaxtyping import Bool, Float, Int
from reporting import Cell

from density import DetectorError, sic_curve
from sky_patches import CatalogStore
from streams import Region, StreamCatalog, WindowScores, regions_of_interest
from via_machinae import Config, Run, compare, make_catalog, plan_run, score_run
from via_machinae.cataloguing import fiducial_stars, finder_of
from via_machinae.detectors import DETECTOR_NAMES
from via_machinae.patch_stars import PatchStars, load_patch
from via_machinae.workers import workers_of

__all__ = [
    "DETECTORS",
    "EQUAL_TIME",
    "BlindScan",
    "average_precision",
    "best_line_only",
    "raw_contrast",
    "regions",
    "score_figures",
    "stream_rows",
    "totals",
    "with_detector",
    "with_flow",
]

DETECTORS = DETECTOR_NAMES
"""All that a scan can use."""

EQUAL_TIME = {
    "maf": {"layers": 6, "epochs": 12, "learning_rate": 1e-2},
    "spline": {"layers": 2, "epochs": 6, "learning_rate": 5e-3},
}
"""Flows of either kind that train in about the same time."""


@dataclass(frozen=True, eq=False)
class BlindScan:
    """A finished scan: everything here was made without the truth.

    Args:
        run: the run directory, catalogue written.
        catalog: its catalogue.
        seconds: from the store to the catalogue.
    """

    run: Run
    catalog: StreamCatalog
    seconds: float

    @classmethod
    def of(cls, store: Path, directory: Path, config: Config) -> BlindScan:
        """Scan and catalogue, as the command line does."""
        start = time.perf_counter()
        run = plan_run(store, directory, config)
        score_run(run, workers_of(config))
        catalog = make_catalog(run, config)
        return cls(run, catalog, time.perf_counter() - start)

    def patches(self) -> list[tuple[PatchStars, list[WindowScores]]]:
        """Stars and scores of every patch."""
        store = CatalogStore.open(self.run.store)
        loaded = [load_patch(store, geometry, self.run.config) for geometry in self.run.geometries]
        return [(patch, self.run.scores(patch.geometry.name, patch.source_id)) for patch in loaded]


def with_detector(config: Config, name: str, seed: int) -> Config:
    """The configuration with another detector and seed."""
    changed = {
        "run": config.run.model_copy(update={"seed": seed}),
        "detector": config.detector.model_copy(update={"name": name}),
    }
    return config.model_copy(update=changed)


def with_flow(config: Config, kind: str | None) -> Config:
    """The configuration with flows of another kind that take about as long to train; None: as it is."""
    if kind is None or kind == config.flow.kind:
        return config
    return config.model_copy(
        update={"flow": config.flow.model_copy(update={"kind": kind, **EQUAL_TIME[kind]})}
    )


def best_line_only(config: Config) -> Config:
    """The same search, but the best line is reported however likely it is by chance."""
    everything = {"report_below": 1.0, "max_candidates": 1}
    return config.model_copy(update={"significance": config.significance.model_copy(update=everything)})


def average_precision(
    ids: Int[np.ndarray, " n"], ranked_by: Float[np.ndarray, " n"], reference: Int[np.ndarray, " r"]
) -> float:
    """Area under precision against recall of a ranked list; what the list lacks is never recalled.

    Stars of equal rank enter together, so the order of the rows does not matter.
    """
    _, group = np.unique(-ranked_by, return_inverse=True)
    hits = np.bincount(group, np.isin(ids, reference).astype(float))
    found = np.cumsum(np.bincount(group))
    return float(np.sum(hits * np.cumsum(hits) / np.maximum(found, 1)) / len(reference))


def score_figures(
    patches: list[tuple[PatchStars, list[WindowScores]]], reference: Int[np.ndarray, " r"]
) -> dict[str, Cell]:
    """Largest SIC and average precision of the score in the stream's best window.

    Only windows that hold half of the stream's stars in a patch count; the best is that of the largest SIC.
    """
    best: dict[str, Cell] = {"max_sic": None, "score_average_precision": None, "window": None}
    for patch, windows in patches:
        member: Bool[np.ndarray, " n"] = np.isin(patch.source_id, reference)
        for window in windows:
            signal = member[window.rows]
            if 2 * signal.sum() < member.sum() or signal.sum() < 10:
                continue
            sic = _largest_sic(window.log_ratio.astype(float), signal)
            if sic > float(best["max_sic"] or 0.0):
                ids = patch.source_id[window.rows]
                best = {
                    "max_sic": sic,
                    "score_average_precision": average_precision(ids, window.log_ratio, ids[signal]),
                    "window": f"{window.component} [{window.low:g}, {window.high:g})",
                }
    return best


def _largest_sic(score: np.ndarray, signal: np.ndarray) -> float:
    try:
        return float(np.nanmax(sic_curve(score[signal], score[~signal]).sic))
    except DetectorError:  # fewer than 25 background stars: no figure is quoted
        return 0.0


def raw_contrast(
    patches: list[tuple[PatchStars, list[WindowScores]]], config: Config, reference: Int[np.ndarray, " r"]
) -> float:
    """Highest raw contrast of a line that is mostly made of the stream's stars; 0 if there is none."""
    best = 0.0
    for patch, windows in patches:
        member = np.isin(patch.source_id, reference)
        lines = RawLines.of(patch.geometry.footprint, min(config.lines.widths))
        stars = patch.stream_stars()
        for line in lines.best(regions(patch, windows, config), stars.position):
            if len(line.rows) and member[line.rows].mean() > 0.5:
                best = max(best, line.contrast)
    return best


def regions(patch: PatchStars, windows: list[WindowScores], config: Config) -> list[Region]:
    """The regions of interest that the search looks at."""
    motion = patch.stream_stars().proper_motion
    return regions_of_interest(windows, motion, fiducial_stars(patch, config), finder_of(config).regions)


def stream_rows(scan: BlindScan, detector: str, truth: Mapping[str, np.ndarray]) -> list[dict[str, Cell]]:
    """One row per true stream; only now is the truth looked at."""
    comparison, patches = compare(scan.catalog, truth), scan.patches()
    config, candidates, members = scan.run.config, scan.catalog.candidates, scan.catalog.members
    rows: list[dict[str, Cell]] = []
    for match in comparison.matches:
        reference = np.asarray(truth[match.stream])
        mine = members[members["candidate"] == (match.candidate or "")]
        row = candidates[candidates["name"] == (match.candidate or "")]
        ids, probability = np.asarray(mine["source_id"]), np.asarray(mine["probability"], dtype=float)
        rows.append(
            {
                "detector": detector,
                "stream": match.stream,
                "stars": match.stars,
                "recovered": match.candidate is not None,
                "rank": int(row["rank"][0]) if len(row) else None,
                "f1": match.members.f1,
                "purity": match.members.purity,
                "completeness": match.members.completeness,
                "average_precision": average_precision(ids, probability, reference),
                **score_figures(patches, reference),
                "false_alarm_probability": match.false_alarm_probability if len(row) else None,
                "significance": float(row["significance"][0]) if len(row) else None,
                "contrast": raw_contrast(patches, config, reference),
                "false_candidates": len(comparison.false),
                "duplicates": len(comparison.duplicates),
                "seconds": scan.seconds,
            }
        )
    return rows


def totals(rows: Sequence[Mapping[str, Cell]]) -> dict[str, Cell]:
    """Sums over all detectors, and of each detector what is not of one stream alone."""
    figures: dict[str, Cell] = {"false_candidates": 0, "duplicates": 0, "seconds": 0.0}
    for name in dict.fromkeys(str(row["detector"]) for row in rows):
        mine = [row for row in rows if row["detector"] == name]
        found = [row for row in mine if row["recovered"]]
        ranks = sorted(int(row["rank"]) for row in found)
        for key in ("false_candidates", "duplicates", "seconds"):
            figures[key] += mine[0][key]
            figures[f"{name}_{key}"] = mine[0][key]
        figures[f"{name}_recovered"] = len(found)
        figures[f"{name}_true_first"] = ranks == list(range(1, len(found) + 1))
        figures[f"{name}_median_f1"] = float(np.median([float(row["f1"]) for row in mine]))
    return figures
