"""Laws of the footprints: strips partition the area, agree with counting points, and follow symmetries."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sky_patches.errors import FootprintError
from sky_patches.footprints import Box, Circle, Footprint, footprint_from_dict, line_offset

SHAPES = [Circle(15.0), Circle(0.5), Box(-10.0, 10.0, -3.0, 3.0), Box(-50.0, -11.0, 2.0, 11.0)]
SHAPES += [Box(-2.0, 1.0, -30.0, 40.0)]
angles = st.one_of(
    st.floats(-7.0, 7.0),
    st.sampled_from([0.0, math.pi / 2, math.pi, -math.pi / 2, 1e-12, 1e-7, math.pi / 2 + 1e-9]),
)
shapes = pytest.mark.parametrize("shape", SHAPES, ids=str)


@shapes
def test_every_shape_is_a_footprint(shape):
    assert isinstance(shape, Footprint)


@given(shape=st.sampled_from(SHAPES), theta=angles, edges=st.lists(st.floats(-80, 80), max_size=12))
def test_strips_partition_the_area(shape, theta, edges):
    edges = np.array(sorted([-200.0, *edges, 200.0]))
    strips = shape.strip_area(theta, (edges[1:] + edges[:-1]) / 2, np.diff(edges))
    assert strips.sum() == pytest.approx(shape.area, rel=1e-10)
    assert np.all(strips >= -1e-10 * shape.area)


@given(shape=st.sampled_from(SHAPES), theta=angles, r=st.floats(-60, 60))
def test_a_thin_strip_is_its_length_times_its_width(shape, theta, r):
    width = 1e-5
    thin, length = shape.strip_area(theta, r, width), shape.strip_length(theta, r)
    nearby = shape.strip_length(theta, r + np.linspace(-width, width, 41))
    low, high = nearby.min() * width, nearby.max() * width
    assert low - 1e-8 * (1 + length) <= thin <= high + 1e-8 * (1 + length)


@shapes
@pytest.mark.parametrize("theta", [0.0, 0.4, math.pi / 2, 2.5])
def test_counting_points_gives_the_same_areas(shape, theta):
    phi1, phi2 = shape.sample(200_000, seed=1)
    offset = line_offset(phi1, phi2, theta)
    low, high = offset.min(), offset.max()
    r, width = np.linspace(low, high, 9), (high - low) / 10
    counted = (np.abs(offset[:, None] - r) < width / 2).mean(axis=0)
    expected = shape.strip_area(theta, r, width) / shape.area
    error = np.sqrt(expected * (1 - expected) / phi1.size) + 1e-9
    assert np.all(np.abs(counted - expected) < 5 * error)
    # Negative control: a strip a tenth wider is not the same strip.
    wrong = shape.strip_area(theta, r, 1.1 * width) / shape.area
    assert np.any(np.abs(counted - wrong) > 5 * error)


@given(theta=angles, r=st.floats(-20, 20), width=st.floats(0, 5))
def test_turning_a_circle_changes_nothing(theta, r, width):
    circle = Circle(15.0)
    assert circle.strip_area(theta, r, width) == pytest.approx(circle.strip_area(0.0, r, width))
    assert circle.strip_area(0.0, -r, width) == pytest.approx(circle.strip_area(0.0, r, width))


@given(theta=angles, r=st.floats(-20, 20), width=st.floats(0.01, 5))
def test_a_quarter_turn_of_a_box_swaps_its_sides(theta, r, width):
    box, turned = Box(-7.0, 3.0, -2.0, 8.0), Box(-8.0, 2.0, -7.0, 3.0)
    expected = box.strip_area(theta, r, width)
    assert turned.strip_area(theta + math.pi / 2, r, width) == pytest.approx(expected, abs=1e-9)


def test_shapes_broadcast():
    for shape in SHAPES:
        answer = shape.strip_area(np.linspace(0, 3, 4)[:, None], np.linspace(-5, 5, 7), 1.0)
        assert answer.shape == (4, 7)
        assert shape.strip_length(np.zeros(4)[:, None], np.zeros(7)).shape == (4, 7)


@shapes
def test_samples_and_border_lie_inside(shape):
    assert shape.contains(*shape.sample(1000, seed=2)).all()
    phi1, phi2 = shape.boundary(100)
    assert phi1[0] == phi1[-1] and phi2[0] == pytest.approx(phi2[-1])
    inward = [
        centre + (1 - 1e-9) * (side - centre) for side, centre in zip((phi1, phi2), shape.centre, strict=True)
    ]
    assert shape.contains(*inward).all()
    outward = [
        centre + 1.001 * (side - centre) for side, centre in zip((phi1, phi2), shape.centre, strict=True)
    ]
    assert not shape.contains(*outward).any()


@shapes
def test_samples_are_reproducible(shape):
    np.testing.assert_array_equal(shape.sample(10, seed=4), shape.sample(10, seed=4))
    assert not np.array_equal(shape.sample(10, seed=4), shape.sample(10, seed=5))


@shapes
def test_the_solid_angle_is_the_mean_of_cos_phi2(shape):
    _, phi2 = shape.sample(400_000, seed=3)
    assert shape.solid_angle == pytest.approx(shape.area * np.cos(np.radians(phi2)).mean(), rel=1e-3)
    assert shape.solid_angle < shape.area


@shapes
def test_shapes_survive_json(shape):
    assert footprint_from_dict(json.loads(json.dumps(shape.to_dict()))) == shape


@pytest.mark.parametrize(
    "make",
    [
        lambda: Circle(0.0),
        lambda: Circle(float("nan")),
        lambda: Circle(120.0),
        lambda: Box(1.0, 1.0, 0.0, 1.0),
        lambda: Box(170.0, 190.0, 0.0, 1.0),
        lambda: Box(0.0, float("nan"), 0.0, 1.0),
        lambda: footprint_from_dict({"kind": "ellipse"}),
        lambda: footprint_from_dict({"kind": "circle", "diameter": 3.0}),
        lambda: Circle(1.0).strip_area(0.0, 0.0, -1.0),
    ],
)
def test_bad_shapes_are_refused(make):
    with pytest.raises(FootprintError):
        make()
