"""The global linear form: exact scores give the exact field, up to what the dictionary can follow."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from dm_map.errors import PotentialError
from dm_map.flows.score_sample import ScoreSample
from dm_map.mocks.galaxies import barred, milky_way, triaxial
from dm_map.potential import (
    Dictionary,
    bars,
    density_points,
    free_form_layer,
    galactic_dictionary,
    potential_from_scores,
    scan_pattern_speed,
    tail_weights,
)

STARS = 8000


@cache
def _exact(make):
    mock = make()
    stars = mock.sample(STARS, seed=1)
    s_x, s_v = mock.scores(stars.x, stars.v)
    return mock, ScoreSample(stars.x, stars.v, s_x[None], s_v[None], mock.volume)


def _errors(field, mock):
    x = mock.volume.within(3.0).uniform(300, seed=2)
    truth = mock.acceleration(x)
    relative = np.linalg.norm(field.acceleration(x) - truth, axis=1) / np.linalg.norm(truth, axis=1)
    return float(np.median(relative)), float(np.median(np.abs(field.density(x) / mock.density(x) - 1)))


def test_exact_scores_return_the_exact_field():
    mock, scores = _exact(milky_way)
    fit = potential_from_scores(scores, galactic_dictionary(mock.volume))
    a, rho = _errors(fit.potential, mock)
    assert a < 1e-3 and rho < 0.02 and fit.residual < 1e-3
    assert fit.solution.certificate < 1e-9 and np.all(fit.potential.coefficients >= 0)


def test_the_residual_sees_a_field_that_the_dictionary_cannot_follow():
    mock, scores = _exact(triaxial)
    smooth = potential_from_scores(scores, galactic_dictionary(mock.volume))
    dictionary = galactic_dictionary(mock.volume) + free_form_layer(mock.volume)
    free = potential_from_scores(scores, dictionary)
    assert _errors(free.potential, mock)[0] < 0.005 < 0.02 < _errors(smooth.potential, mock)[0]
    assert free.residual < 0.3 * smooth.residual
    constrained = density_points(mock.volume)
    assert np.all(free.potential.density(constrained) > -1e-9)


def test_a_rotating_bar_needs_its_frame():
    mock, scores = _exact(barred)
    dictionary = galactic_dictionary(mock.volume) + bars(mock.volume)
    right = potential_from_scores(scores, dictionary, pattern_speed=mock.pattern_speed)
    ignored = potential_from_scores(scores, dictionary)
    fitted = potential_from_scores(scores, dictionary, pattern_speed="fit")
    assert _errors(right.potential, mock)[0] < 5e-3 and right.potential.pattern_speed == mock.pattern_speed
    assert ignored.residual > 10 * right.residual
    assert abs(fitted.potential.pattern_speed - mock.pattern_speed) < 0.1


def test_a_scan_finds_the_pattern_speed():
    mock, scores = _exact(barred)
    dictionary = galactic_dictionary(mock.volume) + bars(mock.volume)
    scan = scan_pattern_speed(
        lambda speed: potential_from_scores(scores, dictionary, pattern_speed=speed), [-40, -30, -20, -10]
    )
    assert abs(scan.best - mock.pattern_speed) < 1.0 and not scan.at_edge
    beyond = scan_pattern_speed(
        lambda speed: potential_from_scores(scores, dictionary, pattern_speed=speed), [0, 10, 20]
    )
    assert beyond.at_edge and beyond.best == 0


def test_members_are_fits_to_each_flow():
    mock, scores = _exact(milky_way)
    rng = np.random.default_rng(3)
    noisy = scores.s_x * (1 + 0.05 * rng.normal(size=(4, STARS, 1)))
    many = ScoreSample(scores.x, scores.v, noisy, np.repeat(scores.s_v, 4, axis=0), mock.volume)
    dictionary = galactic_dictionary(mock.volume)
    fit = potential_from_scores(many, dictionary)
    assert fit.potential.members.shape == (4, len(dictionary)) and fit.member_residuals.shape == (4,)
    assert fit.residual < fit.member_residuals.min()
    alone = ScoreSample(scores.x, scores.v, noisy[2:3], scores.s_v, mock.volume)
    again = potential_from_scores(alone, dictionary)
    assert np.allclose(
        again.potential.acceleration(scores.x[:9]), fit.potential.member_accelerations(scores.x[:9])[2]
    )


def test_chunks_do_not_matter(monkeypatch):
    mock, scores = _exact(milky_way)
    dictionary = galactic_dictionary(mock.volume, ("halo",))
    whole = potential_from_scores(scores, dictionary)
    monkeypatch.setattr("dm_map.potential.from_scores._CHUNK", 999)
    parts = potential_from_scores(scores, dictionary)
    assert np.allclose(
        whole.potential.acceleration(scores.x[:9]), parts.potential.acceleration(scores.x[:9]), rtol=1e-6
    )


def test_weights_fall_smoothly_to_zero_in_the_tails():
    rng = np.random.default_rng(4)
    v = rng.normal(size=(1000, 3)) * (10.0, 20.0, 30.0) + (0.0, 200.0, 0.0)
    v[0] = (0.0, 900.0, 0.0)
    w = tail_weights(v)
    assert w[0] == 0 and np.all((w >= 0) & (w <= 1)) and np.median(w) > 0.6
    with pytest.raises(PotentialError, match="velocities that differ"):
        tail_weights(np.ones((10, 3)))


def test_what_cannot_be_fitted_is_refused():
    mock, scores = _exact(milky_way)
    dictionary = galactic_dictionary(mock.volume)
    few = ScoreSample(scores.x[:9], scores.v[:9], scores.s_x[:, :9], scores.s_v[:, :9], mock.volume)
    with pytest.raises(PotentialError, match=r"as many points of phase space at least; got 9"):
        potential_from_scores(few, dictionary)
    with pytest.raises(PotentialError, match="non-negative"):
        potential_from_scores(scores, dictionary, weights=-np.ones(STARS))
    with pytest.raises(PotentialError, match="axisymmetric"):
        potential_from_scores(scores, dictionary, pattern_speed="fit")
    with pytest.raises(PotentialError, match="needs a volume"):
        potential_from_scores(scores, Dictionary(free_form_layer(mock.volume, 3.0).components))
    with pytest.raises(PotentialError, match="three or more"):
        scan_pattern_speed(lambda speed: potential_from_scores(scores, dictionary), [1, 1, 2])
