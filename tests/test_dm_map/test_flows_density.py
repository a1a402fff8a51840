"""Laws of learned phase-space densities: normalised, smooth, reproducible, the same when read back."""

from __future__ import annotations

import pickle
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from density import Bounds, ConditionalFlow
from dm_map.errors import FlowError, VolumeError
from dm_map.flows import PhaseSpaceDensity, PhaseSpaceFlow
from dm_map.mocks import Plummer
from dm_map.stars import StarSample
from dm_map.volume import Ball

SMALL = ConditionalFlow(layers=3, hidden=16, epochs=4, batch_size=512, learning_rate=1e-2)
RECIPE = PhaseSpaceFlow(position=SMALL, velocity=SMALL)
VOLUME = Ball((-8.0, 0.5, 0.0), 4.0)
SIGMA = np.array([40.0, 30.0, 20.0])


def stars(n: int = 6000, seed: int = 1) -> StarSample:
    """An exponential gradient along x in a ball, Gaussian velocities that turn with x."""
    rng = np.random.default_rng(seed)
    x = VOLUME.uniform(8 * n, seed)
    x = x[rng.random(len(x)) < np.exp(-0.4 * (x[:, 0] + 12.0))][:n]
    v = rng.normal(size=(len(x), 3)) * SIGMA
    v[:, 1] += 200.0 + 5.0 * (x[:, 0] + 8.0)
    return StarSample(x, v, VOLUME)


@cache
def fitted(activation: str = "silu") -> PhaseSpaceDensity:
    torch.set_num_threads(1)
    flow = replace(SMALL, activation=activation)
    return PhaseSpaceFlow(flow, flow, allow_rough=True).fit(stars(), seed=3)


def some(n: int = 40) -> tuple[np.ndarray, np.ndarray]:
    inside = stars(seed=9).within(VOLUME.within(3.0))
    return inside.x[:n], inside.v[:n]


def test_the_density_integrates_to_one() -> None:
    density = fitted()
    x = VOLUME.uniform(30_000, 2)
    n = np.exp(density.position.log_prob(x))
    volume = 4 / 3 * np.pi * VOLUME.radius**3
    assert volume * n.mean() == pytest.approx(1.0, abs=0.03)
    # Velocities from a wide normal density, weighted back.
    z = np.random.default_rng(3).normal(size=(30_000, 3))
    proposal = -0.5 * np.sum(z**2, axis=1) - np.log((2 * np.pi) ** 1.5 * 8 * SIGMA.prod())
    v = 2 * SIGMA * z + np.array([0.0, 200.0, 0.0])
    at = np.broadcast_to(np.array([-8.0, 0.0, 0.5]), v.shape)
    log_p = density.log_density(at, v) - density.position.log_prob(at[:1])
    assert np.exp(log_p - proposal).mean() == pytest.approx(1.0, abs=0.05)
    # Negative control: without the map's Jacobian it would not.
    assert (
        abs(np.exp(density.position.log_prob(x) - density.position.feature_map.forward(x)[1]).mean()) > 0.02
    )


def test_scores_are_the_gradients_of_the_log_density() -> None:
    density = replace(
        fitted(), position=fitted().position.in_double(), velocity=fitted().velocity.in_double()
    )
    x, v = some()
    s_x, s_v = density.scores(x, v)
    for axis in range(3):
        for scores, step, moves in ((s_x, 1e-5, (1, 0)), (s_v, 1e-3, (0, 1))):
            delta = step * np.eye(3)[axis]
            ahead = density.log_density(x + moves[0] * delta, v + moves[1] * delta)
            behind = density.log_density(x - moves[0] * delta, v - moves[1] * delta)
            np.testing.assert_allclose((ahead - behind) / (2 * step), scores[:, axis], rtol=1e-5, atol=1e-6)


def test_scores_follow_the_known_gradients() -> None:
    x, v = some(400)
    s_x, s_v = fitted().scores(x, v)
    exact = -(v - np.array([0.0, 200.0, 0.0]) - np.outer(5.0 * (x[:, 0] + 8.0), [0, 1, 0])) / SIGMA**2
    assert np.sqrt(np.mean((s_v - exact) ** 2 * SIGMA**2)) < 0.25
    assert np.median(s_x[:, 0]) == pytest.approx(-0.4, abs=0.12)


def test_leading_axes_are_broadcast() -> None:
    x, v = some(6)
    s_x, s_v = fitted().scores(x[:, None, :], v.reshape(1, 6, 3))
    assert s_x.shape == s_v.shape == (6, 6, 3)
    again = fitted().scores(x[2], v[4])
    np.testing.assert_allclose(s_x[2, 4], again[0], rtol=1e-10)
    np.testing.assert_allclose(s_v[2, 4], again[1], rtol=1e-10)
    assert fitted().log_density(x[:, None, :], v.reshape(1, 6, 3)).shape == (6, 6)


def test_samples_lie_in_the_volume_and_follow_seed_and_density() -> None:
    sample = fitted().sample(3000, seed=4)
    assert len(sample) == 3000 and sample.volume == VOLUME
    np.testing.assert_array_equal(sample.x, fitted().sample(3000, seed=4).x)
    assert not np.array_equal(sample.v, fitted().sample(3000, seed=5).v)
    truth = stars(3000, seed=8)
    for a, b in ((sample.x, truth.x), (sample.v, truth.v)):
        assert np.abs((a.mean(axis=0) - b.mean(axis=0)) / (b.std(axis=0) / np.sqrt(len(b)))).max() < 8
        np.testing.assert_allclose(a.std(axis=0), b.std(axis=0), rtol=0.1)


