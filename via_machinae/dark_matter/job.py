"""The job behind `dm-map`: stars, methods, products, numbers, figures; run again to continue."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from dm_map.mocks import Mock, MockBaryons
from dm_map.stars import StarSample
from via_machinae.dark_matter.comparing import comparison_table
from via_machinae.dark_matter.directory import MapRun
from via_machinae.dark_matter.grid import MapGrid
from via_machinae.dark_matter.inputs import baryons_of, fingerprint_of, stars_of, truth_of, use_ball
from via_machinae.dark_matter.products import Products
from via_machinae.dark_matter.settings import MapSettings
from via_machinae.dark_matter.summary import Quantity, local_table, quantities, summary_table
from via_machinae.dark_matter.tables import write_products, write_table
from via_machinae.dark_matter.weak_route import weak_potential, weak_steps
from via_machinae.run import write_json
from via_machinae.terminal import console, show_table
from via_machinae.version import __version__

__all__ = ["map_job"]

_OTHER_BARYONS = {"census": "mcmillan2017", "mcmillan2017": "census"}


def map_job(path: Path, settings: MapSettings, workers: int = 1) -> MapRun:
    """Map the dark matter around the Sun into a run directory.

    Args:
        path: The run directory; continued where it was begun with the same settings and stars.
        settings: What is asked for.
        workers: Processes for the training of flows; results do not depend on it.

    Raises:
        DmMapError: the stars are not usable, or a fit failed.
        RunError: the directory holds something else.
    """
    fingerprint = fingerprint_of(settings)
    # A table that cannot be read leaves no run behind.
    loaded = None if (Path(path) / "steps" / "input.json").is_file() else stars_of(settings)
    run = MapRun.begin(path, settings, fingerprint)
    with run.locked():
        _work(run, settings, workers, loaded)
    return run


def _work(
    run: MapRun, settings: MapSettings, workers: int, loaded: tuple[StarSample, dict[str, Any], str] | None
) -> None:
    @cache
    def stars() -> tuple[StarSample, dict[str, Any], str]:
        return loaded if loaded is not None else stars_of(settings)

    found: dict[str, Any] = {"input": run.step("input", lambda: {**stars()[1], "told": stars()[2]})}
    console.print(found["input"]["told"])
    grid, mock = MapGrid(use_ball(settings)), truth_of(settings)
    fields: dict[str, Any] = {}
    if "weak" in settings.methods:
        found["weak"] = weak_steps(run, settings, lambda: stars()[0])
        fields["weak"] = weak_potential(run)
    if "flow" in settings.methods:
        # Late: torch is slow to load, and the weak form does without.
        from via_machinae.dark_matter.flow_route import flow_potential, flow_steps

        found["flow"] = flow_steps(run, settings, lambda: stars()[0], grid, workers)
        fields["flow"] = flow_potential(run)
    provenance = {"version": __version__, "input": run.manifest["input"], "settings": settings.to_dict()}
    made = {
        method: Products(method, field, baryons_of(settings), grid, settings.seed, "bootstrap", provenance)
        for method, field in fields.items()
    }
    truth = None if mock is None else _truth(mock, grid, settings)
    _finish(run, settings, made, truth, found)


def _truth(mock: Mock, grid: MapGrid, settings: MapSettings) -> Products:
    return Products("truth", mock, MockBaryons.of(mock), grid, settings.seed, "exact", {})


def _finish(
    run: MapRun,
    settings: MapSettings,
    made: Mapping[str, Products],
    truth: Products | None,
    found: Mapping[str, Any],
) -> None:
    """Products, numbers and figures: seconds of work, made anew each time."""
    from via_machinae.dark_matter.drawing import draw_run

    other = _OTHER_BARYONS.get(settings.baryon_name)
    second = None if other is None else baryons_of(settings, other)
    rows: list[Quantity] = []
    with console.status("maps, curves and profiles"):
        for one in made.values():
            write_products(run, one)
            rows += quantities(one, truth, second, settings.at)
    meta = {"stars": settings.sample_name, "version": __version__, "interval": 0.6827}
    for suffix in (".ecsv", ".fits"):
        write_table(summary_table(rows, meta), run.file(f"summary{suffix}"))
    write_table(local_table(rows, settings.sample_name), run.file("published.ecsv"))
    if len(made) == 2:
        write_table(comparison_table(made, truth), run.file("comparison.ecsv"))
    # JSON has no NaN.
    listed = [{k: None if v != v else v for k, v in row._asdict().items()} for row in rows]
    write_json(run.file("summary.json"), json.loads(json.dumps({**found, "quantities": listed})))
    with console.status("figures"):
        figures = draw_run(run, made, truth, rows, settings.sample_name)
    _tell(run, made, found, rows, figures)


def _tell(
    run: MapRun,
    made: Mapping[str, Products],
    found: Mapping[str, Any],
    rows: Sequence[Quantity],
    figures: Sequence[str],
) -> None:
    columns = ["method", "quantity", "where", "value", "error", "unit"]
    known = any(not math.isnan(row.truth) for row in rows)
    shown = [
        (row.method, row.name, row.place, row.value, row.error, row.unit, *([row.truth] if known else []))
        for row in rows
    ]
    show_table("Results (68 % errors)", [*columns, *(["truth"] if known else [])], shown)
    for note in _verdicts(found, made):
        console.print(note)
    console.print(f"results: {run.path}   figures: {run.path / 'figures'} ({len(figures)})")


def _verdicts(found: Mapping[str, Any], made: Mapping[str, Products]) -> list[str]:
    """What a reader must know before trusting the numbers."""
    told = []
    if "weak" in found:
        weak = found["weak"]
        told.append(
            f"weak form: {weak['equations']} equations from {weak['stars']:,} stars determine "
            f"{weak['effective_parameters']:.1f} parameters"
        )
        told += [f"residuals of the fit: {weak['goodness']}", f"test of equilibrium: {weak['equilibrium']}"]
        for name, (value, error) in weak.get("log_selection", {}).items():
            told.append(f"  fitted selection, {name}: {value:+.4f} +- {error:.4f} per kpc")
        if "selection" in weak:
            told.append(weak["selection"])
    if "flow" in found:
        flow = found["flow"]
        failed = ", ".join(flow["diagnostics_failed"]) or "none"
        told.append(
            f"flows: {flow['flows']} members, residual of the potential {flow['residual']:.2f}; "
            f"{flow['diagnostics']} diagnostics, failed: {failed} (see flow/diagnostics.txt)"
        )
    speeds = {method: one.field.pattern_speed for method, one in made.items() if one.field.pattern_speed}
    told += [f"{method}: pattern speed {speed:.1f} km/s/kpc" for method, speed in speeds.items()]
    if found["input"].get("covariance") and not found.get("weak", {}).get("errors_corrected"):
        told.append(
            "the stars' measurement errors are not corrected for: they blur positions and heat velocities, "
            "and the errors quoted do not contain this (--correct-errors takes them out of the weak form)"
        )
    return told
