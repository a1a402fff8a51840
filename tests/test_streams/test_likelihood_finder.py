"""Laws of the finder: significant hypotheses become candidates, each star speaks for one of them."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from likelihood_skies import FOOTPRINT, RECIPE, Cluster, Planted, likelihood_sky, reordered
from refinement_skies import FOOTPRINT as LIT_FOOTPRINT
from refinement_skies import LIMITS, RIDGE, ModelStream, model_sky

from streams.likelihood import LikelihoodError
from streams.likelihood.finder import LikelihoodSearch

STRONG, WEAK = Planted(120), Planted(60, theta=np.radians(100.0), offset=-1.0, motion=(-4.0, 4.0))
CLUSTER = Cluster(40, place=(3.0, 3.0), motion=(2.0, 5.0))
SEARCH = LikelihoodSearch(recipe=replace(RECIPE, peaks=15))


@cache
def _sky():
    return likelihood_sky(4, 5000, STRONG, WEAK, CLUSTER)


def _find(sky, finder=SEARCH, **options):
    return finder.find(sky.stars, FOOTPRINT, sky.log_background, **options)


@cache
def _found():
    return _find(_sky())


def _rows(candidate, above=0.5):
    return candidate.refined.rows[candidate.refined.probability > above]


def test_the_candidates_are_the_streams_most_significant_first():
    one, two = _found().candidates
    assert one.hypothesis.significance > two.hypothesis.significance
    assert one.false_alarm_probability <= two.false_alarm_probability < 0.01
    for which, candidate, stream in ((1, one, STRONG), (2, two, WEAK)):
        rows = _rows(candidate)
        assert (_sky().origin[rows] == which).mean() > 0.8 and len(rows) > 0.7 * stream.stars
        assert candidate.candidate.false_alarm_probability == candidate.false_alarm_probability
        assert _found().false_alarm_probability(candidate.hypothesis.significance) < 0.01
    assert _found().result.peaks[0].significance >= one.hypothesis.significance


def test_a_cluster_is_listed_apart_and_its_stars_are_nobodys_members():
    """Control: a recipe that knows no clumps reports it as a stream."""
    (clump,) = _found().clumps
    inside = _sky().origin == 3
    assert clump.clump and inside[clump.rows].sum() > 30
    assert not any(inside[_rows(one)].any() for one in _found().candidates)
    blind = _find(_sky(), replace(SEARCH, recipe=replace(SEARCH.recipe, clump=0.01)))
    assert blind.clumps == () and max(inside[one.hypothesis.rows].sum() for one in blind.candidates) > 30


def test_the_members_of_one_are_not_the_members_of_the_next():
    """Also of two streams that cross with one motion."""
    crossing = replace(WEAK, motion=(3.5, -1.5))
    sky = likelihood_sky(6, 5000, STRONG, crossing)
    for found in (_found(), _find(sky)):
        assert len(found.candidates) >= 2
        for k, one in enumerate(found.candidates):
            others = [_rows(other) for other in found.candidates[k + 1 :]]
            assert all(not len(np.intersect1d(_rows(one), rows)) for rows in others)


@pytest.mark.parametrize("apart", [1.5, 2.5])
def test_two_streams_on_one_line_are_told_apart(apart):
    """Both keep the chance of the one that was found. Control: streams on lines of their own stay."""
    second = replace(STRONG, stars=90, motion=(STRONG.motion[0] + apart, STRONG.motion[1]))
    sky = likelihood_sky(11, 5000, STRONG, second)
    found = _find(sky)
    assert len(found.candidates) == 1
    told = SEARCH.told_apart(found, sky.stars, FOOTPRINT, sky.log_background)
    for which, one in enumerate(told.candidates, 1):
        rows = _rows(one)
        assert (sky.origin[rows] == which).mean() > 0.75 and len(rows) > 60
        assert one.hypothesis is found.candidates[0].hypothesis and one.pair.gain > one.pair.price
        assert one.candidate.false_alarm_probability == found.candidates[0].false_alarm_probability
    assert len(told.candidates) == 2
    alone = SEARCH.told_apart(_found(), _sky().stars, FOOTPRINT, _sky().log_background)
    assert alone.candidates == _found().candidates


def test_what_vanishes_among_the_stars_around_it_is_not_split():
    """The same candidates over a background that explains every star."""
    everywhere = _sky().log_background + 2000.0
    told = SEARCH.told_apart(_found(), _sky().stars, FOOTPRINT, everywhere)
    assert told.candidates == _found().candidates


def test_rarer_candidates_and_fewer_are_reported_on_request():
    assert len(_find(_sky(), replace(SEARCH, max_candidates=1)).candidates) == 1
    assert _find(_sky(), replace(SEARCH, max_candidates=0)).candidates == ()
    empty = likelihood_sky(8, 3000)
    assert _find(empty, replace(SEARCH, report_below=0.01)).candidates == ()
    every = _find(empty, replace(SEARCH, report_below=1.0)).candidates
    tails = [one.false_alarm_probability for one in every]
    assert len(every) > 1 and tails == sorted(tails)


def test_searched_null_skies_judge_the_patch():
    """Skies whose best peaks stand as high as the streams leave no candidate."""
    strict = replace(SEARCH, report_below=0.01)
    assert len(_find(_sky(), strict, null=[4.8, 5.0, 5.1, 5.3]).candidates) == 2
    assert _find(_sky(), strict, null=[25.0, 30.0, 28.0]).candidates == ()
    with pytest.raises(LikelihoodError, match="finite significances of null skies"):
        _find(_sky(), null=[np.nan])


def test_stars_that_are_not_kept_are_not_searched():
    sky = _sky()
    found = _find(sky, keep=sky.origin != 1)
    assert not any((sky.origin[one.hypothesis.rows] == 1).any() for one in found.candidates)
    assert not any((sky.origin[one.refined.rows] == 1).any() for one in found.candidates)
    (weak,) = found.candidates
    assert (sky.origin[_rows(weak)] == 2).mean() > 0.8


def test_the_order_of_the_table_changes_nothing():
    order = np.random.default_rng(3).permutation(len(_sky().stars))
    again = _find(reordered(_sky(), order))
    for one, two in zip(_found().candidates, again.candidates, strict=True):
        assert one.hypothesis.significance == two.hypothesis.significance
        assert np.array_equal(np.sort(_rows(one)), np.sort(order[_rows(two)]))


def test_colours_are_used_where_a_ridge_is_given_and_asked_for():
    """With its ridge a stream stands out more than by its motion alone; without photometry it says so."""
    sky = model_sky(3, 4000, (ModelStream(60.0, proper_motion=((3.0, 0.0), (-4.0, 0.0))),))
    recipe = replace(SEARCH.recipe, moduli=(15.0,), limits=LIMITS)
    found = replace(SEARCH, recipe=recipe, ridges=(RIDGE,)).find(sky.stars, LIT_FOOTPRINT, sky.log_background)
    best = found.candidates[0]
    assert best.hypothesis.ridge == RIDGE.name and abs(best.hypothesis.modulus - 15.0) <= 0.5
    assert (sky.origin[_rows(best)] == 1).mean() > 0.8 and len(_rows(best)) > 35
    dark = model_sky(3, 4000, sky.truth, photometry=False)
    plain = SEARCH.find(dark.stars, LIT_FOOTPRINT, dark.log_background)
    assert np.isnan(plain.result.peaks[0].modulus) and plain.result.maximum < best.hypothesis.significance
    with pytest.raises(LikelihoodError, match="search without ridges"):
        replace(SEARCH, recipe=recipe, ridges=(RIDGE,)).find(dark.stars, LIT_FOOTPRINT, dark.log_background)


def test_arrays_that_do_not_fit_and_empty_patches_are_told():
    sky = _sky()
    with pytest.raises(LikelihoodError, match=f"{len(sky.stars)} stars came with 7"):
        SEARCH.find(sky.stars, FOOTPRINT, np.zeros(7))
    with pytest.raises(LikelihoodError, match="none of"):
        _find(sky, keep=np.zeros(len(sky.stars), dtype=bool))
    empty = reordered(sky, np.zeros(len(sky.stars), dtype=bool))
    with pytest.raises(LikelihoodError, match="no stars to search"):
        _find(empty)
