"""Laws of the neural classifier, against log-ratios that are known."""

from __future__ import annotations

import pickle
from functools import cache

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from density import Classifier, DetectorError, FittedClassifier, TrainingError
from density.mlp import FittedMlp, Mlp

SMALL = Mlp(members=2, hidden=(32, 32), epochs=25)


def two_gaussians(n: int, share: float, seed: int, width: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Unit Gaussians at -1/2 and 1/2 in the first column: the log-ratio is that column."""
    random = np.random.default_rng(seed)
    y = np.arange(n) < share * n
    x = random.standard_normal((n, width))
    x[:, 0] += np.where(y, 0.5, -0.5)
    return x, y


@cache
def fitted(share: float, width: int = 2) -> FittedMlp:
    torch.set_num_threads(1)
    return SMALL.fit(*two_gaussians(12_000, share, 1, width), seed=2)


@pytest.mark.parametrize("width", [2, 4])
@pytest.mark.parametrize("share", [0.5, 0.1])
def test_log_odds_are_the_true_log_ratio_whatever_the_shares(share: float, width: int) -> None:
    x, _ = two_gaussians(3000, 0.5, 3, width)
    error = fitted(share, width).log_odds(x) - x[:, 0]
    assert np.sqrt(np.mean(error**2)) < 0.3
    assert abs(error.mean()) < 0.15
    # Negative control: odds with the shares left in miss by their logarithm.
    if share == 0.1:
        assert abs(np.mean(error + np.log(share / (1 - share)))) > 1


def test_weights_of_a_whole_class_change_nothing_and_weights_within_it_do() -> None:
    x, y = two_gaussians(6000, 0.3, 1)
    plain = SMALL.fit(x, y, seed=2).log_odds(x[:500])
    np.testing.assert_allclose(
        SMALL.fit(x, y, np.where(y, 5.0, 1.0), seed=2).log_odds(x[:500]), plain, atol=0.02
    )
    # Weighting class 1 by exp(x0) moves its mean up by one: the log-ratio gains slope one.
    tilted = SMALL.fit(x, y, np.where(y, np.exp(x[:, 0]), 1.0), seed=2)
    at = np.column_stack([np.linspace(-1, 1.5, 40), np.zeros(40)])
    assert np.polyfit(at[:, 0], tilted.log_odds(at), 1)[0] == pytest.approx(2.0, abs=0.5)


def test_blind_to_row_order_and_to_the_global_random_state() -> None:
    x, y = two_gaussians(3000, 0.4, 1)
    order = np.random.default_rng(0).permutation(3000)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    one = SMALL.fit(x, y, seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    two = SMALL.fit(x[order], y[order], seed=1)
    np.testing.assert_array_equal(one.log_odds(x), two.log_odds(x))
    assert not np.allclose(SMALL.fit(x, y, seed=2).log_odds(x), one.log_odds(x))


def test_shuffled_labels_teach_nothing() -> None:
    x, y = two_gaussians(4000, 0.5, 1)
    fresh_x, fresh_y = two_gaussians(4000, 0.5, 9)
    shuffled = SMALL.fit(x, np.random.default_rng(0).permutation(y), seed=1)
    assert abs(roc_auc_score(fresh_y, shuffled.log_odds(fresh_x)) - 0.5) < 0.15
    assert np.abs(shuffled.log_odds(fresh_x)).mean() < 0.2
    assert roc_auc_score(fresh_y, fitted(0.5).log_odds(fresh_x)) > 0.74


def test_inputs_of_any_scale_or_none_are_taken() -> None:
    x, y = two_gaussians(4000, 0.5, 1)
    scaled = np.column_stack([1e6 * x[:, 0] + 1e8, 1e-9 * x[:, 1], np.full(len(x), 7.0)])
    plain = SMALL.fit(x, y, seed=1)
    wide = SMALL.fit(scaled, y, seed=1)
    assert np.corrcoef(plain.log_odds(x), wide.log_odds(scaled))[0, 1] > 0.98


def test_contract_pickle_and_errors() -> None:
    net = fitted(0.5)
    x, y = two_gaussians(200, 0.5, 1)
    assert isinstance(SMALL, Classifier)
    assert isinstance(net, FittedClassifier)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(net)).log_odds(x), net.log_odds(x))
    assert net.log_odds(np.empty((0, 2))).shape == (0,)
    with pytest.raises(DetectorError, match="got 3 and 197"):
        SMALL.fit(x, np.arange(200) < 3, seed=1)
    with pytest.raises(DetectorError, match="at least 1"):
        Mlp(members=0)
    with pytest.raises(DetectorError, match="validation_fraction"):
        Mlp(validation_fraction=1.0)
    with pytest.raises(TrainingError, match="two seeds, at rate 1e\\+30"):
        Mlp(learning_rate=1e30, members=1).fit(x, y, seed=1)
