"""Laws of the bump hunt: unbiased backgrounds, uniform p-values after a cross-fitted cut, and controls."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
from bump_hunt import HUNT, WINDOW, cross_fitted, events, in_sample
from scipy.stats import kstest, norm

from density import BoostedTrees, Cathode, DetectorError, Window
from density.hunt import (
    BumpHunt,
    Dijet,
    Expected,
    ExpPolynomial,
    FittedSpectrum,
    FoldScores,
    SpectrumShape,
    carried_score,
    fit_spectrum,
    on_off_significance,
    score_all_rows,
    template_count,
)

SHAPES = [Dijet(13.0), Dijet(13.0, terms=4), ExpPolynomial(1), ExpPolynomial(3)]
WINDOW_ROWS = Window(2.0, 2.6)


def truth(shape: SpectrumShape, size: int = 20_000) -> FittedSpectrum:
    """A falling spectrum that the shape can describe exactly."""
    edges = np.linspace(1, 6, 51)
    counts = np.round(size * -np.diff(np.exp(-(edges - 1)))).astype(int)
    return fit_spectrum(shape, edges[:-1], edges[1:], counts, low=1.0, high=6.0)


def p_uniform(significances: list[float]) -> float:
    return float(kstest(norm.sf(significances), "uniform").pvalue)


@pytest.mark.statistical
def test_local_p_values_after_a_cross_fitted_cut_are_uniform_and_without_it_are_not() -> None:
    found = [cross_fitted(seed) for seed in range(200)]
    assert p_uniform([f.significance for f in found]) > 0.01
    assert p_uniform([f.template for f in found]) > 0.01
    # Negative control: rows scored by the model that trained on them.
    control = [in_sample(seed) for seed in range(40)]
    assert p_uniform([f.significance for f in control]) < 1e-6
    assert p_uniform([f.template for f in control]) < 1e-6


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.statistical
def test_sidebands_predict_the_window_with_the_error_they_claim(shape: SpectrumShape) -> None:
    null = truth(shape, 3000)
    hunt = BumpHunt(1.0, 6.0, shape, bins=20)
    bumps = [hunt.fit(null.draw(seed=seed), WINDOW_ROWS) for seed in range(60)]
    exact = null.expected(2.0, 2.6).value
    pulls = np.array([(b.expected.value - exact) / b.expected.error for b in bumps])
    assert abs(pulls.mean()) < 0.45
    assert 0.75 < pulls.std() < 1.3
    assert p_uniform([b.significance for b in bumps]) > 0.001
    assert kstest([b.goodness_of_fit for b in bumps], "uniform").pvalue > 0.001
    # Negative control: the background forgotten by a fifth.
    assert p_uniform([(b.observed - 0.8 * exact) / np.sqrt(exact) for b in bumps]) < 1e-6


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_fit_without_noise_returns_the_shape(shape: SpectrumShape) -> None:
    null = truth(shape)
    edges = np.linspace(1, 6, 31)
    means = np.array([null.expected(a, b).value for a, b in pairwise(edges)])
    many = np.round(1e6 * means).astype(int)
    again = fit_spectrum(shape, edges[:-1], edges[1:], many, low=1.0, high=6.0)
    at = np.linspace(1, 6, 50)
    np.testing.assert_allclose(again.rate(at), 1e6 * null.rate(at), rtol=1e-4)
    total = null.expected(1.0, 6.0).value
    np.testing.assert_allclose(total, means.sum(), rtol=1e-9)


def test_influence_is_the_derivative_of_the_expectation() -> None:
    null = truth(ExpPolynomial(2))
    lower, upper = HUNT.sideband_bins(WINDOW)
    m = null.draw(seed=1)
    counts = np.array([((m >= a) & (m < b)).sum() for a, b in zip(lower, upper, strict=True)])

    def fitted(n: np.ndarray) -> FittedSpectrum:
        return fit_spectrum(ExpPolynomial(2), lower, upper, n, low=1.0, high=6.0)

    influence = fitted(counts).influence(lower, upper, WINDOW.low, WINDOW.high)
    for k in (0, 5, len(counts) - 1):
        more, less = counts.copy(), counts.copy()
        more[k], less[k] = counts[k] + 2, max(counts[k] - 2, 0)
        change = [fitted(n).expected(WINDOW.low, WINDOW.high).value for n in (more, less)]
        assert influence[k] == pytest.approx((change[0] - change[1]) / (more[k] - less[k]), rel=0.1, abs=0.02)


def test_draws_follow_the_fit() -> None:
    null = truth(Dijet(13.0))
    m = np.concatenate([null.draw(seed=seed) for seed in range(5)])
    total = null.expected(1.0, 6.0).value
    assert abs(len(m) - 5 * total) < 5 * np.sqrt(5 * total)
    at = np.linspace(1.001, 6, 200)
    share = np.array([null.expected(1.0, a).value for a in at]) / total
    assert kstest(m, lambda v: np.interp(v, np.append(1.0, at), np.append(0.0, share))).pvalue > 1e-3
    assert kstest(7 - m, lambda v: np.interp(v, np.append(1.0, at), np.append(0.0, share))).pvalue < 1e-6


@pytest.mark.statistical
def test_injected_events_are_found_and_the_limit_covers_them() -> None:
    null, hunt = truth(Dijet(13.0), 4000), BumpHunt(1.0, 6.0, Dijet(13.0), bins=20)
    bumps = []
    for seed in range(40):
        signal = np.random.default_rng(seed).uniform(2, 2.6, 60)
        bumps.append(hunt.fit(np.concatenate([null.draw(seed=seed), signal]), WINDOW_ROWS))
    excess = np.array([b.observed - b.expected.value for b in bumps])
    assert abs(excess.mean() - 60) < 4 * excess.std() / np.sqrt(40)
    limits = np.array([b.upper_limit(0.9) for b in bumps])
    assert np.mean(limits > 60) > 0.75
    # Negative control: a limit of that level does not cover twice the signal.
    assert np.mean(limits > 160) < 0.5
    assert bumps[0].upper_limit(0.99) > bumps[0].upper_limit(0.9)


def test_on_off_reproduces_known_cases() -> None:
    # Without an error: the Poisson likelihood ratio; with equal exposures: Li & Ma's symmetric case.
    assert on_off_significance(25, Expected(16.0, 0.0)) == pytest.approx(
        np.sqrt(2 * (25 * np.log(25 / 16) - 9))
    )
    both = on_off_significance(60, Expected(40.0, np.sqrt(40.0)))
    assert both == pytest.approx(np.sqrt(2 * (60 * np.log(60 / 50) + 40 * np.log(40 / 50))))
    assert on_off_significance(40, Expected(40.0, 3.0)) == pytest.approx(0.0, abs=1e-5)
    assert on_off_significance(20, Expected(40.0, 3.0)) < 0 < on_off_significance(60, Expected(40.0, 3.0))
    assert on_off_significance(0, Expected(4.0, 1.0)) < 0
    wide, narrow = (on_off_significance(60, Expected(40.0, e)) for e in (10.0, 1e-4))
    assert wide < narrow == pytest.approx(on_off_significance(60, Expected(40.0, 0.0)), rel=1e-6)


@pytest.mark.statistical
def test_template_counting_is_uniform_and_its_efficiency_error_matters() -> None:
    rng = np.random.default_rng(0)
    with_error, without = [], []
    for _ in range(400):
        n, passed = rng.poisson(60), rng.binomial(4000, 0.01)
        count = template_count(observed=int(n), before=Expected(6000.0, 60.0), passed=passed, reference=4000)
        with_error.append(count.significance)
        without.append(on_off_significance(int(n), Expected(count.expected.value, 0.0)))
    assert p_uniform(with_error) > 0.01
    assert p_uniform(without) < 1e-3


def test_richer_shapes_are_taken_where_the_sidebands_ask_for_them() -> None:
    shapes = (ExpPolynomial(1), ExpPolynomial(2), ExpPolynomial(3))
    curved, straight = truth(Dijet(13.0), 50_000), truth(ExpPolynomial(1), 5000)
    for choice in ("aic", "ratio"):
        hunt = BumpHunt(1.0, 6.0, shapes, choice=choice)
        degrees = {
            name: [
                hunt.fit(null.draw(seed=s), WINDOW_ROWS).background.shape.parameters - 1 for s in range(10)
            ]
            for name, null in (("curved", curved), ("straight", straight))
        }
        assert np.median(degrees["straight"]) == 1
        assert np.mean(degrees["straight"]) < 2
    poor = BumpHunt(1.0, 6.0, ExpPolynomial(0)).fit(straight.draw(seed=0), WINDOW_ROWS)
    assert poor.goodness_of_fit < 1e-6


def test_bins_meet_the_window_and_events_are_counted_once() -> None:
    hunt = BumpHunt(1.0, 6.0, ExpPolynomial(2), bins=17)
    m = truth(ExpPolynomial(2)).draw(seed=3)
    bump = hunt.fit(np.concatenate([m, [0.5, 6.0, 9.0]]), WINDOW_ROWS)
    assert bump.counts.sum() + bump.observed == len(m)
    lower, upper = BumpHunt(1.0, 6.0, margin=0.2).sideband_bins(WINDOW_ROWS)
    assert upper[upper < 2.6].max() == pytest.approx(1.8)
    assert lower[lower > 2.0].min() == pytest.approx(2.8)
    again = pickle.loads(pickle.dumps(bump))
    assert again.significance == bump.significance
    assert f"Window [2, 2.6): {bump.observed} events" in bump.sentence


def test_thresholds_are_per_fold_and_ties_pass_together() -> None:
    rng = np.random.default_rng(0)
    folds = np.arange(4000) % 2
    scores = rng.normal(size=4000) * np.where(folds == 1, 10.0, 1.0)
    reference = rng.random(4000) < 0.5
    cut = FoldScores(scores, folds).cut(reference, 0.05)
    for fold in (0, 1):
        rows = reference & (folds == fold)
        assert cut.passes[rows].sum() == round(0.05 * rows.sum())
        assert cut.passes[~reference & (folds == fold)].mean() == pytest.approx(0.05, abs=0.025)
    # Negative control: one threshold for both takes nearly all from the fold of larger scores.
    one = FoldScores(scores, np.zeros(4000, dtype=int)).cut(reference, 0.05)
    assert one.passes[folds == 1].sum() > 10 * one.passes[folds == 0].sum()
    assert FoldScores(np.zeros(100), np.zeros(100, dtype=int)).cut(np.arange(100) < 50, 0.1).efficiency == 1.0
    with pytest.raises(DetectorError, match="none of the 20 reference rows of fold 0"):
        FoldScores(np.zeros(40), np.zeros(40, dtype=int)).cut(np.arange(40) < 20, 0.01)


class Memory:
    """A detector that scores the rows it trained on 1 and others 0."""

    def fit(self, x: np.ndarray, m: np.ndarray, window: Window, *, seed: int) -> FittedMemory:
        return FittedMemory(window, np.zeros(len(m)), {tuple(row) for row in x})


class FittedMemory:
    def __init__(self, window: Window, out_of_fold: np.ndarray, seen: set[tuple[float, ...]]) -> None:
        self.window, self.out_of_fold, self.seen = window, out_of_fold, seen

    def log_ratio(self, x: np.ndarray, m: np.ndarray) -> np.ndarray:
        known = np.array([float(tuple(row) in self.seen) for row in x])
        return np.where(self.window.contains(m), known, np.nan)


def test_every_row_is_scored_once_by_a_model_that_never_saw_it() -> None:
    x, m = events(0)
    x, m = x[:600], m[:600]
    found = score_all_rows(Memory(), x, m, WINDOW, folds=3, seed=1)
    assert (found.scores == 0).all()
    assert np.ptp(np.bincount(found.folds)) <= 1
    order = np.random.default_rng(0).permutation(600)
    np.testing.assert_array_equal(
        score_all_rows(Memory(), x[order], m[order], WINDOW, folds=3, seed=1).folds, found.folds[order]
    )
    # Negative control: the memory is there.
    in_sample_scores = carried_score(m, WINDOW, seed=1)(Memory().fit(x, m, WINDOW, seed=1), x, m)
    assert (in_sample_scores == 1).all()
    with pytest.raises(DetectorError, match="scores are NaN"):
        score_all_rows(Memory(), x, m, WINDOW, seed=1, score=lambda fitted, x, m: fitted.log_ratio(x, m))


@dataclass(frozen=True)
class Normal:
    """The toy's exact background."""

    def sample(self, m: np.ndarray, *, seed: int) -> np.ndarray:
        return np.random.default_rng(seed).normal(size=(len(m), 4))

    def log_prob(self, x: np.ndarray, m: np.ndarray) -> np.ndarray:
        return norm.logpdf(x).sum(axis=1)


