"""Laws of every mock: stationary where it says so, scores and field consistent, draws reproducible."""

from __future__ import annotations

import numpy as np
import pytest

from dm_map.boltzmann import acceleration_from_scores
from dm_map.errors import MockError
from dm_map.mocks import MOCKS, Mock, make_mock

STATIONARY = sorted(set(MOCKS) - {"kicked"})


@pytest.fixture(scope="module")
def mocks() -> dict[str, Mock]:
    return {name: make_mock(name) for name in MOCKS}


@pytest.fixture(scope="module")
def samples(mocks):
    return {name: mock.sample(2000, seed=1) for name, mock in mocks.items()}


def _gradient(function, x: np.ndarray, step: float) -> np.ndarray:
    """Five-point rule, new axis last."""
    shifts = step * np.eye(3)
    parts = [
        (8 * (function(x + s) - function(x - s)) - (function(x + 2 * s) - function(x - 2 * s))) / (12 * step)
        for s in shifts
    ]
    return np.stack(parts, axis=-1)


def _about_z(x: np.ndarray) -> np.ndarray:
    return np.stack([-x[..., 1], x[..., 0], np.zeros_like(x[..., 0])], axis=-1)


def _velocities(mock: Mock, x: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    repeated = np.repeat(x, n, axis=0)
    v = mock.sample_velocities(repeated, seed=2)
    return repeated.reshape(len(x), n, 3), v.reshape(len(x), n, 3)


def _residual(mock: Mock, x: np.ndarray, v: np.ndarray, pattern_speed: float) -> float:
    """Largest (v - Omega z x x) . s_x + (a - Omega z x v) . s_v, against the size of its terms."""
    s_x, s_v = mock.scores(x, v)
    streaming = np.sum((v - pattern_speed * _about_z(x)) * s_x, axis=-1)
    pull = np.sum((mock.acceleration(x) - pattern_speed * _about_z(v)) * s_v, axis=-1)
    return float(np.max(np.abs(streaming + pull)) / np.sqrt(np.mean(streaming**2)))


@pytest.mark.parametrize("name", MOCKS)
def test_every_mock_is_one_and_knows_its_name(mocks, name):
    mock = mocks[name]
    assert isinstance(mock, Mock) and mock.name == name
    assert mock.stationary == (name in STATIONARY)


@pytest.mark.parametrize("name", STATIONARY)
def test_the_boltzmann_equation_holds_in_the_frame_of_the_field(mocks, samples, name):
    mock, sample = mocks[name], samples[name]
    assert _residual(mock, sample.x, sample.v, mock.pattern_speed) < 1e-8


@pytest.mark.parametrize("name", sorted(set(STATIONARY) - {"barred"}))
def test_exact_scores_give_the_exact_acceleration(mocks, samples, name):
    mock = mocks[name]
    x, v = _velocities(mock, samples[name].x[:100], 20)
    answer = acceleration_from_scores(v, *mock.scores(x, v))
    truth = mock.acceleration(x[:, 0])
    error = np.linalg.norm(answer.a - truth, axis=1) / np.linalg.norm(truth, axis=1)
    assert error.max() < 1e-8 and answer.residual.max() < 1e-8


def test_exact_scores_give_the_exact_acceleration_in_the_frame_of_a_bar(mocks, samples):
    mock = mocks["barred"]
    x, v = _velocities(mock, samples["barred"].x[:100], 20)
    s_x, s_v = mock.scores(x, v)
    turning = np.sum(_about_z(x) * s_x, axis=-1) + np.sum(_about_z(v) * s_v, axis=-1)
    known = np.sum(v * s_x, axis=-1) - mock.pattern_speed * turning
    a = np.stack([-np.linalg.lstsq(s, k, rcond=None)[0] for s, k in zip(s_v, known, strict=True)])
    np.testing.assert_allclose(a, mock.acceleration(x[:, 0]), rtol=1e-8, atol=1e-6)
    # Negative control: with the rotation ignored no acceleration satisfies the equation.
    assert np.median(acceleration_from_scores(v, s_x, s_v).residual) > 0.05


@pytest.mark.parametrize(("name", "pattern_speed"), [("kicked", 0.0), ("barred", 0.0)])
def test_what_is_not_stationary_in_a_frame_at_rest_shows(mocks, samples, name, pattern_speed):
    """Negative control of the residual."""
    assert _residual(mocks[name], samples[name].x, samples[name].v, pattern_speed) > 0.05


@pytest.mark.parametrize("name", MOCKS)
def test_scores_are_the_gradients_of_the_log_density(mocks, samples, name):
    mock, x, v = mocks[name], samples[name].x[:200], samples[name].v[:200]
    natural = mock.units.length == ""
    # Bound velocities stay bound when shifted.
    x, v = (np.where(np.linalg.norm(x, axis=1, keepdims=True) < 0.1, 1.0, x), 0.5 * v) if natural else (x, v)
    s_x, s_v = mock.scores(x, v)
    steps = (1e-3, 1e-3) if natural else (1e-2, 1.0)
    of_x = _gradient(lambda at: mock.log_density(at, v), x, steps[0])
    of_v = _gradient(lambda at: mock.log_density(x, at), v, steps[1])
    assert np.abs(of_x - s_x).max() < 1e-5 * np.abs(s_x).max()
    assert np.abs(of_v - s_v).max() < 1e-5 * np.abs(s_v).max()


@pytest.mark.parametrize("name", MOCKS)
def test_potential_acceleration_and_mass_density_belong_together(mocks, samples, name):
    mock = mocks[name]
    natural = mock.units.length == ""
    x = np.random.default_rng(3).normal(0, 1.5, (200, 3)) if natural else samples[name].x[:200]
    a = mock.acceleration(x)
    slope = -_gradient(mock.potential, x, 3e-3)
    assert np.max(np.linalg.norm(slope - a, axis=1) / np.linalg.norm(a, axis=1)) < 1e-5
    divergence = np.trace(_gradient(mock.acceleration, x, 3e-3), axis1=-2, axis2=-1)
    np.testing.assert_allclose(mock.units.rho_per_divergence * divergence, mock.density(x), rtol=1e-3)
    assert np.all(mock.density(samples[name].volume.uniform(20_000, 5)) > 0)


@pytest.mark.parametrize("name", MOCKS)
def test_draws_are_inside_and_reproducible(mocks, samples, name):
    mock, sample = mocks[name], samples[name]
    assert len(sample) == 2000 and (mock.volume is None or sample.volume == mock.volume)
    assert np.all(sample.volume.contains(sample.x)) and np.all(
        np.isfinite(mock.log_density(sample.x, sample.v))
    )
    again, other = mock.sample(2000, seed=1), mock.sample(2000, seed=2)
    assert np.array_equal(again.x, sample.x) and np.array_equal(again.v, sample.v)
    assert not np.any(np.all(other.x == sample.x, axis=1))
    assert len(mock.sample(0, seed=1)) == 0
    with pytest.raises(MockError, match="-1"):
        mock.sample(-1, seed=0)


@pytest.mark.parametrize("name", MOCKS)
def test_one_position_may_come_alone(mocks, samples, name):
    mock, x, v = mocks[name], samples[name].x[0], samples[name].v[0]
    assert mock.potential(x).shape == mock.density(x).shape == mock.log_density(x, v).shape == ()
    assert mock.acceleration(x).shape == (3,) and mock.scores(x, v)[0].shape == (3,)


@pytest.mark.statistical
@pytest.mark.parametrize("name", MOCKS)
def test_stein_identities_hold_for_drawn_velocities(mocks, samples, name):
    """<s_v> = 0 and <v s_v> = -1, component by component, for any f that vanishes at large v."""
    mock, sample = mocks[name], mocks[name].sample(40_000, seed=4)
    s_v = mock.scores(sample.x, sample.v)[1]

    def deviations(v: np.ndarray) -> np.ndarray:
        terms = np.concatenate([s_v, v * s_v + 1.0], axis=1)
        return np.mean(terms, axis=0) / (np.std(terms, axis=0) / np.sqrt(len(v)))

    assert np.abs(deviations(sample.v)).max() < 4.5
    # Negative control: velocities 10 % too large.
    assert np.abs(deviations(1.1 * sample.v)).max() > 4.5


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(MockError, match=r"milkyway.*milky-way"):
        make_mock("milkyway")
