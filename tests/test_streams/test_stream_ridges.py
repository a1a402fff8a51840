"""Laws of the colour-magnitude ridges."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sky_patches.mock import luminosity_count, ridge_colour
from streams.ridges import INTRINSIC_COLOUR_SPREAD, METALLICITIES, Ridge, RidgeError, old_ridges

LIMITS = (12.0, 20.5)


def test_the_built_in_ridges_are_those_of_the_mock_sky():
    """One table: colours to a thousandth of a magnitude, and the same stars per magnitude."""
    absolute = np.linspace(-2.9, 14.9, 500)
    for feh, ridge in zip(METALLICITIES, old_ridges(), strict=True):
        np.testing.assert_allclose(ridge.colour(absolute), ridge_colour(absolute, feh), atol=3e-3)
        shape = ridge.log_luminosity_density(absolute + 10.0, 10.0, (5.0, 26.0))
        slope = np.log(np.gradient(luminosity_count(absolute), absolute))
        assert np.ptp((shape - slope)[5:-5]) < 0.02


@given(st.floats(13.0, 19.0), st.sampled_from(old_ridges()), st.floats(0.01, 0.2))
@settings(max_examples=20, deadline=None)
def test_the_density_integrates_to_one_over_what_the_survey_sees(modulus, ridge, error):
    colour, magnitude = np.linspace(-1.0, 4.5, 351), np.linspace(*LIMITS, 601)
    density = np.exp(ridge.log_density(colour[:, None], magnitude[None], modulus, error, LIMITS))
    total = np.trapezoid(np.trapezoid(density, colour, axis=0), magnitude)
    assert total == pytest.approx(1.0, abs=0.01)


def test_a_shift_in_modulus_is_a_shift_in_magnitude():
    """Far from the limits nothing but the normalisation changes."""
    ridge, wide = old_ridges()[0], (5.0, 40.0)
    colour, magnitude = np.array([0.6, 0.8]), np.array([19.0, 18.0])
    here = ridge.log_density(colour, magnitude, 14.0, 0.05, wide)
    there = ridge.log_density(colour, magnitude + 2.0, 16.0, 0.05, wide)
    np.testing.assert_allclose(here, there, atol=1e-9)


def test_outside_the_limits_and_the_nodes_there_is_nothing():
    ridge = old_ridges()[1]
    assert ridge.log_density(0.6, 20.6, 15.0, 0.1, LIMITS) == -np.inf
    assert ridge.log_density(0.6, 12.5, 19.0, 0.1, LIMITS) == -np.inf
    assert ridge.log_density(0.6, 20.0, 50.0, 0.1, LIMITS) == -np.inf
    assert np.isnan(ridge.colour(np.array([-4.0]))).all()


def test_colours_scatter_by_errors_and_intrinsic_spread():
    ridge, magnitude = old_ridges()[0], 19.0
    colour = np.linspace(0.0, 2.0, 4001)
    density = np.exp(ridge.log_density(colour, magnitude, 15.0, 0.12, LIMITS))
    mean = np.average(colour, weights=density)
    assert mean == pytest.approx(float(ridge.colour(np.array(4.0))), abs=1e-3)
    sigma = np.sqrt(np.average((colour - mean) ** 2, weights=density))
    assert sigma == pytest.approx(np.hypot(0.12, INTRINSIC_COLOUR_SPREAD), rel=1e-3)


def test_impossible_ridges_are_refused():
    one, two = np.array([1.0]), np.array([1.0, 2.0])
    with pytest.raises(RidgeError, match="grow"):
        Ridge("hook", two[::-1], two, two)
    with pytest.raises(RidgeError, match="length >= 2"):
        Ridge("point", one, one, one)
    with pytest.raises(RidgeError, match="finite"):
        Ridge("gap", two, np.array([0.5, np.nan]), two)
    with pytest.raises(RidgeError, match=r"\(20.0, 12.0\)"):
        old_ridges()[0].log_density(0.6, 18.0, 15.0, 0.1, (20.0, 12.0))


def test_the_mock_sky_is_imported_late():
    code = "import sys, streams.ridges, streams.description; print('sky_patches.mock' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "False"
