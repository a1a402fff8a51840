"""A cut on scores that leaves the background estimate unbiased: cross-fitting, one threshold per fold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from density.detectors.contract import Detector, FittedDetector, check_rows
from density.detectors.crossfit import folds_of
from density.errors import DetectorError
from density.ordering import content_hash
from density.seeds import child_seed
from density.windows import Window

__all__ = ["Cut", "FoldScores", "Score", "carried_score", "score_all_rows"]

Score = Callable[[FittedDetector, Float[np.ndarray, "n d"], Float[np.ndarray, " n"]], Float[np.ndarray, " n"]]


@dataclass(frozen=True, eq=False)
class FoldScores:
    """Scores of rows inside and outside the window, each from a model that did not train on it.

    Args:
        scores: Score of each row, shape (n,).
        folds: Which model scored it, shape (n,).
    """

    scores: Float[np.ndarray, " n"]
    folds: Int[np.ndarray, " n"]

    def cut(self, reference: Bool[np.ndarray, " n"], efficiency: float) -> Cut:
        """Cut at the same background efficiency in every fold.

        The folds' models differ, and so do their scores' scales: a threshold for all of them would mix
        efficiencies. Each fold's threshold is the score that this share of its own reference rows reaches;
        rows of equal score pass together.

        Args:
            reference: Background rows that set the thresholds, usually the sidebands, shape (n,).
            efficiency: Share of the reference rows to keep, between 0 and 1.

        Raises:
            DetectorError: the efficiency leaves no reference row in a fold.
        """
        if not 0 < efficiency <= 1:
            raise DetectorError(f"an efficiency lies between 0 and 1; got {efficiency}")
        thresholds = []
        passes = np.zeros(len(self.scores), dtype=bool)
        for fold in np.unique(self.folds):
            rows = self.folds == fold
            ranked = np.sort(self.scores[rows & reference])[::-1]
            kept = round(efficiency * len(ranked))
            if kept < 1:
                raise DetectorError(
                    f"a cut at efficiency {efficiency:g} leaves none of the {len(ranked)} reference rows of"
                    f" fold {fold}; loosen the cut or use fewer folds"
                )
            thresholds.append(float(ranked[kept - 1]))
            passes |= rows & (self.scores >= thresholds[-1])
        return Cut(passes, tuple(thresholds), int((passes & reference).sum()), int(reference.sum()))


@dataclass(frozen=True, eq=False)
class Cut:
    """Rows that survive.

    Args:
        passes: Which rows survive, shape (n,).
        thresholds: Least surviving score of each fold.
        passed: Reference rows that survive.
        reference: All reference rows.
    """

    passes: Bool[np.ndarray, " n"]
    thresholds: tuple[float, ...]
    passed: int
    reference: int

    @property
    def efficiency(self) -> float:
        """Share of the reference rows that survive."""
        return self.passed / self.reference


def score_all_rows(
    detector: Detector,
    x: Float[np.ndarray, "n d"],
    m: Float[np.ndarray, " n"],
    window: Window,
    *,
    folds: int = 5,
    seed: int,
    score: Score | None = None,
) -> FoldScores:
    """Fit a detector without each fold, window and sidebands alike, and score the fold with it.

    `FittedDetector.out_of_fold` does not serve a bump hunt: it has no sidebands, and scoring those with the
    mean over the folds' models, which is smoother than any one of them, would compare a window and
    sidebands cut by different scores. Here both are scored by the same model, and neither trained it.

    The count in the window is then unbiased. Its variance exceeds Poisson's a little, because two folds that
    fluctuate upwards in one place select each other's events: for a model that picks nothing but
    fluctuations, by a share of at most about 2 efficiency ln(1 / efficiency).

    Args:
        detector: Recipe; its own cross-fitting goes unused, so give it the fewest folds it takes.
        x: Features, shape (n, d).
        m: Resonant feature, shape (n,).
        window: The signal region.
        folds: Outer folds; a detector is fitted for each.
        seed: Root of all random streams.
        score: Scores of a fitted detector for any rows; None: `carried_score`. A detector whose score is
            defined outside the window (LaCATHODE's) has a better one.

    Raises:
        DetectorError: too few rows for the detector or the folds, or a score that is NaN.
    """
    x, m = check_rows(x, m)
    fold = folds_of(x, m, folds=folds, seed=child_seed(seed, "hunt folds"))
    ask = carried_score(m, window, seed=child_seed(seed, "carried")) if score is None else score
    scores = np.full(len(m), np.nan)
    for k in range(folds):
        held = fold == k
        fitted = detector.fit(x[~held], m[~held], window, seed=child_seed(seed, "hunt", k))
        scores[held] = ask(fitted, x[held], m[held])
    if np.isnan(scores).any():
        raise DetectorError(
            f"{np.isnan(scores).sum()} of {len(scores)} scores are NaN; a bump hunt needs scores outside the"
            " window too: give a `score` that knows how to make them"
        )
    return FoldScores(scores, fold)


def carried_score(m: Float[np.ndarray, " n"], window: Window, *, seed: int) -> Score:
    """Score a row outside the window as if it had the resonant feature of a row inside.

    That is what the cut would do to such features in the window. It is exact where the features do not change
    with m; where they do, the cut sculpts the spectrum and the sidebands mislead: see `Bump.goodness_of_fit`
    and `density.checks.closure`.

    Args:
        m: Resonant feature of the data, shape (n,).
        window: The signal region.
        seed: Which inside value a row gets; it depends on the row's content, not on its place.

    Raises:
        DetectorError: no value lies inside the window.
    """
    inside = np.sort(m[window.contains(m)])
    if not len(inside):
        raise DetectorError(f"no row lies inside the window [{window.low:g}, {window.high:g})")

    def score(
        fitted: FittedDetector, x: Float[np.ndarray, "n d"], m: Float[np.ndarray, " n"]
    ) -> Float[np.ndarray, " n"]:
        drawn = inside[content_hash(x, m, seed=seed).view(np.uint64) % np.uint64(len(inside))]
        return fitted.log_ratio(x, np.where(window.contains(m), m, drawn))

    return score
