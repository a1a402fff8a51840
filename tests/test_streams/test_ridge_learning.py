"""A ridge learned from members: the one they were drawn from, whatever part of it each list could hold."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from streams.crossmatch import galstreams_streams, streamfinder_streams
from streams.ridge_files import load_ridges, write_ridge
from streams.ridge_learning import learn_ridge
from streams.ridge_luminosity import luminosity_function
from streams.ridges import INTRINSIC_COLOUR_SPREAD, Ridge, RidgeError, gaia_colour_error, old_ridges

LIMITS = (12.0, 20.0)
# Between the columns of the built-in table, so that no start is the answer.
RIDGE = old_ridges((-1.7,))[0]

Members = tuple[np.ndarray, np.ndarray, np.ndarray]


def _members(
    stars: int, modulus: float, seed: int, limits: tuple[float, float] = LIMITS, ridge: Ridge = RIDGE
) -> Members:
    """Colours, magnitudes and moduli of one stream's members, as Gaia sees them."""
    rng = np.random.default_rng(seed)
    magnitude = np.linspace(*limits, 4001)
    density = np.exp(ridge.log_luminosity_density(magnitude, modulus, limits))
    magnitude = np.interp(rng.random(stars), np.cumsum(density) / density.sum(), magnitude)
    true = ridge.colour(magnitude - modulus)
    error = np.hypot(gaia_colour_error(magnitude, true), INTRINSIC_COLOUR_SPREAD)
    return rng.normal(true, error), magnitude, np.full(stars, modulus)


def _together(*members: Members) -> Members:
    colour, magnitude, modulus = (np.concatenate(columns) for columns in zip(*members, strict=True))
    return colour, magnitude, modulus


def _streams(seed: int) -> Members:
    """Five streams from 4 to 25 kpc."""
    moduli = (13.0, 14.0, 15.0, 16.0, 17.0)
    return _together(*(_members(600, modulus, 10 * seed + i) for i, modulus in enumerate(moduli)))


def _off(found: Ridge, low: float, high: float) -> np.ndarray:
    """Colours learned less the true ones."""
    at = np.arange(low, high, 0.1)
    return found.colour(at) - RIDGE.colour(at)


def test_members_give_back_the_ridge_they_were_drawn_from():
    found = learn_ridge(*_streams(1), limits=LIMITS)
    assert found.absolute[0] < 0.5 and found.absolute[-1] > 6.0
    assert np.sqrt(np.mean(_off(found, 1.0, 6.0) ** 2)) < 0.015
    assert np.abs(_off(found, 1.0, 6.0)).max() < 0.05


def test_distances_wrong_by_a_magnitude_do_not():
    """The negative control."""
    colour, magnitude, modulus = _streams(1)
    found = learn_ridge(colour, magnitude, modulus + 1.0, limits=LIMITS)
    assert np.sqrt(np.mean(_off(found, 1.0, 5.0) ** 2)) > 0.06


def test_horizontal_branch_and_blue_stragglers_do_not_pull_it():
    rng = np.random.default_rng(5)
    colour, magnitude, modulus = _streams(2)
    branch = (rng.normal(0.1, 0.15, 150), rng.normal(0.6, 0.1, 150) + 15.0, np.full(150, 15.0))
    stragglers = (rng.normal(0.3, 0.1, 80), rng.uniform(1.8, 3.4, 80) + 15.0, np.full(80, 15.0))
    field = (rng.uniform(0.3, 1.8, 300), rng.uniform(15.0, 20.0, 300), np.full(300, 15.0))
    found = learn_ridge(*_together((colour, magnitude, modulus), branch, stragglers, field), limits=LIMITS)
    assert np.sqrt(np.mean(_off(found, 1.0, 5.5) ** 2)) < 0.02
    assert np.abs(_off(found, 0.4, 0.9)).max() < 0.08


def test_the_luminosity_function_knows_what_each_list_could_not_hold():
    """Near lists without faint stars, far lists without dwarfs: counts alone would bend."""
    near, far = (12.0, 17.5), (15.0, 20.0)
    members = _together(_members(800, 13.5, 1, near), _members(2500, 16.5, 2, far), _members(800, 14.5, 3))
    limits = np.repeat(np.array([near, far, LIMITS]), [800, 2500, 800], axis=0)
    found = learn_ridge(*members, limits=limits)
    at = np.arange(1.0, 5.0, 0.2)

    def shape(ridge: Ridge) -> np.ndarray:
        values = np.interp(at, ridge.absolute, ridge.log_luminosity)
        return values - values.mean()

    assert np.sqrt(np.mean((shape(found) - shape(RIDGE)) ** 2)) < 0.15
    # The control: one pair of limits for all says that the far list saw no dwarfs because there are none.
    pooled = learn_ridge(*members, limits=LIMITS)
    wide = learn_ridge(*members, limits=(5.0, 25.0))
    assert np.sqrt(np.mean((shape(wide) - shape(RIDGE)) ** 2)) > 0.3
    assert np.sqrt(np.mean((shape(pooled) - shape(RIDGE)) ** 2)) > 0.15


