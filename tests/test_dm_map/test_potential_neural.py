"""Laws of the neural potential: exact derivatives, exact scores are learned, the density stays positive."""

from __future__ import annotations

from functools import cache

import gala.dynamics as gd
import numpy as np
import pytest
import torch
from astropy import units as u

from dm_map.errors import PotentialError, VolumeError
from dm_map.flows.score_sample import ScoreSample
from dm_map.gravity import NATURAL
from dm_map.mocks import Plummer
from dm_map.potential.jets import ACTIVATIONS, SmoothPerceptron
from dm_map.potential.neural import NeuralFit, NeuralPotential
from dm_map.volume import Ball

QUICK = NeuralFit(widths=(16, 16), steps=60, batch=64, density_points=16, members=2)


@cache
def _plummer_scores():
    stars = Plummer().sample(10_000, seed=1)
    s_x, s_v = Plummer().scores(stars.x, stars.v)
    return ScoreSample(stars.x, stars.v, s_x[None], s_v[None], stars.volume)


def _quick(**change):
    scores = _plummer_scores()
    return QUICK.fit(scores, scores.volume, **{"seed": 0, "units": NATURAL, **change})


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_the_jet_is_what_autograd_gives(activation):
    torch.manual_seed(0)
    network = SmoothPerceptron((8, 8), activation).double()
    y = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    jet = network(y)
    (gradient,) = torch.autograd.grad(jet.value.sum(), y, create_graph=True)
    rows = [torch.autograd.grad(gradient[:, i].sum(), y, retain_graph=True)[0][:, i] for i in range(3)]
    assert torch.allclose(jet.gradient, gradient, rtol=1e-10)
    assert torch.allclose(jet.laplacian, sum(rows), rtol=1e-10)


def test_exact_scores_of_a_plummer_sphere_are_learned():
    """With a quarter of the default work."""
    scores, mock = _plummer_scores(), Plummer()
    fit = NeuralFit(widths=(48, 48), steps=800).fit(scores, scores.volume, seed=0, units=NATURAL)
    rng = np.random.default_rng(1)
    direction = rng.standard_normal((500, 3))
    x = direction / np.linalg.norm(direction, axis=1, keepdims=True) * rng.uniform(0.2, 4.0, (500, 1))
    truth = mock.acceleration(x)
    error = np.linalg.norm(fit.acceleration(x) - truth, axis=1) / np.linalg.norm(truth, axis=1)
    assert np.median(error) < 0.03
    inside = x[np.linalg.norm(x, axis=1) < 1.5]
    assert np.median(np.abs(fit.density(inside) / mock.density(inside) - 1)) < 0.1
    # Negative control: a network that was not trained fails the same test.
    raw = _quick(seed=1)
    assert (
        np.median(np.linalg.norm(raw.acceleration(x) - truth, axis=1) / np.linalg.norm(truth, axis=1)) > 0.03
    )


def test_density_is_the_divergence_of_the_acceleration():
    field = _quick()
    x, step = np.array([[0.5, 0.2, -0.3]]), 1e-4
    divergence = sum(
        (field.acceleration(x + step * e) - field.acceleration(x - step * e))[0, i] / (2 * step)
        for i, e in enumerate(np.eye(3))
    )
    assert np.isclose(field.density(x)[0], NATURAL.rho_per_divergence * divergence, rtol=1e-5)


def test_the_penalty_removes_negative_density():
    scores = _plummer_scores()
    x = scores.volume.uniform(2000, seed=3)
    deepest = []
    for penalty in (0.0, 100.0):
        recipe = NeuralFit(widths=(16, 16), steps=300, batch=128, density_penalty=penalty)
        deepest.append(recipe.fit(scores, scores.volume, seed=0, units=NATURAL).density(x).min())
    assert deepest[1] > 0.3 * deepest[0] and deepest[0] < 0


def test_seeds_and_members():
    one, again, other = _quick(), _quick(), _quick(seed=1)
    x = np.zeros((2, 2, 3)) + 0.3
    assert np.array_equal(one.acceleration(x), again.acceleration(x))
    assert not np.array_equal(one.acceleration(x), other.acceleration(x))
    assert one.member_accelerations(x).shape == (2, 2, 2, 3) and one.member_densities(x).shape == (2, 2, 2)
    assert np.allclose(one.member_accelerations(x).mean(axis=0), one.acceleration(x))


def test_files_are_exact(tmp_path):
    field, path, x = _quick(), tmp_path / "neural.pt", np.full((3, 3), 0.4)
    field.save(path)
    back = NeuralPotential.load(path)
    assert back.recipe == field.recipe and back.units == NATURAL and back.volume == field.volume
    for quantity in ("potential", "acceleration", "density"):
        assert np.array_equal(getattr(back, quantity)(x), getattr(field, quantity)(x))
    with pytest.raises(PotentialError, match="exists"):
        field.save(path)
    torch.save({"format": "other"}, path)
    with pytest.raises(PotentialError, match="is not a neural potential"):
        NeuralPotential.load(path)


def test_orbits_in_gala_conserve_energy():
    """A harmonic core in Galactic units: x in kpc, v in km/s, scores of exp(-(v^2 + x^2 w^2) / 2 s^2)."""
    rng = np.random.default_rng(2)
    x, v = 2.0 * rng.standard_normal((4000, 3)), 100.0 * rng.standard_normal((4000, 3))
    volume = Ball((0.0, 0.0, 0.0), 12.0)
    scores = ScoreSample(x, v, -x[None] / 2.0**2, -v[None] / 100.0**2, volume)
    field = NeuralFit(widths=(16, 16), steps=300).fit(scores, volume, seed=0)
    potential = field.to_gala()
    start = gd.PhaseSpacePosition(pos=[1.0, 0.5, 0.2] * u.kpc, vel=[20.0, 50.0, -10.0] * u.km / u.s)
    energy = potential.integrate_orbit(start, dt=0.25, n_steps=300).energy().to_value((u.km / u.s) ** 2)
    assert np.ptp(energy) < 1e-3 * 50.0**2
    with pytest.raises(PotentialError, match="kpc, km/s"):
        _quick().to_gala()


def test_what_is_not_smooth_or_outside_is_refused():
    with pytest.raises(PotentialError, match="got 'relu'"):
        NeuralFit(activation="relu")
    with pytest.raises(PotentialError, match="steps is positive; got 0"):
        NeuralFit(steps=0)
    with pytest.raises(VolumeError):
        _quick().acceleration(np.full(3, 1e4))
    scores = _plummer_scores()
    with pytest.raises(VolumeError):
        QUICK.fit(scores, scores.volume.within(0.1), seed=0)
