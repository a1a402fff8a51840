"""Streams put into the patch of a finished run: found, judged, kept on disk; refused where they must be."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table

from sky_patches.footprints.holes import Hole, WithHoles
from streams import CandidateFinder, StreamsError
from via_machinae import Run, RunError
from via_machinae.cataloguing import finder_of, searched_geometry
from via_machinae.injecting.campaign import outcomes
from via_machinae.injecting.directory import InjectionDirectory
from via_machinae.injecting.errors import InjectError
from via_machinae.injecting.field import field_of, with_stars
from via_machinae.injecting.grid import InjectionGrid
from via_machinae.injecting.job import inject_job, write_summary
from via_machinae.injecting.rescoring import rescored, touched
from via_machinae.injecting.searching import searched
from via_machinae.injecting.trial import inject_one, made_stream, run_trial

__all__: list[str] = []

GRID = InjectionGrid(
    stars=(250,), motions=((-8.0, 6.0),), widths=(0.1,), repeats=2, length=12.0, gradient=0.0
)


@pytest.fixture
def begin(scanned, tmp_path):
    """A function that starts a campaign on the finished run."""

    def start(grid: InjectionGrid = GRID, name: str = "campaign", **more) -> InjectionDirectory:
        return InjectionDirectory.begin(tmp_path / name, scanned.run, grid, **more)

    return start


@pytest.fixture
def prepared(begin):
    """A campaign and its first unit's patch with the stream in it."""
    directory = begin()
    unit = directory.units()[0]
    field = field_of(str(directory.run), unit.patch)
    stream = made_stream(directory, field, unit)
    patch, ids = with_stars(field, stream.stars, unit.cell.stars)
    return directory, field, patch, ids, stream


def test_a_strong_stream_is_recovered_and_written(begin):
    directory = begin()
    unit = directory.units()[0]
    outcome = inject_one(directory.path, unit)
    assert outcome["recovered"] and outcome["stars"] == 250 and outcome["problem"] == ""
    assert outcome["f1"] > 0.5 and abs(outcome["track_bias"]) < 0.1
    assert outcome["false_alarm_probability"] < 0.01 and outcome["false_candidates"] == 0
    assert json.loads(directory.unit_path(unit).read_text())["name"] == unit.name
    assert [one["name"] for one in outcomes(directory)] == [unit.name]
    assert unit not in directory.pending() and len(directory.pending()) == 1


def test_stars_that_are_scattered_are_no_stream(begin):
    """The control: the same stars without a line are not recovered, and the known stream is not counted."""
    directory = begin(InjectionGrid(**{**GRID.to_dict(), "shuffled": True, "repeats": 1}))
    outcome = run_trial(directory, directory.units()[0])
    assert not outcome["recovered"] and "track_bias" not in outcome


def test_no_stars_recover_nothing_though_the_known_stream_is_there(begin, scanned):
    directory = begin(InjectionGrid(**{**GRID.to_dict(), "stars": (0,), "repeats": 1}))
    outcome = run_trial(directory, directory.units()[0])
    assert not outcome["recovered"] and outcome["stars"] == 0 and outcome["windows_rescored"] == 0
    assert outcome["false_candidates"] == 0
    field = field_of(str(directory.run), directory.units()[0].patch)
    held = [np.isin(scanned.stream_ids, ids).mean() for ids in field.known.values()]
    assert max(held) > 0.1


def test_the_patch_gains_the_stars_and_nothing_else(prepared):
    _, field, patch, ids, stream = prepared
    assert np.all(np.diff(patch.source_id) > 0) and len(ids) == 250
    assert np.isin(ids, patch.source_id).all() and not np.isin(ids, field.patch.source_id).any()
    old = np.isin(patch.source_id, field.patch.source_id)
    for name in field.patch.table.colnames:
        assert np.array_equal(patch.table[name][old], field.patch.table[name], equal_nan=True), name
    rows = np.searchsorted(patch.source_id, ids)
    assert np.all(patch.values("parallax")[rows] < 1.0)
    assert patch.geometry.footprint.contains(patch.values("phi1")[rows], patch.values("phi2")[rows]).all()
    assert np.isin(ids, stream.stars["source_id"]).all()


