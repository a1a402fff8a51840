"""Scores of the same windows from several trainings: one mean to search with, and each to compare with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
from jaxtyping import Int

from streams.errors import RegionError
from streams.regions import WindowScores

__all__ = ["canonical_windows", "mean_scores", "scored_alike"]


def canonical_windows(windows: Sequence[WindowScores], position: Int[np.ndarray, " n"]) -> list[WindowScores]:
    """The same windows in a fixed order, their rows renumbered by `position` and ascending.

    Raises:
        RegionError: a window comes twice.
    """
    ordered = sorted(windows, key=_key)
    for one, two in pairwise(ordered):
        if _key(one) == _key(two):
            raise RegionError(f"window {_key(one)} comes twice: give each window once, others as retrainings")
    return [_renumbered(window, position[window.rows]) for window in ordered]


def mean_scores(trainings: Sequence[Sequence[WindowScores]]) -> list[WindowScores]:
    """Mean anomaly score of each star over the trainings; NaN where one of them has no score.

    Args:
        trainings: canonical windows of each training.

    Raises:
        RegionError: a training has other windows, or other stars in one of them.
    """
    first = trainings[0]
    for number, other in enumerate(trainings[1:], start=1):
        _require_alike(first, other, number)
    return [_mean(same) for same in zip(*trainings, strict=True)]


def scored_alike(windows: Sequence[WindowScores], mean: Sequence[WindowScores]) -> list[WindowScores]:
    """One training's scores for the stars that have a mean score: its regions then hold the same stars."""
    return [
        replace(window, log_ratio=np.where(np.isfinite(both.log_ratio), window.log_ratio, np.nan))
        for window, both in zip(windows, mean, strict=True)
    ]


def _mean(same: Sequence[WindowScores]) -> WindowScores:
    # Summed in order of size, so that the order of the trainings does not matter to the last digit.
    scores = np.sort([window.log_ratio for window in same], axis=0)
    return replace(same[0], log_ratio=scores.mean(axis=0))


def _key(window: WindowScores) -> tuple[str, float, float]:
    return window.component, float(window.low), float(window.high)


def _renumbered(window: WindowScores, rows: np.ndarray) -> WindowScores:
    order = np.argsort(rows, kind="stable")
    return replace(window, rows=rows[order], log_ratio=window.log_ratio[order])


def _require_alike(first: Sequence[WindowScores], other: Sequence[WindowScores], number: int) -> None:
    keys, others = [_key(window) for window in first], [_key(window) for window in other]
    if keys != others:
        differ = sorted(set(keys) ^ set(others))
        raise RegionError(
            f"retraining {number} scored {len(others)} windows, the first training {len(keys)}; they differ "
            f"in {differ[:3]}: score the same windows again"
        )
    for one, two in zip(first, other, strict=True):
        if not np.array_equal(one.rows, two.rows):
            raise RegionError(
                f"retraining {number} scored {len(two.rows)} stars of window {_key(two)}, the first training "
                f"{len(one.rows)} or others: score the same stars again"
            )
