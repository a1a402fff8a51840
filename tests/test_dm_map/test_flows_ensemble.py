"""Laws of ensembles: members by seed, continued where they stopped; accelerations and scores from them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from density import ConditionalFlow
from dm_map.errors import AccelerationError, FlowError, VolumeError
from dm_map.flows import (
    FlowEnsemble,
    PhaseSpaceDensity,
    PhaseSpaceFlow,
    draw_scores,
    fit_ensemble,
    pointwise_accelerations,
    sample_fingerprint,
)
from dm_map.flows.pointwise import within_sigmas
from dm_map.stars import StarSample
from dm_map.volume import Ball

TINY = ConditionalFlow(layers=2, hidden=8, epochs=2, batch_size=512, learning_rate=1e-2)
RECIPE = PhaseSpaceFlow(TINY, TINY)
VOLUME = Ball((0.0, 0.0, 0.0), 3.0)


def isothermal(n: int = 4000, seed: int = 1, sigma: float = 2.0) -> StarSample:
    """Isothermal stars in a harmonic potential, a = -x: n ~ exp(-x^2 / (2 sigma^2)), within the ball."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(6 * n, 3)) * sigma
    x = x[VOLUME.contains(x)][:n]
    return StarSample(x, rng.normal(size=x.shape) * sigma, VOLUME)


@cache
def ensemble(bootstrap: bool = False) -> FlowEnsemble:
    torch.set_num_threads(1)
    return fit_ensemble(isothermal(), RECIPE, 2, seed=5, bootstrap=bootstrap)


@cache
def concentrated() -> FlowEnsemble:
    return fit_ensemble(isothermal(sigma=0.8), RECIPE, 2, seed=5)


def test_members_differ_and_do_not_depend_on_their_number() -> None:
    x = VOLUME.within(2.0).uniform(20, 1)
    first, second = (member.log_density(x, x) for member in ensemble().members)
    assert not np.array_equal(first, second)
    alone = fit_ensemble(isothermal(), RECIPE, 1, seed=5)
    np.testing.assert_array_equal(alone.members[0].log_density(x, x), first)
    assert not np.array_equal(ensemble(True).members[0].log_density(x, x), first)


def test_workers_do_not_change_the_members(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    side_by_side = fit_ensemble(
        isothermal(), RECIPE, 2, seed=5, workers=2, progress=lambda *n: told.append(n), directory=tmp_path
    )
    x = VOLUME.within(2.0).uniform(20, 1)
    np.testing.assert_array_equal(side_by_side.log_density(x, x), ensemble().log_density(x, x))
    assert told == [(0, 2), (1, 2), (2, 2)]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "ensemble.json",
        "member_000.npz",
        "member_001.npz",
    ]


