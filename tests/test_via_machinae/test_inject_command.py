"""`via-machinae inject` as it is typed: a trial, refused values, an interruption and the way on."""

from __future__ import annotations

import json
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest
from astropy.table import Table

from via_machinae.injecting import job

TINY = ("--stars", 250, "--width", 0.1, "--motion=-8,6", "--length", 12, "--gradient", 0, "--workers", 1)
NOTHING = ("--stars", 0, "--motion=-8,6", "--repeats", 2, "--workers", 1)
"""Streams without stars: no window is scored again, and the search of a trial is all that is done."""


def test_a_trial_leaves_tables_a_figure_and_a_line_that_tells_them(command, scanned, tmp_path):
    out = tmp_path / "campaign"
    done = command("inject", "--run", scanned.run.path, "--out", out, *TINY, "--repeats", 1)
    assert (done.code, done.err) == (0, "")
    assert "1 trials" in done.out and str(out) in done.out
    (trial,) = Table.read(out / "trials.ecsv")
    (unit,) = (json.loads(path.read_text()) for path in (out / "units").iterdir())
    assert unit["recovered"] and unit["stars"] == 250 == trial["stars"]
    (cell,) = Table.read(out / "summary.ecsv")
    assert (cell["trials"], cell["recovered"]) == (1, 1)
    assert 0 < cell["fraction_low"] < cell["fraction_high"] <= cell["fraction"] == 1
    assert (out / "completeness.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--kind", "comet"), "got 'comet'"),
        (("--stars", -1), "stars must lie from 0 to 100000, got -1"),
        (("--width", 0), "widths must lie from 0.01 to 5, got 0"),
        (("--distance", 0.5), "distances must lie from 1 to 200, got 0.5"),
        (("--offset", 99), "offsets must lie from 0 to 50, got 99"),
        (("--motion", "3"), "PM1,PM2 in mas/yr, got '3'"),
        (("--motion", "3,x"), "PM1,PM2 in mas/yr, got '3,x'"),
        (("--motion", "3,nan"), "motions must lie from -100 to 100, got nan"),
        (("--repeats", 0), "repeats must be 1 or more"),
        (("--length", 500), "length must lie from 0.5 to 120, got 500"),
        (("--metallicity", 3), "metallicity must lie from -4 to 0.5, got 3"),
        (("--kind", "members"), "at least one stream"),
        (("--kind", "members", "--stream", 3), "--members-list"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, tuple) else "",
)
def test_a_value_that_cannot_be_is_one_line_that_carries_it(command, scanned, tmp_path, words, told):
    line = command("inject", "--run", scanned.run.path, "--out", tmp_path / "out", *words).error()
    assert told in line
    assert not (tmp_path / "out").exists()


def test_no_run_there_is_one_line(command, tmp_path):
    assert "no run directory" in command("inject", "--run", tmp_path, "--out", tmp_path / "out").error()


def test_an_interrupted_campaign_goes_on_where_it_was(command, scanned, tmp_path, monkeypatch):
    out = tmp_path / "campaign"
    words = ("inject", "--run", scanned.run.path, "--out", out, *NOTHING)

    def one_after_the_other(function, jobs, _workers):
        """Stands for the pool of worker processes, which works ahead."""
        for one in jobs:
            value = function(one)
            yield one, SimpleNamespace(result=lambda value=value: value)

    @contextmanager
    def interrupted(*_arguments: object):
        def step() -> None:
            raise KeyboardInterrupt

        yield step

    monkeypatch.setattr("via_machinae.injecting.campaign.completed", one_after_the_other)

    with monkeypatch.context() as patched:
        patched.setattr(job, "progress_bar", interrupted)
        first = command(*words)
    assert first.code == 130
    assert first.err.strip().endswith("run the same command again to continue")
    (kept,) = [path for path in (out / "units").iterdir() if not path.name.startswith(".")]
    written = kept.stat().st_mtime_ns
    done = command(*words)
    assert (done.code, done.err) == (0, "")
    assert "continuing: 1 trials are done already" in done.out
    assert kept.stat().st_mtime_ns == written
    (cell,) = Table.read(out / "summary.ecsv")
    assert (cell["trials"], cell["recovered"]) == (2, 0)
    assert np.all(Table.read(out / "trials.ecsv")["stars"] == 0)
    refused = command(*words, "--length", 15)
    assert "length (20.0 -> 15.0)" in refused.error()
