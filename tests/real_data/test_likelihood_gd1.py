"""Real Gaia DR2 stars without colours: the likelihood search finds GD-1 blind, in shuffled stars nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import likelihood_gd1
import pytest
from _likelihood_parts import Job, Row

__all__: list[str] = []

pytestmark = [pytest.mark.real_data]


def _job(shared_data: Callable[[str], Path]) -> Job:
    return {
        "flow": "spline", "search": "default", "seed": 1, "quick": True,
        "table": str(shared_data("gd1_strip_gaia_dr2.csv.gz")),
        "tracks": str(shared_data("gd1_dr3_tracks/phi2_track.fits").parent),
    }  # fmt: skip


@pytest.fixture(scope="module")
def rows(shared_data: Callable[[str], Path]) -> list[Row]:
    return likelihood_gd1.strip_rows(_job(shared_data))


def test_gd1_comes_first_and_no_other_line_passes(rows: list[Row]) -> None:
    assert [row["background"] for row in rows] == ["all stars", "relearned 1", "relearned 2"]
    for row in rows:
        assert (row["rank"], row["passing"], row["others_passing"]) == (1, 1, 0)
        assert float(row["false_alarm_probability"] or 0) < 1e-4


def test_what_decided_that_it_is_there_is_the_first_search(rows: list[Row]) -> None:
    assert len({(row["significance"], row["false_alarm_probability"]) for row in rows}) == 1


def test_a_background_without_it_shows_it_better(rows: list[Row]) -> None:
    first, last = rows[0], rows[-1]
    assert float(last["contrast"] or 0) > float(first["contrast"] or 0)
    assert float(last["f1"] or 0) > float(first["f1"] or 0)
    assert float(last["ratio"] or 1) <= 0.45
    assert float(last["f1"] or 0) >= 0.62


def test_its_track_and_proper_motion_are_those_of_the_reference(rows: list[Row]) -> None:
    for row in rows:
        assert abs(float(row["phi2_worst"] or 9)) < 0.15
        assert max(abs(float(row[name] or 9)) for name in ("pm1_offset", "pm2_offset")) < 0.2


@pytest.mark.statistical
def test_shuffled_proper_motions_hold_no_line(shared_data: Callable[[str], Path]) -> None:
    """The negative control: the same stars and the same search, the stream destroyed."""
    (row,) = likelihood_gd1.null_rows(_job(shared_data))
    assert row["passing"] == 0
