"""Laws of the candidates: every stream once, none in a smooth sky, no star twice, no order that matters."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from stream_skies import FOOTPRINT, PLANE, Injected, make_sky, reorder, scored_windows

from streams import CandidateFinder, LineRecipe, LineSearchError, RegionError, RegionRecipe, WindowScores
from streams.merging import MergingError, ProtostreamLog

FINDER = CandidateFinder(
    regions=RegionRecipe(step=3.0),
    lines=LineRecipe(widths=(0.5, 1.0), ranks=(50, 100), angle_step=4.0, offset_step=0.25),
    cell_deg=0.15,
    null_skies=20,
    report_below=0.05,
)
FIRST = Injected(90, np.radians(30.0), 1.0)
SECOND = Injected(70, np.radians(120.0), -1.5, proper_motion=((-4.0, 0.0), (3.5, 0.0)), colour=0.8)
TILT = (0.15, -0.1)


def _find(sky, windows, finder=FINDER, seed=1, **options):
    return finder.find(sky.stars, FOOTPRINT, windows, seed=seed, **options)


@cache
def _two_streams():
    sky = make_sky(1, 3000, (FIRST, SECOND), TILT)
    windows = scored_windows(sky, 2)
    return sky, windows, _find(sky, windows)


def _apart(one, two):
    """Angle between two undirected lines, radians."""
    return abs((one - two + np.pi / 2) % np.pi - np.pi / 2)


def test_two_streams_are_found_each_once_over_a_gradient():
    sky, _, candidates = _two_streams()
    assert len(candidates) == 2
    for candidate in candidates:
        members = candidate.membership.members()
        label = np.bincount(sky.origin[members]).argmax()
        truth = {1: FIRST, 2: SECOND}[label]
        assert np.mean(sky.origin[members] == label) > 0.85
        assert np.sum(sky.origin[members] == label) > 0.75 * truth.stars
        assert _apart(candidate.line.theta, truth.theta) < np.radians(2 * FINDER.lines.angle_step)
        motion = [a for a, _ in candidate.membership.model.proper_motion]
        assert motion == pytest.approx(truth.centre, abs=0.5)
    assert {int(np.bincount(sky.origin[c.membership.members()]).argmax()) for c in candidates} == {1, 2}


def test_candidates_come_in_order_of_significance_with_what_they_merged():
    candidates = _two_streams()[2]
    significance = [candidate.line.significance for candidate in candidates]
    assert significance == sorted(significance, reverse=True)
    probability = [candidate.false_alarm_probability for candidate in candidates]
    assert probability == sorted(probability) and probability[-1] < FINDER.report_below
    for candidate in candidates:
        assert candidate.regions >= 2, "one stream lights up more than one region"
        assert candidate.line.region.component in candidate.components
        assert candidate.line.count > candidate.line.expected


def test_no_star_is_a_member_of_both():
    one, two = (set(candidate.membership.members().tolist()) for candidate in _two_streams()[2])
    assert one & two == set()


@pytest.mark.parametrize("seed", [0, 1])
def test_crossing_streams_of_nearly_the_same_motion_are_told_apart(seed):
    """The weaker line may outgrow the stronger once that has left: the list is in order all the same."""
    other = Injected(80, np.radians(75.0), 1.0, proper_motion=((4.6, 0.0), (-2.6, 0.0)))
    sky = make_sky(seed, 3000, (FIRST, other))
    candidates = _find(sky, scored_windows(sky, 2))
    members = [candidate.membership.members() for candidate in candidates]
    assert {int(np.bincount(sky.origin[rows]).argmax()) for rows in members} == {1, 2}
    assert len(candidates) == 2 and len(np.intersect1d(*members)) == 0
    assert candidates[0].line.significance > candidates[1].line.significance


@pytest.mark.statistical
def test_a_sky_without_streams_has_no_candidate():
    """At most one of eight smooth, tilted skies shows a line below 5 %; two streams are the control."""
    finder = replace(FINDER, report_below=0.05)
    false = 0
    for seed in range(10, 18):
        sky = make_sky(seed, 1500, gradient=TILT)
        false += len(_find(sky, scored_windows(sky, seed + 100), finder, seed))
    assert false <= 1
    assert len(_two_streams()[2]) == 2


def test_scores_that_know_nothing_find_nothing():
    """Negative control of the score: the same streams, no star scored above another, are lost."""
    sky, _, _ = _two_streams()
    blind = _find(sky, scored_windows(sky, 2, boost=0.0))
    seen = _two_streams()[2]
    assert sum(c.line.significance for c in blind) < 0.6 * sum(c.line.significance for c in seen)


def test_a_search_repeats_itself_for_a_seed():
    sky, windows, candidates = _two_streams()
    again = _find(sky, windows)
    assert [c.line.significance for c in again] == [c.line.significance for c in candidates]
    assert [c.false_alarm_probability for c in again] == [c.false_alarm_probability for c in candidates]
    assert all(np.array_equal(a.membership.probability, b.membership.probability)
               for a, b in zip(again, candidates, strict=True))  # fmt: skip


def _same_line(a, b):
    assert (a.line.significance, a.line.theta, a.line.offset, a.line.width) == pytest.approx(
        (b.line.significance, b.line.theta, b.line.offset, b.line.width), rel=1e-5
    )
    assert (a.line.rank, a.line.count) == (b.line.rank, b.line.count)


def _the_same(one, two, sky, other):
    """Every number and every member alike, to the last digit."""
    for a, b in zip(one, two, strict=True):
        assert a.line.facts == b.line.facts and a.log == b.log
        assert (a.false_alarm_probability, a.regions, a.components) == (
            b.false_alarm_probability, b.regions, b.components
        )  # fmt: skip
        first = dict(zip(sky.stars.source_id[a.membership.rows], a.membership.probability, strict=True))
        second = dict(zip(other.stars.source_id[b.membership.rows], b.membership.probability, strict=True))
        assert first == second


def test_the_order_of_the_windows_does_not_matter():
    sky, windows, candidates = _two_streams()
    mixed = [windows[k] for k in np.random.default_rng(3).permutation(len(windows))]
    found = _find(sky, mixed)
    assert len(found) == len(candidates) == 2
    _the_same(candidates, found, sky, sky)


def test_the_order_of_the_table_does_not_matter():
    """Null skies are drawn row by row, in the order of the stars' names: a shuffled table is the same sky."""
    sky, windows, candidates = _two_streams()
    other, over = reorder(sky, windows, np.random.default_rng(4).permutation(len(sky.stars)))
    found = _find(other, over)
    _the_same(candidates, found, sky, other)
    for candidate in found:
        motion = other.stars.proper_motion[candidate.line.region.stars]
        box = np.array(candidate.line.region.box)
        assert np.all((motion >= box[:, 0]) & (motion < box[:, 1])), "rows are those of the table given"


