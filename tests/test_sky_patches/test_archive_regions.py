"""Regions: no star inside one lies in a pixel that is not asked for."""

from __future__ import annotations

import astropy.units as u
import healpy as hp
import numpy as np
import pytest
from astropy.coordinates import SkyCoord, angular_separation
from hypothesis import given, settings
from hypothesis import strategies as st

from sky_patches import SkyPatchesError
from sky_patches.archive import (
    AbsLatitude,
    Cone,
    Intersection,
    LonLatBox,
    Pixels,
    Polygon,
    RegionError,
    SkyPixel,
    StreamTrack,
    Union,
    WholeSky,
    parse_region,
    parse_regions,
)
from sky_patches.archive.stream_track import track_of

FRAMES = st.sampled_from(["icrs", "galactic", "fk5", "fk4", "supergalactic"])
LONS, LATS = st.floats(0, 360), st.floats(-90, 90)
ORDERS = st.integers(0, 7)


def covered(region, order, lon, lat, frame="icrs") -> np.ndarray:
    """Which positions of a frame lie in a pixel of the region."""
    there = SkyCoord(lon * u.deg, lat * u.deg, frame=frame).icrs
    pixels = hp.ang2pix(1 << order, there.ra.deg, there.dec.deg, nest=True, lonlat=True)
    return np.isin(pixels, region.pixels(order))


def around(lon, lat, radius, n=400, seed=0):
    """Points in a circle, many of them at its edge; degrees."""
    rng = np.random.default_rng(seed)
    distance = np.radians(radius) * np.where(rng.random(n) < 0.5, 1.0 - 1e-12, np.sqrt(rng.random(n)))
    there = SkyCoord(lon * u.deg, lat * u.deg).directional_offset_by(
        rng.uniform(0, 360, n) * u.deg, distance * u.rad
    )
    return there.ra.deg, there.dec.deg


@given(LONS, LATS, st.floats(1e-4, 180.0), FRAMES, ORDERS)
@settings(max_examples=60)
def test_a_cone_has_all_its_stars(lon, lat, radius, frame, order):
    there = around(lon, lat, radius)
    assert covered(Cone(lon, lat, radius, frame), order, *there, frame).all()


@given(LONS, st.floats(0.01, 359.9), LATS, LATS, FRAMES, ORDERS)
@settings(max_examples=60)
def test_a_box_has_all_its_stars(west, width, lat1, lat2, frame, order):
    low, high = sorted((lat1, lat2))
    if low == high:
        return
    rng = np.random.default_rng(1)
    lon = (west + width * np.r_[0.0, 1.0, rng.random(300)]) % 360.0
    lat = rng.choice(np.r_[low, high, rng.uniform(low, high, 50)], lon.size)
    box = LonLatBox(west, (west + width) % 360.0, low, high, frame)
    assert covered(box, order, lon, lat, frame).all()


@given(LONS, LATS, st.floats(0.05, 60.0), st.integers(3, 7), st.integers(0, 1000), FRAMES, ORDERS)
@settings(max_examples=60)
def test_a_polygon_has_all_its_stars(lon, lat, radius, corners, seed, frame, order):
    """Stars on the sides, and between the sides and an inner point of a star-shaped polygon."""
    rng = np.random.default_rng(seed)
    angle = np.linspace(0, 360, corners, endpoint=False)
    middle = SkyCoord(lon * u.deg, lat * u.deg)
    there = middle.directional_offset_by(angle * u.deg, radius * rng.uniform(0.4, 1.0, corners) * u.deg)
    polygon = Polygon(tuple(zip(there.ra.deg.tolist(), there.dec.deg.tolist(), strict=True)), frame)
    ends = there.cartesian.xyz.value.T
    centre = middle.cartesian.xyz.value
    share, depth = rng.random((400, 1)), np.where(rng.random((400, 1)) < 0.5, 1.0, rng.random((400, 1)))
    which = rng.integers(0, corners, 400)
    points = ends[which] * share + ends[(which + 1) % corners] * (1 - share)
    points = points * depth + centre * (1 - depth)
    lam, phi = np.degrees(np.arctan2(points[:, 1], points[:, 0])) % 360, points[:, 2]
    phi = np.degrees(np.arctan2(phi, np.hypot(points[:, 0], points[:, 1])))
    assert covered(polygon, order, lam, phi, frame).all()


@given(st.floats(0, 89.9), st.booleans(), ORDERS)
@settings(max_examples=30)
def test_latitude_limits_have_all_their_stars(limit, above, order):
    rng = np.random.default_rng(2)
    height = rng.uniform(limit, 90, 300) if above else rng.uniform(0, limit, 300)
    lat = np.r_[limit, height] * rng.choice([-1, 1], 301)
    region = AbsLatitude(above=limit) if above else AbsLatitude(below=limit)
    assert covered(region, order, rng.uniform(0, 360, 301), lat, "galactic").all()


