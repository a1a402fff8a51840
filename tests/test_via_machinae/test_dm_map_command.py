"""The command dm-map: its products, its restarts, and both methods on one small mock."""

from __future__ import annotations

import fcntl
import json
import shutil
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.table import Table

from density import ConditionalFlow
from dm_map.diagnostics import DiagnosticSettings
from dm_map.flows import PhaseSpaceFlow
from dm_map.gravity import GEV_PER_CM3
from dm_map.maps import AccelerationMap, DensityMap
from dm_map.mocks import make_mock
from dm_map.potential import load_potential
from via_machinae.dark_matter import drawing, flow_route, job, weak_route
from via_machinae.dark_matter.directory import MapRun
from via_machinae.dark_matter.flow_route import split_stars
from via_machinae.dark_matter.grid import MapGrid
from via_machinae.dark_matter.inputs import baryons_of, use_ball
from via_machinae.dark_matter.settings import MapSettings

WORDS = ("dm-map", "--mock", "milky-way", "--mock-stars", 20_000, "--members", 24, "--at=-8.122,0,2")
SETTINGS = MapSettings(mock="milky-way", mock_stars=20_000, members=24, at=((-8.122, 0.0, 2.0),))
MAPS = ("acceleration", "density_total", "density_dark", "density_dark_horizontal")
CURVES = ("dark_by_height", "dark_by_radius", "circular_velocity", "vertical_force", "surface_density")


@dataclass(frozen=True)
class Finished:
    """A finished run, which nobody may change."""

    path: Path
    summary: Table


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    path = tmp_path_factory.mktemp("maps") / "run"
    job.map_job(path, SETTINGS)
    return Finished(path, Table.read(path / "summary.ecsv", format="ascii.ecsv"))


@pytest.fixture
def copy(finished: Finished, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished.path, tmp_path / "run"))


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without figures, where they are not the point."""
    monkeypatch.setattr(drawing, "draw_run", lambda *_arguments: [])


def no_work(*_arguments: object, **_options: object) -> None:
    raise RuntimeError("this step was finished before")


def test_all_products_are_there(finished):
    for name in MAPS:
        kind = AccelerationMap if name == "acceleration" else DensityMap
        fits, ecsv = (
            kind.read(finished.path / "weak" / "maps" / f"{name}{end}") for end in (".fits", ".ecsv")
        )
        assert np.array_equal(fits.members, ecsv.members) and fits.provenance["settings"]["seed"] == 1
    for name in CURVES:
        table = Table.read(finished.path / "weak" / "curves" / f"{name}.ecsv", format="ascii.ecsv")
        assert all(table[column].unit is not None for column in table.colnames)
    drawn = {path.stem for path in (finished.path / "figures").iterdir()}
    wanted = {"acceleration_weak", "density_weak", "profile_weak", "dark_matter", "dynamics", "published"}
    assert wanted | {"goodness_weak", "equilibrium_weak"} == drawn
    assert not [path for path in finished.path.rglob(".*") if path.name != ".lock"]


def test_the_summary_agrees_with_the_maps_and_with_itself(finished):
    summary = finished.summary
    assert np.all(summary["low"] <= summary["value"]) and np.all(summary["value"] <= summary["high"])
    dense = np.asarray(summary["unit"]) == "Msun/pc3"
    assert np.allclose(summary["value_gev"][dense], GEV_PER_CM3 * summary["value"][dense])
    assert np.all(np.isnan(summary["value_gev"][~dense])) and summary["value_gev"].unit == u.GeV / u.cm**3
    curve = Table.read(finished.path / "weak" / "curves" / "dark_by_height.ecsv", format="ascii.ecsv")
    at_one = curve[np.abs(curve["z"] - 1.0) < 1e-9]
    row = summary[np.asarray(summary["place"]) == "R0, |z| = 1 kpc"][0]
    assert row["value"] == pytest.approx(float(at_one["rho_dm"][0]), rel=1e-9)
    assert json.loads((finished.path / "summary.json").read_text())["weak"]["stars"] == 20_000


def test_the_truth_beside_is_the_mocks_own(finished):
    rows = finished.summary[np.asarray(finished.summary["name"]) == "rho_total"]
    mock = make_mock("milky-way")
    assert rows[0]["truth"] == pytest.approx(float(mock.density(np.array([-8.122, 0.0, 0.0208]))))
    speed = finished.summary[np.asarray(finished.summary["name"]) == "v_c"][0]
    assert 220 < speed["truth"] < 240
    # Within four of its own errors: the mock is stationary, and so is the fit.
    assert abs(speed["value"] - speed["truth"]) < 4 * speed["error"]


def test_the_dark_matter_of_a_mock_is_its_halo():
    model, mock = baryons_of(SETTINGS), make_mock("milky-way")
    x = use_ball(SETTINGS).uniform(50, seed=1)
    halo = mock.gala_potential["halo"]
    expected = halo.density(x.T * u.kpc).to_value(u.Msun / u.pc**3)
    assert np.allclose(mock.density(x) - model.density(x), expected, rtol=1e-6)
    assert model.surface_density(2.0) > model.surface_density(1.0) > 0


def test_published_values_stand_beside_ours(finished):
    table = Table.read(finished.path / "published.ecsv", format="ascii.ecsv")
    ours = ["this run" in name for name in table["authors"]]
    assert sum(ours) == 4 and len(table) > 10 and table["rho_gev"].unit == u.GeV / u.cm**3


def test_orbits_can_be_integrated_in_the_potential(finished):
    potential = load_potential(finished.path / "weak" / "potential.json")
    assert potential.members.shape[0] == 24
    speed = potential.to_gala().circular_velocity([-8.122, 0, 0] * u.kpc)[0].to_value(u.km / u.s)
    assert speed == pytest.approx(230, rel=0.1)


def test_a_finished_run_is_only_told_again(command, undrawn, copy, monkeypatch):
    before = (copy / "summary.ecsv").read_bytes()
    monkeypatch.setattr(weak_route, "_solve", no_work)
    monkeypatch.setattr(job, "stars_of", no_work)
    outcome = command(*WORDS, "--run", copy)
    assert outcome.code == 0 and "v_c" in outcome.out and "equilibrium" in outcome.out
    assert (copy / "summary.ecsv").read_bytes() == before


def test_an_interrupted_run_goes_on_where_it_was(command, undrawn, copy, monkeypatch):
    """The fit is kept; what came after it is made anew, and is the same."""
    note, tests = (copy / "steps" / "weak-equilibrium.json", copy / "weak" / "equilibrium.ecsv")
    before = note.read_bytes(), tests.read_bytes()
    note.unlink()
    tests.unlink()
    with monkeypatch.context() as during:

        def interrupt(*_arguments: object, **_options: object) -> None:
            raise KeyboardInterrupt

        during.setattr(weak_route, "refit", interrupt)
        assert "interrupted" in command(*WORDS, "--run", copy).error()
    monkeypatch.setattr(weak_route, "save_potential", no_work)
    assert command(*WORDS, "--run", copy).code == 0
    assert (note.read_bytes(), tests.read_bytes()) == before


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--seed", 2), "seed (1 -> 2)"),
        (("--use-within", 2.5), "use_within (3.0 -> 2.5)"),
        (("--method", "both"), "method (weak -> both)"),
    ],
)
def test_another_option_is_refused_and_named(command, copy, words, told):
    line = command(*WORDS, "--run", copy, *words).error()
    assert told in line and "new run directory" in line


def test_two_processes_do_not_work_in_one_run(command, copy):
    with (copy / ".lock").open("a") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        assert "another dm-map is at work" in command(*WORDS, "--run", copy).error()


def test_a_damaged_record_is_told_with_its_remedy(command, copy):
    (copy / "steps" / "weak-fit.json").write_text("{")
    assert "delete it" in command(*WORDS, "--run", copy).error()


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flows that train in seconds."""
    flow = ConditionalFlow(
        layers=2,
        hidden=8,
        epochs=2,
        batch_size=512,
        learning_rate=7e-3,
        patience=None,
        validation_fraction=0.05,
    )
    recipe = PhaseSpaceFlow(position=flow, velocity=flow)
    monkeypatch.setattr(flow_route, "flow_recipe", lambda _settings: recipe)
    monkeypatch.setattr(flow_route, "_PLACES", 1000)
    coarse = partial(DiagnosticSettings, positions=16, velocities=32, centres=4, stars=500, rows=500)
    monkeypatch.setattr(flow_route, "DiagnosticSettings", coarse)


