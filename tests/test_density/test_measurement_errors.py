"""Laws of error-aware densities: what is learned is the density before the errors, whatever their sizes."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal, norm

from density import AtLeast, Bounds, ConditionalFlow, FeatureError, FlowDensity, TrainingError, Unbounded
from density.measurement_errors import ErrorFactors, quasi_uniform

WIDTH = 0.1
MAF = ConditionalFlow(layers=2, hidden=16, batch_size=256, epochs=12, learning_rate=2e-2)


def narrow(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A Gaussian of width 0.1, observed with errors from 0.05 to 1."""
    rng = np.random.default_rng(seed)
    sigma = np.exp(rng.uniform(np.log(0.05), 0, (n, 1)))
    return WIDTH * rng.normal(size=(n, 1)) + sigma * rng.normal(size=(n, 1)), sigma


def covariances(n: int, seed: int) -> np.ndarray:
    """Strongly correlated errors of many sizes and directions."""
    rng = np.random.default_rng(seed)
    angle, long = rng.uniform(0, np.pi, n), np.exp(rng.uniform(np.log(0.2), 0, n))
    along = np.stack([np.cos(angle), np.sin(angle)], axis=1) * long[:, None]
    return along[:, :, None] * along[:, None, :] + 0.05**2 * np.eye(2)


def half_width(density: FlowDensity) -> float:
    """Half of the central 68.3 % of the density's draws."""
    low, high = np.quantile(density.sample(seed=1, count=20_000)[:, 0], [0.15865, 0.84135])
    return float(high - low) / 2


@cache
def aware() -> FlowDensity:
    torch.set_num_threads(1)
    x, sigma = narrow(4000, 1)
    return MAF.fit(x, errors=sigma, draws=32, seed=1)


@pytest.mark.statistical
def test_the_intrinsic_width_is_recovered_and_without_errors_it_is_not() -> None:
    assert half_width(aware()) == pytest.approx(WIDTH, rel=0.25)
    # Negative control: the same fit takes each noisy row at face value.
    assert half_width(MAF.fit(narrow(4000, 1)[0], seed=1)) > 2 * WIDTH


@pytest.mark.statistical
def test_observed_density_is_right_at_every_size_of_error() -> None:
    x, sigma = narrow(3000, 2)
    truth = norm.logpdf(x[:, 0], 0, np.hypot(WIDTH, sigma[:, 0]))
    found = aware().log_prob_observed(x, errors=sigma)
    for low, high in ((0.05, 0.15), (0.15, 0.5), (0.5, 1.0)):
        rows = (sigma[:, 0] >= low) & (sigma[:, 0] < high)
        assert (truth - found)[rows].mean() < 0.05
    # Negative control: with another row's error the density is wrong.
    assert (truth - aware().log_prob_observed(x, errors=sigma[::-1].copy())).mean() > 0.2


@pytest.mark.statistical
def test_full_covariances_are_taken_out() -> None:
    rng = np.random.default_rng(3)
    errors = covariances(3000, 4)
    intrinsic = np.array([[0.4, 0.0], [0.3, 0.1]])
    x = rng.normal(size=(3000, 2)) @ intrinsic.T
    x += np.einsum("nij,nj->ni", np.linalg.cholesky(errors), rng.normal(size=(3000, 2)))
    expected = intrinsic @ intrinsic.T
    found = np.cov(
        replace(MAF, epochs=8).fit(x, errors=errors, draws=16, seed=1).sample(seed=1, count=20_000).T
    )
    np.testing.assert_allclose(found, expected, atol=0.35 * expected[0, 0])
    # Negative controls: without errors, and with their diagonals only.
    assert np.abs(np.cov(x.T) - expected).max() > 0.8 * expected[0, 0]


@pytest.mark.parametrize("full", [False, True])
def test_observed_density_is_the_convolution(full: bool) -> None:
    x, _ = narrow(2000, 1)
    rows = np.column_stack([x[:, 0], np.random.default_rng(1).normal(size=2000)])
    density = replace(MAF, epochs=2).fit(rows, seed=1)
    at = rows[:20]
    errors = covariances(20, 5)
    errors = errors if full else np.sqrt(np.diagonal(errors, axis1=1, axis2=2))
    found = density.log_prob_observed(at, errors=errors, draws=4096, seed=3)
    axes = [np.linspace(-6, 6, 301)] * 2
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)
    intrinsic = np.exp(density.log_prob(grid))
    for k in range(20):
        covariance = errors[k] if full else np.diag(errors[k] ** 2)
        cell = (axes[0][1] - axes[0][0]) ** 2
        expected = np.log((intrinsic * multivariate_normal.pdf(grid, at[k], covariance)).sum() * cell)
        assert found[k] == pytest.approx(expected, abs=0.03)


def test_without_any_error_nothing_changes() -> None:
    x, _ = narrow(500, 1)
    density = replace(MAF, epochs=1).fit(x, seed=1)
    found = density.log_prob_observed(x, errors=np.zeros_like(x))
    np.testing.assert_allclose(found, density.log_prob(x), rtol=1e-5, atol=1e-5)
    blind = replace(MAF, epochs=1).fit(x, errors=np.zeros_like(x), seed=1)
    np.testing.assert_allclose(blind.log_prob(x), density.log_prob(x), rtol=1e-3, atol=1e-3)