def test_truncated_velocities_stay_within_the_latent_radius() -> None:
    x, _ = some(200)
    v = fitted().sample_velocities(x, 5, seed=1, truncation=2.0)
    assert v.shape == (200, 5, 3)
    z = fitted().velocity.to_latent(v.reshape(-1, 3), np.repeat(x, 5, axis=0))
    assert np.linalg.norm(z, axis=1).max() < 2.001
    free = fitted().sample_velocities(x, 5, seed=1).reshape(-1, 3)
    assert np.linalg.norm(fitted().velocity.to_latent(free, np.repeat(x, 5, axis=0)), axis=1).max() > 2.5


def test_a_saved_density_is_the_same_to_the_last_bit(tmp_path: Path) -> None:
    x, v = some()
    fitted().save(tmp_path / "density.npz")
    again = PhaseSpaceDensity.load(tmp_path / "density.npz")
    assert again.volume == VOLUME and again.use_within == fitted().use_within
    for one, other in zip(again.scores(x, v), fitted().scores(x, v), strict=True):
        np.testing.assert_array_equal(one, other)
    copied = pickle.loads(pickle.dumps(fitted()))
    np.testing.assert_array_equal(copied.log_density(x, v), fitted().log_density(x, v))
    assert [path.name for path in tmp_path.iterdir()] == ["density.npz"]


@pytest.mark.parametrize("content", [b"", b"no archive", None])
def test_what_is_no_density_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "density.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(FlowError, match=r"density\.npz is not a phase-space density"):
        PhaseSpaceDensity.load(path)


def test_the_order_of_the_stars_does_not_matter_but_the_weights_do() -> None:
    sample = stars(2000)
    recipe = PhaseSpaceFlow(replace(SMALL, epochs=1), replace(SMALL, epochs=1))
    first = recipe.fit(sample, seed=1)
    shuffled = recipe.fit(sample.take(np.random.default_rng(0).permutation(len(sample))), seed=1)
    x, v = some()
    np.testing.assert_array_equal(first.log_density(x, v), shuffled.log_density(x, v))
    weighted = recipe.fit(replace(sample, weights=np.exp(0.4 * (sample.x[:, 0] + 12.0))), seed=1)
    assert weighted.scores(x, v)[0][:, 0].mean() > first.scores(x, v)[0][:, 0].mean() + 0.1


def test_rough_flows_and_foreign_bounds_are_refused() -> None:
    relu = ConditionalFlow(activation="relu")
    with pytest.raises(FlowError, match="relu"):
        PhaseSpaceFlow(position=relu)
    assert PhaseSpaceFlow(velocity=relu, allow_rough=True).velocity.activation == "relu"
    with pytest.raises(FlowError, match="spline"):
        PhaseSpaceFlow(velocity=ConditionalFlow(kind="spline"), allow_rough=True)
    with pytest.raises(FlowError, match="bounds"):
        PhaseSpaceFlow(position=ConditionalFlow(bounds=Bounds.unbounded(3)))
    with pytest.raises(FlowError, match=r"1\.5"):
        PhaseSpaceFlow(use_within=1.5)


def test_recipes_survive_plain_values() -> None:
    recipe = PhaseSpaceFlow(use_within=0.6, position=SMALL)
    assert PhaseSpaceFlow.from_dict(recipe.to_dict()) == recipe


def test_bad_queries_say_what_is_wrong() -> None:
    x, v = some(3)
    with pytest.raises(VolumeError, match="outside the ball"):
        fitted().scores(x + 9.0, v)
    assert np.all(fitted().log_density(x + 9.0, v) == -np.inf)
    with pytest.raises(FlowError, match="finite"):
        fitted().scores(x, v * np.nan)
    with pytest.raises(FlowError, match="negative"):
        fitted().sample(-1, seed=1)
    with pytest.raises(FlowError, match="999"):
        RECIPE.fit(stars().take(np.arange(999)), seed=1)


def test_a_flow_that_cannot_be_fitted_names_its_feature() -> None:
    sample = stars(1500)
    flat = replace(sample, v=sample.v * np.array([1.0, 1.0, 0.0]))
    with pytest.raises(FlowError, match="v_z"):
        RECIPE.fit(flat, seed=1)


def test_members_see_turned_coordinates_unless_asked_not_to() -> None:
    short = PhaseSpaceFlow(replace(SMALL, epochs=1), replace(SMALL, epochs=1))
    first, second = (short.fit(stars(1500), seed=seed) for seed in (1, 2))
    assert (
        len({flow.recipe.rotations for one in (first, second) for flow in (one.position, one.velocity)}) == 4
    )
    assert replace(short, rotate=False).fit(stars(1500), seed=1).position.recipe.rotations is None


def test_stars_that_crowd_at_the_centre_get_a_core() -> None:
    short = PhaseSpaceFlow(replace(SMALL, epochs=1), replace(SMALL, epochs=1))
    cluster = Plummer().sample(2000, seed=1)
    core = short.fit(cluster, seed=1).position.feature_map.blocks[0].map.core
    assert core == pytest.approx(1.3, rel=0.2)  # the half-mass radius
    assert short.fit(stars(2000), seed=1).position.feature_map.blocks[0].map.core is None
