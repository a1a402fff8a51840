"""Real Gaia DR2 stars, end to end and blind: GD-1 is found first, and its shuffled twins show nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import gd1_strip
import numpy as np
import pytest

from via_machinae import load_config

pytestmark = [pytest.mark.real_data]


@pytest.fixture(scope="module")
def table(shared_data: Callable[[str], Path]) -> Path:
    return shared_data("gd1_strip_gaia_dr2.csv.gz")


def test_the_scan_cannot_read_the_labels(table: Path) -> None:
    strip = gd1_strip.read_strip(table)
    assert gd1_strip.LABEL not in strip.stars.colnames
    assert len(strip.members) == 242


def test_gd1_is_the_first_candidate_with_its_members_and_its_track(
    table: Path, shared_data: Callable[[str], Path]
) -> None:
    tracks = shared_data("gd1_dr3_tracks/phi2_track.fits").parent
    figures, row = gd1_strip.real_row(gd1_strip.read_strip(table), load_config(gd1_strip.CONFIG), tracks)
    assert figures["rank"] == 1
    assert row["passing"] >= 1
    assert figures["f1"] >= 0.55
    assert abs(figures["phi2_offset"]) < 0.2
    assert np.hypot(figures["pm1_offset"], figures["pm2_offset"]) < 0.3


@pytest.mark.statistical
@pytest.mark.parametrize("seed", [0, 1])
def test_shuffled_proper_motions_hold_no_stream(table: Path, seed: int) -> None:
    """The negative control of the test above: the same stars and the same search, the stream destroyed."""
    row = gd1_strip.null_row(gd1_strip.read_strip(table), load_config(gd1_strip.CONFIG), seed)
    assert row["passing"] == 0
