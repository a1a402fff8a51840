"""Laws of patches: a view loses no star; a natural patch is the shape the stars were cut to."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import Table

from sky_patches.errors import FootprintError
from sky_patches.footprints import Box, Circle
from sky_patches.frames import PatchFrame
from sky_patches.natural import natural_patch
from sky_patches.patch import Patch, PatchGeometry, StarSource, TableSource

GEOMETRIES = [
    PatchGeometry.circle("zero meridian", 0.0, -30.0, 15.0),
    PatchGeometry.circle("pole", 77.0, 89.5, 5.0),
    PatchGeometry("gd1", PatchFrame.gala("GD1Koposov10"), Box(-60.0, -20.0, -5.0, 5.0)),
    PatchGeometry("galactic", PatchFrame.galactic(), Box(-20.0, 30.0, 40.0, 70.0)),
    PatchGeometry("turned", PatchFrame.offset(200.0, 10.0, 35.0), Box(-8.0, 9.0, -1.0, 2.0)),
]
geometries = pytest.mark.parametrize("geometry", GEOMETRIES, ids=lambda g: g.name)


@pytest.fixture(scope="module")
def sky() -> Table:
    """200,000 stars all over the sky."""
    rng = np.random.default_rng(21)
    n = 200_000
    return Table(
        {
            "source_id": np.arange(n) + 2**60,
            "ra": rng.uniform(0, 360, n) * u.deg,
            "dec": np.degrees(np.arcsin(rng.uniform(-1, 1, n))) * u.deg,
            "pmra": rng.normal(0, 5, n) * u.mas / u.yr,
            "pmdec": rng.normal(0, 5, n) * u.mas / u.yr,
            "pmra_error": np.full(n, 0.3) * u.mas / u.yr,
            "pmdec_error": np.full(n, 0.2) * u.mas / u.yr,
            "phot_g_mean_mag": rng.uniform(12, 20, n),
        }
    )


@geometries
def test_the_view_is_the_sky_inside_the_footprint(sky, geometry):
    stars = Patch(TableSource(sky), geometry).stars()
    expected = geometry.contains(sky["ra"].value, sky["dec"].value)
    assert list(stars["source_id"]) == list(sky["source_id"][expected])
    assert len(stars) == pytest.approx(len(sky) * geometry.footprint.solid_angle / 41252.96, rel=0.15)
    assert geometry.footprint.contains(stars["phi1"].value, stars["phi2"].value).all()


@geometries
def test_the_bounding_cone_holds_the_footprint(geometry):
    ra, dec = geometry.frame.unproject(*geometry.footprint.sample(20_000, seed=1))
    centre = SkyCoord(*geometry.centre, unit="deg")
    separation = SkyCoord(ra, dec, unit="deg").separation(centre).deg
    assert separation.max() <= geometry.radius_deg
    assert separation.max() > 0.95 * geometry.radius_deg


def test_only_the_columns_asked_for(sky):
    stars = Patch(TableSource(sky), GEOMETRIES[0]).stars(columns=["phot_g_mean_mag", "phi2"])
    assert stars.colnames[:2] == ["source_id", "phot_g_mean_mag"]
    assert "ra" not in stars.colnames and "phi1" in stars.colnames
    assert "pm_phi1_cosphi2_error" in stars.colnames
    full = Patch(TableSource(sky), GEOMETRIES[0]).stars()
    np.testing.assert_array_equal(stars["pm_phi2"], full["pm_phi2"])


def test_an_unknown_column_names_the_nearest(sky):
    with pytest.raises(FootprintError, match="phot_g_mean_mag"):
        Patch(TableSource(sky), GEOMETRIES[0]).stars(columns=["phot_g_mag"])


@geometries
def test_geometries_survive_json_and_pickle(geometry):
    assert PatchGeometry.from_dict(json.loads(json.dumps(geometry.to_dict()))) == geometry
    assert pickle.loads(pickle.dumps(geometry)) == geometry


def test_an_incomplete_description_is_refused():
    with pytest.raises(FootprintError, match="footprint"):
        PatchGeometry.from_dict({"name": "x", "frame": {"kind": "galactic"}})


def test_a_table_source_is_a_star_source(sky):
    assert isinstance(TableSource(sky), StarSource)


def _filled(frame: PatchFrame, footprint: Circle | Box, n: int = 4000, seed: int = 6) -> Table:
    ra, dec = frame.unproject(*footprint.sample(n, seed))
    return Table({"ra": ra, "dec": dec})


@pytest.mark.parametrize("ra, dec", [(0.0, 0.0), (359.0, -30.0), (120.0, 89.9), (88.0, -70.0)])
@pytest.mark.parametrize("radius", [0.5, 15.0])
def test_a_cone_is_recognised(ra, dec, radius):
    geometry = natural_patch(_filled(PatchFrame.offset(ra, dec), Circle(radius)), name="cone")
    assert isinstance(geometry.footprint, Circle) and geometry.name == "cone"
    assert geometry.footprint.radius == pytest.approx(radius, rel=0.02)
    offset = SkyCoord(*geometry.centre, unit="deg").separation(SkyCoord(ra, dec, unit="deg")).deg
    assert offset < 0.02 * radius


BOXES = [Box(-10.0, 10.0, -1.0, 1.0), Box(-4.0, 4.0, -4.0, 4.0), Box(-30.0, 30.0, -5.0, 5.0)]


@pytest.mark.parametrize("box", BOXES, ids=str)
@pytest.mark.parametrize("ra, dec, rotation", [(0.0, 5.0, 0.0), (200.0, -60.0, 25.0), (10.0, 88.0, -70.0)])
def test_a_box_is_recognised_at_any_angle(box, ra, dec, rotation):
    stars = _filled(PatchFrame.offset(ra, dec, rotation), box)
    geometry = natural_patch(stars)
    assert isinstance(geometry.footprint, Box)
    assert sorted(geometry.footprint.sides) == pytest.approx(sorted(box.sides), rel=0.05)
    assert geometry.footprint.sides[0] >= 0.95 * geometry.footprint.sides[1]
    assert geometry.contains(stars["ra"], stars["dec"]).all()


def test_every_star_is_inside_its_natural_patch():
    for radius in (0.01, 1.0, 19.0):
        stars = _filled(PatchFrame.offset(33.0, 44.0), Circle(radius), n=500)
        assert natural_patch(TableSource(stars)).contains(stars["ra"], stars["dec"]).all()


def test_the_natural_patch_ignores_the_order_of_the_stars():
    stars = _filled(PatchFrame.offset(33.0, 44.0, 10.0), Box(-6.0, 6.0, -2.0, 2.0))
    first, second = natural_patch(stars), natural_patch(stars[::-1])
    assert first.centre == pytest.approx(second.centre, abs=1e-6)
    assert first.footprint.area == pytest.approx(second.footprint.area, rel=1e-6)


@pytest.mark.parametrize(
    "keep",
    [
        lambda x, y: (np.abs(x) > 3) | (np.abs(y) > 3),
        lambda x, y: (x < -2) | (y < -2),
        lambda x, y: (np.abs(x) < 1) | (np.abs(y) < 1),
    ],
    ids=["ring", "L", "cross"],
)
def test_holes_are_not_guessed_over(keep):
    frame = PatchFrame.offset(50.0, 20.0)
    x, y = Box(-5.0, 5.0, -5.0, 5.0).sample(8000, seed=2)
    inside = keep(x, y)
    ra, dec = frame.unproject(x[inside], y[inside])
    with pytest.raises(FootprintError, match=r"PatchGeometry\.circle"):
        natural_patch(Table({"ra": ra, "dec": dec}))


def test_too_large_too_few_or_flat_is_refused():
    with pytest.raises(FootprintError, match=r"20 deg"):
        natural_patch(_filled(PatchFrame.offset(50.0, 20.0), Circle(25.0)))
    with pytest.raises(FootprintError, match="60 deg"):
        natural_patch(_whole_sky())
    with pytest.raises(FootprintError, match="99 stars"):
        natural_patch(_filled(PatchFrame.offset(50.0, 20.0), Circle(5.0), n=99))
    with pytest.raises(FootprintError, match="line"):
        natural_patch(Table({"ra": np.linspace(0, 3, 200), "dec": np.zeros(200)}))
    with pytest.raises(FootprintError, match="dec"):
        natural_patch(Table({"ra": np.zeros(200)}))


def _whole_sky() -> Table:
    rng = np.random.default_rng(1)
    return Table({"ra": rng.uniform(0, 360, 5000), "dec": np.degrees(np.arcsin(rng.uniform(-1, 1, 5000)))})


def test_natural_patch_of_the_gd1_strip(shared_data):
    """The public GD-1 strip was cut to phi1 -55..-45, |phi2| < 1 in the stream's frame: found untold."""
    stars = Table.read(shared_data("gd1_strip_gaia_dr2.csv.gz"), format="csv")
    geometry = natural_patch(stars)
    assert geometry.footprint.sides == pytest.approx((10.0, 2.0), rel=0.01)
    phi1, phi2 = PatchFrame.gala("GD1Koposov10").project_positions(*geometry.centre)
    assert (float(phi1), float(phi2)) == pytest.approx((-50.0, 0.0), abs=0.05)
