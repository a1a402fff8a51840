"""What was found leaves the background, by its probability alone, and is seen better over what stays."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sky_patches import Circle
from streams import StreamStars
from streams.likelihood import SearchRecipe
from streams.likelihood.candidates import LikelihoodFound
from streams.likelihood.finder import LikelihoodSearch
from via_machinae.background import (
    BackgroundError,
    BackgroundRecipe,
    PatchBackground,
    fit_stars,
    leaving,
    relearn,
    relearned,
    staying,
)

FIELD = Circle(5.0)
QUICK = BackgroundRecipe(hidden=32, epochs=8, batch_size=256, photometry=False)
SEARCH = LikelihoodSearch(
    recipe=SearchRecipe(
        motion_limit=5.0, motion_step=1.0, spread=0.5, angle_step=10.0, gradients=(0.0,), inspected=20
    ),
    report_below=0.01,
)
MOTION = (3.0, -2.0)
STREAM = 200


@dataclass(frozen=True, eq=False)
class Sky:
    """Stars, which of them are the stream's, their background with it, and what a search finds."""

    stars: StreamStars
    member: np.ndarray
    background: PatchBackground
    found: LikelihoodFound


def stars_with_a_stream(n: int = 3000, seed: int = 1) -> tuple[StreamStars, np.ndarray]:
    rng = np.random.default_rng(seed)
    radius, angle = 5 * np.sqrt(rng.random(n)), rng.uniform(0, 2 * np.pi, n)
    place = np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])
    motion = rng.normal(0, 3.0, (n, 2))
    line = np.column_stack([rng.uniform(-4.6, 4.6, STREAM), 1.0 + rng.normal(0, 0.15, STREAM)])
    error = np.tile(rng.uniform(0.2, 0.4, n + STREAM)[:, None], 2)
    motion = np.concatenate([motion, np.tile(MOTION, (STREAM, 1))]) + error * rng.normal(size=error.shape)
    order = rng.permutation(n + STREAM)
    stars = StreamStars(
        10**18 + 7 * np.arange(n + STREAM), np.concatenate([place, line])[order], motion[order], error,
        np.empty((n + STREAM, 0)),
    )  # fmt: skip
    return stars, order >= n


@pytest.fixture(scope="module")
def sky() -> Sky:
    stars, member = stars_with_a_stream()
    background = fit_stars(stars, FIELD, QUICK, seed=2)
    return Sky(stars, member, background, SEARCH.find(stars, FIELD, background.log_density))


@pytest.fixture(scope="module")
def better(sky: Sky):
    return relearned(SEARCH, sky.found, sky.background, sky.stars, FIELD, seed=3)


def ordered(stars: StreamStars, order: np.ndarray) -> StreamStars:
    return StreamStars(
        stars.source_id[order], stars.position[order], stars.proper_motion[order],
        stars.proper_motion_error[order], stars.photometry[order], stars.photometry_names,
    )  # fmt: skip


def members(found: LikelihoodFound, sky: Sky) -> float:
    """Expected number of the stream's own stars among the members of the first candidate."""
    fit = found.candidates[0].refined
    return float(fit.probability[sky.member[fit.rows]].sum())


def test_a_rich_stream_hides_in_its_own_background_and_no_longer_in_the_relearned(sky: Sky, better):
    truth, _ = stars_with_a_stream()
    alone = fit_stars(ordered(truth, np.flatnonzero(~sky.member)), FIELD, QUICK, seed=2)
    on_it = ordered(sky.stars, np.flatnonzero(sky.member))
    clean = alone.log_density_of(on_it).mean()
    hidden = sky.background.log_density_of(on_it).mean() - clean
    shown = better.background.log_density_of(on_it).mean() - clean
    assert hidden > 0.2
    assert abs(shown) < 0.5 * hidden


def test_the_candidate_gains_members_and_comes_nearer_to_the_truth(sky: Sky, better):
    first, second = (found.candidates[0].refined.stars[0] for found in (sky.found, better.found))
    assert abs(second - STREAM) < abs(first - STREAM)
    assert members(better.found, sky) > members(sky.found, sky)


def test_what_the_first_search_said_stays(sky: Sky, better):
    assert better.found.result is sky.found.result and better.found.chance == sky.found.chance
    for old, new in zip(sky.found.candidates, better.found.candidates, strict=True):
        assert new.hypothesis is old.hypothesis
        assert new.false_alarm_probability == old.false_alarm_probability
        assert new.candidate.line.significance == old.candidate.line.significance
        assert new.candidate.false_alarm_probability == old.candidate.false_alarm_probability


def test_where_nothing_passes_nothing_is_learned(sky: Sky):
    """The control: chance stays in the background."""
    chance = replace(
        sky.found,
        candidates=tuple(replace(one, false_alarm_probability=0.3) for one in sky.found.candidates),
    )
    assert not leaving(chance, len(sky.stars)).any()
    same = relearned(SEARCH, chance, sky.background, sky.stars, FIELD, seed=3, rounds=2)
    assert same.background is sky.background and same.found is chance and same.left == 0


