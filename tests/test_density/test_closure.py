"""Laws of the closure diagnostics: exact backgrounds pass, wrong ones are told, ratios mean what they say."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression

from density import BoostedTrees, DetectorError, Window
from density.checks.calibration import ratio_calibration
from density.checks.closure import background_closure, interpolation_closure, neighbouring_windows
from density.checks.two_sample import two_sample_auc

TREES = BoostedTrees(members=1, rounds=15, validation_fraction=0.2)
WINDOW = Window(0.0, 1.0)


@dataclass(frozen=True)
class Linear:
    """A classifier linear in the features: it reaches the bound on the folds' dependence."""

    def fit(
        self, x: np.ndarray, y: np.ndarray, weights: np.ndarray | None = None, *, seed: int
    ) -> FittedLinear:
        return FittedLinear(LogisticRegression().fit(x, y))


@dataclass(frozen=True)
class FittedLinear:
    model: LogisticRegression

    def log_odds(self, x: np.ndarray) -> np.ndarray:
        return self.model.decision_function(x)


@dataclass(frozen=True)
class Drifting:
    """Recipe and density in one: x ~ N(drift m, 1), the truth for drift 1; nothing is learned."""

    drift: float = 1.0

    def fit(self, x: np.ndarray, m: np.ndarray, *, seed: int) -> Drifting:
        return self

    def sample(self, m: np.ndarray, *, seed: int) -> np.ndarray:
        x = np.random.default_rng(seed).normal(size=(len(m), 3))
        x[:, 1] += self.drift * m
        return x


@dataclass(frozen=True)
class Remembering(Drifting):
    """Recipe that notes which m it was trained on."""

    seen: tuple[float, ...] = ()

    def fit(self, x: np.ndarray, m: np.ndarray, *, seed: int) -> Drifting:
        gap = m[(m > -1) & (m < 1)]
        if len(gap):
            raise AssertionError(f"trained on {len(gap)} rows of the windows")
        return Drifting(self.drift)


def rows(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    m = np.random.default_rng(seed).uniform(-3, 4, n)
    return Drifting().sample(m, seed=seed + 1), m


@pytest.mark.statistical
def test_equal_laws_are_not_told_apart_and_unequal_ones_are() -> None:
    rng = np.random.default_rng(0)
    found = [
        two_sample_auc(rng.normal(size=(600, 3)), rng.normal(size=(1200, 3)), classifier=TREES, seed=k)
        for k in range(40)
    ]
    z = np.array([(f.auc - 0.5) / f.error for f in found])
    assert abs(z.mean()) < 0.6
    assert np.mean(np.array([f.p_value for f in found]) < 0.05) <= 0.15
    told = two_sample_auc(rng.normal(0.3, 1, (600, 3)), rng.normal(size=(1200, 3)), classifier=TREES, seed=1)
    assert told.auc > 0.55 and told.p_value < 1e-4
    assert "tells 600 data rows" in told.sentence and "cannot tell" in found[0].sentence


@pytest.mark.statistical
def test_folds_are_not_independent_and_the_error_says_so() -> None:
    rng = np.random.default_rng(1)
    z = []
    for k in range(250):
        a, b = rng.normal(size=(300, 4)), rng.normal(size=(300, 4))
        found = two_sample_auc(a, b, classifier=Linear(), folds=3, seed=k)
        z.append((found.auc - 0.5) / found.error)
    assert 0.85 < np.std(z) < 1.15
    # Negative control: taken as independent, the folds' areas scatter by more than their error.
    assert np.std(z) * np.sqrt(2) > 1.2


def test_permutations_agree_with_the_formula() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=(300, 2)), rng.normal(size=(300, 2))
    formula = two_sample_auc(a, b, classifier=Linear(), seed=3)
    shuffled = two_sample_auc(a, b, classifier=Linear(), permutations=60, seed=3)
    assert shuffled.auc == formula.auc
    assert shuffled.error == pytest.approx(formula.error, rel=0.35)
    assert abs(shuffled.p_value - formula.p_value) < 0.25
    moved = two_sample_auc(a + 0.5, b, classifier=Linear(), permutations=40, seed=3)
    assert moved.p_value == pytest.approx(1 / 41)


