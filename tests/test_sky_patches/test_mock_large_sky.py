"""Laws of the large mock sky: counts, footprint, scanning law, clusters, reproducibility, and its store."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import BarycentricMeanEcliptic, SkyCoord, angular_separation
from astropy.table import Table, vstack
from scipy import stats

from sky_patches import CatalogStore, read_known_objects, read_stars, validate
from sky_patches.errors import MockError
from sky_patches.healpix import radec_to_pixel
from sky_patches.mock import (
    MockCluster,
    MockStream,
    ScanningLaw,
    SkyRecipe,
    SkyRegion,
    WrittenSky,
    all_sky,
    demo_sky,
    draw_objects,
    patch_sky,
    pixel_sky,
    random_clusters,
    random_dwarfs,
    random_streams,
    sky_tables,
    write_sky,
)
from sky_patches.mock.sky_background import draw_pixel, expected_stars
from sky_patches.mock.sky_region import random_positions

STREAM = MockStream(
    "short", 40, 153.0, 29.2, 8.0, 4.2, -6.7, 135.0, age_gyr=1.0, dissolved_gyr=0.1, release_step_myr=4.0
)
GLOBULAR = MockCluster(
    "mock cluster", "globular cluster", 600, 154.0, 30.0, 8.0, -3.0, 2.0, 50.0, 40.0, dispersion=2.0
)
DWARF = MockCluster(
    "mock dwarf", "dwarf galaxy", 300, 152.0, 28.0, 60.0, 0.1, -0.2, 80.0, 900.0, dispersion=6.0
)
PATCH = patch_sky(153.0, 29.2, 6.0, 6000, streams=(STREAM,), clusters=(GLOBULAR, DWARF))


def _stars(recipe: SkyRecipe, seed: int, workers: int = 1) -> Table:
    objects = draw_objects(recipe, seed)
    return vstack([table for _, table, _ in sky_tables(recipe, seed, objects, workers=workers)])


def _same(one: Table, other: Table) -> bool:
    return one.colnames == other.colnames and all(
        np.array_equal(one[name], other[name]) for name in one.colnames
    )


def _offsets(stars: Table, cluster: MockCluster) -> np.ndarray:
    """Distances from a cluster's centre in its half-light radii."""
    there = np.radians(np.asarray(stars["ra"])), np.radians(np.asarray(stars["dec"]))
    centre = np.radians([cluster.ra_deg, cluster.dec_deg])
    return np.degrees(angular_separation(*centre, *there)) / cluster.half_light_deg


@pytest.fixture(scope="module")
def stars() -> Table:
    return _stars(PATCH, 3)


@pytest.fixture(scope="module")
def off_plane() -> tuple[SkyRecipe, list[Table]]:
    """A sparse sky off the Galactic plane, pixel by pixel."""
    recipe = all_sky(6000, b_min_deg=30.0)
    return recipe, [table for _, table, _ in sky_tables(recipe, 5, draw_objects(recipe, 5))]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> WrittenSky:
    return write_sky(PATCH, 3, tmp_path_factory.mktemp("mock") / "store")


# The background


@pytest.mark.statistical
def test_counts_are_poisson_about_the_integral() -> None:
    """Drawing, observing and cutting star by star agrees with an integral over the same cuts."""
    recipe = pixel_sky([50], 2, 8000)
    pixels = np.array(recipe.region.pixels)
    expected = expected_stars(recipe.survey, pixels)[0] * recipe.density_scale
    drawn = [
        list(draw_pixel(recipe.survey, 50, recipe.density_scale, np.random.default_rng(seed))[1].values())
        for seed in range(4)
    ]
    total = np.sum(drawn, axis=0)
    assert expected.sum() == pytest.approx(8000, rel=1e-9)
    assert np.all(np.abs(total - 4 * expected) < 4 * np.sqrt(4 * expected))
    # Negative control: the parallax cut forgotten in the integral is noticed.
    wrong = expected_stars(replace(recipe, parallax_max=None).survey, pixels)[0] * recipe.density_scale
    assert np.abs(total - 4 * wrong).max() > 4 * np.sqrt(4 * wrong.max())


@pytest.mark.statistical
def test_pixels_share_the_stars_as_the_galaxy_does(off_plane: tuple[SkyRecipe, list[Table]]) -> None:
    recipe, tables = off_plane
    expected = (
        expected_stars(recipe.survey, np.array(recipe.region.pixels)).sum(axis=1) * recipe.density_scale
    )
    counts = np.array([len(table) for table in tables])
    full = expected > 5.0
    chi_squared = ((counts - expected)[full] ** 2 / expected[full]).sum()
    assert stats.chi2.sf(chi_squared, full.sum()) > 1e-3
    assert stats.chisquare(counts[full]).pvalue < 1e-6