def test_diagonal_covariances_are_the_squares_of_standard_deviations() -> None:
    x, sigma = narrow(300, 1)
    rows = np.column_stack([x, x[::-1]])
    spread = np.column_stack([sigma, 0 * sigma])
    density = replace(MAF, epochs=1).fit(rows, seed=1)
    squares = np.einsum("ni,ij->nij", spread**2, np.eye(2))
    np.testing.assert_allclose(
        density.log_prob_observed(rows, errors=spread),
        density.log_prob_observed(rows, errors=squares),
        rtol=1e-5, atol=1e-5,
    )  # fmt: skip


def test_fit_and_observed_density_are_blind_to_row_order_and_reproducible() -> None:
    x, sigma = narrow(600, 6)
    x[:50] = 0.0  # equal rows, told apart by their errors only
    recipe = replace(MAF, epochs=2)
    order = np.random.default_rng(0).permutation(600)
    one = recipe.fit(x, errors=sigma, draws=4, seed=3)
    two = recipe.fit(x[order], errors=sigma[order], draws=4, seed=3)
    np.testing.assert_array_equal(one.log_prob(x), two.log_prob(x))
    seen = one.log_prob_observed(x, errors=sigma)
    np.testing.assert_allclose(
        one.log_prob_observed(x[order], errors=sigma[order]), seen[order], rtol=1e-5, atol=1e-5
    )
    assert not np.allclose(one.log_prob(x), recipe.fit(x, errors=sigma, draws=4, seed=4).log_prob(x))


def test_draws_beyond_a_bound_have_density_zero() -> None:
    rng = np.random.default_rng(7)
    x = rng.exponential(1.0, (2000, 1))
    density = replace(MAF, epochs=6, bounds=Bounds((AtLeast(0.0),))).fit(x, seed=1)
    sigma = np.full((5, 1), 0.5)
    at = np.array([[0.01], [0.1], [0.5], [1.0], [3.0]])
    found = density.log_prob_observed(at, errors=sigma, draws=4096)
    axis = np.linspace(1e-6, 12, 40_001)
    intrinsic = np.exp(density.log_prob(axis[:, None]))
    expected = [np.log(np.trapezoid(intrinsic * norm.pdf(axis, place, 0.5), axis)) for place in at[:, 0]]
    np.testing.assert_allclose(found, expected, atol=0.02)
    # Trained with errors, next to the edge as well, nothing is lost to what is not a number.
    near = replace(density.recipe, epochs=2).fit(x, errors=np.full_like(x, 2.0), draws=4, seed=1)
    assert near.history.restarts == 0 and np.isfinite(near.history.validation_loss).all()


def test_draws_are_spread_evenly() -> None:
    np.testing.assert_allclose(quasi_uniform(4, 1, 0)[:, 0], [0.125, 0.375, 0.625, 0.875])
    points = quasi_uniform(64, 2, seed=1)
    counts = torch.histogramdd(points, bins=[8, 8], range=[0.0, 1.0, 0.0, 1.0]).hist
    assert (counts == 1).all()
    assert quasi_uniform(8, 0, 0).shape == (8, 0)


def test_errors_that_make_no_sense_are_refused_by_name() -> None:
    names, shape = ("mu", "colour"), (10, 2)
    good = np.ones(shape)
    with pytest.raises(FeatureError, match=r"\(10, 3\)"):
        ErrorFactors.of(np.ones((10, 3)), shape, names)
    for value in (-0.5, np.nan, np.inf):
        bad = good.copy()
        bad[4, 1] = value
        with pytest.raises(FeatureError, match=r"colour: .* row 4"):
            ErrorFactors.of(bad, shape, names)
    skew = np.tile(np.eye(2), (10, 1, 1))
    skew[3, 0, 1] = 0.5
    with pytest.raises(FeatureError, match=r"symmetric.*row 3"):
        ErrorFactors.of(skew, shape, names)
    skew[3] = [[1.0, 2.0], [2.0, 1.0]]
    with pytest.raises(FeatureError, match=r"semi-definite.*row 3.*-1"):
        ErrorFactors.of(skew, shape, names)
    with pytest.raises(TrainingError, match="draws >= 1; got 0"):
        MAF.fit(*narrow(50, 1)[:1], errors=narrow(50, 1)[1], draws=0, seed=1)
    with pytest.raises(TrainingError, match="draws >= 1; got 0"):
        aware().log_prob_observed(*narrow(50, 1)[:1], errors=narrow(50, 1)[1], draws=0)


def test_weights_and_errors_go_together() -> None:
    rng = np.random.default_rng(8)
    x = np.concatenate([rng.normal(-3, 0.5, 1000), rng.normal(3, 0.5, 1000)])[:, None]
    weights = np.repeat([0.0, 1.0], 1000)
    bounds = Bounds((Unbounded(),), ("mu",))
    density = replace(MAF, epochs=5, bounds=bounds).fit(
        x, weights=weights, errors=np.full_like(x, 0.3), draws=4, seed=1
    )
    assert density.sample(seed=1, count=2000)[:, 0].mean() == pytest.approx(3.0, abs=0.2)
