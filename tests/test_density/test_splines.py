"""Laws of spline flows: normalised, invertible, of any shape in one dimension, finite everywhere."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from normflows.utils.splines import unconstrained_rational_quadratic_spline
from scipy.stats import kstest, norm

from density import ConditionalFlow, FlowDensity, TrainingError
from density.backend import ConditionalSpline

SPLINE = ConditionalFlow(kind="spline", layers=2, hidden=24, epochs=10, batch_size=256, patience=None)


def peaks(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """One feature with two peaks whose places and shares depend on m."""
    rng = np.random.default_rng(seed)
    m = rng.uniform(-1, 1, n)
    right = rng.random(n) < 0.5 + 0.3 * m
    return np.where(right, rng.normal(2, 0.3, n), rng.normal(m - 1, 0.5, n))[:, None], m


def peaks_log_prob(x: np.ndarray, m: np.ndarray) -> np.ndarray:
    share, x = 0.5 + 0.3 * m, x[:, 0]
    return np.log(share * norm.pdf(x, 2, 0.3) + (1 - share) * norm.pdf(x, m - 1, 0.5))


@cache
def fitted() -> FlowDensity:
    torch.set_num_threads(1)
    return SPLINE.fit(*peaks(6000, 1), seed=3)


@cache
def ring() -> FlowDensity:
    """A ring in two dimensions, whose radius is the context."""
    rng = np.random.default_rng(4)
    angle, m = rng.uniform(0, 2 * np.pi, 4000), rng.uniform(1, 2, 4000)
    radius = m + rng.normal(0, 0.2, 4000)
    x = np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])
    return replace(SPLINE, layers=3, epochs=6).fit(x, m, seed=2)


def lively(features: int, context: int, tail_bound: float = 3.0) -> ConditionalSpline:
    """A double-precision network far from the identity."""
    model = ConditionalSpline(
        features, context, layers=3, hidden=16, blocks=1, bins=6, tail_bound=tail_bound, seed=1
    ).double()
    with torch.no_grad():
        for flow in model.flows:
            flow.autoregressive_net.final_layer.weight.mul_(15)
    return model


def normal(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize(("features", "context"), [(1, 0), (1, 2), (3, 2)])
def test_log_determinant_agrees_with_autograd_and_the_flow_inverts(features: int, context: int) -> None:
    model = lively(features, context)
    x = 2 * normal(200, features, seed=1)
    seen = normal(200, context, seed=2) if context else None
    z, log_det = model.to_latent(x, seen)
    jacobian = torch.autograd.functional.jacobian(lambda v: model.to_latent(v, seen)[0].sum(dim=0), x)
    expected = torch.linalg.slogdet(jacobian.transpose(0, 1)).logabsdet
    torch.testing.assert_close(log_det, expected, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(model.from_latent(z, seen), x, rtol=1e-7, atol=1e-7)
    assert (z - x).abs().max() > 0.5


def test_each_layer_is_the_spline_of_normflows_after_an_affine_map() -> None:
    layer = lively(4, 0).flows[0]
    x = 2 * normal(300, 4, seed=3)
    parameters = layer.autoregressive_net(x)
    shift, log_scale, raw = layer._split(parameters, 4)
    u = shift + x * log_scale.exp()
    widths, heights, slopes = (part.permute(2, 1, 0).clone() for part in raw.split([6, 6, 5]))
    # Ours take zero for the slope 1, theirs for the slope ln 2.
    slopes += np.log(np.expm1(1 - 1e-3))
    bent, log_slope = unconstrained_rational_quadratic_spline(
        u, widths, heights, slopes, tails="linear", tail_bound=3.0
    )
    z, log_det = layer(x)
    torch.testing.assert_close(z, bent, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(log_det, (log_slope + log_scale).sum(dim=1), rtol=1e-9, atol=1e-9)


def test_the_slope_is_continuous_where_the_tails_begin() -> None:
    layer = lively(1, 0).flows[0]
    shift, log_scale, _ = layer._split(layer.autoregressive_net(torch.zeros(1, 1).double()), 1)
    for bound in (-3.0, 3.0):
        edge = (bound - shift) / log_scale.exp()
        (_, below), (_, above) = layer(edge - 1e-7), layer(edge + 1e-7)
        torch.testing.assert_close(below, above, rtol=0, atol=1e-4)


def test_a_feature_of_two_peaks_is_learned_where_a_masked_affine_flow_stays_gaussian() -> None:
    x, m = peaks(4000, 2)
    assert (peaks_log_prob(x, m) - fitted().log_prob(x, m)).mean() < 0.05
    # Negative control: of one feature an affine flow, however deep, is a Gaussian.
    affine = replace(SPLINE, kind="maf", layers=6).fit(*peaks(6000, 1), seed=3)
    assert (peaks_log_prob(x, m) - affine.log_prob(x, m)).mean() > 0.3


@pytest.mark.parametrize("at", [-0.9, 0.0, 0.9])
def test_one_dimensional_density_integrates_to_one_at_every_context(at: float) -> None:
    axis = np.linspace(-15, 15, 20001)
    values = np.exp(fitted().log_prob(axis[:, None], np.full(len(axis), at)))
    assert np.trapezoid(values, axis) == pytest.approx(1.0, abs=2e-4)


@pytest.mark.parametrize("at", [1.1, 1.9])
def test_two_dimensional_density_integrates_to_one_at_every_context(at: float) -> None:
    axis = np.linspace(-6, 6, 401)
    grid = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    values = np.exp(ring().log_prob(grid, np.full(len(grid), at))).reshape(401, 401)
    assert np.trapezoid(np.trapezoid(values, axis), axis) == pytest.approx(1.0, abs=1e-2)
    hole = np.exp(ring().log_prob(np.zeros((1, 2)), np.array([at])))[0]
    assert hole < 0.2 * values.max()


def test_samples_follow_the_density() -> None:
    m = np.full(3000, 0.5)
    x = fitted().sample(m, seed=7)[:, 0]
    axis = np.linspace(-15, 15, 20001)
    density = np.exp(fitted().log_prob(axis[:, None], np.full(len(axis), 0.5)))
    rising = np.cumsum(density) * (axis[1] - axis[0])
    assert kstest(np.interp(x, axis, rising), "uniform").pvalue > 1e-3
    # Negative control: draws for another context.
    other = fitted().sample(-m, seed=7)[:, 0]
    assert kstest(np.interp(other, axis, rising), "uniform").pvalue < 1e-6


def test_samples_return_to_their_latent_places() -> None:
    _, m = peaks(2000, 5)
    x = fitted().sample(m, seed=1)
    assert kstest(fitted().to_latent(x, m)[:, 0], "norm").pvalue > 1e-3


def test_fit_is_blind_to_row_order_and_survives_files(tmp_path: Path) -> None:
    x, m = peaks(1000, 6)
    recipe = replace(SPLINE, epochs=2, bins=5, tail_bound=3.5)
    order = np.random.default_rng(0).permutation(len(m))
    one, two = recipe.fit(x, m, seed=3), recipe.fit(x[order], m[order], seed=3)
    np.testing.assert_array_equal(one.log_prob(x, m), two.log_prob(x, m))
    one.save(tmp_path / "spline.npz")
    again = FlowDensity.load(tmp_path / "spline.npz")
    assert again.recipe == recipe
    np.testing.assert_array_equal(again.log_prob(x, m), one.log_prob(x, m))


def test_scores_are_the_gradients_and_finite_far_out() -> None:
    x, m = peaks(50, 8)
    density = replace(SPLINE, dtype="float64", epochs=2).fit(*peaks(1000, 1), seed=1)
    in_x, in_m = density.scores(x, m)
    step = 1e-6
    slope = (density.log_prob(x + step, m) - density.log_prob(x - step, m)) / (2 * step)
    # A row may lie on a knot, where the gradient jumps.
    assert np.mean(np.isclose(in_x[:, 0], slope, rtol=1e-4, atol=1e-5)) > 0.95
    far = np.array([[-1e6], [-30.0], [30.0], [1e6]])
    for values in (*density.scores(far, np.zeros(4)), density.log_prob(far, np.zeros(4)), in_m):
        assert np.isfinite(values).all()


def test_stars_outside_the_bound_do_not_spoil_a_training() -> None:
    x, m = peaks(500, 9)
    x[:3, 0] = [40.0, -60.0, 100.0]
    density = replace(SPLINE, epochs=2, tail_bound=1.0).fit(x, m, seed=1)
    assert density.history.restarts == 0 and np.isfinite(density.log_prob(x, m)).all()


def test_what_is_not_a_number_comes_out_as_such() -> None:
    model = lively(2, 0)
    z, log_det = model.to_latent(torch.tensor([[torch.nan, 0.0]]).double(), None)
    assert torch.isnan(z[0, 0]) and torch.isnan(log_det).all()
    with torch.no_grad():
        model.flows[0].autoregressive_net.final_layer.bias.fill_(torch.nan)
    assert torch.isnan(model.log_prob(torch.zeros(3, 2).double(), None)).all()


def test_recipes_that_make_no_sense_are_refused_with_their_values() -> None:
    with pytest.raises(TrainingError, match="'glow'"):
        ConditionalFlow(kind="glow")
    with pytest.raises(TrainingError, match="got 1, 4"):
        ConditionalFlow(bins=1)
    with pytest.raises(TrainingError, match="got 8, -1"):
        ConditionalFlow(tail_bound=-1.0)
