"""Laws of R-ANODE and of mixture fractions, on toys of known densities."""

from __future__ import annotations

import pickle
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from gaussian_toy import WINDOW, ExactBackground, GaussianToy
from scipy.stats import ks_2samp, kstest, norm
from sklearn.metrics import roc_auc_score

from density import (
    Affine,
    Block,
    BoostedTrees,
    Bounds,
    ConditionalFlow,
    Detector,
    DetectorError,
    FeatureMap,
    FittedDetector,
    Interval,
    choose_feature_map,
)
from density.detectors.fraction import cross_fitted_fraction, log_likelihood_gain, maximise_fraction
from density.detectors.gaussian_signal import (
    GaussianFit,
    MappedGaussian,
    grow_gaussian,
    jackknifed,
    weighted_gaussian,
)
from density.detectors.ranode import FittedRAnode, RAnode
from density.detectors.residual import leading_rows
from density.detectors.scouting import Neighbourhoods, best_start
from density.detectors.window_background import ResonantDensity

TOYS = {2: GaussianToy(2, signal=250, background=36_000), 4: GaussianToy(4, 300, 36_000, spread=0.3)}
FLOW = ConditionalFlow(layers=2, hidden=16, epochs=25, batch_size=128, learning_rate=5e-3, patience=6)

IDENTITY = FeatureMap(
    (Block(Affine(0.0, 1.0), (0,)), Block(Affine(0.0, 1.0), (1,))), (0.0, 0.0), (1.0, 1.0), ("a", "b")
)


def recipe(toy: GaussianToy, **changes: object) -> RAnode:
    return RAnode(
        toy.exact,
        FLOW,
        **{"folds": 4, "members": 1, "scout": BoostedTrees(members=2), "rounds": 5, **changes},
    )


@cache
def fitted(width: int) -> FittedRAnode:
    torch.set_num_threads(1)
    x, m, _ = TOYS[width].draw(1)
    return recipe(TOYS[width]).fit(x, m, WINDOW, seed=2)


