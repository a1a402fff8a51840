"""The error of a star is in the context where it tells stars apart, and only there."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sky_patches import Circle
from streams import StreamStars
from via_machinae.background import BackgroundColumns, BackgroundRecipe, fit_stars

FIELD = Circle(5.0)
QUICK = BackgroundRecipe(layers=1, hidden=8, epochs=1, photometry=False)


def stars_with(error: np.ndarray) -> StreamStars:
    rng, n = np.random.default_rng(4), len(error)
    return StreamStars(
        10**17 + np.arange(n), rng.uniform(-3, 3, (n, 2)), rng.normal(0, 3, (n, 2)),
        np.column_stack([error, error]).astype(float), np.empty((n, 0)),
    )  # fmt: skip


@given(st.floats(0.01, 3.0), st.integers(0, 10**6))
def test_equal_errors_are_no_context_to_the_last_digit_and_when_some_are_missing(value, seed):
    rng = np.random.default_rng(seed)
    error = value * (1.0 + 1e-15 * rng.integers(-4, 5, 300))
    for part in (error, np.where(rng.random(300) < 0.3, 0.0, error), np.r_[error[:-1], 2.0 * value]):
        assert BackgroundColumns.of(stars_with(part), FIELD, QUICK).context == ("x", "y")


@given(st.floats(0.01, 3.0), st.floats(1.1, 10.0))
def test_errors_that_differ_are_context(value, factor):
    columns = BackgroundColumns.of(stars_with(np.geomspace(value, factor * value, 300)), FIELD, QUICK)
    assert columns.context == ("x", "y", "ln error")
    assert value < columns.error < factor * value


@pytest.mark.parametrize("error", [np.full(300, 0.2), np.zeros(300), np.r_[np.full(290, 0.2), np.ones(10)]])
def test_a_background_of_equal_errors_is_learned_and_evaluated(error: np.ndarray):
    background = fit_stars(stars_with(error), FIELD, QUICK, seed=1)
    assert np.isfinite(background.log_density_of(stars_with(np.full(300, 0.7)))).all()
