"""Every expected failure is one line, a non-zero exit, and nothing that existed before is changed."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import signal
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest

from sky_patches import CatalogStore
from via_machinae import Run


@pytest.fixture(scope="module")
def bad_files(tmp_path_factory, sky) -> Path:
    """Files that cannot be imported, each for a reason of its own."""
    root = tmp_path_factory.mktemp("bad")
    (root / "directory.csv").mkdir()
    (root / "empty.csv").write_bytes(b"")
    (root / "garbage.fits").write_bytes(b"SIMPLE  =" + bytes(range(256)) * 20)
    (root / "noise.bin").write_bytes(bytes(range(1, 256)) * 20)
    (root / "header.csv").write_text("source_id,ra,dec,pmra,pmdec\n")
    few = sky[:50].copy()
    lacking = few.copy()
    lacking.remove_column("pmra")
    lacking.write(root / "no_pmra.csv")
    seconds = few.copy()
    seconds["pmra"].unit = u.km / u.s
    seconds.write(root / "unit.ecsv")
    rounded = few.copy()
    rounded["source_id"] = few["source_id"].astype(float) + 0.5
    rounded.write(root / "float.fits")
    worded = few.copy()
    worded["ra"] = [f"{value:.3f} deg" for value in few["ra"]]
    worded.write(root / "words.csv")
    few.write(root / "whole.fits")
    (root / "cut.fits").write_bytes((root / "whole.fits").read_bytes()[:-3000])
    return root


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("absent.csv", "does not exist"),
        ("directory.csv", "is a directory"),
        ("empty.csv", "is empty"),
        ("garbage.fits", "damaged"),
        ("noise.bin", "unknown extension"),
        ("header.csv", "no rows"),
        ("no_pmra.csv", "pmra"),
        ("unit.ecsv", "km"),
        ("float.fits", "source_id"),
        ("words.csv", "ra"),
        ("cut.fits", "cut.fits"),
    ],
)
def test_a_file_that_cannot_be_imported_leaves_the_store_as_it_was(
    command, bad_files, scanned, store_copy, tree, name, told
):
    """Not even the good file before it is written."""
    before = tree(store_copy)
    line = command("import", scanned.csv, bad_files / name, "--store", store_copy).error()
    assert name in line and told in line
    assert tree(store_copy) == before


def test_a_file_that_cannot_be_imported_makes_no_store(command, bad_files, tmp_path):
    command("import", bad_files / "empty.csv", "--store", tmp_path / "new").error()
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("column", "told"),
    [
        ("ra", "NAME=NAME_IN_FILE"),
        ("ra=a=b", "NAME=NAME_IN_FILE"),
        ("ra=", "not in the file"),
        ("rra=ra", "names of the schema"),
        ("ra=RAJ2000", "RAJ2000"),
    ],
)
def test_a_malformed_column_option(command, scanned, tmp_path, column, told):
    line = command("import", scanned.csv, "--store", tmp_path / "new", "--column", column).error()
    assert told in line
    assert not (tmp_path / "new").exists()


def test_a_column_under_another_name_is_read(command, sky, tmp_path):
    renamed = sky[:200].copy()
    renamed.rename_column("ra", "my_longitude")
    renamed.write(tmp_path / "renamed.csv")
    words = ("import", tmp_path / "renamed.csv", "--store", tmp_path / "new")
    assert "my_longitude" not in CatalogStore.__doc__
    assert "'ra'" in command(*words).error()
    done = command(*words, "--column", "ra=my_longitude")
    assert (done.code, done.err) == (0, "")
    stored = np.asarray(CatalogStore.open(tmp_path / "new").stars(["ra"])["ra"])
    assert np.array_equal(np.sort(stored), np.sort(np.asarray(sky["ra"][:200])))


@pytest.mark.parametrize("place", ["file", "directory"])
def test_a_store_where_something_else_lies(command, scanned, tmp_path, tree, place):
    target = tmp_path / "home" / "thesis"
    target.parent.mkdir()
    if place == "file":
        target.write_text("years of work")
    else:
        target.mkdir()
        (target / "chapter.tex").write_text("years of work")
    before = tree(tmp_path)
    assert str(target) in command("import", scanned.csv, "--store", target).error()
    assert {name: content for name, content in tree(tmp_path).items() if ".lock" not in name} == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_store_that_may_not_be_written(command, scanned, store_copy, tree):
    before = tree(store_copy)
    directories = [store_copy, *(path for path in store_copy.rglob("*") if path.is_dir())]
    for path in directories:
        path.chmod(0o555)
    try:
        command("import", scanned.csv, "--store", store_copy).error()
    finally:
        for path in directories:
            path.chmod(0o755)
    assert tree(store_copy) == before


def _no_space(*_arguments: object, **_options: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_leaves_the_stars_of_the_store(command, sky, store_copy, tmp_path, monkeypatch):
    before = CatalogStore.open(store_copy).checksum()
    more = sky[:100].copy()
    more["source_id"] = np.arange(1, 101)
    more.write(tmp_path / "more.csv")
    with monkeypatch.context() as full:
        full.setattr("sky_patches.store.write.write_partition", _no_space)
        line = command("import", tmp_path / "more.csv", "--store", store_copy).error()
    assert "No space left" in line and "repeat the same import" in line
    assert CatalogStore.open(store_copy).checksum() == before
    done = command("import", tmp_path / "more.csv", "--store", store_copy)
    assert done.code == 0 and f"added to {store_copy}: 100; there already: 0" in done.out


def test_a_full_disk_starts_no_run(command, scanned, tmp_path, monkeypatch, tree):
    monkeypatch.setattr("via_machinae.run.os.replace", _no_space)
    words = ("scan", "--store", scanned.store, "--run", tmp_path / "run", "--config", scanned.settings)
    line = command(*words).error()
    assert "No space left" in line and "free space" in line
    assert tree(tmp_path) == {}


def test_a_full_disk_keeps_the_old_figures(command, run_copy, monkeypatch):
    def full(_figure: object, path: Path, **_options: object) -> None:
        Path(path).write_bytes(b"half")
        _no_space()

    monkeypatch.setattr("via_machinae.figures.Figure.savefig", full)
    assert "No space left" in command("catalog", "--run", run_copy.path).error()
    assert all(path.read_bytes() != b"half" for path in (run_copy.path / "figures").iterdir())


@pytest.mark.parametrize(
    ("more", "replaced", "told"),
    [
        ("widht = 3\n", {}, "unknown key 'significance.widht'"),
        ("", {"step": "'wide'"}, "valid number"),
        ("[[patches]]\nname='a'\nradius=5\nra=1.0\ndec=2.0\nsize=3\n", {}, "unknown key 'patches.0.size'"),
        ("[[patches]]\nname='a'\nradius=5.0\nframe='GD2'\n", {}, "GD2"),
        ("[[patches]]\nname='a'\nra=150.0\ndec=30.0\nbox=[3,1,0,1]\n", {}, "Box"),
        ("[[patches]]\nname='far'\nradius=5.0\nra=330.0\ndec=-30.0\n", {}, "far"),
        ("[broken", {}, "cannot read the configuration"),
    ],
)
def test_a_wrong_configuration_starts_no_run(
    command, scanned, tmp_path, write_settings, more, replaced, told
):
    path = write_settings(more)
    if replaced:
        path.write_text(path.read_text().replace("[windows]\nstep = 3.0", "[windows]\nstep = 'wide'"))
    line = command("scan", "--store", scanned.store, "--run", tmp_path / "run", "--config", path).error()
    assert told.lower() in line.lower()
    assert not (tmp_path / "run").exists()


def test_a_store_that_is_none(command, scanned, tmp_path):
    (tmp_path / "plain").mkdir()
    for place in ("plain", "absent"):
        words = ("scan", "--store", tmp_path / place, "--run", tmp_path / "run", "--config", scanned.settings)
        assert "is not a catalogue store" in command(*words).error()
    assert [path.name for path in tmp_path.iterdir()] == ["plain"]


def test_a_store_without_stars(command, scanned, tmp_path):
    CatalogStore.create(tmp_path / "store", name="empty")
    words = ("scan", "--store", tmp_path / "store", "--run", tmp_path / "run", "--config", scanned.settings)
    assert "holds no stars" in command(*words).error()


def test_a_store_of_too_few_stars(command, scanned, sky, tmp_path):
    sky[:300].write(tmp_path / "few.csv")
    command("import", tmp_path / "few.csv", "--store", tmp_path / "store")
    words = ("scan", "--store", tmp_path / "store", "--run", tmp_path / "run", "--config", scanned.settings)
    assert "windows.min_stars" in command(*words).error()
    assert not (tmp_path / "run").exists()


def test_a_run_directory_that_is_none(command, scanned, tmp_path, tree):
    (tmp_path / "papers").mkdir()
    (tmp_path / "papers" / "draft.tex").write_text("years of work")
    before = tree(tmp_path)
    papers = tmp_path / "papers"
    words = ("scan", "--store", scanned.store, "--run", papers, "--config", scanned.settings)
    assert "is not empty and holds no run" in command(*words).error()
    for name in ("catalog", "status"):
        assert "is no run directory" in command(name, "--run", papers).error()
        assert "is no run directory" in command(name, "--run", tmp_path / "absent").error()
    assert tree(tmp_path) == before


def test_another_configuration_on_a_run(command, scanned, run_copy, write_settings, tree):
    before = tree(run_copy.path)
    changed = write_settings(epochs="4")
    words = ("--run", run_copy.path, "--config", changed)
    for line in (
        command("scan", "--store", scanned.store, *words).error(),
        command("catalog", *words).error(),
    ):
        assert "flow.epochs (3 -> 4)" in line
    assert tree(run_copy.path) == before


def test_a_damaged_score_file(command, run_copy, tree):
    path = run_copy.scores_path(run_copy.units[2])
    path.write_bytes(path.read_bytes()[:500])
    before = tree(run_copy.path)
    line = command("catalog", "--run", run_copy.path).error()
    assert str(path) in line and "delete it and scan again" in line
    assert tree(run_copy.path) == before


def test_a_store_that_vanished_under_a_run(command, scanned, store_copy, run_copy):
    moved = run_copy.at_store(store_copy)
    shutil.rmtree(store_copy)
    assert str(store_copy) in command("catalog", "--run", moved.path).error()
    assert command("status", "--run", moved.path).code == 0


def test_a_truth_that_is_none(command, run_copy, tmp_path, tree):
    before = tree(run_copy.path)
    line = command("catalog", "--run", run_copy.path, "--truth", tmp_path).error()
    assert "STORE/truth" in line
    assert tree(run_copy.path) == before


def test_a_mock_on_an_existing_directory(command, tmp_path):
    assert "exists already" in command("mock", "--store", tmp_path).error()
    assert list(tmp_path.iterdir()) == []


def test_brackets_in_a_path_are_no_markup(command, scanned, run_copy, tmp_path):
    """The text console takes [/x] for the end of a style, and would raise."""
    strange = tmp_path / "a[b]" / "c[" / "d] :smile:"
    shutil.copytree(run_copy.path, strange)
    done = command("status", "--run", strange)
    assert done.code == 0 and str(strange) in done.out.replace("\n", "")
    assert str(strange / "x") in command("status", "--run", strange / "x").error()


def test_an_interrupt_is_one_line(command, scanned, monkeypatch):
    def stop(*_arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("via_machinae.jobs.status_job", stop)
    done = command("status", "--run", scanned.run.path)
    assert (done.code, "interrupted" in done.error()) == (130, True)


def test_a_mistake_in_the_program_is_not_hidden(scanned, monkeypatch):
    """The negative control: only expected failures become one line."""
    import sys

    from via_machinae.cli import main

    monkeypatch.setattr("via_machinae.jobs.status_job", lambda run: 1 / 0)
    monkeypatch.setattr(sys, "argv", ["via-machinae", "status", "--run", str(scanned.run.path)])
    with pytest.raises(ZeroDivisionError):
        main()


def test_a_missing_option_is_explained(command):
    done = command("scan")
    assert done.code == 2
    assert "--store" in done.err and "Traceback" not in done.err


def _small_files() -> None:
    """No file above 64 kB from here on, as on a disk that fills up."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (65_536, 65_536))


