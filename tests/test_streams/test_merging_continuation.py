"""Laws of the evidence: continued tracks give p-values, no star counts twice, and the whole is valid."""

from __future__ import annotations

import json
from functools import cache

import numpy as np
import pytest
from scipy.stats import binom, kstest

from sky_patches import PatchGeometry
from streams.merging import (
    CommonFrame,
    Continuation,
    MergingError,
    RankedPatch,
    SkyStars,
    combined,
    continuation,
    continuations,
    fit_track,
    region_of_motion,
)
from streams.regions import Region

HOME = PatchGeometry.circle("home", 0.0, 0.0, 6.0)
NEXT = PatchGeometry.circle("next", 8.0, 0.0, 6.0)
AWAY = PatchGeometry.circle("away", 0.0, 40.0, 6.0)
BOX = ((0.0, 6.0), (-6.0, 0.0))


@cache
def _detection():
    """A stream along ra in the home patch, moving with (3, -3)."""
    rng = np.random.default_rng(0)
    position = np.column_stack([rng.uniform(-5.5, 5.5, 120), rng.normal(0.0, 0.2, 120)])
    motion = rng.normal((3.0, -3.0), 0.3, (120, 2))
    return SkyStars.of(position, motion, np.full((120, 2), 0.2), np.full(120, 0.9))


TRACK = fit_track(_detection(), CommonFrame.of(_detection()))


def _patch(geometry, seed, stars=1500, stream=0, box=BOX):
    """Uniform stars of one region in random order of score; `stream` of them on the equator come first."""
    rng = np.random.default_rng(seed)
    phi1, phi2 = geometry.footprint.sample(stars, int(rng.integers(2**31)))
    phi1[:stream], phi2[:stream] = rng.uniform(-5.5, 5.5, stream), rng.normal(0.0, 0.2, stream)
    ra, dec = geometry.frame.unproject(phi1, phi2)
    order = np.concatenate([np.arange(stream), stream + rng.permutation(stars - stream)])
    return RankedPatch(geometry, ra, dec, [Region("pm_phi2", box, order)])


@cache
def _null_tests():
    return [continuation(TRACK, _patch(NEXT, seed, 800), [HOME]) for seed in range(200)]


def test_a_stream_that_goes_on_is_evidence():
    test = continuation(TRACK, _patch(NEXT, 1, stream=40), [HOME])
    assert test.count > 15 and test.expected < 8
    assert test.significance > 4 and test.probability < 1e-5
    total, probability = combined(7.0, 1e-3, [test])
    assert total == pytest.approx(np.hypot(7.0, test.significance))
    assert probability < 1e-5


def test_the_expectation_is_that_of_uniform_stars():
    tests = _null_tests()
    count, expected = (np.array([getattr(test, name) for test in tests]) for name in ("count", "expected"))
    assert abs((count - expected).sum()) < 3 * np.sqrt(expected.sum())


@pytest.mark.statistical
def test_probabilities_are_uniform_without_a_stream_and_a_scan_is_not():
    """A count is discrete: its tail never promises too much, and spread within its step it is uniform. The
    control looks for the best of many strips, as a scan would, and calls that a p-value."""
    rng = np.random.default_rng(2)
    tests = _null_tests()
    tail = np.array([test.probability for test in tests])
    for level in (0.01, 0.05, 0.2, 0.5):
        assert np.mean(tail <= level) <= level + 3 * np.sqrt(level * (1 - level) / len(tail))
    step = np.array([binom.pmf(test.count, test.stars, test.expected / test.stars) for test in tests])
    spread = tail - step * rng.random(len(tail))
    assert kstest(spread, "uniform").pvalue > 0.01
    scanned = spread.reshape(-1, 5).min(axis=1)
    assert kstest(scanned, "uniform").pvalue < 1e-3


