"""The catalogue says of a stream what its description says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from catalog_entries import make_entry, make_members, make_track

from streams import StreamCatalog
from streams.catalog import flags_of, population_of, track_of_description
from streams.description import describe


@pytest.fixture(scope="module")
def members():
    """A stream with scatter across, of stars that are nearly all members."""
    rng = np.random.default_rng(3)
    stars = make_members(make_track(266.0, 62.0, 75.0, phi2=(0.0, 0.0, -0.01)), 300, 3)
    errors = {name: np.full(300, 0.1) for name in ("pmra_error", "pmdec_error")}
    return replace(
        stars, dec=stars.dec + rng.normal(0, 0.15, 300), probability=rng.uniform(0.6, 1.0, 300),
        pmra=stars.pmra + rng.normal(0, 0.1, 300), pmdec=stars.pmdec + rng.normal(0, 0.1, 300),
        pmra_pmdec_corr=np.zeros(300), bp_rp=rng.normal(0.8, 0.1, 300),
        phot_g_mean_mag=rng.uniform(17, 20, 300), **errors,
    )  # fmt: skip


@pytest.fixture(scope="module")
def description(members):
    return describe(members, objects=())


@pytest.fixture(scope="module")
def catalog(members, description):
    entry = replace(
        make_entry(stars=300), members=members, track=track_of_description(description),
        population=population_of(description), flags=flags_of(description),
    )  # fmt: skip
    return StreamCatalog.of([entry], {})


def test_place_and_motion_are_those_of_the_description(catalog, description):
    row = catalog.candidates[0]
    for name in ("ra", "dec", "l", "b", "position_angle", "pmra", "pmdec"):
        assert row[name] == pytest.approx(getattr(description, name), abs=1e-8)
    points = description.track(np.zeros(1))
    assert np.hypot(row["pmra_error"], row["pmdec_error"]) == pytest.approx(
        np.hypot(points.pm_phi1_cosphi2_error[0], points.pm_phi2_error[0])
    )


def test_the_whole_track_is_that_of_the_description(catalog, description):
    phi1 = np.linspace(-5, 5, 21)
    for found, expected in zip(catalog.track("VM-1").at(phi1), description.sky_track(phi1), strict=True):
        assert np.allclose(found, expected, atol=1e-8)


def test_stars_lie_where_the_description_puts_them(catalog, description, members):
    order = np.lexsort((members.source_id, -members.probability))
    own = description.project(members.take(order))
    for name in ("phi1", "phi2", "pm_phi1_cosphi2", "pm_phi2"):
        assert np.allclose(catalog.members[name], getattr(own, name), atol=1e-8)


def test_population_is_that_of_the_description(catalog, description):
    row, distance = catalog.candidates[0], description.distance
    assert row["stars"] == description.extent.stars and row["width"] == description.extent.width
    assert row["bp_rp"] == description.photometry.bp_rp
    assert row["surface_brightness"] == description.photometry.surface_brightness
    told = (row["distance"], row["distance_low"], row["distance_high"])
    assert np.array_equal(told, (distance.distance_kpc, *distance.range_kpc), equal_nan=True)
    assert (bool(row["distance_open"]), row["ridge"]) == (distance.open, distance.ridge)


def test_what_was_not_fitted_is_zero_without_an_error(description):
    curve = replace(description.track.pm_phi2, coefficients=(1.0, 2.0), covariance=((0.04, 0.0), (0.0, 0.09)))
    changed = replace(description, track=replace(description.track, pm_phi2=curve))
    track = track_of_description(changed)
    assert track.pm_phi2 == (1.0, 2.0, 0.0)
    assert np.allclose(track.pm_phi2_error, (0.2, 0.3, np.nan), equal_nan=True)


def test_the_flag_of_known_objects_tells_their_names(description):
    changed = replace(description, flags=("edge", "known_object"), known_objects=("M 13", "Bootes I"))
    assert flags_of(changed) == ("edge", "known_object:M 13+Bootes I")
    assert flags_of(replace(description, flags=())) == ()