@pytest.mark.parametrize(
    ("region", "square_degrees"),
    [
        (Cone(150, 30, 10), 313.4),
        (Cone(0, 90, 5, "galactic"), 78.5),
        (LonLatBox(350, 10, -10, 10), 398.0),
        (AbsLatitude(above=60.0), 5526.7),
        (Polygon(((0, 0), (90, 0), (0, 90))), 5156.6),
    ],
)
def test_not_many_more_pixels_than_needed_are_asked_for(region, square_degrees):
    """Negative control of the tests above: a region of the whole sky would pass them."""
    area = region.pixels(8).size * hp.nside2pixarea(1 << 8, degrees=True)
    assert square_degrees < area < 1.1 * square_degrees


def test_a_polygon_in_either_sense_is_the_small_one():
    corners = ((150.0, 20.0), (160.0, 20.0), (155.0, 30.0))
    there, back = Polygon(corners), Polygon(corners[::-1])
    assert there.pixels(5).tolist() == back.pixels(5).tolist()
    assert not covered(there, 5, np.array([335.0]), np.array([-23.0])).any()


def test_a_stream_has_the_stars_along_its_track():
    pytest.importorskip("galstreams")
    region = StreamTrack("GD-1-I21", 2.0)
    ra, dec = track_of("GD-1-I21")
    for lon, lat in zip(ra[::500], dec[::500], strict=True):
        assert covered(region, 6, *around(lon, lat, 2.0, n=50)).all()
    lon, lat = hp.pix2ang(64, region.pixels(6), nest=True, lonlat=True)
    track = np.radians(ra), np.radians(dec)
    away = [
        np.degrees(angular_separation(np.radians(x), np.radians(y), *track)).min()
        for x, y in zip(lon, lat, strict=True)
    ]
    assert max(away) < 2.0 + 1.5


@given(st.integers(0, 5), st.integers(0, 11), ORDERS)
def test_pixels_are_found_at_every_order(order, base, other):
    first = base << (2 * order)
    found = Pixels(order, (first,)).pixels(other)
    spans = [SkyPixel(other, int(pixel)).span for pixel in found]
    low, high = SkyPixel(order, first).span
    assert spans[0][0] <= low and spans[-1][1] >= high
    assert other < order or (spans[0][0], spans[-1][1]) == (low, high)


def test_regions_are_joined_and_cut():
    one, two = Cone(150, 30, 5), Cone(155, 30, 5)
    both, either = Intersection((one, two)).pixels(5), Union((one, two)).pixels(5)
    assert set(both) == set(one.pixels(5)) & set(two.pixels(5))
    assert set(either) == set(one.pixels(5)) | set(two.pixels(5))
    assert WholeSky().pixels(2).tolist() == list(range(192))


@pytest.mark.parametrize(
    ("text", "region"),
    [
        ("cone:150,30,10", Cone(150, 30, 10)),
        ("cone:galactic:120,40,10", Cone(120, 40, 10, "galactic")),
        (" box:galactic:350,10,-20,60", LonLatBox(350, 10, -20, 60, "galactic")),
        ("polygon:150,20,160,20,155,30", Polygon(((150, 20), (160, 20), (155, 30)))),
        ("absb:>20", AbsLatitude(above=20)),
        ("absb:<5", AbsLatitude(below=5)),
        ("pixels:5:123,124", Pixels(5, (123, 124))),
        ("stream:GD-1-I21,2", StreamTrack("GD-1-I21", 2)),
        ("sky", WholeSky()),
        (
            "cone:150,30,10 & absb:>20 | sky",
            Union((Intersection((Cone(150, 30, 10), AbsLatitude(above=20))), WholeSky())),
        ),
    ],
)
def test_regions_are_read_from_text(text, region):
    assert parse_region(text) == region
    assert parse_regions([text]) == region
    assert parse_regions([text, "sky"]) == Union((region, WholeSky()))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("kone:1,2,3", "cone"),
        ("cone:1,2", "3 numbers"),
        ("cone:1,2,x", "cone:150,30,10"),
        ("cone:1,95,3", "latitude"),
        ("cone:1,5,0", "radius"),
        ("cone:galaktic:1,2,3", "galactic"),
        ("cone:altaz:1,2,3", "altaz"),
        ("box:1,2,5,3", "lat_min"),
        ("absb:20", "< or >"),
        ("absb:>95", "95"),
        ("polygon:1,2,3,4", "three corners"),
        ("polygon:0,0,120,0,240,0", "half"),
        ("pixels:5", "colon"),
        ("pixels:5:99999", "12287"),
        ("stream:GD-1-I21", "margin"),
        ("sky:1", "sky"),
        ("", "cone:150,30,10"),
    ],
)
def test_a_region_that_is_not_understood_is_explained(text, told):
    with pytest.raises(SkyPatchesError, match=told):
        parse_region(text)


def test_an_unknown_stream_names_its_neighbours():
    pytest.importorskip("galstreams")
    with pytest.raises(RegionError, match="GD-1"):
        parse_region("stream:GD1,2").pixels(3)
