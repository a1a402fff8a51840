"""Laws of the look-elsewhere correction: global p-values are uniform, uncorrected ones are not."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from scipy.stats import kstest, norm

from density import DetectorError, Window, window_grid
from density.hunt import (
    BumpHunt,
    ExpPolynomial,
    FittedSpectrum,
    Scan,
    fit_spectrum,
    gaussian_look_elsewhere,
    gross_vitells,
    scan_windows,
    toy_look_elsewhere,
    toy_significances,
)

HUNT = BumpHunt(1.0, 6.0, ExpPolynomial(1), bins=20)
WINDOWS = window_grid(1.5, 4.1, 0.6, 0.2)


@cache
def null() -> FittedSpectrum:
    edges = np.linspace(1, 6, 51)
    counts = np.round(2000 * -np.diff(np.exp(-(edges - 1)))).astype(int)
    return fit_spectrum(ExpPolynomial(1), edges[:-1], edges[1:], counts, low=1.0, high=6.0)


@cache
def scans() -> tuple[Scan, ...]:
    return tuple(scan_windows(HUNT, null().draw(seed=seed), WINDOWS) for seed in range(120))


def moving_sum(steps: int, width: int, rng: np.random.Generator, size: int) -> np.ndarray:
    """Significances of overlapping windows over white noise, shape (size, steps)."""
    noise = rng.normal(size=(size, steps + width - 1)).cumsum(axis=1)
    noise = np.concatenate([np.zeros((size, 1)), noise], axis=1)
    return (noise[:, width:] - noise[:, :-width]) / np.sqrt(width)


def correlation(steps: int, width: int) -> np.ndarray:
    lag = np.abs(np.subtract.outer(np.arange(steps), np.arange(steps)))
    return np.maximum(1 - lag / width, 0.0)


@pytest.mark.statistical
def test_global_p_values_of_background_alone_are_uniform() -> None:
    found = [scan.look_elsewhere(draws=4000, seed=k) for k, scan in enumerate(scans())]
    assert kstest([f.p_value for f in found], "uniform").pvalue > 0.01
    # Negative controls: the best window as if it had been the only one, or all as if independent.
    assert kstest([f.local_p_value for f in found], "uniform").pvalue < 1e-6
    assert all(1 <= f.trials <= len(WINDOWS) * 1.1 for f in found if f.local_significance > 1.5)


@pytest.mark.statistical
def test_predicted_correlation_is_that_of_pseudo_experiments() -> None:
    significances = np.array([scan.significances for scan in scans()])
    predicted = np.mean([scan.correlation for scan in scans()], axis=0)
    found = np.corrcoef(significances.T)
    off = ~np.eye(len(WINDOWS), dtype=bool)
    assert np.abs(predicted - found)[off].max() < 0.35
    assert np.sqrt(np.mean((predicted - found)[off] ** 2)) < 0.12
    # Negative control: overlap of the windows alone, forgetting that they share their sidebands.
    assert np.sqrt(np.mean((correlation(len(WINDOWS), 3) - found)[off] ** 2)) > 0.12


def test_windows_with_cuts_of_their_own_are_correlated_by_the_events_they_share() -> None:
    m = null().draw(seed=500)
    rng = np.random.default_rng(0)
    window = Window(2.0, 2.6)
    one, other = rng.random(len(m)) < 0.3, rng.random(len(m)) < 0.3
    same = scan_windows(HUNT, m, [window, window], np.array([one, one])).correlation[0, 1]
    unlike = scan_windows(HUNT, m, [window, window], np.array([one, other])).correlation[0, 1]
    disjoint = scan_windows(HUNT, m, [window, window], np.array([one, other & ~one])).correlation[0, 1]
    assert same == pytest.approx(1.0)
    assert unlike == pytest.approx(0.3, abs=0.1)
    assert disjoint == pytest.approx(0.0, abs=1e-12)


@pytest.mark.statistical
def test_full_pseudo_experiments_agree_with_correlated_normal_draws() -> None:
    m = null().draw(seed=1000)
    scan = scan_windows(HUNT, m, WINDOWS)
    toys = toy_significances(HUNT, m, WINDOWS, toys=60, seed=1)
    assert toys.shape == (60, len(WINDOWS))
    drawn = scan.look_elsewhere(draws=20_000)
    counted = toy_look_elsewhere(scan.significances, toys, reference=10.0)
    assert counted.method == "pseudo-experiments"
    # Four binomial deviations.
    assert abs(drawn.p_value - counted.p_value) < 4 * np.hypot(counted.error, drawn.error) + 1 / 60


def test_rare_maxima_of_overlapping_windows_are_exact() -> None:
    steps, width = 100, 20
    fields = moving_sum(steps, width, np.random.default_rng(1), 50_000)
    for level in (0.0, 1.5, 2.5, 3.0):
        counted = (fields.max(axis=1) >= level).mean()
        z = np.full(steps, -1.0)
        z[50] = level
        found = gaussian_look_elsewhere(z, correlation(steps, width), draws=5000)
        noise = np.hypot(found.error, np.sqrt(counted * (1 - counted) / len(fields)))
        assert abs(found.p_value - counted) < 4 * noise
    # Negative control: windows taken as independent.
    assert gaussian_look_elsewhere(z, np.eye(steps), draws=5000).p_value > 1.5 * counted


def test_upcrossings_of_a_smooth_field_extrapolate() -> None:
    steps, width = 120, 12.0
    lag = np.subtract.outer(np.arange(steps), np.arange(steps)) / width
    smooth = np.exp(-0.5 * lag**2)
    rng = np.random.default_rng(2)
    values, vectors = np.linalg.eigh(smooth)
    fields = rng.normal(size=(200, steps)) @ (vectors * np.sqrt(np.maximum(values, 0))).T
    for level in (3.5, 4.5):
        z = np.full(steps, -1.0)
        z[50] = level
        exact = gaussian_look_elsewhere(z, smooth, draws=20_000)
        found = toy_look_elsewhere(z, fields, reference=0.5)
        assert found.method == "upcrossings of pseudo-experiments"
        assert found.p_value == pytest.approx(exact.p_value, rel=0.35)
        # Negative control: without the trials.
        assert found.local_p_value < 0.3 * exact.p_value


def test_limits_of_the_correction() -> None:
    z = np.array([1.0, 3.0, 0.0, -2.0])
    single = gaussian_look_elsewhere(z, np.ones((4, 4)), draws=200_000)
    assert single.best == 1
    assert single.p_value == pytest.approx(norm.sf(3.0), rel=0.2)
    four = gaussian_look_elsewhere(z, np.eye(4), draws=200_000)
    assert four.p_value == pytest.approx(-np.expm1(4 * np.log1p(-norm.sf(3.0))), rel=0.2)
    far = gaussian_look_elsewhere(z + 5, np.eye(4))
    assert far.p_value == pytest.approx(4 * norm.sf(8.0), rel=1e-3)
    assert gaussian_look_elsewhere(z + 5, np.ones((4, 4))).p_value == pytest.approx(norm.sf(8.0), rel=1e-3)
    assert far.significance < far.local_significance
    assert far.trials == pytest.approx(4.0, rel=1e-3)
    assert "number 1, local 8.00 sigma" in far.sentence
    assert gaussian_look_elsewhere(z + 50, np.eye(4)).p_value < 1e-290
    assert gross_vitells(2.0, 0.0, 1.0) == pytest.approx(norm.sf(2.0))
    assert gross_vitells(1.0, 50.0, 1.0) == 1.0


def test_unusable_scans_are_refused() -> None:
    m = null().draw(seed=1)
    with pytest.raises(DetectorError, match=r"window \[5.5, 6\): .* sideband"):
        scan_windows(HUNT, m, [Window(2.0, 2.5), Window(5.5, 6.0)])
    with pytest.raises(DetectorError, match=r"got 1 windows and masks of shape \(2, 1920\)"):
        scan_windows(HUNT, m, [Window(2.0, 2.5)], np.ones((2, len(m)), dtype=bool))
    with pytest.raises(DetectorError, match="got 0 windows"):
        scan_windows(HUNT, m, [])
    with pytest.raises(DetectorError, match="finite"):
        gaussian_look_elsewhere(np.array([np.nan]), np.eye(1))
    with pytest.raises(DetectorError, match="10 pseudo-experiments"):
        toy_look_elsewhere(np.zeros(3), np.zeros((5, 3)))
    with pytest.raises(DetectorError, match="lower level"):
        gross_vitells(0.1, 1.0, 0.5)
