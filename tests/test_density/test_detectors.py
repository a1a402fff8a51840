"""Laws of detectors, classifiers and cross-fitting; each finding has its control without a signal."""

from __future__ import annotations

import pickle
from functools import cache

import numpy as np
import pytest
import torch
from scipy.stats import ks_2samp, norm
from sklearn.metrics import roc_auc_score

from density import (
    Anode,
    BoostedTrees,
    Cathode,
    Classifier,
    ConditionalFlow,
    Detector,
    DetectorError,
    FeatureError,
    FittedClassifier,
    FittedDetector,
    FlowDensity,
    Window,
    child_seed,
    cross_fit,
    folds_of,
)
from density.detectors.cathode import draw_resonant

WINDOW = Window(2.0, 4.0)
FLOW = ConditionalFlow(layers=4, hidden=24, epochs=8, batch_size=512)
TREES = BoostedTrees(members=2)
BUMP = 400


def toy(signal: int, seed: int, n: int = 16_000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Background that drifts with m, and a compact bump at (1.2, -1) inside the window; labels."""
    rng = np.random.default_rng(seed)
    m = np.concatenate([rng.uniform(-4, 8, n), rng.uniform(2.2, 3.8, signal)])
    x = rng.normal(size=(n + signal, 2))
    x[:n, 0] += 0.2 * m[:n]
    x[n:] = [1.2, -1.0] + 0.2 * x[n:]
    return x, m, np.arange(n + signal) >= n


def true_log_ratio(x: np.ndarray, m: np.ndarray, signal: int, n: int = 16_000) -> np.ndarray:
    """ln p_data / p_background inside the window."""
    share = signal / (signal + n * WINDOW.width / 12)
    background = norm.logpdf(x[:, 0], 0.2 * m) + norm.logpdf(x[:, 1])
    bump = norm.logpdf(x, [1.2, -1.0], 0.2).sum(axis=1)
    return np.log1p(share * np.expm1(bump - background))


@cache
def background() -> FlowDensity:
    torch.set_num_threads(1)
    x, m, _ = toy(0, 1)
    return FLOW.fit(x[WINDOW.sidebands(m)], m[WINDOW.sidebands(m)], seed=2)


def detectors() -> dict[str, Detector]:
    data = ConditionalFlow(layers=4, hidden=24, epochs=20, batch_size=128, learning_rate=5e-3, patience=None)
    return {
        "anode": Anode(background(), data, folds=2),
        "cathode": Cathode(background(), TREES, folds=3),
        "cathode, one column and m": Cathode(
            background(), TREES, classifier_features=(1,), see_resonant=True
        ),
    }


NAMES = ["anode", "cathode", "cathode, one column and m"]


@cache
def scores(name: str, signal: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, FittedDetector]:
    x, m, label = toy(signal, 3)
    inside = WINDOW.contains(m)
    fitted = detectors()[name].fit(x, m, WINDOW, seed=4)
    return x[inside], m[inside], label[inside], fitted.out_of_fold[inside], fitted


@pytest.mark.parametrize("name", NAMES)
def test_an_injected_bump_is_ranked_first(name: str) -> None:
    x, m, label, found, _ = scores(name, BUMP)
    ideal = roc_auc_score(label, true_log_ratio(x, m, BUMP))
    floor = 0.75 if "column" in name else ideal - 0.08
    assert roc_auc_score(label, found) > floor
    # Negative control: scores of other rows know nothing of the labels.
    assert abs(roc_auc_score(np.random.default_rng(0).permutation(label), found) - 0.5) < 0.1


@pytest.mark.parametrize("name", NAMES)
def test_background_alone_gives_nothing(name: str) -> None:
    x, m, _, found, fitted = scores(name, 0)
    fresh_x, fresh_m, _ = toy(0, 99)
    fresh = fitted.log_ratio(fresh_x, fresh_m)
    fresh = fresh[np.isfinite(fresh)]
    is_fitted = np.arange(len(found) + len(fresh)) < len(found)
    # Out of fold, fitted rows score like rows never seen; in sample (the control) they score higher.
    assert abs(roc_auc_score(is_fitted, np.concatenate([found, fresh])) - 0.5) < 0.04
    assert roc_auc_score(is_fitted, np.concatenate([fitted.log_ratio(x, m), fresh])) > roc_auc_score(
        is_fitted, np.concatenate([found, fresh])
    )
    # A ratio of two normalised densities has mean one over the background.
    assert np.exp(found).mean() == pytest.approx(1.0, abs=0.1)
    assert np.abs(found).mean() < 0.25


@pytest.mark.parametrize(("name", "correlation"), [("anode", 0.4), ("cathode", 0.7)])
def test_scores_approach_the_true_log_ratio(name: str, correlation: float) -> None:
    x, m, _, found, _ = scores(name, BUMP)
    truth = true_log_ratio(x, m, BUMP)
    assert np.corrcoef(found, truth)[0, 1] > correlation
    assert abs(np.corrcoef(np.random.default_rng(0).permutation(found), truth)[0, 1]) < 0.1
    assert np.exp(found - truth).mean() == pytest.approx(1.0, abs=0.2)


@pytest.mark.parametrize("name", NAMES)
def test_fitted_detector_keeps_the_contract(name: str) -> None:
    x, m, label = toy(BUMP, 3)
    *_, fitted = scores(name, BUMP)
    assert isinstance(fitted, FittedDetector)
    assert isinstance(detectors()[name], Detector)
    outside = ~WINDOW.contains(m)
    assert fitted.out_of_fold.shape == m.shape
    assert (np.isnan(fitted.out_of_fold) == outside).all()
    some = np.random.default_rng(1).permutation(len(m))[:3000]
    whole = fitted.log_ratio(x, m)
    assert (np.isnan(whole) == outside).all()
    np.testing.assert_allclose(fitted.log_ratio(x[some], m[some]), whole[some], atol=1e-4)
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.log_ratio(x[some], m[some]), fitted.log_ratio(x[some], m[some]))
    assert roc_auc_score(label[~outside], whole[~outside]) > 0.75
    assert np.isnan(fitted.log_ratio(x[:5], np.full(5, -3.0))).all()


TINY = ConditionalFlow(layers=2, hidden=8, epochs=2)


@pytest.mark.parametrize(
    "short",
    [Anode(TINY, TINY, folds=2, minimum=200), Cathode(TINY, TREES, folds=2, minimum=200)],
    ids=["anode", "cathode"],
)
def test_permuted_rows_give_permuted_scores(short: Detector) -> None:
    x, m, _ = toy(100, 5, n=4000)
    order = np.random.default_rng(0).permutation(len(m))
    one, two = (short.fit(a, b, WINDOW, seed=6) for a, b in ((x, m), (x[order], m[order])))
    np.testing.assert_allclose(two.out_of_fold, one.out_of_fold[order], atol=1e-6)
    np.testing.assert_allclose(two.log_ratio(x[order], m[order]), one.log_ratio(x, m)[order], atol=1e-6)
    other = short.fit(x, m, WINDOW, seed=7)
    assert not np.allclose(other.out_of_fold, one.out_of_fold, equal_nan=True)


def test_too_few_rows_and_wrong_columns_are_refused_with_numbers() -> None:
    x, m, _ = toy(0, 1, n=1000)
    with pytest.raises(DetectorError, match=r"500 rows or more .* got 1\d\d and 8\d\d of 1000"):
        Cathode().fit(x, m, WINDOW, seed=1)
    with pytest.raises(DetectorError, match="do not fit 2 features"):
        Cathode(background(), classifier_features=(5,), minimum=100).fit(x, m, WINDOW, seed=1)
    with pytest.raises(FeatureError, match="resonant"):
        Anode().fit(x, np.full(1000, np.nan), WINDOW, seed=1)
    with pytest.raises(DetectorError, match="one size"):
        Anode(ConditionalFlow(hidden=8), ConditionalFlow(hidden=16))
    with pytest.raises(DetectorError, match="oversampling"):
        Cathode(oversampling=0)


def test_drawn_resonant_values_follow_the_data_and_stay_inside() -> None:
    m = 2 + 2 * np.random.default_rng(0).beta(1, 2, 3000)
    drawn = draw_resonant(m, WINDOW, 12_000, seed=1)
    assert WINDOW.contains(drawn).all()
    assert ks_2samp(m, drawn).pvalue > 1e-3
    assert ks_2samp(m, 6 - drawn).pvalue < 1e-6


def test_folds_depend_on_content_only_and_are_balanced() -> None:
    x = np.random.default_rng(0).normal(size=(1003, 3))
    order = np.random.default_rng(1).permutation(1003)
    folds = folds_of(x, folds=5, seed=2)
    np.testing.assert_array_equal(folds_of(x[order], folds=5, seed=2), folds[order])
    assert np.ptp(np.bincount(folds)) <= 1
    assert (folds_of(x, folds=5, seed=3) != folds).any()
    doubled = folds_of(np.concatenate([x, x]), folds=5, seed=2)
    np.testing.assert_array_equal(doubled[:1003], doubled[1003:])
    # Neighbouring values must not share a fold more often than chance.
    steps = folds_of(np.arange(2000.0), folds=2, seed=1)
    assert abs((steps[1:] == steps[:-1]).mean() - 0.5) < 0.05
    with pytest.raises(DetectorError, match="1 folds"):
        folds_of(x, folds=1, seed=0)


def test_cross_fit_never_scores_a_row_it_trained_on() -> None:
    folds = np.arange(100) % 4
    seen: list[int] = []

    def memory(train: np.ndarray, score: np.ndarray, fold: int) -> np.ndarray:
        assert not (train & score).any()
        assert (train | score).all()
        seen.append(fold)
        return np.flatnonzero(score).astype(float)

    np.testing.assert_array_equal(cross_fit(memory, folds), np.arange(100.0))
    assert seen == [0, 1, 2, 3]


def test_log_odds_are_the_log_ratio_whatever_the_class_shares() -> None:
    rng = np.random.default_rng(0)
    y = np.arange(12_000) < 2_000
    x = np.column_stack([rng.normal(np.where(y, 0.5, -0.5), 1.0), rng.normal(size=len(y))])
    trees = TREES.fit(x, y, seed=1)
    assert isinstance(TREES, Classifier)
    assert isinstance(trees, FittedClassifier)
    at = np.column_stack([np.linspace(-1.5, 1.5, 50), np.zeros(50)])
    assert np.abs(trees.log_odds(at) - at[:, 0]).mean() < 0.35
    assert abs(np.mean(trees.log_odds(at) - at[:, 0])) < 0.25
    weighted = TREES.fit(x, y, np.where(y, 5.0, 1.0), seed=1)
    assert abs(np.mean(weighted.log_odds(at) - at[:, 0])) < 0.25


def test_classifier_is_blind_to_row_order_and_learns_nothing_from_shuffled_labels() -> None:
    rng = np.random.default_rng(0)
    y = rng.random(6000) < 0.3
    x = rng.normal(size=(6000, 2)) + y[:, None]
    order = rng.permutation(6000)
    one, two = TREES.fit(x, y, seed=1), TREES.fit(x[order], y[order], seed=1)
    np.testing.assert_array_equal(one.log_odds(x), two.log_odds(x))
    fresh_y = rng.random(6000) < 0.3
    fresh = rng.normal(size=(6000, 2)) + fresh_y[:, None]
    assert roc_auc_score(fresh_y, one.log_odds(fresh)) > 0.8
    blind = TREES.fit(x, rng.permutation(y), seed=1)
    assert abs(roc_auc_score(fresh_y, blind.log_odds(fresh)) - 0.5) < 0.15
    with pytest.raises(DetectorError, match="got 3 and 97"):
        TREES.fit(x[:100], np.arange(100) < 3, seed=1)


def test_child_seeds_differ_by_purpose_and_repeat() -> None:
    seeds = {child_seed(s, *p) for s in (0, 1) for p in (("a",), ("b",), ("a", 0), ("a", 1))}
    assert len(seeds) == 8
    assert child_seed(1, "a", 2) == child_seed(1, "a", 2)
