"""Laws of a footprint with holes: the same as of every footprint, and nothing inside the holes."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sky_patches.errors import FootprintError
from sky_patches.footprints import Box, Circle, Footprint, Hole, WithHoles, footprint_from_dict, line_offset

HOLES = (
    Hole("a", 1.0, 2.0, 1.5),
    Hole("b", -9.0, 9.0, 2.5),
    Hole("c", 5.0, -9.0, 0.5),
    Hole("d", 9.9, -1.0, 1.0),
)
SHAPES = [
    WithHoles(Circle(13.0), HOLES),
    WithHoles(Box(-10.0, 10.0, -9.5, 10.0), HOLES),
    WithHoles(Circle(4.0), ()),
]
shapes = pytest.mark.parametrize("shape", SHAPES, ids=["circle", "box", "no holes"])
angles = st.one_of(st.floats(-7.0, 7.0), st.sampled_from([0.0, math.pi / 2, math.pi, 1e-12]))


@shapes
def test_it_is_a_footprint_that_survives_json(shape):
    assert isinstance(shape, Footprint)
    assert footprint_from_dict(json.loads(json.dumps(shape.to_dict()))) == shape


@settings(max_examples=40)
@given(shape=st.sampled_from(SHAPES), theta=angles, edges=st.lists(st.floats(-15, 15), max_size=8))
def test_strips_partition_the_area(shape, theta, edges):
    edges = np.array(sorted([-50.0, *edges, 50.0]))
    strips = shape.strip_area(theta, (edges[1:] + edges[:-1]) / 2, np.diff(edges))
    assert strips.sum() == pytest.approx(shape.area, rel=1e-8)
    assert np.all(strips >= -2e-3)


@settings(max_examples=60)
@given(shape=st.sampled_from(SHAPES), theta=angles, r=st.floats(-12, 12))
def test_a_thin_strip_is_its_length_times_its_width(shape, theta, r):
    width = 1e-5
    nearby = shape.strip_length(theta, r + np.linspace(-width, width, 41))
    thin = shape.strip_area(theta, r, width)
    assert nearby.min() * width - 1e-7 <= thin <= nearby.max() * width + 1e-7


@shapes
@pytest.mark.parametrize("theta", [0.0, 0.4, 2.5])
def test_counting_points_gives_the_same_areas(shape, theta):
    phi1, phi2 = shape.sample(100_000, seed=1)
    assert shape.contains(phi1, phi2).all()
    offset = line_offset(phi1, phi2, theta)
    r, width = np.linspace(offset.min(), offset.max(), 9), np.ptp(offset) / 10
    counted = (np.abs(offset[:, None] - r) < width / 2).mean(axis=0)
    expected = shape.strip_area(theta, r, width) / shape.area
    error = np.sqrt(expected * (1 - expected) / phi1.size) + 1e-4
    assert np.all(np.abs(counted - expected) < 5 * error)
    if shape.holes:
        without = shape.whole.strip_area(theta, r, width) / shape.whole.area
        assert np.any(np.abs(counted - without) > 5 * error), "negative control: the holes matter"


@shapes
def test_the_solid_angle_is_that_of_points_on_the_sphere(shape):
    rng = np.random.default_rng(3)
    phi1 = rng.uniform(-14, 14, 400_000)
    phi2 = np.degrees(np.arcsin(rng.uniform(-1, 1, 400_000) * math.sin(math.radians(14))))
    box = 28.0 * 2 * math.degrees(math.sin(math.radians(14)))
    inside = shape.contains(phi1, phi2).mean()
    assert inside * box == pytest.approx(shape.solid_angle, abs=5 * box * math.sqrt(inside / 400_000) + 1e-9)
    assert shape.solid_angle < shape.area


def test_a_hole_on_the_sphere_is_a_great_circle_one():
    hole = Hole("x", 0.0, 60.0, 1.0)
    assert list(hole.contains(np.array([0.0, 1.9, 2.1]), np.array([60.99, 60.0, 60.0]))) == [
        True,
        True,
        False,
    ]
    cap = 2 * math.pi * (1 - math.cos(math.radians(1.0))) * math.degrees(1.0) ** 2
    assert hole.outline().solid_angle == pytest.approx(cap, rel=1e-3)


def test_samples_are_reproducible_and_uniform_outside_the_holes():
    shape = SHAPES[0]
    first, again, other = (np.array(shape.sample(500, seed)) for seed in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    assert first.shape == (2, 500)


def test_holes_out_of_reach_are_dropped():
    shape = WithHoles(Circle(3.0), HOLES)
    assert [hole.name for hole in shape.reached().holes] == ["a"]
    assert shape.area == pytest.approx(shape.reached().area)


def test_impossible_holes_are_refused():
    with pytest.raises(FootprintError, match="overlap"):
        WithHoles(Circle(5.0), (Hole("a", 0.0, 0.0, 1.0), Hole("b", 1.5, 0.0, 1.0)))
    with pytest.raises(FootprintError, match="nothing"):
        WithHoles(Circle(1.0), (Hole("a", 0.0, 0.0, 2.0),))
    with pytest.raises(FootprintError, match="radius"):
        Hole("a", 0.0, 0.0, -1.0)
    with pytest.raises(FootprintError, match="stands in another"):
        inner = WithHoles(Circle(3.0), ()).to_dict()
        footprint_from_dict({"kind": "with_holes", "whole": inner, "holes": []})
    with pytest.raises(FootprintError, match="does not take"):
        footprint_from_dict({"kind": "with_holes", "whole": Circle(1.0).to_dict(), "holes": [{"x": 1}]})
