"""Figures of the likelihood benchmarks: half points, uniformity, the map, kept jobs, tables."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pytest
from _likelihood_half import HalfPoints, half_point, half_point_error
from _likelihood_parts import Job, Row, measured
from _likelihood_tables import LIKELIHOOD_TABLES
from hypothesis import given
from hypothesis import strategies as st
from likelihood import PLACES, figures_of, jobs_of
from likelihood_completeness import DISTANCES, WIDTHS, cells_of, draw, gradient, grid, write
from likelihood_null import uniformity
from likelihood_wrong_ridge import figures_of as wrong_ridge_figures

STARS = (20, 30, 40, 50, 60, 80, 120, 300)
MADE = {"date": "d", "cores": 2, "device": "cpu", "seed": 1}


def _trials(half: float, each: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Detections that follow a logistic law in ln N."""
    stars = np.repeat(np.array(STARS, dtype=float), each)
    chance = 1 / (1 + (half / stars) ** 4)
    return stars, np.random.default_rng(seed).random(len(stars)) < chance


@pytest.mark.parametrize("half", [27.0, 45.0, 100.0])
def test_half_point_is_where_half_is_detected(half: float):
    assert half_point(*_trials(half, 3000, 1)) == pytest.approx(half, rel=0.05)


@given(st.permutations(range(len(STARS) * 5)))
def test_half_point_does_not_depend_on_the_order_of_the_trials(order: list[int]):
    stars, detected = _trials(45.0, 5, 2)
    assert half_point(stars[order], detected[order]) == half_point(stars, detected)


def test_half_points_beyond_the_range_are_bounds():
    stars = np.array([20.0, 40.0])
    assert half_point(stars, np.array([False, False])) == np.inf
    assert half_point(stars, np.array([True, True])) == 20.0
    assert np.isnan(half_point(stars[:0], np.zeros(0, dtype=bool)))


def test_half_point_is_exact_for_a_step():
    stars = np.repeat([20.0, 80.0], 4)
    assert half_point(stars, stars > 40) == pytest.approx(40.0)


def test_the_bootstrap_error_is_the_scatter_over_repetitions_and_shrinks_with_the_seeds():
    def repeated(seeds: int, number: int) -> tuple[float, float]:
        found = []
        for repetition in range(number):
            stars, detected = _trials(45.0, seeds, 100 + repetition)
            found.append(half_point(stars, detected))
        return float(np.std(found)), _bootstrap(*_trials(45.0, seeds, 7), seeds)

    few, many = repeated(10, 60), repeated(160, 60)
    assert many[0] < few[0] and many[1] < few[1]
    assert 0.4 < few[1] / few[0] < 2.5
    assert 0.5 < many[1] / many[0] < 2.0


def test_one_seed_tells_no_scatter():
    assert np.isnan(half_point_error([3], lambda chosen: 40.0, seed=1))


def _bootstrap(stars: np.ndarray, detected: np.ndarray, seeds: int) -> float:
    def of(chosen: list[int]) -> float:
        rows = (np.arange(len(STARS)) * seeds + np.array(chosen)[:, None]).ravel()
        return half_point(stars[rows], detected[rows])

    return half_point_error(range(seeds), of, seed=1)


def _rows(wrong: float = 1.0) -> list[Row]:
    rows: list[Row] = []
    for seed in range(1, 9):
        for stars in STARS:
            for ridge, need in (("true", 35.0), ("wrong", 35.0 * wrong)):
                rows.append(
                    {
                        "seed": seed, "place": "peak", "alone": False, "stars": stars, "ridge": ridge,
                        "detected": stars > need, "f1": 0.9 if stars > need else None, "max_sic": None,
                        "best_false": 5.0, "false_candidates": 1, "contrast": 9.0, "seconds": 30.0,
                        "method": "likelihood",
                    }
                )  # fmt: skip
    return rows


