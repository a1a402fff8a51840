"""Laws of the flow: normalised, invertible, reproducible, blind to row order; close to a known truth."""

from __future__ import annotations

import pickle
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import kstest, norm

from density import (
    Bounds,
    ConditionalFlow,
    DensityError,
    FeatureError,
    FlowDensity,
    InBall,
    Interval,
    TrainingError,
)
from density.backend import ConditionalMaf
from density.faults import likely_fault
from density.feature_maps import choose_feature_map
from density.flow_density import as_context
from density.training import Rows

SMALL = ConditionalFlow(layers=4, hidden=24, epochs=8, batch_size=256, bounds=None)


def toy(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Features whose mean and width depend on m, strongly correlated."""
    rng = np.random.default_rng(seed)
    m = rng.uniform(-2, 2, n)
    first = 0.7 * m + np.exp(0.3 * m) * rng.normal(size=n)
    return np.column_stack([first, 0.95 * first + 0.2 * rng.normal(size=n)]), m


def toy_log_prob(x: np.ndarray, m: np.ndarray) -> np.ndarray:
    return norm.logpdf(x[:, 0], 0.7 * m, np.exp(0.3 * m)) + norm.logpdf(x[:, 1], 0.95 * x[:, 0], 0.2)


@cache
def fitted() -> FlowDensity:
    torch.set_num_threads(1)
    return SMALL.fit(*toy(8000, 1), seed=5)


def test_network_log_determinant_agrees_with_autograd() -> None:
    model = ConditionalMaf(3, 2, layers=3, hidden=16, blocks=2, seed=1).double()
    with torch.no_grad():
        for flow in model.flows:
            flow.autoregressive_net.final_layer.weight.mul_(10)
    x, context = torch.randn(20, 3, dtype=torch.float64), torch.randn(20, 2, dtype=torch.float64)
    z, log_det = model.to_latent(x, context)
    jacobian = torch.autograd.functional.jacobian(lambda v: model.to_latent(v, context)[0].sum(dim=0), x)
    expected = torch.linalg.slogdet(jacobian.transpose(0, 1)).logabsdet
    torch.testing.assert_close(log_det, expected, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(model.from_latent(z, context), x, rtol=1e-8, atol=1e-8)


def test_every_feature_of_every_layer_sees_the_context() -> None:
    model = ConditionalMaf(4, 1, layers=2, hidden=16, blocks=1, seed=1)
    for flow in model.flows:
        x = torch.zeros(1, 4)
        (a, _), (b, _) = flow(x, torch.full((1, 1), -2.0)), flow(x, torch.full((1, 1), 2.0))
        assert (a != b).all()


def test_forbidden_weights_stay_zero_in_training() -> None:
    network = fitted()._network
    for weight, mask in network.masked_weights():
        assert (weight[mask == 0] == 0).all()
        assert (weight[mask == 1] != 0).any()


def test_density_is_close_to_the_truth() -> None:
    x, m = toy(5000, 2)
    divergence = (toy_log_prob(x, m) - fitted().log_prob(x, m)).mean()
    assert divergence < 0.05
    # Negative control: the same densities for shuffled contexts are far off.
    assert (toy_log_prob(x, m) - fitted().log_prob(x, m[::-1].copy())).mean() > 0.2


@pytest.mark.parametrize("at", [-1.5, 0.0, 1.5])
def test_density_integrates_to_one_at_every_context(at: float) -> None:
    axis = np.linspace(-12, 12, 401)
    grid = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    values = np.exp(fitted().log_prob(grid, np.full(len(grid), at))).reshape(401, 401)
    assert np.trapezoid(np.trapezoid(values, axis), axis) == pytest.approx(1.0, abs=5e-3)


def test_bounded_density_integrates_to_one_on_its_support() -> None:
    rng = np.random.default_rng(0)
    angle, radius = rng.uniform(0, 2 * np.pi, 4000), np.sqrt(rng.random(4000))
    x = np.column_stack([radius * np.cos(angle), radius * np.sin(angle), rng.beta(2, 1, 4000)])
    recipe = replace(SMALL, epochs=3, bounds=Bounds((InBall(1.0), InBall(1.0), Interval(0.0, 1.0))))
    density = recipe.fit(x, seed=1)
    draws = rng.uniform([-1, -1, 0], [1, 1, 1], (400_000, 3))
    inside = (draws[:, :2] ** 2).sum(axis=1) < 1
    values = np.exp(density.log_prob(draws[inside]))
    assert 4 * values.sum() / len(draws) == pytest.approx(1.0, abs=0.03)
    samples = density.sample(seed=3, count=2000)
    assert density.feature_map.inside(samples).all()


def test_samples_follow_the_density_and_the_seed() -> None:
    _, m = toy(4000, 3)
    x = fitted().sample(m, seed=7)
    latent = fitted().to_latent(x, m)
    assert min(kstest(latent[:, k], "norm").pvalue for k in range(2)) > 1e-3
    assert kstest(fitted().to_latent(x, m[::-1].copy())[:, 0], "norm").pvalue < 1e-6
    np.testing.assert_array_equal(x, fitted().sample(m, seed=7))
    assert not np.array_equal(x, fitted().sample(m, seed=8))


def test_scores_are_the_gradients() -> None:
    x, m = toy(20, 4)
    density = replace(SMALL, dtype="float64", epochs=1).fit(*toy(1000, 1), seed=1)
    in_x, in_m = density.scores(x, m)
    step = 1e-5
    for k in range(2):
        offset = step * np.eye(2)[k]
        slope = (density.log_prob(x + offset, m) - density.log_prob(x - offset, m)) / (2 * step)
        np.testing.assert_allclose(in_x[:, k], slope, rtol=1e-5, atol=1e-6)
    slope = (density.log_prob(x, m + step) - density.log_prob(x, m - step)) / (2 * step)
    np.testing.assert_allclose(in_m[:, 0], slope, rtol=1e-5, atol=1e-6)


def test_fit_is_blind_to_row_order_and_leaves_the_global_state_alone() -> None:
    x, m = toy(1500, 6)
    weights = np.random.default_rng(1).uniform(0.5, 2, len(m))
    recipe = replace(SMALL, epochs=2)
    shuffled = np.random.default_rng(0).permutation(len(m))
    torch.manual_seed(123)
    expected = torch.rand(3)
    torch.manual_seed(123)
    one = recipe.fit(x, m, weights=weights, seed=3)
    assert torch.equal(torch.rand(3), expected)
    two = recipe.fit(x[shuffled], m[shuffled], weights=weights[shuffled], seed=3)
    np.testing.assert_array_equal(one.log_prob(x, m), two.log_prob(x, m))
    other_seed = recipe.fit(x, m, weights=weights, seed=4)
    assert not np.allclose(one.log_prob(x, m), other_seed.log_prob(x, m))


def test_weights_are_frequencies() -> None:
    rng = np.random.default_rng(2)
    x = np.column_stack([rng.normal(np.where(np.arange(4000) < 2000, -2.0, 2.0), 0.5), rng.normal(size=4000)])
    weights = np.where(np.arange(4000) < 2000, 0.0, 1.0)
    density = replace(SMALL, epochs=5).fit(x, weights=weights, seed=1)
    assert density.sample(seed=1, count=2000)[:, 0].mean() == pytest.approx(2.0, abs=0.15)
    unweighted = replace(SMALL, epochs=5).fit(x, seed=1)
    assert abs(unweighted.sample(seed=1, count=2000)[:, 0].mean()) < 0.5


def test_density_survives_bytes_files_and_pickle_to_the_last_bit(tmp_path: Path) -> None:
    x, m = toy(300, 8)
    expected = fitted().log_prob(x, m)
    fitted().save(tmp_path / "flow.npz")
    for again in (
        FlowDensity.from_bytes(fitted().to_bytes()),
        FlowDensity.load(tmp_path / "flow.npz"),
        pickle.loads(pickle.dumps(fitted())),
    ):
        np.testing.assert_array_equal(again.log_prob(x, m), expected)
        assert (again.recipe, again.history) == (fitted().recipe, fitted().history)
    assert [path.name for path in tmp_path.iterdir()] == ["flow.npz"]


def test_warm_start_begins_where_the_other_density_ended() -> None:
    x, m = toy(8000, 1)
    losses: list[float] = []
    replace(SMALL, epochs=1, learning_rate=1e-5).fit(
        x, m, seed=2, start=fitted(), progress=lambda epoch, training, validation: losses.append(validation)
    )
    assert losses[0] == pytest.approx(fitted().history.best_loss, abs=0.1)
    with pytest.raises(FeatureError, match="same size"):
        replace(SMALL, hidden=8).fit(x, m, seed=2, start=fitted())


def test_a_value_too_extreme_for_any_scale_is_refused_by_name() -> None:
    x, m = toy(600, 1)
    x[0, 1] = 1e300
    with pytest.raises(FeatureError, match="feature 1: its spread"):
        SMALL.fit(x, m, seed=1)


def test_non_finite_training_restarts_twice_and_then_names_the_most_extreme_feature() -> None:
    x, m = toy(600, 1)
    x[0, 1] = 40.0
    built: list[int] = []

    class Hopeless(ConditionalFlow):
        def build(self, features: int, context: int, seed: int = 0) -> ConditionalMaf:
            model = super().build(features, context, seed)
            with torch.no_grad():
                model.flows[0].autoregressive_net.final_layer.bias.fill_(torch.nan)
            built.append(seed)
            return model

    with pytest.raises(TrainingError, match=r"three attempts.*most extreme feature is feature 1"):
        Hopeless(layers=2, hidden=8).fit(x, m, seed=1)
    assert len(set(built)) == 3


def test_wrong_inputs_are_refused_with_their_values() -> None:
    x, m = toy(300, 1)
    with pytest.raises(FeatureError, match=r"\(299,\)"):
        as_context(m[1:], 300)
    with pytest.raises(TrainingError, match="at least 8 rows to train on; got 5"):
        SMALL.fit(x[:5], m[:5], seed=1)
    with pytest.raises(TrainingError, match="weights"):
        SMALL.fit(x, m, weights=-np.ones(300), seed=1)
    with pytest.raises(FeatureError, match="context"):
        fitted().log_prob(x)
    with pytest.raises(DensityError, match="count"):
        fitted().sample(seed=1, count=5)
    with pytest.raises(TrainingError, match="cosine"):
        ConditionalFlow(schedule="cosine")
    with pytest.raises(TrainingError, match="float16"):
        ConditionalFlow(dtype="float16")


def weighted_toy() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows, context and whole-numbered weights that shift the density."""
    x, m = toy(1500, 11)
    counts = np.where(x[:, 0] > 0.5, 4, np.arange(1500) % 2)
    return x, m, counts


def test_a_whole_weight_is_that_many_equal_rows_in_maps_and_loss() -> None:
    x, m, counts = weighted_toy()
    weights = counts[counts > 0].astype(float)
    x, m = x[counts > 0], m[counts > 0]
    repeats = [np.repeat(part, weights.astype(int), axis=0) for part in (x, m)]
    weighted = choose_feature_map(x, Bounds.unbounded(2), weights / weights.mean())
    repeated = choose_feature_map(repeats[0], Bounds.unbounded(2))
    np.testing.assert_allclose(weighted.forward(x)[0], repeated.forward(x)[0], rtol=1e-10, atol=1e-10)
    model = ConditionalMaf(2, 1, layers=2, hidden=8, blocks=1, seed=1).double()
    tensors = [torch.from_numpy(part) for part in (x, m[:, None], weights)]
    many = Rows(torch.from_numpy(repeats[0]), torch.from_numpy(repeats[1])[:, None], None)
    torch.testing.assert_close(Rows(*tensors).loss(model), many.loss(model), rtol=1e-12, atol=1e-12)
    # Negative control: without the weights it is another loss.
    assert abs(float((Rows(*tensors[:2], None).loss(model) - many.loss(model)).detach())) > 1e-3


def test_a_whole_weight_is_that_many_equal_rows_in_a_fit() -> None:
    x, m, counts = weighted_toy()
    at = toy(3000, 12)
    repeats = [np.repeat(part, counts, axis=0) for part in (x, m)]
    # The same number of steps for both; the held-out rows differ, and with them the fits, as with the seed.
    recipe = replace(SMALL, epochs=12)
    fewer = replace(recipe, batch_size=round(recipe.batch_size * (counts > 0).sum() / counts.sum()))
    repeated = recipe.fit(*repeats, seed=1).log_prob(*at)
    apart = [
        np.abs(fewer.fit(x, m, weights=weights, seed=1).log_prob(*at) - repeated).mean()
        for weights in (counts.astype(float), None)
    ]
    assert apart[0] < 0.5 * apart[1]


def test_rows_of_weight_zero_are_as_good_as_absent() -> None:
    x, m = toy(600, 1)
    weights = np.where(np.arange(600) < 400, 1.0, 0.0)
    x[500:] = 1e6  # would stretch every scale
    recipe = replace(SMALL, epochs=1, batch_size=64)
    one = recipe.fit(x, m, weights=weights, seed=1)
    two = recipe.fit(x[:400], m[:400], weights=weights[:400], seed=1)
    np.testing.assert_array_equal(one.log_prob(x[:400], m[:400]), two.log_prob(x[:400], m[:400]))


@pytest.mark.parametrize("kind", ["maf", "spline"])
def test_batches_of_one_row_give_numbers(kind: str) -> None:
    x, m = toy(60, 1)
    density = replace(SMALL, kind=kind, epochs=1, batch_size=1, hidden=8).fit(x, m, seed=1)
    assert density.history.restarts == 0 and np.isfinite(density.log_prob(x[:1], m[:1])).all()


@pytest.mark.parametrize("kind", ["maf", "spline"])
def test_a_constant_feature_is_refused_by_name_and_harmless_after_a_warm_start(kind: str) -> None:
    x, m = toy(600, 1)
    recipe = replace(SMALL, kind=kind, epochs=1, hidden=8)
    start = recipe.fit(x, m, seed=1)
    x[:, 1] = 0.25
    with pytest.raises(FeatureError, match=r"feature 1: constant at 0\.25"):
        recipe.fit(x, m, seed=1)
    density = replace(recipe, epochs=6).fit(x, m, seed=1, start=start)
    assert np.isfinite(density.log_prob(x, m)).all()


def test_early_stopping_stops_and_the_best_epochs_are_averaged() -> None:
    x, m = toy(200, 1)
    restless = replace(SMALL, epochs=200, learning_rate=3e-2, schedule="constant", patience=3, average_best=3)
    history = restless.fit(x, m, seed=1).history
    best = int(np.argmin(history.validation_loss))
    assert len(history.validation_loss) == best + 4 < 200
    # The average is kept only where it is no worse than the best epoch.
    assert history.best_loss <= min(history.validation_loss)


def broken(layer: int, feature: int) -> ConditionalMaf:
    model = ConditionalMaf(3, 0, layers=2, hidden=8, blocks=1, seed=1)
    with torch.no_grad():
        model.flows[layer].autoregressive_net.final_layer.bias[feature] = torch.nan
    return model


def test_the_feature_at_fault_is_named() -> None:
    names = ("phi", "mu", "colour")
    y = np.random.default_rng(0).normal(size=(500, 3))
    for layer in (0, 1):
        assert likely_fault(broken(layer, 1), y, None, names).startswith("mu is the first feature")
    sound = ConditionalMaf(3, 0, layers=2, hidden=8, blocks=1, seed=1)
    assert likely_fault(sound, y, None, names).startswith("no feature is extreme")
    expected = {1e60: "colour is not finite after mapping", 50.0: "most extreme feature is colour, 50.0"}
    for value, message in expected.items():
        far = y.copy()
        far[7, 2] = value
        assert message in likely_fault(sound, far, None, names)
    y[:200, 0] = 0.1
    assert likely_fault(sound, y, None, names).startswith("phi has one value in 40% of the rows")


def test_a_value_beyond_single_precision_is_named_after_three_attempts() -> None:
    x, m = toy(600, 1)
    x[5, 1] = 1e45
    with pytest.raises(TrainingError, match=r"three attempts.*feature 1 is not finite after mapping"):
        replace(SMALL, epochs=1).fit(x, m, seed=1, start=fitted())
