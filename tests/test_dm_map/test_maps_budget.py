"""Laws of the error budget: nothing is counted twice, nothing is lost, and coverage is measured."""

from __future__ import annotations

import numpy as np
import pytest

from dm_map.errors import DmMapError
from dm_map.gravity import NATURAL
from dm_map.maps import DensityMap, combine, coverage

TRAINING, SAMPLE, MEASUREMENT, BARYONS = 0.3, 0.5, 0.2, 0.4


def _map(members: np.ndarray, source: str) -> DensityMap:
    return DensityMap(np.zeros((members.shape[1], 3)), members, (source,) * len(members))


def _maps(rng: np.random.Generator, positions: int, members: int, seeds: int = 8) -> dict[str, DensityMap]:
    """A toy estimator of zero: one data set, seeds, and models trained anew on other data."""

    def noise(rows: int, *widths: float) -> np.ndarray:
        return rng.normal(size=(rows, positions)) * np.sqrt(np.sum(np.square(widths)))

    data = rng.normal(size=positions) * np.sqrt(SAMPLE**2 + MEASUREMENT**2 + BARYONS**2)
    return {
        "training": _map(data + noise(seeds, TRAINING), "training"),
        "bootstrap": _map(data + noise(members, SAMPLE, TRAINING), "bootstrap"),
        "measurement": _map(data + noise(members, MEASUREMENT, TRAINING), "measurement"),
        "baryons": _map(data + noise(members, BARYONS), "baryons"),
    }


@pytest.mark.statistical
def test_each_source_is_found_and_training_noise_is_not_counted_twice():
    budget = combine(_maps(np.random.default_rng(0), 300, 400, seeds=400))
    expected = {
        "training": TRAINING / 20.0,
        "bootstrap": SAMPLE,
        "measurement": MEASUREMENT,
        "baryons": BARYONS,
    }
    for source, width in expected.items():
        assert np.sqrt(np.mean(budget.parts[source] ** 2)) == pytest.approx(width, rel=0.03)
    together = np.sqrt(np.sum(np.square(list(expected.values()))))
    assert np.sqrt(np.mean(budget.total**2)) == pytest.approx(together, rel=0.02)


def test_the_shares_add_up_to_one():
    budget = combine(_maps(np.random.default_rng(1), 20, 30))
    np.testing.assert_allclose(np.sum([budget.share(source) for source in budget.parts], axis=0), 1.0)
    with pytest.raises(DmMapError, match="'wind'"):
        budget.share("wind")


@pytest.mark.statistical
def test_the_intervals_of_the_budget_cover():
    rng, held = np.random.default_rng(2), []
    for _ in range(30):
        low, high = combine(_maps(rng, 200, 60)).interval(0.68)
        held.append((low <= 0.0) & (high >= 0.0))
    assert np.mean(held) == pytest.approx(0.68, abs=0.03)


@pytest.mark.statistical
def test_an_interval_that_leaves_a_source_out_does_not_cover():
    """Negative control."""
    rng, held = np.random.default_rng(2), []
    for _ in range(30):
        maps = _maps(rng, 200, 60)
        del maps["bootstrap"]
        low, high = combine(maps).interval(0.68)
        held.append((low <= 0.0) & (high >= 0.0))
    assert np.mean(held) < 0.6


def test_without_seeds_the_scatter_stands():
    """An estimator without training noise, such as the weak form."""
    members = np.random.default_rng(3).normal(size=(50, 4))
    budget = combine({"bootstrap": _map(members, "bootstrap")})
    np.testing.assert_allclose(budget.total, members.std(axis=0, ddof=1))
    np.testing.assert_array_equal(budget.value, np.median(members, axis=0))


def test_maps_that_do_not_fit_are_refused():
    one = _map(np.ones((3, 2)), "bootstrap")
    with pytest.raises(DmMapError, match="none"):
        combine({})
    other = DensityMap(np.ones((2, 3)), np.ones((3, 2)), ("baryons",) * 3)
    with pytest.raises(DmMapError, match="different positions"):
        combine({"bootstrap": one, "baryons": other})
    other = DensityMap(np.zeros((2, 3)), np.ones((3, 2)), ("baryons",) * 3, units=NATURAL)
    with pytest.raises(DmMapError, match="units"):
        combine({"bootstrap": one, "baryons": other})


def test_coverage_counts_and_knows_its_error():
    low, high = np.zeros(1000), np.ones(1000)
    truth = np.where(np.arange(1000) < 680, 0.5, 2.0)
    found = coverage((low, high), truth)
    assert (found.fraction, found.pairs) == (0.68, 1000)
    # Binomial: sqrt(0.68 * 0.32 / 1000).
    assert 0.5 * (found.high - found.low) == pytest.approx(0.01475, rel=0.05)
    fewer = coverage((low, high), truth, independent=10)
    assert fewer.fraction == 0.68 and fewer.high - fewer.low > 8 * (found.high - found.low)


def test_coverage_of_nothing_is_refused():
    with pytest.raises(DmMapError, match="low <= high"):
        coverage((np.ones(3), np.zeros(3)), np.zeros(3))
    with pytest.raises(DmMapError, match="got 0"):
        coverage((np.empty(0), np.empty(0)), np.empty(0))
    with pytest.raises(DmMapError, match="independent"):
        coverage((np.zeros(3), np.ones(3)), np.zeros(3), independent=4)
