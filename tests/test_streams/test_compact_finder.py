"""Compact over-densities: clusters are found once, streams and smooth skies are not."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from compact_skies import Cluster, add_clusters, parallaxes
from scipy.stats import kstest
from stream_skies import FOOTPRINT, Injected, make_sky, reorder, scored_windows

from sky_patches import Hole, WithHoles
from sky_patches.frames import unit_vectors
from streams import FootprintCells, RegionRecipe, agreement, regions_of_interest
from streams.compact import (
    CompactError,
    CompactFinder,
    CompactRecipe,
    DiscSearch,
    Parallax,
    compact_null_maxima,
)

FINDER = CompactFinder(CompactRecipe(RegionRecipe(step=3.0), null_skies=20))
ONE = (Cluster(60, 0.1),)
TWO = (Cluster(60, 0.1), Cluster(40, 0.2, (-2.0, 1.0), (-1.0, 2.0)))


def _find(sky, finder=FINDER, footprint=FOOTPRINT, **options):
    windows = options.pop("windows", None) or scored_windows(sky, 4)
    return finder.find(sky.stars, footprint, windows, seed=1, **options)


def test_two_clusters_are_two_candidates():
    sky = add_clusters(3, TWO)
    found = [one for one in _find(sky) if one.passes(0.01)]
    assert len(found) == 2 and all(one.regions > 2 for one in found)
    for number, one in enumerate(found, start=1):
        score = agreement(one.members(), np.flatnonzero(sky.origin == number))
        assert score.completeness > 0.85 and score.purity > 0.85


@pytest.mark.parametrize("stars, radius", [(10, 0.02), (25, 0.05), (200, 0.6)])
def test_small_and_large_ones_are_found(stars, radius):
    sky = add_clusters(6, (Cluster(stars, radius),))
    first = _find(sky, parallax=parallaxes(sky, (Cluster(stars, radius),), 1))[0]
    assert first.passes(0.01)
    assert agreement(first.members(), np.flatnonzero(sky.origin)).f1 > 0.75
    fit = first.membership
    pull = np.subtract(fit.model.proper_motion, (4.0, -3.0)) / fit.errors.proper_motion
    assert np.all(np.abs(pull) < 4) and max(fit.errors.proper_motion) < 0.4


@pytest.mark.parametrize("seed", [2, 3])
@pytest.mark.parametrize("stars", [150, 500])
def test_a_stream_is_no_cluster(stars, seed):
    """Its discs are significant, and rightly so; its shape gives it away."""
    found = _find(make_sky(seed, streams=(Injected(stars, 0.7, 0.5),)))
    assert found and found[0].elongated
    assert not any(one.passes(0.01) for one in found)


def test_a_cloud_broader_than_the_discs_is_no_cluster():
    found = _find(add_clusters(3, (Cluster(400, 2.2),)))
    assert found and found[0].extended and not any(one.passes(0.01) for one in found)


def test_the_order_of_rows_and_windows_changes_nothing():
    sky = add_clusters(3, ONE)
    windows = scored_windows(sky, 4)
    moved, over = reorder(sky, windows, np.random.default_rng(1).permutation(len(sky.origin)))
    one, other = _find(sky, windows=windows)[0], _find(moved, windows=over[::-1])[0]
    ids = [np.sort(s.stars.source_id[f.members()]) for s, f in ((sky, one), (moved, other))]
    np.testing.assert_array_equal(*ids)
    assert one.disc.significance == pytest.approx(other.disc.significance)
    assert one.false_alarm_probability == pytest.approx(other.false_alarm_probability)


def test_stars_that_are_not_kept_make_no_disc():
    sky = add_clusters(3, ONE)
    assert not [one for one in _find(sky, keep=sky.origin == 0) if one.passes(0.01)]


def test_a_hole_beside_a_cluster_is_no_over_density():
    footprint = WithHoles(FOOTPRINT, (Hole("gap", -1.0, 1.0, 0.8), Hole("far", 3.0, 1.0, 1.0)))
    sky = make_sky(8)
    stars = sky.stars
    windows = scored_windows(sky, 4)
    inside = footprint.contains(*stars.position.T)
    assert not [
        one for one in _find(sky, footprint=footprint, keep=inside, windows=windows) if one.passes(0.01)
    ]


def test_progress_and_errors():
    sky, told = make_sky(1, 800), []
    _find(sky, progress=lambda: told.append(1))
    assert len(told) == FINDER.recipe.null_skies
    with pytest.raises(CompactError, match=r"regions\.min_stars"):
        _find(sky, CompactFinder(CompactRecipe(RegionRecipe(min_stars=5000))))
    with pytest.raises(CompactError, match="ascending"):
        CompactRecipe(scales=(4.0, 2.0))
    with pytest.raises(CompactError, match="least=1"):
        CompactRecipe(least=1)


def test_a_patch_without_parallaxes_and_colours_is_searched():
    sky = add_clusters(3, ONE)
    nothing = Parallax(np.full(len(sky.origin), np.nan), np.full(len(sky.origin), np.nan))
    first = _find(sky, parallax=nothing)[0]
    assert first.passes(0.01) and np.isnan(first.membership.model.parallax)


SKIES, STARS = 40, 3000


@cache
def _probabilities(paired: bool) -> np.ndarray:
    return np.array([_false_alarm_probability(seed, paired) for seed in range(SKIES)])


def _false_alarm_probability(seed: int, paired: bool) -> float:
    """Of the best disc of one smooth, tilted sky."""
    sky = make_sky(500 + seed, STARS, gradient=(0.25, 0.1))
    stars, windows = sky.stars, scored_windows(sky, seed, lows=(-6.0, -1.0))
    position = stars.position.copy()
    if paired:
        # Every third star of a region comes with a neighbour.
        for window in windows[:1]:
            rows = window.rows[np.argsort(-window.log_ratio)]
            position[rows[1:60:2]] = position[rows[0:59:2]] + 0.01
    regions = regions_of_interest(
        windows, stars.proper_motion, np.ones(STARS, dtype=bool), RegionRecipe(step=6.0)
    )
    cells = FootprintCells.of(FOOTPRINT, 0.15)
    search = DiscSearch(FOOTPRINT, cells, (0.05, 0.2, 0.8), (60,), 2 if paired else 4)
    x, y = cells.plane.project(*position.T)
    densities = cells.densities([(x[r.stars], y[r.stars]) for r in regions])
    number, vectors = search.cells_of(position), unit_vectors(*position.T)
    tops = [r.stars[:60] for r in regions]
    best = search.best([vectors[t] for t in tops], [number[t] for t in tops], densities)
    null = compact_null_maxima(search, regions, densities, np.arange(STARS), skies=40, seed=seed)
    return null.false_alarm_probability(float(best.significance.max()))


@pytest.mark.statistical
def test_false_alarm_probabilities_of_smooth_skies_are_uniform():
    probabilities = _probabilities(False)
    assert kstest(probabilities, "uniform").pvalue > 0.01
    assert np.mean(probabilities < 0.1) < 0.25


@pytest.mark.statistical
def test_stars_that_come_in_pairs_are_found_out():
    """Negative control: pairs break the null's assumption, and the test sees it."""
    assert kstest(_probabilities(True), "uniform").pvalue < 1e-4
