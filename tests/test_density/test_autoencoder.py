"""Laws of the autoencoder: it sees what leaves the background's surface, and nothing else."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from gaussian_toy import WINDOW, GaussianToy
from sklearn.metrics import roc_auc_score

from density import Detector, DetectorError, FeatureError, FittedDetector
from density.detectors.autoencoder import Autoencoder

QUICK = Autoencoder(members=1, epochs=30, folds=2, learning_rate=1e-2)


def surface(signal_off: bool, seed: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Background on a curved surface in four dimensions; signal off it, or crowded on it."""
    random = np.random.default_rng(seed)
    label = np.arange(4000) >= 3900
    u = random.standard_normal((len(label), 2))
    if not signal_off:
        u[label] = 0.2 * u[label]
    x = np.column_stack([u, np.tanh(u[:, 0] + u[:, 1]), 0.3 * u[:, 0] ** 2])
    x += 0.05 * random.standard_normal(x.shape)
    if signal_off:
        x[label, 2:] += [1.0, -1.0]
    return x, random.uniform(WINDOW.low - 1, WINDOW.high + 1, len(label)), label


def test_finds_outliers_and_is_blind_to_a_crowd() -> None:
    x, m, label = surface(signal_off=True)
    inside = WINDOW.contains(m)
    found = QUICK.fit(x, m, WINDOW, seed=1).out_of_fold[inside]
    assert roc_auc_score(label[inside], found) > 0.9
    assert (found >= 0).all()  # an error, not a log-ratio
    # Negative control: an over-density amid the background, which every log-ratio would show.
    x, m, label = surface(signal_off=False)
    inside = WINDOW.contains(m)
    crowd = QUICK.fit(x, m, WINDOW, seed=1).out_of_fold[inside]
    assert roc_auc_score(label[inside], crowd) < 0.5


def test_keeps_the_contract() -> None:
    x, m, _ = surface(signal_off=True)
    one = QUICK.fit(x, m, WINDOW, seed=1)
    assert isinstance(QUICK, Detector)
    assert isinstance(one, FittedDetector)
    outside = ~WINDOW.contains(m)
    assert (np.isnan(one.out_of_fold) == outside).all()
    assert (np.isnan(one.log_ratio(x, m)) == outside).all()
    order = np.random.default_rng(0).permutation(len(m))
    two = QUICK.fit(x[order], m[order], WINDOW, seed=1)
    np.testing.assert_allclose(two.out_of_fold, one.out_of_fold[order], atol=1e-5)
    fresh_x, fresh_m, fresh_label = surface(signal_off=True, seed=2)
    kept = WINDOW.contains(fresh_m)
    scores = one.log_ratio(fresh_x, fresh_m)[kept]
    assert roc_auc_score(fresh_label[kept], scores) > 0.9
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(one)).log_ratio(fresh_x, fresh_m)[kept], scores)


def test_rows_outside_the_window_teach_it_nothing() -> None:
    x, m, _ = surface(signal_off=True)
    inside = WINDOW.contains(m)
    quick = Autoencoder(members=1, epochs=3, folds=2)
    alone = quick.fit(x[inside], m[inside], WINDOW, seed=1).out_of_fold
    np.testing.assert_array_equal(quick.fit(x, m, WINDOW, seed=1).out_of_fold[inside], alone)
    assert not np.array_equal(quick.fit(x, m, WINDOW, seed=2).out_of_fold[inside], alone)


def test_mistakes_are_refused_with_numbers() -> None:
    x, m, _ = GaussianToy(2).draw(1)
    with pytest.raises(DetectorError, match="narrower than its features; got 1 of 1"):
        QUICK.fit(x[:, :1], m, WINDOW, seed=1)
    with pytest.raises(DetectorError, match="got 2 of 2"):
        Autoencoder(bottleneck=2).fit(x, m, WINDOW, seed=1)
    with pytest.raises(DetectorError, match=r"500 rows or more .* of 300"):
        QUICK.fit(x[:300], m[:300], WINDOW, seed=1)
    with pytest.raises(DetectorError, match="at least 1"):
        Autoencoder(members=0)
    with pytest.raises(DetectorError, match="validation_fraction"):
        Autoencoder(validation_fraction=1.0)
    x[3, 1] = np.nan
    with pytest.raises(FeatureError, match="feature 1"):
        QUICK.fit(x, m, WINDOW, seed=1)
