"""Tabulated accelerations agree with exact ones, and are left alone where they cannot."""

from __future__ import annotations

import numpy as np
import pytest

from dm_map.potential import Dictionary, GalaComponent, free_form_layer, galactic_dictionary
from dm_map.potential.tables import TOLERANCE, acceleration_tables
from dm_map.volume import Ball

SUN = Ball((-8.122, 0.0, 0.0208), 4.0)


def _largest_error(dictionary, x, rows):
    fast = dictionary.accelerations(x)[rows].astype(np.float64)
    exact = dictionary.accelerations(x[rows], dtype=np.float64)
    return float(np.max(np.linalg.norm(fast - exact, axis=1) / np.linalg.norm(exact, axis=1)))


def test_tables_are_right_in_the_whole_ball_and_close_to_the_plane():
    dictionary = galactic_dictionary(SUN)
    assert np.all(acceleration_tables(dictionary.components, SUN).tabulated)
    x = SUN.uniform(20_000, seed=5)
    x[:1000, 2] *= 1e-3
    assert _largest_error(dictionary, x, slice(0, 3000)) < TOLERANCE


def test_tables_leave_free_form_terms_exact():
    dictionary = free_form_layer(SUN, 4.0, heights=3.0, degree=2) + galactic_dictionary(SUN, ("halo",))
    x = SUN.uniform(20_000, seed=6)
    got, exact = dictionary.accelerations(x), dictionary.accelerations(x[:50], dtype=np.float64)
    assert got.dtype == np.float32
    assert np.allclose(got[:50], exact, rtol=2e-5, atol=1e-5 * np.abs(exact).max())


def test_a_cusp_inside_the_volume_stays_exact():
    """The check at construction is what keeps the promise: such a table would be wrong."""
    volume = Ball((0.0, 0.0, 0.0), 4.0)
    cusp = GalaComponent("bulge", "baryons", "hernquist", (("c", 0.05),))
    smooth = GalaComponent("core", "halo", "plummer", (("b", 5.0),))
    dictionary = Dictionary((cusp, smooth), volume)
    assert list(acceleration_tables(dictionary.components, volume).tabulated) == [False, True]
    x = volume.uniform(20_000, seed=7)
    assert _largest_error(dictionary, x, slice(0, 500)) < TOLERANCE


@pytest.mark.parametrize("beyond", [True, False])
def test_positions_outside_the_volume_are_exact(beyond):
    dictionary = galactic_dictionary(SUN, ("halo",)).subset(range(3))
    x = SUN.uniform(20_000, seed=8)
    if beyond:
        x[0] = (30.0, 0.0, 5.0)
    got = dictionary.accelerations(x)[:2]
    exact = dictionary.accelerations(x[:2], dtype=np.float64).astype(np.float32)
    assert np.array_equal(got, exact) == beyond
