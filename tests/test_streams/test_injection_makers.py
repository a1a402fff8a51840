"""Injected streams are where, and what, they are said to be."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from astropy.table import Table
from hypothesis import given, settings
from hypothesis import strategies as st

from sky_patches import SCHEMA, Circle, PatchFrame, PatchGeometry, WithHoles
from sky_patches.footprints import Hole
from streams.injection import (
    InjectionError,
    ModelStream,
    MovedMembers,
    Place,
    StreamMaker,
    SurveyStars,
    densest_motion,
    great_circle_frame,
    surface_brightness,
    surface_density,
)

__all__: list[str] = []

GEOMETRY = PatchGeometry.circle("field", 150.0, 30.0, 8.0)
COLUMNS = (
    "source_id", "ra", "dec", "parallax", "parallax_error", "pmra", "pmdec", "pmra_error", "pmdec_error",
    "pmra_pmdec_corr", "phot_g_mean_mag", "phot_bp_mean_mag", "phot_rp_mean_mag", "bp_rp", "ruwe",
)  # fmt: skip


def field_stars(count: int = 3000, seed: int = 5) -> Table:
    """A patch whose stars have errors that grow with magnitude, like no model: 0.1 at G = 16, 0.9 at 20."""
    rng = np.random.default_rng(seed)
    phi1, phi2 = GEOMETRY.footprint.sample(count, seed)
    ra, dec = GEOMETRY.frame.unproject(phi1, phi2)
    g = rng.uniform(15.0, 20.2, count)
    error = 0.1 + 0.2 * np.maximum(g - 16.0, 0.0)
    values = {
        "source_id": 10**15 + np.arange(count), "ra": ra, "dec": dec, "parallax": rng.normal(0.1, 0.1, count),
        "parallax_error": error, "pmra": rng.normal(-2.0, 3.0, count), "pmdec": rng.normal(-3.0, 3.0, count),
        "pmra_error": error, "pmdec_error": 1.2 * error, "pmra_pmdec_corr": np.full(count, 0.3),
        "phot_g_mean_mag": g, "phot_bp_mean_mag": g + 0.4, "phot_rp_mean_mag": g - 0.4,
        "bp_rp": np.full(count, 0.8), "ruwe": rng.normal(1.0, 0.05, count),
    }  # fmt: skip
    return Table({name: values[name] for name in COLUMNS})


SURVEY = SurveyStars(field_stars(), (15.0, 20.2))


def bare_survey(*columns: str) -> SurveyStars:
    return SurveyStars(field_stars()["source_id", "ra", "dec", "pmra", "pmdec", *columns], (15.0, 20.2))


def made(maker: StreamMaker, place: Place, stars: int = 2000, survey: SurveyStars = SURVEY, seed: int = 1):
    return maker.make(place, survey, GEOMETRY, stars, np.random.default_rng(seed))


def moved_by(stars: Table, seed: int = 3, count: int = 400) -> Table:
    """Members of a real stream elsewhere: 20 deg of a bent track with a gradient, as a list of labels."""
    rng = np.random.default_rng(seed)
    home = PatchFrame.offset(10.0, -40.0, 35.0)
    phi1 = rng.uniform(-10.0, 10.0, count)
    phi2 = 0.005 * phi1**2 + rng.normal(0.0, 0.15, count)
    ra, dec = home.unproject(phi1, phi2)
    motion = (2.0 + 0.1 * phi1 + rng.normal(0, 0.1, count), -1.0 - 0.05 * phi1 + rng.normal(0, 0.1, count))
    pmra, pmdec = home.unproject_motions(phi1, phi2, *motion)
    g = rng.uniform(16.0, 19.5, count)
    numbers = np.where(np.arange(count) < count - 5, 7, 8)
    return Table(
        {"ra": ra, "dec": dec, "pmra": pmra, "pmdec": pmdec, "parallax": np.zeros(count),
         "phot_g_mean_mag": g, "bp_rp": 0.6 + 0.05 * (g - 18), "stream": numbers}
    )  # fmt: skip


PLACE = Place.at(GEOMETRY, 151.0, 31.0, 40.0, (4.0, -6.0))
MEMBERS = moved_by(field_stars())


def test_a_model_stream_has_the_width_and_motion_that_its_truth_says():
    stream = made(ModelStream(width=0.3, gradient=(0.05, -0.08)), PLACE)
    stars, truth = stream.stars, stream.truth
    across = truth.across(np.asarray(stars["ra"]), np.asarray(stars["dec"]))
    assert abs(np.median(across)) < 0.03 and np.std(across) == pytest.approx(0.3, rel=0.06)
    residual = truth.motion_offset(*(np.asarray(stars[name]) for name in ("ra", "dec", "pmra", "pmdec")))
    assert np.all(np.abs(np.median(residual, axis=0)) < 0.05)
    # The control: a truth without the gradient does not fit.
    flat = dataclasses.replace(truth, motion=tuple((a, 0.0) for a, _ in truth.motion))
    left, _ = truth.frame.project_positions(np.asarray(stars["ra"]), np.asarray(stars["dec"]))
    wrong = flat.motion_offset(*(np.asarray(stars[name]) for name in ("ra", "dec", "pmra", "pmdec")))
    assert abs(np.corrcoef(left, wrong[:, 0])[0, 1]) > 0.2 > abs(np.corrcoef(left, residual[:, 0])[0, 1])


def test_the_patch_sees_the_motion_that_was_asked_for():
    stream = made(ModelStream(length=4.0), PLACE)
    seen = GEOMETRY.frame.project(stream.stars)
    assert np.median(seen["pm_phi1_cosphi2"]) == pytest.approx(4.0, abs=0.1)
    assert np.median(seen["pm_phi2"]) == pytest.approx(-6.0, abs=0.1)


@settings(max_examples=15)
@given(st.floats(0.0, 360.0), st.integers(0, 2**20))
def test_all_stars_lie_in_the_footprint_and_none_in_its_holes(rotation, seed):
    footprint = WithHoles(Circle(8.0), (Hole("cluster", 1.0, 0.5, 1.5),))
    geometry = PatchGeometry("pierced", PatchFrame.offset(150.0, 30.0, rotation), footprint)
    rng = np.random.default_rng(seed)
    place = Place.random(geometry, (3.0, 1.0), rng)
    stars = ModelStream().make(place, SURVEY, geometry, 100, rng).stars
    assert len(stars) >= 100
    # Positions carry no noise: what the maker put inside is inside.
    assert geometry.contains(np.asarray(stars["ra"]), np.asarray(stars["dec"])).all()
    assert geometry.contains(np.array([place.frame.ra_deg]), np.array([place.frame.dec_deg])).all()


def test_the_rows_are_those_of_the_survey_with_its_errors_and_new_names():
    stars = made(ModelStream(), PLACE).stars
    assert tuple(stars.colnames) == COLUMNS
    assert all(stars[name].unit == SCHEMA[name].unit for name in COLUMNS)
    ids = np.asarray(stars["source_id"])
    assert len(np.unique(ids)) == len(ids) and not np.isin(ids, SURVEY.donors["source_id"]).any()
    # Errors follow the survey's own law with magnitude, not a model's.
    g = np.asarray(stars["phot_g_mean_mag"])
    expected = 0.1 + 0.2 * np.maximum(g - 16.0, 0.0)
    assert np.median(np.abs(stars["pmra_error"] - expected)) < 0.03
    assert np.allclose(stars["pmdec_error"], 1.2 * stars["pmra_error"])
    assert np.allclose(stars["phot_bp_mean_mag"] - stars["phot_rp_mean_mag"], stars["bp_rp"])


def test_the_noise_is_as_large_as_the_errors_say_and_correlated_as_they_say():
    stream = made(ModelStream(dispersion=0.0), PLACE, stars=4000)
    stars, truth = stream.stars, stream.truth
    phi = truth.frame.project_positions(np.asarray(stars["ra"]), np.asarray(stars["dec"]))
    true = truth.frame.unproject_motions(*phi, *(np.full(len(stars), a) for a, _ in truth.motion))
    pull = [
        (np.asarray(stars[name]) - value) / np.asarray(stars[f"{name}_error"])
        for name, value in zip(("pmra", "pmdec"), true, strict=True)
    ]
    assert np.std(pull, axis=1) == pytest.approx([1.0, 1.0], abs=0.05)
    assert np.corrcoef(pull)[0, 1] == pytest.approx(0.3, abs=0.05)


@pytest.mark.parametrize(
    "columns, ratio",
    [(("parallax_error",), 1.4), (("phot_g_mean_mag", "bp_rp"), None)],
    ids=["DR2", "G only"],
)
def test_a_survey_without_motion_errors_still_has_noise(columns, ratio):
    survey = bare_survey(*columns)
    stream = made(ModelStream(dispersion=0.0), PLACE, survey=survey)
    assert set(stream.stars.colnames) == {"source_id", "ra", "dec", "pmra", "pmdec", *columns}
    values = (np.asarray(stream.stars[name]) for name in ("ra", "dec", "pmra", "pmdec"))
    spread = np.std(stream.truth.motion_offset(*values))
    if ratio is not None:
        errors = np.asarray(survey.donors["parallax_error"])
        assert spread == pytest.approx(ratio * np.sqrt(np.mean(errors**2)), rel=0.05)
    assert spread > 0.05


def test_a_survey_that_tells_no_errors_is_refused():
    with pytest.raises(InjectionError, match="pmra_error"):
        made(ModelStream(), PLACE, survey=bare_survey())


def test_the_same_seed_makes_the_same_stream_and_another_does_not():
    one, same, other = (made(ModelStream(), PLACE, 50, seed=seed).stars for seed in (1, 1, 2))
    assert np.array_equal(one["pmra"], same["pmra"]) and np.array_equal(one["source_id"], same["source_id"])
    assert not np.array_equal(one["pmra"], other["pmra"])


def test_a_stream_of_no_stars_is_an_empty_table():
    for maker in (ModelStream(), MovedMembers(MEMBERS, 7)):
        stars = made(maker, PLACE, 0).stars
        assert len(stars) == 0 and tuple(stars.colnames) == COLUMNS


def test_farther_streams_are_fainter_and_show_fewer_dwarfs():
    near, far = (made(ModelStream(distance=kpc), PLACE).stars for kpc in (5.0, 30.0))
    assert np.median(near["phot_g_mean_mag"] - 5 * np.log10(5.0)) > np.median(
        far["phot_g_mean_mag"] - 5 * np.log10(30.0)
    )
    assert np.median(far["parallax"]) < np.median(near["parallax"])


def test_moved_members_keep_colours_gradients_and_shape():
    stream = made(MovedMembers(MEMBERS, 7, length=30.0), PLACE, 1000)
    stars, truth = stream.stars, stream.truth
    assert np.isin(stars["bp_rp"], MEMBERS["bp_rp"]).all()
    assert np.isin(stars["phot_g_mean_mag"], MEMBERS["phot_g_mean_mag"]).all()
    assert truth.width == pytest.approx(0.15, rel=0.25)
    # The gradient of the list, up to the direction in which phi1 counts.
    assert abs(truth.motion[0][1]) == pytest.approx(0.1, abs=0.02)
    seen = GEOMETRY.frame.project(stars)
    phi1, _ = truth.frame.project_positions(np.asarray(stars["ra"]), np.asarray(stars["dec"]))
    middle = np.abs(phi1) < 2.0
    assert np.median(seen["pm_phi1_cosphi2"][middle]) == pytest.approx(4.0, abs=0.15)
    assert np.median(seen["pm_phi2"][middle]) == pytest.approx(-6.0, abs=0.15)


def test_members_moved_away_are_fainter_slower_apart_and_noisier():
    here, away = (made(MovedMembers(MEMBERS, 7, shift, 30.0), PLACE, 1000) for shift in (0.0, 2.5))
    shifted = np.asarray(away.stars["phot_g_mean_mag"]) - 2.5
    assert all(np.abs(np.asarray(MEMBERS["phot_g_mean_mag"]) - g).min() < 1e-9 for g in shifted)
    assert abs(away.truth.motion[0][1]) == pytest.approx(abs(here.truth.motion[0][1]) * 10**-0.5, abs=0.04)
    spread = [
        np.std(s.truth.motion_offset(*(np.asarray(s.stars[c]) for c in ("ra", "dec", "pmra", "pmdec"))))
        for s in (here, away)
    ]
    assert spread[1] > 1.5 * spread[0]


@settings(max_examples=30)
@given(st.floats(0.0, 359.9), st.floats(-85.0, 85.0), st.floats(0.0, 360.0))
def test_the_frame_of_a_great_circle_runs_along_it(ra, dec, rotation):
    frame = PatchFrame.offset(ra, dec, rotation)
    along = np.linspace(-15.0, 25.0, 30)
    found = great_circle_frame(*frame.unproject(along, np.zeros(30)))
    phi1, phi2 = found.project_positions(*frame.unproject(along, np.zeros(30)))
    assert np.abs(phi2).max() < 1e-6 and np.ptp(phi1) == pytest.approx(40.0, abs=1e-6)


def test_light_and_density_are_what_a_small_sum_gives():
    # 100 stars of G = 20 are G = 15; within the FWHM are 76 % of them, on 2.355 x 0.5 x 10 deg^2.
    area = 2.3548 * 0.5 * 10.0
    expected = 15.0 + 2.5 * np.log10(area * 3600.0**2 / 0.76097)
    assert surface_brightness(np.full(100, 20.0), 0.5, 10.0) == pytest.approx(expected, abs=1e-3)
    assert surface_density(100, 0.5, 10.0) == pytest.approx(76.097 / area, rel=1e-3)
    assert np.isnan(surface_brightness(np.empty(0), 0.5, 10.0))


def test_the_densest_motion_is_the_peak_and_not_the_mean():
    rng = np.random.default_rng(2)
    motion = np.concatenate([rng.normal((1.0, -3.0), 0.8, (2000, 2)), rng.normal((9.0, 6.0), 4.0, (3000, 2))])
    assert densest_motion(motion) == pytest.approx((1.0, -3.0), abs=0.5)
    assert np.linalg.norm(motion.mean(axis=0) - (1.0, -3.0)) > 2.0


@pytest.mark.parametrize(
    "make, told",
    [
        (lambda: ModelStream(width=0.0), "width must lie"),
        (lambda: ModelStream(distance=float("nan")), "distance must lie"),
        (lambda: ModelStream(gradient=(99.0, 0.0)), "gradient"),
        (lambda: MovedMembers(MEMBERS, 99), "stream 99 has 0 members"),
        (lambda: MovedMembers(MEMBERS, 8), "stream 8 has 5 members"),
        (lambda: MovedMembers(MEMBERS, 7, modulus_shift=20.0), "modulus_shift"),
        (lambda: Place.at(GEOMETRY, 10.0, -40.0, 0.0, (0.0, 0.0)), "outside patch 'field'"),
        (lambda: made(ModelStream(), PLACE, -1), "0 or more stars, got -1"),
        (lambda: SurveyStars(field_stars()[:0], (15.0, 20.0)), "empty"),
        (lambda: SurveyStars(field_stars(), (20.0, 15.0)), "limits"),
        (lambda: densest_motion(np.full((3, 2), np.nan)), "no star"),
    ],
)
def test_bad_input_is_told_in_one_clear_error(make, told):
    with pytest.raises(InjectionError, match=told):
        make()