def test_the_ratio_compares_the_ridges_and_false_candidates_count_once_per_patch():
    figures = figures_of(_rows(wrong=2.0), 1)
    assert figures["half: peak, true"] == pytest.approx(np.sqrt(30 * 40))
    assert figures["ratio: peak"] == pytest.approx(np.sqrt(60 * 80 / (30 * 40)))
    assert figures["half error: peak, true"] == 0.0
    assert figures["false candidates: true"] == figures["patches: true"] == 8 * len(STARS)
    assert figures["median f1 at 300 stars: true"] == 0.9
    json.dumps(figures, allow_nan=False)


def test_a_half_point_that_is_not_reached_is_none_and_has_no_ratio():
    figures = figures_of(_rows(wrong=100.0), 1)
    assert figures["half: peak, wrong"] is None and figures["ratio: peak"] is None


def test_half_points_take_seeds_as_often_as_they_are_drawn():
    rows = _rows()
    for row in rows:
        row["detected"] = bool(row["detected"]) and row["seed"] == 1
    half = HalfPoints(rows)
    assert half.half("peak", "true", [1, 1, 2]) < np.inf
    assert half.half("peak", "true", [1, 2, 2]) == np.inf


def test_uniform_probabilities_pass_and_uncorrected_ones_fail():
    """Negative control: maxima of many trials, quoted as if there had been one."""
    rng = np.random.default_rng(5)
    probability = rng.random(60)
    rows: list[Row] = [
        {
            "kind": "mock" if number % 2 else "flow",
            "false_alarm_probability": float(p),
            "uncorrected_probability": float(-np.expm1(np.log1p(-p) / 1e5)),
        }
        for number, p in enumerate(probability)
    ]
    good, bad = (uniformity(rows, f"{name}_probability") for name in ("false_alarm", "uncorrected"))
    assert good["ks_p"] > 0.01 > bad["ks_p"]
    assert (good["patches"], good["mock_patches"], good["flow_patches"]) == (60, 30, 30)
    assert bad["fired"] == 60


def test_finished_jobs_are_not_done_again_and_a_torn_line_is(tmp_path: Path):
    scratch, done = tmp_path / "kept" / "jobs.jsonl", []

    def work(job: Job) -> list[Row]:
        done.append(job["seed"])
        return [{"seed": job["seed"], "square": float(job["seed"]) ** 2}]

    jobs: list[Job] = [{"seed": seed, "quick": True} for seed in (3, 1, 2)]
    first = measured(work, jobs[:2], 1, scratch)
    scratch.write_text(scratch.read_text()[:-10])
    again = measured(work, jobs, 1, scratch)
    assert done == [3, 1, 1, 2]
    assert again[:2] == first and [row["seed"] for row in again] == [3, 1, 2]
    assert measured(work, jobs, 1, scratch) == again and len(done) == 4


def test_another_setting_is_another_job(tmp_path: Path):
    done: list[Job] = []
    for field in (5_000, 6_000):
        measured(lambda job: done.append(job) or [], [{"seed": 1, "field": field}], 1, tmp_path / "kept")
    assert len(done) == 2


def test_jobs_of_the_detectors_are_fewer_and_streams_alone_are_five_times_as_many():
    options = argparse.Namespace(
        field=5, quick=False, seed=4, seeds=3, stars=(20, 30), ridges=("true", "all"), alone=False,
        methods=("anode",), method_stars=(80,), method_seeds=2,
    )  # fmt: skip
    jobs = jobs_of(options)
    assert [job["method"] for job in jobs] == ["likelihood"] * 6 + ["anode"] * 2
    assert {job["seed"] for job in jobs} == {4, 5, 6}
    options.alone = True
    assert len(jobs_of(options)) == 6 * 5 + 2


