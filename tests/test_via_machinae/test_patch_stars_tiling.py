"""Patches of a tiling, masks and quality cuts, from the configuration to the stars of a scan."""

from __future__ import annotations

import json

import numpy as np
import pytest

from sky_patches import CatalogStore, PatchGeometry, star_table
from sky_patches.footprints import WithHoles
from sky_patches.tiling.zones import Zone, from_galactic
from via_machinae import Run, RunError
from via_machinae.config import Config, TilingConfig, config_from
from via_machinae.patch_stars import geometries, load_patch
from via_machinae.tiling import filled_radius, masks_of, occupied, tiling_of

CENTRE = (205.5, 28.4)  # the globular cluster NGC 5272


def make_store(path, radius: float, n: int = 12_000, excess: float = 1.2) -> CatalogStore:
    """Stars evenly over a circle of the sky."""
    rng = np.random.default_rng(7)
    distance = np.degrees(np.arccos(1 - rng.random(n) * (1 - np.cos(np.radians(radius)))))
    angle = rng.uniform(0, 2 * np.pi, n)
    frame = PatchGeometry.circle("x", *CENTRE, radius).frame
    x, y = np.sin(np.radians(distance)) * [np.sin(angle), np.cos(angle)]
    phi1, phi2 = np.degrees(np.arctan2(x, np.cos(np.radians(distance)))), np.degrees(np.arcsin(y))
    ra, dec = frame.unproject(phi1, phi2)
    store = CatalogStore.create(path, name="test")
    stars = star_table(
        {
            "source_id": np.arange(1, n + 1) * 1000,
            "ra": ra,
            "dec": dec,
            "parallax": rng.normal(0.5, 1.0, n),
            "parallax_error": np.full(n, 0.1),
            "pmra": rng.normal(0, 5, n),
            "pmdec": rng.normal(0, 5, n),
            "phot_g_mean_mag": rng.uniform(14, 20, n),
            "bp_rp": rng.uniform(0.4, 1.2, n),
            "phot_bp_rp_excess_factor": np.where(rng.random(n) < 0.1, 3.0, excess),
            "astrometric_params_solved": rng.choice([3.0, 31.0, 95.0], n),
        }
    )
    store.append(stars, provenance={"origin": "test"})
    return store


@pytest.fixture(scope="module")
def wide(tmp_path_factory) -> CatalogStore:
    return make_store(tmp_path_factory.mktemp("wide") / "store", 26.0)


def config(**sections) -> Config:
    return config_from(sections, "test")


def test_only_patches_that_the_store_fills_are_scanned(wide):
    settings = TilingConfig()
    found = occupied(wide, settings)
    tiling = tiling_of(settings)
    assert 0 < len(found) < len(tiling) / 4
    for patch in found:
        assert settings.min_fill * settings.fiducial <= patch.footprint.radius <= settings.radius
        assert patch.fiducial_deg == min(settings.fiducial, patch.footprint.radius)
    names = {patch.name for patch in found}
    # Patches whose fiducial circle lies well inside the store are among them, those outside are not.
    middle = PatchGeometry.circle("middle", *CENTRE, 1.0).frame
    for tile in tiling.tiles:
        phi1, phi2 = middle.project_positions(tile.ra, tile.dec)
        distance = np.degrees(np.arccos(np.cos(np.radians(phi1)) * np.cos(np.radians(phi2))))
        # The store reaches 26 deg.
        assert tile.name in names or distance > 14.0
        assert tile.name not in names or distance < 18.1
        assert all(distance + patch.footprint.radius < 26.4 for patch in found if patch.name == tile.name)
    with_any = occupied(wide, TilingConfig(min_fill=0.0))
    assert names < {patch.name for patch in with_any}


def test_a_store_that_fills_no_patch_says_what_to_do(tmp_path):
    small = make_store(tmp_path / "store", 2.0, n=500)
    with pytest.raises(RunError, match=r"fill no patch of the tiling to 8.0 deg.*fullest: l.*min_fill"):
        occupied(small, TilingConfig())


@pytest.mark.parametrize("n", [1500, 40_000])
def test_the_filled_circle_stops_at_the_edge_of_the_stars(n: int):
    rng = np.random.default_rng(1)
    lat = np.degrees(np.arcsin(rng.uniform(np.sin(np.radians(20)), 1, n)))
    ra, dec = from_galactic(rng.uniform(0, 60, n), lat)
    inner, outer = (
        tuple(float(v[0]) for v in from_galactic(np.array([30.0]), np.array([b]))) for b in (40.0, 27.0)
    )
    assert filled_radius(ra, dec, inner, 12.0) == 12.0
    # The second circle reaches below |b| = 20 deg, 7 deg away, where there are no stars: it stops there, or a
    # pixel before.
    found = filled_radius(ra, dec, outer, 12.0)
    assert (6.0 if n > 10_000 else 4.5) < found < 7.2
    assert filled_radius(ra[:0], dec[:0], inner, 12.0) == 0.0


