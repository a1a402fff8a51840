"""Laws of the regions of interest: half-open boxes, no allowed star lost, an order of their own."""

from __future__ import annotations

import jaxtyping
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from streams import COMPONENTS, RegionError, RegionRecipe, StreamsError, WindowScores, regions_of_interest

motions = arrays(
    float, st.tuples(st.integers(5, 60), st.just(2)), elements=st.integers(-40, 40).map(lambda k: k / 4)
)
recipes = st.builds(
    RegionRecipe,
    width=st.sampled_from([1.0, 3.0, 6.0]),
    step=st.sampled_from([0.1, 0.5, 1.0]),
    min_stars=st.integers(1, 4),
    exclude_below=st.sampled_from([0.0, 2.0]),
)


def _windows(motion, score, low=-3.0, high=3.0):
    inside = [np.flatnonzero((motion[:, k] >= low) & (motion[:, k] < high)) for k in (0, 1)]
    return [WindowScores(COMPONENTS[k], low, high, rows, score[rows]) for k, rows in enumerate(inside)]


def _scores(motion, seed=0):
    return np.random.default_rng(seed).normal(size=len(motion))


def _seen(windows, motion, recipe):
    regions = regions_of_interest(windows, motion, _everything(motion), recipe)
    return {int(row) for region in regions for row in region.stars}


def _everything(motion):
    return np.ones(len(motion), dtype=bool)


@given(motions, recipes)
@settings(max_examples=60)
def test_boxes_are_half_open_and_complete(motion, recipe):
    """A region holds exactly the allowed stars of its window inside its box, edges: low in, high out."""
    windows = _windows(motion, _scores(motion))
    allowed = np.abs(motion).max(axis=1) >= recipe.exclude_below
    for region in regions_of_interest(windows, motion, _everything(motion), recipe):
        low, high = np.transpose(region.box)
        inside = ((motion >= low) & (motion < high)).all(axis=1) & allowed
        assert sorted(region.stars) == np.flatnonzero(inside).tolist()
        assert len(region.stars) >= recipe.min_stars


@given(motions, recipes)
@settings(max_examples=60)
def test_no_allowed_star_of_a_window_is_lost(motion, recipe):
    """Where every region has enough stars, each star is in at least one; also at the very edge of a box."""
    recipe = RegionRecipe(recipe.width, recipe.step, 1, recipe.exclude_below)
    allowed = np.abs(motion).max(axis=1) >= recipe.exclude_below
    for window in _windows(motion, _scores(motion)):
        assert _seen([window], motion, recipe) == set(window.rows[allowed[window.rows]].tolist())


def test_a_region_as_narrow_as_its_step_keeps_the_last_star():
    motion = np.array([[0.0, 0.0], [0.0, 0.5], [0.0, 1.0], [0.0, 2.0]])
    window = WindowScores(COMPONENTS[0], -1.0, 1.0, np.arange(4), np.zeros(4))
    regions = regions_of_interest([window], motion, _everything(motion), RegionRecipe(1.0, 1.0, 1))
    assert sorted(row for region in regions for row in region.stars) == [0, 1, 2, 3]


@given(motions, recipes)
@settings(max_examples=40)
def test_stars_are_in_the_order_of_their_score(motion, recipe):
    score = _scores(motion)
    for region in regions_of_interest(_windows(motion, score), motion, _everything(motion), recipe):
        assert np.all(np.diff(score[region.stars]) <= 0)


@given(st.integers(0, 1000), st.integers(2, 5))
@settings(max_examples=40)
def test_ties_do_not_depend_on_the_order_of_the_table(seed, levels):
    rng = np.random.default_rng(seed)
    motion, score = rng.normal(0, 3, (80, 2)), rng.integers(0, levels, 80).astype(float)
    order = rng.permutation(80)
    recipe = RegionRecipe(min_stars=5)
    one = regions_of_interest(_windows(motion, score), motion, _everything(motion), recipe)
    two = regions_of_interest(
        _windows(motion[order], score[order]), motion[order], _everything(motion), recipe
    )
    assert [region.box for region in one] == [region.box for region in two]
    for a, b in zip(one, two, strict=True):
        assert a.stars.tolist() == order[b.stars].tolist()


def test_ties_broken_by_row_would_depend_on_it():
    """Negative control: the rows themselves do come in another order."""
    rng = np.random.default_rng(1)
    motion = rng.normal(0, 3, (80, 2))
    one = regions_of_interest(
        _windows(motion, np.zeros(80)), motion, _everything(motion), RegionRecipe(min_stars=5)
    )
    assert any(np.any(np.diff(region.stars) < 0) for region in one)


def test_stars_with_little_motion_are_left_out():
    rng = np.random.default_rng(2)
    motion = rng.normal(0, 3, (500, 2))
    windows = _windows(motion, _scores(motion))
    with_all, without = (_seen(windows, motion, RegionRecipe(exclude_below=e)) for e in (0.0, 2.0))
    quiet = set(np.flatnonzero((np.abs(motion) < 2.0).all(axis=1)).tolist())
    assert quiet & with_all and with_all - quiet == without


def test_only_kept_stars_with_a_score_are_ranked():
    rng = np.random.default_rng(3)
    motion, keep = rng.normal(0, 2, (300, 2)), rng.random(300) < 0.7
    score = np.where(rng.random(300) < 0.1, np.nan, _scores(motion))
    for region in regions_of_interest(_windows(motion, score), motion, keep, RegionRecipe(min_stars=10)):
        assert keep[region.stars].all() and np.isfinite(score[region.stars]).all()


@given(motions)
def test_a_region_in_the_second_component_is_the_mirror_of_one_in_the_first(motion):
    score, recipe = _scores(motion), RegionRecipe(min_stars=3)
    first, _ = _windows(motion, score)
    _, second = _windows(motion[:, ::-1], score)
    one = regions_of_interest([first], motion, _everything(motion), recipe)
    two = regions_of_interest([second], motion[:, ::-1].copy(), _everything(motion), recipe)
    assert [region.box for region in one] == [region.box[::-1] for region in two]
    assert [region.centre for region in one] == [region.centre[::-1] for region in two]
    assert [set(region.stars) for region in one] == [set(region.stars) for region in two]


def test_too_few_stars_make_no_region():
    motion = np.zeros((59, 2))
    assert (
        regions_of_interest(_windows(motion, _scores(motion)), motion, _everything(motion), RegionRecipe())
        == []
    )
    assert regions_of_interest([], motion, _everything(motion), RegionRecipe()) == []


def test_a_score_too_few_is_refused_with_both_numbers(monkeypatch):
    # Users have no shape checker: the package's own message is what they see.
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    with pytest.raises(RegionError, match=r"3 rows came with 2 scores"):
        WindowScores(COMPONENTS[0], 0.0, 6.0, np.arange(3), np.zeros(2))


def test_scores_that_fit_nothing_are_refused_with_their_values():
    with pytest.raises(RegionError, match=r"got 'pmra'"):
        WindowScores("pmra", 0.0, 6.0, np.arange(3), np.zeros(3))
    assert issubclass(RegionError, StreamsError)
