"""Real Gaia DR2 stars, end to end and blind: GD-1 is found first, and its shuffled twins show nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import gd1
import numpy as np
import pytest
from _blind import with_detector
from _gd1_data import CONFIG, LABEL, read_strip

from via_machinae import load_config

pytestmark = [pytest.mark.real_data]


@pytest.fixture(scope="module")
def table(shared_data: Callable[[str], Path]) -> Path:
    return shared_data("gd1_strip_gaia_dr2.csv.gz")


def test_the_scan_cannot_read_the_labels(table: Path) -> None:
    strip = read_strip(table)
    assert LABEL not in strip.stars.colnames
    assert len(strip.members) == 242


def test_gd1_is_the_first_candidate_with_its_members_and_its_track(
    table: Path, shared_data: Callable[[str], Path]
) -> None:
    tracks = shared_data("gd1_dr3_tracks/phi2_track.fits").parent
    row = gd1.real_row(read_strip(table), load_config(CONFIG), tracks)
    assert row["recovered"] and row["rank"] == 1
    assert row["false_candidates"] == 0
    assert row["f1"] >= 0.58
    assert abs(row["phi2_offset"]) < 0.15
    assert np.hypot(row["pm1_offset"], row["pm2_offset"]) < 0.3
    assert row["max_sic"] > 2


@pytest.mark.statistical
@pytest.mark.parametrize("seed", [0, 1])
def test_shuffled_proper_motions_hold_no_stream(table: Path, seed: int) -> None:
    """The negative control of the test above: the same stars and the same search, the stream destroyed."""
    config = with_detector(load_config(CONFIG), "cathode", 1)
    assert gd1.null_row(read_strip(table), config, seed)["passing"] == 0
