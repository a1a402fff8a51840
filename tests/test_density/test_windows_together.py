"""Laws of fitting many windows at once: trained together or alone, a density is the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from gaussian_toy import WINDOW, GaussianToy

from density import Anode, Cathode, ConditionalFlow, FeatureError, FlowDensity, TrainingError, Window
from density.together import fit_together
from density.together.stacked_flow import StackedFlow
from density.together.stacked_rows import BestEpochs

WINDOWS = (Window(-3.0, -1.0), WINDOW, Window(0.0, 5.0))
SEEDS = (11, 12, 13)
SMALL = ConditionalFlow(layers=2, hidden=12, epochs=3, batch_size=128, average_best=2)


@pytest.fixture(scope="module")
def rows():
    x, m, _ = GaussianToy(signal=60, background=1500).draw(seed=4)
    return x, m


@pytest.fixture(scope="module")
def use(rows):
    return np.array([window.sidebands(rows[1]) for window in WINDOWS])


def differences(many, alone, x, m):
    return [np.abs(a.log_prob(x, m) - b.log_prob(x, m)).max() for a, b in zip(many, alone, strict=True)]


RECIPES = {
    "maf": SMALL,
    "spline": replace(SMALL, kind="spline", bins=4),
    "no middle layer": replace(SMALL, blocks=0),
    "double precision": replace(SMALL, dtype="float64"),
    "weight decay, constant rate": replace(SMALL, weight_decay=0.1, schedule="constant"),
    "early stopping": replace(SMALL, epochs=8, patience=1, schedule="constant", learning_rate=0.05),
}


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_together_is_the_same_as_alone(rows, use, recipe):
    x, m = rows
    many = fit_together(recipe, x, m, use, seeds=SEEDS, device="cpu")
    alone = [recipe.fit(x[own], m[own], seed=seed) for own, seed in zip(use, SEEDS, strict=True)]
    assert max(differences(many, alone, x, m)) < 1e-3
    for a, b in zip(many, alone, strict=True):
        assert a.history.validation_loss == pytest.approx(b.history.validation_loss, abs=1e-4)
        assert a.history.training_loss == pytest.approx(b.history.training_loss, abs=1e-4)
        assert (a.recipe, a.feature_map, a.context_map) == (b.recipe, b.feature_map, b.context_map)


def test_each_flow_stops_in_its_own_time(rows):
    x, m = rows
    use = np.random.default_rng(8).random((8, len(m))) < 0.1
    recipe = replace(RECIPES["early stopping"], epochs=15, batch_size=64)
    many = fit_together(recipe, x, m, use, seeds=range(8), device="cpu")
    alone = [recipe.fit(x[own], m[own], seed=seed) for seed, own in enumerate(use)]
    epochs = [len(density.history.training_loss) for density in many]
    assert len(set(epochs)) > 1
    assert epochs == [len(density.history.training_loss) for density in alone]
    assert max(differences(many, alone, x, m)) < 1e-2


def test_another_seed_or_other_rows_give_another_density(rows, use):
    """Negative control: the agreement above is far closer than the spread between seeds."""
    x, m = rows
    many = fit_together(SMALL, x, m, use, seeds=SEEDS, device="cpu")
    other_seed = SMALL.fit(x[use[0]], m[use[0]], seed=99)
    other_rows = SMALL.fit(x[use[1]], m[use[1]], seed=SEEDS[0])
    assert min(differences([many[0]] * 2, [other_seed, other_rows], x, m)) > 1e-2


def test_a_density_does_not_depend_on_its_companions(rows, use):
    x, m = rows
    many = fit_together(SMALL, x, m, use, seeds=SEEDS, device="cpu")
    turned = fit_together(SMALL, x, m, use[::-1], seeds=SEEDS[::-1], device="cpu")
    single = [fit_together(SMALL, x, m, use[[k]], seeds=[SEEDS[k]], device="cpu")[0] for k in range(3)]
    assert max(differences(many, turned[::-1], x, m) + differences(many, single, x, m)) < 1e-3


def test_the_row_order_does_not_matter(rows, use):
    x, m = rows
    order = np.random.default_rng(5).permutation(len(m))
    many = fit_together(SMALL, x, m, use, seeds=SEEDS, device="cpu")
    shuffled = fit_together(SMALL, x[order], m[order], use[:, order], seeds=SEEDS, device="cpu")
    assert max(differences(many, shuffled, x, m)) == 0.0


def test_sidebands_of_very_different_size_train_together(rows):
    x, m = rows
    few = m < np.sort(m)[200]
    use = np.array([few, np.ones(len(m), dtype=bool)])
    many = fit_together(SMALL, x, m, use, seeds=(1, 2), device="cpu")
    alone = [SMALL.fit(x[own], m[own], seed=seed) for own, seed in zip(use, (1, 2), strict=True)]
    assert max(differences(many, alone, x[few], m[few])) < 1e-3


def test_weights_of_the_rows_are_those_of_a_single_fit(rows, use):
    x, m = rows
    weights = use[:2] * np.random.default_rng(6).integers(1, 4, len(m)).astype(float)
    many = fit_together(SMALL, x, m, weights, seeds=SEEDS[:2], device="cpu")
    alone = [SMALL.fit(x, m, weights=w, seed=s) for w, s in zip(weights, SEEDS[:2], strict=True)]
    assert max(differences(many, alone, x, m)) < 1e-3


def test_a_warm_start_takes_over_maps_and_weights(rows, use):
    x, m = rows
    start = SMALL.fit(x, m, seed=3)
    tuning = replace(SMALL, epochs=1)
    many = fit_together(tuning, x, m, use, seeds=SEEDS, start=start, device="cpu")
    alone = [tuning.fit(x[own], m[own], seed=s, start=start) for own, s in zip(use, SEEDS, strict=True)]
    assert max(differences(many, alone, x, m)) < 1e-3
    assert all(density.feature_map == start.feature_map for density in many)


def test_a_member_whose_loss_is_not_finite_leaves_the_others_alone(rows, use, monkeypatch):
    x, m = rows
    init = ConditionalFlow.build

    def broken(self, features, context, seed=0):
        network = init(self, features, context, seed)
        if seed == int(np.random.SeedSequence(SEEDS[1]).spawn(2)[0].generate_state(1)[0]):
            with torch.no_grad():
                next(network.parameters()).fill_(float("nan"))
        return network

    sound = fit_together(SMALL, x, m, use, seeds=SEEDS, device="cpu")
    monkeypatch.setattr(ConditionalFlow, "build", broken)
    many = fit_together(SMALL, x, m, use, seeds=SEEDS, device="cpu")
    assert [density.history.restarts for density in many] == [0, 1, 0]
    monkeypatch.undo()
    assert max(differences([many[0], many[2]], [sound[0], sound[2]], x, m)) < 1e-3
    assert np.isfinite(many[1].log_prob(x, m)).all()


def test_the_densities_are_whole(rows, use):
    x, m = rows
    density = fit_together(SMALL, x, m, use, seeds=SEEDS, device="cpu")[1]
    again = FlowDensity.from_bytes(density.to_bytes())
    assert (again.log_prob(x, m) == density.log_prob(x, m)).all()
    side = np.linspace(-8, 8, 161)
    grid = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    at = np.full(len(grid), WINDOW.centre)
    assert np.exp(density.log_prob(grid, at)).sum() * 0.01 == pytest.approx(1.0, abs=0.01)


def test_detectors_take_the_densities_as_backgrounds(rows, use):
    x, m = rows
    density = fit_together(SMALL, x, m, use, seeds=SEEDS, device="cpu")[1]
    data = replace(SMALL, epochs=1)
    for detector in (
        Anode(background=density, data=data, folds=2, minimum=50),
        Cathode(background=density, folds=2, minimum=50),
    ):
        fitted = detector.fit(x, m, WINDOW, seed=1)
        assert (np.isfinite(fitted.out_of_fold) == WINDOW.contains(m)).all()


def test_progress_is_told_once_per_epoch(rows, use):
    seen = []
    fit_together(SMALL, *rows, use, seeds=SEEDS, device="cpu", progress=lambda *values: seen.append(values))
    assert [epoch for epoch, _, _ in seen] == [0, 1, 2]
    assert np.isfinite(seen).all()


def test_errors_say_what_is_wrong(rows, use):
    x, m = rows
    with pytest.raises(TrainingError, match=r"one row of `use` per seed.*\(2, 1560\).*\(3, 1560\)"):
        fit_together(SMALL, x, m, use, seeds=(1, 2))
    with pytest.raises(TrainingError, match=r"at least 8 rows.*0 for density 2"):
        fit_together(SMALL, x, m, np.array([use[0], use[1], np.zeros(len(m), bool)]), seeds=SEEDS)
    with pytest.raises(TrainingError, match="non-negative"):
        fit_together(SMALL, x, m, np.where(use, 1.0, -1.0), seeds=SEEDS)
    with pytest.raises(FeatureError, match="same size"):
        start = replace(SMALL, hidden=8, epochs=1).fit(x, m, seed=1)
        fit_together(SMALL, x, m, use, seeds=SEEDS, start=start)
    with pytest.raises(FeatureError, match="m"):
        fit_together(SMALL, x, np.where(m > 0, np.nan, m), use, seeds=SEEDS)


@pytest.mark.parametrize("kind", ["maf", "spline"])
def test_a_stack_evaluates_each_flow_as_the_flow_itself(kind):
    recipe = replace(SMALL, kind=kind, layers=3)
    networks = [recipe.build(3, 1, seed) for seed in range(4)]
    stack = StackedFlow(recipe.build(3, 1))
    weights = torch.stack([stack.flat(network.state_dict()) for network in networks])
    generator = torch.Generator().manual_seed(2)
    x, context = (torch.randn((4, 50, width), generator=generator) for width in (3, 1))
    together = stack.log_prob(weights, x, context)
    for k, network in enumerate(networks):
        torch.testing.assert_close(together[k], network.log_prob(x[k], context[k]), rtol=1e-5, atol=1e-5)
        state = {name: torch.from_numpy(value) for name, value in stack.state(weights[k]).items()}
        assert all(torch.equal(state[name], value) for name, value in network.state_dict().items())


def test_the_best_epochs_are_those_of_lowest_loss():
    best = BestEpochs(2)
    for epoch, loss in enumerate([3.0, 1.0, 2.0, 5.0]):
        best.offer(loss, epoch, torch.full((2,), float(epoch)))
    assert best.mean().tolist() == [1.5, 1.5]
    assert best.single()[0] == 1.0 and best.single()[1].tolist() == [1.0, 1.0]
