"""Laws of combs: every window once, as few combs as there can be, and a full gap around each window."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from density import Window, WindowError, window_grid
from density.together import comb_groups, comb_sidebands

GRID = window_grid(-15.0, 15.0, 6.0, 1.0)

edges = st.integers(-40, 40)
windows = st.builds(lambda low, width: Window(low / 4, (low + width) / 4), edges, st.integers(1, 30))
window_lists = st.lists(windows, min_size=1, max_size=15)


@given(window_lists, st.integers(1, 12), st.integers(0, 4))
def test_each_window_is_in_one_comb_and_the_windows_of_a_comb_are_apart(found, gap, margin):
    gap, margin = gap / 4, margin / 4
    groups = comb_groups(found, gap=gap, margin=margin)
    assert sorted(window for comb in groups for window in comb) == sorted(set(found))
    for comb in groups:
        assert all(b.low - a.high >= gap + 2 * margin - 1e-6 for a, b in pairwise(comb))


@given(window_lists, st.integers(1, 12))
def test_there_are_as_few_combs_as_can_be(found, gap):
    """As many as windows, each with the gap on its right, that cover one place."""
    gap = gap / 4
    starts = [window.low for window in set(found)]
    covering = max(sum(w.low <= place < w.high + gap for w in set(found)) for place in starts)
    assert len(comb_groups(found, gap=gap)) == covering


def test_a_grid_needs_width_plus_gap_over_step_combs():
    assert len(comb_groups(GRID)) == 12
    assert len(comb_groups(GRID, gap=2.0)) == 8
    assert len(comb_groups(window_grid(0.0, 9.0, 0.3, 0.1), gap=0.3)) == 6


def test_the_order_of_the_windows_does_not_matter():
    shuffled = [GRID[k] for k in np.random.default_rng(1).permutation(len(GRID))]
    assert comb_groups(shuffled) == comb_groups(GRID)


@given(window_lists, st.integers(1, 12), st.integers(0, 4))
def test_the_sidebands_of_a_comb_are_those_rows_that_none_of_its_windows_leaves_out(found, gap, margin):
    m = np.linspace(-12, 22, 3001)
    for comb in comb_groups(found, gap=gap / 4, margin=margin / 4):
        alone = [window.sidebands(m, margin=margin / 4) for window in comb]
        assert (comb_sidebands(m, comb, margin=margin / 4) == np.logical_and.reduce(alone)).all()


def test_next_to_a_window_the_sidebands_of_its_comb_are_its_own():
    """So the hole that is interpolated over is as wide as for a window alone."""
    m = np.linspace(-20, 20, 4001)
    for comb in comb_groups(GRID, gap=3.0, margin=0.5):
        ours = comb_sidebands(m, comb, margin=0.5)
        for window in comb:
            near = (m >= window.low - 3.5) & (m < window.high + 3.5)
            assert (ours[near] == window.sidebands(m, margin=0.5)[near]).all()


def test_windows_too_close_spoil_each_others_sidebands():
    """Negative control: without the gap the law above fails."""
    comb = (Window(0.0, 1.0), Window(1.0, 2.0))
    m = np.linspace(-1, 3, 401)
    near = (m >= 0.0) & (m < 2.0)
    assert (comb_sidebands(m, comb)[near] != comb[0].sidebands(m)[near]).any()


def test_with_a_reach_only_rows_near_a_window_are_used():
    m = np.array([-3.0, -1.0, 0.5, 2.0, 4.0, 5.5, 9.0])
    used = comb_sidebands(m, (Window(0.0, 1.0), Window(5.0, 6.0)), reach=2.0)
    assert used.tolist() == [False, True, False, True, True, False, False]


def test_errors_say_what_is_wrong():
    with pytest.raises(WindowError, match="at least one window"):
        comb_groups([])
    with pytest.raises(WindowError, match=r"positive gap.*-1"):
        comb_groups(GRID, gap=-1.0)
    with pytest.raises(WindowError, match="margin"):
        comb_groups(GRID, margin=-0.5)
