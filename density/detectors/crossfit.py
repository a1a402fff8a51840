"""Cross-fitting: every row is scored by a model that did not see it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float, Int

from density.errors import DetectorError
from density.ordering import content_hash

__all__ = ["cross_fit", "folds_of"]


def folds_of(*columns: Float[np.ndarray, "n ..."], folds: int, seed: int) -> Int[np.ndarray, " n"]:
    """Fold of each row, from the row's content: equal rows share a fold, wherever they stand.

    The hash alone would give folds of unequal size; ranking the hashes makes them equal to one row, ties
    apart.

    Args:
        columns: Arrays of shape (n,) or (n, k) that make up the rows.
        folds: Number of folds, at least 2.
        seed: Another seed gives another partition.

    Raises:
        DetectorError: fewer than two folds, or fewer rows than folds.
    """
    n = len(columns[0])
    if folds < 2 or n < folds:
        raise DetectorError(
            f"cross-fitting needs at least 2 folds and as many rows; got {folds} folds, {n} rows"
        )
    _, rank, count = np.unique(content_hash(*columns, seed=seed), return_inverse=True, return_counts=True)
    first = np.cumsum(count) - count
    return first[rank] % folds


def cross_fit(
    fit_and_score: Callable[[Bool[np.ndarray, " n"], Bool[np.ndarray, " n"], int], Float[np.ndarray, " k"]],
    folds: Int[np.ndarray, " n"],
) -> Float[np.ndarray, " n"]:
    """Scores of all rows, each from a fit without the row's fold.

    Args:
        fit_and_score: Called as (training mask, scoring mask, fold), returns the scores of the scoring rows.
        folds: Fold of each row.
    """
    scores = np.full(len(folds), np.nan)
    for fold in np.unique(folds):
        held_out = folds == fold
        scores[held_out] = fit_and_score(~held_out, held_out, int(fold))
    return scores