def test_a_detector_of_the_package_turns_a_hidden_signal_into_a_bump() -> None:
    trees = BoostedTrees(members=1, rounds=20)
    cathode = Cathode(Normal(), trees, folds=2, oversampling=1)
    x, m = events(1, signal=150)
    kept = score_all_rows(cathode, x, m, WINDOW, folds=3, seed=1).cut(WINDOW.sidebands(m), 0.01).passes
    before, after = HUNT.fit(m, WINDOW), HUNT.fit(m[kept], WINDOW)
    assert after.significance > 5 > before.significance
    assert after.goodness_of_fit > 1e-3
    # Negative control: a cut at random keeps the hidden signal hidden.
    random = np.random.default_rng(0).random(len(m)) < 0.05
    assert HUNT.fit(m[random], WINDOW).significance < 4


def test_errors_say_what_to_do() -> None:
    m = truth(ExpPolynomial(2)).draw(seed=0)
    hunt = BumpHunt(1.0, 6.0)
    with pytest.raises(DetectorError, match=r"window \[0.5, 2\) .* sideband on both sides"):
        hunt.fit(m, Window(0.5, 2.0))
    with pytest.raises(DetectorError, match=r"window \[5, 6\)"):
        hunt.fit(m, Window(5.0, 6.0))
    with pytest.raises(DetectorError, match="3 parameters, but only 2 of"):
        hunt.fit(np.array([1.1, 5.5, 2.2]), WINDOW_ROWS)
    with pytest.raises(DetectorError, match="1 values not finite"):
        hunt.fit(np.append(m, np.nan), WINDOW_ROWS)
    with pytest.raises(DetectorError, match=r"0 < m < 5 .* range \[1, 6\]"):
        BumpHunt(1.0, 6.0, Dijet(5.0)).fit(m, WINDOW_ROWS)
    with pytest.raises(DetectorError, match="inside the fitted range"):
        hunt.fit(m, WINDOW_ROWS).background.expected(0.0, 2.0)
    with pytest.raises(DetectorError, match="got 0 of 50"):
        template_count(observed=3, before=Expected(10.0, 1.0), passed=0, reference=50)
    with pytest.raises(DetectorError, match=r"positive background .* got 0"):
        on_off_significance(3, Expected(0.0, 0.0))
    with pytest.raises(DetectorError, match=r"level .* got 0.2"):
        hunt.fit(m, WINDOW_ROWS).upper_limit(0.2)
    for wrong in (
        lambda: BumpHunt(2.0, 1.0),
        lambda: BumpHunt(1.0, 2.0, bins=2),
        lambda: BumpHunt(1.0, 2.0, choice="best"),
        lambda: BumpHunt(1.0, 2.0, ()),
        lambda: Dijet(-1.0),
        lambda: Dijet(1.0, terms=5),
        lambda: ExpPolynomial(-1),
    ):
        with pytest.raises(DetectorError, match="got"):
            wrong()
