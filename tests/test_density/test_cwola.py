"""Laws of CWoLa hunting: right where the features do not depend on m, wrong where they do."""

from __future__ import annotations

import numpy as np
import pytest
from gaussian_toy import WINDOW, GaussianToy
from sklearn.metrics import roc_auc_score

from density import BoostedTrees, Detector, DetectorError, FittedDetector
from density.detectors.cwola import Cwola

TREES = BoostedTrees(members=2)


@pytest.mark.parametrize("width", [2, 4])
def test_scores_approach_the_true_log_ratio_without_drift(width: int) -> None:
    toy = GaussianToy(width, drift=0.0, spread=0.1 * width)
    x, m, label = toy.draw(1)
    inside = WINDOW.contains(m)
    found = Cwola(TREES, folds=3).fit(x, m, WINDOW, seed=2).out_of_fold[inside]
    truth = toy.log_ratio(x[inside], m[inside])
    assert np.corrcoef(truth, found)[0, 1] > 0.8
    assert roc_auc_score(label[inside], found) > roc_auc_score(label[inside], truth) - 0.05
    assert np.exp(found - truth).mean() == pytest.approx(1.0, abs=0.25)
    # Negative control: features that drift with m tell window from sidebands without any signal.
    drifting = GaussianToy(width, drift=0.7, spread=0.1 * width)
    x, m, label = drifting.draw(1)
    fooled = Cwola(TREES, folds=3).fit(x, m, WINDOW, seed=2).out_of_fold[inside]
    assert np.exp(fooled - drifting.log_ratio(x[inside], m[inside])).mean() > 2


def test_background_alone_gives_nothing_and_near_sidebands_lessen_the_drift() -> None:
    toy = GaussianToy(2, signal=0, drift=0.0)
    x, m, _ = toy.draw(1)
    flat = Cwola(TREES, folds=3).fit(x, m, WINDOW, seed=2)
    inside = WINDOW.contains(m)
    assert np.abs(flat.out_of_fold[inside]).mean() < 0.2
    drifting = GaussianToy(2, signal=0, drift=0.7)
    x, m, _ = drifting.draw(1)
    far, near = (
        np.abs(Cwola(TREES, folds=3, reach=reach).fit(x, m, WINDOW, seed=2).out_of_fold[inside]).mean()
        for reach in (None, 1.0)
    )
    assert near < 0.7 * far
    assert far > 0.4


def test_both_sides_count_alike() -> None:
    """A window amid a linear drift: with many rows on one side, weights keep the mean of both sides."""
    random = np.random.default_rng(0)
    m = np.concatenate([random.uniform(0, 2, 9000), random.uniform(2, 4, 3000), random.uniform(4, 6, 1000)])
    x = random.standard_normal((len(m), 2))
    x[:, 0] += 0.5 * m
    fitted = Cwola(TREES, folds=3).fit(x, m, WINDOW, seed=1)
    scores = fitted.out_of_fold[WINDOW.contains(m)]
    # By symmetry the score must not lean along the drift; unweighted it would, by the nearer side's dearth.
    lean = np.corrcoef(scores, x[WINDOW.contains(m), 0])[0, 1]
    assert abs(lean) < 0.25


def test_keeps_the_contract() -> None:
    toy = GaussianToy(2, background=6000)
    x, m, _ = toy.draw(1)
    recipe = Cwola(BoostedTrees(members=1), folds=2)
    one = recipe.fit(x, m, WINDOW, seed=1)
    assert isinstance(recipe, Detector)
    assert isinstance(one, FittedDetector)
    outside = ~WINDOW.contains(m)
    assert (np.isnan(one.out_of_fold) == outside).all()
    assert (np.isnan(one.log_ratio(x, m)) == outside).all()
    order = np.random.default_rng(0).permutation(len(m))
    two = recipe.fit(x[order], m[order], WINDOW, seed=1)
    np.testing.assert_allclose(two.out_of_fold, one.out_of_fold[order], atol=1e-9)
    # One-sided sidebands are taken as they are.
    assert np.isfinite(recipe.fit(x[m < 4], m[m < 4], WINDOW, seed=1).out_of_fold).sum() == (~outside).sum()
    with pytest.raises(DetectorError, match="500 rows or more"):
        recipe.fit(x[:900], m[:900], WINDOW, seed=1)