def test_in_a_process_of_its_own_a_bad_file(shell, bad_files, store_copy, tree):
    before = tree(store_copy)
    assert "pmra" in shell("import", bad_files / "no_pmra.csv", "--store", store_copy).error()
    assert tree(store_copy) == before


def test_in_a_process_of_its_own_a_run_that_is_none(shell, tmp_path):
    assert "is no run directory" in shell("status", "--run", tmp_path).error()


def test_in_a_process_of_its_own_an_unknown_key(shell, scanned, tmp_path, write_settings):
    changed = write_settings("[flows]\nepochs = 3\n")
    words = ("--store", scanned.store, "--run", tmp_path / "run", "--config", changed)
    assert "unknown key 'flows'; did you mean 'flow'" in shell("scan", *words).error()


def test_in_a_process_of_its_own_a_disk_that_fills_up(shell, scanned, tmp_path):
    store = tmp_path / "store"
    shell("import", scanned.csv, "--store", store, preexec_fn=_small_files).error()
    assert len(CatalogStore.open(store)) == 0
    assert shell("import", scanned.csv, "--store", store).code == 0
    assert CatalogStore.open(store).checksum() == CatalogStore.open(scanned.store).checksum()


def test_in_a_process_of_its_own_help_is_quick_and_names_all_commands(shell):
    done = shell("--help")
    assert done.code == 0
    assert all(name in done.out for name in ("import", "mock", "scan", "catalog", "status", "demo"))


def test_the_run_of_these_tests_is_untouched(scanned):
    assert Run.open(scanned.run.path).pending() == []