def test_doubling_the_density_doubles_the_stars() -> None:
    once, twice = (len(_stars(pixel_sky([900], 4, number), 1)) for number in (2000, 4000))
    assert abs(twice - 2 * once) < 4 * np.sqrt(twice + 4 * once)


def test_the_natural_number_does_not_depend_on_the_thinning() -> None:
    assert PATCH.natural_background() == pytest.approx(PATCH.thinned_to(10).natural_background())


# The footprint


def test_stars_lie_in_the_pixels_asked_for() -> None:
    table = _stars(pixel_sky([700, 703], 4, 1500), 2)
    home = radec_to_pixel(np.asarray(table["ra"]), np.asarray(table["dec"]), 4)
    assert set(home.tolist()) == {700, 703}
    assert np.array_equal(np.asarray(table["source_id"]) >> (35 + 16), home)


def test_circles_and_latitudes_are_respected(stars: Table, off_plane: tuple[SkyRecipe, list[Table]]) -> None:
    there = np.radians(np.asarray(stars["ra"])), np.radians(np.asarray(stars["dec"]))
    reach = np.degrees(angular_separation(*np.radians([153.0, 29.2]), *there))
    assert 5.9 < reach.max() <= 6.0
    table = vstack(off_plane[1])
    latitude = SkyCoord(table["ra"], table["dec"]).galactic.b.deg
    assert 30.0 < np.abs(latitude).min() < 30.5
    assert latitude.min() < -60.0 and latitude.max() > 60.0


def test_the_area_of_a_region() -> None:
    above = SkyRegion.whole(3, b_min_deg=30.0)
    assert above.area == pytest.approx(2.0 * np.pi, rel=2e-3)
    cap = 2.0 * np.pi * (1.0 - np.cos(np.radians(6.0)))
    assert PATCH.region.area == pytest.approx(cap, rel=2e-3)


def test_random_positions_are_even_in_a_cell() -> None:
    ra, dec = random_positions(np.full(4000, 77), 3, np.random.default_rng(1))
    assert np.all(radec_to_pixel(ra, dec, 3) == 77)
    children = np.bincount(radec_to_pixel(ra, dec, 5) - (77 << 4), minlength=16)
    assert stats.chisquare(children).pvalue > 1e-3


# The catalogue


def test_the_catalogue_follows_the_schema_and_the_cuts(stars: Table) -> None:
    validate(stars)
    # Nothing in its columns distinguishes it from the demo's.
    assert set(stars.colnames) == set(replace(demo_sky(), stars=50, streams=()).generate(0).stars.colnames)
    assert np.asarray(stars["parallax"]).max() < 1.0
    g = np.asarray(stars["phot_g_mean_mag"])
    assert g.min() > 12.0 and g.max() < 20.5
    ids = np.asarray(stars["source_id"])
    assert len(np.unique(ids)) == len(ids)
    home = radec_to_pixel(np.asarray(stars["ra"]), np.asarray(stars["dec"]), 12)
    assert np.array_equal(ids >> 35, home)


def test_same_seed_same_stars_whatever_the_workers() -> None:
    recipe = replace(PATCH, streams=(), region=SkyRegion.circle(PATCH.region.cone, 3)).thinned_to(1500)
    assert len(recipe.region.pixels) > 1
    alone, together = (_stars(recipe, 4, workers) for workers in (1, 2))
    assert _same(alone, together)
    assert not np.isin(_stars(recipe, 5)["source_id"], alone["source_id"]).any()


def test_streams_and_clusters_leave_the_background_unchanged(stars: Table) -> None:
    objects = draw_objects(PATCH, 3)
    rest = stars[~np.isin(stars["source_id"], objects.stars["source_id"])]
    assert _same(rest, _stars(replace(PATCH, streams=(), clusters=()), 3))
    assert len(stars) == len(rest) + STREAM.stars + GLOBULAR.stars + DWARF.stars


def test_without_streams_the_rest_stays() -> None:
    with_streams, without = draw_objects(PATCH, 3).truth, draw_objects(PATCH.without_streams(), 3).truth
    assert len(without.members) == len(without.streams) == 0
    assert set(without.members.colnames) == set(with_streams.members.colnames)
    assert _same(without.cluster_members, with_streams.cluster_members)


# The scanning law


