"""Figures of the GD-1 and absorption benchmarks: the worst of all seeds, nothing where nothing was found."""

from __future__ import annotations

import json

import background_absorption
import likelihood_gd1
import pytest
from _likelihood_parts import Row


def _strip_row(seed: int, background: str = "all stars", **values: object) -> Row:
    row: Row = {
        "flow": "spline", "search": "default", "background": background, "seed": seed, "rank": 1,
        "others_passing": 0, "ratio": 0.4, "f1": 0.6, "phi2_worst": 0.03, "pm1_offset": -0.1,
        "pm2_offset": 0.02,
    }  # fmt: skip
    return row | values


def test_gd1_is_told_by_its_worst_seed():
    rows = [_strip_row(1), _strip_row(2, ratio=0.5, f1=0.7, pm1_offset=-0.3, others_passing=1)]
    figures = likelihood_gd1.figures_of(rows)
    name = "spline, default, all stars"
    assert figures[f"{name}: first"] == 1.0 and figures[f"{name}: others passing"] == 1
    assert figures[f"{name}: largest ratio"] == 0.5 and figures[f"{name}: least f1"] == 0.6
    assert figures[f"{name}: largest pm_offset"] == pytest.approx(0.3)
    assert f"{name}: largest pm_spline_worst" not in figures


def test_backgrounds_are_kept_apart():
    figures = likelihood_gd1.figures_of([_strip_row(1), _strip_row(1, "relearned 1", f1=0.9)])
    assert figures["spline, default, all stars: least f1"] == 0.6
    assert figures["spline, default, relearned 1: least f1"] == 0.9


def test_a_seed_without_gd1_has_no_ratio():
    lost: Row = {
        "flow": "spline", "search": "default", "background": "all stars", "rank": None, "ratio": None,
        "others_passing": 0, "f1": 0.0,
    }  # fmt: skip
    figures = likelihood_gd1.figures_of([_strip_row(1), lost])
    assert figures["spline, default, all stars: first"] == 0.5
    assert figures["spline, default, all stars: largest ratio"] is None
    json.dumps(figures, allow_nan=False)


def test_a_loss_needs_a_contrast_with_and_without():
    rows: list[Row] = [
        {"background": "with", "loss": None, "shift": 0.1},
        {"background": "relearned", "loss": -0.02, "shift": 0.0},
        {"background": "relearned", "loss": 0.01, "shift": -0.1},
    ]
    figures = background_absorption.figures_of(rows)
    assert figures["largest loss, with"] is None and figures["largest shift, with"] == 0.1
    assert figures["largest loss, relearned"] == 0.01
