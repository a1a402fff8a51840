"""Selection functions: weights undo a selection, a learned one is calibrated, and its limits are told."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from density.classifiers import BoostedTrees, Calibrated
from dm_map.errors import SampleError, VolumeError
from dm_map.input import (
    GivenSelection,
    LogLinearSelection,
    SelectionFunction,
    SelectionWarning,
    select_weights,
)
from dm_map.input.learned_selection import PolynomialLogistic, SelectionRecipe
from dm_map.stars import StarSample
from dm_map.volume import Ball

BALL = Ball((-8.0, 0.0, 0.0), 2.0)
GRADIENT = LogLinearSelection((0.4, 0.0, -0.2), BALL.centre)


def positions(n: int, seed: int) -> np.ndarray:
    return BALL.uniform(n, seed)


def thinned(x: np.ndarray, seed: int) -> np.ndarray:
    """Which of the stars are selected, S = 1 at its largest."""
    log_s = GRADIENT.log_selection(x)
    return np.log(np.random.default_rng(seed).random(len(x))) < log_s - log_s.max()


def cubic_noise(one: int, other: int) -> float:
    """Root mean square error of log-odds with 20 coefficients, averaged over the stars."""
    return np.sqrt(20 * (1 / one + 1 / other))


def sample(n: int = 40_000, seed: int = 1) -> StarSample:
    x = positions(n, seed)
    x = x[thinned(x, seed + 1)]
    return StarSample(x, np.zeros_like(x), BALL)


@pytest.mark.statistical
def test_weights_undo_the_selection():
    """The mean position is the centre again; negative control: without weights it is far from it."""
    stars = sample()
    weighted, report = select_weights(stars, GRADIENT)
    spread = BALL.radius / np.sqrt(5 * report.effective)
    centre = np.average(stars.x, axis=0, weights=weighted.weights) - BALL.centre
    assert np.all(np.abs(centre) < 5 * spread)
    assert np.any(np.abs(stars.x.mean(axis=0) - BALL.centre) > 10 * spread)
    assert report.effective < len(stars) and report.below == 0
    assert weighted.weights.mean() == pytest.approx(1)


def test_weights_multiply():
    stars = sample(2000)
    once, _ = select_weights(stars, GRADIENT)
    twice, _ = select_weights(once, GRADIENT, floor=0.0)
    np.testing.assert_allclose(twice.weights, once.weights**2 / np.mean(once.weights**2))
    constant, report = select_weights(stars, GivenSelection(lambda x: np.full(len(x), -3.0)))
    np.testing.assert_allclose(constant.weights, 1)
    assert report.effective == pytest.approx(len(stars)) and report.lowest == 1


def test_a_selection_that_is_too_small_is_told():
    stars, steep = sample(2000), LogLinearSelection((3.0, 0.0, 0.0))
    with pytest.raises(SampleError, match=r"below 0\.05 of its largest value"):
        select_weights(stars, steep)
    with pytest.warns(SelectionWarning, match="carry the floor's weight"):
        weighted, report = select_weights(stars, steep, on_floor="warn")
    assert report.below > 0 and weighted.weights.max() / weighted.weights.min() == pytest.approx(20)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (
            lambda: select_weights(sample(99), GivenSelection(lambda x: np.full(len(x), -np.inf))),
            "ln S is -inf",
        ),
        (lambda: select_weights(sample(99), GivenSelection(lambda x: x)), "returns ln S of shape"),
        (lambda: select_weights(sample(99), GRADIENT, floor=1.5), "floor"),
        (lambda: select_weights(sample(99), GRADIENT, on_floor="ignore"), "ignore"),
        (lambda: LogLinearSelection((1.0, float("nan"), 0.0)), "gradient"),
        (lambda: SelectionRecipe(held_out=0.0), "held out"),
        (lambda: PolynomialLogistic(degree=0), "degree"),
        (lambda: SelectionRecipe().fit(positions(99, 1), positions(999, 2), BALL, seed=1), "at least 500"),
    ],
)
def test_wrong_selections_are_told(make, told):
    with pytest.raises(SampleError, match=told):
        make()


@pytest.mark.statistical
def test_a_selection_is_learned_from_a_reference():
    """Level and shape within the noise of a cubic fit, calibrated, and better than a constant."""
    stars, reference = sample(), positions(60_000, 5)
    learned = SelectionRecipe().fit(stars.x, reference, BALL, seed=1)
    at = BALL.within(1.6).uniform(2000, 6)
    # The reference has 1.5 times the stars that the sample was thinned from.
    found = np.exp(learned.log_selection(at)) * 1.5
    log_s = GRADIENT.log_selection(at) - GRADIENT.log_selection(positions(40_000, 1)).max()
    assert np.sqrt(np.mean((found / np.exp(log_s) - 1) ** 2)) < 2 * cubic_noise(len(stars), len(reference))
    assert learned.check.p_value > 1e-3 and learned.check.gain > 0.005
    weighted, _ = select_weights(stars, learned)
    centre = np.average(stars.x, axis=0, weights=weighted.weights) - BALL.centre
    assert np.all(
        np.abs(centre) < 5 * BALL.radius / np.sqrt(5 * len(stars)) * np.sqrt(1 + len(stars) / 60_000)
    )
    assert isinstance(learned, SelectionFunction)
    again = pickle.loads(pickle.dumps(learned))
    np.testing.assert_array_equal(again.log_selection(at), learned.log_selection(at))


@pytest.mark.statistical
def test_a_selection_is_learned_from_members():
    x = positions(60_000, 7)
    member = thinned(x, 8)
    learned = SelectionRecipe().fit_members(x, member, BALL, seed=2)
    truth = np.exp(GRADIENT.log_selection(x) - GRADIENT.log_selection(x).max())
    inside = BALL.fraction_of_radius(x) < 0.8
    found = np.exp(learned.log_selection(x))
    assert np.max(found) < 1
    noise = cubic_noise(int(member.sum()), int((~member).sum()))
    assert np.sqrt(np.mean((found / truth - 1)[inside] ** 2)) < 2 * noise
    assert learned.check.p_value > 1e-3


@pytest.mark.statistical
def test_the_check_sees_a_selection_that_the_model_cannot_follow():
    """Negative control: a dark cloud inside the ball, to which a plane is blind; trees see it."""
    x = positions(40_000, 9)
    cloud = np.linalg.norm(x - BALL.centre, axis=1) < 1.0
    member = np.random.default_rng(10).random(len(x)) < np.where(cloud, 0.2, 0.8)
    plane = SelectionRecipe(PolynomialLogistic(degree=1)).fit_members(x, member, BALL, seed=3)
    trees = Calibrated(BoostedTrees(members=2, rounds=60), folds=2)
    flexible = SelectionRecipe(trees).fit_members(x, member, BALL, seed=3)
    assert abs(plane.check.gain) < 0.002 < 0.02 < flexible.check.gain
    held = positions(20_000, 11)
    inner = np.linalg.norm(held - BALL.centre, axis=1) < 0.8
    # The share of the true contrast, cloud against average, that each of them sees.
    mean = member.mean()
    seen = [
        (mean - np.exp(fit.log_selection(held[inner])).mean()) / (mean - 0.2) for fit in (plane, flexible)
    ]
    assert seen[0] < 0.1 and seen[1] > 0.85


def test_a_learned_selection_does_not_extrapolate():
    learned = SelectionRecipe(PolynomialLogistic(1)).fit(positions(900, 1), positions(900, 2), BALL, seed=1)
    with pytest.raises(VolumeError):
        learned.log_selection(np.array([[0.0, 0.0, 0.0]]))