def test_sideband_closure_sees_a_wrong_drift_that_no_single_feature_shows() -> None:
    x, m = rows(6000, 0)
    right = background_closure(Drifting(1.0), x, m, WINDOW, classifier=TREES, seed=1)
    wrong = background_closure(Drifting(0.7), x, m, WINDOW, classifier=TREES, seed=1)
    assert right.p_value > 0.01 > wrong.p_value
    assert right.rows == WINDOW.sidebands(m).sum()


def test_interpolation_is_tried_where_neither_window_trained() -> None:
    x, m = rows(12_000, 3)
    below, above = neighbouring_windows(WINDOW)
    assert (below, above) == (Window(-1.0, 0.0), Window(1.0, 2.0))
    good = interpolation_closure(Remembering(), x, m, WINDOW, held_out=below, classifier=TREES, seed=1)
    assert good.two_sample.p_value > 0.01
    assert min(f.ks_p_value for f in good.features) > 1e-3
    assert min(f.chi2_p_value for f in good.features) > 1e-3
    bad = interpolation_closure(Drifting(0.5), x, m, WINDOW, held_out=above, classifier=TREES, seed=1)
    assert bad.two_sample.p_value < 1e-4
    assert bad.features[1].ks_p_value < 1e-6 and bad.features[1].chi2_p_value < 1e-6
    assert bad.features[0].ks_p_value > 1e-4
    assert "[1, 2)" in bad.sentence and "Feature 1 agrees least" in bad.sentence


def exact_log_ratio(x: np.ndarray, share: float) -> np.ndarray:
    return np.log1p(share * (norm.pdf(x, 2, 0.5) / norm.pdf(x) - 1))


def drawn(share: float, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    signal = rng.random(n) < share
    return np.where(signal, rng.normal(2, 0.5, n), rng.normal(size=n)), rng.normal(size=4 * n)


@pytest.mark.statistical
def test_exact_ratios_are_calibrated_and_stretched_ones_are_not() -> None:
    p_values, slopes = [], []
    for seed in range(150):
        data, background = drawn(0.1, 2000, seed)
        found = ratio_calibration(exact_log_ratio(data, 0.1), exact_log_ratio(background, 0.1))
        p_values.append(found.p_value)
        slopes.append(found.slope)
    assert np.mean(np.array(p_values) < 0.05) < 0.12
    assert abs(np.mean(p_values) - 0.5) < 0.12
    assert np.mean(slopes) == pytest.approx(1.0, abs=0.1)
    data, background = drawn(0.1, 20_000, 0)
    one, two = exact_log_ratio(data, 0.1), exact_log_ratio(background, 0.1)
    bold, shy = ratio_calibration(2 * one, 2 * two), ratio_calibration(0.5 * one, 0.5 * two)
    assert max(bold.p_value, shy.p_value) < 1e-6
    assert bold.slope < 0.8 < 1.2 < shy.slope
    assert "disagree" in bold.sentence and "observed where" in bold.sentence


def test_a_score_without_variation_is_calibrated_if_it_is_zero() -> None:
    flat = ratio_calibration(np.zeros(500), np.zeros(2000))
    assert flat.predicted == pytest.approx([1.0]) and flat.observed == pytest.approx([1.0])
    assert np.isnan(flat.slope) and flat.p_value == pytest.approx(1.0)
    assert "agree" in flat.sentence


def test_unusable_diagnostics_are_refused() -> None:
    x, m = rows(2000, 0)
    with pytest.raises(DetectorError, match="overlaps the signal region"):
        interpolation_closure(Drifting(), x, m, WINDOW, held_out=Window(0.5, 1.5), seed=1)
    with pytest.raises(DetectorError, match=r"100 rows .* got"):
        interpolation_closure(Drifting(), x, m, WINDOW, held_out=Window(3.9, 4.0), seed=1)
    with pytest.raises(DetectorError, match="got 5"):
        two_sample_auc(x, x, permutations=5, seed=1)
    with pytest.raises(DetectorError, match="1 log-ratios are not finite"):
        ratio_calibration(np.append(np.zeros(200), np.nan), np.zeros(200))
    with pytest.raises(DetectorError, match=r"10 rows or more .* for 50 bins"):
        ratio_calibration(np.zeros(200), np.zeros(200), bins=50)
