"""Resampling of measurement errors: the draws have the covariance, and stars that leave are counted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dm_map.errors import SampleError
from dm_map.input import resample
from dm_map.input.measurement import square_roots
from dm_map.stars import StarSample
from dm_map.volume import Ball

BALL = Ball((0.0, 0.0, 0.0), 2.0)


def covariances(n: int, rank: int, seed: int) -> np.ndarray:
    """Covariances of positions (kpc) and velocities (km/s) of some rank."""
    scale = np.array([0.02, 0.02, 0.02, 3.0, 3.0, 3.0])
    root = np.random.default_rng(seed).standard_normal((n, 6, rank)) * scale[:, None]
    return root @ np.swapaxes(root, 1, 2)


def sample(n: int, seed: int = 0, rank: int = 6) -> StarSample:
    v = np.random.default_rng(seed).normal(0, 50, (n, 3))
    return StarSample(BALL.uniform(n, seed), v, BALL, None, covariances(n, rank, seed))


@given(rank=st.integers(0, 6), seed=st.integers(0, 2**31))
def test_square_roots_are_square_roots(rank, seed):
    """Of any rank: an exact direction stays exact."""
    covariance = covariances(8, rank, seed)
    root = square_roots(covariance)
    variance = np.einsum("nii->ni", covariance)
    scale = np.sqrt(variance[:, :, None] * variance[:, None, :]) + 1e-300
    assert np.max(np.abs(root @ np.swapaxes(root, 1, 2) - covariance) / scale) < 1e-5
    assert np.all(np.triu(root, 1) == 0)


@pytest.mark.statistical
def test_draws_have_the_covariance():
    """chi^2 of the shifts has six degrees of freedom; negative control: twice that is seen."""
    stars = sample(30_000)
    whole = Ball(BALL.centre, 9.0)
    done = resample(replace(stars, volume=whole), seed=3)
    shift = np.hstack([done.sample.x - stars.x, done.sample.v - stars.v])
    chi2 = np.einsum("ni,ni->n", shift, np.linalg.solve(stars.covariance, shift[..., None])[..., 0])
    limit = 5 * np.sqrt(2 * 6 / len(stars))
    assert abs(chi2.mean() - 6) < limit < abs(2 * chi2.mean() - 6)
    assert done.left == done.entered == 0


def test_stars_that_leave_are_counted():
    stars = sample(5000)
    done = resample(stars, seed=4)
    assert 0 < done.left == len(stars) - len(done.sample) and done.entered == 0
    assert done.sample.volume == BALL
    inner = BALL.within(1.5)
    done = resample(stars, seed=4, volume=inner)
    before = int(inner.contains(stars.x).sum())
    assert len(done.sample) == before - done.left + done.entered and min(done.left, done.entered) > 0
    # As many enter as leave where the density is flat, to the error of a difference of counts.
    assert abs(done.left - done.entered) < 6 * np.sqrt(done.left + done.entered)


def test_weights_and_covariances_go_with_their_stars():
    stars = replace(sample(300), weights=np.arange(1.0, 301.0))
    kept = resample(stars, seed=5).sample
    rows = (kept.weights - 1).astype(int)
    np.testing.assert_array_equal(kept.covariance, stars.covariance[rows])
    assert np.all(np.linalg.norm(kept.v - stars.v[rows], axis=1) < 100)


def test_seeds_and_chunks(monkeypatch):
    stars = sample(100)
    one, same, other = (resample(stars, seed).sample for seed in (6, 6, 7))
    np.testing.assert_array_equal(one.x, same.x)
    assert not np.array_equal(one.v[:5], other.v[:5])
    monkeypatch.setattr("dm_map.input.measurement._CHUNK", 30)
    np.testing.assert_allclose(resample(stars, 6).sample.x, one.x, rtol=1e-12)


def test_what_cannot_be_drawn_from_is_told():
    stars = sample(50)
    with pytest.raises(SampleError, match="no measurement covariance"):
        resample(replace(stars, covariance=None), 1)
    broken = stars.covariance.copy()
    broken[7, 0, 1] = broken[7, 1, 0] = 2 * np.sqrt(broken[7, 0, 0] * broken[7, 1, 1])
    with pytest.raises(SampleError, match="covariance of star 7 is not positive"):
        resample(replace(stars, covariance=broken), 1)
    with pytest.raises(SampleError, match="reaches beyond"):
        resample(stars, 1, volume=Ball(BALL.centre, 3.0))
