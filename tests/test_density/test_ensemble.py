"""Laws of ensembles: the mean is better than a member, the spread is its error."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from gaussian_toy import WINDOW, GaussianToy

from density import BoostedTrees, Cathode, Detector, DetectorError, FittedDetector
from density.detectors.ensemble import Ensemble, FittedEnsemble
from density.detectors.idealised import ExactRatio
from density.detectors.lacathode import LaCathode

TOY = GaussianToy(2)
TREES = BoostedTrees(members=1)


@cache
def fitted(combine: str) -> FittedEnsemble:
    x, m, _ = TOY.draw(1)
    detectors = (Cathode(TOY.exact, TREES, folds=2), LaCathode(TOY.exact, TREES, folds=2))
    return Ensemble(detectors, repeats=2, combine=combine).fit(x, m, WINDOW, seed=2)


def test_the_mean_is_nearer_the_truth_than_its_members_and_the_spread_tells_by_how_much() -> None:
    x, m, _ = TOY.draw(1)
    inside = WINDOW.contains(m)
    truth, ensemble = TOY.log_ratio(x[inside], m[inside]), fitted("mean")
    assert len(ensemble.members) == 4

    def rms(scores: np.ndarray) -> float:
        return float(np.sqrt(np.mean((scores[inside] - truth) ** 2)))

    members = [rms(member.out_of_fold) for member in ensemble.members]
    assert rms(ensemble.out_of_fold) < np.mean(members)
    miss = np.mean([np.abs(member.out_of_fold[inside] - truth) for member in ensemble.members], axis=0)
    spread = ensemble.out_of_fold_error[inside]
    assert np.corrcoef(spread, miss)[0, 1] > 0.3
    assert abs(np.corrcoef(np.random.default_rng(0).permutation(spread), miss)[0, 1]) < 0.1


@pytest.mark.parametrize("combine", ["mean", "rank"])
def test_keeps_the_contract(combine: str) -> None:
    x, m, label = TOY.draw(1)
    ensemble, outside = fitted(combine), ~WINDOW.contains(m)
    assert isinstance(ensemble, FittedDetector)
    assert isinstance(Ensemble((Cathode(), LaCathode())), Detector)
    for values in (
        ensemble.out_of_fold,
        ensemble.out_of_fold_error,
        ensemble.log_ratio(x, m),
        ensemble.error(x, m),
    ):
        assert (np.isnan(values) == outside).all()
    assert (ensemble.error(x, m)[~outside] >= 0).all()
    scores = ensemble.out_of_fold
    assert np.median(scores[label]) > np.quantile(scores[~outside & ~label], 0.95)
    if combine == "rank":
        assert scores[~outside].min() >= 0 and scores[~outside].max() <= 1
        assert scores[~outside].mean() == pytest.approx(0.5)


def test_equal_members_have_no_spread_and_other_members_have() -> None:
    x, m, _ = TOY.draw(1)
    inside = WINDOW.contains(m)
    same = Ensemble((ExactRatio(TOY.log_ratio),), repeats=3).fit(x, m, WINDOW, seed=1)
    np.testing.assert_allclose(same.out_of_fold[inside], TOY.log_ratio(x, m)[inside])
    assert same.out_of_fold_error[inside].max() < 1e-12
    shifted = Ensemble((ExactRatio(TOY.log_ratio), ExactRatio(lambda x, m: TOY.log_ratio(x, m) + 2.0)))
    np.testing.assert_allclose(shifted.fit(x, m, WINDOW, seed=1).error(x, m)[inside], np.sqrt(2))
    # Ranks know nothing of the scale; doubling is exact in binary, so that no ties arise.
    doubled = (ExactRatio(TOY.log_ratio), ExactRatio(lambda x, m: 2.0 * TOY.log_ratio(x, m)))
    ranked = Ensemble(doubled, combine="rank").fit(x, m, WINDOW, seed=1)
    np.testing.assert_allclose(ranked.out_of_fold_error[inside], 0, atol=1e-12)


def test_an_ensemble_of_one_is_refused() -> None:
    with pytest.raises(DetectorError, match="got 1 detectors and 1 repeats"):
        Ensemble((Cathode(),))
    with pytest.raises(DetectorError, match="got 'median'"):
        Ensemble((Cathode(), LaCathode()), combine="median")
