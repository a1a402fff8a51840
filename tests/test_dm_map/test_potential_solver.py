"""Laws of the constrained least squares: the certificate, exact zeros, constraints and penalties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls

from dm_map.errors import PotentialError
from dm_map.potential import nonnegative_fit


def _problem(seed, rows=60, columns=12):
    rng = np.random.default_rng(seed)
    A = rng.normal(size=(rows, columns)) @ np.diag(10.0 ** rng.uniform(-4, 4, columns))
    return A, rng.normal(size=rows)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_it_agrees_with_non_negative_least_squares(seed):
    A, b = _problem(seed)
    answer = nonnegative_fit(A.T @ A, A.T @ b, np.ones(12, dtype=bool))
    expected, _ = nnls(A, b)
    assert np.allclose(answer.coefficients, expected, rtol=1e-6, atol=1e-9 * np.abs(expected).max())
    assert np.array_equal(answer.active, expected == 0) and answer.certificate < 1e-9


def test_without_bounds_it_is_ordinary_least_squares():
    A, b = _problem(1)
    answer = nonnegative_fit(A.T @ A, A.T @ b, np.zeros(12, dtype=bool))
    assert np.allclose(answer.coefficients, np.linalg.lstsq(A, b, rcond=None)[0], rtol=1e-6)
    assert np.isclose(answer.effective_parameters, 12)


def test_columns_that_are_nearly_alike_do_no_harm():
    rng = np.random.default_rng(2)
    shared = rng.normal(size=(500, 3))
    A = np.repeat(shared, 40, axis=1) + 1e-9 * rng.normal(size=(500, 120))
    truth = np.zeros(120)
    truth[[0, 50, 90]] = 1.0, 2.0, 3.0
    answer = nonnegative_fit(A.T @ A, A.T @ (A @ truth), np.ones(120, dtype=bool))
    assert np.all(answer.coefficients >= 0) and answer.certificate < 1e-9
    assert np.allclose(A @ answer.coefficients, A @ truth, rtol=1e-6, atol=1e-6)


def test_linear_constraints_hold_and_bind():
    A, b = _problem(3)
    A = A / np.linalg.norm(A, axis=0)
    free = nonnegative_fit(A.T @ A, A.T @ b, np.zeros(12, dtype=bool))
    form = -np.sign(free.coefficients)[None]
    bound = nonnegative_fit(A.T @ A, A.T @ b, np.zeros(12, dtype=bool), constraints=form)
    assert float((form @ free.coefficients)[0]) < -0.1
    assert abs(float((form @ bound.coefficients)[0])) < 1e-9 and bound.active_constraints.tolist() == [True]
    assert bound.objective > free.objective
    assert np.isclose(bound.effective_parameters, 11)


def test_a_penalty_shrinks_and_takes_parameters_away():
    A, b = _problem(4)
    G, free = A.T @ A, np.zeros(12, dtype=bool)
    plain = nonnegative_fit(G, A.T @ b, free)
    diagonal = nonnegative_fit(G, A.T @ b, free, penalty=np.diag(G).copy())
    matrix = nonnegative_fit(G, A.T @ b, free, penalty=np.diag(np.diag(G)))
    scale = np.sqrt(np.diag(G))
    assert np.linalg.norm(scale * diagonal.coefficients) < np.linalg.norm(scale * plain.coefficients)
    assert diagonal.effective_parameters < 0.7 * plain.effective_parameters
    assert np.allclose(diagonal.coefficients, matrix.coefficients)


def test_the_answer_does_not_depend_on_units():
    A, b = _problem(5)
    units = 10.0 ** np.linspace(-6, 6, 12)
    positive = np.arange(12) % 2 == 0
    one = nonnegative_fit(A.T @ A, A.T @ b, positive).coefficients
    scaled = A * units
    other = nonnegative_fit(scaled.T @ scaled, scaled.T @ b, positive).coefficients * units
    assert np.allclose(one, other, rtol=1e-8)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"G": np.full((4, 4), np.nan)}, "not finite"),
        ({"G": np.diag([1.0, 1.0, 0.0, 1.0])}, "coefficient 2 does not enter"),
        ({"h": np.array([1.0, np.inf, 0.0, 0.0])}, "not finite"),
    ],
)
def test_what_cannot_be_solved_is_refused(change, message):
    given_ = {"G": np.eye(4), "h": np.ones(4), "positive": np.ones(4, dtype=bool), **change}
    with pytest.raises(PotentialError, match=message):
        nonnegative_fit(**given_)