def test_a_turned_sky_gives_turned_candidates():
    turn = np.radians(48.0)
    sky, windows, candidates = _two_streams()
    cosine, sine = np.cos(turn), np.sin(turn)
    matrix = np.array([[cosine, -sine], [sine, cosine]])
    xy = np.column_stack(PLANE.project(*sky.stars.position.T)) @ matrix.T
    stars = replace(sky.stars, position=np.column_stack(PLANE.unproject(*xy.T)))
    for a, b in zip(candidates, _find(replace(sky, stars=stars), windows), strict=True):
        assert _apart(a.line.theta + turn, b.line.theta) < np.radians(2 * FINDER.lines.angle_step)
        one, two = a.membership.members(), b.membership.members()
        assert len(np.intersect1d(one, two)) > 0.9 * max(len(one), len(two))


def test_the_log_says_which_regions_were_merged_and_why():
    for candidate in _two_streams()[2]:
        (cluster,) = candidate.log.protoclusters
        assert cluster.line == candidate.line.facts
        assert len(cluster.merged) == candidate.regions
        assert all(region.share > 0.5 for region in cluster.merged)
        assert all(0.1 <= region.share <= 0.5 for region in cluster.near)
        assert {region.component for region in cluster.merged} == set(candidate.components)
        assert [d.joined for d in candidate.log.decisions] == [False], "compared with the other, and refused"
        assert ProtostreamLog.from_dict(json.loads(json.dumps(candidate.log.to_dict()))) == candidate.log
    with pytest.raises(MergingError, match="another version"):
        ProtostreamLog.from_dict({"protoclusters": []})