@pytest.mark.statistical
def test_depth_follows_the_scanning_law_and_only_it() -> None:
    """Faint stars are missing where the survey looked seldom; without a scanning law they are not."""
    law = ScanningLaw(latitude=0.0, stripe=0.8, stripes=40, twist=0.0, half_complete=20.3)
    common = {"g_min": 19.5, "g_max": 20.5, "parallax_max": None}
    excess = {}
    for name, scanning in (("on", law), ("off", None)):
        table = _stars(patch_sky(150.0, 35.0, 8.0, 6000, scanning=scanning, **common), 6)
        looks = law.observations(np.asarray(table["ra"]), np.asarray(table["dec"]))
        often, faint = looks > 1.0, np.asarray(table["phot_g_mean_mag"]) > 20.2
        counts = [
            [(faint & often).sum(), (~faint & often).sum()],
            [(faint & ~often).sum(), (~faint & ~often).sum()],
        ]
        excess[name] = stats.chi2_contingency(counts).pvalue
    assert excess["on"] < 1e-6
    assert excess["off"] > 1e-3


def test_errors_shrink_with_the_number_of_observations(stars: Table) -> None:
    def slope(table: Table) -> float:
        bright = table[np.asarray(table["phot_g_mean_mag"]) < 20.0]
        nominal = PATCH.errors.astrometric(np.asarray(bright["phot_g_mean_mag"]))["pmra"]
        looks = ScanningLaw().observations(np.asarray(bright["ra"]), np.asarray(bright["dec"]))
        return float(np.polyfit(np.log(looks), np.log(np.asarray(bright["pmra_error"]) / nominal), 1)[0])

    assert slope(stars) == pytest.approx(-0.5, abs=0.05)
    assert slope(_stars(replace(PATCH, scanning=None, streams=(), clusters=()), 3)) == pytest.approx(
        0.0, abs=0.05
    )


def test_the_scanning_law_has_its_mean_bounds_and_stripes() -> None:
    law = ScanningLaw()
    ra, dec = random_positions(np.repeat(np.arange(3072), 4), 4, np.random.default_rng(2))
    looks = law.observations(ra, dec)
    assert looks.mean() == pytest.approx(1.0, abs=0.01)
    assert law.least <= looks.min() < looks.max() <= law.most
    circle = np.arange(0.0, 360.0, 0.5)
    ecliptic = SkyCoord(circle * u.deg, 0.0 * u.deg, frame=BarycentricMeanEcliptic()).icrs
    spectrum = np.abs(np.fft.rfft(law.observations(ecliptic.ra.deg, ecliptic.dec.deg)))
    assert np.argmax(spectrum[1:]) + 1 == law.stripes


def test_completeness_falls_with_magnitude_and_rises_with_observations() -> None:
    law, g = ScanningLaw(), np.linspace(18.0, 22.0, 30)
    assert np.all(np.diff(law.completeness(g, 1.0)) < 0.0)
    assert np.all(law.completeness(g, 1.4) > law.completeness(g, 0.6))
    assert law.completeness(np.array([law.half_complete]), 1.0)[0] == pytest.approx(0.5)


# Clusters


@pytest.mark.parametrize("cluster", [GLOBULAR, DWARF], ids=lambda one: one.kind)
def test_clusters_are_where_and_as_the_truth_says(cluster: MockCluster, stars: Table) -> None:
    truth = draw_objects(PATCH, 3).truth
    members = truth.cluster_members[truth.cluster_members["cluster"] == cluster.name]
    assert len(members) == cluster.stars
    assert np.isin(members["source_id"], stars["source_id"]).all()
    radii = _offsets(members, cluster)
    # Half of the stars are within the half-light radius; two half-light radii hold more.
    inside = (radii < 1.0).sum()
    assert abs(inside - 0.5 * cluster.stars) < 4 * np.sqrt(0.25 * cluster.stars)
    assert (radii < 2.0).mean() > 0.7 and radii.max() < 11.0
    for name, mean in (("pmra", cluster.pm_ra_cosdec), ("pmdec", cluster.pm_dec)):
        assert np.median(np.asarray(members[name])) == pytest.approx(mean, abs=0.05)
    spread = np.std(np.asarray(members["radial_velocity"]))
    assert spread == pytest.approx(cluster.dispersion, rel=0.25)


def test_a_cluster_stands_out_and_disappears_with_its_recipe(stars: Table) -> None:
    empty = _stars(replace(PATCH, clusters=()), 3)
    near, without = ((_offsets(table, GLOBULAR) < 2.0).sum() for table in (stars, empty))
    assert near > 5 * (without + 1)


def test_random_objects_lie_in_the_region_and_have_names_of_their_own() -> None:
    region = SkyRegion.whole(2, b_min_deg=20.0)
    everything = [
        *random_clusters(8, region, 1), *random_dwarfs(5, region, 1), *random_streams(2, region, 1),
    ]  # fmt: skip
    assert region.contains(
        *(np.array([getattr(one, key) for one in everything]) for key in ("ra_deg", "dec_deg"))
    ).all()
    names = [one.name for one in everything]
    assert len(set(names)) == len(names) and all(name.startswith("mock") for name in names)
    # More of them leave the first as they are.
    assert random_clusters(9, region, 1)[:8] == random_clusters(8, region, 1)
    assert random_clusters(8, region, 2) != random_clusters(8, region, 1)


