"""Laws of clumps: what is in one place is no stream, however significant, and what is uneven may be one."""

from __future__ import annotations

import numpy as np
import pytest
from likelihood_skies import FOOTPRINT, RECIPE, Cluster, Planted, likelihood_sky

from streams.likelihood import SearchRecipe, search
from streams.likelihood.clumps import CHANCE, clump_stretch

STREAM = Planted(45)
ON_STREAM = (2 * np.cos(STREAM.theta) + 1.25 * np.sin(STREAM.theta),
             2 * np.sin(STREAM.theta) - 1.25 * np.cos(STREAM.theta))  # fmt: skip
"""A place on the stream's line."""


def _peaks(*planted, seed=1, clump=RECIPE.clump):
    sky = likelihood_sky(seed, 6000, *planted)
    recipe = SearchRecipe(**{**vars(RECIPE), "clump": clump})
    return sky, search(sky.stars, FOOTPRINT, sky.log_background, recipe)


def _stars(sky, peak, which=1):
    return int((sky.origin[peak.rows] == which).sum())


@pytest.mark.parametrize("stars", [20, 60])
def test_a_cluster_is_a_clump_and_no_line_through_it_remains(stars):
    sky, found = _peaks(Cluster(stars))
    first, *others = found.peaks
    assert first.clump and _stars(sky, first) > 0.8 * stars
    assert not any(one.clump or _stars(sky, one) > 0.2 * stars for one in others)
    # The law of chance and the maximum of null skies know nothing of it.
    assert found.maximum == others[0].significance < first.significance - 1.0
    assert found.chance.false_alarm_probability(first.significance) < 0.05


@pytest.mark.parametrize("uneven", [{"gap": (-2.0, 2.0)}, {"rich": 0.6}, {}])
def test_an_uneven_stream_is_no_clump(uneven):
    """Control of the test above: with a gap in the middle, or most of its stars in a third of it."""
    for seed in (1, 2):
        sky, found = _peaks(Planted(45, **uneven), seed=seed)
        assert _stars(sky, found.peaks[0]) > 25 and not found.peaks[0].clump


def test_a_cluster_on_a_stream_leaves_the_stream():
    """As a cluster and its tails: the stretch leaves the search, the rest of the line is found."""
    sky, found = _peaks(STREAM, Cluster(60, place=ON_STREAM))
    clump, line = found.peaks[:2]
    assert clump.clump and _stars(sky, clump, 2) > 50
    low, high = clump.stretch
    assert low < 2.0 < high and high - low <= RECIPE.clump
    assert not line.clump and _stars(sky, line) > 25 and line.significance > 7.0
    assert line.theta == pytest.approx(STREAM.theta, abs=0.05)


def test_a_poorer_cluster_on_a_stream_is_part_of_it():
    sky, found = _peaks(STREAM, Cluster(15, place=ON_STREAM))
    assert not found.peaks[0].clump and _stars(sky, found.peaks[0]) > 35


def test_the_length_of_a_clump_is_the_recipes():
    """Control: with a stretch of a hundredth of a degree a cluster is a line."""
    assert _peaks(Cluster(60))[1].peaks[0].clump
    assert not _peaks(Cluster(60), clump=0.01)[1].peaks[0].clump


def test_evenly_filled_lines_are_hardly_ever_clumps():
    """Of lines of a handful of stars the richest stretch may well hold half; control: any half would do."""
    rng, clumps, halves = np.random.default_rng(1), 0, 0
    for _ in range(4000):
        stars = rng.integers(4, 15)
        along, weight = rng.uniform(-10.0, 10.0, stars), np.ones(stars)
        clumps += clump_stretch(along, weight, 0.0, 20.0, 1.5) is not None
        inside = (along[:, None] <= along + 1.5) & (along[:, None] >= along)
        halves += inside.sum(axis=0).max() > 0.5 * stars
    assert clumps <= 4000 * CHANCE + 3 * np.sqrt(4000 * CHANCE) and halves > 10 * max(clumps, 4)


def test_the_stretch_holds_the_excess_and_not_the_expected():
    """Half of the weight, but not of the excess over an even background, or on a line no longer than it."""
    rng = np.random.default_rng(2)
    even, heap = rng.uniform(-10.0, 10.0, 60), rng.uniform(3.0, 3.4, 30)
    along, weight = np.concatenate([even, heap]), np.ones(90)
    low, high = clump_stretch(along, weight, 60.0, 20.0, 1.5)
    assert low <= heap.min() and heap.max() <= high and high - low <= 1.5
    assert clump_stretch(along, weight, 0.0, 20.0, 1.5) is None
    assert clump_stretch(along, weight, 60.0, 1.5, 1.5) is None
    assert clump_stretch(along, weight, 91.0, 20.0, 1.5) is None
    assert clump_stretch(np.empty(0), np.empty(0), 0.0, 20.0, 1.5) is None
