"""Streams hidden in finished scans, looked for by the same chain: recovered fraction and bias of the track.

"mock": model streams in the demo's sky without its own streams (40,000 background stars in 10 deg, a sixth of
the Galaxy's). "real": members of real streams (the STREAMFINDER list, with their colours and errors), moved
into the real field of Blanco 1 (Gaia DR2, G < 18). "control": the stars of model streams scattered over the
mock sky: none should be found. The 50 % limits are printed where the grid brackets them.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from astropy.table import Table
from blanco1 import CONFIG as FIELD_CONFIG
from blanco1 import DATA, read_field
from reporting import Cell, arguments, report

from sky_patches import CatalogStore
from via_machinae import Config, load_config, make_catalog, plan_run, score_run
from via_machinae.config import config_from
from via_machinae.ingest import make_mock
from via_machinae.injecting import InjectionGrid
from via_machinae.injecting.job import inject_job
from via_machinae.jobs import DEMO_CONFIG
from via_machinae.workers import workers_of

STREAMS = (53,)
"""Real streams that are moved: GD-1."""
BROUGHT_NEAR = -2.0
"""mag: the field ends at G = 18, where GD-1 at its own distance shows a few giants only."""


def scanned(directory: Path, config: Config) -> Path:
    """Scan the store of a directory, as the command line does."""
    run = plan_run(directory / "store", directory / "run", config)
    score_run(run, workers_of(config))
    make_catalog(run, config)
    return run.path


def mock_run(directory: Path, seed: int) -> Path:
    """The demo's sky without streams, scanned."""
    make_mock(directory / "store", seed, streams=False)
    return scanned(directory, config_from({**DEMO_CONFIG, "run": {"seed": seed}}, "benchmark"))


def real_run(directory: Path, seed: int) -> Path:
    """The field of Blanco 1, scanned; its labels are not used."""
    store = CatalogStore.create(directory / "store", name="field")
    store.append(
        read_field(DATA / "blanco1_gaia_dr2_labelled.csv.gz").stars, provenance={"origin": "benchmark"}
    )
    config = load_config(FIELD_CONFIG)
    return scanned(directory, config.model_copy(update={"run": config.run.model_copy(update={"seed": seed})}))


def rows_of(part: str, cells: Table) -> list[dict[str, Cell]]:
    """One row per cell of the grid."""
    return [
        {
            "part": part,
            "streams": str(cell["label"]),
            "asked_stars": int(cell["asked_stars"]),
            "stars": float(cell["stars"]),
            "trials": int(cell["trials"]),
            "recovered": int(cell["recovered"]),
            "fraction": float(cell["fraction"]),
            "fraction_low": float(cell["fraction_low"]),
            "fraction_high": float(cell["fraction_high"]),
            "f1": float(cell["f1"]),
            "track_bias": float(cell["track_bias"]),
            "false_candidates": int(cell["false_candidates"]),
            "unmade": int(cell["unmade"]),
            "stars_per_deg2": float(cell["stars_per_deg2"]),
            "surface_brightness": float(cell["surface_brightness"]),
        }
        for cell in cells
    ]


def limits_of(part: str, limits: Table) -> dict[str, Cell]:
    """Where half are recovered, for each kind of stream."""
    found: dict[str, Cell] = {}
    for limit in limits:
        name = f"{part}: {limit['label']}"
        found[f"{name}: half"] = str(limit["reached"])
        if limit["reached"] == "yes":
            found[f"{name}: stars"] = float(limit["half_stars"])
            found[f"{name}: stars/deg2"] = float(limit["half_stars_per_deg2"])
            found[f"{name}: mag/arcsec2"] = float(limit["half_surface_brightness"])
    return found


def grid_of_part(part: str, options: argparse.Namespace) -> InjectionGrid:
    """What is injected."""
    repeats, seed = options.repeats, options.seed
    if part == "real":
        stars = (40,) if options.quick else (20, 40, 80)
        return InjectionGrid(
            "members",
            stars,
            offsets=(8.0,),
            streams=STREAMS,
            shifts=(BROUGHT_NEAR,),
            repeats=repeats,
            length=5.0,
            seed=seed,
        )
    stars = (100,) if options.quick else (50, 100, 200)
    if part == "control":
        return InjectionGrid(
            stars=(max(stars),), offsets=(3.0,), repeats=3 * repeats, shuffled=True, seed=seed
        )
    widths, offsets = ((0.2,), (6.0,)) if options.quick else ((0.2, 0.6), (3.0, 7.0))
    return InjectionGrid(stars=stars, widths=widths, offsets=offsets, repeats=repeats, seed=seed)


def _extend(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--parts", nargs="+", choices=("mock", "real", "control"), default=("mock", "control", "real")
    )
    parser.add_argument("--repeats", type=int, default=4, help="streams per cell (default 4; --quick: 1)")
    parser.add_argument(
        "--members", type=Path, default=DATA / "streamfinder_gaiadr3.fits", help="the list of real members"
    )
    parser.add_argument("--scratch", type=Path, default=None, help="directory for runs")


def main() -> None:
    """Scan, inject, print and record."""
    options = arguments(__doc__.splitlines()[0], _extend)
    options.repeats = 1 if options.quick else options.repeats
    rows: list[dict[str, Cell]] = []
    figures: dict[str, Cell] = {}
    with tempfile.TemporaryDirectory(dir=options.scratch) as name:
        runs: dict[str, Path] = {}
        for part in options.parts:
            start, real = time.perf_counter(), part == "real"
            kind = "real" if real else "mock"
            if kind not in runs:
                folder = Path(name) / kind
                folder.mkdir()
                runs[kind] = (real_run if real else mock_run)(folder, options.seed)
            grid = grid_of_part(part, options)
            members = options.members if real else None
            done = inject_job(
                runs[kind],
                Path(name) / f"{part}-injected",
                grid,
                workers=workers_of(Config()),
                members=members,
            )
            rows += rows_of(part, done.cells)
            figures |= limits_of(part, done.limits) | {f"{part}_seconds": time.perf_counter() - start}
    report("injection", options, rows=rows, figures=figures)


if __name__ == "__main__":
    main()
