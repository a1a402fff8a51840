"""Laws of windows and sidebands."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from density import DensityError, Window, WindowError, window_grid

EDGES = st.floats(-100, 100)
WIDTHS = st.floats(0.1, 50)


@given(EDGES, WIDTHS, st.floats(0, 5))
def test_window_gap_and_sidebands_are_disjoint_and_cover_everything(
    low: float, width: float, margin: float
) -> None:
    window = Window(low, low + width)
    m = np.linspace(-300, 300, 997)
    gap = ~window.contains(m) & (m >= low - margin) & (m < low + width + margin)
    parts = np.stack([window.contains(m), gap, window.sidebands(m, margin=margin)])
    assert (parts.sum(axis=0) == 1).all()


def test_window_is_half_open_and_nan_lies_nowhere() -> None:
    window = Window(-1.0, 1.0)
    m = np.array([-1.0, 1.0, np.nan])
    assert window.contains(m).tolist() == [True, False, False]
    assert window.sidebands(m).tolist() == [False, True, False]
    assert (window.centre, window.width) == (0.0, 2.0)


def test_reach_bounds_the_sidebands() -> None:
    m = np.array([-4.0, -3.0, -2.0, 2.0, 2.9, 3.0])
    assert Window(-1.0, 1.0).sidebands(m, margin=0.5, reach=2.0).tolist() == [
        False,
        True,
        True,
        True,
        True,
        False,
    ]


@given(WIDTHS, st.floats(0.1, 5), st.integers(0, 30))
def test_grid_of_adjacent_windows_has_as_many_as_fit(width: float, step: float, extra: int) -> None:
    grid = window_grid(-3.0, -3.0 + width + extra * step, width, step)
    assert len(grid) == extra + 1
    assert all(np.isclose(w.width, width) and np.isclose(w.low, -3.0 + k * step) for k, w in enumerate(grid))


def test_windows_without_gaps_count_each_value_once() -> None:
    m = np.random.default_rng(0).uniform(-12, 12, 1000)
    hits = sum(window.contains(m).astype(int) for window in window_grid(-12, 12, 1.0, 1.0))
    assert (hits == 1).all()


@pytest.mark.parametrize(("low", "high"), [(1.0, 1.0), (2.0, 1.0), (np.nan, 1.0), (0.0, np.inf)])
def test_empty_or_unbounded_windows_are_refused_with_their_edges(low: float, high: float) -> None:
    with pytest.raises(WindowError, match=str(high)):
        Window(low, high)


def test_wrong_margins_and_grids_are_refused() -> None:
    with pytest.raises(WindowError, match=r"-0\.5"):
        Window(0.0, 1.0).sidebands(np.zeros(2), margin=-0.5)
    with pytest.raises(WindowError, match="reach"):
        Window(0.0, 1.0).sidebands(np.zeros(2), margin=1.0, reach=1.0)
    with pytest.raises(WindowError, match="width 6"):
        window_grid(0.0, 5.0, 6.0, 1.0)
    assert issubclass(WindowError, DensityError)