# The store


def test_the_store_holds_the_sky_and_reads_like_any_other(written: WrittenSky, stars: Table) -> None:
    store = CatalogStore.open(written.path)
    assert len(store) == written.stars == len(stars)
    found = store.stars()
    order = np.argsort(found["source_id"])
    expected = stars[np.argsort(stars["source_id"])]
    assert all(np.array_equal(found[name][order], expected[name]) for name in expected.colnames)
    assert store.verify().ok
    there = np.radians(np.asarray(stars["ra"])), np.radians(np.asarray(stars["dec"]))
    inside = np.degrees(angular_separation(*np.radians([154.0, 30.0]), *there)) <= 2.0
    cone = store.cone(154.0, 30.0, 2.0)
    assert set(np.asarray(cone["source_id"])) == set(np.asarray(stars["source_id"])[inside])


def test_the_truth_lies_beside_the_stars(written: WrittenSky) -> None:
    ids = np.asarray(CatalogStore.open(written.path).stars(["source_id"])["source_id"])
    for name, number in (("members", STREAM.stars), ("cluster_members", GLOBULAR.stars + DWARF.stars)):
        table = Table.read(written.truth / f"{name}.ecsv")
        assert len(table) == number and np.isin(table["source_id"], ids).all()
    known = {one.name: one for one in read_known_objects(written.truth / "known_objects.csv")}
    assert set(known) == {GLOBULAR.name, DWARF.name}
    assert known[DWARF.name].rhalf_arcmin == pytest.approx(60.0 * DWARF.half_light_deg)
    assert written.stars == sum(written.populations.values()) + written.members + written.cluster_members


def test_its_stars_pass_through_a_file_and_the_loader(stars: Table, tmp_path: Path) -> None:
    path = tmp_path / "mock.fits"
    stars.write(path)
    loaded = read_stars(path)
    assert len(loaded.stars) == len(stars) and len(loaded.rejected) == 0


def test_an_interrupted_sky_leaves_no_store(tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    recipe = replace(PATCH, streams=(), clusters=()).thinned_to(500)
    with pytest.raises(KeyboardInterrupt):
        write_sky(recipe, 1, tmp_path / "store", progress=stop)
    assert not (tmp_path / "store").exists()
    assert write_sky(recipe, 1, tmp_path / "store").stars > 0
    with pytest.raises(MockError, match="exists already"):
        write_sky(recipe, 1, tmp_path / "store")


# Bad input


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: all_sky(0), "stars.*0"),
        (lambda: all_sky(100, b_min_deg=95.0), "b_min_deg.*95"),
        (lambda: all_sky(100, g_max=22.0), "g_max.*22"),
        (lambda: patch_sky(0.0, 95.0, 5.0, 100), "dec=95"),
        (lambda: pixel_sky([], 2, 100), "no pixel"),
        (lambda: pixel_sky([192], 2, 100), "192"),
        (lambda: replace(PATCH, density_scale=0.0), "density_scale.*0"),
        (lambda: replace(PATCH, clusters=(GLOBULAR, GLOBULAR)), "mock cluster"),
        (lambda: replace(GLOBULAR, half_light_pc=0.0), "half_light_pc.*0"),
        (lambda: ScanningLaw(latitude=0.8), "latitude=0.8"),
        (lambda: ScanningLaw(softness=0.0), "softness=0"),
        (lambda: random_clusters(-1, PATCH.region, 1), "-1"),
        (lambda: draw_objects(PATCH, -1), "-1"),
        (lambda: draw_objects(PATCH, 1, workers=0), "workers.*0"),
    ],
)  # fmt: skip
def test_bad_recipes_are_refused(make, message: str) -> None:
    with pytest.raises(MockError, match=message):
        make()


def test_a_cluster_outside_the_footprint_is_refused() -> None:
    far_away = replace(GLOBULAR, ra_deg=10.0)
    with pytest.raises(MockError, match="footprint"):
        draw_objects(replace(PATCH, streams=(), clusters=(far_away,)), 1)


def test_names_make_seeds_that_do_not_depend_on_company() -> None:
    alone = draw_objects(replace(PATCH, streams=(), clusters=(DWARF,)), 3).truth.cluster_members
    both = draw_objects(replace(PATCH, streams=()), 3).truth.cluster_members
    assert _same(alone, both[both["cluster"] == DWARF.name])
    pairs = itertools.combinations([GLOBULAR.name, DWARF.name, STREAM.name], 2)
    assert all(one != other for one, other in pairs)
