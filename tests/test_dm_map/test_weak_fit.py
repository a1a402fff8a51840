"""Laws of the sums over stars, of their covariance, and of the fit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dm_map.errors import WeakFormError
from dm_map.mocks import make_mock
from dm_map.potential import LinearPotential, galactic_dictionary, nonnegative_fit
from dm_map.stars import StarSample
from dm_map.weak import WeakFit, WeakForm, choose_functions
from dm_map.weak.rows import sum_rows
from dm_map.weak.sums import Equations, Groups, Reference, Rows
from dm_map.weak.system import Covariance, System

MOCK = make_mock("milky-way")


@pytest.fixture(scope="module")
def stars() -> StarSample:
    return MOCK.sample(40_000, seed=5)


@pytest.fixture(scope="module")
def fit(stars: StarSample) -> WeakFit:
    return WeakForm(draws=40).fit(stars, galactic_dictionary(stars.volume), seed=1)


@pytest.fixture(scope="module")
def truth(stars: StarSample) -> LinearPotential:
    """The dictionary fitted to the exact accelerations: right to 0.1 %."""
    dictionary = galactic_dictionary(stars.volume)
    x = stars.volume.uniform(1500, 1)
    M = dictionary.accelerations(x, dtype=np.float64).reshape(-1, len(dictionary))
    y = MOCK.acceleration(x).ravel()
    return LinearPotential(dictionary, nonnegative_fit(M.T @ M, M.T @ y, dictionary.positive).coefficients)


def small_equations(sample: StarSample, degrees: tuple[int, ...] = (1,)) -> Equations:
    functions = choose_functions(sample, spacing=4.0, layers=6, degrees=degrees)
    dictionary = galactic_dictionary(sample.volume).subset([3, 20, 56, 60])
    return Equations(functions, dictionary)


def summed(sample: StarSample, equations: Equations, **kwargs: object) -> Rows:
    groups = Groups.draw(len(sample), 10, 5, 1)
    return sum_rows(sample, equations, groups, Reference(np.ones(4), **kwargs))


def median_error(fit: WeakFit) -> float:
    x = fit.equations.functions.space.volume.within(3.0).uniform(300, 2)
    true = MOCK.acceleration(x)
    off = np.linalg.norm(fit.potential.acceleration(x) - true, axis=1)
    return float(np.median(off / np.linalg.norm(true, axis=1)))


def test_sums_do_not_depend_on_the_order_of_the_stars(stars: StarSample) -> None:
    some = stars.take(np.arange(4000))
    equations = small_equations(some)
    order = np.random.default_rng(3).permutation(len(some))
    groups = Groups.draw(len(some), 10, 5, 1)
    moved = Groups(groups.of_star[order], 10, 5)
    one = sum_rows(some, equations, groups, Reference(np.ones(4)))
    other = sum_rows(some.take(order), equations, moved, Reference(np.ones(4)))
    for name in ("b", "A", "d", "covariance", "stars"):
        first, second = getattr(one, name), getattr(other, name)
        np.testing.assert_allclose(second, first, rtol=1e-3, atol=1e-5 * np.abs(first).max())


def test_the_covariance_is_that_of_the_terms_of_single_stars(stars: StarSample) -> None:
    """Each star alone: sums of outer products of its own row sums."""
    some = stars.take(np.arange(300))
    equations = replace(small_equations(stars))
    total = sum_rows(some, equations, Groups.draw(300, 1, 1, 1), Reference(np.ones(4))).covariance[0]
    single = Groups(np.arange(300, dtype=np.int16), 300, 1)
    rows = sum_rows(some, equations, single)
    terms = rows.b + rows.A.sum(axis=2)
    np.testing.assert_allclose(total, terms.T @ terms, rtol=1e-3, atol=1e-4 * np.abs(total).max())


def test_time_reversal_leaves_odd_equations_and_turns_even_ones(stars: StarSample) -> None:
    some = stars.take(np.arange(3000))
    equations = small_equations(some, degrees=(0, 1, 2))
    centred = replace(equations.functions.velocity, mean=(0.0, 0.0, 0.0))
    equations = replace(equations, functions=replace(equations.functions, velocity=centred))
    forward, backward = summed(some, equations), summed(replace(some, v=-some.v), equations)
    odd = np.tile(np.array(centred.degrees) % 2 == 1, equations.functions.space.size)
    scale = np.abs(forward.b).max()
    np.testing.assert_allclose(backward.b[:, odd], forward.b[:, odd], atol=1e-5 * scale)
    np.testing.assert_allclose(backward.b[:, ~odd], -forward.b[:, ~odd], atol=1e-5 * scale)


def test_random_signs_have_the_covariance_of_the_rows(stars: StarSample) -> None:
    rows = summed(stars.take(np.arange(5000)), small_equations(stars), draws=400, seed=2)
    expected = np.sqrt(np.diag(rows.covariance.sum(axis=0)))
    seen = rows.stars > 200
    ratio = rows.wild.sum(axis=0)[seen].std(axis=1) / expected[seen]
    assert abs(ratio.mean() - 1) < 0.02
    assert np.all(abs(ratio - 1) < 6 / np.sqrt(2 * 400))


def chi2_per_row(system: System, coefficients: np.ndarray) -> float:
    residual = system.residual(coefficients)
    covariance = Covariance.of(system.covariance)
    return float(covariance.chi2(residual[:, None])[0] / len(residual))


def test_the_true_potential_obeys_the_equations_and_a_wrong_one_does_not(
    fit: WeakFit, truth: LinearPotential
) -> None:
    """Chi^2 per row is below one, by the ridge and by stars that rows and covariance share: as in draws."""
    draws = Covariance.of(fit.system.covariance).chi2(fit.system.wild)
    per_row = draws / fit.system.keep.sum()
    right = chi2_per_row(fit.system, truth.coefficients)
    wrong = chi2_per_row(fit.system, 1.3 * truth.coefficients)
    spread = 5 * per_row.std()
    assert abs(right - per_row.mean()) < spread
    assert wrong - per_row.mean() > spread


def test_forty_thousand_stars_give_the_field(fit: WeakFit) -> None:
    assert median_error(fit) < 0.12
    assert np.all(fit.solved.solution.coefficients >= 0)
    x = fit.equations.functions.space.volume.within(3.0).uniform(300, 4)
    assert np.all(fit.potential.density(x) > 0)
    assert 2 < fit.effective_parameters < 20


def test_stars_that_are_too_fast_give_a_field_that_is_too_strong(stars: StarSample) -> None:
    """Negative control: velocities 1.3 times as large belong to a field 1.69 times as strong."""
    fast = replace(stars, v=1.3 * stars.v)
    found = WeakForm(draws=0).fit(fast, galactic_dictionary(stars.volume), seed=1)
    assert median_error(found) > 0.4


def test_errors_of_the_bootstrap_and_of_the_covariance_agree(fit: WeakFit) -> None:
    x = fit.equations.functions.space.volume.within(2.5).uniform(50, 3)
    by_draws = fit.potential.member_accelerations(x).std(axis=0)
    by_groups = fit.potential_of(fit.bootstrap(60, seed=1)).member_accelerations(x).std(axis=0)
    assert 0.6 < np.median(by_groups / by_draws) < 1.7


def test_the_same_seed_gives_the_same_fit(stars: StarSample) -> None:
    some = stars.take(np.arange(8000))
    recipe, dictionary = WeakForm(draws=3), galactic_dictionary(stars.volume)
    one, two = (recipe.fit(some, dictionary, seed=4) for _ in range(2))
    np.testing.assert_array_equal(one.potential.coefficients, two.potential.coefficients)
    np.testing.assert_array_equal(one.potential.members, two.potential.members)


def test_the_pattern_speed_of_stars_in_a_rotating_bar_is_found() -> None:
    """With the bar's own components; the sense of rotation, too."""
    from dm_map.potential import bars

    mock = make_mock("barred")
    sample = mock.sample(60_000, seed=3)
    dictionary = galactic_dictionary(sample.volume) + bars(sample.volume)
    found = WeakForm(draws=30, pattern_speed=None).fit(sample, dictionary, seed=1)
    spread = np.std([one.pattern_speed for one in found.draws])
    assert abs(found.pattern_speed - mock.pattern_speed) < 4 * spread + 2.0
    assert spread < 10.0


def test_weights_undo_a_known_selection_exactly_where_they_are_constant(stars: StarSample) -> None:
    some = stars.take(np.arange(3000))
    heavy = replace(some, weights=np.full(len(some), 7.0))
    equations = small_equations(some)
    one, two = summed(some, equations), summed(heavy, equations)
    np.testing.assert_allclose(two.b, one.b, atol=1e-5 * np.abs(one.b).max())


def test_progress_ends_at_the_number_of_stars(stars: StarSample) -> None:
    seen: list[tuple[int, int]] = []
    groups = Groups.draw(len(stars), 2, 1, 1)
    sum_rows(stars, small_equations(stars), groups, progress=lambda done, of: seen.append((done, of)))
    assert seen[-1] == (len(stars), len(stars))


def test_impossible_recipes_and_samples_are_refused(stars: StarSample) -> None:
    with pytest.raises(WeakFormError, match="multiple of the folds"):
        WeakForm(groups=7, folds=5)
    few = stars.take(np.arange(1200))
    with pytest.raises(WeakFormError, match="equations have"):
        WeakForm(draws=0, min_stars=1e6).fit(few, galactic_dictionary(stars.volume), seed=1)