def mixture(share: float, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """ln r of rows from a unit Gaussian background and a narrow signal at 3, and who is signal."""
    random = np.random.default_rng(seed)
    label = random.random(n) < share
    x = np.where(label, 3 + 0.3 * random.standard_normal(n), random.standard_normal(n))
    return -0.5 * ((x - 3) / 0.3) ** 2 - np.log(0.3) + 0.5 * x**2, label


@pytest.mark.parametrize("width", TOYS)
def test_the_fraction_is_recovered_within_its_error(width: int) -> None:
    toy, found = TOYS[width], fitted(width)
    assert abs(found.fraction - toy.fraction) < 3 * found.fraction_error
    assert found.fraction_error < 0.35 * toy.fraction
    assert found.share.low < found.fraction < found.share.high
    assert found.share.gain > 4.5


@pytest.mark.parametrize("width", TOYS)
def test_scores_approach_the_true_log_ratio(width: int) -> None:
    toy = TOYS[width]
    x, m, label = toy.draw(1)
    inside = WINDOW.contains(m)
    truth, scores = toy.log_ratio(x[inside], m[inside]), fitted(width).out_of_fold[inside]
    assert np.corrcoef(truth, scores)[0, 1] > 0.85
    assert roc_auc_score(label[inside], scores) > roc_auc_score(label[inside], truth) - 0.03
    assert np.exp(scores - truth).mean() == pytest.approx(1.0, abs=0.1)
    # Negative control: the scores of other rows.
    assert abs(np.corrcoef(truth, np.random.default_rng(0).permutation(scores))[0, 1]) < 0.1


def test_the_signal_density_is_the_injected_one() -> None:
    toy, signal = TOYS[4], fitted(4).signal
    x, m = signal.sample(4000, seed=1)
    assert WINDOW.contains(m).all()
    np.testing.assert_allclose(np.median(x, axis=0), toy.centre, atol=0.2)
    np.testing.assert_array_equal(signal.sample(50, seed=3)[0], signal.sample(50, seed=3)[0])
    assert np.isfinite(signal.log_prob(x, m)).all()
    # Draws of the signal against draws of the background (the control) by the true ratio.
    truth, _, label = toy.draw(9)
    assert ks_2samp(x[:, 0], truth[label][:, 0]).statistic < 0.2
    assert ks_2samp(x[:, 0], truth[~label][:, 0]).statistic > 0.4


def test_background_alone_has_no_signal() -> None:
    toy = GaussianToy(2, signal=0, background=18_000)
    x, m, _ = toy.draw(3)
    found = recipe(toy, folds=3, rounds=3).fit(x, m, WINDOW, seed=1)
    assert found.share.gain < 4.5
    assert found.share.low == 0.0
    assert found.fraction < 3 * found.fraction_error
    # What a ball of 40 rows could hide: no less than the noise of its count, and little of the window.
    assert np.sqrt(40) / 3000 < found.undetected_limit < 0.05
    # In sample (the control) the fitted densities see a signal that is not there.
    inside = WINDOW.contains(m)
    x, m = x[inside], m[inside]
    ratio = found.signal.log_prob(x, m) - toy.exact.log_prob(x, m) - np.log(1 / WINDOW.width)
    assert maximise_fraction(ratio).gain > found.share.gain


def test_keeps_the_contract_and_ranks_new_rows() -> None:
    _, m, _ = TOYS[2].draw(1)
    outside, found = ~WINDOW.contains(m), fitted(2)
    assert isinstance(found, FittedDetector)
    assert isinstance(recipe(TOYS[2]), Detector)
    assert (np.isnan(found.out_of_fold) == outside).all()
    fresh_x, fresh_m, label = TOYS[2].draw(8)
    scores = found.log_ratio(fresh_x, fresh_m)
    inside = WINDOW.contains(fresh_m)
    assert (np.isnan(scores) == ~inside).all()
    assert roc_auc_score(label[inside], scores[inside]) > 0.95
    again = pickle.loads(pickle.dumps(found))
    np.testing.assert_array_equal(again.log_ratio(fresh_x[:900], fresh_m[:900]), scores[:900])


def test_a_learned_background_and_a_scanned_or_fixed_fraction() -> None:
    toy = GaussianToy(2, signal=120, background=9000)
    x, m, label = toy.draw(1)
    inside = WINDOW.contains(m)
    background = ConditionalFlow(layers=3, hidden=16, epochs=8, batch_size=512)
    background = background.fit(x[~inside], m[~inside], seed=1)
    short = RAnode(background, FLOW, folds=3, members=1, rounds=2, scout=BoostedTrees(members=1))
    order = np.random.default_rng(0).permutation(len(m))
    for fraction in ((0.05, 0.3), 0.05):
        changed = RAnode(**{**vars(short), "fraction": fraction})
        one = changed.fit(x, m, WINDOW, seed=2)
        assert roc_auc_score(label[inside], one.out_of_fold[inside]) > 0.9
        assert abs(one.fraction - toy.fraction) < 4 * one.fraction_error
    two = changed.fit(x[order], m[order], WINDOW, seed=2)
    np.testing.assert_allclose(two.out_of_fold, one.out_of_fold[order], atol=1e-6)


def test_mistakes_are_refused_with_numbers() -> None:
    with pytest.raises(DetectorError, match=r"between 0 and 1; got 1\.5"):
        RAnode(fraction=1.5)
    with pytest.raises(DetectorError, match=r"at least 3 folds, .* got 2"):
        RAnode(folds=2)
    with pytest.raises(DetectorError, match="first events"):
        RAnode(first_events=3.0)
    x, m, _ = GaussianToy(2, background=600).draw(1)
    with pytest.raises(DetectorError, match="500 rows or more"):
        RAnode().fit(x, m, WINDOW, seed=1)


@pytest.mark.statistical
def test_the_error_of_a_fraction_covers_the_truth() -> None:
    """Known densities: pulls are unit normal. Rows that p_S was tuned to (the control) are biased up."""
    for share in (0.003, 0.05):
        draws = [maximise_fraction(mixture(share, 10_000, seed)[0]) for seed in range(150)]
        within = np.mean([abs(draw.value - share) <= draw.error for draw in draws])
        assert 0.55 < within < 0.8
        mean = np.mean([draw.value for draw in draws])
        spread = np.std([draw.value for draw in draws]) / np.sqrt(len(draws))
        assert abs(mean - share) < 4 * spread
    random = np.random.default_rng(0)
    tuned = []
    for _ in range(30):
        x = random.standard_normal(2000)
        # p_S: a narrow peak on each of 20 of the very rows that are then counted.
        distance = np.abs(x[:, None] - x[:20]).min(axis=1)
        inside = distance < 1e-3
        tuned.append(maximise_fraction(np.where(inside, np.log(1 / (20 * 2e-3 * 0.3)), -np.inf)).value)
    assert np.mean(tuned) > 0.003


def test_the_likelihood_interval_is_where_it_falls_by_one_half() -> None:
    ratio, _ = mixture(0.05, 4000, 1)
    found = maximise_fraction(ratio)
    for end in (found.low, found.high):
        assert log_likelihood_gain(ratio, end) == pytest.approx(found.gain - 0.5, abs=1e-4)
    grid = np.linspace(0.0, 0.3, 301)
    best = grid[np.argmax([log_likelihood_gain(ratio, w) for w in grid])]
    assert found.value == pytest.approx(best, abs=1e-3)
    assert maximise_fraction(np.full(100, -1.0)).value == 0.0
    assert maximise_fraction(np.full(100, 800.0)).value > 0.99
    assert maximise_fraction(np.r_[np.full(99, -np.inf), 800.0]).value == pytest.approx(0.01, rel=1e-3)
    with pytest.raises(DetectorError, match="numbers"):
        maximise_fraction(np.array([0.0, np.nan]))


def test_folds_that_disagree_widen_the_error() -> None:
    folds = np.arange(4000) % 4
    draws = [mixture(0.05, 4000, seed)[0] for seed in range(20)]
    plain, agreed = (
        np.mean([estimate(ratio) for ratio in draws])
        for estimate in (
            lambda ratio: maximise_fraction(ratio).error,
            lambda ratio: cross_fitted_fraction(ratio, folds).error,
        )
    )
    assert plain <= agreed < 1.3 * plain
    # One fold whose p_S found nothing.
    broken = np.mean([cross_fitted_fraction(np.where(folds == 0, -3.0, r), folds).error for r in draws])
    assert broken > 2 * agreed


def starts_of(share: float, seed: int) -> tuple[GaussianFit | None, np.ndarray]:
    """The best start among 20,000 rows in three dimensions, and who is signal."""
    random = np.random.default_rng(seed)
    label = random.random(20_000) < share
    y = random.standard_normal((20_000, 3))
    y[label] = np.array([1.5, -1.5, 1.5]) + 0.25 * y[label]
    log_background = norm.logpdf(y).sum(axis=1) + np.log1p(-share)
    around = Neighbourhoods.of(y, log_background)
    peaks = around.peaks(np.ones(len(y), bool), 10)
    return best_start(y, log_background, peaks), label


def test_over_densities_find_sixty_rows_in_twenty_thousand() -> None:
    for seed in range(3):
        start, label = starts_of(0.003, seed)
        np.testing.assert_allclose(start.mean, [1.5, -1.5, 1.5], atol=0.2)
        assert start.responsibility[label].mean() > 0.5 > 20 * start.responsibility[~label].mean()
        # Negative control: rows without a signal have peaks too, far less likely ones.
        alone, _ = starts_of(0.0, seed)
        assert alone is None or start.gain > 2 * alone.gain


def test_peaks_are_counted_among_the_rows_asked_for() -> None:
    random = np.random.default_rng(1)
    y = random.standard_normal((4000, 2))
    y[:60] = 2.5 + 0.1 * y[:60]
    around = Neighbourhoods.of(y, norm.logpdf(y).sum(axis=1))
    every = np.ones(4000, bool)
    assert around.peaks(every, 1)[0][:60].sum() > 5
    without = np.arange(4000) >= 60
    for peak in around.peaks(without, 5):
        assert (peak[:60] == 0).all() and (peak >= 0).all() and (peak <= 1).all()
    assert around.limit() > 40 / 4000


def test_a_gaussian_grows_to_the_signal_and_judges_each_row_by_the_others() -> None:
    random = np.random.default_rng(2)
    y = random.standard_normal((5000, 2))
    y[:200] = np.array([2.0, 2.0]) + 0.3 * y[:200]
    log_background = norm.logpdf(y).sum(axis=1)
    start = (np.abs(y - 2.0) < 0.3).all(axis=1) * 0.8
    fit = grow_gaussian(y, log_background, start, rounds=60)
    np.testing.assert_allclose(fit.mean, 2.0, atol=0.1)
    np.testing.assert_allclose(fit.covariance, 0.09 * np.eye(2), atol=0.04)
    assert fit.responsibility.sum() == pytest.approx(200, rel=0.2)
    # The jackknife in closed form against the covariance of the other rows, computed anew.
    weight = random.random(60)
    _, _, ratio = jackknifed(y[:60], np.zeros(60), weight)
    for row in (0, 30):
        left = np.where(np.arange(60) == row, 0.0, weight)
        other = weighted_gaussian(IDENTITY, y[:60], left)
        assert ratio[row] == pytest.approx(other.log_prob(y[row : row + 1])[0], abs=0.05)


def test_a_gaussian_in_mapped_coordinates_is_normalised_in_the_features() -> None:
    random = np.random.default_rng(3)
    x = random.beta(2, 3, (3000, 1))
    bounds = Bounds((Interval(0.0, 1.0),), ("share",))
    one = MappedGaussian(choose_feature_map(x, bounds), np.array([0.2]), np.array([[0.5]]))
    grid = np.linspace(1e-6, 1 - 1e-6, 20_001)[:, None]
    density = np.exp(one.log_prob(grid))
    assert np.trapezoid(density, grid[:, 0]) == pytest.approx(1.0, abs=1e-4)
    drawn = one.sample(20_000, seed=1)[:, 0]
    cumulative = np.cumsum(density) / density.sum()
    assert kstest(drawn, lambda at: np.interp(at, grid[:, 0], cumulative)).pvalue > 1e-3
    assert kstest(x[:, 0], lambda at: np.interp(at, grid[:, 0], cumulative)).pvalue < 1e-3


def test_a_row_that_the_background_flow_denies_does_not_outweigh_the_signal() -> None:
    toy = TOYS[2]
    x, m, _ = toy.draw(1)
    victim = np.flatnonzero(WINDOW.contains(m))[:1]

    class Denying(ExactBackground):
        def log_prob(self, at: np.ndarray, m: np.ndarray) -> np.ndarray:
            denied = (at == x[victim]).all(axis=1)
            return np.where(denied, -200.0, super().log_prob(at, m))

    changed = replace(recipe(toy, rounds=1), background=Denying(2))
    found = changed.fit(x, m, WINDOW, seed=2)
    assert found.fraction == pytest.approx(fitted(2).fraction, rel=0.15)
    assert found.out_of_fold[victim] < 10
    assert found.log_ratio(x[victim], m[victim]) < 10
    # The control: by the background as it is, the row would count as thousands.
    assert -Denying(2).log_prob(x[victim], m[victim]) > 100


def test_leading_rows_sum_to_what_was_asked_and_are_the_highest() -> None:
    score = np.random.default_rng(0).standard_normal(1000)
    lead = leading_rows(score, 30.0)
    assert lead.sum() == pytest.approx(30.0)
    assert (lead >= 0).all() and (lead <= 1).all()
    assert (np.diff(lead[np.argsort(score)]) >= 0).all()
    with pytest.raises(DetectorError, match="fewer leading rows"):
        leading_rows(score, 1000.0)


def test_the_resonant_density_is_normalised_and_right() -> None:
    random = np.random.default_rng(0)
    m = WINDOW.low + WINDOW.width * random.beta(1, 2, 20_000)
    density = ResonantDensity.of(m, WINDOW)
    grid = np.linspace(WINDOW.low, WINDOW.high, 20_001)
    assert np.trapezoid(np.exp(density.log_prob(grid)), grid) == pytest.approx(1.0, abs=1e-3)
    place = (grid - WINDOW.low) / WINDOW.width
    truth = 2 * (1 - place) / WINDOW.width
    assert np.abs(np.exp(density.log_prob(grid)) - truth).mean() < 0.03
    # Weights that cut the upper half off leave the lower half.
    halved = ResonantDensity.of(m, WINDOW, (m < 3).astype(float))
    assert np.exp(halved.log_prob(np.array([3.5])))[0] < 0.01
    assert kstest(m, "uniform", args=(2, 2)).pvalue < 1e-6
