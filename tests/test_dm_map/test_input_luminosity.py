"""A luminosity cut makes a magnitude-limited ball complete: what is left has the density of the stars."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kstest

from dm_map.errors import SampleError
from dm_map.input import LuminosityCut, luminosity_cut

RADIUS = 3.0


def limited(n: int, seed: int, dust: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Apparent magnitudes, distances, extinctions of a uniform ball seen at 3 < m < 13; dust in mag/kpc."""
    rng = np.random.default_rng(seed)
    distance = RADIUS * rng.random(n) ** (1 / 3)
    extinction = dust * distance
    magnitude = rng.normal(1.5, 2.0, n) + 5 * np.log10(distance) + 10 + extinction
    seen = (magnitude > 3) & (magnitude < 13)
    return magnitude[seen], distance[seen], extinction[seen]


def volume_share(distance: np.ndarray, nearest: float) -> np.ndarray:
    """Share of the shell between `nearest` and the edge that lies below: uniform for a complete sample."""
    outer = distance[distance >= nearest]
    return (outer**3 - nearest**3) / (RADIUS**3 - nearest**3)


@pytest.mark.statistical
@pytest.mark.parametrize("dust", [0.0, 0.3])
def test_what_is_left_is_complete(dust):
    """Negative control: without the cut, the sample thins out with distance."""
    magnitude, distance, extinction = limited(60_000, 1, dust)
    recipe = LuminosityCut(faint=13, bright=3, nearest=0.3, allowance=dust * RADIUS)
    keep, report = luminosity_cut(recipe, magnitude, distance, RADIUS, extinction)
    assert kstest(volume_share(distance[keep], 0.3), "uniform").pvalue > 1e-3
    assert kstest(volume_share(distance, 0.3), "uniform").pvalue < 1e-6
    assert report.kept == keep.sum() and 0.05 < report.loss < 0.95
    assert report.before == report.kept + report.too_faint + report.too_bright
    assert report.inside_nearest == np.count_nonzero(distance[keep] < 0.3)


@pytest.mark.statistical
def test_dust_without_an_allowance_is_no_complete_sample():
    """Negative control."""
    magnitude, distance, extinction = limited(60_000, 2, 0.5)
    keep, _ = luminosity_cut(LuminosityCut(faint=13), magnitude, distance, RADIUS, extinction)
    assert kstest(volume_share(distance[keep], 0.3), "uniform").pvalue < 1e-6


def test_the_limits_are_those_of_the_edges():
    brightest, faintest = LuminosityCut(faint=14, bright=3, nearest=0.1, allowance=0.5).absolute_limits(1.0)
    assert (brightest, faintest) == (pytest.approx(-2), pytest.approx(3.5))
    assert LuminosityCut(faint=14).absolute_limits(4.0)[0] == -np.inf


def test_every_star_is_counted_once():
    distance = np.array([1.0, 1.0, 1.0, 1.0, 1.0])
    magnitude = np.array([np.nan, 12.0, 13.9, 14.5, 2.0])
    recipe = LuminosityCut(faint=14, bright=3, nearest=0.1)
    keep, report = luminosity_cut(recipe, magnitude, distance, 2.0)
    assert keep.tolist() == [False, True, False, False, False]
    counts = (report.kept, report.too_faint, report.too_bright, report.outside_limits, report.no_magnitude)
    assert counts == (1, 1, 0, 2, 1) and report.before == sum(counts)
    assert "80.0% lost" in str(report)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: LuminosityCut(faint=3, bright=14), "bright < faint"),
        (lambda: LuminosityCut(faint=float("nan")), "bright < faint"),
        (lambda: LuminosityCut(faint=14, nearest=0), "inner edge"),
        (lambda: LuminosityCut(faint=14, allowance=-1), "allowance"),
        (lambda: LuminosityCut(faint=14, bright=5, nearest=0.001).absolute_limits(4.0), "no luminosity"),
        (lambda: LuminosityCut(faint=14, nearest=5).absolute_limits(4.0), "inner edge"),
        (lambda: luminosity_cut(LuminosityCut(faint=14), np.array([1.0]), np.array([-1.0]), 1.0), "positive"),
    ],
)
def test_wrong_limits_are_told(make, told):
    with pytest.raises(SampleError, match=told):
        make()
