"""Laws of chance: peaks drawn from the law of peaks have uniform probabilities."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import kstest, norm

from streams.likelihood import LikelihoodError, PeakLaw

TRUE = PeakLaw(60.0)
"""As many as a patch of 10^5 stars has."""
_GRID = np.linspace(4.0, 12.0, 4001)
_ABOVE = np.array([TRUE.expected(z) for z in _GRID])


def _sky(rng, listed=30):
    """Peaks of one stream-free sky: the numbers expected above them are the arrivals of a Poisson process."""
    arrivals = np.cumsum(rng.exponential(size=listed))
    return np.interp(-np.log(arrivals), -np.log(_ABOVE), _GRID)


def _tails(skies, seed, streams=0):
    """False-alarm probability of the best peak that chance makes, each law read from its own sky."""
    rng, tails = np.random.default_rng(seed), []
    for _ in range(skies):
        peaks = _sky(rng)
        strong = rng.uniform(9.0, 30.0, streams)
        law = PeakLaw.of_patch(rng.permutation(np.concatenate([peaks, strong])))
        tails.append(law.false_alarm_probability(float(peaks.max())))
    return np.array(tails)


@pytest.mark.parametrize("streams", [0, 1, 5])
def test_peaks_of_the_law_have_uniform_probabilities(streams):
    """Read from the sky itself, also with strong streams among its peaks.

    The law is read from k = 15 peaks or more: the largest distance to uniform is then 0.5 / k by the law of
    arrivals (Beta(1, k - 1) for the exponential), and 1.36 / sqrt(2000) = 0.03 by chance.
    """
    tails = _tails(2000, 1 + streams, streams)
    assert kstest(tails, "uniform").statistic < 0.5 / 15 + 0.03
    assert 0.03 < np.mean(tails < 0.05) < 0.07


def test_a_gaussian_tail_is_no_probability_of_a_best_peak():
    """Control: neither of one hypothesis nor of as many as peaks are listed."""
    rng = np.random.default_rng(9)
    best = np.array([_sky(rng).max() for _ in range(300)])
    for trials in (1, 30):
        tails = -np.expm1(trials * norm.logcdf(best))
        assert kstest(tails, "uniform").pvalue < 1e-6


def test_streams_that_are_not_set_aside_hide_each_other():
    """Control: a law read through the rank of a peak with five streams above it expects too many."""
    rng = np.random.default_rng(3)
    counted, set_aside = [], []
    for _ in range(50):
        peaks = np.concatenate([_sky(rng), rng.uniform(9.0, 30.0, 5)])
        set_aside.append(PeakLaw.of_patch(peaks).peaks)
        rank = np.sort(peaks)[::-1][19]
        counted.append(TRUE.peaks * 20 / TRUE.expected(float(rank)))
    assert abs(np.mean(set_aside) / TRUE.peaks - 1.0) < 0.15 and np.mean(counted) > 1.15 * TRUE.peaks


def test_null_skies_tell_the_law_by_their_best_peaks():
    rng = np.random.default_rng(5)
    law = PeakLaw.of_patch(_sky(rng)).with_null([float(_sky(rng).max()) for _ in range(400)])
    assert law.peaks == pytest.approx(TRUE.peaks, rel=4 / np.sqrt(400))
    tails = [law.false_alarm_probability(float(_sky(rng).max())) for _ in range(300)]
    assert kstest(tails, "uniform").pvalue > 0.01


@pytest.mark.parametrize("maxima", [[], [5.0, np.nan], [np.inf]])
def test_null_skies_without_a_finite_maximum_are_refused(maxima):
    with pytest.raises(LikelihoodError, match="finite significances of null skies"):
        TRUE.with_null(maxima)


@pytest.mark.parametrize("peaks", [[], [9.0], [9.0, 8.0, 7.0, 6.0], [30.0, np.nan, np.nan, np.nan, 5.0]])
def test_too_few_peaks_make_nothing_significant(peaks):
    assert PeakLaw.of_patch(np.array(peaks)).false_alarm_probability(30.0) == 1.0


def test_the_probability_falls_with_the_significance_and_with_rarer_peaks():
    z = np.linspace(0.0, 20.0, 200)
    tails = np.array([TRUE.false_alarm_probability(one) for one in z])
    assert np.all(np.diff(tails) <= 0) and tails[0] > 0.999 and 0.0 < tails[-1] <= 1e-6
    assert PeakLaw(0.1).false_alarm_probability(7.0) < TRUE.false_alarm_probability(7.0)
    median = brentq(lambda one: TRUE.expected(one) - 1.0, 4.0, 9.0)
    assert TRUE.false_alarm_probability(median) == pytest.approx(-np.expm1(-1.0))