def test_an_interrupted_ensemble_continues(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fit_ensemble(isothermal(), RECIPE, 1, seed=5, directory=tmp_path / "run")
    fitted: list[int] = []
    original = PhaseSpaceFlow.fit

    def counted(self: PhaseSpaceFlow, sample: StarSample, **options: object) -> PhaseSpaceDensity:
        fitted.append(len(sample))
        return original(self, sample, **options)

    monkeypatch.setattr(PhaseSpaceFlow, "fit", counted)
    whole = fit_ensemble(isothermal(), RECIPE, 2, seed=5, directory=tmp_path / "run")
    assert len(fitted) == 1
    x = VOLUME.within(2.0).uniform(20, 1)
    np.testing.assert_array_equal(whole.log_density(x, x), ensemble().log_density(x, x))


@pytest.mark.parametrize("change", ["stars", "recipe", "seed", "bootstrap"])
def test_another_fit_does_not_continue_what_is_there(tmp_path: Path, change: str) -> None:
    fit_ensemble(isothermal(), RECIPE, 1, seed=5, directory=tmp_path)
    other = {"sample": isothermal(), "recipe": RECIPE, "seed": 5, "bootstrap": False}
    other |= {
        "stars": {"sample": isothermal(seed=2)},
        "recipe": {"recipe": replace(RECIPE, use_within=0.5)},
        "seed": {"seed": 6},
        "bootstrap": {"bootstrap": True},
    }[change]
    with pytest.raises(FlowError, match=f"differs in {change}"):
        fit_ensemble(other.pop("sample"), other.pop("recipe"), 1, **other, directory=tmp_path)


def test_broken_folders_are_named(tmp_path: Path) -> None:
    (tmp_path / "ensemble.json").write_text("{")
    with pytest.raises(FlowError, match=r"ensemble\.json is not readable"):
        fit_ensemble(isothermal(), RECIPE, 1, seed=5, directory=tmp_path)
    with pytest.raises(FlowError, match="members >= 1"):
        fit_ensemble(isothermal(), RECIPE, 0, seed=5)
    with pytest.raises(FlowError, match="at least one member"):
        FlowEnsemble(())
    other = replace(ensemble().members[0], use_within=0.3)
    with pytest.raises(FlowError, match="share one volume"):
        FlowEnsemble((ensemble().members[0], other))


def test_the_fingerprint_knows_the_stars() -> None:
    sample = isothermal()
    assert sample_fingerprint(sample) == sample_fingerprint(isothermal())
    others = [
        isothermal(seed=2),
        replace(sample, weights=np.ones(len(sample))),
        replace(sample, volume=VOLUME.within(3.5)),
        sample.take(np.arange(10)),
    ]
    assert len({sample_fingerprint(other) for other in [sample, *others]}) == 5


def test_the_mixture_is_one_density_with_its_gradients() -> None:
    double = FlowEnsemble(
        tuple(
            replace(one, position=one.position.in_double(), velocity=one.velocity.in_double())
            for one in ensemble().members
        )
    )
    sample = isothermal(seed=7).within(VOLUME.within(2.0)).take(np.arange(30))
    x, v = sample.x, sample.v
    each = [np.exp(member.log_density(x, v)) for member in double.members]
    np.testing.assert_allclose(np.exp(double.log_density(x, v)), np.mean(each, axis=0))
    s_x, s_v = double.scores(x, v)
    step = 1e-5 * np.array([0.0, 1.0, 0.0])
    for scores, dx, dv in ((s_x, step, 0.0), (s_v, 0.0, step)):
        found = double.log_density(x + dx, v + dv) - double.log_density(x - dx, v - dv)
        np.testing.assert_allclose(found / 2e-5, scores[:, 1], rtol=1e-5, atol=1e-7)


def test_draws_of_the_mixture_come_from_all_members() -> None:
    sample = ensemble().sample(1001, seed=1)
    assert len(sample) == 1001 and len(ensemble()) == 2
    np.testing.assert_array_equal(sample.v, ensemble().sample(1001, seed=1).v)
    v = ensemble().sample_velocities(sample.x, 4, seed=3)
    first = ensemble().members[0].velocity
    assert v.shape == (1001, 4, 3)
    assert np.abs(v.std(axis=(0, 1)) - 2.0).max() < 0.2 and first.feature_map.width == 3


@dataclass(frozen=True, eq=False)
class ExactIsothermal(PhaseSpaceDensity):
    """Exact scores of the isothermal stars in place of learned ones, off by a constant."""

    offset: float = 0.0

    def scores(self, x: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """-x / sigma^2 + offset and -v / sigma^2."""
        x, v = np.broadcast_arrays(x, v)
        return -x / 4.0 + self.offset, -v / 4.0


def exact(offset: float) -> ExactIsothermal:
    one = ensemble().members[0]
    return ExactIsothermal(one.volume, one.position, one.velocity, one.use_within, offset)


def test_exact_scores_give_the_exact_acceleration() -> None:
    x = VOLUME.within(2.0).uniform(50, 3)
    found = pointwise_accelerations(exact(0.0), x, seed=1, velocities=16)
    np.testing.assert_allclose(found.value, -x, rtol=1e-10)
    np.testing.assert_allclose(found.members[0], -x, rtol=1e-10)
    assert found.residual.max() < 1e-10 and found.mean_residual.max() < 1e-10
    assert np.all(np.isnan(found.error)) and np.all(found.condition < 100)


def test_errors_of_members_average_out() -> None:
    x = VOLUME.within(2.0).uniform(50, 3)
    found = pointwise_accelerations(FlowEnsemble((exact(0.1), exact(-0.1))), x, seed=1)
    np.testing.assert_allclose(found.value, -x, atol=1e-10)
    # v . (s_x + offset) shifts a by sigma^2 x offset = 0.4, in opposite directions.
    np.testing.assert_allclose(found.members[0] + found.members[1], -2 * x, atol=1e-10)
    np.testing.assert_allclose(found.scatter, 0.4 * np.sqrt(2.0))
    np.testing.assert_allclose(found.error, 0.4)
    resampled = pointwise_accelerations(FlowEnsemble((exact(0.1), exact(-0.1)), bootstrap=True), x, seed=1)
    np.testing.assert_allclose(resampled.error, resampled.scatter)


def test_learned_scores_find_the_field() -> None:
    flow = replace(TINY, layers=3, hidden=16, epochs=6)
    found = fit_ensemble(isothermal(12_000, sigma=1.0), PhaseSpaceFlow(flow, flow), 1, seed=2)
    x = VOLUME.within(2.0).uniform(200, 3)
    error = np.linalg.norm(pointwise_accelerations(found, x, seed=1).value + x, axis=1)
    assert np.median(error) < 0.3 * np.median(np.linalg.norm(x, axis=1))


def test_velocities_in_the_wings_are_left_out() -> None:
    v = np.random.default_rng(0).normal(size=(3, 2000, 3)) * np.array([1.0, 20.0, 300.0]) + 100.0
    inside = within_sigmas(v, 3.0)
    assert inside.mean() == pytest.approx(0.9707, abs=0.01)  # chi^2 of three degrees of freedom below 9
    sized = np.linalg.norm((v - v.mean(axis=1, keepdims=True)) / v.std(axis=1, keepdims=True), axis=-1)
    assert sized[inside].max() < 3.1 < sized[~inside].max() and sized[~inside].min() > 2.9


def test_positions_outside_the_usable_part_are_refused() -> None:
    x = np.array([[0.0, 0.0, 1.0], [0.0, 2.6, 0.0]])
    with pytest.raises(VolumeError, match=r"2\.6"):
        pointwise_accelerations(ensemble(), x, seed=1)
    with pytest.raises(AccelerationError, match="8 velocities"):
        pointwise_accelerations(ensemble(), x[:1], seed=1, velocities=4)
    with pytest.raises(AccelerationError, match="at least one position"):
        pointwise_accelerations(ensemble(), x[:0], seed=1)


@pytest.mark.parametrize("uniform", [False, True])
def test_score_samples_are_the_scores_of_each_member(uniform: bool) -> None:
    drawn = draw_scores(concentrated(), 300, seed=1, velocities=2, uniform=uniform)
    assert len(drawn) == 600 and drawn.s_x.shape == drawn.s_v.shape == (2, 600, 3)
    drawn.volume.require(drawn.x)
    assert drawn.volume == concentrated().usable
    np.testing.assert_array_equal(drawn.x[0], drawn.x[1])
    np.testing.assert_array_equal(drawn.s_x[1], concentrated().members[1].scores(drawn.x, drawn.v)[0])
    np.testing.assert_allclose(drawn.mean[1], drawn.s_v.mean(axis=0))
    inside = np.linalg.norm(drawn.x, axis=1) < 0.5 * drawn.volume.radius
    assert (abs(inside.mean() - 0.125) < 0.05) == uniform
    with pytest.raises(FlowError, match="usable part"):
        draw_scores(ensemble(), 10, seed=1, within=VOLUME)
    with pytest.raises(FlowError, match="positions >= 1"):
        draw_scores(ensemble(), 0, seed=1)
