"""What the blind benchmarks measure: laws of their figures, and their tables."""

from __future__ import annotations

import numpy as np
import pytest
from _blind import average_precision, totals
from _raw_contrast import RawLines
from _search_tables import SEARCH_TABLES, false_alarm
from reporting import Cell
from sklearn.metrics import average_precision_score

from sky_patches import Box, Circle
from streams import Region

IDS = np.arange(1000, dtype=np.int64)


def _regions(rows: np.ndarray) -> list[Region]:
    return [Region("pm_phi2", ((0.0, 1.0), (0.0, 1.0)), rows)]


def _even(number: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    radius, angle = 8 * np.sqrt(rng.random(number)), rng.uniform(0, 2 * np.pi, number)
    return np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])


def test_average_precision_is_that_of_scikit_learn_where_all_stars_are_ranked():
    rng = np.random.default_rng(1)
    score, truth = np.round(rng.normal(size=1000), 1), rng.random(1000) < 0.1
    expected = average_precision_score(truth, score)
    assert average_precision(IDS, score, IDS[truth]) == pytest.approx(expected, rel=1e-12)


def test_average_precision_counts_members_that_are_not_listed_as_lost():
    assert average_precision(IDS[:50], np.ones(50), IDS[:100]) == pytest.approx(0.5)
    assert average_precision(IDS[:0], np.ones(0), IDS[:100]) == 0.0


def test_average_precision_is_blind_to_order_within_ties():
    order = np.random.default_rng(2).permutation(1000)
    score = (IDS // 100).astype(float)
    reference = IDS[::7]
    assert average_precision(IDS[order], score[order], reference) == average_precision(IDS, score, reference)


def test_a_line_has_a_high_raw_contrast_and_its_rows_are_the_lines():
    rng = np.random.default_rng(3)
    along = rng.uniform(-6, 6, 40)
    line = np.column_stack([along * np.cos(0.6), along * np.sin(0.6)]) + rng.normal(0, 0.1, (40, 2))
    position = np.concatenate([line, _even(60, 4)])
    (best,) = RawLines.of(Circle(8.0), 0.5).best(_regions(np.arange(100)), position)
    assert best.contrast > 10
    assert np.isin(np.arange(40), best.rows).mean() > 0.8
    assert np.isin(best.rows, np.arange(40)).mean() > 0.8


@pytest.mark.parametrize("footprint", [Circle(8.0), Box(-5.0, 5.0, -5.0, 5.0)])
def test_even_stars_have_none(footprint):
    position = _even(3000, 5)
    inside = np.flatnonzero(footprint.contains(*position.T))[:100]
    (best,) = RawLines.of(footprint, 0.5).best(_regions(inside), position)
    assert best.contrast < 10


def test_stars_that_avoid_the_edges_raise_it():
    """The fault that the benchmark shows: no line at all, but the ranked stars keep away from two edges."""
    rng = np.random.default_rng(6)
    strip = Box(-5.0, 5.0, -1.0, 1.0)
    even = np.column_stack([rng.uniform(-5, 5, 100), rng.uniform(-1, 1, 100)])
    avoiding = even * [1.0, 0.4]
    lines = RawLines.of(strip, 0.5)
    (blind,), (seeing,) = (lines.best(_regions(np.arange(100)), stars) for stars in (even, avoiding))
    assert seeing.contrast > 1.5 * blind.contrast


def _row(detector: str, stream: str, **values: Cell) -> dict[str, Cell]:
    row: dict[str, Cell] = {
        "detector": detector, "stream": stream, "stars": 300, "recovered": True, "rank": 1, "f1": 0.6,
        "purity": 0.5, "completeness": 0.75, "average_precision": 0.5, "max_sic": 3.0,
        "score_average_precision": 0.4, "false_alarm_probability": 1e-6, "significance": 9.0,
        "contrast": 11.0, "false_candidates": 1, "duplicates": 0, "seconds": 10.0,
    }  # fmt: skip
    return row | values


def test_totals_count_each_scan_once():
    rows = [
        _row("cathode", "A"), _row("cathode", "B", rank=3), _row("cwola", "A"),
        _row("cwola", "B", recovered=False, rank=None, f1=0.0),
    ]  # fmt: skip
    figures = totals(rows)
    assert (figures["false_candidates"], figures["seconds"]) == (2, 20.0)
    assert (figures["cathode_recovered"], figures["cwola_recovered"]) == (2, 1)
    assert (figures["cathode_true_first"], figures["cwola_true_first"]) == (False, True)
    assert figures["cwola_median_f1"] == pytest.approx(0.3)


def test_the_tables_hold_a_missed_stream_and_a_found_one():
    missed = {"recovered": False, "rank": None, "false_alarm_probability": None, "significance": None}
    rows = [_row("cathode", "A"), _row("cathode", "B", f1=0.0, **missed)]
    record = {
        "date": "d",
        "cores": 2,
        "device": "cpu",
        "seed": 1,
        "rows": rows,
        "sky_stars": 9,
        "thinning": 0.1,
    }
    text = SEARCH_TABLES["mock_sky"](record | totals(rows))
    assert "F1 0.60, SIC 3.0, below 1e-06" in text and "missed (SIC 3.0)" in text
    assert SEARCH_TABLES["gd1"](record).count("| cathode |") == 2
    assert false_alarm(0.25) == "0.25"