def test_both_methods_are_compared_and_the_flows_are_kept(tiny, copy, monkeypatch, tmp_path):
    """The weak half of the run is taken from a finished one; the flows are trained, and not twice."""
    settings = replace(SETTINGS, method="both", members=4, use_within=2.5)
    run = MapRun.begin(tmp_path / "both", settings, "mock")
    for part in ("steps", "weak"):
        shutil.copytree(copy / part, run.path / part)
    job.map_job(run.path, settings)
    table = Table.read(run.path / "comparison.ecsv", format="ascii.ecsv")
    assert list(table["first"]) == ["weak", "weak", "flow"] and np.all(np.isfinite(table["a_median"]))
    pointwise = AccelerationMap.read(run.path / "flow" / "maps" / "acceleration_pointwise.fits")
    assert np.array_equal(pointwise.x, MapGrid(use_ball(settings)).meridional)
    assert "checks passed" in (run.path / "flow" / "diagnostics.txt").read_text()
    assert (run.path / "figures" / "comparison.png").is_file()
    before = (run.path / "summary.ecsv").read_bytes()
    monkeypatch.setattr(flow_route, "fit_ensemble", no_work)
    job.map_job(run.path, settings)
    assert (run.path / "summary.ecsv").read_bytes() == before


def test_no_star_is_both_trained_on_and_held_out():
    sample = make_mock("milky-way").sample(5000, 1)
    training, held_out = split_stars(sample, seed=1)
    together = np.concatenate([training.x[:, 0], held_out.x[:, 0]])
    assert len(held_out) == 1000 and np.array_equal(np.sort(together), np.sort(sample.x[:, 0]))


@pytest.mark.parametrize("radius", [0.4, 1.0, 3.0])
def test_every_position_of_the_grid_is_inside_its_ball(radius):
    grid = MapGrid(replace(use_ball(SETTINGS), radius=radius))
    for x in (
        grid.meridional,
        grid.horizontal,
        grid.shell_positions,
        grid.both_sides(8.122, grid.heights),
        grid.both_sides(grid.radii(grid.height), grid.height),
    ):
        assert len(x) > 5 and np.all(grid.ball.contains(x))
    inner = grid.shell_positions[np.abs(grid.shell_positions[:, 2]) >= grid.height]
    counts, _ = np.histogram(np.linalg.norm(inner, axis=1), grid.shell_edges)
    assert counts.min() > 10
