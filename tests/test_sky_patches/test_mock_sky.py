"""Laws of the generated catalogue: cuts, errors, identifiers, reproducibility."""

from __future__ import annotations

import json
from dataclasses import replace

import astropy.units as u
import healpy
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import Table
from scipy import stats

from sky_patches.errors import MockError
from sky_patches.mock import GaiaErrors, MockResult, MockSky, MockStream, expected_background
from sky_patches.schema import validate

COLUMNS = {
    "source_id", "ra", "dec", "parallax", "parallax_error", "pmra", "pmdec", "pmra_error", "pmdec_error",
    "phot_g_mean_mag", "bp_rp", "ruwe", "ra_error", "dec_error",
}  # fmt: skip
SKY = MockSky(ra_deg=153.0, dec_deg=29.2, radius_deg=4.0, stars=5000)
STREAM = MockStream(
    "short", 40, 153.0, 29.2, 8.0, 4.2, -6.7, 135.0, age_gyr=1.0, dissolved_gyr=0.1, release_step_myr=4.0
)


@pytest.fixture(scope="module")
def result() -> MockResult:
    return SKY.generate(11)


@pytest.fixture(scope="module")
def with_stream() -> MockResult:
    return SKY.with_streams(STREAM).generate(11)


def _pulls(result: MockResult, name: str) -> tuple[np.ndarray, np.ndarray]:
    """(observed - true) and its standard error, for the background stars."""
    assert np.array_equal(result.stars["source_id"], result.truth.background["source_id"])
    difference = result.stars[name] - result.truth.background[name]
    return np.asarray(difference), np.asarray(result.stars[f"{name}_error"])


def _same(one: Table, other: Table) -> bool:
    return one.colnames == other.colnames and all(
        np.array_equal(one[name], other[name]) for name in one.colnames
    )


def test_same_seed_same_sky(with_stream: MockResult) -> None:
    again = SKY.with_streams(STREAM).generate(11)
    assert _same(again.stars, with_stream.stars)
    assert _same(again.truth.members, with_stream.truth.members)
    assert _same(again.truth.background, with_stream.truth.background)


def test_another_seed_another_sky(result: MockResult) -> None:
    assert not np.isin(SKY.generate(12).stars["source_id"], result.stars["source_id"]).any()


def test_streams_leave_the_background_unchanged(result: MockResult, with_stream: MockResult) -> None:
    ids = with_stream.truth.member_ids()
    rest = with_stream.stars[~np.isin(with_stream.stars["source_id"], ids)]
    assert len(ids) == STREAM.stars
    assert _same(rest, result.stars)


def test_a_streams_stars_do_not_depend_on_its_company(with_stream: MockResult) -> None:
    other = replace(STREAM, name="other", pm_dec=-5.0, stars=10)
    both = SKY.with_streams(other, STREAM).generate(11)
    assert np.array_equal(both.truth.member_ids("short"), with_stream.truth.member_ids("short"))


def test_the_catalogue_follows_the_schema(with_stream: MockResult) -> None:
    assert set(with_stream.stars.colnames) == COLUMNS
    validate(with_stream.stars)


def test_every_cut_holds(with_stream: MockResult) -> None:
    stars = with_stream.stars
    assert len(stars) == SKY.stars + STREAM.stars
    assert np.asarray(stars["phot_g_mean_mag"]).min() > 12.0
    assert np.asarray(stars["phot_g_mean_mag"]).max() < 20.2
    assert np.asarray(stars["parallax"]).max() < 1.0
    separation = SkyCoord(stars["ra"], stars["dec"]).separation(SkyCoord(153.0 * u.deg, 29.2 * u.deg))
    assert separation.deg.max() <= 4.0
    assert separation.deg.max() > 3.95
    assert np.asarray(stars["ruwe"]).max() < 1.4


def test_without_parallax_cut_nearby_stars_appear() -> None:
    stars = replace(SKY, parallax_max=None, stars=500).generate(0).stars
    assert np.asarray(stars["parallax"]).max() > 1.5


@pytest.mark.parametrize("name", ["pmra", "pmdec"])
def test_pulls_are_standard_normal(result: MockResult, name: str) -> None:
    difference, error = _pulls(result, name)
    assert stats.kstest(difference / error, "norm").pvalue > 1e-3
    # Negative controls: one common error, or errors 20 % too small, are noticed.
    assert stats.kstest(difference / difference.std(), "norm").pvalue < 1e-6
    assert stats.kstest(difference / (0.8 * error), "norm").pvalue < 1e-6


