"""The false-discovery rate keeps its promise on catalogues of known truth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from streams import CatalogError
from streams.false_discovery import false_discovery_rates

PATCHES = 100
PROBABILITIES = arrays(float, st.integers(1, 30), elements=st.floats(0.0, 1.0))


@given(PROBABILITIES, st.integers(1, 500))
def test_it_is_a_rate_that_ranks_as_the_probability(probability, patches):
    rate = false_discovery_rates(probability, patches)
    assert np.all((rate >= 0) & (rate <= 1))
    order = np.argsort(probability, kind="stable")
    assert np.all(np.diff(rate[order]) >= 0)


@given(PROBABILITIES, st.randoms())
def test_the_order_of_the_candidates_does_not_matter(probability, chance):
    order = np.arange(len(probability))
    chance.shuffle(order)
    shuffled = false_discovery_rates(probability[order], PATCHES)
    np.testing.assert_array_equal(shuffled, false_discovery_rates(probability, PATCHES)[order])


def test_one_candidate_of_one_patch_has_its_own_probability():
    assert false_discovery_rates(np.array([0.01]), 1)[0] == pytest.approx(0.01, rel=0.01)
    assert false_discovery_rates(np.array([0.01]), 50)[0] == pytest.approx(0.5, rel=0.01)


def _catalogue(rng: np.random.Generator, real: int) -> tuple[np.ndarray, np.ndarray]:
    """Best lines of stream-free patches, and real streams of small probability; true where false."""
    null = rng.random(PATCHES)
    null = null[null < 0.5]
    signal = 10.0 ** rng.uniform(-6.0, -2.0, real)
    return np.append(null, signal), np.append(np.ones(len(null), bool), np.zeros(real, bool))


@pytest.mark.parametrize("real", [0, 10])
def test_the_share_of_false_candidates_is_what_it_says(real):
    rng = np.random.default_rng(3)
    level, shares, plain = 0.1, [], []
    for _ in range(600):
        probability, false = _catalogue(rng, real)
        for kept, into in (
            (false_discovery_rates(probability, PATCHES) < level, shares),
            (probability < level, plain),
        ):
            into.append(false[kept].mean() if kept.any() else 0.0)
    # The standard error of a mean of 600 shares is 0.012 at the most.
    assert np.mean(shares) < level + 0.036
    # Control: the false-alarm probabilities themselves, cut at the same level, promise no such thing.
    assert np.mean(plain) > level + 0.1


def test_streams_are_kept():
    probability, false = _catalogue(np.random.default_rng(1), 20)
    rate = false_discovery_rates(probability, PATCHES)
    assert np.sum(rate[~false] < 0.1) >= 15


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_what_is_no_probability_is_refused(value):
    with pytest.raises(CatalogError, match=r"\[0, 1\]"):
        false_discovery_rates(np.array([0.5, value]), 3)


def test_no_patch_is_refused():
    with pytest.raises(CatalogError, match="at least one patch"):
        false_discovery_rates(np.array([0.5]), 0)
