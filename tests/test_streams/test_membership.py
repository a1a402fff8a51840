"""Laws of the membership fit and of the kernel density under it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from stream_skies import PLANE, Injected, make_sky

from streams import KernelDensity, MembershipRecipe, StreamModel, fit_membership

STREAM = Injected(
    150, np.radians(40.0), 1.0, width=0.2, proper_motion=((4.0, 0.08), (-3.0, -0.05)), spread=0.3, colour=0.65
)
# The line finder knows the line to a step or two and the motion to about 1 mas/yr.
START = StreamModel(np.radians(42.0), (1.15, 0.0, 0.0), 0.25, ((4.6, 0.0), (-3.5, 0.0)), 1.0, 0.1)


def _fit(sky, start=START, photometry=True, **options):
    stars = sky.stars
    if not photometry:
        stars = replace(stars, photometry=stars.photometry[:, :0], photometry_names=())
    return fit_membership(stars, PLANE, start, MembershipRecipe(), **options)


def _f1(membership, sky, label=1):
    chosen, true = set(membership.members().tolist()), set(np.flatnonzero(sky.origin == label).tolist())
    return 2 * len(chosen & true) / (len(chosen) + len(true))


@pytest.mark.parametrize("photometry", [True, False], ids=["with colours", "without colours"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_an_injected_stream_is_recovered(seed, photometry):
    sky = make_sky(seed, 4000, (STREAM,))
    result = _fit(sky, photometry=photometry)
    model = result.model
    s = np.linspace(-4.0, 4.0, 9)
    x, y = s * np.cos(STREAM.theta) + np.sin(STREAM.theta), s * np.sin(STREAM.theta) - np.cos(STREAM.theta)
    assert np.abs(model.across(x, y)).max() < 0.2
    assert model.width == pytest.approx(STREAM.width, rel=0.25)
    along = model.along(x, y)
    motion = np.column_stack([a + b * s for a, b in STREAM.proper_motion])
    assert np.abs(model.mean_proper_motion(along) - motion).max() < 0.25
    assert [b for _, b in model.proper_motion] == pytest.approx([0.08, -0.05], abs=0.04)
    assert model.spread == pytest.approx(STREAM.spread, abs=0.12)
    assert abs(result.stars - STREAM.stars) < 3 * np.sqrt(STREAM.stars)
    assert _f1(result, sky) > (0.85 if photometry else 0.8)


def test_colours_improve_the_members():
    skies = [make_sky(seed, 8000, (STREAM,)) for seed in range(3)]
    with_, without = (np.mean([_f1(_fit(sky, photometry=p), sky) for sky in skies]) for p in (True, False))
    assert with_ > without


def test_a_sky_without_the_stream_has_no_such_members():
    """Negative control: the fit finds at most a chance alignment where there is nothing."""
    for seed in range(3):
        result = _fit(make_sky(seed, 4000))
        assert result.stars < STREAM.stars / 3
        assert np.isfinite(result.probability).all()


def test_spread_is_what_the_errors_do_not_explain():
    """Heteroscedastic errors up to twice the spread leave it unbiased; ignoring them (control) does not."""
    sky = make_sky(5, 2000, (replace(STREAM, stars=400),), error=0.25)
    blind = replace(sky.stars, proper_motion_error=np.zeros_like(sky.stars.proper_motion))
    assert _fit(sky).model.spread == pytest.approx(STREAM.spread, abs=0.1)
    assert fit_membership(blind, PLANE, START, MembershipRecipe()).model.spread > STREAM.spread + 0.1


def test_probabilities_are_calibrated():
    """Of the stars with p around 0.2, 0.5 or 0.8 about that share are stream stars."""
    probability, true = [], []
    for seed in range(6):
        sky = make_sky(seed, 6000, (STREAM,))
        result = _fit(sky, photometry=False)
        probability.append(result.probability)
        true.append(sky.origin[result.rows] == 1)
    p, hit = np.concatenate(probability), np.concatenate(true)
    for low, high in ((0.05, 0.35), (0.35, 0.65), (0.65, 0.95), (0.95, 1.0)):
        inside = (p >= low) & (p < high)
        expected = p[inside].mean()
        assert hit[inside].mean() == pytest.approx(expected, abs=0.05 + 4 * np.sqrt(0.25 / inside.sum()))


def test_the_order_of_the_stars_does_not_matter():
    sky = make_sky(7, 2000, (STREAM,))
    order = np.random.default_rng(7).permutation(len(sky.stars))
    s = sky.stars
    shuffled = replace(
        s, source_id=s.source_id[order], position=s.position[order], proper_motion=s.proper_motion[order],
        proper_motion_error=s.proper_motion_error[order], photometry=s.photometry[order],
    )  # fmt: skip
    one, two = _fit(sky), fit_membership(shuffled, PLANE, START, MembershipRecipe())
    back = np.argsort(order[two.rows])
    assert np.array_equal(one.rows, order[two.rows][back])
    assert np.allclose(one.probability, two.probability[back], atol=1e-6)


def test_only_the_stars_it_may_use_are_weighed():
    sky = make_sky(8, 2000, (STREAM,))
    use = np.arange(len(sky.stars)) % 3 > 0
    result = _fit(sky, use=use)
    assert use[result.rows].all()
    assert result.stars == pytest.approx(100, abs=30)


def test_stars_without_a_colour_are_weighed_by_the_rest():
    """A missing colour (NaN) says nothing, and spoils neither its star nor the others."""
    sky = make_sky(9, 4000, (STREAM,))
    photometry = sky.stars.photometry.copy()
    missing = np.random.default_rng(9).random(len(photometry)) < 0.1
    photometry[missing, 0] = np.nan
    result = fit_membership(replace(sky.stars, photometry=photometry), PLANE, START, MembershipRecipe())
    assert np.isfinite(result.probability).all()
    assert _f1(result, sky) > 0.8
    found = missing[result.members()] & (sky.origin[result.members()] == 1)
    assert found.sum() > 0.6 * (missing & (sky.origin == 1)).sum()


@pytest.mark.parametrize("background", [1, 3, 10, 40, 200])
@pytest.mark.filterwarnings("error")
def test_everything_stays_finite_where_there_is_next_to_nothing(background):
    for seed in range(10):
        result = _fit(make_sky(seed, background))
        assert len(result.rows) == len(result.probability)
        assert np.isfinite(result.probability).all() and np.isfinite(result.model.width)
        assert result.stars <= background


@given(st.floats(0, np.pi), st.tuples(*[st.floats(-0.5, 0.5)] * 3), st.floats(-5, 5))
def test_points_of_the_track_lie_on_it(theta, track, s):
    model = StreamModel(theta, track, 0.2, ((0.0, 0.0), (0.0, 0.0)), 0.1, 0.1)
    x, y = model.points(np.array([s]))
    assert model.along(x, y)[0] == pytest.approx(s, abs=1e-9)
    assert model.across(x, y)[0] == pytest.approx(0.0, abs=1e-9)


def _brute_force(points, weight):
    """Leave-one-out Gaussian kernel density with Scott's bandwidth, pair by pair."""
    count, dimension = points.shape
    low, high = np.percentile(points, [16, 84], axis=0)
    bandwidth = (high - low) / 2 * count ** (-1.0 / (dimension + 4))
    kernel = norm.pdf((points[:, None] - points[None]) / bandwidth).prod(axis=2) / bandwidth.prod()
    np.fill_diagonal(kernel, 0.0)
    return kernel @ weight / (weight.sum() - weight)


