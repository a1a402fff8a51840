"""Laws of kicked and observed mocks."""

from __future__ import annotations

import numpy as np
import pytest

from dm_map.errors import MockError
from dm_map.mocks import (
    SOLAR_BALL,
    SUN_POSITION,
    SUN_VELOCITY,
    Kicked,
    Plummer,
    SelectionGradient,
    ball_before_errors,
    kicked,
    milky_way,
    with_errors,
    with_selection,
)
from dm_map.stars import StarSample
from dm_map.volume import Ball

INNER = SOLAR_BALL.within(2.5)


@pytest.fixture(scope="module")
def stars() -> StarSample:
    return milky_way().sample(40_000, seed=1)


@pytest.mark.statistical
def test_a_kick_moves_every_star_and_leaves_no_edge_empty():
    mock = kicked(dz=0.5, dv_z=20.0)
    sample, relaxed = mock.sample(60_000, seed=2), mock.mock.sample(60_000, seed=3)
    error = np.std(sample.v[:, 2]) / np.sqrt(len(sample))
    assert np.mean(sample.v[:, 2]) == pytest.approx(20.0, abs=4.5 * error)

    def lowest(x: np.ndarray) -> int:
        """Stars low in a column around the Sun."""
        column = np.linalg.norm(x[:, :2] - np.asarray(SUN_POSITION[:2]), axis=1) < 2.0
        return int(np.sum(column & (x[:, 2] < -2.0) & (x[:, 2] > -2.8)))

    moved = relaxed.x + np.array([0.0, 0.0, 0.5])
    moved = moved[mock.volume.contains(moved)]
    expected = lowest(moved) * len(sample) / len(moved)
    assert abs(lowest(sample.x) - expected) < 4.5 * np.sqrt(2 * expected)
    # Negative control: a sample that is only shifted, from a ball that is not larger, lacks its lower edge.
    shifted = milky_way().sample(60_000, seed=4).x + np.array([0.0, 0.0, 0.5])
    depth = SOLAR_BALL.centre[2] - SOLAR_BALL.radius
    assert np.min(sample.x[:, 2]) < depth + 0.3 < np.min(shifted[:, 2])


def test_a_kicked_mock_keeps_its_field_and_shifts_its_scores():
    mock, base = kicked(dz=0.2, dv_z=15.0), milky_way(SOLAR_BALL.within(4.2))
    x, v = SOLAR_BALL.uniform(20, 5), np.random.default_rng(6).normal(0, 80, (20, 3))
    np.testing.assert_array_equal(mock.acceleration(x), base.acceleration(x))
    expected = base.scores(x - np.array([0, 0, 0.2]), v - np.array([0, 0, 15.0]))
    for mine, theirs in zip(mock.scores(x, v), expected, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-12)
    moved = base.sample_velocities(x - np.array([0, 0, 0.2]), seed=7) + np.array([0, 0, 15.0])
    np.testing.assert_array_equal(mock.sample_velocities(x, seed=7), moved)


def test_a_sphere_can_be_kicked_too():
    ball = Ball((0.0, 0.0, 0.0), 5.0)
    sample = Kicked(Plummer(), ball, dz=1.0, dv_z=0.3).sample(3000, seed=8)
    assert len(sample) == 3000 and sample.volume == ball
    assert np.median(sample.x[:, 2]) == pytest.approx(1.0, abs=0.1)
    with pytest.raises(MockError, match="larger ball"):
        Kicked(Plummer(), ball.within(9.5), dz=1.0).sample(10, seed=1)


def test_a_kick_from_too_small_a_ball_is_refused():
    with pytest.raises(MockError, match="larger ball"):
        Kicked(milky_way(), SOLAR_BALL, dz=0.1)


@pytest.mark.statistical
def test_a_selection_thins_the_stars_by_itself(stars):
    selection = SelectionGradient(SOLAR_BALL, (0.0, 0.2, 0.0))
    seen = with_selection(stars, selection, seed=9, known=True)
    assert seen.weights is not None
    expected = np.exp(selection(stars.x)).sum()
    assert len(seen) == pytest.approx(expected, abs=4.5 * np.sqrt(expected))
    # The weights undo it: the mean of y is that of all stars; without them it is not.
    error = np.std(stars.x[:, 1]) / np.sqrt(len(seen))
    assert np.average(seen.x[:, 1], weights=seen.weights) == pytest.approx(
        np.mean(stars.x[:, 1]), abs=6 * error
    )
    assert np.mean(seen.x[:, 1]) - np.mean(stars.x[:, 1]) > 10 * error
    assert with_selection(stars, selection, seed=9).weights is None