def test_a_star_of_two_candidates_leaves_if_it_is_of_either(sky: Sky):
    one = sky.found.candidates[0]
    twice = replace(sky.found, candidates=(one, one))
    once = leaving(replace(sky.found, candidates=(one,)), len(sky.stars))
    np.testing.assert_allclose(1 - leaving(twice, len(sky.stars)), (1 - once) ** 2)
    np.testing.assert_array_equal(once[one.refined.rows], 1.0 - (1.0 - one.refined.probability))


def test_two_rounds_are_one_and_another(sky: Sky, better):
    two = relearned(SEARCH, sky.found, sky.background, sky.stars, FIELD, seed=3, rounds=2)
    again = relearned(SEARCH, better.found, better.background, sky.stars, FIELD, seed=3)
    np.testing.assert_array_equal(two.background.log_density, again.background.log_density)
    assert two.left == again.left


def test_stars_outside_the_holes_alone_are_fitted(sky: Sky):
    keep = sky.stars.position[:, 0] > -2.0
    found = SEARCH.refined_again(sky.found, sky.stars, FIELD, sky.background.log_density, keep=keep)
    assert keep[found.candidates[0].refined.rows].all()


def test_a_candidate_without_stars_keeps_its_fit(sky: Sky):
    nobody = np.zeros(len(sky.stars), dtype=bool)
    found = SEARCH.refined_again(sky.found, sky.stars, FIELD, sky.background.log_density, keep=nobody)
    assert found.candidates == sky.found.candidates


def test_the_order_of_the_stars_does_not_matter(sky: Sky):
    leave = np.random.default_rng(1).random(len(sky.stars))
    order = np.random.default_rng(2).permutation(len(sky.stars))
    quick = replace(sky.background, recipe=replace(QUICK, epochs=1))
    first = relearn(quick, sky.stars, FIELD, leave, seed=5)
    second = relearn(quick, ordered(sky.stars, order), FIELD, leave[order], seed=5)
    np.testing.assert_array_equal(second.source_id, first.source_id[order])
    np.testing.assert_allclose(second.log_density, first.log_density[order], rtol=0, atol=1e-4)


def test_the_limit_and_the_recipe_stay_when_the_faintest_star_leaves():
    bare, _ = stars_with_a_stream()
    rng = np.random.default_rng(4)
    light = np.column_stack([rng.normal(1, 0.2, len(bare)), 20.0 - rng.exponential(1.0, len(bare))])
    stars = replace(bare, photometry=light, photometry_names=("bp_rp", "phot_g_mean_mag"))
    first = fit_stars(stars, FIELD, BackgroundRecipe(hidden=8, epochs=1), seed=1)
    second = relearn(first, stars, FIELD, (light[:, 1] > 19.0).astype(float), seed=1)
    assert second.recipe == first.recipe and second.columns.faintest == first.columns.faintest
    assert np.isfinite(second.log_density).all()


def test_leaving_is_by_lot_and_the_lot_is_the_stars_own():
    names = 10**18 + np.arange(20_000)
    left = ~staying(names, np.full(20_000, 0.3), 1)
    assert left.mean() == pytest.approx(0.3, abs=5 * np.sqrt(0.21 / 20_000))
    order = np.random.default_rng(1).permutation(20_000)
    np.testing.assert_array_equal(~staying(names[order], np.full(20_000, 0.3), 1), left[order])
    assert (left != ~staying(names, np.full(20_000, 0.3), 2)).mean() > 0.3


@given(st.floats(0, 1), st.floats(0, 1), st.integers(0, 2**31))
def test_who_leaves_leaves_for_every_larger_probability(one: float, other: float, seed: int):
    names, low, high = np.arange(50), min(one, other), max(one, other)
    stay_low, stay_high = (staying(names, np.full(50, value), seed) for value in (low, high))
    assert (stay_low | ~stay_high).all()
    assert staying(names, np.zeros(50), seed).all() and not staying(names, np.ones(50), seed).any()


@pytest.mark.parametrize("leave", [np.zeros(3), np.full(3200, 1.5), np.full(3200, np.nan)])
def test_probabilities_that_are_none_are_refused(sky: Sky, leave: np.ndarray):
    with pytest.raises(BackgroundError, match=r"probability from 0 to 1 for each of 3200 stars; got shape"):
        relearn(sky.background, sky.stars, FIELD, leave, seed=1)


def test_messages_say_what_was_expected(sky: Sky):
    with pytest.raises(BackgroundError, match="200 stars or more; got 0"):
        relearn(sky.background, sky.stars, FIELD, np.ones(len(sky.stars)), seed=1)
    with pytest.raises(BackgroundError, match="rounds must be 1 or more; got 0"):
        relearned(SEARCH, sky.found, sky.background, sky.stars, FIELD, seed=1, rounds=0)
