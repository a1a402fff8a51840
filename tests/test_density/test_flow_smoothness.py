"""Laws of what scores need: smooth activations, double precision, no mark of the axes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from density import (
    Ball,
    Bounds,
    ConditionalFlow,
    FeatureError,
    FlowDensity,
    InBall,
    TrainingError,
    fit_together,
)
from density.backend import SMOOTH_ACTIVATIONS, ConditionalMaf, ConditionalSpline

SMALL = ConditionalFlow(layers=3, hidden=16, epochs=3, batch_size=256)


def rows(n: int = 2000, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    m = rng.uniform(-1, 1, n)
    return rng.normal(size=(n, 3)) * (1 + 0.5 * m[:, None]), m


def wide(recipe: ConditionalFlow, seed: int = 3) -> torch.nn.Module:
    """A network of the recipe, far from the identity, in double precision."""
    network = recipe.build(3, 1, seed).double()
    with torch.no_grad():
        for flow in network.flows:
            flow.autoregressive_net.final_layer.weight.mul_(10)
    return network


@pytest.mark.parametrize("kind", [ConditionalMaf, ConditionalSpline])
def test_rotated_flows_invert_and_know_their_log_determinant(kind: type) -> None:
    more = {} if kind is ConditionalMaf else {"bins": 5, "tail_bound": 4.0}
    model = kind(3, 2, layers=3, hidden=16, blocks=1, seed=1, rotations=7, **more).double()
    x, context = torch.randn(20, 3, dtype=torch.float64), torch.randn(20, 2, dtype=torch.float64)
    z, log_det = model.to_latent(x, context)
    jacobian = torch.autograd.functional.jacobian(lambda v: model.to_latent(v, context)[0].sum(dim=0), x)
    torch.testing.assert_close(log_det, torch.linalg.slogdet(jacobian.transpose(0, 1)).logabsdet)
    torch.testing.assert_close(model.from_latent(z, context), x, rtol=1e-8, atol=1e-8)


def test_rotations_follow_from_the_recipe_alone() -> None:
    first, second = (replace(SMALL, rotations=5).build(3, 1, seed) for seed in (1, 2))
    other = replace(SMALL, rotations=6).build(3, 1, 1)
    for a, b, c in zip(first.rotations, second.rotations, other.rotations, strict=True):
        torch.testing.assert_close(a @ a.T, torch.eye(3, dtype=torch.float64))
        assert torch.equal(a, b) and not torch.equal(a, c)
    assert SMALL.build(3, 1).rotations == ()


def test_a_rotated_flow_is_read_back_to_the_last_bit() -> None:
    x, m = rows()
    density = replace(SMALL, rotations=5, activation="gelu").fit(x, m, seed=1)
    again = FlowDensity.from_bytes(density.to_bytes())
    np.testing.assert_array_equal(again.log_prob(x, m), density.log_prob(x, m))
    np.testing.assert_allclose(density.from_latent(density.to_latent(x, m), m), x, atol=1e-3)


def test_flows_together_keep_activation_and_rotations() -> None:
    x, m = rows()
    recipe = replace(SMALL, rotations=5, activation="tanh", dtype="float64", epochs=2)
    (together,) = fit_together(recipe, x, m, np.ones((1, len(x)), dtype=bool), seeds=[4], device="cpu")
    np.testing.assert_allclose(together.log_prob(x, m), recipe.fit(x, m, seed=4).log_prob(x, m), rtol=1e-6)


def test_a_warm_start_needs_the_same_rotations_and_activation() -> None:
    x, m = rows()
    start = replace(SMALL, rotations=5).fit(x, m, seed=1)
    for other in (SMALL, replace(SMALL, rotations=6), replace(SMALL, rotations=5, activation="gelu")):
        with pytest.raises(FeatureError, match="warm start"):
            other.fit(x, m, seed=1, start=start)
    assert replace(SMALL, rotations=5).fit(x, m, seed=1, start=start).history.best_loss <= 5


@pytest.mark.parametrize("activation", [*SMOOTH_ACTIVATIONS, "relu"])
def test_scores_are_continuous_behind_smooth_activations_only(activation: str) -> None:
    network = wide(replace(SMALL, activation=activation))
    at = torch.linspace(-2, 2, 4001, dtype=torch.float64)
    x = torch.stack([at, 0.3 * at, -0.5 * at], dim=1).requires_grad_()
    (score,) = torch.autograd.grad(network.log_prob(x, torch.zeros(len(at), 1).double()).sum(), x)
    steps = (score[1:] - score[:-1]).norm(dim=1)
    # A jump stays as the grid is refined; elsewhere the steps shrink with it.
    jump = float(steps.max() / (score[2::2] - score[:-2:2]).norm(dim=1).max())
    assert (jump > 0.9) == (activation == "relu")


def test_in_double_is_the_same_density_with_smoother_scores() -> None:
    x, m = rows()
    density = SMALL.fit(x, m, seed=1)
    double = density.in_double()
    np.testing.assert_allclose(double.log_prob(x, m), density.log_prob(x, m), atol=2e-5)
    step = 1e-6
    ahead, behind = x[:50].copy(), x[:50].copy()
    ahead[:, 1] += step
    behind[:, 1] -= step

    def differences(of: FlowDensity) -> np.ndarray:
        found = (of.log_prob(ahead, m[:50]) - of.log_prob(behind, m[:50])) / (2 * step)
        return np.abs(found - double.scores(x[:50], m[:50])[0][:, 1]).max()

    assert differences(double) < 1e-6
    assert differences(density) > 1e-3  # single precision cannot resolve such a step


def test_unknown_activations_and_bad_rotations_are_refused() -> None:
    with pytest.raises(TrainingError, match="softsign"):
        ConditionalFlow(activation="softsign")
    with pytest.raises(TrainingError, match="-1"):
        ConditionalFlow(rotations=-1)


def test_a_ball_map_with_a_core_inverts_and_knows_its_log_determinant() -> None:
    ball = Ball((1.0, 0.0, -1.0), 3.0, core=0.4)
    away = torch.nn.functional.normalize(torch.randn(400, 3, dtype=torch.float64), dim=1)
    # From the series at the centre, over where it ends, to the edge.
    distance = torch.cat([2.99 * torch.logspace(-9, 0, 300), torch.linspace(0.001, 0.05, 100)]).double()
    x = torch.tensor(ball.centre, dtype=torch.float64) + away * distance[:, None]
    y, log_det = ball.forward(x)
    torch.testing.assert_close(ball.inverse(y), x, rtol=1e-13, atol=1e-14)
    jacobian = torch.autograd.functional.jacobian(lambda at: ball.forward(at)[0].sum(dim=0), x)
    torch.testing.assert_close(log_det, torch.linalg.slogdet(jacobian.transpose(0, 1)).logabsdet)
    assert torch.isfinite(ball.inverse(1e6 * away)).all()
    # Without a core the edge is mapped far further out.
    assert ball.forward(x)[0].abs().max() < 0.6 * Ball(ball.centre, ball.radius).forward(x)[0].abs().max()


def test_a_core_tames_heavy_tails_and_is_kept() -> None:
    rng = np.random.default_rng(1)
    radius = np.sqrt(1 / (rng.random(20_000) ** (-2 / 3) - 1))  # a Plummer sphere
    x = rng.normal(size=(20_000, 3))
    x = (x * (radius / np.linalg.norm(x, axis=1))[:, None])[radius < 30]
    plain, cored = (
        replace(SMALL, bounds=Bounds((InBall(30.0, core=core),) * 3)).fit(x, seed=1) for core in (None, 1.3)
    )
    assert cored.log_prob(x).mean() > plain.log_prob(x).mean() + 0.02
    again = FlowDensity.from_bytes(cored.to_bytes())
    np.testing.assert_array_equal(again.log_prob(x[:50]), cored.log_prob(x[:50]))


def test_cores_are_positive_and_the_same_for_all_coordinates() -> None:
    with pytest.raises(FeatureError, match=r"-1\.0"):
        InBall(2.0, core=-1.0)
    with pytest.raises(FeatureError, match="agree on its core"):
        Bounds((InBall(2.0, core=1.0), InBall(2.0)))