def test_only_windows_with_injected_stars_are_scored_anew(prepared):
    _, field, patch, ids, _ = prepared
    few = ids[np.hypot(*_motions(patch, ids).T + np.array([[8.0], [-6.0]])) < 1.0][:100]
    held = touched(field, patch, few)
    assert 0 < held.sum() < len(held)
    (mixed,) = rescored(field, patch, few, all_windows=False)
    for window, again, before in zip(mixed, held, field.trainings[0], strict=True):
        kept = np.array_equal(window.log_ratio, before.log_ratio)
        assert kept != again
        known = np.isin(patch.source_id[window.rows], field.patch.source_id)
        if not again:
            assert known.all()
            assert np.array_equal(patch.source_id[window.rows], field.patch.source_id[before.rows])
        m = patch.values(window.component)[window.rows]
        assert np.all((m >= window.low) & (m < window.high))


def _motions(patch, ids) -> np.ndarray:
    rows = np.searchsorted(patch.source_id, ids)
    return np.column_stack([patch.values(name)[rows] for name in ("pm_phi1_cosphi2", "pm_phi2")])


def test_with_a_fresh_null_the_search_is_that_of_a_scan(prepared, begin):
    """The search here and the one that makes a catalogue are one: same candidates, to the last bit."""
    _, field, patch, ids, _ = prepared
    trainings = rescored(field, patch, ids, all_windows=False)
    fresh = begin(name="fresh", fresh_null=True)
    ours = searched(fresh, field, patch, trainings)
    finder: CandidateFinder = finder_of(field.run.config)
    theirs = finder.find(
        patch.stream_stars(), patch.geometry.footprint, trainings[0],
        keep=field.fiducial(patch), seed=field.run.config.run.seed,
    )  # fmt: skip
    assert [one.line.significance for one in ours] == [one.line.significance for one in theirs]
    assert [one.false_alarm_probability for one in ours] == [one.false_alarm_probability for one in theirs]
    cached = searched(begin(name="cached"), field, patch, trainings)
    assert [one.line.significance for one in cached][:1] == [one.line.significance for one in ours][:1]


def test_lines_are_sought_around_the_compact_objects_of_the_run(prepared):
    _, field, patch, _, _ = prepared
    hole = Hole("cluster", 0.0, 0.0, 1.0)
    whole = field.searched.footprint
    masked = replace(field, searched=replace(field.searched, footprint=WithHoles(whole, (hole,))))
    inside = hole.contains(patch.values("phi1"), patch.values("phi2"))
    assert inside.any() and field.fiducial(patch)[inside].any()
    assert not masked.fiducial(patch)[inside].any()
    np.testing.assert_array_equal(masked.fiducial(patch)[~inside], field.fiducial(patch)[~inside])


def test_a_patch_whose_search_left_no_log_says_how_to_make_it(run_copy):
    log = next((run_copy.path / "catalog" / "patches").rglob("log.json"))
    name = log.parent.name
    assert searched_geometry(run_copy, name).footprint == run_copy.geometries[0].footprint
    log.write_text("{half")
    with pytest.raises(RunError, match="make the catalogue anew"):
        searched_geometry(run_copy, name)


def test_a_campaign_is_continued_grows_and_is_summed_up(begin, scanned):
    directory = begin()
    inject_one(directory.path, directory.units()[0])
    before = directory.unit_path(directory.units()[0]).read_text()
    larger = InjectionGrid(**{**GRID.to_dict(), "stars": (250, 300), "repeats": 3})
    grown = begin(larger)
    assert len(grown.pending()) == 5
    assert grown.unit_path(directory.units()[0]).read_text() == before
    summary = write_summary(grown)
    assert len(summary.trials) == 1
    for name in ("trials", "summary", "limits"):
        assert len(Table.read(directory.path / f"{name}.ecsv")) == 1
    assert (directory.path / "completeness.png").stat().st_size > 1000
    assert InjectionDirectory.open(directory.path) == grown


