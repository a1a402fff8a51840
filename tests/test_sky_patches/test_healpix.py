"""Pixels of stars and circles: nested, inclusive, in agreement with Gaia's own numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.coordinates import angular_separation
from hypothesis import given, settings
from hypothesis import strategies as st

from sky_patches.errors import SkyPatchesError
from sky_patches.healpix import (
    cone_core_29,
    cone_pixels,
    cone_ranges_29,
    healpix_29,
    pixel_radius,
    radec_to_pixel,
    source_id_to_pixel,
)
from sky_patches.loader import read_stars

longitudes = st.floats(0, 359.999)
latitudes = st.floats(-90, 90)


def random_sky(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.uniform(0, 360, n), np.degrees(np.arcsin(rng.uniform(-1, 1, n)))


@pytest.mark.real_data
def test_source_id_gives_the_archives_pixel(shared_data: Callable[[str], Path]) -> None:
    path = shared_data("healpix5_pixels_gaia_dr2.csv.gz")
    stars = read_stars(path, keep=["gaia_healpix_5"]).stars
    expected = np.asarray(stars["gaia_healpix_5"])
    assert len(stars) == 32_691
    assert np.array_equal(source_id_to_pixel(np.asarray(stars["source_id"]), 5), expected)
    # The identifier was given before the final astrometry: a few stars have crossed an edge since.
    by_position = radec_to_pixel(np.asarray(stars["ra"]), np.asarray(stars["dec"]), 5)
    assert np.count_nonzero(by_position != expected) < 10


@given(st.lists(st.integers(0, 2**63 - 1), min_size=1), st.integers(0, 11))
def test_coarser_pixels_of_an_identifier_are_parents(ids: list[int], order: int) -> None:
    array = np.array(ids, dtype=np.int64)
    assert np.array_equal(source_id_to_pixel(array, order), source_id_to_pixel(array, order + 1) // 4)


def test_positions_and_identifiers_agree() -> None:
    ra, dec = random_sky(1000, seed=1)
    ids = (radec_to_pixel(ra, dec, 12) << 35) + 12345
    for order in range(13):
        assert np.array_equal(source_id_to_pixel(ids, order), radec_to_pixel(ra, dec, order))


@given(longitudes, latitudes, st.integers(0, 28))
def test_pixels_are_nested(ra: float, dec: float, order: int) -> None:
    finest = healpix_29(np.array([ra]), np.array([dec]))
    assert radec_to_pixel(np.array([ra]), np.array([dec]), order) == finest >> (2 * (29 - order))


@given(longitudes, latitudes, st.floats(0, 40), st.integers(0, 6))
def test_a_cone_misses_no_star(ra: float, dec: float, radius: float, order: int) -> None:
    lon, lat = random_sky(300, seed=2)
    inside = (
        np.degrees(angular_separation(*np.radians([ra, dec]), np.radians(lon), np.radians(lat))) <= radius
    )
    assert set(radec_to_pixel(lon[inside], lat[inside], order)) <= set(cone_pixels(ra, dec, radius, order))


@settings(max_examples=30)
@given(longitudes, latitudes, st.sampled_from([0.0, 1e-5, 0.01, 0.7, 15.0, 89.0, 179.0, 180.0]))
def test_ranges_cover_the_cone_and_little_else(ra: float, dec: float, radius: float) -> None:
    ranges = cone_ranges_29(ra, dec, radius)
    assert np.all(ranges[:, 0] < ranges[:, 1])
    assert np.all(ranges[1:, 0] > ranges[:-1, 1])
    rng = np.random.default_rng(3)
    lat = np.clip(dec + radius * rng.uniform(-0.6, 0.6, 50), -90, 90)
    lon = ra + radius * rng.uniform(-0.6, 0.6, 50)
    near = np.degrees(angular_separation(*np.radians([ra, dec]), np.radians(lon), np.radians(lat))) <= radius
    keys = healpix_29(lon[near], lat[near])
    index = np.searchsorted(ranges[:, 0], keys, side="right") - 1
    assert np.all((index >= 0) & (keys < ranges[index, 1]))
    if radius >= 0.01:
        area = (ranges[:, 1] - ranges[:, 0]).sum() / (12 * 4**29)
        assert area <= 2.5 * (1 - np.cos(np.radians(radius))) / 2 + 1e-12


@settings(max_examples=30)
@given(longitudes, latitudes, st.sampled_from([0.0, 1e-5, 0.7, 15.0, 89.0, 179.0, 180.0]))
def test_the_core_of_a_cone_is_inside_it_and_most_of_it(ra: float, dec: float, radius: float) -> None:
    core = cone_core_29(ra, dec, radius)
    rng = np.random.default_rng(6)
    lat = np.clip(dec + radius * rng.uniform(-1.2, 1.2, 400), -90, 90)
    lon = ra + radius * rng.uniform(-1.2, 1.2, 400)
    distance = np.degrees(angular_separation(*np.radians([ra, dec]), np.radians(lon), np.radians(lat)))
    keys = healpix_29(lon, lat)
    index = np.searchsorted(core[:, 0], keys, side="right") - 1
    inside = (index >= 0) & (keys < core[index, 1]) if len(core) else np.zeros(400, dtype=bool)
    assert np.all(distance[inside] <= radius)
    if 1e-5 < radius <= 15.0:
        area = (core[:, 1] - core[:, 0]).sum() / (12 * 4**29)
        assert area >= 0.7 * (1 - np.cos(np.radians(radius))) / 2


@pytest.mark.parametrize("radius", [120.0, 150.0, 179.0])
@pytest.mark.parametrize("order", [2, 4])
def test_circles_around_the_corner_of_four_pixels_are_complete(radius: float, order: int) -> None:
    """The centre (0, 0) is where a nested query of healpy itself misses pixels."""
    lon, lat = random_sky(50_000, seed=4)
    inside = np.degrees(angular_separation(0.0, 0.0, np.radians(lon), np.radians(lat))) <= radius
    assert set(radec_to_pixel(lon[inside], lat[inside], order)) <= set(cone_pixels(0.0, 0.0, radius, order))


def test_a_full_circle_is_the_whole_sky() -> None:
    assert np.array_equal(cone_pixels(10.0, 20.0, 180.0, 2), np.arange(192))
    assert cone_ranges_29(10.0, 20.0, 200.0).tolist() == [[0, 12 << 58]]


def test_pixels_shrink_by_two_from_order_to_order() -> None:
    assert pixel_radius(9) / pixel_radius(10) == pytest.approx(2.0, rel=0.01)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: source_id_to_pixel(np.array([1]), 13), "orders? 0 to 12, asked for 13"),
        (lambda: source_id_to_pixel(np.array([-1]), 5), "negative, found -1"),
        (lambda: radec_to_pixel(np.array([0.0]), np.array([0.0]), 30), "0 to 29, found 30"),
        (lambda: radec_to_pixel(np.array([0.0]), np.array([91.0]), 3), "dec=91.0"),
        (lambda: radec_to_pixel(np.array([np.nan]), np.array([1.0]), 3), "ra=nan"),
        (lambda: cone_pixels(0.0, 95.0, 1.0, 3), "dec=95.0"),
        (lambda: cone_pixels(0.0, 5.0, -1.0, 3), "found -1.0 deg"),
        (lambda: cone_pixels(0.0, 5.0, float("nan"), 3), "found nan deg"),
    ],
)
def test_impossible_questions_are_refused(call: Callable[[], object], message: str) -> None:
    with pytest.raises(SkyPatchesError, match=message):
        call()
