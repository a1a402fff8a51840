"""Laws of the Galactocentric frame: it is astropy's, can be inverted, and its covariance is that of draws."""

from __future__ import annotations

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import ICRS, Galactocentric, SkyCoord, galactocentric_frame_defaults
from hypothesis import given
from hypothesis import strategies as st

from dm_map.errors import SampleError
from dm_map.input import KM_S_PER_MAS_YR_KPC, Observables, SolarFrame

FRAME = SolarFrame()
STEPS = (1e-6, 1e-6, 1e-5, 1e-4, 1e-4, 1e-3)


def _stars(n: int, seed: int) -> Observables:
    rng = np.random.default_rng(seed)
    return Observables(
        ra=rng.uniform(0, 360, n),
        dec=np.degrees(np.arcsin(rng.uniform(-1, 1, n))),
        distance=rng.uniform(0.05, 4, n),
        pmra=rng.normal(0, 8, n),
        pmdec=rng.normal(0, 8, n),
        radial_velocity=rng.normal(0, 60, n),
    )


def _by_astropy(seen: Observables, frame: Galactocentric) -> tuple[np.ndarray, np.ndarray]:
    coordinates = SkyCoord(
        ra=seen.ra * u.deg,
        dec=seen.dec * u.deg,
        distance=seen.distance * u.kpc,
        pm_ra_cosdec=seen.pmra * u.mas / u.yr,
        pm_dec=seen.pmdec * u.mas / u.yr,
        radial_velocity=seen.radial_velocity * u.km / u.s,
    ).transform_to(frame)
    return coordinates.cartesian.xyz.to_value(u.kpc).T, coordinates.velocity.d_xyz.to_value(u.km / u.s).T


def test_the_default_frame_is_that_of_astropy():
    seen = _stars(200, 1)
    with galactocentric_frame_defaults.set("v4.0"):
        x, v = _by_astropy(seen, Galactocentric())
    ours = FRAME.phase_space(seen)
    np.testing.assert_allclose(ours[0], x, atol=1e-12)
    np.testing.assert_allclose(ours[1], v, atol=1e-9)
    with galactocentric_frame_defaults.set("pre-v4.0"):
        assert np.abs(_by_astropy(seen, Galactocentric())[0] - x).max() > 0.1
        np.testing.assert_array_equal(FRAME.phase_space(seen)[0], ours[0])


@given(
    distance=st.floats(7, 9),
    height=st.floats(-50, 50),
    velocity=st.tuples(*[st.floats(-300, 300)] * 3),
    centre=st.tuples(st.floats(0, 359), st.floats(-80, 80)),
)
def test_any_frame_is_that_of_astropy(distance, height, velocity, centre):
    frame, seen = SolarFrame(distance, height, velocity, centre, "test"), _stars(5, 2)
    x, v = _by_astropy(seen, frame.astropy())
    ours = frame.phase_space(seen)
    np.testing.assert_allclose(ours[0], x, atol=1e-11)
    np.testing.assert_allclose(ours[1], v, atol=1e-8)


def test_the_sun_is_where_it_is_said_to_be():
    x, y, z = FRAME.position
    assert (
        np.hypot(x, z) == pytest.approx(8.122)
        and x < 0
        and y == pytest.approx(0)
        and z == pytest.approx(0.0208)
    )
    here = Observables(*(np.array([value]) for value in (10.0, 20.0, 0.0, 5.0, 5.0, 0.0)))
    x, v = FRAME.phase_space(here)
    np.testing.assert_allclose(x[0], FRAME.position)
    np.testing.assert_allclose(v[0], FRAME.velocity)
    with pytest.raises(SampleError, match="Sun"):
        FRAME.observables(x, v)


@given(st.integers(0, 2**31))
def test_observing_undoes_the_transformation(seed):
    seen = _stars(20, seed)
    again = FRAME.observables(*FRAME.phase_space(seen))
    for name, one, two in zip(Observables._fields, seen, again, strict=True):
        np.testing.assert_allclose(two, one, rtol=1e-8, atol=1e-7, err_msg=name)