def test_stability_is_the_share_of_trainings_that_find_it():
    """Two trainings see the streams and two rank their stars last: the candidates come back in half."""
    sky, windows, candidates = _two_streams()
    assert all(np.isnan(candidate.stability) for candidate in candidates)
    seen = scored_windows(sky, 20)
    blind = [scored_windows(sky, seed, boost=-2.5) for seed in (30, 31)]
    steady = _find(sky, windows, retrainings=[seen, seen])
    assert [candidate.stability for candidate in steady] == [1.0, 1.0]
    sharp = [scored_windows(sky, seed, boost=6.0) for seed in (40, 41)]
    half = _find(sky, sharp[0], retrainings=[blind[0], sharp[1][::-1], blind[1]])
    assert half and [candidate.stability for candidate in half] == [0.5] * len(half)


def test_other_trainings_are_refused():
    sky, windows, _ = _two_streams()
    with pytest.raises(RegionError, match="retraining 1 scored 5 windows"):
        _find(sky, windows, retrainings=[windows[1:]])
    short = replace(windows[0], rows=windows[0].rows[1:], log_ratio=windows[0].log_ratio[1:])
    with pytest.raises(RegionError, match="score the same stars again"):
        _find(sky, windows, retrainings=[[short, *windows[1:]]])
    with pytest.raises(RegionError, match="comes twice"):
        _find(sky, [*windows, windows[0]])


def test_only_kept_stars_make_lines_but_all_may_be_members():
    sky, windows, _ = _two_streams()
    keep = np.random.default_rng(5).random(len(sky.stars)) < 0.8
    candidates = _find(sky, windows, keep=keep)
    assert len(candidates) == 2
    for candidate in candidates:
        assert keep[candidate.line.region.stars].all()
        assert not keep[candidate.membership.members()].all()


def test_a_longer_list_is_cut():
    sky, windows, candidates = _two_streams()
    short = _find(sky, windows, replace(FINDER, max_candidates=1))
    assert len(short) == 1
    _same_line(short[0], candidates[0])


def test_progress_is_told_after_each_null_sky():
    sky, windows, _ = _two_streams()
    calls = []
    _find(sky, windows, progress=lambda: calls.append(1))
    assert len(calls) == FINDER.null_skies


def test_a_patch_without_enough_stars_is_refused_with_what_to_do():
    sky = make_sky(6, 50)
    with pytest.raises(LineSearchError, match=r"none of 6 windows has a region of 60 stars: .*min_stars"):
        _find(sky, scored_windows(sky, 1))
    with pytest.raises(LineSearchError, match=r"none of 0 windows"):
        _find(sky, [])


def test_a_line_of_high_scores_that_is_no_stream_does_not_loop_for_ever():
    """High scores on a line but motions all over: every candidate takes stars away until nothing is left."""
    sky = make_sky(7, 1500)
    xy = sky.stars.position
    on_line = np.abs(xy[:, 0] * np.sin(0.5) - xy[:, 1] * np.cos(0.5)) < 0.3
    windows = [
        WindowScores(w.component, w.low, w.high, w.rows, w.log_ratio + 3.0 * on_line[w.rows])
        for w in scored_windows(sky, 8)
    ]
    candidates = _find(sky, windows, replace(FINDER, max_candidates=8))
    assert 1 <= len(candidates) <= 8
    lines = [(c.line.region.box, c.line.theta, c.line.offset, c.line.count) for c in candidates]
    assert len(set(lines)) == len(lines)