@pytest.mark.parametrize("dimension", [1, 2])
def test_the_grid_agrees_with_pairs_of_stars(dimension):
    rng = np.random.default_rng(dimension)
    points, weight = rng.normal(size=(1500, dimension)), rng.random(1500)
    exact = _brute_force(points, weight)
    ratio = np.exp(KernelDensity.of(points).log_density(weight)) / exact
    common = exact > 0.1 * exact.max()
    assert np.median(np.abs(ratio[common] - 1)) < 0.03
    assert np.quantile(np.abs(ratio[common] - 1), 0.95) < 0.08
    kept_in = exact + weight / weight.sum() * norm.pdf(0) ** dimension
    assert np.median(np.abs(ratio[common] * exact[common] / kept_in[common] - 1)) > 0.0


@pytest.mark.parametrize("dimension", [1, 2])
def test_the_density_integrates_to_one(dimension):
    rng = np.random.default_rng(dimension)
    stars = rng.normal(size=(400, dimension))
    axis = np.linspace(-5.0, 5.0, 71 if dimension == 2 else 501)
    lattice = np.stack(np.meshgrid(*[axis] * dimension), axis=-1).reshape(-1, dimension)
    weight = np.concatenate([np.ones(len(stars)), np.zeros(len(lattice))])
    density = np.exp(KernelDensity.of(np.concatenate([stars, lattice])).log_density(weight))[len(stars) :]
    assert density.sum() * (axis[1] - axis[0]) ** dimension == pytest.approx(1.0, abs=0.03)


def test_a_star_never_counts_for_itself():
    """Doubling the weight of one star changes its neighbours' density and leaves its own shape alone."""
    rng = np.random.default_rng(3)
    points = np.concatenate([rng.normal(size=(300, 1)), [[6.0]]])
    density = KernelDensity.of(points)
    weight = np.ones(301)
    alone = density.log_density(weight)[-1]
    weight[-1] = 100.0
    assert density.log_density(weight)[-1] < -5 and alone < -5
    near = np.append(np.argmin(np.abs(points[:-1, 0] - 1.0)), -1)
    points[-1] = points[near[0]] + 1e-6
    density = KernelDensity.of(points)
    one, two = density.log_density(np.ones(301)), density.log_density(weight)
    assert two[near[0]] > one[near[0]] + 0.5, "a neighbour does feel it"
    assert two[-1] == pytest.approx(one[-1], abs=0.35), "the star itself does not"


@given(st.integers(0, 100))
@settings(max_examples=20)
def test_density_does_not_depend_on_the_order_or_the_scale_of_the_weights(seed):
    rng = np.random.default_rng(seed)
    points, weight = rng.normal(size=(60, 2)), rng.random(60)
    order = rng.permutation(60)
    plain = KernelDensity.of(points).log_density(weight)
    assert np.allclose(KernelDensity.of(points[order]).log_density(weight[order]), plain[order])
    assert np.allclose(KernelDensity.of(points).log_density(7.0 * weight), plain)


def test_without_photometry_the_density_is_one():
    assert np.array_equal(KernelDensity.of(np.empty((5, 0))).log_density(np.ones(5)), np.zeros(5))
