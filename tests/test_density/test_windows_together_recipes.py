"""Laws of the backgrounds of a scan: one density per window, combs share, warm starts tune, passes add up."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from gaussian_toy import GaussianToy
from scipy.stats import norm

from density import ConditionalFlow, TrainingError, Window, WindowError, window_grid
from density.together import WarmStart, WindowBackgrounds

GRID = window_grid(-4.0, 8.0, 2.0, 1.0)
FLOW = ConditionalFlow(layers=2, hidden=12, epochs=2, batch_size=128, patience=None)
COMB = WindowBackgrounds(FLOW)


@pytest.fixture(scope="module")
def rows():
    x, m, _ = GaussianToy(signal=0, background=1500).draw(seed=7)
    return x, m


@pytest.fixture(scope="module")
def fitted(rows):
    return COMB.fit(*rows, GRID, seed=1, device="cpu")


def test_every_window_has_a_density_and_those_of_a_comb_share_it(fitted):
    assert list(fitted) == list(GRID) and len(fitted) == len(GRID)
    assert len(fitted.densities) == len(fitted.groups) == 4
    for group, density in zip(fitted.groups, fitted.densities, strict=True):
        assert all(fitted[window] is density for window in group)
    with pytest.raises(KeyError):
        fitted[Window(-0.5, 0.5)]


def test_a_comb_saw_no_row_of_any_of_its_windows(rows, fitted):
    """The density is blind to what lies inside its windows."""
    x, m = rows
    group, density = fitted.groups[0], fitted.densities[0]
    inside = np.logical_or.reduce([window.contains(m) for window in group])
    moved = np.where(inside[:, None], x + 5.0, x)
    again = COMB.fit(moved, m, GRID, seed=1, device="cpu")
    assert again.densities[0].log_prob(x, m) == pytest.approx(density.log_prob(x, m), abs=1e-5)
    # Negative control: others saw those rows.
    assert np.abs(again.densities[1].log_prob(x, m) - fitted.densities[1].log_prob(x, m)).max() > 0.1


def test_a_flow_depends_on_its_own_windows_alone(rows, fitted):
    alone = COMB.fit(*rows, fitted.groups[1], seed=1, device="cpu")
    same = [Window(np.float64(window.low), np.float64(window.high)) for window in GRID[::-1]]
    in_parts = replace(COMB, together=1).fit(*rows, same, seed=1, device="cpu")
    expected = fitted.densities[1].log_prob(*rows)
    assert alone.densities[0].log_prob(*rows) == pytest.approx(expected, abs=1e-3)
    assert in_parts.densities[1].log_prob(*rows) == pytest.approx(expected, abs=1e-3)
    # Negative control: another seed.
    other = COMB.fit(*rows, fitted.groups[1], seed=2, device="cpu").densities[0].log_prob(*rows)
    assert np.abs(other - expected).max() > 0.02


def test_star_passes_are_counted_exactly(rows, fitted):
    _, m = rows
    batches = []
    fit = replace(COMB, comb=False)
    for group, density in zip(fitted.groups, fitted.densities, strict=True):
        beside = sum(1 for value in m if not any(w.low <= value < w.high for w in group))
        batches.append((beside - round(0.1 * beside)) * len(density.history.training_loss))
    assert fitted.star_passes == sum(batches) == COMB.most_passes(m, GRID)
    assert fitted.passes_per_window == fitted.star_passes / len(GRID)
    assert fit.most_passes(m, GRID) > 2 * COMB.most_passes(m, GRID)


def test_early_stopping_saves_passes(rows):
    flow = replace(FLOW, epochs=8, patience=1, schedule="constant", learning_rate=0.05)
    recipe = WindowBackgrounds(flow)
    fitted = recipe.fit(*rows, GRID, seed=1, device="cpu")
    assert fitted.star_passes < recipe.most_passes(rows[1], GRID)


def test_a_warm_start_counts_the_flow_of_all_rows_once(rows):
    x, m = rows
    recipe = replace(COMB, warm=WarmStart(epochs=1))
    fitted = recipe.fit(x, m, GRID, seed=1, device="cpu")
    assert fitted.start is not None and fitted.star_passes == recipe.most_passes(m, GRID)
    given = recipe.fit(x, m, GRID, seed=1, device="cpu", start=fitted.start)
    everything = len(m) - round(0.1 * len(m))
    assert given.star_passes == fitted.star_passes - everything * FLOW.epochs
    assert all((given[w].log_prob(x, m) == fitted[w].log_prob(x, m)).all() for w in GRID)


@pytest.mark.statistical
def test_tuning_forgets_what_is_in_the_window():
    """A cluster in the window: the flow of all rows has learned it, the tuned one has mostly forgotten."""
    toy = GaussianToy(signal=1500, background=6000, spread=0.3)
    x, m, _ = toy.draw(seed=3)
    window = Window(2.0, 4.0)
    flow = replace(FLOW, layers=4, hidden=24, epochs=6, batch_size=256)
    recipe = WindowBackgrounds(flow, warm=WarmStart(epochs=4, rate=1.0))
    fitted = recipe.fit(x, m, [window], seed=1, device="cpu")
    place, at = toy.centre[None], np.array([window.centre])
    excess = {name: float(density.log_prob(place, at)[0] - toy.exact.log_prob(place, at)[0])
              for name, density in (("tuned", fitted[window]), ("all", fitted.start))}  # fmt: skip
    assert excess["all"] > 1.5
    assert abs(excess["tuned"]) < excess["all"] / 3


@pytest.mark.statistical
def test_comb_and_single_windows_interpolate_alike():
    """Against the exact background, inside the windows: mean ln ratio (Kullback-Leibler divergence) small."""
    toy = GaussianToy(signal=0, background=6000)
    x, m, _ = toy.draw(seed=9)
    flow = replace(FLOW, layers=3, hidden=16, epochs=5, batch_size=256)
    windows = (Window(-2.0, 0.0), Window(2.0, 4.0))
    combed = WindowBackgrounds(flow).fit(x, m, windows, seed=1, device="cpu")
    single = WindowBackgrounds(flow, comb=False).fit(x, m, windows, seed=1, device="cpu")
    assert (len(combed.densities), len(single.densities)) == (1, 2)
    x_new, m_new, _ = toy.draw(seed=10)
    for window in windows:
        inside = window.contains(m_new)
        exact = toy.exact.log_prob(x_new[inside], m_new[inside])
        for fitted in (combed, single):
            assert (exact - fitted[window].log_prob(x_new[inside], m_new[inside])).mean() < 0.03
    # Negative control: a background that ignores m does not pass, in the window far from the mean m.
    inside = windows[0].contains(m_new)
    blind = norm.logpdf(x_new[inside] - np.array([toy.drift * m.mean(), 0.0])).sum(axis=1)
    assert (toy.exact.log_prob(x_new[inside], m_new[inside]) - blind).mean() > 0.1


def test_errors_say_what_is_wrong(rows):
    with pytest.raises(WindowError, match="at least one window"):
        COMB.fit(*rows, [], seed=1)
    with pytest.raises(TrainingError, match="no warm start"):
        COMB.fit(*rows, GRID, seed=1, start=FLOW.fit(*rows, seed=1))
    with pytest.raises(TrainingError, match=r"epochs >= 1.*0"):
        WarmStart(epochs=0)
    with pytest.raises(TrainingError, match="together"):
        replace(COMB, together=0)
    with pytest.raises(TrainingError, match="at least 8 rows"):
        COMB.fit(*rows, [Window(-100.0, 100.0)], seed=1)
