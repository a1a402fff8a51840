"""Laws of selections, known and unknown, in the weak form."""

from __future__ import annotations

import numpy as np
import pytest

from dm_map.errors import WeakFormError
from dm_map.mocks import SelectionGradient, milky_way, with_selection
from dm_map.mocks.isothermal import IsothermalMixture
from dm_map.potential import galactic_dictionary
from dm_map.stars import StarSample
from dm_map.weak import WeakFit, WeakForm, choose_functions
from dm_map.weak.selection_report import selection_report, uniform_forces

GRADIENT = (0.15, 0.0, 0.0)


def radial_force(fit: WeakFit, mock: IsothermalMixture) -> tuple[float, float]:
    """Mean over the inner ball of a . a_true / |a_true|^2, and its error over the draws."""
    x = mock.volume.within(3.0).uniform(200, 1)
    true = mock.acceleration(x)

    def project(a: np.ndarray) -> np.ndarray:
        return np.mean(np.sum(a * true, axis=-1) / np.sum(true**2, axis=-1), axis=-1)

    error = float(np.std(project(fit.potential.member_accelerations(x))))
    return float(project(fit.potential.acceleration(x))), error


@pytest.fixture(scope="module")
def mock() -> IsothermalMixture:
    return milky_way()


@pytest.fixture(scope="module")
def complete(mock: IsothermalMixture) -> StarSample:
    return mock.sample(90_000, seed=1)


@pytest.mark.statistical
def test_weights_undo_a_known_selection(mock: IsothermalMixture, complete: StarSample):
    gradient = SelectionGradient(mock.volume, GRADIENT)
    dictionary, form = galactic_dictionary(mock.volume), WeakForm(draws=20)

    def fitted(known: bool) -> tuple[float, float]:
        stars = with_selection(complete, gradient, seed=2, known=known)
        return radial_force(form.fit(stars, dictionary, choose_functions(stars, layers=6), seed=3), mock)

    force, error = fitted(known=True)
    assert abs(force - 1.0) < 4 * error
    # Negative control: the same stars without weights.
    force, error = fitted(known=False)
    assert force - 1.0 > 5 * error


@pytest.mark.statistical
def test_a_mixture_tells_a_selection_from_a_force(mock: IsothermalMixture, complete: StarSample):
    stars = with_selection(complete, SelectionGradient(mock.volume, (0.0, 0.15, 0.0)), seed=4)
    dictionary = galactic_dictionary(mock.volume) + uniform_forces(mock.volume)
    form = WeakForm(draws=20, selection_degree=1, local_share=1.0)
    functions = choose_functions(stars, layers=6)
    report = selection_report(form.fit(stars, dictionary, functions, seed=5))
    along = {term.name: term for term in report.terms}["y"]
    assert abs(along.value - 0.15) < 4 * along.error
    assert along.determined
    # Negative control: one dispersion.
    single = IsothermalMixture(mock.gala_potential, ((80.0, 1.0),), name="single")
    stars = with_selection(single.sample(90_000, 6), SelectionGradient(mock.volume, (0.0, 0.15, 0.0)), seed=7)
    functions = choose_functions(stars, layers=6)
    report = selection_report(form.fit(stars, dictionary, functions, seed=8))
    lost = {term.name: term for term in report.terms}["y"]
    assert lost.error > 3 * along.error
    assert not report.identifiable
    assert "do not determine" in report.sentence and "y" in report.sentence


def test_uniform_forces_pull_along_their_axes(mock: IsothermalMixture):
    x = mock.volume.uniform(5, 1)
    pulls = uniform_forces(mock.volume).accelerations(x, dtype=np.float64)
    axes = {name.split()[-1]: pulls[:, :, k] for k, name in enumerate(uniform_forces(mock.volume).names)}
    for axis, name in enumerate("xyz"):
        expected = np.zeros((5, 3))
        expected[:, axis] = 1.0
        np.testing.assert_allclose(np.abs(axes[name]), expected, atol=1e-9)


def test_a_report_needs_a_fitted_selection_and_draws(mock: IsothermalMixture, complete: StarSample):
    stars = complete.take(np.arange(20_000))
    dictionary, functions = galactic_dictionary(mock.volume), choose_functions(stars, layers=3)
    with pytest.raises(WeakFormError, match="no selection was fitted"):
        selection_report(WeakForm(draws=10).fit(stars, dictionary, functions, seed=1))
    fit = WeakForm(draws=2, selection_degree=1).fit(stars, dictionary, functions, seed=1)
    with pytest.raises(WeakFormError, match="has 2"):
        selection_report(fit)
