"""Cross-fitted classification of a window's rows against a reference sample: the heart of most detectors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from density.classifiers import Classifier, FittedClassifier
from density.detectors.contract import score_inside
from density.detectors.crossfit import cross_fit, folds_of
from density.seeds import child_seed
from density.windows import Window

__all__ = ["FittedTwoSample", "classify_against", "mean_log_odds", "with_resonant"]


def classify_against(
    classifier: Classifier,
    data: Float[np.ndarray, "n k"],
    reference: Float[np.ndarray, "r k"],
    *,
    folds: int,
    seed: int,
    data_folds: Int[np.ndarray, " n"] | None = None,
    reference_folds: Int[np.ndarray, " r"] | None = None,
    reference_weights: Float[np.ndarray, " r"] | None = None,
) -> tuple[Float[np.ndarray, " n"], tuple[FittedClassifier, ...]]:
    """ln p_data / p_reference of the data rows, each from a classifier without the row's fold.

    The classifier of a fold leaves out that fold of the reference too, so that a row scored never shares its
    training with its neighbours in the reference.

    Args:
        classifier: Recipe.
        data: Rows to score, class 1, in canonical order, shape (n, k).
        reference: Rows of class 0, shape (r, k).
        folds: Number of folds.
        seed: Root of folds and classifiers.
        data_folds: Folds of the data; None: by content.
        reference_folds: Folds of the reference; None: by place, for draws that are exchangeable.
        reference_weights: Weights of the reference rows, of mean one; None: all alike.

    Raises:
        DetectorError: fewer rows than folds, or too few for the classifier.
    """
    if data_folds is None:
        data_folds = folds_of(data, folds=folds, seed=child_seed(seed, "folds"))
    if reference_folds is None:
        reference_folds = np.arange(len(reference)) % folds
    members: list[FittedClassifier] = []

    def fit_and_score(train: np.ndarray, score: np.ndarray, fold: int) -> np.ndarray:
        kept = reference_folds != fold
        labels = np.arange(train.sum() + kept.sum()) < train.sum()
        weights = None
        if reference_weights is not None:
            weights = np.concatenate([np.ones(train.sum()), reference_weights[kept]])
        both = np.concatenate([data[train], reference[kept]])
        members.append(classifier.fit(both, labels, weights, seed=child_seed(seed, "classifier", fold)))
        return members[-1].log_odds(data[score])

    return cross_fit(fit_and_score, data_folds), tuple(members)


def mean_log_odds(
    classifiers: tuple[FittedClassifier, ...], seen: Float[np.ndarray, "n k"]
) -> Float[np.ndarray, " n"]:
    """Mean of the classifiers' log-odds."""
    return np.mean([classifier.log_odds(seen) for classifier in classifiers], axis=0)


def with_resonant(
    x: Float[np.ndarray, "n d"], m: Float[np.ndarray, " n"], see: bool
) -> Float[np.ndarray, "n k"]:
    """x, with m as a last column if the classifier is to see it."""
    return np.column_stack([x, m]) if see else x


@dataclass(frozen=True, eq=False)
class FittedTwoSample:
    """One classifier per fold between the window's rows and a reference.

    Args:
        window: The signal region.
        out_of_fold: ln R of the fitted rows, cross-fitted, NaN outside the window.
        classifiers: One per fold.
        see_resonant: Whether they see m as a last column.
    """

    window: Window
    out_of_fold: Float[np.ndarray, " n"]
    classifiers: tuple[FittedClassifier, ...]
    see_resonant: bool = False

    def log_ratio(self, x: Float[np.ndarray, "n d"], m: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """ln R of new rows, the mean over the folds' classifiers; for the fitted rows use `out_of_fold`.

        Args:
            x: Features, shape (n, d).
            m: Resonant feature, shape (n,).
        """

        def score(x_in: np.ndarray, m_in: np.ndarray) -> np.ndarray:
            return mean_log_odds(self.classifiers, with_resonant(x_in, m_in, self.see_resonant))

        return score_inside(score, x, m, self.window)
