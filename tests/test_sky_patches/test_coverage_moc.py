"""Laws of the coverage maps and the dust zone: they agree with asking point by point, and survive a file."""

from __future__ import annotations

import healpy as hp
import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits

from sky_patches.errors import TilingError
from sky_patches.healpix import radec_to_pixel
from sky_patches.tiling import TilingRecipe
from sky_patches.tiling.coverage import covered_moc, kept_moc, read_moc, touched_pixels, write_moc
from sky_patches.tiling.dust import DustZone
from sky_patches.tiling.zones import KeptSky, Zone

TILES = TilingRecipe(kept=KeptSky(40.0, (Zone("hole", 200.0, 40.0, 15.0),))).build()
RNG = np.random.default_rng(3)
RA, DEC = RNG.uniform(0, 360, 20_000), np.degrees(np.arcsin(RNG.uniform(-1, 1, 20_000)))


def test_the_kept_sky_lies_in_the_covered_sky_and_that_in_the_patches():
    kept, fiducial = kept_moc(TILES.recipe.kept, 7), covered_moc(TILES, order=7)
    assert kept.difference(fiducial).sky_fraction == 0.0
    assert fiducial.difference(covered_moc(TILES, "patch", order=7)).sky_fraction == 0.0
    assert 0 < kept.sky_fraction < fiducial.sky_fraction < 1


def test_the_moc_agrees_with_the_tiling_point_by_point():
    inside = covered_moc(TILES, order=9).contains_lonlat(RA * u.deg, DEC * u.deg)
    covered = TILES.covers(RA, DEC)
    assert inside[covered].all(), "cells at an edge count as covered"
    assert (inside & ~covered).mean() < 0.02
    assert 0.2 < covered.mean() < 0.6


def test_a_moc_survives_its_file(tmp_path):
    moc = covered_moc(TILES, order=6)
    write_moc(moc, tmp_path / "covered.fits")
    write_moc(moc, tmp_path / "covered.fits")
    assert read_moc(tmp_path / "covered.fits") == moc
    assert [path.name for path in tmp_path.iterdir()] == ["covered.fits"]
    with pytest.raises(TilingError, match=r"absent\.fits"):
        read_moc(tmp_path / "absent.fits")


def test_the_touched_pixels_hold_every_star_of_every_patch():
    touched = touched_pixels(TILES, 5)
    inside = np.any([geometry.contains(RA, DEC) for geometry in TILES.geometries], axis=0)
    assert np.isin(radec_to_pixel(RA, DEC, 5)[inside], touched).all()
    assert len(touched) < 12 * 4**5


def _map(order: int = 5) -> np.ndarray:
    return np.random.default_rng(1).uniform(0, 1, 12 * 4**order)


@pytest.mark.parametrize("frame", ["galactic", "icrs"])
@pytest.mark.parametrize("nested", [True, False])
def test_the_dust_zone_is_where_the_map_is_high(frame, nested):
    values = _map()
    given = values if nested else hp.reorder(values, n2r=True)
    zone = DustZone.from_array(given, limit=0.7, frame=frame, nested=nested)
    lon, lat = RA, DEC
    if frame == "galactic":
        lon, lat = hp.Rotator(coord=["C", "G"])(RA, DEC, lonlat=True)
    expected = values[hp.ang2pix(32, lon, lat, nest=True, lonlat=True)] > 0.7
    # healpy's rotation and astropy's differ by milliarcseconds: a star may sit on a border by chance.
    assert (zone.contains(RA, DEC) != expected).mean() < 1e-3
    assert DustZone.from_dict(zone.to_dict()) == zone


def test_a_fine_map_is_averaged_and_unknown_pixels_do_not_count():
    values = np.zeros(12 * 4**3)
    values[:4] = [4.0, 0.0, np.nan, hp.UNSEEN]
    values[4:8] = np.nan
    zone = DustZone.from_array(values, limit=1.9, order=2)
    assert zone.pixels == (0,) and zone.order == 2
    assert DustZone.from_array(values, limit=2.1, order=2).pixels == ()


def test_a_dust_map_is_read_from_fits(tmp_path):
    path = tmp_path / "ebv.fits"
    hp.write_map(path, hp.reorder(_map(), n2r=True), coord="G", dtype=np.float64)
    zone = DustZone.read(path, limit=0.7)
    assert zone == DustZone.from_array(_map(), limit=0.7, origin="ebv.fits")
    with fits.open(path, mode="update") as hdus:
        del hdus[1].header["COORDSYS"]
    with pytest.raises(TilingError, match="does not say its frame"):
        DustZone.read(path, limit=0.7)
    assert DustZone.read(path, limit=0.7, frame="icrs").frame == "icrs"


def test_what_is_no_dust_map_is_refused(tmp_path):
    (tmp_path / "noise.fits").write_text("noise")
    for name in ("absent.fits", "noise.fits"):
        with pytest.raises(TilingError, match=name):
            DustZone.read(tmp_path / name, limit=0.5)
    with pytest.raises(TilingError, match=r"\(13,\)"):
        DustZone.from_array(np.zeros(13), limit=0.5)
    with pytest.raises(TilingError, match="got -1"):
        DustZone.from_array(np.zeros(12), limit=-1.0)
