"""A refresh that is killed at random moments, ten times, ends as the archive's table, row for row."""

from __future__ import annotations

import os
import random
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import which

import pytest
from archive_rows import rows_of_dr3, within
from refreshing import assert_store_holds, log_of, region
from service import Service

KILLS = 10
PIXELS = tuple((1, number) for number in range(16, 24))
LONGEST_LIFE = 3.0
"""Seconds that a refresh is left to live after its first sign of life: less than it needs."""

PATIENCE = 90.0


@pytest.fixture(scope="module")
def program() -> str:
    found = which("via-machinae", path=str(Path(sys.executable).parent))
    if found is None:
        pytest.fail("via-machinae is not installed beside this Python: pip install -e .")
    return found


@contextmanager
def _refresh(program: str, service: Service, store: Path) -> Iterator[subprocess.Popen[str]]:
    """The command in a session of its own; afterwards no process of it is left."""
    words = [program, "refresh", "--store", store, "--region", region(PIXELS), "--tap-url", service.url]
    words += ["--order", 1, "--workers", 3, "--poll", 0.2]
    process = subprocess.Popen(
        [*map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _alive_until(process: subprocess.Popen[str], store: Path, before: int, life: float) -> bool:
    """Whether the refresh still runs `life` seconds after it began to write its log."""
    log, end = store / "refresh" / "log.txt", time.monotonic() + PATIENCE
    while process.poll() is None and (log.stat().st_size if log.exists() else 0) <= before:
        assert time.monotonic() < end, "the refresh shows no sign of life"
        time.sleep(0.02)
    with suppress(subprocess.TimeoutExpired):
        process.wait(life)
    return process.poll() is None


def _finish(program: str, service: Service, store: Path) -> str:
    with _refresh(program, service, store) as process:
        said, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, said
    return said


def test_ten_kills_at_random_moments_lose_nothing(program: str, service: Service, tmp_path: Path):
    seed = int(os.environ.get("REAL_TAP_SEED") or secrets.randbits(32))
    moments = random.Random(seed)
    print(f"repeat with REAL_TAP_SEED={seed}")
    stores, killed = [tmp_path / "store-0"], 0
    while killed < KILLS:
        store = stores[-1]
        log = store / "refresh" / "log.txt"
        before = log.stat().st_size if log.exists() else 0
        life = moments.uniform(0.0, LONGEST_LIFE)
        with _refresh(program, service, store) as process:
            if _alive_until(process, store, before, life):
                os.killpg(process.pid, signal.SIGKILL)
                killed += 1
                print(f"kill {killed}: {store.name}, {life:.2f} s after its first line")
                continue
            said, _ = process.communicate()
        # It was faster than its killer: the remaining kills are for another store.
        assert process.returncode == 0, said
        stores.append(tmp_path / f"store-{len(stores)}")
    for store in stores:
        _finish(program, service, store)
        assert_store_holds(store, PIXELS)
        jobs = [line for line in log_of(store).splitlines() if "taking up job" in line]
        print(f"{store.name}: {len(jobs)} jobs of killed runs taken up")
    assert len(within(rows_of_dr3(), PIXELS)) > 5000
