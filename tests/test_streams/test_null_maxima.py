"""Laws of the false-alarm probability that follows from null maxima."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare, gumbel_r

from streams import NullMaxima
from streams.significance import NullPositions


def _maxima(seed, count=200):
    return gumbel_r.rvs(4.0, 0.4, size=count, random_state=seed)


@given(st.integers(0, 50), st.floats(0.0, 30.0), st.floats(0.0, 30.0))
def test_a_stronger_line_is_a_rarer_accident(seed, one, two):
    null = NullMaxima(_maxima(seed, 30))
    low, high = sorted((one, two))
    assert 0.0 <= null.false_alarm_probability(high) <= null.false_alarm_probability(low) <= 1.0


@pytest.mark.parametrize("seed", range(5))
def test_the_probability_is_that_of_the_law_the_maxima_follow(seed):
    null = NullMaxima(_maxima(seed))
    for sigma in (4.0, 4.5, 5.0, 6.0):
        truth = gumbel_r.sf(sigma, 4.0, 0.4)
        assert np.log(null.false_alarm_probability(sigma)) == pytest.approx(
            np.log(truth), abs=0.15 + 0.5 * (sigma - 4)
        )


def test_it_agrees_with_counting_where_there_is_something_to_count():
    maxima = _maxima(7, 1000)
    for sigma in (3.8, 4.2, 4.8):
        assert NullMaxima(maxima).false_alarm_probability(sigma) == pytest.approx(
            np.mean(maxima >= sigma), abs=0.04
        )


def test_maxima_of_another_law_would_not_agree():
    """Negative control: the same comparison tells a shifted law from the right one."""
    null = NullMaxima(_maxima(1) + 0.4)
    assert null.false_alarm_probability(4.5) > 1.7 * gumbel_r.sf(4.5, 4.0, 0.4)


@pytest.mark.parametrize("value", [0.0, 3.1])
@pytest.mark.parametrize("count", [1, 9])
def test_maxima_that_are_all_the_same_are_counted(value, count):
    null = NullMaxima(np.full(count, value))
    assert null.false_alarm_probability(value) == 1.0
    assert null.false_alarm_probability(value + 1.0) == pytest.approx(1 / (1 + count))


def _skies(weights, stars, seed):
    """Cells of the same stars in two regions with these densities."""
    positions = NullPositions.of(np.array(weights) / np.sum(weights, axis=1, keepdims=True))
    first, keep, again = np.random.default_rng(seed).random((3, 1, stars))
    common = positions.common(first)
    return [positions.draw(number, common, keep, again)[0] for number in range(len(weights))]


@pytest.mark.statistical
def test_null_positions_follow_the_density_of_each_region():
    weights = [[1.0, 2.0, 3.0, 4.0], [4.0, 2.0, 2.0, 2.0]]
    drawn = _skies(weights, 20_000, 1)
    for cells, weight in zip(drawn, weights, strict=True):
        counts = np.bincount(cells, minlength=4)
        assert chisquare(counts, 20_000 * np.array(weight) / 10).pvalue > 0.01
        assert chisquare(counts, np.full(4, 5000)).pvalue < 1e-6, "negative control"


@given(
    st.lists(st.tuples(st.floats(0.1, 9.0), st.floats(0.1, 9.0)), min_size=2, max_size=8), st.integers(0, 99)
)
def test_regions_disagree_on_a_star_only_as_often_as_their_densities_differ(pairs, seed):
    one, two = (np.array(weight) / sum(weight) for weight in zip(*pairs, strict=True))
    first, second = _skies([one, two], 2000, seed)
    apart = 0.5 * np.abs(one - two).sum()
    assert np.mean(first != second) <= apart + 5 * np.sqrt(0.25 / 2000)
    assert np.array_equal(*_skies([one, one], 2000, seed))
