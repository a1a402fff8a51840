"""Laws of a tiling: it covers the kept sky, wastes little, knows its neighbours, and survives a file."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import pairwise

import healpy as hp
import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import Table
from hypothesis import given, settings
from hypothesis import strategies as st

from sky_patches.errors import TilingError
from sky_patches.footprints.shapes import angular_distance
from sky_patches.tiling import Tiling, TilingRecipe
from sky_patches.tiling.centres import healpix_centres, ring_centres, rings_above
from sky_patches.tiling.dust import DustZone
from sky_patches.tiling.table import read_tiling, tiling_from_table, tiling_table, write_tiling
from sky_patches.tiling.zones import MAGELLANIC_CLOUDS, KeptSky, Zone, from_galactic

METHODS = ("rings", "healpix")
methods = pytest.mark.parametrize("centres", METHODS)


@cache
def tiling(centres: str = "rings", **changes) -> Tiling:
    return replace(TilingRecipe(centres=centres), **changes).build()


@cache
def dense_sky(order: int = 6) -> tuple[np.ndarray, np.ndarray]:
    return hp.pix2ang(1 << order, np.arange(12 * 4**order), nest=True, lonlat=True)


def distances(tiles: Tiling, ra: np.ndarray, dec: np.ndarray) -> np.ndarray:
    """Distance to the nearest centre by astropy, which shares no code with the tiling."""
    stars = SkyCoord(ra, dec, unit="deg")
    centres = SkyCoord([t.ra for t in tiles.tiles], [t.dec for t in tiles.tiles], unit="deg")
    return stars.match_to_catalog_sky(centres)[1].deg


@methods
def test_every_kept_point_of_a_dense_grid_is_in_a_fiducial_circle(centres):
    tiles = tiling(centres)
    ra, dec = dense_sky()
    kept = tiles.recipe.kept.contains(ra, dec)
    assert 0.5 < kept.mean() < 0.7
    distance = distances(tiles, ra[kept], dec[kept])
    assert distance.max() <= tiles.recipe.fiducial
    assert tiles.covers(ra[kept], dec[kept]).all()


def test_smaller_circles_or_a_coarser_grid_would_not_cover():
    """Negative control: circles 2 % smaller fail the same test, and so does the next coarser grid."""
    tiles = tiling("rings")
    ra, dec = dense_sky()
    kept = tiles.recipe.kept.contains(ra, dec)
    assert distances(tiles, ra[kept], dec[kept]).max() > 0.98 * tiles.recipe.fiducial
    nside = round((len(healpix_centres(10.0)) / 12) ** 0.5)
    coarser = SkyCoord(*hp.pix2ang(nside - 1, np.arange(12 * (nside - 1) ** 2), lonlat=True), unit="deg")
    assert SkyCoord(ra, dec, unit="deg").match_to_catalog_sky(coarser)[1].deg.max() > 10.0


@pytest.mark.parametrize(("fiducial", "limit"), [(10.0, 0.0), (14.9, 20.0), (6.0, 20.0), (9.0, 85.0)])
def test_rings_cover_for_any_radius_and_limit(fiducial, limit):
    recipe = TilingRecipe(1.2 * fiducial, fiducial, KeptSky(limit, ()))
    tiles = recipe.build()
    ra, dec = dense_sky()
    kept = recipe.kept.contains(ra, dec)
    assert distances(tiles, ra[kept], dec[kept]).max() <= fiducial


@settings(max_examples=20)
@given(
    fiducial=st.floats(8.0, 20.0),
    limit=st.floats(0.0, 89.0),
    lon=st.floats(0.0, 360.0),
    sine=st.floats(0.0, 1.0),
    north=st.booleans(),
)
def test_any_drawn_point_of_any_tiling_is_covered(fiducial, limit, lon, sine, north):
    centres = ring_centres(fiducial, limit)
    low = np.sin(np.radians(limit))
    lat = np.degrees(np.arcsin(min(1.0, low + sine * (1.0 - low)))) * (1.0 if north else -1.0)
    assert angular_distance(lon, lat, centres[:, 0], centres[:, 1]).min() <= fiducial


@settings(max_examples=50)
@given(lon=st.floats(0.0, 360.0), lat=st.floats(-90.0, 90.0), centres=st.sampled_from(METHODS))
def test_any_drawn_kept_point_is_covered(lon, lat, centres):
    tiles = tiling(centres)
    ra, dec = from_galactic(np.array([lon]), np.array([lat]))
    if tiles.recipe.kept.contains(ra, dec)[0]:
        assert distances(tiles, ra, dec)[0] <= tiles.recipe.fiducial


def test_rings_are_economical():
    """No covering of the plane by circles has a thickness below 1.21; square ones have 1.57."""
    area = 2.0 * (1.0 - np.sin(np.radians(20.0)))
    circle = 1.0 - np.cos(np.radians(10.0))
    rings, grid = (len(tiling(name)) for name in METHODS)
    assert 1.2 * area / circle < rings < 1.57 * area / circle
    assert rings < grid


def test_rings_of_one_count_are_turned_by_half_a_step():
    rings = rings_above(10.0, 20.0)
    turned = [(low, high) for low, high in pairwise(rings) if high.turned]
    assert turned
    for low, high in turned:
        assert low.count == high.count
        assert (high.phase - low.phase) % (360 / low.count) == pytest.approx(180 / low.count)


@methods
def test_no_patch_is_without_kept_sky(centres):
    kept = KeptSky(20.0, (Zone("large", 180.0, 60.0, 40.0), *MAGELLANIC_CLOUDS))
    tiles = tiling(centres, kept=kept)
    assert len(tiles) < len(tiling(centres))
    ra, dec = dense_sky()
    inside = kept.contains(ra, dec)
    centre = SkyCoord([t.ra for t in tiles.tiles], [t.dec for t in tiles.tiles], unit="deg")
    nearest = centre.match_to_catalog_sky(SkyCoord(ra[inside], dec[inside], unit="deg"))[1].deg
    reach = np.degrees(hp.max_pixrad(1 << 6)) + 3.0
    assert nearest.max() < tiles.recipe.fiducial + reach
    assert distances(tiles, ra[inside], dec[inside]).max() <= tiles.recipe.fiducial


@methods
def test_high_extinction_is_left_out_and_the_rest_is_covered(centres):
    lon, lat = hp.pix2ang(64, np.arange(12 * 64**2), nest=True, lonlat=True)
    dusty = np.where((lon > 100) & (lon < 200) & (lat > 0), 2.0, 0.02)
    kept = KeptSky(20.0, (), DustZone.from_array(dusty, limit=0.5))
    tiles = tiling(centres, kept=kept)
    assert len(tiles) < len(tiling(centres, kept=KeptSky(20.0, ())))
    ra, dec = dense_sky()
    inside = kept.contains(ra, dec)
    assert distances(tiles, ra[inside], dec[inside]).max() <= tiles.recipe.fiducial


@methods
def test_neighbours_are_the_patches_that_overlap(centres):
    tiles = tiling(centres)
    places = {tile.name: SkyCoord(tile.ra, tile.dec, unit="deg") for tile in tiles.tiles}
    assert len(places) == len(tiles)
    everything = SkyCoord(list(places.values()))
    for tile in tiles.tiles:
        distance = places[tile.name].separation(everything).deg
        near = {name for name, d in zip(places, distance, strict=True) if 0 < d < 2 * tiles.recipe.radius}
        assert set(tile.neighbours) == near and len(tile.neighbours) == len(near) > 1
        assert all(tile.name in tiles[name].neighbours for name in tile.neighbours)


def test_the_owner_of_a_position_is_the_nearest_patch():
    tiles = tiling()
    assert list(
        tiles.owner(*(np.array([getattr(t, a) for t in tiles.tiles]) for a in ("ra", "dec")))
    ) == list(range(len(tiles)))


def test_geometries_carry_the_fiducial_circle():
    (first, *_) = tiling().geometries
    assert (first.footprint.radius, first.fiducial_deg) == (15.0, 10.0)
    assert list(first.is_fiducial(np.array([0.0, 9.9, 10.1, 16.0]), np.zeros(4))) == [
        True,
        True,
        False,
        False,
    ]


@methods
def test_a_tiling_survives_its_file(tmp_path, centres):
    dust = DustZone.from_array(np.linspace(0, 1, 12 * 4**3), limit=0.9, origin="test")
    tiles = tiling(centres, kept=KeptSky(25.0, MAGELLANIC_CLOUDS, dust))
    write_tiling(tiles, tmp_path / "tiling.ecsv")
    assert read_tiling(tmp_path / "tiling.ecsv") == tiles
    assert [path.name for path in tmp_path.iterdir()] == ["tiling.ecsv"]
    table = Table.read(tmp_path / "tiling.ecsv")
    assert table["radius"].unit == table["l"].unit == u.deg and set(table["fiducial"]) == {10.0}


def test_what_is_no_tiling_is_refused(tmp_path):
    with pytest.raises(TilingError, match="lacks name, ra"):
        tiling_from_table(Table({"x": [1]}))
    newer = tiling_table(tiling())
    newer.meta["tiling"]["format"] = 99
    with pytest.raises(TilingError, match="format 99"):
        tiling_from_table(newer)
    for content in (None, "nothing"):
        path = tmp_path / "broken.ecsv"
        if content:
            path.write_text(content)
        with pytest.raises(TilingError, match=r"broken\.ecsv|lacks"):
            read_tiling(path)
    with pytest.raises(TilingError, match="no patch 'nowhere'"):
        tiling()["nowhere"]


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"radius": 10.0}, "fiducial=10.0"),
        ({"radius": 31.0}, "radius=31.0"),
        ({"fiducial": -1.0}, "fiducial=-1.0"),
        ({"radius": 15.0, "fiducial": 14.999}, "beyond its radius"),
    ],
)
def test_impossible_recipes_are_refused(values, told):
    with pytest.raises(TilingError, match=told):
        TilingRecipe(**values)


def test_impossible_zones_and_skies_are_refused():
    with pytest.raises(TilingError, match="95"):
        Zone("x", 0.0, 95.0, 1.0)
    with pytest.raises(TilingError, match="90"):
        KeptSky(90.0)
    with pytest.raises(TilingError, match="no sky is kept"):
        TilingRecipe(kept=KeptSky(20.0, (Zone("a", 0.0, 0.0, 100.0), Zone("b", 180.0, 0.0, 100.0)))).build()
    with pytest.raises(TilingError, match="no description"):
        KeptSky.from_dict({"zones": []})
