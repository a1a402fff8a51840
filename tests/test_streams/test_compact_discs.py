"""Discs around stars: counts, areas and probabilities are those of the definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, kstest, norm

from sky_patches import Box, Circle, Hole, WithHoles
from sky_patches.footprints.shapes import angular_distance
from sky_patches.frames import unit_vectors
from streams import FootprintCells
from streams.compact import DiscSearch, disc_significance

SCALES = (0.1, 0.5, 1.0)


def _search(footprint, ranks=(20, 40), least=5, size=0.1) -> DiscSearch:
    return DiscSearch(footprint, FootprintCells.of(footprint, size), SCALES, ranks, least)


def _sigma(count: float, stars: float, share: float) -> float:
    return float(disc_significance(*(np.array([float(v)]) for v in (count, stars, share)))[0])


@given(st.integers(1, 40), st.integers(0, 160), st.floats(1e-6, 0.5))
def test_significance_is_the_gaussian_equivalent_of_the_exact_tail(count, more, share):
    tail = binom.sf(count - 1, count + more, share)
    if 1e-250 < tail < 1 - 1e-9:
        assert _sigma(count, count + more, share) == pytest.approx(norm.isf(tail), abs=1e-6)


@pytest.mark.parametrize("share", [1e-3, 0.02])
def test_significance_goes_on_rising_where_floating_point_ends(share):
    sigma = [_sigma(count, 400, share) for count in range(60, 400, 5)]
    assert np.all(np.diff(sigma) > 0) and np.isfinite(sigma).all() and sigma[-1] > 38
    step = np.diff(sigma)
    assert np.all(np.abs(np.diff(step)) < 0.1), "no jump where one formula takes over from the other"


def test_a_disc_that_holds_what_is_expected_is_not_significant():
    assert _sigma(20, 200, 0.1) < 0.3


@given(st.integers(0, 1000))
def test_counts_are_those_of_all_pairs(seed):
    search = _search(Box(-2.0, 2.0, -2.0, 2.0))
    position = np.random.default_rng(seed).uniform(-2.0, 2.0, (40, 2))
    counts = search._counts(unit_vectors(*position.T)[None], np.array([20, 40]))[0]
    apart = angular_distance(*position.T[:, :, None], *position.T[:, None, :])
    np.fill_diagonal(apart, 99.0)
    for number, scale in enumerate(SCALES):
        near = apart <= scale
        np.testing.assert_array_equal(counts[:, number, 1], near.sum(axis=1))
        np.testing.assert_array_equal(counts[:20, number, 0], near[:20, :20].sum(axis=1))


def test_the_area_of_a_disc_ends_at_borders_and_holes():
    footprint = WithHoles(Circle(4.0), (Hole("gap", 1.0, 0.5, 0.6),))
    search = _search(footprint)
    rng = np.random.default_rng(1)
    points = np.stack(Circle(5.5).sample(400_000, 3))
    for cell in rng.choice(len(search.centres), 12, replace=False):
        distance = angular_distance(*search.centres[cell], *points)
        inside = footprint.contains(*points)
        for number, scale in enumerate(SCALES[1:], start=1):
            disc = distance <= scale
            area = inside[disc].mean() * np.pi * scale**2
            assert search.areas[cell, number] == pytest.approx(area, abs=0.025 * np.pi * scale**2)


def test_scattered_stars_fill_their_cells_evenly():
    search = _search(Box(-1.0, 1.0, -1.0, 1.0), size=0.2)
    cells = np.repeat(np.arange(len(search.centres)), 200)
    position = search.scattered(cells, np.random.default_rng(1).random((2, len(cells))))
    inner = (np.abs(position) < 0.7).all(axis=1)
    for axis in (0, 1):
        assert kstest(position[inner, axis], "uniform", (-0.7, 1.4)).pvalue > 0.01
        assert kstest(search.centres[cells][inner, axis], "uniform", (-0.7, 1.4)).pvalue < 1e-3, "control"
    np.testing.assert_array_equal(search.cells_of(position), cells)


def test_too_few_stars_make_no_disc():
    search = _search(Box(-2.0, 2.0, -2.0, 2.0), least=5)
    density = search.cells.area / search.cells.area.sum()
    spot = np.zeros((4, 2))
    assert search.best_of(unit_vectors(*spot.T), np.zeros(4, dtype=int), density)[0] == 0.0
    spot = np.zeros((5, 2))
    sigma, *_, count, _ = search.best_of(unit_vectors(*spot.T), search.cells_of(spot), density)
    assert sigma > 6 and count == 4


def test_skies_side_by_side_are_skies_one_by_one():
    search = _search(Box(-2.0, 2.0, -2.0, 2.0))
    density = search.cells.area / search.cells.area.sum()
    skies = np.random.default_rng(2).uniform(-1.0, 1.0, (6, 40, 2)) ** 3
    vectors = np.stack([unit_vectors(*sky.T) for sky in skies])
    cells = np.stack([search.cells_of(sky) for sky in skies])
    one_by_one = [search.best_of(v, c, density)[0] for v, c in zip(vectors, cells, strict=True)]
    np.testing.assert_allclose(search.maxima(vectors, cells, density), one_by_one)
    assert len(set(one_by_one)) > 1
