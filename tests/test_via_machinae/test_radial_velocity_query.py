"""The radial-velocity sample: what is asked of the archive, what comes, and that `dm_map` can read it."""

from __future__ import annotations

import astropy.units as u
import healpy as hp
import numpy as np
import pytest
from astropy.table import Table
from tap_stub import TapStub

from dm_map.input import LuminosityCut, read_stars
from sky_patches import CatalogStore
from sky_patches.archive import DR2, DR3, ArchiveCuts, ClientPolicy, RefreshSettings, SkyPixel, refresh
from via_machinae.dark_matter.inputs import fingerprint_of, stars_of
from via_machinae.dark_matter.settings import MapSettings
from via_machinae.errors import ConfigError
from via_machinae.radial_velocity import RadialVelocitySample, radial_velocity_stars, sample_named

N = 3000


@pytest.fixture(scope="module")
def gaia() -> Table:
    """A field of an archive: half of the stars have a radial velocity, parallaxes scatter about 0.25 mas."""
    rng = np.random.default_rng(11)
    ra, dec = rng.uniform(148, 152, N), rng.uniform(28, 32, N)
    pixel = hp.ang2pix(1 << 12, ra, dec, nest=True, lonlat=True).astype(np.int64)
    table = Table({"source_id": (pixel << 35) + np.arange(N), "ra": ra * u.deg, "dec": dec * u.deg})
    for name in RadialVelocitySample().columns()[3:]:
        corr = name.endswith("_corr")
        table[name] = rng.uniform(-0.3, 0.3, N) if corr else np.abs(rng.normal(1.0, 0.3, N))
    table["parallax"] = rng.uniform(-0.2, 2.0, N)
    table["parallax_error"] = rng.uniform(0.01, 0.1, N)
    table["radial_velocity"] = np.where(rng.random(N) < 0.5, np.nan, rng.normal(0, 40, N))
    table["grvs_mag"] = rng.uniform(6, 14, N)
    for name, unit in (("parallax", u.mas), ("radial_velocity", u.km / u.s), ("grvs_mag", u.mag)):
        table[name].unit = unit
    return table


def fetched(gaia: Table, root: object, recipe: RadialVelocitySample, cuts: ArchiveCuts | None = None):
    with TapStub({"gaiadr3.gaia_source": gaia}, row_limit=700) as stub:
        report = refresh(
            root,
            "cone:150,30,3",
            DR3,
            url=stub.url,
            cuts=recipe.cuts(besides=cuts),
            columns=recipe.columns(),
            settings=RefreshSettings(workers=2, order=4),
            policy=ClientPolicy(poll_s=0.01),
        )
        return report, list(stub.queries)


def test_the_question():
    pixel = SkyPixel(5, 100)
    text = RadialVelocitySample(radius=4.0).query().select(pixel)
    selected, where = text.removeprefix("SELECT ").split(" WHERE ")
    names = selected.split(" FROM ")[0].split(", ")
    assert {"radial_velocity", "radial_velocity_error", "grvs_mag", "phot_g_mean_mag"} <= set(names)
    assert len([name for name in names if name.endswith("_corr")]) == 10 and len(names) == len(set(names))
    assert where.endswith("AND (radial_velocity IS NOT NULL) AND (parallax > 0.25)")
    recipe = RadialVelocitySample(
        radius=2.0, margin=3, zero_point=-0.03, signal_to_noise=5, velocity_error_below=10
    )
    text = recipe.query(DR3, ArchiveCuts(ruwe_below=1.4, where=("rv_nb_transits > 4",))).select(pixel)
    for condition in (
        "(parallax + 3.0 * parallax_error > 0.47)",
        "(parallax > 5.0 * parallax_error)",
        "(radial_velocity_error < 10.0)",
        "ruwe < 1.4",
        "(rv_nb_transits > 4)",
    ):
        assert condition in text
    everywhere = RadialVelocitySample(radius=None).query().select(pixel)
    assert "parallax >" not in everywhere and "radial_velocity IS NOT NULL" in everywhere


def test_an_older_release_is_asked_for_what_it_has():
    text = RadialVelocitySample().query(DR2).select(SkyPixel(5, 100))
    assert "(g.radial_velocity IS NOT NULL) AND (g.parallax > 0.25)" in text and "grvs_mag" not in text
    assert RadialVelocitySample().columns(DR3.at("mirror.gaia"), ["vbroad"])[-2:] == ("ecl_lat", "vbroad")


def test_what_comes_is_the_sample(gaia, tmp_path):
    report, queries = fetched(gaia, tmp_path / "gaia", RadialVelocitySample(radius=2.0))
    store = CatalogStore.open(tmp_path / "gaia")
    wanted = np.isfinite(gaia["radial_velocity"]) & (gaia["parallax"] > 0.5)
    assert sorted(store.stars()["source_id"]) == sorted(gaia["source_id"][wanted])
    assert report.rows == wanted.sum() and report.splits > 0 and queries
    # Negative control: the cuts matter.
    assert 0 < wanted.sum() < np.isfinite(gaia["radial_velocity"]).sum() < N


def test_what_comes_can_be_read(gaia, tmp_path):
    """The archive's cut takes no star that the ball would keep."""
    fetched(gaia, tmp_path / "gaia", RadialVelocitySample(radius=2.0))
    table = radial_velocity_stars(CatalogStore.open(tmp_path / "gaia"))
    assert "pseudocolour" not in table.colnames and "grvs_mag" in table.colnames
    cut = LuminosityCut(faint=14.0, band="grvs_mag")
    sample, report = read_stars(table, radius=2.0, luminosity=cut, fewest=1)
    expected, _ = read_stars(gaia, radius=2.0, luminosity=cut, fewest=1)
    assert len(sample) == len(expected) > 100 and report.luminosity.loss > 0
    np.testing.assert_allclose(np.sort(sample.x[:, 0]), np.sort(expected.x[:, 0]))
    assert sample.covariance is not None and not any("_corr" in note for note in report.notes)


def test_a_store_is_an_input_of_the_map(gaia, tmp_path):
    """The directory itself, and another fingerprint once it has changed."""
    fetched(gaia, tmp_path / "gaia", RadialVelocitySample(radius=2.0))
    settings = MapSettings(stars=str(tmp_path / "gaia"), radius=2.0, use_within=1.5)
    before = fingerprint_of(settings)
    assert fingerprint_of(settings) == before
    (tmp_path / "gaia" / "note").write_text("more")
    assert fingerprint_of(settings) != before
    sample, _, _ = stars_of(settings)
    expected, _ = read_stars(gaia, radius=2.0)
    assert len(sample) == len(expected) >= 1000


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: RadialVelocitySample(radius=0.0), "radius is positive; got 0"),
        (lambda: RadialVelocitySample(margin=-1), "margin is zero or more; got -1"),
        (lambda: RadialVelocitySample(zero_point=float("nan")), "zero point"),
        (lambda: RadialVelocitySample(signal_to_noise=float("inf")), "signal_to_noise"),
        (lambda: sample_named("radial", 4.0, 0.0), "known: radial-velocity"),
    ],
)
def test_wrong_limits_are_told(make, told):
    with pytest.raises(ConfigError, match=told):
        make()


def test_a_sample_by_name():
    assert sample_named("radial-velocity", 3.0, 2.0) == RadialVelocitySample(radius=3.0, margin=2.0)