def test_a_gradient_is_complete_at_one_point_of_the_edge():
    selection = SelectionGradient(SOLAR_BALL, (0.1, 0.0, 0.0))
    edge = np.asarray(SOLAR_BALL.centre) + np.array([[4.0, 0.0, 0.0], [3.0, 0.0, 0.0], [-4.0, 0.0, 0.0]])
    np.testing.assert_allclose(selection(edge), [0.0, -0.1, -0.8], atol=1e-12)


def test_a_chance_above_one_is_refused(stars):
    with pytest.raises(MockError, match="ln S <= 0"):
        with_selection(stars, lambda x: 0.1 * np.ones(len(x)), seed=1)
    with pytest.raises(MockError, match="ln S <= 0"):
        with_selection(stars, lambda x: np.full(len(x), np.nan), seed=1)


def _far_stars(distance_error: float, n: int = 60_000) -> StarSample:
    source = ball_before_errors(INNER, distance_error)
    return milky_way(source).sample(n, seed=10)


@pytest.mark.statistical
def test_errors_have_the_covariance_that_is_quoted():
    """One star many times: the scatter of what is observed against the first-order covariance."""
    n, star = 40_000, np.array([-8.122 + 1.2, 0.9, 0.5])
    source = StarSample(np.tile(star, (n, 1)), np.tile([40.0, 150.0, -30.0], (n, 1)), SOLAR_BALL)
    seen = with_errors(source, INNER, seed=11, distance_error=0.02, velocity_error=2.0)
    assert len(seen) == n and seen.covariance is not None
    scatter = np.cov(np.concatenate([seen.x, seen.v], axis=1), rowvar=False)
    quoted = np.mean(seen.covariance, axis=0)
    scale = np.sqrt(np.outer(np.diag(quoted), np.diag(quoted)))
    assert np.abs((scatter - quoted) / scale).max() < 0.03
    # Negative control: without the tangential part the velocities scatter by 2 km/s alone.
    assert np.abs((scatter - np.diag([*np.diag(quoted)[:3], 4.0, 4.0, 4.0])) / scale).max() > 0.3


def test_proper_motions_are_what_they_were():
    source = _far_stars(0.1, 500)
    seen = with_errors(source, INNER, seed=12, velocity_error=0.0)

    def proper_motion(sample: StarSample) -> np.ndarray:
        apart, relative = sample.x - np.asarray(SUN_POSITION), sample.v - np.asarray(SUN_VELOCITY)
        distance = np.linalg.norm(apart, axis=1, keepdims=True)
        sight = apart / distance
        return np.concatenate(
            [(relative - np.sum(relative * sight, 1, keepdims=True) * sight) / distance, sight], 1
        )

    given, observed = proper_motion(source), proper_motion(seen)
    # The stars that are left, in order: found again by their direction.
    rows = [int(np.argmin(np.sum((given[:, 3:] - one[3:]) ** 2, axis=1))) for one in observed]
    np.testing.assert_allclose(observed, given[rows], rtol=1e-9, atol=1e-9)
    assert len(np.unique(rows)) == len(seen) > 0


@pytest.mark.statistical
def test_stars_scatter_in_across_the_edge():
    source = _far_stars(0.1)
    seen = with_errors(source, INNER, seed=13)
    truly = source.within(INNER)
    assert seen.volume == INNER and np.all(INNER.contains(seen.x))
    # More stars lie beyond the edge than inside it, so more come in than go out.
    assert len(seen) > len(truly)
    alike = with_errors(source, INNER, seed=13)
    assert np.array_equal(seen.x, alike.x) and np.array_equal(seen.v, alike.v)


def test_a_sample_that_ends_at_the_volume_cannot_be_observed(stars):
    with pytest.raises(MockError, match="larger ball"):
        with_errors(stars, SOLAR_BALL, seed=1)
    assert len(with_errors(stars, SOLAR_BALL, seed=1, distance_error=0.0)) == len(stars)
    seen = with_errors(stars, INNER, seed=1, distance_error=0.05)
    with pytest.raises(MockError, match="already"):
        with_errors(seen, INNER.within(1.0), seed=1)
    with pytest.raises(MockError, match="not negative"):
        with_errors(stars, INNER, seed=1, velocity_error=-1.0)
