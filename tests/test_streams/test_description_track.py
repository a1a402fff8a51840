"""Laws of the track: honest errors under uncertain membership, degree, spread."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from described_streams import Stream, members_of
from hypothesis import given
from hypothesis import strategies as st

from streams.description import Polynomial, fit_track
from streams.description.regression import intrinsic_variance, regress
from streams.members import MemberStars

AT = np.array([-6.0, -3.0, 0.0, 3.0, 6.0])
NAMES = ("phi2", "pm_phi1_cosphi2", "pm_phi2")


CROWDED = Stream(width=0.3, spread=0.4)


@cache
def _pulls() -> tuple[np.ndarray, np.ndarray]:
    """Many fits in a crowded field: (track - truth) / error at five places for each coordinate, with honest
    and with naive errors, shape (fits, 3, 5)."""
    truth = np.array([np.polynomial.polynomial.polyval(AT, c) for c in (CROWDED.phi2, *CROWDED.motion)])
    honest, naive = [], []
    for seed in range(70):
        members, _ = members_of(CROWDED, seed, 120, 1800)
        coordinates = CROWDED.circle.project(members)
        track = fit_track(coordinates, members.probability)
        curves = [getattr(track, name) for name in NAMES]
        off = np.array([curve.value(AT) for curve in curves]) - truth
        honest.append(off / [curve.error(AT) for curve in curves])
        naive.append(off / [_naive_errors(coordinates, c, n) for c, n in zip(curves, NAMES, strict=True)])
    return np.array(honest), np.array(naive)


def _naive_errors(coordinates: object, curve: Polynomial, name: str) -> np.ndarray:
    """Every listed star counted as a whole member: what a fit that forgets the probabilities believes."""
    error = 0.0 if name == "phi2" else getattr(coordinates, f"{name}_error")
    design = np.vander(coordinates.phi1, curve.degree + 1, increasing=True)
    information = (design / (error**2 + curve.spread**2 + 0.0 * design[:, 0])[:, None]).T @ design
    at = np.vander(AT, curve.degree + 1, increasing=True)
    return np.sqrt(np.einsum("ki,ij,kj->k", at, np.linalg.inv(information), at))


@pytest.mark.statistical
def test_errors_of_the_track_cover():
    """Pulls have unit scatter in a crowded field, for each coordinate; naive errors (control) do not."""
    honest, naive = _pulls()
    assert np.abs(np.sqrt((honest**2).mean(axis=(0, 2))) - 1.0).max() < 0.25
    assert 0.60 < (np.abs(honest) < 1.0).mean() < 0.76
    assert np.sqrt((naive**2).mean(axis=(0, 2))).min() > 1.25


@pytest.mark.statistical
def test_errors_of_width_and_spread_cover():
    """Five field stars to a member; sigma / sqrt(2 N), as if every listed star were a member, does not."""
    honest, naive = [], []
    for seed in range(80):
        members, _ = members_of(CROWDED, seed, 120, 600)
        track = fit_track(CROWDED.circle.project(members), members.probability)
        curves = [getattr(track, name) for name in NAMES]
        off = np.array([c.spread for c in curves]) - [CROWDED.width, CROWDED.spread, CROWDED.spread]
        honest.append(off / [c.spread_error for c in curves])
        naive.append(off / [c.spread / np.sqrt(2.0 * len(members)) for c in curves])
    assert np.abs(np.std(honest, axis=0) - 1.0).max() < 0.3
    assert np.abs(np.mean(honest, axis=0)).max() < 0.5
    assert np.std(naive, axis=0).max() > 1.4


def test_certain_members_have_textbook_errors():
    """With p = 1 and the variance right, the sandwich is the inverse of the normal matrix."""
    rng = np.random.default_rng(1)
    x = rng.uniform(-3, 3, 20_000)
    design, variance = np.vander(x, 3, increasing=True), rng.uniform(0.5, 2.0, len(x))
    value = design @ [1.0, -2.0, 0.5] + rng.normal(size=len(x)) * np.sqrt(variance)
    fit = regress(design, value, variance, np.ones(len(x)))
    expected = np.linalg.inv((design / variance[:, None]).T @ design)
    np.testing.assert_allclose(fit.covariance, expected, rtol=0.06, atol=0.06 * np.abs(expected).max())
    assert np.abs((fit.coefficients - [1.0, -2.0, 0.5]) / np.sqrt(np.diag(fit.covariance))).max() < 4.0


def test_wrong_variances_are_made_good():
    """Residuals twice as wide as the variance says: the sandwich sees it, the normal matrix does not."""
    rng = np.random.default_rng(2)
    design = np.ones((5000, 1))
    fit = regress(design, 2.0 * rng.normal(size=5000), np.ones(5000), np.ones(5000))
    assert fit.covariance[0, 0] == pytest.approx(4.0 / 5000, rel=0.1)


def test_more_stars_smaller_errors():
    """Four times the stars halve the errors."""
    few, many = (members_of(Stream(), 3, n)[0] for n in (200, 800))
    one, four = (fit_track(Stream().circle.project(m), m.probability) for m in (few, many))
    for name in NAMES:
        ratio = getattr(one, name).errors[0] / getattr(four, name).errors[0]
        assert ratio == pytest.approx(2.0, rel=0.3)


def test_the_degree_follows_the_data():
    bent = Stream(motion=((5.0, 0.05, 0.02), (-2.0, 0.03)))
    members, _ = members_of(bent, 1, 300)
    track = fit_track(bent.circle.project(members), members.probability)
    assert (track.phi2.degree, track.pm_phi1_cosphi2.degree) == (2, 2)
    straight = [
        fit_track(Stream().circle.project(members), members.probability).pm_phi1_cosphi2.degree
        for members, _ in (members_of(Stream(), seed, 300) for seed in range(20))
    ]
    assert np.mean(np.array(straight) == 1) >= 0.85


@pytest.mark.parametrize("stars, degree", [(3, 0), (6, 1), (9, 2)])
def test_few_stars_have_a_simple_track(stars, degree):
    members, _ = members_of(Stream(), 1, stars)
    track = fit_track(Stream().circle.project(members), members.probability)
    assert track.phi2.degree == degree
    coefficients, errors = track.phi2.padded()
    assert len(coefficients) == len(errors) == 3
    assert np.isnan(errors[degree + 1 :]).all() and np.isfinite(errors[: degree + 1]).all()
    assert np.isfinite(track(AT).pm_phi2_error).all()


def test_without_errors_all_scatter_is_intrinsic():
    members, _ = members_of(Stream(spread=0.4), 1, 500, error=0.001)
    blank = np.full(len(members), np.nan)
    coordinates = Stream().circle.project(
        MemberStars(**{**vars(members), "pmra_error": blank, "pmdec_error": blank})
    )
    track = fit_track(coordinates, members.probability)
    assert track.pm_phi1_cosphi2.spread == pytest.approx(0.4, rel=0.15)
    assert track.pm_spread == pytest.approx(0.4, rel=0.12)


@given(st.floats(0.01, 1.0), st.integers(0, 1000))
def test_the_spread_is_what_errors_do_not_explain(spread, seed):
    rng = np.random.default_rng(seed)
    error = rng.uniform(0.05, 0.5, 4000)
    residual = rng.normal(size=4000) * np.hypot(error, spread)
    found = np.sqrt(intrinsic_variance(residual, error, np.ones(4000), 0.3))
    assert found == pytest.approx(spread, abs=0.06 + 0.05 * spread)


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=3), st.floats(-20, 20))
def test_polynomials_and_their_errors(coefficients, phi1):
    """The error is that of the linear combination; a dictionary gives the polynomial back."""
    size = len(coefficients)
    covariance = tuple(tuple(float(i == j) for j in range(size)) for i in range(size))
    curve = Polynomial(tuple(coefficients), covariance, 0.1, 0.01)
    powers = phi1 ** np.arange(size)
    assert float(curve.value(np.array(phi1))) == pytest.approx(float(powers @ coefficients), abs=1e-9)
    assert float(curve.error(np.array(phi1))) == pytest.approx(float(np.linalg.norm(powers)), rel=1e-9)
    assert Polynomial.from_dict(curve.to_dict()) == curve
