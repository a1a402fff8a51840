"""Laws of the test functions: derivatives, support, and what they are summed to."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dm_map.errors import WeakFormError
from dm_map.mocks import make_mock
from dm_map.stars import StarSample
from dm_map.volume import Ball
from dm_map.weak import TestFunctions, choose_functions
from dm_map.weak.blocks import StarTerms
from dm_map.weak.selection_terms import SelectionTerms
from dm_map.weak.splines import EnvelopedSplines
from dm_map.weak.velocities import LocalFrame, VelocityFunctions

BALL = Ball((-8.0, 0.5, 0.1), 4.0)
KNOTS = (-4.0, -1.5, -0.4, 0.3, 1.0, 4.0)
SPACE = EnvelopedSplines(BALL, ((-4.0, 0.0, 4.0), (-4.0, -1.0, 1.0, 4.0), KNOTS))
VELOCITY = VelocityFunctions(
    "cylindrical", (5.0, -200.0, 1.0), (60.0, 40.0, 30.0), ((0.8, (0, 1, 2)), (1.5, (1, 3)))
)


def psi(functions: TestFunctions, x: np.ndarray, v: np.ndarray) -> np.ndarray:
    """All test functions of one star, computed from the definitions."""
    out = np.zeros((functions.space.size, functions.velocity.size))
    cell = int(functions.space.cell_of(x[None])[0])
    values, _ = functions.space.evaluate(cell, x[None])
    w = LocalFrame.of(functions.velocity.frame, x[None], v[None]).velocity
    out[functions.space.active(cell)] = values[0][:, None] * functions.velocity.evaluate(w)[0][0]
    return out.ravel()


def terms(functions: TestFunctions, x: np.ndarray, v: np.ndarray, a: np.ndarray, omega: float) -> np.ndarray:
    cell = int(functions.space.cell_of(x[None])[0])
    found = StarTerms.of(functions, cell, x[None], v[None], None, None)
    m = functions.velocity.size
    out = np.zeros(functions.size)
    rows = (found.rows[:, None] * m + np.arange(m)).ravel()
    out[rows] = found.residual(a[None], omega, None)[0]
    return out


@given(seed=st.integers(0, 10**6), frame=st.sampled_from(["cylindrical", "cartesian"]))
@settings(max_examples=20, deadline=None)
def test_the_terms_of_a_star_are_the_rate_of_change_of_the_test_functions_along_its_orbit(
    seed: int, frame: str
) -> None:
    """d psi / dt in a frame that turns with Omega: an independent check of all derivatives at once."""
    rng = np.random.default_rng(seed)
    velocity = VelocityFunctions(frame, VELOCITY.mean, VELOCITY.dispersion, VELOCITY.terms)
    functions = TestFunctions(SPACE, velocity)
    x = BALL.within(3.9).uniform(1, seed)[0]
    v, a, omega = rng.normal(0, 100, 3), rng.normal(0, 3000, 3), float(rng.normal(0, 30))
    z = np.array([0.0, 0.0, 1.0])
    rate_x, rate_v = v - omega * np.cross(z, x), a - omega * np.cross(z, v)
    step = 1e-7
    ahead = psi(functions, x + step * rate_x, v + step * rate_v)
    behind = psi(functions, x - step * rate_x, v - step * rate_v)
    expected = (ahead - behind) / (2 * step)
    np.testing.assert_allclose(
        terms(functions, x, v, a, omega), expected, atol=2e-5 * np.abs(expected).max() + 1e-4
    )


@given(seed=st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_splines_add_up_to_the_envelope_and_vanish_at_the_edge(seed: int) -> None:
    x = BALL.uniform(1, seed)
    values, _ = SPACE.evaluate(int(SPACE.cell_of(x)[0]), x)
    np.testing.assert_allclose(values.sum(), (1 - BALL.fraction_of_radius(x)[0] ** 2) ** 2, atol=1e-12)
    edge = np.asarray(BALL.centre) + (x - np.asarray(BALL.centre)) / BALL.fraction_of_radius(x)[0] * (
        1 - 1e-9
    )
    values, gradients = SPACE.evaluate(int(SPACE.cell_of(edge)[0]), edge)
    assert np.abs(values).max() < 1e-12
    assert np.abs(gradients).max() < 1e-6


def test_selection_terms_are_rates_of_change_of_their_polynomials() -> None:
    selection = SelectionTerms(BALL, 2)
    x, v = BALL.within(3.0).uniform(5, 1), np.random.default_rng(1).normal(0, 100, (5, 3))
    step = 1e-6
    expected = (selection.values(x + step * v) - selection.values(x - step * v)) / (2 * step)
    np.testing.assert_allclose(selection.along(x, v), expected, rtol=1e-6, atol=1e-6)
    assert len(selection.names) == selection.size == 9


def test_degrees_have_the_numbers_of_monomials_they_have_in_three_dimensions() -> None:
    assert VELOCITY.size == (1 + 3 + 6) + (3 + 10)
    assert sorted(set(VELOCITY.degrees)) == [0, 1, 2, 3]


def test_functions_are_chosen_from_the_stars() -> None:
    sample = make_mock("milky-way").sample(5000, seed=1)
    chosen = choose_functions(sample)
    assert chosen.velocity.frame == "cylindrical"
    heights = np.asarray(chosen.space.knots[2])
    # More of them where the stars are: half of the knots within a kiloparsec of the plane.
    assert np.mean(np.abs(heights) < 1.5) >= 0.5
    assert choose_functions(sample, volume=BALL.within(2.0)).space.volume.radius == 2.0


def test_a_volume_that_holds_the_axis_takes_cartesian_velocities() -> None:
    x = Ball((1.0, 0.0, 0.0), 4.0).uniform(2000, 1)
    sample = StarSample(x, np.random.default_rng(1).normal(0, 1, x.shape), Ball((1.0, 0.0, 0.0), 4.0))
    assert choose_functions(sample).velocity.frame == "cartesian"


def test_bad_functions_are_refused_with_a_reason() -> None:
    with pytest.raises(WeakFormError, match="increase"):
        EnvelopedSplines(BALL, ((-4.0, 0.0, 4.0), (-4.0, 4.0, 2.0), KNOTS))
    with pytest.raises(WeakFormError, match="span the ball"):
        EnvelopedSplines(BALL, ((-4.0, 0.0, 4.0), (-4.0, 2.0), KNOTS))
    with pytest.raises(WeakFormError, match="dispersions"):
        VelocityFunctions("cartesian", (0.0, 0.0, 0.0), (1.0, 0.0, 1.0), ((1.0, (1,)),))
    with pytest.raises(WeakFormError, match="terms"):
        VelocityFunctions("cartesian", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), ())
    with pytest.raises(WeakFormError, match="degree 3"):
        SelectionTerms(BALL, 3)
    x = BALL.uniform(500, 1)
    with pytest.raises(WeakFormError, match="1000 stars"):
        choose_functions(StarSample(x, np.zeros_like(x), BALL))
    x = BALL.uniform(2000, 1)
    with pytest.raises(WeakFormError, match="no dispersion"):
        choose_functions(StarSample(x, np.zeros_like(x), BALL), frame="cartesian")
