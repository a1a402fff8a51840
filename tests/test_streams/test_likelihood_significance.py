"""Laws of the tail of weighted sums."""

from __future__ import annotations

import numpy as np
import pytest
from likelihood_formulas import cumulant_significance
from scipy.stats import binom, kstest, norm

from streams.likelihood import saddlepoint_significance

HEAVY = np.sort(np.random.default_rng(7).pareto(1.5, 400) + 0.05)[:, None].clip(max=4.0)
SHARE = np.full_like(HEAVY, 0.03)


def _sums(skies, seed):
    """Sums of the weights of the stars that fall into a strip by chance."""
    return (np.random.default_rng(seed).random((skies, len(HEAVY))) < SHARE[:, 0]) @ HEAVY[:, 0]


def _tail(significance):
    return norm.sf(significance)


def test_the_tail_is_uniform_under_the_null_and_a_plain_ratio_is_not():
    """Among the upper tenth of the sums the tail probabilities are uniform; the control's are too small."""
    sums = np.sort(_sums(20_000, 1))[-2000:]
    picked = sums[::10]
    saddle = np.array([saddlepoint_significance(value, HEAVY, SHARE) for value in picked])
    mean, sigma = (SHARE * HEAVY).sum(), np.sqrt((SHARE * (1 - SHARE) * HEAVY**2).sum())
    assert kstest(_tail(saddle) / 0.1, "uniform").statistic < 0.12
    plain = (picked - mean) / sigma
    # A hundredth of the upper tenth of the sums has a tail below 0.001.
    assert np.mean(_tail(saddle) < 0.001) < 0.02 < np.mean(_tail(plain) < 0.001)


def test_three_cumulants_come_near_the_saddlepoint():
    variance, third = ((SHARE * (1 - SHARE) * HEAVY**2).sum(), (SHARE * HEAVY**3).sum())
    mean = (SHARE * HEAVY).sum()
    for excess in np.array([2.0, 3.0, 5.0, 8.0]) * np.sqrt(variance):
        near = cumulant_significance(float(excess), float(variance), float(third))
        exact = saddlepoint_significance(float(mean + excess), HEAVY, SHARE)
        assert near == pytest.approx(exact, rel=0.12)
        assert exact < excess / np.sqrt(variance)


def test_equal_weights_are_a_binomial():
    """With one weight the sum counts; halfway between two counts the tail is that of the next count."""
    weights, share = np.full((200, 1), 0.7), np.full((200, 1), 0.04)
    for count in (12, 16, 24):
        found = _tail(saddlepoint_significance(0.7 * (count - 0.5), weights, share))
        assert found == pytest.approx(binom.sf(count - 1, 200, 0.04), rel=0.15)


def test_stars_that_are_all_in_the_strip_have_the_probability_of_that():
    weights, share = np.full((6, 1), 0.7), np.full((6, 1), 0.04)
    assert _tail(saddlepoint_significance(4.3, weights, share)) == pytest.approx(0.04**6, rel=1e-6)
    assert _tail(saddlepoint_significance(4.19, weights, share)) >= 0.04**6 * (1 - 1e-9)


def test_pieces_that_weigh_alike_are_one_piece():
    weights = np.tile(HEAVY, (1, 3))
    share = SHARE * np.array([0.5, 0.3, 0.2])
    assert saddlepoint_significance(80.0, weights, share) == pytest.approx(
        saddlepoint_significance(80.0, HEAVY, SHARE), rel=1e-9
    )


def test_it_grows_with_the_sum_and_is_continuous_at_the_mean():
    mean = float((SHARE * HEAVY).sum())
    at = np.concatenate([np.linspace(0.5, 1.5, 101) * mean, [3 * mean, 8 * mean, 20 * mean]])
    found = np.array([saddlepoint_significance(float(value), HEAVY, SHARE) for value in at])
    assert np.all(np.diff(found) > 0) and np.diff(found[:101]).max() < 0.2
    assert np.isfinite(found).all()


def test_no_skewness_is_the_plain_ratio_and_little_comes_near_it():
    assert cumulant_significance(6.0, 4.0, 0.0) == 3.0
    for third in 10.0 ** np.arange(-300.0, -1.0, 7.0):
        # The first term of the series: 3 (1 - excess third / variance^2 / 6).
        assert cumulant_significance(6.0, 4.0, third) == pytest.approx(3.0 - 3.0 * third / 16.0, rel=1e-3)


def test_it_is_the_signed_root_of_the_poisson_likelihood_ratio():
    """By its definition, above and below the mean, and where one formula takes over from the other."""
    for mean, unit in ((4.0, 0.7), (30.0, 0.2), (1000.0, 1.3)):
        for count in mean * (1.0 + np.array([-0.9, -0.3, -0.0011, 0.0009, 0.0011, 0.4, 3.0])):
            root = np.sqrt(2.0 * (count * np.log(count / mean) - count + mean)) * np.sign(count - mean)
            found = cumulant_significance(unit * (count - mean), unit**2 * mean, unit**3 * mean)
            assert found == pytest.approx(root, rel=1e-6)
    assert cumulant_significance(-9.0, 4.0, 4.0) == pytest.approx(-np.sqrt(8.0))
    assert cumulant_significance(1.0, 0.0, 0.0) == 0.0
