"""Laws of the search of a patch: what is planted is found, however the sky is written down."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from likelihood_skies import FOOTPRINT, RECIPE, Planted, likelihood_sky, reordered, small_cells

from sky_patches import Hole, WithHoles
from streams.likelihood import LikelihoodError, search
from streams.likelihood.sight import PatchSight

STREAM = Planted(45)


def _search(sky, recipe=RECIPE, footprint=FOOTPRINT, **options):
    return search(sky.stars, footprint, sky.log_background, recipe, **options)


@cache
def _planted():
    return likelihood_sky(1, 6000, STREAM)


@cache
def _found():
    return _search(_planted())


def test_a_stream_of_forty_five_stars_is_found_where_it_is():
    best = _found().peaks[0]
    assert best.theta == pytest.approx(STREAM.theta, abs=0.03) and abs(best.offset - STREAM.offset) < 0.15
    assert np.abs(np.subtract(best.motion, STREAM.motion)).max() < 0.3
    assert best.significance > _found().peaks[1].significance + 2.0
    assert _found().false_alarm_probabilities()[0] < 0.01
    member = _planted().member
    assert member[best.rows].sum() > 30 and member[best.rows[:20]].mean() > 0.8
    assert np.all(np.diff(best.weights) <= 0)
    # Stars that weigh less than `least_weight` are in the sum and not in the list.
    assert 0.98 * best.observed < best.weights.sum() <= best.observed


def test_one_stream_is_one_peak(monkeypatch):
    """Control: where stars may speak for every line, its neighbours fill the list."""
    assert all(_planted().member[one.rows].sum() < 20 for one in _found().peaks[1:])
    monkeypatch.setattr(PatchSight, "membership", _nobody)
    shadows = _search(_planted()).peaks[1:]
    assert sum(_planted().member[one.rows].sum() >= 20 for one in shadows) >= 3


def _nobody(sight, line, stretch=None):
    return np.zeros(len(sight.features))


def test_a_strong_stream_does_not_hide_a_weak_one(monkeypatch):
    """Control: where the strong one's stars stay, its shadows fill the list."""
    weak = Planted(40, theta=np.radians(100.0), offset=-1.0, motion=(-4.0, 4.0))
    sky = likelihood_sky(5, 6000, Planted(500), weak)

    def of_weak(peaks):
        return [int((sky.origin[one.rows] == 2).sum()) for one in peaks]

    found = _search(sky)
    assert sky.member[found.peaks[0].rows].sum() > 400
    assert of_weak(found.peaks)[1] > 25 and found.false_alarm_probabilities()[1] < 0.01
    assert all(sky.member[one.rows].sum() < 50 for one in found.peaks[1:])
    monkeypatch.setattr(PatchSight, "membership", _nobody)
    assert max(of_weak(_search(sky).peaks)) < 25


def test_neither_the_order_of_the_table_nor_the_threads_change_anything():
    sky, found = _planted(), _found()
    order = np.random.default_rng(2).permutation(len(sky.stars))
    for again, rows in ((_search(reordered(sky, order)), order), (_search(sky, threads=3), None)):
        assert np.array_equal(again.maxima, found.maxima, equal_nan=True) and again.chance == found.chance
        for one, two in zip(found.peaks, again.peaks, strict=True):
            assert one.significance == two.significance and one.motion == two.motion
            assert np.array_equal(one.rows, two.rows if rows is None else rows[two.rows])


def test_a_rotated_sky_has_the_rotated_stream():
    """By a quarter turn: the grids of angles and of proper motions are carried into themselves."""
    sky, found = _planted(), _found()
    plane = small_cells().plane
    x, y = plane.project(*sky.stars.position.T)
    turned = replace(
        sky.stars,
        position=np.column_stack(plane.unproject(-y, x)),
        proper_motion=sky.stars.proper_motion[:, ::-1] * [-1.0, 1.0],
        proper_motion_error=sky.stars.proper_motion_error[:, ::-1],
    )
    best, again = found.peaks[0], _search(replace(sky, stars=turned)).peaks[0]
    # The lattice of cells has an origin and bins are half open: a star or a cell may change sides, a climb
    # may end one of its last steps (0.06 mas/yr, 0.4 deg) aside.
    assert again.theta == pytest.approx(best.theta + np.pi / 2, abs=np.radians(0.8))
    assert np.allclose(again.motion, (-best.motion[1], best.motion[0]), atol=0.13)
    assert again.significance == pytest.approx(best.significance, abs=0.5)
    assert len(set(again.rows) & set(best.rows)) > 0.85 * len(best.rows)


def test_a_gradient_is_found_and_without_gradients_the_stream_is_weaker():
    sky = likelihood_sky(3, 6000, replace(STREAM, gradient=(0.4, -0.4)))
    sheared = _search(sky, replace(RECIPE, gradients=(-0.4, 0.0, 0.4))).peaks[0]
    assert np.allclose(sheared.gradient, (0.4, -0.4), atol=0.1)
    assert sheared.theta == pytest.approx(STREAM.theta, abs=0.05)
    assert sheared.significance > _search(sky).peaks[0].significance + 1.5


def test_the_hole_of_a_mask_makes_no_line():
    """Control: where the holes are not told, the lines beside them stand out."""
    holes = tuple(Hole(f"cluster {phi}", phi, 0.0, 1.5) for phi in (-3.3, 0.0, 3.3))
    masked = WithHoles(FOOTPRINT, holes)
    told, untold, whole = [], [], []
    for seed in range(2):
        sky = likelihood_sky(10 + seed, 60_000, footprint=masked)
        told.append(_search(sky, footprint=masked).maximum)
        untold.append(_search(sky).maximum)
        whole.append(_search(likelihood_sky(10 + seed, 60_000)).maximum)
    assert np.mean(untold) > np.mean(told) + 1.0 and np.mean(told) < np.mean(whole) + 0.5


def test_a_null_sky_is_no_discovery():
    tails = [_search(likelihood_sky(20 + seed, 4000)).false_alarm_probabilities()[0] for seed in range(5)]
    assert min(tails) > 0.003 and np.median(tails) > 0.05


def test_progress_is_told_and_wrong_arrays_are_refused():
    steps = []
    _search(_planted(), progress=lambda done, total: steps.append((done, total)))
    assert steps[-1] == (12, 12) and len(steps) == 12
    with pytest.raises(LikelihoodError, match="a density of 3 cells"):
        _search(_planted(), density=np.ones(3))
