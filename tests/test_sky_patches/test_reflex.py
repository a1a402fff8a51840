"""Laws of the reflex correction: stars at rest stand still, it agrees with gala, and it can be undone."""

from __future__ import annotations

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import (
    ICRS,
    CartesianDifferential,
    CartesianRepresentation,
    SkyCoord,
    galactocentric_frame_defaults,
)
from astropy.table import Table
from hypothesis import given
from hypothesis import strategies as st

from sky_patches.errors import FrameError
from sky_patches.frames import PatchFrame
from sky_patches.reflex import SUN, SolarMotion, reflex_corrected, reflex_motion

KM_S, MAS_YR = u.km / u.s, u.mas / u.yr


def stars(n: int = 300, seed: int = 4) -> tuple[Table, np.ndarray]:
    rng = np.random.default_rng(seed)
    table = Table(
        {
            "ra": rng.uniform(0, 360, n) * u.deg,
            "dec": np.degrees(np.arcsin(rng.uniform(-1, 1, n))) * u.deg,
            "pmra": rng.normal(0, 5, n) * MAS_YR,
            "pmdec": rng.normal(0, 5, n) * MAS_YR,
            "radial_velocity": rng.normal(0, 150, n) * KM_S,
        }
    )
    return table, rng.uniform(0.5, 60, n)


def test_a_star_at_rest_in_the_galaxy_stands_still():
    rng = np.random.default_rng(1)
    still = CartesianDifferential(np.zeros((3, 200)) * KM_S)
    places = CartesianRepresentation(rng.normal(0, 15, (3, 200)) * u.kpc, differentials=still)
    seen = SkyCoord(SUN.to_astropy().realize_frame(places)).transform_to(ICRS())
    table = Table(
        {
            "ra": seen.ra,
            "dec": seen.dec,
            "pmra": seen.pm_ra_cosdec,
            "pmdec": seen.pm_dec,
            "radial_velocity": seen.radial_velocity,
        }
    )
    assert np.abs(table["pmra"]).max() > 1.0, "before the correction it does move"
    corrected = reflex_corrected(table, seen.distance)
    for name in ("pmra", "pmdec", "radial_velocity"):
        assert np.abs(np.asarray(corrected[name])).max() < 1e-9
    # Negative control: another Sun leaves a motion.
    other = reflex_corrected(table, seen.distance, SolarMotion(velocity_km_s=(11.1, 232.24, 7.25)))
    assert np.abs(np.asarray(other["pmra"])).max() > 1e-2


def test_agrees_with_gala():
    from gala.coordinates import reflex_correct

    table, distance = stars()
    sky = SkyCoord(
        table["ra"],
        table["dec"],
        distance * u.kpc,
        pm_ra_cosdec=table["pmra"],
        pm_dec=table["pmdec"],
        radial_velocity=table["radial_velocity"],
    )
    expected = reflex_correct(sky, SUN.to_astropy())
    corrected = reflex_corrected(table, distance)
    np.testing.assert_allclose(corrected["pmra"], expected.pm_ra_cosdec.to_value(MAS_YR), atol=1e-10)
    np.testing.assert_allclose(corrected["pmdec"], expected.pm_dec.to_value(MAS_YR), atol=1e-10)
    np.testing.assert_allclose(
        corrected["radial_velocity"], expected.radial_velocity.to_value(KM_S), atol=1e-8
    )


def test_the_sun_is_that_of_astropy_v4():
    from astropy.coordinates import Galactocentric

    with galactocentric_frame_defaults.set("v4.0"):
        assert Galactocentric().is_equivalent_frame(SUN.to_astropy())
    assert not Galactocentric(galcen_distance=8 * u.kpc).is_equivalent_frame(SUN.to_astropy())
    assert np.linalg.norm(SUN.velocity_icrs) == pytest.approx(np.linalg.norm(SUN.velocity_km_s), rel=1e-9)


@given(ra=st.floats(0, 360), dec=st.floats(-90, 90), distance=st.floats(0.1, 200), factor=st.floats(1.1, 10))
def test_the_reflex_fades_with_distance_and_is_never_faster_than_the_sun(ra, dec, distance, factor):
    near, far = (np.array(reflex_motion(ra, dec, d)) for d in (distance, factor * distance))
    np.testing.assert_allclose(near, factor * far, rtol=1e-9, atol=1e-12)
    assert np.hypot(*near) <= np.linalg.norm(SUN.velocity_icrs) / 4.740 / distance * (1 + 1e-3)


def test_the_correction_can_be_undone_and_does_not_touch_its_input():
    table, distance = stars()
    before = table["pmra"].copy()
    corrected = reflex_corrected(table, distance)
    back = (
        np.asarray(corrected["pmra"])
        + reflex_motion(table["ra"].quantity, table["dec"].quantity, distance)[0]
    )
    np.testing.assert_allclose(back, before, atol=1e-12)
    assert list(table["pmra"]) == list(before)
    with pytest.raises(FrameError, match="already"):
        reflex_corrected(corrected, distance)


def test_correcting_commutes_with_the_patch_frame():
    table, distance = stars()
    frame = PatchFrame.gala("GD1Koposov10")
    after = frame.project(reflex_corrected(table, distance))
    reflex = reflex_motion(table["ra"].quantity, table["dec"].quantity, distance * u.kpc)
    along, across = frame.project_motions(table["ra"].quantity, table["dec"].quantity, *reflex)
    before = frame.project(table)
    np.testing.assert_allclose(after["pm_phi1_cosphi2"], before["pm_phi1_cosphi2"] - along, atol=1e-9)
    np.testing.assert_allclose(after["pm_phi2"], before["pm_phi2"] - across, atol=1e-9)


def test_impossible_distances_and_missing_columns_are_refused():
    table, _ = stars(3)
    with pytest.raises(FrameError, match=r"0\.0 kpc"):
        reflex_corrected(table, [1.0, 0.0, 2.0])
    with pytest.raises(FrameError, match="kpc"):
        reflex_corrected(table, 1.0 * u.deg)
    table.remove_column("pmdec")
    with pytest.raises(FrameError, match="'pmdec'"):
        reflex_corrected(table, 1.0)
