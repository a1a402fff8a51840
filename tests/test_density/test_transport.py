"""Laws of transport: rows arrive where their density says, and are the background there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from gaussian_toy import WINDOW, ExactBackground, GaussianToy
from sklearn.metrics import roc_auc_score

from density import BoostedTrees, Cathode, ConditionalFlow, Detector, DetectorError, FittedDetector
from density.detectors.transport import FlowTransport, nearest_rows, transport
from density.mlp import Mlp

TREES = BoostedTrees(members=2)
SMALL = ConditionalFlow(layers=2, hidden=16, epochs=5, batch_size=512)


@dataclass(frozen=True)
class ExactTransport(ExactBackground):
    """The toy's background with the way back."""

    def from_latent(self, z: np.ndarray, m: np.ndarray) -> np.ndarray:
        return z + self._mean(m)


@pytest.mark.parametrize("width", [2, 4])
def test_scores_approach_the_true_log_ratio(width: int) -> None:
    toy = GaussianToy(width, drift=0.7, spread=0.1 * width)
    x, m, label = toy.draw(1)
    inside = WINDOW.contains(m)
    truth = toy.log_ratio(x[inside], m[inside])
    fitted = FlowTransport(ExactTransport(width, 0.7), TREES, oversampling=3, folds=3).fit(
        x, m, WINDOW, seed=2
    )
    found = fitted.out_of_fold[inside]
    assert np.corrcoef(truth, found)[0, 1] > 0.8
    assert roc_auc_score(label[inside], found) > roc_auc_score(label[inside], truth) - 0.05
    assert np.exp(found - truth).mean() == pytest.approx(1.0, abs=0.25)
    # Negative control: a background that knows no drift leaves the rows where they are.
    unmoved = FlowTransport(ExactTransport(width, 0.0), TREES, oversampling=3, folds=3)
    wrong = unmoved.fit(x, m, WINDOW, seed=2).out_of_fold[inside]
    assert np.exp(wrong - truth).mean() > 1.5


def test_a_fitted_flow_moves_rows_to_the_density_at_their_new_m_and_back() -> None:
    toy = GaussianToy(2, signal=0, background=9000, drift=0.7)
    x, m, _ = toy.draw(1)
    beside = ~WINDOW.contains(m)
    x, m = x[beside], m[beside]
    flow = SMALL.fit(x, m, seed=1)
    to = np.random.default_rng(0).uniform(WINDOW.low, WINDOW.high, len(m))
    moved = transport(flow, x, m, to)
    np.testing.assert_allclose(flow.from_latent(flow.to_latent(x, m), m), x, atol=2e-3)
    np.testing.assert_allclose(transport(flow, moved, to, m), x, atol=2e-2)
    np.testing.assert_allclose(transport(toy_way_back(toy), x, m, to), x + shift(toy, to - m), atol=1e-12)
    residual = moved - shift(toy, to)
    assert np.abs(residual.mean(axis=0)).max() < 0.2
    assert np.abs(residual.std(axis=0) - 1).max() < 0.15
    assert np.abs((x - shift(toy, to)).mean(axis=0)).max() > 0.5  # negative control: rows that stayed


def toy_way_back(toy: GaussianToy) -> ExactTransport:
    return ExactTransport(toy.width, toy.drift)


def shift(toy: GaussianToy, m: np.ndarray) -> np.ndarray:
    return np.outer(toy.drift * m, np.arange(toy.width) == 0)


def test_an_error_of_the_density_that_is_the_same_at_every_m_does_no_harm() -> None:
    """Rows that are not Gaussian, a background that says they are. CATHODE, which samples it, is the
    control."""
    random = np.random.default_rng(3)
    m = random.uniform(-4, 8, 18_000)
    x = random.exponential(size=(len(m), 2)) - 1 + np.outer(0.7 * m, [1, 0])
    inside = WINDOW.contains(m)
    background = ExactTransport(2, 0.7)
    moved = FlowTransport(background, TREES, folds=3).fit(x, m, WINDOW, seed=1).out_of_fold[inside]
    sampled = Cathode(background, TREES, folds=3).fit(x, m, WINDOW, seed=1).out_of_fold[inside]
    assert np.abs(moved).mean() < 0.2
    assert np.abs(sampled).mean() > 0.5


def test_keeps_the_contract_with_a_learned_background_and_a_network() -> None:
    toy = GaussianToy(2, signal=200, background=6000)
    x, m, _ = toy.draw(1)
    network = Mlp(members=1, hidden=(16,), epochs=4)
    recipe = FlowTransport(SMALL, network, oversampling=2, folds=2, see_resonant=True)
    one = recipe.fit(x, m, WINDOW, seed=1)
    assert isinstance(recipe, Detector)
    assert isinstance(one, FittedDetector)
    outside = ~WINDOW.contains(m)
    assert (np.isnan(one.out_of_fold) == outside).all()
    assert (np.isnan(one.log_ratio(x, m)) == outside).all()
    np.testing.assert_allclose(one.transported(x, m, m), x, atol=1e-2)
    order = np.random.default_rng(0).permutation(len(m))
    two = recipe.fit(x[order], m[order], WINDOW, seed=1)
    np.testing.assert_allclose(two.out_of_fold, one.out_of_fold[order], atol=1e-4)


def test_the_nearest_rows_are_taken_and_none_twice() -> None:
    m = np.sort(np.random.default_rng(0).uniform(-4, 8, 500))
    taken = nearest_rows(m, WINDOW, 120, seed=1)
    distance = np.maximum(np.maximum(WINDOW.low - m, m - WINDOW.high), 0)
    assert len(np.unique(taken)) == 120
    assert distance[taken].max() <= np.delete(distance, taken).min()
    assert len(nearest_rows(m, WINDOW, 9000, seed=1)) == 500
    few = m[nearest_rows(m, WINDOW, 40, seed=1)]  # of some eighty at distance 0: any, not the lowest
    assert WINDOW.contains(few).all()
    assert few.max() > WINDOW.centre > few.min()


def test_mistakes_are_refused() -> None:
    @dataclass(frozen=True)
    class Lost(ExactBackground):
        def from_latent(self, z: np.ndarray, m: np.ndarray) -> np.ndarray:
            return np.where(z > 1, np.inf, z)

    with pytest.raises(DetectorError, match="oversampling of at least 1; got 0"):
        FlowTransport(SMALL, oversampling=0)
    with pytest.raises((DetectorError, TypeError)):
        FlowTransport(ExactBackground(2))
    x, m, _ = GaussianToy(2).draw(1)
    with pytest.raises(DetectorError, match="not finite after transport"):
        FlowTransport(Lost(2)).fit(x, m, WINDOW, seed=1)
    with pytest.raises(DetectorError, match="500 rows or more"):
        FlowTransport(ExactTransport(2)).fit(x[:600], m[:600], WINDOW, seed=1)
