"""Laws that any classifier keeps, and of the calibration around one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from density import BoostedTrees, Classifier, DetectorError, FittedClassifier
from density.classifiers import Calibrated, balanced_weights, checked_classes

TREES = BoostedTrees(members=2)


@dataclass(frozen=True)
class Overconfident:
    """The true log-ratio, times three and moved by two: what a calibration must undo."""

    def fit(
        self, x: np.ndarray, y: np.ndarray, weights: np.ndarray | None = None, *, seed: int
    ) -> Overconfident:
        return self

    def log_odds(self, x: np.ndarray) -> np.ndarray:
        return 3 * x[:, 0] + 2


def two_gaussians(n: int, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Unit Gaussians at -1/2 and 1/2 in the first column: the log-ratio is that column."""
    random = np.random.default_rng(seed)
    y = np.arange(n) < share * n
    x = random.standard_normal((n, 2))
    x[:, 0] += np.where(y, 0.5, -0.5)
    return x, y


@pytest.mark.parametrize("method", ["platt", "isotonic"])
@pytest.mark.parametrize("share", [0.5, 0.1])
def test_calibration_undoes_a_classifier_that_is_too_sure(method: str, share: float) -> None:
    calibrated = Calibrated(Overconfident(), method).fit(*two_gaussians(20_000, share, 1), seed=2)
    at = np.column_stack([np.linspace(-1.5, 1.5, 50), np.zeros(50)])
    assert np.abs(calibrated.log_odds(at) - at[:, 0]).mean() < 0.15
    # Negative control: without it the error is large.
    assert np.abs(Overconfident().log_odds(at) - at[:, 0]).mean() > 1


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_calibrated_trees_give_the_log_ratio(method: str) -> None:
    x, y = two_gaussians(12_000, 0.2, 1)
    recipe = Calibrated(TREES, method)
    fitted = recipe.fit(x, y, seed=1)
    assert isinstance(recipe, Classifier)
    assert isinstance(fitted, FittedClassifier)
    fresh, _ = two_gaussians(4000, 0.5, 7)
    error = fitted.log_odds(fresh) - fresh[:, 0]
    assert np.sqrt(np.mean(error**2)) < 0.3
    order = np.random.default_rng(0).permutation(len(y))
    np.testing.assert_allclose(
        recipe.fit(x[order], y[order], seed=1).log_odds(fresh), fitted.log_odds(fresh), atol=1e-9
    )


def test_platt_keeps_the_ranking_and_finds_nothing_in_shuffled_labels() -> None:
    x, y = two_gaussians(6000, 0.5, 1)
    fitted = Calibrated(Overconfident()).fit(x, y, seed=1)
    assert (np.argsort(fitted.log_odds(x)) == np.argsort(x[:, 0])).all()
    blind = Calibrated(Overconfident()).fit(x, np.random.default_rng(0).permutation(y), seed=1)
    assert np.abs(blind.log_odds(x)).mean() < 0.1


def test_balanced_weights_give_both_classes_the_same_total() -> None:
    y = np.arange(1000) < 30
    for weights in (None, np.random.default_rng(0).random(1000)):
        balanced = balanced_weights(y, weights)
        assert balanced[y].sum() == pytest.approx(balanced[~y].sum())
        assert balanced.mean() == pytest.approx(1.0)


def test_bad_rows_are_refused_with_numbers() -> None:
    x, y = two_gaussians(100, 0.5, 1)
    with pytest.raises(DetectorError, match="got 3 and 97"):
        checked_classes(x, np.arange(100) < 3, None)
    with pytest.raises(DetectorError, match="non-negative weights"):
        checked_classes(x, y, np.full(100, -1.0))
    with pytest.raises(DetectorError, match="all weights of one class"):
        checked_classes(x, y, np.where(y, 0.0, 1.0))
    with pytest.raises(DetectorError, match="got 'beta'"):
        Calibrated(TREES, "beta")
    with pytest.raises(DetectorError, match="got 1"):
        Calibrated(TREES, folds=1)
