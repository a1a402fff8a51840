"""Laws of SALAD and FETA: a simulation that is wrong everywhere is put right where there is no signal."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from gaussian_toy import WINDOW, GaussianToy
from sklearn.metrics import roc_auc_score

from density import BoostedTrees, ConditionalFlow, Detector, DetectorError, FittedDetector
from density.detectors.contract import LatentDensity
from density.detectors.feta import Feta, MorphedDensity
from density.detectors.idealised import Idealised
from density.detectors.salad import Salad
from density.detectors.transport import InvertibleDensity
from density.mlp import Mlp

TREES = BoostedTrees(members=2)
TOYS = {2: GaussianToy(2, drift=0.3), 4: GaussianToy(4, drift=0.3, spread=0.4)}
SMALL = ConditionalFlow(layers=3, hidden=16, epochs=5, batch_size=512)
NETWORK = Mlp(members=1, hidden=(32,), batch_size=512, epochs=10, learning_rate=1e-2)
NAMES = ["salad", "feta"]


def simulation(toy: GaussianToy, rows: int = 18_000) -> tuple[np.ndarray, np.ndarray]:
    """Background with the wrong spectrum, too wide, off centre, and the more so the larger m."""
    random = np.random.default_rng(77)
    m = -4 + 12 * random.beta(1.0, 1.3, rows)
    x = toy.exact.sample(m, seed=78)
    x[:, 1] = 1.15 * x[:, 1] + 0.3 + 0.05 * m
    return x, m


def recipe(name: str, toy: GaussianToy, **options: object) -> Salad | Feta:
    if name == "salad":
        return Salad(*simulation(toy), TREES, NETWORK, folds=3, **options)
    return Feta(*simulation(toy), TREES, SMALL, SMALL, folds=3, oversampling=2, **options)


@cache
def fitted(name: str, width: int) -> FittedDetector:
    x, m, _ = TOYS[width].draw(1)
    return recipe(name, TOYS[width]).fit(x, m, WINDOW, seed=2)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("width", TOYS)
def test_scores_approach_the_true_log_ratio(name: str, width: int) -> None:
    toy = TOYS[width]
    x, m, label = toy.draw(1)
    inside = WINDOW.contains(m)
    truth, found = toy.log_ratio(x[inside], m[inside]), fitted(name, width).out_of_fold[inside]
    assert np.corrcoef(truth, found)[0, 1] > 0.7
    assert roc_auc_score(label[inside], found) > roc_auc_score(label[inside], truth) - 0.08
    assert np.exp(found - truth).mean() == pytest.approx(1.0, abs=0.25)
    # Negative control: scores against the simulation as it is lean along what is wrong with it.
    raw = Idealised(*simulation(toy), TREES, folds=3).fit(x, m, WINDOW, seed=2).out_of_fold[inside]
    background = ~label[inside]
    wrong_axis = x[inside][background, 1]
    lean, raw_lean = (abs(np.polyfit(wrong_axis, (s - truth)[background], 1)[0]) for s in (found, raw))
    assert lean < 0.15
    assert raw_lean > 0.2


def test_salad_weights_give_the_window_the_moments_of_the_data() -> None:
    toy = TOYS[2]
    x, m = simulation(toy)
    x, m = x[WINDOW.contains(m)], m[WINDOW.contains(m)]
    weights = fitted("salad", 2).reweight(x, m)
    expected = toy.drift * np.average(m, weights=weights)
    assert np.average(x[:, 0], weights=weights) == pytest.approx(expected, abs=0.1)
    assert np.average(x[:, 1], weights=weights) == pytest.approx(0.0, abs=0.12)
    assert np.average(x[:, 1] ** 2, weights=weights) == pytest.approx(1.0, abs=0.15)
    assert x[:, 1].mean() > 0.35 and (x[:, 1] ** 2).mean() > 1.4  # negative control: no weights


def test_feta_moves_the_simulation_onto_the_data() -> None:
    toy = TOYS[2]
    x, m = simulation(toy)
    x, m = x[WINDOW.contains(m)], m[WINDOW.contains(m)]
    moved = fitted("feta", 2).morphed(x, m, m)
    assert np.abs(moved.mean(axis=0) - [toy.drift * m.mean(), 0.0]).max() < 0.12
    assert moved.std(axis=0)[1] == pytest.approx(1.0, abs=0.08)
    assert x[:, 1].mean() > 0.35 and x[:, 1].std() > 1.1  # negative control


def test_the_morphed_density_is_one() -> None:
    """Its logarithm is near the truth, its ways are each other's inverses, its draws follow it."""
    toy, density = TOYS[2], fitted("feta", 2).density
    clean = replace(toy, signal=0)
    x, m, _ = clean.draw(9)
    x, m = x[WINDOW.contains(m)][:1500], m[WINDOW.contains(m)][:1500]
    log_prob, truth = density.log_prob(x, m), toy.exact.log_prob(x, m)
    assert (truth - log_prob).mean() == pytest.approx(0.0, abs=0.1)
    # Negative control: the simulation's own density is further from the data's.
    assert (truth - density.base.log_prob(x, m)).mean() > 2 * (truth - log_prob).mean()
    np.testing.assert_allclose(density.from_latent(density.to_latent(x, m), m), x, atol=2e-2)
    drawn = density.sample(m, seed=1)
    assert density.log_prob(drawn, m).mean() == pytest.approx(log_prob.mean(), abs=0.15)
    # Integral over the plane by importance sampling from something wider.
    random = np.random.default_rng(0)
    wide = 2.0 * random.standard_normal((4000, 2))
    proposal = -0.5 * (wide**2).sum(axis=1) / 4 - np.log(2 * np.pi * 4)
    at = np.full(len(wide), WINDOW.centre)
    assert np.exp(density.log_prob(wide, at) - proposal).mean() == pytest.approx(1.0, abs=0.15)


