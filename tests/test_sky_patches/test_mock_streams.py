"""Laws of the mock streams, on the embedded demo sky."""

from __future__ import annotations

from dataclasses import replace

import astropy.units as u
import gala.dynamics as gd
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import Table

from sky_patches.errors import MockError
from sky_patches.mock import (
    MockResult,
    MockStream,
    demo_sky,
    distance_modulus,
    empty_sky,
    ridge_colour,
    stream_track,
)
from sky_patches.mock.populations import galactocentric_frame
from sky_patches.mock.spray import milky_way, progenitor

BRIGHT = ("Arachne", "Penelope", "Clotho")


@pytest.fixture(scope="module")
def demo() -> MockResult:
    return demo_sky().generate(2)


def _energies(stars: Table) -> np.ndarray:
    sky = SkyCoord(
        stars["ra"],
        stars["dec"],
        distance=stars["distance"],
        pm_ra_cosdec=stars["pmra"],
        pm_dec=stars["pmdec"],
        radial_velocity=stars["radial_velocity"],
    )
    place = gd.PhaseSpacePosition(sky.transform_to(galactocentric_frame()).cartesian)
    return np.asarray(place.energy(milky_way()).to_value(u.km**2 / u.s**2))


def test_star_counts_are_exact(demo: MockResult) -> None:
    wanted = {stream.name: stream.stars for stream in demo_sky().streams}
    assert {row["name"]: row["stars"] for row in demo.truth.streams} == wanted
    assert len(demo.stars) == 40_000 + sum(wanted.values())
    for name, number in wanted.items():
        assert np.isin(demo.truth.member_ids(name), demo.stars["source_id"]).sum() == number


def test_members_stay_on_their_progenitors_orbit(demo: MockResult) -> None:
    for stream in demo_sky().streams:
        orbit = progenitor(stream).energy(milky_way()).to_value(u.km**2 / u.s**2)[0]
        members = demo.truth.members[demo.truth.members["stream"] == stream.name]
        relative = _energies(members) / orbit - 1.0
        assert np.abs(relative).max() < 0.05
        assert relative.std() < 0.02
    # Negative control: halo stars of the same sky do not share an energy.
    halo = demo.truth.background[demo.truth.background["population"] == "halo"][:500]
    assert (_energies(halo) / orbit - 1.0).std() > 0.1


@pytest.mark.parametrize("name", BRIGHT)
def test_bright_streams_stand_out_in_their_box(demo: MockResult, name: str) -> None:
    row = demo.truth.streams[demo.truth.streams["name"] == name][0]
    stars = demo.stars
    colour = np.asarray(stars["bp_rp"])
    box = (colour > 0.5) & (colour < 1.0)
    for motion in ("pmra", "pmdec"):
        box &= np.abs(np.asarray(stars[motion]) - row[motion]) < 3.0
    member = np.isin(np.asarray(stars["source_id"]), demo.truth.member_ids(name))
    assert (box & member).sum() / box.sum() > 0.06
    assert (box & member).sum() > 0.9 * row["stars"]


def test_streams_are_thin_and_cross_the_cone(demo: MockResult) -> None:
    for row in demo.truth.streams:
        assert 0.1 < row["width"] < 0.7
        assert row["length"] > 12.0
        assert 6.0 < row["distance"] < 15.0


def test_members_follow_the_ridge_at_their_own_distance(demo: MockResult) -> None:
    members = demo.truth.members
    absolute = np.asarray(members["phot_g_mean_mag"]) - distance_modulus(np.asarray(members["distance"]))
    offset = np.asarray(members["bp_rp"]) - ridge_colour(absolute, -1.8)
    assert offset.std() == pytest.approx(0.02, rel=0.15)
    assert np.asarray(members["bp_rp"]).std() > 0.04


def test_track_of_a_great_circle_has_no_width() -> None:
    circle = SkyCoord(150.0 * u.deg, 20.0 * u.deg).directional_offset_by(
        35.0 * u.deg, np.linspace(-8, 8, 50) * u.deg
    )
    along, across, angle = stream_track(circle.ra.deg, circle.dec.deg)
    assert np.ptp(along) == pytest.approx(16.0, rel=0.01)
    assert np.abs(across).max() < 0.02
    assert angle == pytest.approx(35.0, abs=1.0)


def test_a_stream_that_misses_the_cone_is_refused() -> None:
    away = replace(demo_sky().streams[3], ra_deg=300.0, age_gyr=0.5, dissolved_gyr=0.0)
    with pytest.raises(MockError, match=r"'Atropos': 60 stars wanted, but only 0"):
        replace(empty_sky(), stars=100).with_streams(away).generate(0)


@pytest.mark.parametrize(
    "change",
    [{"stars": 0}, {"dissolved_gyr": 4.0}, {"name": ""}, {"age_gyr": -1.0}, {"metallicity": float("nan")}],
)
def test_bad_recipes_are_refused(change: dict) -> None:
    values = {"name": "x", "stars": 5, **change}
    with pytest.raises(MockError):
        MockStream(ra_deg=0, dec_deg=0, distance_kpc=8, pm_ra_cosdec=0, pm_dec=0, radial_velocity=0, **values)
