"""The demo's mock sky, scanned blind: which hidden streams are found, missed, and what is false.

Each seed is another sky with the same four streams. --empty scans the same skies without streams instead, and
prints the false-alarm probability of the best line of each: it should be spread evenly between 0 and 1.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from reporting import Cell, arguments, report

from via_machinae import Config, Run, compare, make_catalog, plan_run, score_run
from via_machinae.config import config_from
from via_machinae.ingest import make_mock, read_truth
from via_machinae.jobs import DEMO_CONFIG
from via_machinae.workers import workers_of


def scan(directory: Path, seed: int, config: Config, *, streams: bool) -> Run:
    """A mock sky of this seed, scanned."""
    make_mock(directory / "store", seed, streams=streams)
    run = plan_run(directory / "store", directory / "run", config)
    score_run(run, workers_of(config))
    return run


def hidden_rows(seed: int, config: Config) -> list[dict[str, Cell]]:
    """One row per hidden stream."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        run = scan(Path(name), seed, config, streams=True)
        catalog = make_catalog(run, config)
        comparison = compare(catalog, read_truth(Path(name) / "store" / "truth"))
    seconds = time.perf_counter() - start
    return [
        {
            "seed": seed,
            "stream": match.stream,
            "stars": match.stars,
            "recovered": match.candidate is not None,
            "f1": match.members.f1,
            "purity": match.members.purity,
            "completeness": match.members.completeness,
            "false_candidates": len(comparison.false),
            "seconds": seconds,
        }
        for match in comparison.matches
    ]


def empty_row(seed: int, config: Config) -> dict[str, Cell]:
    """The best line of a sky without streams."""
    everything = {"report_below": 1.0, "max_candidates": 1}
    config = config.model_copy(update={"significance": config.significance.model_copy(update=everything)})
    with tempfile.TemporaryDirectory() as name:
        run = scan(Path(name), seed, config, streams=False)
        best = make_catalog(run, config).candidates
    return {
        "seed": seed,
        "significance": float(best["significance"][0]) if len(best) else 0.0,
        "false_alarm_probability": float(best["false_alarm_probability"][0]) if len(best) else 1.0,
    }


def _extend(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--skies", type=int, default=3, help="number of skies, from --seed on (--quick: 1)")
    parser.add_argument("--empty", action="store_true", help="skies without streams")


def main() -> None:
    """Scan the skies, print and record."""
    options = arguments(__doc__.splitlines()[0], _extend)
    rows: list[dict[str, Cell]] = []
    for seed in range(options.seed, options.seed + (1 if options.quick else options.skies)):
        config = config_from({**DEMO_CONFIG, "run": {"seed": seed}}, "benchmark")
        rows += [empty_row(seed, config)] if options.empty else hidden_rows(seed, config)
        print("done:", rows[-1], flush=True)
    if options.empty:
        probabilities = [float(row["false_alarm_probability"]) for row in rows]
        report("empty_sky", options, rows=rows, figures={"least_false_alarm": float(np.min(probabilities))})
        return
    large = [row for row in rows if int(row["stars"]) >= 300]
    figures = {
        "streams_of_300_stars": len(large),
        "recovered": sum(bool(row["recovered"]) for row in large),
        "median_f1": float(np.median([float(row["f1"]) for row in large])),
    }
    report("demo_sky", options, rows=rows, figures=figures)


if __name__ == "__main__":
    main()
