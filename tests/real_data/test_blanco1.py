"""Real Gaia DR2 stars, end to end and blind: an open cluster is found first, in its shuffled twin nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import blanco1
import pytest

from via_machinae import load_config

pytestmark = [pytest.mark.real_data]


@pytest.fixture(scope="module")
def table(shared_data: Callable[[str], Path]) -> Path:
    return shared_data("blanco1_gaia_dr2_labelled.csv.gz")


def test_the_scan_cannot_read_the_labels(table: Path) -> None:
    field = blanco1.read_field(table)
    assert blanco1.LABEL not in field.stars.colnames
    assert len(field.members) == 262


def test_the_cluster_is_first_with_its_members(table: Path) -> None:
    figures, _ = blanco1.real_rows(blanco1.read_field(table), load_config(blanco1.CONFIG))
    assert figures["rank"] == 1 and figures["passes"] and figures["false_candidates"] == 0
    assert figures["completeness"] >= 0.8
    assert figures["purity"] >= 0.8
    assert 1000 / figures["parallax"] == pytest.approx(237, abs=8), "its distance in pc"


@pytest.mark.statistical
def test_shuffled_positions_hold_no_cluster(table: Path) -> None:
    """The negative control of the test above: the same stars and the same search, the cluster destroyed."""
    row = blanco1.null_row(blanco1.read_field(table), load_config(blanco1.CONFIG), 0)
    assert row["passing"] == 0
