"""Laws of LaCATHODE on a toy of known densities."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from gaussian_toy import WINDOW, ExactBackground, GaussianToy
from sklearn.metrics import roc_auc_score

from density import BoostedTrees, Cathode, ConditionalFlow, Detector, DetectorError, FittedDetector
from density.detectors.lacathode import FittedLaCathode, LaCathode
from density.mlp import Mlp

TREES = BoostedTrees(members=2)
TOYS = {2: GaussianToy(2, drift=0.1), 4: GaussianToy(4, spread=0.3, drift=0.1)}


@cache
def fitted(width: int) -> FittedLaCathode:
    toy = TOYS[width]
    x, m, _ = toy.draw(1)
    return LaCathode(toy.exact, TREES, oversampling=3, folds=3).fit(x, m, WINDOW, seed=2)


@pytest.mark.parametrize("width", TOYS)
def test_scores_approach_the_true_log_ratio(width: int) -> None:
    toy = TOYS[width]
    x, m, label = toy.draw(1)
    inside = WINDOW.contains(m)
    truth, found = toy.log_ratio(x[inside], m[inside]), fitted(width).out_of_fold[inside]
    assert np.corrcoef(truth, found)[0, 1] > 0.8
    assert roc_auc_score(label[inside], found) > roc_auc_score(label[inside], truth) - 0.03
    assert np.exp(found - truth).mean() == pytest.approx(1.0, abs=0.25)
    # Negative control: the scores of other rows.
    assert abs(np.corrcoef(truth, np.random.default_rng(0).permutation(found))[0, 1]) < 0.1


def test_background_scores_do_not_depend_on_m_where_the_features_do() -> None:
    """What LaCATHODE is for: a cut selects the same share at every m. CATHODE is the control."""
    toy = GaussianToy(2, signal=0, background=120_000, drift=1.0)
    far = GaussianToy(2, signal=300, drift=1.0)
    x, m, _ = far.draw(1)
    latent = LaCathode(far.exact, TREES, folds=3).fit(x, m, WINDOW, seed=2)
    features = Cathode(far.exact, TREES, folds=3).fit(x, m, WINDOW, seed=2)
    fresh_x, fresh_m, _ = toy.draw(5)
    inside = WINDOW.contains(fresh_m)
    upper = fresh_m[inside] > WINDOW.centre

    def lopsided(detector: FittedDetector) -> float:
        score = detector.log_ratio(fresh_x, fresh_m)[inside]
        cut = score > np.quantile(score, 0.95)
        return abs(np.log(cut[upper].mean() / cut[~upper].mean()))

    assert lopsided(latent) < 0.2
    assert lopsided(features) > 2 * lopsided(latent)


def test_keeps_the_contract_with_a_learned_background_and_a_network() -> None:
    toy = GaussianToy(2, signal=200, background=6000)
    x, m, _ = toy.draw(1)
    flow = ConditionalFlow(layers=2, hidden=8, epochs=3)
    recipe = LaCathode(flow, Mlp(members=1, hidden=(16,), epochs=5), oversampling=2, folds=2)
    one = recipe.fit(x, m, WINDOW, seed=1)
    assert isinstance(recipe, Detector)
    assert isinstance(one, FittedDetector)
    outside = ~WINDOW.contains(m)
    assert (np.isnan(one.out_of_fold) == outside).all()
    assert (np.isnan(one.log_ratio(x, m)) == outside).all()
    order = np.random.default_rng(0).permutation(len(m))
    two = recipe.fit(x[order], m[order], WINDOW, seed=1)
    np.testing.assert_allclose(two.out_of_fold, one.out_of_fold[order], atol=1e-5)


def test_mistakes_are_refused() -> None:
    class NoLatentSpace:
        def log_prob(self, x: np.ndarray, m: np.ndarray) -> np.ndarray:
            return np.zeros(len(x))

        def sample(self, m: np.ndarray, *, seed: int) -> np.ndarray:
            return m[:, None]

    with pytest.raises(DetectorError, match="oversampling"):
        LaCathode(ExactBackground(2), oversampling=0)
    with pytest.raises((DetectorError, TypeError)):
        LaCathode(NoLatentSpace())
    x, m, _ = GaussianToy(2, background=600).draw(1)
    with pytest.raises(DetectorError, match="500 rows or more"):
        LaCathode(ExactBackground(2)).fit(x, m, WINDOW, seed=1)
