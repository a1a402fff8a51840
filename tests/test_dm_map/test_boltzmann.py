"""Laws of the pointwise Boltzmann accelerations: exact on exact scores, honest about the rest."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dm_map.boltzmann import acceleration_from_scores
from dm_map.errors import AccelerationError
from dm_map.mocks import Plummer

PLUMMER = Plummer()


def _problem(positions: np.ndarray, n: int, seed: int):
    repeated = np.repeat(positions, n, axis=0)
    v = PLUMMER.sample_velocities(repeated, seed).reshape(-1, n, 3)
    x = repeated.reshape(v.shape)
    return v, *PLUMMER.scores(x, v)


coordinates = st.floats(-8, 8).filter(lambda value: abs(value) > 1e-3)


@given(
    positions=arrays(float, (4, 3), elements=coordinates), n=st.integers(6, 40), seed=st.integers(0, 2**31)
)
def test_exact_scores_give_the_exact_acceleration(positions, n, seed):
    a, residual, condition = acceleration_from_scores(*_problem(positions, n, seed))
    truth = PLUMMER.acceleration(positions)
    error = np.linalg.norm(a - truth, axis=1) / np.linalg.norm(truth, axis=1)
    assert np.all(error < 1e-8)
    assert np.all(residual < 1e-8) and np.all(condition >= 1)


def test_a_wrong_score_does_not_give_the_acceleration():
    """Negative control: scores of a twice hotter sphere leave a residual and a wrong answer."""
    positions = np.random.default_rng(1).normal(size=(20, 3))
    v, s_x, s_v = _problem(positions, 50, 2)
    a, _, _ = acceleration_from_scores(v, s_x, 0.5 * s_v)
    truth = PLUMMER.acceleration(positions)
    assert np.allclose(a, 2 * truth)
    noisy = s_x + np.random.default_rng(3).normal(size=s_x.shape)
    a, residual, _ = acceleration_from_scores(v, noisy, s_v)
    assert np.median(residual) > 0.1
    assert np.median(np.linalg.norm(a - truth, axis=1) / np.linalg.norm(truth, axis=1)) > 0.01


def test_the_frame_does_not_matter():
    """Turning positions, velocities and scores turns the acceleration."""
    rotation = np.linalg.qr(np.random.default_rng(4).normal(size=(3, 3)))[0]
    v, s_x, s_v = _problem(np.random.default_rng(5).normal(size=(6, 3)), 30, 6)
    noise = np.random.default_rng(7).normal(size=s_x.shape)
    straight = acceleration_from_scores(v, s_x + noise, s_v)
    turned = acceleration_from_scores(v @ rotation, (s_x + noise) @ rotation, s_v @ rotation)
    np.testing.assert_allclose(turned.a, straight.a @ rotation, atol=1e-10)
    np.testing.assert_allclose(turned.residual, straight.residual)


def test_weights_count_velocities():
    v, s_x, s_v = _problem(np.random.default_rng(8).normal(size=(3, 3)), 20, 9)
    s_x = s_x + np.random.default_rng(10).normal(size=s_x.shape)
    weights = np.random.default_rng(11).integers(0, 4, (3, 20)).astype(float)
    weighted = acceleration_from_scores(v, s_x, s_v, weights)
    for row in range(3):
        index = np.repeat(np.arange(20), weights[row].astype(int))
        repeated = acceleration_from_scores(*(part[row : row + 1, index] for part in (v, s_x, s_v)))
        np.testing.assert_allclose(weighted.a[row], repeated.a[0], rtol=1e-10)


def test_it_is_equation_two():
    v, s_x, s_v = _problem(np.random.default_rng(12).normal(size=(1, 3)), 30, 13)
    s_x = s_x + np.random.default_rng(14).normal(size=s_x.shape)
    normal = s_v[0].T @ s_v[0]
    expected = -np.linalg.solve(normal, s_v[0].T @ np.sum(v[0] * s_x[0], axis=1))
    np.testing.assert_allclose(acceleration_from_scores(v, s_x, s_v).a[0], expected, rtol=1e-9)


def test_undetermined_directions_are_refused_with_the_position():
    v, s_x, s_v = _problem(np.random.default_rng(15).normal(size=(3, 3)), 20, 16)
    s_v[1, :, 2] = 0.0
    with pytest.raises(AccelerationError, match="position 1"):
        acceleration_from_scores(v, s_x, s_v)


def test_bad_input_is_refused():
    v, s_x, s_v = _problem(np.random.default_rng(17).normal(size=(2, 3)), 5, 18)
    with pytest.raises(AccelerationError, match=r"\(2, 2\)"):
        acceleration_from_scores(v[:, :2], s_x[:, :2], s_v[:, :2])
    s_x[1, 3, 0] = np.nan
    with pytest.raises(AccelerationError, match="position 1, velocity 3"):
        acceleration_from_scores(v, s_x, s_v)
    with pytest.raises(AccelerationError, match="non-negative"):
        acceleration_from_scores(v, s_v, s_v, -np.ones((2, 5)))
