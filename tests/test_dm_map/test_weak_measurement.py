"""Laws of equations corrected for errors of measurement."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dm_map.errors import WeakFormError
from dm_map.mocks import SOLAR_BALL, SUN_POSITION, ball_before_errors, milky_way, with_errors
from dm_map.potential import galactic_dictionary
from dm_map.stars import StarSample
from dm_map.volume import Ball
from dm_map.weak import WeakForm, choose_functions
from dm_map.weak.corrected_rows import sum_corrected_rows
from dm_map.weak.measurement import ErrorCorrection, Shifts
from dm_map.weak.rows import sum_rows
from dm_map.weak.sums import Equations, Groups, Reference

CORRECTIONS = (ErrorCorrection(order=2), ErrorCorrection(), ErrorCorrection(step=0.6))


@pytest.fixture(scope="module")
def observed() -> StarSample:
    """Stars with 10 % in distance and 2 km/s, in a ball of 4 kpc."""
    stars = milky_way(ball_before_errors(SOLAR_BALL, 0.1)).sample(60_000, seed=1)
    return with_errors(stars, SOLAR_BALL, seed=2)


@pytest.fixture(scope="module")
def equations(observed: StarSample) -> Equations:
    ball = ErrorCorrection().ball(observed)
    functions = choose_functions(observed.within(ball), volume=ball, layers=3)
    dictionary = galactic_dictionary(SOLAR_BALL)
    return Equations(functions, dictionary.subset(range(4)))


@pytest.mark.parametrize("correction", CORRECTIONS)
def test_the_nodes_have_the_moments_of_a_negative_variance(correction: ErrorCorrection):
    moments = [sum(node.weight * node.at**p for node in correction.nodes) for p in range(6)]
    expected = [1.0, 0.0, -1.0, 0.0, 3.0, 0.0][: correction.order + 2]
    np.testing.assert_allclose(moments[: correction.order + 2], expected, atol=1e-12)


@pytest.mark.parametrize("order", [2, 4])
def test_random_nodes_have_them_on_the_average(order: int):
    correction = ErrorCorrection(order=order, method="random")
    normal = {2: 1.0, 4: 3.0}
    for p in range(2, order + 1, 2):
        moment = sum(node.weight * node.at**p for node in correction.nodes) * normal[p]
        assert moment == pytest.approx({2: -1.0, 4: 3.0}[p])


@pytest.mark.statistical
def test_a_sum_over_shifted_stars_is_the_sum_over_exact_ones():
    rng, sun = np.random.default_rng(3), np.asarray(SUN_POSITION)
    x, v = sun + rng.normal(0, 1, (100_000, 3)), rng.normal(0, 80, (100_000, 3))
    exact = StarSample(x, v, Ball(SUN_POSITION, 20.0))
    sample = with_errors(exact, Ball(SUN_POSITION, 14.0), seed=4)
    assert len(sample) == len(exact)

    def function(x: np.ndarray, v: np.ndarray) -> np.ndarray:
        return v[:, 1] ** 2 * np.exp(-0.5 * np.sum(((x - sun) / 2.0) ** 2 + (v / 200.0) ** 2, axis=1))

    def significance(correction: ErrorCorrection) -> float:
        """Of the difference to the sum over the exact stars, star by star."""
        difference = -function(exact.x, exact.v)
        for weight, x, v in Shifts(sample, correction).copies():
            difference += weight * function(x, v)
        return float(np.mean(difference) / np.std(difference) * np.sqrt(len(exact)))

    assert abs(significance(ErrorCorrection())) < 4
    assert abs(significance(ErrorCorrection(order=2))) < 6
    # Negative control: without the correction the errors show.
    assert abs(significance(ErrorCorrection(order=0))) > 10


def test_shifts_stretch_the_distance_and_the_tangential_velocity_together(observed: StarSample):
    sample = replace(observed.take(np.arange(500)))
    quiet = sample.covariance.copy()
    quiet[:, 3:, 3:] -= 4.0 * np.eye(3)
    sample = replace(sample, covariance=quiet)
    (_, x0, v0), (_, x1, v1), *_ = Shifts(sample, ErrorCorrection(order=2)).copies()
    d0, d1 = (np.linalg.norm(x - np.asarray(SUN_POSITION), axis=1) for x in (x0, x1))
    np.testing.assert_allclose(d1 / d0, np.exp(0.1), rtol=1e-6)
    sight = (x0 - np.asarray(SUN_POSITION)) / d0[:, None]
    # Radial velocities stay.
    np.testing.assert_allclose(np.sum((v1 - v0) * sight, axis=1), 0.0, atol=1e-6)
    assert np.median(np.linalg.norm(v1 - v0, axis=1)) > 5.0


def test_without_errors_or_order_zero_the_rows_are_those_of_the_uncorrected_sum(
    observed: StarSample, equations: Equations
):
    sample = observed.take(np.arange(4_000))
    reference = Reference(np.ones(equations.columns), 0.0, 3, 5)
    groups = Groups.draw(len(sample), 4, 2, 6)
    plain = sum_rows(sample, equations, groups, reference)
    exact = replace(sample, covariance=np.zeros((len(sample), 6, 6)))
    for stars, correction in ((sample, ErrorCorrection(order=0)), (exact, ErrorCorrection())):
        rows = sum_corrected_rows(stars, equations, groups, correction, reference)
        for name in ("b", "A", "d", "covariance", "stars"):
            mine, theirs = getattr(rows, name), getattr(plain, name)
            scale = np.max(np.abs(theirs))
            np.testing.assert_allclose(mine, theirs, atol=2e-4 * scale, err_msg=name)


def test_the_covariance_counts_the_copies_of_a_star_as_one_star(observed: StarSample, equations: Equations):
    sample = observed.take(np.arange(40))
    reference = Reference(np.ones(equations.columns), 0.0, 0, 5)
    each = Groups(np.arange(40, dtype=np.int16), 40, 2)
    correction = ErrorCorrection(order=2)
    rows = sum_corrected_rows(sample, equations, each, correction, reference)
    s = rows.b + rows.A @ reference.coefficients
    for fold in range(2):
        expected = s[fold::2].T @ s[fold::2]
        np.testing.assert_allclose(rows.covariance[fold], expected, atol=1e-3 * np.max(expected))
    # Negative control: squares of the copies, added up one by one, are something else.
    alone = sum(
        np.sum((weight * _one(sample, x, v, equations, reference)) ** 2, axis=0)
        for weight, x, v in Shifts(sample, correction).copies()
    )
    together = np.sum(s**2, axis=0)
    assert np.max(np.abs(alone - together)) > 0.1 * np.max(together)


def _one(
    sample: StarSample, x: np.ndarray, v: np.ndarray, equations: Equations, reference: Reference
) -> np.ndarray:
    """Terms of shifted stars, one by one."""
    moved = StarSample(x, v, sample.volume.within(2 * sample.volume.radius))
    rows = sum_rows(moved, equations, Groups(np.arange(len(x), dtype=np.int16), len(x), 2))
    return rows.b + rows.A @ reference.coefficients


def test_the_corrected_fit_answers_errors_as_far_as_they_matter(observed: StarSample):
    dictionary = galactic_dictionary(SOLAR_BALL)
    correction = ErrorCorrection(order=2)
    ball = correction.ball(observed)
    functions = choose_functions(observed.within(ball), volume=ball, layers=3)
    form, x = WeakForm(draws=5), ball.within(3.0).uniform(50, 9)

    def density(stars: StarSample, correction: ErrorCorrection) -> np.ndarray:
        fit = replace(form, correction=correction).fit(stars, dictionary, functions, seed=1)
        assert fit.stars == len(stars)
        return fit.potential.density(x)

    plain = form.fit(observed, dictionary, functions, seed=1).potential.density(x)
    tiny = replace(observed, covariance=1e-8 * observed.covariance)
    np.testing.assert_allclose(density(tiny, correction), plain, rtol=0.02)
    # Errors as large as these make stars look hotter, so that their correction is not nothing.
    assert np.max(np.abs(density(observed, correction) / plain - 1)) > 0.05


def test_the_ball_leaves_room_for_the_errors(observed: StarSample):
    near, far = ErrorCorrection(order=2).ball(observed), ErrorCorrection(order=4).ball(observed)
    assert near.radius == pytest.approx(4.0 * np.exp(-0.1), rel=0.01)
    assert far.radius == pytest.approx(4.0 * np.exp(-0.2), rel=0.01)


def test_what_cannot_be_corrected_is_refused(observed: StarSample):
    with pytest.raises(WeakFormError, match="order 3"):
        ErrorCorrection(order=3)
    with pytest.raises(WeakFormError, match="step -1"):
        ErrorCorrection(step=-1.0)
    bare = replace(observed, covariance=None)
    with pytest.raises(WeakFormError, match="no covariance"):
        ErrorCorrection().ball(bare)
    with pytest.raises(WeakFormError, match="less than half"):
        ErrorCorrection().ball(replace(observed, covariance=25.0 * observed.covariance))