def test_the_jacobian_is_the_derivative():
    """By differences; the frame east, north, outward is carried along without turning, as on a plane."""
    seen = _stars(50, 3)
    jacobian = FRAME.jacobian(seen)
    tilt = np.tan(np.radians(seen.dec))
    for column, step in enumerate(STEPS):
        shifted = [[np.array(values) for values in seen] for _ in range(2)]
        for sign, values in zip((1, -1), shifted, strict=True):
            if column == 0:
                values[0] += np.degrees(sign * step / np.cos(np.radians(seen.dec)))
                # Moving east turns the local directions by this angle; the proper motion keeps its own.
                values[3] += sign * step * tilt * seen.pmdec
                values[4] -= sign * step * tilt * seen.pmra
            else:
                values[column] += np.degrees(sign * step) if column == 1 else sign * step
        ahead, behind = (np.hstack(FRAME.phase_space(Observables(*values))) for values in shifted)
        np.testing.assert_allclose(
            jacobian[:, :, column], (ahead - behind) / (2 * step), rtol=1e-5, atol=1e-5
        )


def _drawn(seen: Observables, errors: np.ndarray, correlation: float, sign: int, n: int) -> np.ndarray:
    """Phase-space coordinates of n measurements of one star, distance and pmra correlated."""
    rng = np.random.default_rng(4)
    draws = rng.standard_normal((n, 6))
    draws[:, 3] = sign * correlation * draws[:, 2] + np.sqrt(1 - correlation**2) * draws[:, 3]
    values = np.column_stack([np.repeat(values, n) for values in seen])
    shifts = draws * errors
    shifts[:, 0] /= np.cos(np.radians(seen.dec))
    shifts[:, :2] = np.degrees(shifts[:, :2])
    return np.hstack(FRAME.phase_space(Observables(*(values + shifts).T)))


@pytest.mark.statistical
def test_the_covariance_is_that_of_draws():
    """With a negative control: the wrong sign of the correlation is seen."""
    seen = Observables(*(np.array([value]) for value in (40.0, 25.0, 1.5, 6.0, -9.0, 30.0)))
    errors, n = np.array([1e-5, 1e-5, 0.03, 0.05, 0.05, 1.0]), 200_000
    predicted = FRAME.covariance(seen, errors[None], {(2, 3): np.array([0.6])})[0]
    scale = np.sqrt(np.outer(np.diag(predicted), np.diag(predicted)))
    found = [np.cov(_drawn(seen, errors, 0.6, sign, n).T) for sign in (1, -1)]
    # The standard error of a sample covariance is at most sqrt(2 / n) in these units.
    limit = 5 * np.sqrt(2 / n)
    assert np.max(np.abs(found[0] - predicted) / scale) < limit
    assert np.max(np.abs(found[1] - predicted) / scale) > 3 * limit


def test_chunks_do_not_matter(monkeypatch):
    seen = _stars(17, 5)
    errors = np.random.default_rng(6).uniform(0.01, 0.1, (17, 6))
    corr = {(3, 4): np.linspace(-0.9, 0.9, 17)}
    whole = FRAME.covariance(seen, errors, corr)
    monkeypatch.setattr("dm_map.input.galactocentric._CHUNK", 5)
    np.testing.assert_allclose(FRAME.covariance(seen, errors, corr), whole, rtol=1e-13)
    assert np.all(np.linalg.eigvalsh(whole) > -1e-9 * np.trace(whole, axis1=1, axis2=2)[:, None])


def test_the_unit_of_proper_motion():
    assert pytest.approx(4.74047, abs=1e-5) == KM_S_PER_MAS_YR_KPC


@pytest.mark.parametrize("wrong", [{"distance": -8.0}, {"height": 9000.0}, {"velocity": (1.0, np.nan, 2.0)}])
def test_a_frame_that_is_none(wrong):
    with pytest.raises(SampleError, match="Sun"):
        SolarFrame(**wrong)


def test_the_frame_is_astropys_type():
    assert isinstance(FRAME.astropy(), Galactocentric) and isinstance(FRAME.astropy().galcen_coord, ICRS)
