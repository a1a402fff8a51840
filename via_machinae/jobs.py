"""The jobs behind the commands, with their progress and tables."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from astropy.table import Table

from sky_patches import CatalogStore
from streams import StreamCatalog
from streams.compact import CompactCatalog
from via_machinae.cataloguing import make_catalog, null_skies_of
from via_machinae.config import Config
from via_machinae.figures import draw_candidate, draw_sky, save_figure
from via_machinae.ingest import make_mock, read_truth
from via_machinae.patch_stars import load_patch
from via_machinae.run import Run
from via_machinae.scan import plan_run, score_run
from via_machinae.terminal import console, progress_bar, show_table
from via_machinae.truth import Comparison, compare
from via_machinae.workers import workers_of

__all__ = ["DEMO_CONFIG", "catalogue_job", "demo_job", "scan_job", "show_comparison", "status_job"]

DEMO_CONFIG = {"windows": {"step": 2.0}, "regions": {"step": 2.0}}
"""The demo scans every second window of the defaults, so that it takes minutes."""


def scan_job(store: Path, run_path: Path, config: Config) -> Run:
    """Plan or continue a run and score all its windows."""
    run = plan_run(store, run_path, config)
    stars = sum(run.manifest["stars"].values())
    console.print(
        f"{len(run.geometries)} patch(es), {stars:,} stars, {len(run.units)} windows; run {run.path}"
    )
    for patch, cuts in run.manifest["cuts"].items():
        removed = [f"{cut['name']}: {cut['removed']:,}" for cut in cuts if cut["removed"]]
        skipped = [f"{cut['name']} ({cut['reason']})" for cut in cuts if not cut.get("applied", True)]
        console.print(f"  patch {patch}: removed {', '.join(removed) or 'no star'}")
        if skipped:
            console.print(f"  patch {patch}: not applied: {'; '.join(skipped)}")
    for patch, features in run.manifest["features"].items():
        absent = [name for name in config.detector.features if name not in features]
        if absent:
            console.print(f"  patch {patch}: features not in its table, left out: {', '.join(absent)}")
    finished = len(run.units) - len(run.pending())
    if finished:
        console.print(f"continuing: {finished} windows are done already")
    with progress_bar("scoring windows", len(run.units), finished) as step:
        score_run(run, workers_of(config), lambda _: step())
    return run


def catalogue_job(
    run: Run, config: Config, truth: Path | None = None, *, search_scores: bool = True
) -> StreamCatalog:
    """Find candidates, write catalogue and figures, print the table.

    Args:
        run: the run.
        config: its configuration.
        truth: of a mock sky, to be drawn beside.
        search_scores: see `make_catalog`.
    """
    if search_scores:
        with progress_bar("null skies", null_skies_of(config) * len(run.geometries)) as step:
            catalog = make_catalog(run, config, step)
    else:
        catalog = make_catalog(run, config, search_scores=False)
    for line in catalog.provenance["left_out"]:
        console.print(line)
    _draw(run, catalog, truth)
    _show_candidates(catalog)
    _show_compact(run)
    console.print(f"catalogue: {run.path / 'catalog'}   figures: {run.path / 'figures'}")
    return catalog


def _draw(run: Run, catalog: StreamCatalog, truth: Path | None) -> None:
    store = CatalogStore.open(run.store)
    known = None if truth is None else read_truth(truth)
    figures = run.path / "figures"
    for old in figures.glob("*.png"):
        old.unlink()
    for geometry in run.geometries:
        patch = load_patch(store, geometry, run.config)
        save_figure(draw_sky(catalog, patch, known), figures / f"sky_{geometry.name}.png")
        for row in catalog.candidates[catalog.candidates["patch"] == geometry.name]:
            save_figure(draw_candidate(catalog, str(row["name"]), patch), figures / f"{row['name']}.png")


def _show_candidates(catalog: StreamCatalog) -> None:
    columns = (
        "name", "pass", "p_false", "fdr", "sigma", "stars", "ra", "dec", "pmra", "pmdec", "width", "length",
        "kpc", "patches", "search", "flags",
    )  # fmt: skip
    rows = [
        (
            str(row["name"]), "yes" if row["passes"] else "no", float(row["false_alarm_probability"]),
            float(row["false_discovery_rate"]), round(float(row["significance"]), 1), int(row["members"]),
            round(float(row["ra"]), 2), round(float(row["dec"]), 2), round(float(row["pmra"]), 2),
            round(float(row["pmdec"]), 2), round(float(row["width"]), 2), round(float(row["length"]), 1),
            _kpc(row), str(row["patches"]).count(",") + 1, str(row["search"]), str(row["flags"]),
        )
        for row in catalog.candidates
    ]  # fmt: skip
    if rows:
        show_table(
            "Candidates (p_false: false-alarm probability, fdr: false-discovery rate; deg, mas/yr)",
            columns,
            rows,
        )
    else:
        console.print("no candidate: every line in this data is as likely in a sky without streams")


def _kpc(row: Table.Row) -> str:
    """The distance, or that the data leave it open."""
    if row["distance_open"]:
        return "open"
    return f"{row['distance']:.1f} ({row['distance_low']:.1f} to {row['distance_high']:.1f})"


def _show_compact(run: Run) -> None:
    objects = CompactCatalog.read(run.path / "catalog").objects
    passing = objects[objects["passes"]]
    columns = ("name", "p_false", "sigma", "stars", "ra", "dec", "pmra", "pmdec", "r_half", "known as")
    rows = [
        (
            str(row["name"]), float(row["false_alarm_probability"]), round(float(row["significance"]), 1),
            int(row["members"]), round(float(row["ra"]), 2), round(float(row["dec"]), 2),
            round(float(row["pmra"]), 2), round(float(row["pmdec"]), 2),
            round(float(row["half_number_radius"]), 1), str(row["known"]),
        )
        for row in passing
    ]  # fmt: skip
    if rows:
        show_table("Compact over-densities, masked (deg, mas/yr, arcmin)", columns, rows)


def show_comparison(comparison: Comparison) -> None:
    """Print found, missed and false against the truth."""
    columns = ("hidden stream", "stars", "found as", "p_false", "members", "purity", "complete", "F1")
    rows = [
        (
            match.stream, match.stars, match.candidate or "missed", match.false_alarm_probability,
            match.members.found, round(match.members.purity, 2), round(match.members.completeness, 2),
            round(match.members.f1, 2),
        )
        for match in comparison.matches
    ]  # fmt: skip
    show_table("Against the truth", columns, rows)
    console.print(f"false candidates: {', '.join(comparison.false) or 'none'}")
    if comparison.duplicates:
        console.print(f"found twice: {', '.join(comparison.duplicates)}")


def demo_job(directory: Path, seed: int, config: Config) -> Comparison:
    """The whole chain on the embedded mock sky; a second call continues or repeats it."""
    start = time.monotonic()
    store = directory / f"store-{seed}"
    if not store.exists():
        with console.status("making a mock sky with hidden streams"):
            stars, _ = make_mock(store, seed)
        console.print(f"mock sky: {stars:,} stars in {store}")
    truth = store / "truth"
    run = scan_job(store, directory / f"run-{seed}", config)
    catalog = catalogue_job(run, config, truth)
    comparison = compare(catalog, read_truth(truth))
    show_comparison(comparison)
    console.print(f"figure: {run.path / 'figures' / 'sky_all.png'}")
    console.print(f"results: {run.path.resolve()} ({time.monotonic() - start:.0f} s)")
    return comparison


def status_job(run: Run) -> None:
    """Print how far a run is."""
    pending = {unit for unit in run.pending()}
    rows = []
    for geometry in run.geometries:
        units = [unit for unit in run.units if unit.patch == geometry.name]
        done = sum(unit not in pending for unit in units)
        rows.append(
            (geometry.name, run.manifest["stars"][geometry.name], len(units), done, len(units) - done)
        )
    show_table(
        f"Run {run.path} (begun {run.manifest['created']})",
        ("patch", "stars", "windows", "done", "left"),
        rows,
    )
    searched = len(list((run.path / "search" / "patches").glob("*/log.json")))
    if searched:
        console.print(f"likelihood search: {searched} of {len(run.geometries)} patches")
    written = run.path / "catalog" / "candidates.ecsv"
    if written.exists():
        catalog = StreamCatalog.read(written.parent)
        passing = int(np.sum(catalog.candidates["passes"]))
        console.print(f"catalogue: {len(catalog.candidates)} candidates, {passing} pass the threshold")
    else:
        console.print("catalogue: not made yet")
