"""Laws of the refinement: exact scores, honest errors, members, rotations; goodness of fit; two streams."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from refinement_skies import CELLS, RIDGE, ModelSky, ModelStream, colour_error, model_sky
from scipy.stats import kstest

from streams import Membership, StreamStars
from streams.likelihood.goodness import goodness_of_fit
from streams.likelihood.refinement import RefinedStream, refine, refine_in
from streams.likelihood.refinement_component import NAMES, index
from streams.likelihood.refinement_fit import free_parameters, started, turned
from streams.likelihood.refinement_mixture import StreamMixture
from streams.likelihood.refinement_recipe import RefinementError, RefinementRecipe, RefinementStart
from streams.likelihood.refinement_sky import RefinementSky
from streams.likelihood.two_streams import split

LIMITS = (14.0, 20.2)
STREAM = ModelStream(120.0, curvature=0.01)
START = RefinementStart(0.63, 0.7, 0.25, ((3.3, 0.0), (-4.4, 0.0)), modulus=15.2)


def _prepared(sky: ModelSky) -> RefinementSky:
    light = sky.stars.photometry
    error = colour_error(light[:, 1]) if light.shape[1] else None
    return RefinementSky.of(
        sky.stars, CELLS, sky.log_background, colour_error=error, limits=LIMITS if light.shape[1] else None
    )


def _fit(seed: int, *streams: ModelStream, background: int = 4000, photometry: bool = True, **options):
    sky = model_sky(seed, background, streams, photometry)
    prepared = _prepared(sky)
    ridges = (RIDGE,) if photometry else ()
    return refine_in(START, prepared, ridges, RefinementRecipe(**options)), prepared, sky


def _f1(found: RefinedStream, sky: ModelSky) -> float:
    chosen, true = found.membership.members(), np.flatnonzero(sky.origin == 1)
    return 2 * len(np.intersect1d(chosen, true)) / (len(chosen) + len(true))


def _pulls(found: RefinedStream, one: ModelStream, covariance: np.ndarray | None = None) -> list[float]:
    """(truth - fit) / error of the track, motions, width, spreads, number of stars."""
    if covariance is not None:
        found = replace(found, covariance=covariance)
    s = np.array([-3.0, 0.0, 3.0])
    t = one.offset + one.curvature * s**2
    cosine, sine = np.cos(one.theta), np.sin(one.theta)
    along, across = found.density.frame(s * cosine + t * sine, s * sine - t * cosine)
    track, track_error = found.track(along)
    motion, motion_error = found.proper_motion(along)
    true = np.column_stack([a + b * s for a, b in one.proper_motion])
    pulls = [*((across - track) / track_error), *((true - motion) / motion_error).ravel()]
    single = {"log_width": one.width, "log_stars": one.stars,
              "log_spread1": one.spread[0], "log_spread2": one.spread[1]}  # fmt: skip
    pulls += [(np.log(value) - found.value(name)) / found.error(name) for name, value in single.items()]
    return pulls


def test_the_scores_are_the_derivatives_of_the_likelihood():
    sky = _prepared(model_sky(1, 1500, (STREAM,)))
    stream, p = started(replace(START, stars=80.0), RIDGE, RefinementRecipe())
    p[1:3], p[4:6], p[8], p[11], p[index("modulus_slope")] = (0.01, 0.005), (-4.0, 4.5), 0.01, -0.01, 0.01
    near = stream.near(p, sky, 4.5, 1.5, 1.0)
    mixture = StreamMixture(sky.take(near), (stream,), np.ones((1, len(NAMES)), bool), RefinementRecipe())
    gradient = mixture.evaluate(p[None]).gradient
    for at, name in enumerate(NAMES):
        if name.startswith("modulus"):
            continue  # its derivative is itself a difference, over a ridge's node
        sides = [mixture.evaluate((p + step * np.eye(len(p))[at])[None]).log_ratio for step in (1e-5, -1e-5)]
        assert gradient[at] == pytest.approx((sides[0] - sides[1]) / 2e-5, rel=2e-3, abs=0.05), name


def test_a_turned_frame_is_the_same_stream():
    """Everywhere for constant motions; on the track also for motions that change along it."""
    sky = _prepared(model_sky(2, 1500, (STREAM,)))
    stream, p = started(START, RIDGE, RefinementRecipe())
    p[1] = 0.06
    assert _difference_of_turned(stream, p, sky) < 1e-9
    p[7], p[10], p[index("modulus_slope")] = 0.1, -0.05, 0.02
    s, _ = stream.frame(sky.x, sky.y)
    t = p[0] + p[1] * s
    cosine, sine = np.cos(stream.theta), np.sin(stream.theta)
    on_track = replace(sky, x=s * cosine + t * sine, y=s * sine - t * cosine)
    assert _difference_of_turned(stream, p, on_track) < 1e-9
    assert _difference_of_turned(stream, p, on_track, forget_angle=True) > 1.0


def _difference_of_turned(stream, p, sky, forget_angle: bool = False) -> float:
    other, q = turned(stream, p)
    if forget_angle:
        other = replace(other, theta=stream.theta)
    one, two = stream.evaluate(p, sky)[0], other.evaluate(q, sky)[0]
    near = one > one.max() - 20
    return float(np.abs(one[near] - two[near]).max())


@pytest.mark.parametrize("stars", [40.0, 300.0])
def test_a_stream_and_its_members_are_recovered(stars):
    found, _, sky = _fit(3, replace(STREAM, stars=stars))
    assert _f1(found, sky) > 0.85
    assert abs(found.stars[0] - (sky.origin == 1).sum()) < 3 * np.sqrt(stars)
    assert abs(found.modulus[0] - STREAM.modulus) < 4 * found.modulus[1]
    assert found.log_likelihood_ratio > 50


def test_where_there_is_no_stream_little_is_found():
    """Negative control."""
    found, _, _ = _fit(4)
    assert found.log_likelihood_ratio < 25 and np.isfinite(found.probability).all()


def test_errors_cover_and_those_of_certain_members_do_not():
    """68 % intervals cover 60 to 76 %; weights taken as known (control) promise too much."""
    honest, certain = [], []
    one = ModelStream(70.0, curvature=0.01)
    for seed in range(20):
        found, sky, _ = _fit(100 + seed, one, background=6000, photometry=False, iterations=6)
        honest += _pulls(found, one)
        certain += _pulls(found, one, _certain(found, sky))
    honest, certain = (np.abs(np.array(v)[np.isfinite(v)]) < 1 for v in (honest, certain))
    assert 0.60 < honest.mean() < 0.76
    assert certain.mean() < honest.mean() - 0.03


def _certain(found: RefinedStream, sky: RefinementSky) -> np.ndarray:
    """Covariance if the memberships were known: the complete-data information."""
    free = np.isfinite(np.diag(found.covariance))
    near = sky.take(np.isin(sky.rows, found.rows))
    scores = found.density.evaluate(found.parameters, near)[1]
    scores[:, index("log_stars")] = 1.0
    information = (found.probability[:, None] * scores[:, free]).T @ scores[:, free]
    covariance = np.full_like(found.covariance, np.nan)
    covariance[np.ix_(free, free)] = np.linalg.inv(information)
    return covariance


def test_the_order_of_the_stars_does_not_matter():
    sky = model_sky(5, 3000, (STREAM,), photometry=False)
    order = np.random.default_rng(5).permutation(len(sky.origin))
    s = sky.stars
    shuffled = StreamStars(
        s.source_id[order], s.position[order], s.proper_motion[order], s.proper_motion_error[order],
        s.photometry[order],
    )  # fmt: skip
    one = refine(START, s, CELLS, sky.log_background)
    two = refine(START, shuffled, CELLS, sky.log_background[order])
    finite = np.isfinite(one.parameters)
    np.testing.assert_allclose(one.parameters[finite], two.parameters[finite], atol=2e-2)
    assert set(one.membership.members()) == set(order[two.membership.members()])


def test_ends_are_kept_where_the_stream_ends_and_left_out_where_it_does_not():
    short, _, _ = _fit(6, replace(STREAM, extent=(-7.0, 1.0)), optional=("ends",))
    assert short.ends[1] == pytest.approx(1.0, abs=0.7)
    whole, _, _ = _fit(6, STREAM, optional=("ends",))
    assert whole.ends == (-np.inf, np.inf)


def test_it_speaks_the_language_of_the_chain():
    found, _, _ = _fit(7, STREAM)
    membership = found.membership
    assert isinstance(membership, Membership)
    assert membership.stars == pytest.approx(found.stars[0], rel=0.1)
    s = np.array([-2.0, 3.0])
    np.testing.assert_allclose(membership.model.mean_proper_motion(s), found.proper_motion(s)[0])
    np.testing.assert_allclose(membership.model.across(*membership.model.points(s)), 0.0, atol=1e-12)


def test_the_goodness_of_good_fits_is_uniform():
    """p-values of every feature and of the worst one, over thirty fits of about forty and 120 stars."""
    values = []
    for seed in range(30):
        stream = replace(STREAM, stars=40.0 if seed % 2 else 120.0)
        result = goodness_of_fit(*_fit(1000 + seed, stream, background=2000, iterations=3)[:2])
        assert "look like the fitted" in result.sentence or result.p_value <= 0.01
        values.append([*(p for _, p in result.p_values), result.p_value])
    for column in np.array(values).T:
        assert kstest(column, "uniform").pvalue > 0.001
    worst = np.array(values)[:, :-1].min(axis=1)
    assert kstest(worst, "uniform").pvalue < 1e-6  # control: the worst of six, not corrected


def test_a_bad_fit_is_called_bad():
    """A profile of two widths, and a stream that covers half the patch."""
    for one, feature in (
        (ModelStream(300.0, double=0.8), "across"),
        (ModelStream(300.0, extent=(-7.0, 0.0)), "along"),
    ):
        result = goodness_of_fit(*_fit(8, one)[:2])
        assert dict(result.p_values)[feature] < 1e-3 and "do not look" in result.sentence


def test_two_streams_are_told_apart_and_one_is_not_split():
    first = ModelStream(150.0)
    crossing = ModelStream(80.0, theta=1.7, offset=-0.5)
    elsewhere = ModelStream(80.0, proper_motion=((4.6, 0.1), (-2.6, -0.06)))
    for second in (crossing, elsewhere):
        found, sky, model = _fit(9, first, second, background=2000, iterations=6)
        result = split(found, sky)
        assert len(result.streams) == 2
        for stream, label in zip(_matched(result.two, second), (1, 2), strict=True):
            true = np.flatnonzero(model.origin == label)
            members = stream.membership.members()
            assert len(np.intersect1d(true, members)) > 0.6 * max(len(true), len(members))
    for seed in range(2):
        found, sky, _ = _fit(20 + seed, first, background=2000, iterations=3)
        assert len(split(found, sky).streams) == 1


def _matched(two: tuple[RefinedStream, RefinedStream], second: ModelStream) -> list[RefinedStream]:
    """Sorted so that the one more like `second` comes last."""
    motion = np.array([a for a, _ in second.proper_motion])

    def unlike(one: RefinedStream) -> float:
        turn = abs(np.sin(one.density.theta - second.theta))
        return float(turn + np.abs(one.parameters[[6, 9]] - motion).max())

    return sorted(two, key=unlike, reverse=True)


def test_impossible_requests_are_refused():
    sky = model_sky(10, 500)
    with pytest.raises(RefinementError, match="modulus"):
        refine(replace(START, modulus=None), sky.stars, CELLS, sky.log_background, (RIDGE,))
    with pytest.raises(RefinementError, match="log_background needs one entry per star"):
        refine(START, sky.stars, CELLS, sky.log_background[:-1])
    with pytest.raises(RefinementError, match="0 of 500"):
        refine(replace(START, proper_motion=((90.0, 0.0), (90.0, 0.0))), sky.stars, CELLS, sky.log_background)
    with pytest.raises(RefinementError, match="positive width"):
        replace(START, width=0.0)
    with pytest.raises(RefinementError, match="wings"):
        RefinementRecipe(optional=("wings",))


def test_the_free_parameters_follow_the_ridge():
    assert free_parameters(RIDGE).sum() == free_parameters(None).sum() + 1


def test_the_start_may_be_off_by_the_steps_of_a_search():
    """Half a step of angle, offset, motions, gradients, distance and a wrong width: the same maximum."""
    one, rng, lost = replace(STREAM, stars=60.0), np.random.default_rng(11), []
    exact = RefinementStart(one.theta, one.offset, one.width, one.proper_motion, modulus=one.modulus)
    for seed in range(5):
        sky = _prepared(model_sky(300 + seed, 2000, (one,)))
        side = rng.choice([-1, 1], 7)
        motion = tuple(
            (a + 0.25 * side[k], b + 0.075 * side[k + 2]) for k, (a, b) in enumerate(one.proper_motion)
        )
        off = RefinementStart(
            one.theta + np.radians(1.5) * side[4], one.offset + 0.12 * side[5],
            float(rng.choice([0.125, 0.25, 0.5])), motion, modulus=one.modulus + 0.25 * side[6],
        )  # fmt: skip
        there = [refine_in(start, sky, (RIDGE,)).log_likelihood_ratio for start in (exact, off)]
        lost.append(there[0] - there[1])
    assert np.median(lost) < 0.1 and max(lost) < 3.0


@pytest.mark.parametrize("photometry", [True, False])
@pytest.mark.filterwarnings("error")
def test_a_false_start_ends_in_finite_numbers(photometry):
    """Anywhere in a sky without streams, off the edge included."""
    rng, sky = np.random.default_rng(12), _prepared(model_sky(13, 4000, photometry=photometry))
    optional, finite = ("ends", "motion_curvature", "distance_gradient"), 0
    for turn in range(8):
        motion = tuple((rng.uniform(-8, 8), rng.choice([-0.15, 0.0, 0.15])) for _ in range(2))
        start = RefinementStart(
            rng.uniform(0, np.pi), rng.uniform(-7, 7), 0.25, motion, modulus=rng.uniform(13.5, 17.5)
        )
        recipe = RefinementRecipe(optional=optional[: turn % 4])
        try:
            found = refine_in(start, sky, (RIDGE,) * photometry, recipe)
        except RefinementError:
            continue
        numbers = np.delete(found.parameters, [index("start"), index("end")])
        assert np.isfinite(numbers).all() and np.isfinite(found.probability).all()
        assert found.log_likelihood_ratio < 30 and found.stars[0] < 100
        assert 0 <= goodness_of_fit(found, sky).p_value <= 1
        finite += 1
    assert finite > 2


def test_the_edge_of_the_footprint_is_no_fault_of_the_stream():
    """A stream whose profile the footprint cuts lengthwise fits its own model across."""
    one = replace(STREAM, curvature=0.0, offset=5.6, width=0.3, proper_motion=((3.0, 0.0), (-4.0, 0.0)))
    start = replace(START, theta=one.theta, offset=5.5, proper_motion=one.proper_motion)
    across = []
    for seed in range(6):
        sky = _prepared(model_sky(400 + seed, 1500, (one,)))
        found = refine_in(start, sky, (RIDGE,), RefinementRecipe(iterations=3))
        across.append(dict(goodness_of_fit(found, sky).p_values)["across"])
    assert kstest(across, "uniform").pvalue > 0.01
