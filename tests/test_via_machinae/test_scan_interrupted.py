"""A scan may be stopped anywhere, by anything, and continues to the same catalogue."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from streams import StreamCatalog
from via_machinae import Run, RunError, make_catalog, plan_run, score_run
from via_machinae.scoring import score_unit

# A loaded machine takes seconds to start the processes; the tests wait for what they need, no longer.
PATIENCE = 90.0


def _wait_for(condition, what: str):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        answer = condition()
        if answer:
            return answer
        time.sleep(0.02)
    pytest.fail(f"waited {PATIENCE:.0f} s for {what}")


@pytest.fixture
def started(request, program, scanned, tmp_path) -> Iterator[subprocess.Popen[str]]:
    """A scan in a session of its own, as a shell would start it, with the first scores written."""
    words = ["scan", "--store", scanned.store, "--run", tmp_path / "run", "--config", scanned.settings]
    words += ["--workers", getattr(request, "param", 1)]
    process = subprocess.Popen(
        [program, *map(str, words)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        # Tests may run where interrupts are ignored (a background job); a shell's foreground job hears them.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    try:
        _wait_for(lambda: _written(tmp_path / "run") or process.poll() is not None, "the first scores")
        assert process.poll() is None, process.communicate()
        yield process
    finally:
        # Workers that outlived their scan would hold its output open for ever.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def _written(run: Path) -> list[Path]:
    return [path for path in run.glob("patches/*/scores/*.npz") if not path.name.startswith(".")]


def _group_is_gone(leader: int) -> bool:
    try:
        os.killpg(leader, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.fixture
def same_catalogue(differences) -> Callable[[Path, Path], bool]:
    """A function that compares the catalogues of two runs, which may not be empty."""

    def same(one: Path, other: Path) -> bool:
        first, second = (StreamCatalog.read(path / "catalog") for path in (one, other))
        return len(first.candidates) > 0 and len(first.members) > 0 and differences(first, second) == []

    return same


def test_only_what_is_missing_is_redone_and_one_worker_scores_as_two_do(scanned, run_copy, scores_by_star):
    lost = run_copy.units[::2]
    for unit in lost:
        run_copy.scores_path(unit).unlink()
    kept = {u: run_copy.scores_path(u).stat().st_mtime_ns for u in run_copy.units if u not in lost}
    done = []
    score_run(run_copy, 1, done.append)
    assert {scored.unit for scored in done} == set(lost)
    assert all(run_copy.scores_path(unit).stat().st_mtime_ns == time_ for unit, time_ in kept.items())
    assert scores_by_star(run_copy) == scores_by_star(scanned.run)


@pytest.mark.parametrize("started", [2], indirect=True)
def test_an_interrupt_from_the_keyboard_is_one_line_and_loses_nothing(
    started, scanned, tmp_path, shell, scores_by_star, same_catalogue
):
    """A terminal sends SIGINT to all processes of the group; only the main one answers."""
    asked = time.monotonic()
    os.killpg(started.pid, signal.SIGINT)
    _, errors = started.communicate(timeout=PATIENCE)
    assert started.returncode == 130
    assert errors.strip().splitlines() == [
        "error: interrupted; what was finished is kept: run the same command again to continue"
    ]
    assert time.monotonic() - asked < 15
    _wait_for(lambda: _group_is_gone(started.pid), "the workers to end")
    assert Run.open(tmp_path / "run").pending(), "the scan was over before the interrupt: nothing was tested"
    words = ("--store", scanned.store, "--run", tmp_path / "run", "--config", scanned.settings)
    done = shell("scan", *words)
    assert done.code == 0, done
    assert "windows are done already" in done.out
    assert scores_by_star(Run.open(tmp_path / "run")) == scores_by_star(scanned.run)
    assert same_catalogue(tmp_path / "run", scanned.run.path)


def test_a_killed_scan_leaves_no_process_and_no_half_written_scores(
    started, scanned, tmp_path, scores_by_star, same_catalogue
):
    os.kill(started.pid, signal.SIGKILL)
    started.wait(PATIENCE)
    _wait_for(lambda: _group_is_gone(started.pid), "the workers to end")
    run = Run.open(tmp_path / "run")
    assert run.pending(), "the scan was over before it was killed: nothing was tested"
    with pytest.raises(RunError, match=rf"{len(run.pending())} of {len(run.units)} windows still to score"):
        make_catalog(run, scanned.config)
    # What a writer that dies leaves behind.
    half = run.scores_path(run.pending()[0]).with_name(".0123.npz")
    half.write_bytes(scanned.run.scores_path(run.pending()[0]).read_bytes()[:1000])
    continued = plan_run(scanned.store, run.path, scanned.config)
    for unit in continued.pending():
        score_unit(continued.path, unit)
    make_catalog(continued, scanned.config)
    assert scores_by_star(continued) == scores_by_star(scanned.run)
    assert same_catalogue(continued.path, scanned.run.path)


def test_a_killed_worker_is_one_line_that_says_how_to_go_on(started, tmp_path):
    """As the kernel does when memory runs out."""
    children = Path(f"/proc/{started.pid}/task/{started.pid}/children")
    if not children.exists():
        pytest.skip("this system does not list child processes")

    def is_worker(pid: str) -> bool:
        return b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()

    workers = [int(pid) for pid in children.read_text().split() if is_worker(pid)]
    os.kill(workers[0], signal.SIGKILL)
    _, errors = started.communicate(timeout=PATIENCE)
    lines = errors.strip().splitlines()
    assert started.returncode == 1
    assert lines == ["error: a worker process was killed (out of memory?); run the same command to continue"]
    assert Run.open(tmp_path / "run").pending()


def test_a_full_disk_leaves_no_scores_of_that_window(scanned, run_copy, monkeypatch):
    unit = run_copy.units[0]
    run_copy.scores_path(unit).unlink()
    before = sorted(run_copy.scores_path(unit).parent.iterdir())

    def full(path: Path, **arrays: np.ndarray) -> None:
        Path(path).write_bytes(b"PK\x03\x04")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("via_machinae.scoring.np.savez", full)
    with pytest.raises(OSError, match="No space left"):
        score_unit(run_copy.path, unit)
    assert run_copy.pending() == [unit]
    assert sorted(run_copy.scores_path(unit).parent.iterdir()) == before