def _map() -> list[Row]:
    rows: list[Row] = []
    for seed in (1, 2, 3):
        for number, distance in enumerate(DISTANCES):
            for wide, width in enumerate(WIDTHS):
                for stars in (20, 40, 80):
                    rows.append(
                        {
                            "seed": seed, "distance": distance, "width": width, "stars": stars,
                            "detected": stars > 10 * 2 ** (number + wide), "f1": 0.8,
                        }
                    )  # fmt: skip
    return rows


def test_the_map_grows_with_distance_and_width_and_marks_its_bounds(tmp_path: Path):
    cells = cells_of(_map(), 1)
    assert len(cells) == len(DISTANCES) * len(WIDTHS)
    half = {(cell["distance"], cell["width"]): cell for cell in cells}
    for wide in WIDTHS[1:]:
        assert half[5.0, wide]["half"] > half[5.0, 0.1]["half"]
    assert half[5.0, 0.1]["bound"] == "at most" and half[25.0, 1.0]["bound"] == "more"
    lines = grid(cells)
    assert lines[0]["5 kpc"] == "<= 20" and lines[-1]["25 kpc"] == "> 80"
    drawn = write(draw(cells[:-3]), tmp_path / "map.png")
    assert drawn.read_bytes()[:4] == b"\x89PNG"
    assert list(tmp_path.iterdir()) == [drawn]


def test_a_wrong_ridge_is_compared_with_the_right_one_of_the_same_stream():
    """Its sky may be an easy one: the ratio is taken stream by stream."""
    rows: list[Row] = [
        {"seed": seed, "place": place, "metallicity": metallicity, "significance": part * 5.0 * seed}
        for seed in (1, 2, 3)
        for place in PLACES
        for metallicity, part in ((-2.2, 0.8), (-1.5, 1.0), (-0.7, 0.5))
    ]
    figures = wrong_ridge_figures(rows)
    assert figures["ratio: peak, -2.2"] == pytest.approx(0.8) and "ratio: peak, -1.5" not in figures
    text = LIKELIHOOD_TABLES["likelihood_wrong_ridge"]({**MADE, "rows": rows, **figures})
    assert "| peak | 0.80 | 0.50 |" in text


def test_gradients_are_those_of_perspective():
    rng = np.random.default_rng(1)
    near = np.array([np.hypot(*gradient(5.0, rng)) for _ in range(300)])
    far = np.array([np.hypot(*gradient(25.0, rng)) for _ in range(300)])
    assert 0.19 < near.max() <= 0.2 and 0.038 < far.max() <= 0.04


def test_the_tables_show_what_is_not_reached_and_what_was_not_tried():
    rows: list[Row] = [
        *_rows(wrong=100.0),
        {
            "seed": 1, "place": "peak", "alone": False, "stars": 80, "ridge": "-", "detected": False,
            "f1": None, "max_sic": 1.2, "best_false": None, "false_candidates": 0, "contrast": None,
            "seconds": 70.0, "method": "cathode",
        },
    ]  # fmt: skip
    record = {**MADE, "rows": rows, **figures_of(rows, 1)}
    text = LIKELIHOOD_TABLES["likelihood"](record)
    assert "| peak | 35 +- 0 | more than were tried | - | " in text  # no idealised detector was asked
    assert "| cathode | 80 | 0 of 1 | 0.00 | 1.2 | 70 |" in text
    cells = cells_of(_map(), 1)
    counts = {"false_candidates": 0, "patches": 12}
    text = LIKELIHOOD_TABLES["likelihood_completeness"]({**MADE, "rows": cells[:-1], **counts})
    assert "at most 20" in text and "more than 80" in text and "| - |" in text
    null: list[Row] = [
        {"kind": "mock", "false_alarm_probability": 0.3, "uncorrected_probability": 1e-9} for _ in range(4)
    ]
    figures = uniformity(null, "false_alarm_probability")
    text = LIKELIHOOD_TABLES["likelihood_null"]({**MADE, **figures, "uncorrected_ks_p": 1e-30})
    assert "| mock Galaxy | 4 |" in text and "drawn" not in text