def test_a_stream_that_cannot_be_made_is_told_and_counts_in_no_fraction(begin, tmp_path):
    listed = tmp_path / "members.ecsv"
    rng = np.random.default_rng(1)
    # A list whose members lie far apart: no patch of five degrees shows three of them.
    Table(
        {"ra": np.linspace(0.0, 300.0, 12), "dec": rng.uniform(-60, 60, 12), "pmra": np.zeros(12),
         "pmdec": np.zeros(12), "stream": np.full(12, 3)}
    ).write(listed)  # fmt: skip
    grid = InjectionGrid(kind="members", streams=(3,), stars=(5,), repeats=1, length=10.0)
    directory = begin(grid, members=str(listed))
    outcome = inject_one(directory.path, directory.units()[0])
    assert "stream 3" in outcome["problem"]
    summary = write_summary(directory)
    assert summary.cells["unmade"][0] == 1 and summary.cells["trials"][0] == 0


def test_another_run_or_recipe_is_refused(begin, run_copy):
    directory = begin()
    with pytest.raises(InjectError, match=r"length \(12.0 -> 15.0\)"):
        begin(InjectionGrid(**{**GRID.to_dict(), "length": 15.0}))
    with pytest.raises(InjectError, match="all_windows"):
        begin(all_windows=True)
    manifest = json.loads((run_copy.path / "run.json").read_text())
    (run_copy.path / "run.json").write_text(json.dumps({**manifest, "created": "another day"}))
    with pytest.raises(InjectError, match="another run"):
        InjectionDirectory.begin(directory.path, Run.open(run_copy.path), GRID)


def test_an_unfinished_run_or_one_without_a_catalogue_is_refused(run_copy, tmp_path):
    (run_copy.path / "catalog" / "candidates.ecsv").unlink()
    with pytest.raises(InjectError, match="no catalogue"):
        inject_job(run_copy.path, tmp_path / "out", GRID, workers=1)
    run_copy.scores_path(run_copy.units[0]).unlink()
    with pytest.raises(InjectError, match=r"1 of .* windows still to score"):
        inject_job(run_copy.path, tmp_path / "out", GRID, workers=1)
    assert not (tmp_path / "out").exists()


def test_a_wrong_directory_list_or_stream_is_refused(scanned, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("dear")
    with pytest.raises(InjectError, match="not empty"):
        inject_job(scanned.run.path, tmp_path / "full", GRID, workers=1)
    members = InjectionGrid(kind="members", streams=(4,), repeats=1)
    with pytest.raises(InjectError, match="--members-list"):
        inject_job(scanned.run.path, tmp_path / "out", members, workers=1)
    table = {name: np.zeros(20) for name in ("ra", "dec", "pmra", "pmdec")}
    Table({**table, "stream": np.full(20, 3)}).write(tmp_path / "list.ecsv")
    with pytest.raises(StreamsError, match="stream 4 has 0 members"):
        inject_job(scanned.run.path, tmp_path / "out", members, workers=1, members=tmp_path / "list.ecsv")
    few = InjectionGrid(kind="members", streams=(3,), stars=(50,), repeats=1)
    with pytest.raises(StreamsError, match="20 members, 50 stars"):
        inject_job(scanned.run.path, tmp_path / "out", few, workers=1, members=tmp_path / "list.ecsv")
    with pytest.raises(StreamsError, match="cannot read"):
        inject_job(scanned.run.path, tmp_path / "out", few, workers=1, members=Path("nowhere.fits"))
    with pytest.raises(InjectError, match="no injection campaign"):
        InjectionDirectory.open(tmp_path / "full")


def test_a_damaged_unit_is_named(begin):
    directory = begin()
    path = directory.unit_path(directory.units()[0])
    path.parent.mkdir()
    path.write_text("{")
    with pytest.raises(InjectError, match="only it is redone"):
        outcomes(directory)
