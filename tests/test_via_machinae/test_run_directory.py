"""A run directory: made once, opened again, and never taken for what it is not."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from sky_patches import PatchGeometry
from via_machinae import Config, Run, RunError, Unit
from via_machinae.run import atomic_path

UNITS = [Unit("north", "pm_phi1_cosphi2", -3.0, 3.0), Unit("north", "pm_phi2", 0.0, 6.0)]
IDS = np.array([3, 5, 8, 13], dtype=np.int64)
PROVENANCE = {"store_checksum": "abc", "stars": {"north": 4}}


@pytest.fixture
def fresh(tmp_path: Path) -> Run:
    return Run.create(
        tmp_path / "run",
        Config(),
        tmp_path / "store",
        geometries=[PatchGeometry.circle("north", 150.0, 30.0, 5.0)],
        units=UNITS,
        provenance=PROVENANCE,
    )


def _save(run: Run, unit: Unit, ids: np.ndarray = IDS) -> Path:
    with atomic_path(run.scores_path(unit)) as temporary:
        np.savez(temporary, source_id=ids, log_ratio=np.zeros(len(ids), np.float32))
    return run.scores_path(unit)


def test_a_run_opens_as_it_was_made(fresh):
    opened = Run.open(fresh.path)
    assert (opened.config, opened.units, opened.manifest) == (fresh.config, UNITS, fresh.manifest)
    assert [geometry.name for geometry in opened.geometries] == ["north"]
    assert opened.store.is_absolute()


def test_a_finished_unit_is_pending_no_more(fresh):
    assert fresh.pending() == UNITS
    _save(fresh, UNITS[1])
    assert fresh.pending() == UNITS[:1]


def test_units_of_one_run_have_files_of_their_own():
    lows = np.arange(-60, 60, 0.5)
    units = [
        Unit("a", name, low, low + 6.0) for name in ("pm_phi1_cosphi2", "pm_phi2") for low in lows.tolist()
    ]
    assert len({unit.label for unit in units}) == len(units)


def test_scores_are_rows_of_the_stars_asked_for(fresh):
    for unit in UNITS:
        _save(fresh, unit, IDS[1:3])
    scores = fresh.scores("north", IDS)
    assert [(s.component, s.low, s.high) for s in scores] == [(u.component, u.low, u.high) for u in UNITS]
    assert all(np.array_equal(s.rows, [1, 2]) for s in scores)


@pytest.mark.parametrize("ids", [IDS[:2], IDS + 1])
def test_scores_of_other_stars_are_refused(fresh, ids):
    for unit in UNITS:
        _save(fresh, unit)
    with pytest.raises(RunError, match=r"holds stars that the store .* no longer has"):
        fresh.scores("north", ids)


@pytest.mark.parametrize(
    "damage", ["empty", "cut short", "a flipped byte", "noise", "an array", "other names"]
)
def test_a_damaged_score_file_says_how_to_redo_it(fresh, damage):
    path, _ = (_save(fresh, unit) for unit in UNITS)
    whole = path.read_bytes()
    middle = whole.index(IDS.tobytes())
    contents = {
        "empty": b"",
        "cut short": whole[: len(whole) // 2],
        "a flipped byte": whole[:middle] + b"\xff" + whole[middle + 1 :],
        "noise": os.urandom(300),
    }
    if damage in contents:
        path.write_bytes(contents[damage])
    elif damage == "an array":
        with path.open("wb") as stream:
            np.save(stream, IDS)
    else:
        np.savez(path, stars=IDS)
    with pytest.raises(RunError, match="delete it and scan again, only it is redone") as caught:
        fresh.scores("north", IDS)
    assert str(path) in str(caught.value)


def test_a_directory_with_other_files_is_refused_and_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(RunError, match="is not empty and holds no run"):
        Run.create(tmp_path, Config(), tmp_path, geometries=[], units=[], provenance={})
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_file_in_place_of_the_directory_is_refused(tmp_path):
    (tmp_path / "run").write_text("a file")
    with pytest.raises(RunError, match="choose a new directory"):
        Run.create(tmp_path / "run", Config(), tmp_path, geometries=[], units=[], provenance={})


@pytest.mark.parametrize("where", [".", "absent", "file"])
def test_what_is_no_run_does_not_open(tmp_path, where):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="is no run directory"):
        Run.open(tmp_path / where)


@pytest.mark.parametrize("content", ["", "{", "[]", "3", '{"format": 1}'])
def test_a_damaged_manifest_does_not_open(fresh, content):
    (fresh.path / "run.json").write_text(content)
    with pytest.raises(RunError, match=r"run\.json"):
        Run.open(fresh.path)


def test_another_format_names_both_versions(fresh):
    (fresh.path / "run.json").write_text(json.dumps({**fresh.manifest, "format": 99, "version": "7.1"}))
    with pytest.raises(RunError, match=r"run format 99, this version reads 1: .*via-machinae 7\.1"):
        Run.open(fresh.path)


def test_a_moved_store_is_found_again(fresh, tmp_path):
    moved = fresh.at_store(tmp_path / "elsewhere")
    assert Run.open(fresh.path).store == moved.store == (tmp_path / "elsewhere").resolve()


def test_atomic_path_leaves_nothing_behind_on_an_exception(tmp_path):
    target = tmp_path / "deep" / "file.txt"
    with pytest.raises(ZeroDivisionError), atomic_path(target) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert list(target.parent.iterdir()) == []


def test_atomic_path_keeps_the_old_file_on_an_exception(tmp_path):
    target = tmp_path / "file.txt"
    target.write_text("old")
    with pytest.raises(KeyboardInterrupt), atomic_path(target) as temporary:
        temporary.write_text("half of the new")
        raise KeyboardInterrupt
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("file.txt", "old")]


def test_atomic_path_gives_the_file_the_usual_permissions(tmp_path):
    """A run may be shared with a group: its files are as open as any other file of the user."""
    (tmp_path / "plain").write_text("")
    with atomic_path(tmp_path / "atomic") as temporary:
        temporary.write_text("")
    assert (tmp_path / "atomic").stat().st_mode == (tmp_path / "plain").stat().st_mode