def test_an_excluded_zone_is_no_edge():
    rng = np.random.default_rng(2)
    ra, dec = rng.uniform(80, 120, 40_000), np.degrees(np.arcsin(rng.uniform(-0.3, 0.3, 40_000)))
    zone = Zone("cloud", 104.0, 2.0, 2.0, "test")
    outside = np.hypot(ra - zone.ra, dec - zone.dec) > zone.radius
    assert filled_radius(ra[outside], dec[outside], (100.0, 0.0), 10.0, [zone]) == 10.0
    assert filled_radius(ra[outside], dec[outside], (100.0, 0.0), 10.0) < 4.5  # the control


def test_masks_come_with_a_tiling_and_can_be_had_or_left_out_without():
    assert len(masks_of(Config())) == 0
    tiled = masks_of(config(tiling={}))
    assert {"LMC", "SMC", "ngc 5272"} <= {mask.name for mask in tiled}
    assert {mask.name for mask in masks_of(config(tiling={}, masks={"catalogue": "none"}))} == {"LMC", "SMC"}
    assert len(masks_of(config(tiling={"exclude": []}, masks={"catalogue": "none"}))) == 0
    assert "LMC" not in {mask.name for mask in masks_of(config(masks={}))}


def test_each_mask_reports_its_stars_and_leaves_a_hole(wide):
    patch = {"name": "n", "ra": CENTRE[0], "dec": CENTRE[1], "radius": 8.0}
    masked = config(patches=[patch], masks={"min_radius": 1.0, "max_radius": 2.0})
    (plain,), (geometry,) = geometries(wide, config(patches=[patch])), geometries(wide, masked)
    assert isinstance(geometry.footprint, WithHoles)
    everything, rest = load_patch(wide, plain, Config()), load_patch(wide, geometry, masked)
    (record,) = [record for record in rest.cuts if record["name"] == "mask: ngc 5272"]
    assert record["removed"] > 0
    assert set(rest.source_id) < set(everything.source_id)
    phi1, phi2 = rest.values("phi1"), rest.values("phi2")
    assert geometry.footprint.contains(phi1, phi2).all()
    inside = everything.geometry.footprint.contains(everything.values("phi1"), everything.values("phi2"))
    holed = ~geometry.footprint.contains(everything.values("phi1"), everything.values("phi2"))
    assert set(everything.source_id[inside & ~holed]) == set(rest.source_id)
    assert rest.geometry is geometry


def test_quality_cuts_are_applied_where_asked_for(wide):
    patch = {"name": "n", "ra": CENTRE[0], "dec": CENTRE[1], "radius": 8.0}
    settings = {
        "patches": [patch],
        "cuts": {
            "parallax_below": None,
            "nearby_snr": 5.0,
            "five_parameter": True,
            "flux_excess_sigma": 50.0,
        },
    }
    strict = config(**settings)
    (geometry,) = geometries(wide, strict)
    found = load_patch(wide, geometry, strict)
    removed = {record["name"]: record["removed"] for record in found.cuts}
    assert removed["astrometric_params_solved is 31 or 95"] > 0
    assert removed["|C*| < 50 sigma(G)"] > 0
    assert removed["not nearby (parallax > 1 mas and > 5 times its error)"] > 0
    assert (found.values("parallax") > 1.0).sum() == 0
    dr2 = config(patches=[patch], cuts={"flux_excess_dr2": True})
    assert any("1.3 + 0.06" in record["name"] for record in load_patch(wide, geometry, dr2).cuts)


def test_pierced_and_fiducial_patches_survive_a_run_directory(tmp_path, wide):
    settings = config(tiling={"min_fill": 0.5})
    found = geometries(wide, settings)
    assert any(isinstance(geometry.footprint, WithHoles) for geometry in found)
    run = Run.create(
        tmp_path / "run", settings, wide.path, geometries=found, units=[],
        provenance={"store_checksum": "x", "stars": {}},
    )  # fmt: skip
    opened = Run.open(run.path)
    assert opened.geometries == found and opened.config == settings
    opened.require(settings, "x")
    with pytest.raises(RunError, match="changed: tiling"):
        opened.require(Config(), "x")
    assert json.loads((run.path / "run.json").read_text())["patches"][0]["fiducial_deg"] <= 10.0
