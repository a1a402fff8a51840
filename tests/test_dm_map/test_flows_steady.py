"""Laws of the training towards a steady state: the derivative along orbits, and what its penalty does."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from density import ConditionalFlow
from dm_map.errors import FlowError
from dm_map.flows import PhaseSpaceDensity, PhaseSpaceFlow, SteadyState
from dm_map.flows.stationarity import _losses, _network, _Potential, _rows
from dm_map.stars import StarSample
from dm_map.volume import Ball

FLOW = ConditionalFlow(layers=3, hidden=16, epochs=4, batch_size=512, learning_rate=1e-2)
RECIPE = PhaseSpaceFlow(FLOW, FLOW)
VOLUME = Ball((0.5, 0.0, 0.0), 3.0)
STEADY = SteadyState(weight=1.0, epochs=12, batch_size=256, learning_rate=5e-3)


@cache
def stars(n: int = 6000, seed: int = 1) -> StarSample:
    """Isothermal stars in a harmonic potential, a = -x, in a ball beside its centre."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(4 * n, 3))
    x = x[VOLUME.contains(x)][:n]
    return StarSample(x, rng.normal(size=x.shape), VOLUME)


@cache
def plain() -> PhaseSpaceDensity:
    torch.set_num_threads(1)
    return RECIPE.fit(stars(), seed=3)


@cache
def trained(weight: float) -> PhaseSpaceDensity:
    return replace(STEADY, weight=weight).fit(plain(), stars(), seed=3)


def residual(density: PhaseSpaceDensity) -> float:
    """Root mean square of v . s_x + a . s_v with the true acceleration, at stars not trained on."""
    fresh = stars(2000, 9).within(VOLUME.within(2.0))
    s_x, s_v = density.scores(fresh.x, fresh.v)
    return float(np.sqrt(np.mean(np.sum(fresh.v * s_x - fresh.x * s_v, axis=1) ** 2)))


def test_the_derivative_along_orbits_is_that_of_the_scores() -> None:
    some = stars().within(VOLUME.within(2.0)).take(np.arange(50))
    rows, potential = _rows(plain(), some), _Potential(8, 1)
    flows = tuple(_network(part) for part in (plain().position, plain().velocity))
    loss, penalty = _losses(flows, potential, rows)
    a = potential.acceleration(rows).detach().numpy()
    s_x, s_v = plain().scores(some.x, some.v)
    change = np.sum(some.v * s_x, axis=1) + np.sum(a * s_v, axis=1)
    assert float(penalty.detach()) == pytest.approx(np.mean(change**2 / rows.rate_squared.numpy()), rel=1e-4)
    maps = plain().position.feature_map, plain().velocity.feature_map
    log_det = maps[0].forward(some.x)[1] + maps[1].forward(some.v)[1]
    assert float(loss.detach()) == pytest.approx(
        np.mean(log_det - plain().log_density(some.x, some.v)), rel=1e-5
    )


def test_the_penalty_brings_the_flows_closer_to_a_steady_state() -> None:
    # Control: as much further training by likelihood alone, which gains less.
    assert residual(trained(1.0)) < 0.85 * residual(trained(0.0))


def test_the_result_is_reproducible_and_blind_to_the_order_of_the_stars() -> None:
    short = replace(STEADY, epochs=1, batch_size=1024)
    shuffled = stars().take(np.random.default_rng(0).permutation(len(stars())))
    told: list[tuple[int, float, float]] = []
    one = short.fit(plain(), stars(), seed=1, progress=lambda *now: told.append(now))
    other = short.fit(plain(), shuffled, seed=1)
    x, v = stars().x[:20], stars().v[:20]
    np.testing.assert_array_equal(one.log_density(x, v), other.log_density(x, v))
    assert not np.array_equal(one.log_density(x, v), short.fit(plain(), stars(), seed=2).log_density(x, v))
    assert [now[0] for now in told] == [0] and told[0][2] > 0


def test_the_recipe_trains_on_where_asked_to() -> None:
    recipe = PhaseSpaceFlow(
        replace(FLOW, epochs=1), replace(FLOW, epochs=1), steady=replace(STEADY, epochs=1)
    )
    assert PhaseSpaceFlow.from_dict(recipe.to_dict()) == recipe
    parts: list[str] = []
    steady = recipe.fit(stars(), seed=1, progress=lambda part, *_: parts.append(part))
    assert parts == ["positions", "velocities", "steady state"]
    x, v = stars().x[:20], stars().v[:20]
    without = replace(recipe, steady=None).fit(stars(), seed=1)
    assert not np.array_equal(steady.log_density(x, v), without.log_density(x, v))


def test_bad_numbers_are_refused() -> None:
    with pytest.raises(FlowError, match=r"-1\.0"):
        SteadyState(weight=-1.0)
    with pytest.raises(FlowError, match="got 0,"):
        SteadyState(epochs=0)


def test_training_that_diverges_says_so() -> None:
    with pytest.raises(FlowError, match="lower the learning rate"):
        replace(STEADY, learning_rate=1e12).fit(plain(), stars(), seed=1)