def test_a_patch_seen_before_adds_nothing():
    """The same patch once more, under another name: no star is new, so the evidence stays as it was."""
    again = PatchGeometry.circle("again", 0.0, 0.0, 6.0)
    patches = {"again": _patch(again, 1, stream=40), "next": _patch(NEXT, 1, stream=40)}
    twice = continuations(_detection(), HOME, [HOME, again], patches.__getitem__)
    assert twice == () and combined(7.0, 1e-3, twice) == (7.0, 1e-3)
    once = continuations(_detection(), HOME, [HOME, NEXT], patches.__getitem__)
    copy = PatchGeometry.circle("next copy", 8.0, 0.0, 6.0)
    patches["next copy"] = _patch(copy, 1, stream=40)
    both = continuations(_detection(), HOME, [copy, again, NEXT, HOME], patches.__getitem__)
    assert len(once) == 1 and both == once


def test_only_patches_that_the_track_enters_are_opened():
    opened = []

    def load(name):
        opened.append(name)
        return _patch(NEXT, 1)

    continuations(_detection(), HOME, [AWAY, HOME, NEXT], load)
    assert opened == ["next"]


def test_stars_of_the_overlap_do_not_count():
    """All stream stars lie in the overlap: nothing new is found."""
    patch = _patch(NEXT, 3, stream=0)
    inside = HOME.contains(patch.ra, patch.dec)
    rows = patch.regions[0].stars
    first = np.concatenate([rows[inside[rows]], rows[~inside[rows]]])
    ranked = RankedPatch(NEXT, patch.ra, patch.dec, [Region("pm_phi2", BOX, first)])
    plain = RankedPatch(NEXT, patch.ra, patch.dec, [Region("pm_phi2", BOX, rows)])
    assert continuation(TRACK, ranked, [HOME]) == continuation(TRACK, plain, [HOME])


def test_no_region_of_that_motion_is_no_test():
    other = _patch(NEXT, 1, box=((10.0, 16.0), (-6.0, 0.0)))
    assert continuation(TRACK, other, [HOME]) is None
    assert continuation(TRACK, _patch(NEXT, 1, stars=50), [HOME]) is None
    assert continuation(TRACK, _patch(AWAY, 1), [HOME]) is None


def test_the_region_is_the_nearest_and_no_order_decides():
    boxes = [((k - 3.0, k + 3.0), (-6.0, 0.0)) for k in range(5)]
    regions = [Region(name, box, np.arange(3)) for box in boxes for name in ("pm_phi2", "pm_phi1_cosphi2")]
    for order in (regions, regions[::-1]):
        chosen = region_of_motion(order, (2.2, -3.0))
        assert (chosen.component, chosen.box) == ("pm_phi1_cosphi2", boxes[2])
    assert region_of_motion(regions, (2.0, 5.0)) is None


@pytest.mark.statistical
def test_combined_probabilities_are_valid():
    """Without streams no more than a share p of detections reports p; without the factor two more do."""
    rng = np.random.default_rng(4)
    p = rng.random((20_000, 3))
    tests = [
        [Continuation("a", "pm_phi2", BOX, 100, 5, 5.0, 0.0, float(value)) for value in row[1:]]
        for row in p[:4000]
    ]
    joint = np.array([combined(4.0, float(row[0]), test)[1] for row, test in zip(p, tests, strict=False)])
    for level in (0.01, 0.05, 0.2):
        bound = level + 3 * np.sqrt(level / len(joint))
        assert np.mean(joint <= level) <= bound
        assert np.mean(joint / 2 <= level) > bound, "negative control"


def test_evidence_against_lowers_no_significance():
    against = Continuation("a", "pm_phi2", BOX, 100, 0, 5.0, -2.0, 1.0)
    assert combined(6.0, 1e-4, [against]) == (6.0, pytest.approx(2e-4))


def test_a_test_comes_back_from_json():
    test = continuation(TRACK, _patch(NEXT, 1), [HOME])
    assert Continuation.from_dict(json.loads(json.dumps(test.to_dict()))) == test
    with pytest.raises(MergingError, match="another version"):
        Continuation.from_dict({"patch": "a"})
