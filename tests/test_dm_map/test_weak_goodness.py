"""Laws of the goodness of fit of the weak form: noise passes, and each fault is seen where it should be."""

from __future__ import annotations

import numpy as np
import pytest

from dm_map.errors import WeakFormError
from dm_map.mocks import kicked, milky_way
from dm_map.potential import galactic_dictionary
from dm_map.stars import StarSample
from dm_map.weak import WeakFit, WeakForm, choose_functions
from dm_map.weak.equilibrium import equilibrium_map
from dm_map.weak.equilibrium_check import check_equilibrium, equilibrium_functions, refit
from dm_map.weak.goodness import goodness_of_fit
from dm_map.weak.null import Residuals, judge, judge_together
from dm_map.weak.regions import regions_of

STARS = 20_000


def _fit(sample: StarSample) -> WeakFit:
    functions = choose_functions(sample, spacing=4.0, layers=6)
    return WeakForm(draws=0, groups=4, folds=2).fit(
        sample, galactic_dictionary(sample.volume), functions, seed=101
    )


def _judged(sample: StarSample) -> WeakFit:
    return refit(_fit(sample), sample, equilibrium_functions(sample), draws=60, seed=102)


@pytest.fixture(scope="module")
def clean() -> tuple[StarSample, WeakFit]:
    sample = milky_way().sample(STARS, seed=7)
    return sample, _judged(sample)


@pytest.fixture(scope="module")
def moved() -> tuple[StarSample, WeakFit]:
    sample = kicked(dv_z=30.0).sample(STARS, seed=8)
    return sample, _judged(sample)


@pytest.mark.statistical
def test_global_p_values_of_noise_are_uniform_and_those_of_signals_small():
    rng = np.random.default_rng(1)
    # Blocks that overlap, as regions and velocities do.
    blocks = [slice(start, start + 10) for start in range(0, 31, 5)] + [slice(0, 40)]

    def global_p(signal: float) -> float:
        rows = rng.normal(size=(40, 101))
        rows[:, 0] += signal
        return judge_together([judge(np.sum(rows[block] ** 2, axis=0)) for block in blocks])[0]

    null = np.array([global_p(0.0) for _ in range(400)])
    # A p-value below 5 % comes 20 times in 400, with a standard deviation of 4.4.
    assert np.sum(null < 0.05) < 20 + 4 * 4.4
    assert abs(np.mean(null) - 0.5) < 4 * 0.29 / 20
    # Negative control.
    assert np.median([global_p(1.0) for _ in range(40)]) < 0.05


def test_draws_have_the_covariance_of_the_rows_less_what_fitting_takes(clean: tuple[StarSample, WeakFit]):
    _, fit = clean
    residuals = Residuals.of(fit)
    scale = np.sqrt(np.diag(residuals.covariance))
    spread = np.mean((residuals.null / scale[:, None]) ** 2)
    assert 0.9 < spread < 1.05
    # Negative control: terms of half of the stars alone do not pass for those of all.
    assert np.mean((residuals.null * np.sqrt(0.5) / scale[:, None]) ** 2) < 0.6


@pytest.mark.statistical
def test_relaxed_stars_pass(clean: tuple[StarSample, WeakFit]):
    goodness = goodness_of_fit(clean[1])
    assert goodness.p_value > 0.01
    assert goodness.passed == (goodness.p_value >= 0.05)
    assert 1.0 <= goodness.independent <= len(goodness.tests)


@pytest.mark.statistical
def test_a_kick_fails_in_the_even_degrees_and_only_there(moved: tuple[StarSample, WeakFit]):
    goodness = goodness_of_fit(moved[1])
    assert goodness.p_value < 1e-3 and not goodness.passed
    assert {test.parity for test in goodness.failed} == {"even degrees"}
    assert "stream" in goodness.sentence()
    # Negative control: rows of degree 1 alone do not see it.
    sample = moved[0]
    blind = choose_functions(sample, spacing=4.0, layers=6)
    assert check_equilibrium(moved[1], sample, blind, seed=103).p_value > 0.01


@pytest.mark.statistical
def test_the_map_of_a_kick_shows_stars_leaving_below_and_arriving_above(
    clean: tuple[StarSample, WeakFit], moved: tuple[StarSample, WeakFit]
):
    kick = equilibrium_map(moved[1], moved[0])
    # d ln n/dt = -u . grad ln n: positive above the plane for a kick upwards.
    above = np.sign(kick.centres[:, 2])
    assert np.sum(above * kick.rate / kick.rate_error) > 5 * np.sqrt(len(above))
    relaxed = equilibrium_map(*clean[::-1])
    assert np.all(np.abs(relaxed.significance) < 4.5)
    assert relaxed.to_table()["missing_R"].unit == "km2 / (kpc s2)"
    assert relaxed.to_table()["rate"].unit == "1 / Gyr"


def test_regions_share_out_the_functions_and_each_has_enough(clean: tuple[StarSample, WeakFit]):
    fit = clean[1]
    functions = fit.equations.functions
    regions = regions_of(functions, fit.system.keep, fit.system.rows.stars, fewest=8)
    every = np.concatenate([region.functions for region in regions])
    used = np.flatnonzero(fit.system.keep.reshape(-1, functions.velocity.size).any(axis=1))
    np.testing.assert_array_equal(np.sort(every), used)
    assert min(len(region.functions) for region in regions) >= 8
    assert all(functions.space.volume.contains(region.centre[None])[0] for region in regions)


def test_the_table_has_units_and_the_global_p_value(clean: tuple[StarSample, WeakFit]):
    goodness = goodness_of_fit(clean[1])
    table = goodness.to_table()
    assert len(table) == len(goodness.tests)
    assert table["R"].unit == "kpc"
    assert table.meta["p_value"] == goodness.p_value
    assert {"all rows", "large scale", "velocity", "region"} == set(table["kind"])
    assert goodness.worst.p_value == min(table["p_value"])


def test_a_fit_without_draws_is_refused():
    sample = milky_way().sample(3000, seed=9)
    with pytest.raises(WeakFormError, match="20 draws or more; got 0"):
        goodness_of_fit(_fit(sample))
