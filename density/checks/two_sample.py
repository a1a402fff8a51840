"""Two-sample test by a classifier: can anything tell the data from the background samples?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import norm, rankdata

from density.classifiers import BoostedTrees, Classifier
from density.detectors.crossfit import folds_of
from density.errors import DetectorError
from density.seeds import child_seed

__all__ = ["TwoSample", "two_sample_auc"]


@dataclass(frozen=True)
class TwoSample:
    """How well a classifier tells data from background samples.

    Args:
        auc: Area under the ROC curve, cross-fitted: 0.5 for samples it cannot tell from data.
        error: Its standard deviation if both follow one law.
        p_value: Probability of so large an area if they do.
        rows: Data rows.
        samples: Background samples.
    """

    auc: float
    error: float
    p_value: float
    rows: int
    samples: int

    @property
    def sentence(self) -> str:
        """The finding in words."""
        verdict = "tells" if self.p_value < 0.01 else "cannot tell"
        return (
            f"A classifier {verdict} {self.rows} data rows from {self.samples} background samples:"
            f" AUC {self.auc:.4f}, expected 0.5 +- {self.error:.4f} (p = {self.p_value:.2g})."
        )


def two_sample_auc(
    data: Float[np.ndarray, "n d"],
    samples: Float[np.ndarray, "k d"],
    *,
    classifier: Classifier | None = None,
    folds: int = 2,
    permutations: int = 0,
    seed: int,
) -> TwoSample:
    """Classifier two-sample test (Lopez-Paz & Oquab 2017, arXiv 1610.06545), cross-fitted.

    Each fold's area has the Mann-Whitney variance, ties included. The folds' areas are not independent: a
    place where two folds fluctuate alike raises both. For two folds their sum has at most twice the variance
    of independent ones (Cauchy-Schwarz), and a classifier linear in the fluctuations reaches that for any
    number of folds. So the quoted error is sqrt(2) times the independent one, and the p-value errs on the
    side of no finding; permutations give both exactly, at a fit per permutation and fold.

    Args:
        data: Data rows, shape (n, d).
        samples: Background samples, shape (k, d), exchangeable.
        classifier: Recipe; None: `BoostedTrees()`.
        folds: Folds of the cross-fitting.
        permutations: Times to repeat everything with shuffled labels; 0: the formula.
        seed: Root of all random streams.

    Raises:
        DetectorError: other numbers of columns, too few rows, or fewer than 20 permutations, but not 0.
    """
    if data.ndim != 2 or samples.ndim != 2 or data.shape[1] != samples.shape[1]:
        raise DetectorError(
            f"expected data and samples with the same columns; got shapes {data.shape} and {samples.shape}"
        )
    if permutations and permutations < 20:
        raise DetectorError(f"a permutation test needs 20 permutations or more, or 0; got {permutations}")
    recipe = BoostedTrees() if classifier is None else classifier
    rows = np.concatenate([data, samples])
    is_data = np.arange(len(rows)) < len(data)
    # Samples are exchangeable: their place in the list serves as their fold.
    data_folds = folds_of(data, folds=folds, seed=child_seed(seed, "closure folds"))
    fold = np.concatenate([data_folds, np.arange(len(samples)) % folds])
    auc, independent = _cross_fitted_auc(recipe, rows, is_data, fold, seed)
    if not permutations:
        error = float(np.sqrt(2) * independent)
        return TwoSample(auc, error, float(norm.sf((auc - 0.5) / error)), len(data), len(samples))
    null = np.array([_shuffled_auc(recipe, rows, is_data, fold, seed, k) for k in range(permutations)])
    p_value = (1 + (null >= auc).sum()) / (1 + permutations)
    return TwoSample(auc, float(null.std(ddof=1)), float(p_value), len(data), len(samples))


def _cross_fitted_auc(
    classifier: Classifier,
    rows: Float[np.ndarray, "n d"],
    is_data: np.ndarray,
    fold: Int[np.ndarray, " n"],
    seed: int,
) -> tuple[float, float]:
    """Inverse-variance mean of the folds' areas, and its error were they independent."""
    found = np.array(list(_fold_areas(classifier, rows, is_data, fold, seed)))
    precision = 1 / found[:, 1]
    return float(found[:, 0] @ precision / precision.sum()), float(precision.sum() ** -0.5)


def _fold_areas(
    classifier: Classifier, rows: np.ndarray, is_data: np.ndarray, fold: np.ndarray, seed: int
) -> Iterator[tuple[float, float]]:
    for k in np.unique(fold):
        held = fold == k
        fitted = classifier.fit(rows[~held], is_data[~held], seed=child_seed(seed, "closure", int(k)))
        yield _mann_whitney(fitted.log_odds(rows[held]), is_data[held])


def _shuffled_auc(
    classifier: Classifier, rows: np.ndarray, is_data: np.ndarray, fold: np.ndarray, seed: int, k: int
) -> float:
    random = np.random.default_rng(child_seed(seed, "closure permutation", k))
    labels = is_data.copy()
    for f in np.unique(fold):
        labels[fold == f] = random.permutation(labels[fold == f])
    return _cross_fitted_auc(classifier, rows, labels, fold, child_seed(seed, "permuted", k))[0]


def _mann_whitney(scores: Float[np.ndarray, " n"], positive: np.ndarray) -> tuple[float, float]:
    """Area under the curve, and its variance under the null with ties."""
    n, a = len(scores), int(positive.sum())
    b = n - a
    ranks = rankdata(scores)
    area = (ranks[positive].sum() - a * (a + 1) / 2) / (a * b)
    _, tied = np.unique(scores, return_counts=True)
    ties = float((tied.astype(np.float64) ** 3 - tied).sum()) / (n * (n - 1))
    # A classifier that learned nothing gives one score to all: no variance, and nothing to weigh it by.
    return float(area), max((n + 1 - ties) / (12 * a * b), 1e-12)
