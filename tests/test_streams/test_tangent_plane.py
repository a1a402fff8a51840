"""Laws of the tangent plane: a round trip, straight great circles, a reach."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams import LineSearchError, TangentPlane
from streams.plane import MAX_DISTANCE_DEG

angles = st.floats(0.0, 360.0)


def _unit(phi1, phi2):
    a, b = np.radians(phi1), np.radians(phi2)
    return np.stack([np.cos(b) * np.cos(a), np.cos(b) * np.sin(a), np.sin(b)], axis=-1)


def _great_circle(start, direction, arc):
    """Points at `arc` (rad) along the great circle from (phi1, phi2) = start towards a position angle."""
    origin = _unit(*start)
    a, b = np.radians(start)
    east = np.array([-np.sin(a), np.cos(a), 0.0])
    north = np.array([-np.sin(b) * np.cos(a), -np.sin(b) * np.sin(a), np.cos(b)])
    towards = np.cos(direction) * east + np.sin(direction) * north
    points = np.cos(arc)[:, None] * origin + np.sin(arc)[:, None] * towards
    return np.degrees(np.arctan2(points[:, 1], points[:, 0])), np.degrees(np.arcsin(points[:, 2]))


@given(st.floats(-180, 180), st.floats(-80, 80), angles, st.floats(0.0, 55.0))
def test_unproject_undoes_project(phi1, phi2, bearing, distance):
    plane = TangentPlane(phi1, phi2)
    x, y = (
        np.array([np.degrees(np.tan(np.radians(distance))) * f(np.radians(bearing))])
        for f in (np.cos, np.sin)
    )
    there = plane.project(*plane.unproject(x, y))
    assert np.allclose(there, (x, y), rtol=0, atol=1e-10)


@given(st.floats(-15, 15), st.floats(-15, 15), st.floats(-25, 25), st.floats(-25, 25))
def test_project_undoes_unproject(centre1, centre2, phi1, phi2):
    plane = TangentPlane(centre1, centre2)
    back = plane.unproject(*plane.project(np.array([phi1]), np.array([phi2])))
    assert np.allclose(back, ([phi1], [phi2]), rtol=0, atol=1e-10)


@given(st.floats(-10, 10), st.floats(-10, 10), st.floats(0, 2 * np.pi))
def test_great_circles_are_straight(phi1, phi2, direction):
    points = np.stack(
        TangentPlane(2.0, -3.0).project(*_great_circle((phi1, phi2), direction, np.linspace(-0.3, 0.3, 9)))
    )
    spread = np.linalg.svd(points - points.mean(axis=1, keepdims=True), compute_uv=False)
    assert spread[1] < 1e-9 * spread[0]


def test_a_small_circle_is_not_straight():
    """Negative control: a parallel of latitude bends."""
    points = np.stack(TangentPlane(0.0, 0.0).project(np.linspace(-10, 10, 9), np.full(9, 5.0)))
    spread = np.linalg.svd(points - points.mean(axis=1, keepdims=True), compute_uv=False)
    assert spread[1] > 1e-4 * spread[0]


def test_near_the_centre_a_unit_is_a_degree():
    x, y = TangentPlane(10.0, 40.0).project(np.array([10.0, 10.0 + 1e-3]), np.array([40.0 + 1e-3, 40.0]))
    assert np.allclose(np.hypot(x, y), [1e-3, 1e-3 * np.cos(np.radians(40.0))], rtol=1e-6)


def test_stars_beyond_the_reach_of_the_plane_are_refused_with_their_distance():
    plane = TangentPlane(0.0, 0.0)
    plane.project(np.array([MAX_DISTANCE_DEG - 0.01]), np.array([0.0]))
    with pytest.raises(LineSearchError, match=r"61\.0 deg away: cut"):
        plane.project(np.array([0.0, 61.0]), np.array([0.0, 0.0]))
