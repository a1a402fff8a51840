"""Laws of the detectors that benchmarks are measured against: supervised, idealised, exact."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from gaussian_toy import WINDOW, GaussianToy
from sklearn.metrics import roc_auc_score

from density import BoostedTrees, Detector, DetectorError, FittedDetector
from density.detectors.idealised import ExactRatio, Idealised
from density.detectors.supervised import Supervised

TREES = BoostedTrees(members=2)
TOYS = {2: GaussianToy(2), 4: GaussianToy(4, spread=0.3)}
NAMES = ["supervised", "idealised", "exact"]


def recipes(toy: GaussianToy) -> dict[str, Detector]:
    more = GaussianToy(toy.width, 2000, 0, toy.drift, toy.spread)
    signal_x, signal_m, _ = more.draw(50)
    clean_x, clean_m, _ = GaussianToy(toy.width, 0, 60_000, toy.drift).draw(51)
    _, _, label = toy.draw(1)
    return {
        "supervised": Supervised(label, signal_x, signal_m, classifier=TREES, folds=3),
        "idealised": Idealised(clean_x, clean_m, TREES, folds=3),
        "exact": ExactRatio(toy.log_ratio),
    }


@cache
def fitted(name: str, width: int) -> FittedDetector:
    x, m, _ = TOYS[width].draw(1)
    return recipes(TOYS[width])[name].fit(x, m, WINDOW, seed=2)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("width", TOYS)
def test_scores_are_the_true_log_ratio(name: str, width: int) -> None:
    toy = TOYS[width]
    x, m, label = toy.draw(1)
    inside = WINDOW.contains(m)
    truth, found = toy.log_ratio(x[inside], m[inside]), fitted(name, width).out_of_fold[inside]
    assert np.corrcoef(truth, found)[0, 1] > {"supervised": 0.8, "idealised": 0.8, "exact": 1 - 1e-9}[name]
    assert roc_auc_score(label[inside], found) > roc_auc_score(label[inside], truth) - 0.05
    assert np.exp(found - truth).mean() == pytest.approx(1.0, abs=0.25)
    assert abs(np.corrcoef(truth, np.random.default_rng(0).permutation(found))[0, 1]) < 0.1


@pytest.mark.parametrize("name", NAMES)
def test_keep_the_contract(name: str) -> None:
    x, m, _ = TOYS[2].draw(1)
    outside = ~WINDOW.contains(m)
    detector = fitted(name, 2)
    assert isinstance(recipes(TOYS[2])[name], Detector)
    assert isinstance(detector, FittedDetector)
    assert (np.isnan(detector.out_of_fold) == outside).all()
    assert (np.isnan(detector.log_ratio(x, m)) == outside).all()
    fresh_x, fresh_m, fresh_label = TOYS[2].draw(7)
    scores = detector.log_ratio(fresh_x, fresh_m)
    kept = np.isfinite(scores)
    assert roc_auc_score(fresh_label[kept], scores[kept]) > 0.9


def test_supervised_is_blind_to_row_order_when_the_labels_move_along() -> None:
    x, m, label = TOYS[2].draw(1)
    order = np.random.default_rng(0).permutation(len(m))
    one = Supervised(label, classifier=TREES, folds=2).fit(x, m, WINDOW, seed=1)
    two = Supervised(label[order], classifier=TREES, folds=2).fit(x[order], m[order], WINDOW, seed=1)
    np.testing.assert_allclose(two.out_of_fold, one.out_of_fold[order], atol=1e-9)
    # Negative control: labels that stay behind.
    wrong = Supervised(label, classifier=TREES, folds=2).fit(x[order], m[order], WINDOW, seed=1)
    inside = WINDOW.contains(m[order])
    assert roc_auc_score(label[order][inside], wrong.out_of_fold[inside]) < 0.8
    assert roc_auc_score(label[order][inside], two.out_of_fold[inside]) > 0.9


def test_no_label_teaches_its_own_row() -> None:
    """Random labels: out of fold nothing is learned; in sample (the control) they are remembered."""
    x, m, _ = GaussianToy(2, signal=0).draw(1)
    label = np.random.default_rng(0).random(len(m)) < 0.3
    fit = Supervised(label, classifier=TREES, folds=3).fit(x, m, WINDOW, seed=1)
    inside = WINDOW.contains(m)
    assert abs(roc_auc_score(label[inside], fit.out_of_fold[inside]) - 0.5) < 0.05
    assert roc_auc_score(label[inside], fit.log_ratio(x, m)[inside]) > 0.53


def test_mistakes_are_refused_with_numbers() -> None:
    x, m, label = TOYS[2].draw(1)
    with pytest.raises(DetectorError, match=r"one label per row, 18300; got shape \(5,\)"):
        Supervised(label[:5]).fit(x, m, WINDOW, seed=1)
    with pytest.raises(DetectorError, match="got 0 and"):
        Supervised(np.zeros(len(m), dtype=bool)).fit(x, m, WINDOW, seed=1)
    with pytest.raises(DetectorError, match="both signal_x and signal_m"):
        Supervised(label, signal_x=x)
    with pytest.raises(DetectorError, match="signal rows of 2 features; got 1"):
        Supervised(label, x[:, :1], m).fit(x, m, WINDOW, seed=1)
    with pytest.raises(DetectorError, match="background rows of 2 features; got 1"):
        Idealised(x[:, :1], m).fit(x, m, WINDOW, seed=1)
    with pytest.raises(DetectorError, match=r"got 3\d\d\d and \d\d$"):
        Idealised(x[:200], m[:200]).fit(x, m, WINDOW, seed=1)