def test_position_pulls_are_standard_normal(result: MockResult) -> None:
    degrees, error = _pulls(result, "ra")
    cosine = np.cos(np.radians(np.asarray(result.stars["dec"])))
    assert stats.kstest(degrees * cosine * 3.6e6 / error, "norm").pvalue > 1e-3
    assert stats.kstest(degrees * 3.6e6 / error, "norm").pvalue < 1e-3


def test_errors_grow_with_magnitude(result: MockResult) -> None:
    order = np.argsort(np.asarray(result.stars["phot_g_mean_mag"]))
    for name in ("ra_error", "dec_error", "parallax_error", "pmra_error", "pmdec_error"):
        medians = [np.median(part) for part in np.array_split(np.asarray(result.stars[name])[order], 8)]
        assert np.all(np.diff(medians) > 0.0)


def test_a_later_release_has_smaller_errors() -> None:
    g = np.linspace(13.0, 20.0, 8)
    third, fourth = (GaiaErrors(release).astrometric(g)["pmra"] for release in ("dr3", "dr4"))
    assert np.all(fourth < third)


def test_colour_errors_keep_growing_beyond_the_model() -> None:
    assert np.all(np.diff(GaiaErrors().photometric("bp", np.linspace(19.0, 23.0, 30))) > 0.0)


def test_identifiers_are_unique_and_encode_the_position(with_stream: MockResult) -> None:
    stars = with_stream.stars
    ids = np.asarray(stars["source_id"])
    assert ids.dtype == np.int64
    assert len(np.unique(ids)) == len(ids)
    pixel = healpy.ang2pix(4096, np.asarray(stars["ra"]), np.asarray(stars["dec"]), nest=True, lonlat=True)
    assert np.array_equal(ids >> 35, pixel)


def test_nothing_in_the_order_tells_members(with_stream: MockResult) -> None:
    ids = np.asarray(with_stream.stars["source_id"])
    assert np.all(np.diff(ids) > 0)
    members = np.isin(ids, with_stream.truth.member_ids())
    running = (ids >> 7) & (2**25 - 1)
    assert stats.ks_2samp(running[members], running[~members]).pvalue > 1e-3


def test_populations_have_their_expected_shares() -> None:
    """Without the parallax cut the mixture is the ratio of the integrals."""
    sky = replace(SKY, parallax_max=None, stars=4000)
    expected = expected_background(sky.survey)
    drawn = sky.generate(5).truth.background["population"]
    counts = np.array([(drawn == name).sum() for name in expected])
    share = np.array(list(expected.values())) / sum(expected.values())
    assert stats.chisquare(counts, counts.sum() * share).pvalue > 1e-3
    assert stats.chisquare(counts).pvalue < 1e-6


def test_thinning_is_the_share_of_the_galaxy(result: MockResult) -> None:
    assert 0.0 < result.truth.thinning < 1.0
    twice = replace(SKY, stars=2 * SKY.stars).generate(3).truth
    assert twice.thinning == pytest.approx(2 * result.truth.thinning, rel=0.05)


def test_a_sky_without_streams_has_empty_truth_tables(result: MockResult, with_stream: MockResult) -> None:
    assert len(result.truth.members) == len(result.truth.streams) == 0
    assert set(result.truth.streams.colnames) == set(with_stream.truth.streams.colnames)
    assert set(result.truth.members.colnames) == set(with_stream.truth.members.colnames)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"radius_deg": 0.0}, "radius_deg.*0.0"),
        ({"dec_deg": 91.0}, "dec_deg.*91.0"),
        ({"stars": 0}, "stars.*0"),
        ({"ra_deg": float("nan")}, "ra_deg.*nan"),
        ({"g_min": 19.0, "g_max": 15.0}, "g_min.*19.0"),
        ({"streams": (STREAM, STREAM)}, "short"),
    ],
)
def test_bad_recipes_are_refused(change: dict, message: str) -> None:
    with pytest.raises(MockError, match=message):
        replace(SKY, **change)


def test_a_recipe_survives_json() -> None:
    sky = SKY.with_streams(STREAM)
    assert MockSky.from_dict(json.loads(json.dumps(sky.to_dict()))) == sky
    with pytest.raises(MockError, match="radius"):
        MockSky.from_dict({"ra_deg": 0.0, "dec_deg": 0.0, "radius": 4.0, "stars": 10})


def test_bad_seed_and_release_are_refused() -> None:
    with pytest.raises(MockError, match="-1"):
        SKY.generate(-1)
    with pytest.raises(MockError, match="'dr9'"):
        GaiaErrors(release="dr9")