def test_numbers_of_stars_of_a_list_do_not_matter_to_the_luminosity_function():
    """Only where in its window a star lies counts: ten times one list's stars leave the shape."""
    nodes = np.arange(0.0, 6.01, 0.1)
    rng = np.random.default_rng(3)

    def drawn(stars: int, low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
        # Stars per magnitude grow as exp(M_G).
        share = rng.random(stars)
        absolute = np.log(np.exp(low) + share * (np.exp(high) - np.exp(low)))
        return absolute, np.repeat([[low, high]], stars, axis=0)

    bright, faint, many = drawn(1000, 0.0, 4.0), drawn(1000, 2.0, 6.0), drawn(10000, 2.0, 6.0)
    for lists in ((bright, faint), (bright, many)):
        absolute, windows = (np.concatenate(values) for values in zip(*lists, strict=True))
        found = luminosity_function(absolute, windows, nodes)
        np.testing.assert_allclose(np.polyfit(nodes, found, 1)[0], 1.0, atol=0.07)
        assert np.std(found - nodes) < 0.2


def test_the_order_of_the_stars_does_not_matter():
    members = _streams(4)
    order = np.random.default_rng(0).permutation(len(members[0]))
    one = learn_ridge(*members, limits=LIMITS)
    two = learn_ridge(*(values[order] for values in members), limits=LIMITS)
    np.testing.assert_allclose(one.bp_rp, two.bp_rp, atol=1e-9)
    np.testing.assert_allclose(one.log_luminosity, two.log_luminosity, atol=1e-5)


def test_more_stars_learn_it_better():
    def error(stars: int) -> float:
        off = [_off(learn_ridge(*_members(stars, 14.0, seed), limits=LIMITS), 3.0, 5.4) for seed in range(4)]
        return float(np.sqrt(np.mean(np.square(off))))

    assert error(3200) < 0.7 * error(200)


def test_nothing_is_extrapolated_and_the_ridge_goes_into_a_file(tmp_path):
    members = _members(400, 16.0, 7)
    found = learn_ridge(*members, limits=LIMITS, name="far")
    absolute = members[1] - members[2]
    assert absolute.min() <= found.absolute[0] and found.absolute[-1] <= absolute.max()
    assert np.isnan(found.colour(absolute.max() + 0.01))
    (read,) = load_ridges([write_ridge(found, tmp_path / "far.ecsv")])
    np.testing.assert_array_equal(read.bp_rp, found.bp_rp)


def test_members_that_will_not_do_are_told_why():
    colour, magnitude, modulus = _members(300, 14.5, 1)
    with pytest.raises(RidgeError, match=r"at least 50 stars .* got"):
        learn_ridge(colour[:40], magnitude[:40], modulus[:40], limits=LIMITS)
    with pytest.raises(RidgeError, match="got 0 of 300"):
        learn_ridge(colour + 9.0, magnitude, modulus, limits=LIMITS)
    with pytest.raises(RidgeError, match="no stars"):
        learn_ridge(colour[:0], magnitude[:0], modulus[:0], limits=LIMITS)
    with pytest.raises(RidgeError, match="outside the limits"):
        learn_ridge(colour, magnitude, modulus, limits=(12.0, 19.0))
    with pytest.raises(RidgeError, match=r"\(20.0, 12.0\)"):
        learn_ridge(colour, magnitude, modulus, limits=(20.0, 12.0))
    with pytest.raises(RidgeError, match="finite"):
        learn_ridge(np.append(colour[1:], np.nan), magnitude, modulus, limits=LIMITS)
    with pytest.raises(RidgeError, match="at least zero"):
        learn_ridge(colour, magnitude, modulus, colour_error=np.full(300, -0.1), limits=LIMITS)
    # A near list that ends before the far one begins: how many stars of each to how many is not known.
    absolute = magnitude - modulus
    apart = (absolute < 3.3) | (absolute > 3.7)
    bounds = np.where(absolute[:, None] < 3.5, [[3.0, 17.8]], [[18.2, 20.0]])[apart]
    with pytest.raises(RidgeError, match="both sides"):
        learn_ridge(colour[apart], magnitude[apart], modulus[apart], limits=bounds)


@pytest.mark.real_data
def test_members_of_gd1_lie_where_metal_poor_stars_do(
    shared_data: Callable[[str], Path], tmp_path: Path
) -> None:
    """Real stars and real distances: between the built-in ridges of -2.2 and -1.5 from M_G = 3.5 to 5."""
    pytest.importorskip("galstreams", reason="galstreams is not installed")
    listed = {
        stream.name: stream for stream in streamfinder_streams(shared_data("streamfinder_gaiadr3.fits"))
    }
    track = {stream.name: stream for stream in galstreams_streams(tmp_path)}["GD-1"]
    stars = listed["GD-1"].members
    away = np.abs(stars.ra[:, None] - track.ra) + np.abs(stars.dec[:, None] - track.dec)
    modulus = 5.0 * np.log10(track.distance[np.argmin(away, axis=1)]) + 10.0
    good = np.isfinite(stars.bp_rp) & (stars.phot_g_mean_mag < 20.0)
    columns = (stars.bp_rp[good], stars.phot_g_mean_mag[good], modulus[good])
    found = learn_ridge(*columns, limits=(8.0, 20.0))
    poor, _, rich = old_ridges()
    at = np.arange(3.5, 5.0, 0.1)
    assert (np.abs(found.colour(at) - poor.colour(at)) < 0.05).all()
    assert (found.colour(at) < rich.colour(at) - 0.05).all()
