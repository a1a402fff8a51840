"""Laws of the checks on stars: the sampling law holds, and each fault moves the mean that it should."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from harmonic_toy import HarmonicStars
from scipy import stats

from dm_map.diagnostics import DiagnosticError
from dm_map.diagnostics.stars import Bumps, continuity_rows, mean_test, momentum_rows, speed_rows

CLEAN = HarmonicStars()
ROTATING = HarmonicStars(omega=(1.2, 1.0, 1.5), pattern=0.4)


def _tests(toy: HarmonicStars, n: int, seed: int, pattern: float = 0.0):
    sample = toy.sample(n, seed)
    a, ones = toy.acceleration(sample.x), np.ones(n)
    rows, slopes = speed_rows(sample, a, pattern)
    return (
        mean_test(continuity_rows(sample, pattern), ones),
        mean_test(rows, ones, slopes),
        mean_test(momentum_rows(sample, a, pattern), ones),
    )


@pytest.mark.statistical
def test_p_values_are_uniform_for_stationary_stars():
    drawn = [_tests(CLEAN, 2000, seed) for seed in range(150)]
    for kind in range(3):
        p = np.array([tests[kind].p_value for tests in drawn])
        assert stats.kstest(p, "uniform").pvalue > 1e-3, kind
    # Negative control: those of moving stars are not.
    moved = replace(CLEAN, motion=(0.0, 0.0, 0.1))
    p = [_tests(moved, 2000, seed)[0].p_value for seed in range(50)]
    assert stats.kstest(p, "uniform").pvalue < 1e-3


def test_bumps_vanish_at_the_edge_and_have_their_gradients():
    sample = CLEAN.sample(50, 1)
    bumps, step = Bumps.at(sample, degree=2), 1e-6
    for axis in range(3):
        shift = step * np.eye(3)[axis]
        kept = sample.volume.contains(sample.x + shift) & sample.volume.contains(sample.x - shift)
        inside = sample.take(np.flatnonzero(kept))
        ahead, behind = (Bumps.at(replace(inside, x=inside.x + side * shift)) for side in (1, -1))
        slope = (ahead.value - behind.value) / (2 * step)
        np.testing.assert_allclose(Bumps.at(inside).gradient[..., axis], slope, atol=1e-8)
    edge = replace(
        sample, x=np.asarray(sample.volume.centre) + (1 - 1e-12) * sample.volume.radius * np.eye(3)[[0] * 50]
    )
    assert np.abs(Bumps.at(edge, degree=2).value).max() < 1e-11 < np.abs(bumps.value).max()


def test_motion_breaks_continuity_and_a_displacement_does_not():
    moved, displaced = (
        replace(CLEAN, **fault) for fault in ({"motion": (0.0, 0.0, 0.2)}, {"displacement": (0.0, 0.0, 0.3)})
    )
    assert _tests(moved, 20_000, 1)[0].p_value < 1e-6
    assert _tests(displaced, 20_000, 1)[0].p_value > 1e-3
    # But the field in which the displaced stars would rest is another.
    assert _tests(displaced, 20_000, 1)[2].p_value < 1e-6


def test_a_rotating_pattern_is_seen_unless_its_frame_is_used():
    assert _tests(replace(ROTATING, omega=(1.5, 1.0, 1.5)), 40_000, 2)[0].p_value < 1e-3
    assert all(found.p_value > 1e-3 for found in _tests(ROTATING, 40_000, 2, pattern=0.4))


def test_slow_and_fast_stars_disagree_under_a_selection_but_not_at_one_temperature():
    selection = {"selection": (0.5, 0.0, 0.0)}
    assert _tests(replace(CLEAN, **selection), 40_000, 3)[1].p_value < 1e-3
    single = HarmonicStars(sigmas=(1.0,), shares=(1.0,), **selection)
    assert _tests(single, 40_000, 3)[1].p_value > 1e-3
    # Nor does it move the stars.
    assert _tests(single, 40_000, 3)[0].p_value > 1e-3


def test_weights_undo_a_known_selection():
    sample = replace(CLEAN, selection=(0.5, 0.0, 0.0)).sample(40_000, 4)
    weighted = replace(sample, weights=np.exp(-0.5 * sample.x[:, 0]))
    rows = momentum_rows(weighted, CLEAN.acceleration(weighted.x))
    assert mean_test(rows, weighted.unit_weights).p_value > 1e-3
    rows = momentum_rows(sample, CLEAN.acceleration(sample.x))
    assert mean_test(rows, sample.unit_weights).p_value < 1e-6


def test_a_constant_error_of_the_acceleration_is_forgiven_in_the_speed_test_only():
    sample = CLEAN.sample(20_000, 5)
    wrong = CLEAN.acceleration(sample.x) + np.array([0.3, 0.0, 0.0])
    rows, slopes = speed_rows(sample, wrong)
    assert mean_test(rows, sample.unit_weights, slopes).p_value > 1e-3
    assert mean_test(momentum_rows(sample, wrong), sample.unit_weights).p_value < 1e-6


def test_too_few_stars_are_refused_with_their_number():
    sample = CLEAN.sample(60, 6)
    with pytest.raises(DiagnosticError, match="100 held-out stars or more; got 60"):
        mean_test(continuity_rows(sample), sample.unit_weights)