@pytest.mark.parametrize("name", NAMES)
def test_keep_the_contract_and_ignore_the_order_of_data_and_simulation(name: str) -> None:
    toy = GaussianToy(2, signal=200, background=5000)
    x, m, _ = toy.draw(1)
    sim_x, sim_m = simulation(toy, 6000)
    options = {"classifier": BoostedTrees(members=1), "folds": 2, "see_resonant": True}
    tiny = replace(SMALL, epochs=2)
    parts = {"reweighter": replace(NETWORK, epochs=3)} if name == "salad" else {"base": tiny, "morph": tiny}
    make = {"salad": Salad, "feta": Feta}[name]
    one = make(sim_x, sim_m, **options, **parts).fit(x, m, WINDOW, seed=1)
    assert isinstance(make(sim_x, sim_m), Detector)
    assert isinstance(one, FittedDetector)
    outside = ~WINDOW.contains(m)
    assert (np.isnan(one.out_of_fold) == outside).all()
    assert (np.isnan(one.log_ratio(x, m)) == outside).all()
    random = np.random.default_rng(0)
    order, other = random.permutation(len(m)), random.permutation(len(sim_m))
    again = make(sim_x[other], sim_m[other], **options, **parts).fit(x[order], m[order], WINDOW, seed=1)
    np.testing.assert_allclose(again.out_of_fold, one.out_of_fold[order], atol=1e-6)


@pytest.mark.parametrize("make", [Salad, Feta])
def test_mistakes_are_refused_with_numbers(make: type[Salad] | type[Feta]) -> None:
    toy = TOYS[2]
    x, m, _ = toy.draw(1)
    sim_x, sim_m = simulation(toy)
    with pytest.raises(DetectorError, match="simulated rows of 2 features; got 1"):
        make(sim_x[:, :1], sim_m).fit(x, m, WINDOW, seed=1)
    beside = ~WINDOW.contains(sim_m)
    with pytest.raises(DetectorError, match=r"500 simulated rows or more .* got 0 and"):
        make(sim_x[beside], sim_m[beside]).fit(x, m, WINDOW, seed=1)
    with pytest.raises(DetectorError, match="500 rows or more"):
        make(sim_x, sim_m).fit(x[:300], m[:300], WINDOW, seed=1)


def test_a_simulation_of_something_else_is_refused_by_salad() -> None:
    toy = GaussianToy(2, background=9000, drift=0.0)
    x, m, _ = toy.draw(1)
    sim_x, sim_m = simulation(toy, 9000)
    with pytest.raises(DetectorError, match="after weighting"):
        Salad(sim_x + np.array([6.0, 0.0]), sim_m, TREES, NETWORK).fit(x, m, WINDOW, seed=1)


def test_feta_refuses_what_it_cannot_invert() -> None:
    sim_x, sim_m = simulation(TOYS[2], 2000)
    with pytest.raises((DetectorError, TypeError)):
        Feta(sim_x, sim_m, base=TOYS[2].exact)
    with pytest.raises(DetectorError, match="oversampling"):
        Feta(sim_x, sim_m, oversampling=0)


def test_the_morphed_density_is_a_background_for_others() -> None:
    density = fitted("feta", 2).density
    assert isinstance(density, MorphedDensity)
    assert isinstance(density, LatentDensity) and isinstance(density, InvertibleDensity)
