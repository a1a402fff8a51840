"""Laws of the patch frames: they agree with astropy and gala, keep lengths, and go back."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import MaskedColumn, Table
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sky_patches.errors import FrameError
from sky_patches.frames import PatchFrame, gala_frame_names

FRAMES = [
    PatchFrame.offset(0.0, 0.0),
    PatchFrame.offset(359.9, 45.0, 30.0),
    PatchFrame.offset(120.0, 89.999, -75.0),
    PatchFrame.offset(10.0, -90.0),
    PatchFrame.galactic(),
    *(PatchFrame.gala(name) for name in gala_frame_names()),
]
longitudes = st.floats(-360.0, 720.0)
latitudes = st.floats(-90.0, 90.0)
motions = st.floats(-500.0, 500.0)


def _reference(frame: PatchFrame, ra, dec, pmra, pmdec) -> SkyCoord:
    sky = SkyCoord(
        ra=ra * u.deg, dec=dec * u.deg, pm_ra_cosdec=pmra * u.mas / u.yr, pm_dec=pmdec * u.mas / u.yr
    )
    return sky.transform_to(frame.to_astropy())


def _separation(lon1, lat1, lon2, lat2) -> np.ndarray:
    first, second = SkyCoord(lon1, lat1, unit="deg"), SkyCoord(lon2, lat2, unit="deg")
    return first.separation(second).deg


@pytest.mark.parametrize("frame", FRAMES, ids=lambda f: f.name or f"{f.kind} {f.dec_deg}")
def test_agrees_with_astropy_and_gala(frame):
    rng = np.random.default_rng(5)
    ra, dec = rng.uniform(0, 360, 500), np.degrees(np.arcsin(rng.uniform(-1, 1, 500)))
    pmra, pmdec = rng.normal(0, 20, (2, 500))
    expected = _reference(frame, ra, dec, pmra, pmdec)
    phi1, phi2 = frame.project_positions(ra, dec)
    lon, lat = expected.spherical.lon.wrap_at(180 * u.deg).deg, expected.spherical.lat.deg
    assert np.all(_separation(phi1, phi2, lon, lat) < 1e-9)
    np.testing.assert_allclose(phi2, lat, atol=1e-9)
    along, across = frame.project_motions(ra, dec, pmra, pmdec)
    names = expected.frame.get_representation_component_names("s")
    components = {value: getattr(expected, key) for key, value in names.items()}
    np.testing.assert_allclose(along, components["d_lon_coslat"].to_value(u.mas / u.yr), atol=1e-9)
    np.testing.assert_allclose(across, components["d_lat"].to_value(u.mas / u.yr), atol=1e-9)


@settings(max_examples=150)
@given(frame=st.sampled_from(FRAMES), ra=longitudes, dec=latitudes, pmra=motions, pmdec=motions)
@example(frame=FRAMES[0], ra=0.0, dec=90.0, pmra=3.0, pmdec=4.0)
@example(frame=FRAMES[3], ra=200.0, dec=-90.0, pmra=3.0, pmdec=4.0)
@example(frame=FRAMES[0], ra=180.0, dec=0.0, pmra=3.0, pmdec=4.0)
@example(frame=PatchFrame.offset(10.0, -90.0), ra=0.0, dec=90.0, pmra=0.0, pmdec=0.0)
@example(frame=FRAMES[0], ra=-1e-15, dec=0.0, pmra=3.0, pmdec=4.0)
def test_there_and_back_keeps_the_star_and_the_length_of_its_motion(frame, ra, dec, pmra, pmdec):
    phi1, phi2 = frame.project_positions(ra, dec)
    assert -180.0 < phi1 <= 180.0 and -90.0 <= phi2 <= 90.0
    back_ra, back_dec = frame.unproject(phi1, phi2)
    assert 0.0 <= back_ra < 360.0
    assert _separation(back_ra, back_dec, ra, dec) < 1e-9
    along, across = frame.project_motions(ra, dec, pmra, pmdec)
    np.testing.assert_allclose(np.hypot(along, across), np.hypot(pmra, pmdec), rtol=1e-7, atol=1e-12)
    if abs(dec) < 89.9 and abs(phi2) < 89.9:
        again = frame.unproject_motions(phi1, phi2, along, across)
        np.testing.assert_allclose(again, (pmra, pmdec), rtol=0, atol=1e-9)


@settings(max_examples=80)
@given(
    ra0=st.floats(0, 360),
    dec0=latitudes,
    rotation=st.floats(-180, 180),
    distance=st.floats(0.01, 60),
    position_angle=st.floats(0, 360),
)
def test_any_offset_frame_agrees_with_astropy(ra0, dec0, rotation, distance, position_angle):
    frame = PatchFrame.offset(ra0, dec0, rotation)
    star = SkyCoord(ra0, dec0, unit="deg").directional_offset_by(position_angle * u.deg, distance * u.deg)
    ra, dec = star.ra.deg, star.dec.deg
    expected = _reference(frame, ra, dec, 7.0, -3.0)
    phi1, phi2 = frame.project_positions(ra, dec)
    assert abs(phi1 - expected.lon.wrap_at(180 * u.deg).deg) < 1e-9 or abs(abs(phi1) - 180) < 1e-9
    assert abs(phi2 - expected.lat.deg) < 1e-9
    motion = frame.project_motions(ra, dec, 7.0, -3.0)
    answer = (expected.pm_lon_coslat.to_value(u.mas / u.yr), expected.pm_lat.to_value(u.mas / u.yr))
    np.testing.assert_allclose(motion, answer, atol=1e-9)


def _stars(n: int = 200, seed: int = 3) -> Table:
    rng = np.random.default_rng(seed)
    return Table(
        {
            "source_id": rng.integers(2**60, 2**62, n),
            "ra": rng.uniform(0, 360, n) * u.deg,
            "dec": rng.uniform(-80, 80, n) * u.deg,
            "pmra": rng.normal(0, 5, n) * u.mas / u.yr,
            "pmdec": rng.normal(0, 5, n) * u.mas / u.yr,
            "pmra_error": rng.uniform(0.1, 1, n) * u.mas / u.yr,
            "pmdec_error": rng.uniform(0.1, 1, n) * u.mas / u.yr,
            "pmra_pmdec_corr": rng.uniform(-0.95, 0.95, n),
        }
    )


@pytest.mark.parametrize("name", ["GD1Koposov10", "SagittariusLaw10"])
def test_errors_are_the_spread_of_the_motions(name):
    """Draws of (pmra, pmdec) from their covariance, projected, scatter by the projected covariance."""
    frame, stars = PatchFrame.gala(name), _stars(5)
    projected = frame.project(stars)
    rng = np.random.default_rng(11)
    for row in range(len(stars)):
        east, north = stars["pmra_error"][row], stars["pmdec_error"][row]
        mixed = stars["pmra_pmdec_corr"][row] * east * north
        draws = rng.multivariate_normal([0.0, 0.0], [[east**2, mixed], [mixed, north**2]], 40_000)
        moved = frame.project_motions(stars["ra"][row], stars["dec"][row], draws[:, 0], draws[:, 1])
        covariance = np.cov(moved)
        assert np.sqrt(covariance[0, 0]) == pytest.approx(projected["pm_phi1_cosphi2_error"][row], rel=0.02)
        assert np.sqrt(covariance[1, 1]) == pytest.approx(projected["pm_phi2_error"][row], rel=0.02)
        correlation = covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1])
        assert correlation == pytest.approx(projected["pm_phi1_pm_phi2_corr"][row], abs=0.02)


def test_errors_keep_the_trace_and_the_determinant():
    stars = _stars()
    out = PatchFrame.offset(33.0, 20.0, 40.0).project(stars)
    error1, error2 = out["pm_phi1_cosphi2_error"].value, out["pm_phi2_error"].value
    before, after = stars["pmra_error"].value * stars["pmdec_error"].value, error1 * error2
    np.testing.assert_allclose(error1**2 + error2**2, stars["pmra_error"] ** 2 + stars["pmdec_error"] ** 2)
    np.testing.assert_allclose(
        after * np.sqrt(1 - out["pm_phi1_pm_phi2_corr"] ** 2),
        before * np.sqrt(1 - stars["pmra_pmdec_corr"] ** 2),
        rtol=1e-9,
    )


def test_projection_carries_all_rows_and_columns():
    stars = _stars()
    out = PatchFrame.galactic().project(stars)
    assert list(out["source_id"]) == list(stars["source_id"])
    assert set(stars.colnames) < set(out.colnames)
    assert "phi1" not in stars.colnames
    assert out["phi1"].unit == u.deg and out["pm_phi2"].unit == u.mas / u.yr
    assert PatchFrame.from_dict(out.meta["patch_frame"]) == PatchFrame.galactic()


def test_positions_alone_are_enough_and_units_are_converted():
    stars = Table({"ra": [0.1, 0.2] * u.rad, "dec": [0.1, -0.2] * u.rad})
    frame = PatchFrame.offset(10, 0)
    out = frame.project(stars)
    assert "pm_phi2" not in out.colnames
    expected = frame.project_positions(np.degrees([0.1, 0.2]), np.degrees([0.1, -0.2]))
    np.testing.assert_allclose((out["phi1"], out["phi2"]), expected, atol=1e-12)


def test_missing_values_stay_missing():
    stars = Table({"ra": [1.0, 2.0], "dec": MaskedColumn([1.0, 2.0], mask=[False, True])})
    out = PatchFrame.offset(0, 0).project(stars)
    assert np.isfinite(out["phi1"][0]) and np.isnan(out["phi1"][1])


@pytest.mark.parametrize("frame", FRAMES, ids=lambda f: f.name or f"{f.kind} {f.dec_deg}")
def test_frames_survive_json_and_pickle(frame):
    frame.project_positions(1.0, 2.0)
    assert PatchFrame.from_dict(json.loads(json.dumps(frame.to_dict()))) == frame
    assert pickle.loads(pickle.dumps(frame)) == frame
    assert hash(PatchFrame.from_dict(frame.to_dict())) == hash(frame)


def test_unknown_stream_frame_names_the_nearest():
    with pytest.raises(FrameError, match="GD1Koposov10"):
        PatchFrame.gala("GD1Koposov")
    with pytest.raises(FrameError, match="offset"):
        PatchFrame.gala("GreatCircleICRSFrame")


@pytest.mark.parametrize(
    "values", [{}, {"kind": "ecliptic"}, {"kind": "offset", "ra": 3}, {"kind": "galactic", "name": "x"}]
)
def test_bad_descriptions_are_refused(values):
    with pytest.raises(FrameError):
        PatchFrame.from_dict(values)


def test_bad_input_is_refused_with_its_value():
    with pytest.raises(FrameError, match="91"):
        PatchFrame.offset(0, 91.0)
    with pytest.raises(FrameError, match="nan"):
        PatchFrame.offset(float("nan"), 0)
    with pytest.raises(FrameError, match="'dec'"):
        PatchFrame.galactic().project(Table({"ra": [1.0], "de": [2.0]}))
    with pytest.raises(FrameError, match="pmdec"):
        PatchFrame.galactic().project(Table({"ra": [1.0], "dec": [2.0], "pmra": [1.0]}))
    with pytest.raises(FrameError, match="km"):
        PatchFrame.galactic().project(Table({"ra": [1.0] * u.km, "dec": [2.0] * u.deg}))
