"""Blind scan of four overlapping patches of mock sky with three hidden streams, by each detector.

The sky is `sky_patches.mock.group_sky`: patches of 15 deg, 10 deg apart, with streams of 300, 600 and 1,500
stars, of which one crosses all patches and one runs under the mask of a globular cluster that the search
knows of, as it knows those of the real sky. The truth is read after the catalogue is written. A stream that
is reported more than once has duplicates; "true_first" says that no false candidate ranks above a true one.

--empty scans the same sky without its streams and shows the best line of all.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from _blind import (
    DETECTORS,
    EQUAL_TIME,
    BlindScan,
    best_line_only,
    stream_rows,
    totals,
    with_detector,
    with_flow,
)
from reporting import Cell, arguments, report

from sky_patches.mock import GROUP_CENTRES, GROUP_RADIUS_DEG, group_sky, write_sky
from via_machinae import Config
from via_machinae.config import config_from
from via_machinae.ingest import read_truth
from via_machinae.workers import workers_of

__all__ = ["group_config", "main", "make_store"]

STARS = 45_000
QUICK_STARS = 8_000
QUICK = {
    "windows": {"step": 3.0, "min_stars": 500},
    "regions": {"step": 3.0},
    "flow": {"epochs": 4, "layers": 3},
    "significance": {"null_skies": 20},
}


def group_config(*, quick: bool = False) -> Config:
    """Four patches, builtin masks, every second window of the defaults (as the demo)."""
    patches = [
        {"name": name, "ra": ra, "dec": dec, "radius": GROUP_RADIUS_DEG}
        for name, (ra, dec) in GROUP_CENTRES.items()
    ]
    steps = QUICK if quick else {"windows": {"step": 2.0}, "regions": {"step": 2.0}}
    return config_from({"patches": patches, "masks": {"catalogue": "builtin"}, **steps}, "benchmark")


def make_store(directory: Path, options: argparse.Namespace) -> tuple[Path, dict[str, Cell]]:
    """Write the sky; what it is made of, as figures."""
    stars = options.stars or (QUICK_STARS if options.quick else STARS)
    recipe = group_sky(stars, streams=not options.empty)
    written = write_sky(recipe, options.seed, directory / "store", workers=workers_of(Config()))
    figures: dict[str, Cell] = {
        "stars_per_patch": stars,
        "sky_stars": written.stars,
        "stream_stars": written.members,
        "cluster_stars": written.cluster_members,
        "thinning": recipe.density_scale,
        "flow": options.flow or Config().flow.kind,
    }
    print(f"sky made: {figures}", flush=True)
    return written.path, figures


def empty_row(scan: BlindScan, detector: str) -> dict[str, Cell]:
    """The best line of a sky without streams."""
    found = scan.catalog.candidates
    return {
        "detector": detector,
        "passing": int(np.sum(found["passes"])),
        "significance": float(found["significance"][0]) if len(found) else 0.0,
        "false_alarm_probability": float(found["false_alarm_probability"][0]) if len(found) else 1.0,
        "seconds": scan.seconds,
    }


def _extend(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--detectors", nargs="+", choices=DETECTORS, default=None, help="default: all (with --quick: cathode)"
    )
    parser.add_argument("--stars", type=int, default=None, help=f"per patch, in the mean (default {STARS})")
    parser.add_argument("--flow", choices=tuple(EQUAL_TIME), default=None, help="kind of the flows")
    parser.add_argument("--empty", action="store_true", help="the sky without its streams")
    parser.add_argument("--scratch", type=Path, default=None, help="directory for store and runs (100 MB)")


def main() -> None:
    """Make the sky, scan it by each detector, print and record."""
    options = arguments(__doc__.splitlines()[0], _extend)
    names = options.detectors or (("cathode",) if options.quick else DETECTORS)
    rows: list[dict[str, Cell]] = []
    with tempfile.TemporaryDirectory(dir=options.scratch) as name:
        store, figures = make_store(Path(name), options)
        for detector in names:
            config = with_flow(group_config(quick=options.quick), options.flow)
            config = with_detector(config, detector, options.seed)
            config = best_line_only(config) if options.empty else config
            scan = BlindScan.of(store, Path(name) / f"run-{detector}", config)
            found = (
                [empty_row(scan, detector)]
                if options.empty
                else stream_rows(scan, detector, read_truth(store / "truth"))
            )
            rows += found
            print("done:", *found, sep="\n  ", flush=True)
    if options.empty:
        report("mock_sky_empty", options, rows=rows, figures=figures)
    else:
        report("mock_sky", options, rows=rows, figures={**figures, **totals(rows)})


if __name__ == "__main__":
    main()
