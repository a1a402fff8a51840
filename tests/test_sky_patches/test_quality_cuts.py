"""Laws of the quality cuts and of cuts made of cuts."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.table import Table
from hypothesis import given, settings
from hypothesis import strategies as st

from sky_patches.cuts import ColourBetween, Cut, MagnitudeBetween, ParallaxBelow, apply_cuts
from sky_patches.cuts.algebra import AllOf, AnyOf, Not
from sky_patches.cuts.quality import (
    FiniteParallax,
    FiveParameters,
    FluxExcessDr2,
    FluxExcessWithin,
    NotNearby,
    corrected_flux_excess,
    five_parameter_cut,
    flux_excess_sigma,
)

CUTS = [FluxExcessWithin(3.0), FluxExcessDr2(), FiveParameters(), FiniteParallax(), NotNearby()]


@pytest.mark.parametrize("cut", [*CUTS, AllOf(*CUTS), AnyOf(*CUTS), Not(CUTS[0])])
def test_each_is_a_cut_with_a_name(cut):
    assert isinstance(cut, Cut) and cut.name and hash(cut) == hash(cut)


def test_the_corrected_excess_is_continuous_in_colour():
    for edge in (0.5, 4.0):
        low, high = corrected_flux_excess(np.full(2, 1.3), np.array([edge - 1e-9, edge]))
        assert low == pytest.approx(high, abs=5e-3)


def test_the_flux_excess_cut_keeps_good_stars_and_is_stricter_for_fewer_sigmas():
    rng = np.random.default_rng(2)
    colour, magnitude = rng.uniform(-0.3, 4.5, 20_000), rng.uniform(5, 20, 20_000)
    expected = -corrected_flux_excess(np.zeros_like(colour), colour)
    noise = rng.normal(0, 1, colour.size)
    table = Table(
        {
            "phot_bp_rp_excess_factor": expected + noise * flux_excess_sigma(magnitude),
            "bp_rp": colour,
            "phot_g_mean_mag": magnitude,
        }
    )
    kept = [len(apply_cuts(table, [FluxExcessWithin(sigmas)])[0]) for sigmas in (1.0, 3.0, 5.0)]
    assert kept[0] / colour.size == pytest.approx(0.683, abs=0.02)
    assert kept[1] / colour.size == pytest.approx(0.9973, abs=0.002)
    assert kept[2] == colour.size
    # Negative control: blends have twice the flux.
    table["phot_bp_rp_excess_factor"] *= 2
    assert len(apply_cuts(table, [FluxExcessWithin(5.0)])[0]) == 0


def test_the_dr2_flux_excess_lies_between_its_curves():
    table = Table(
        {"phot_bp_rp_excess_factor": [1.0, 1.01, 1.29, 1.31, 1.3], "bp_rp": [0.0, 0.0, 0.0, 0.0, 1.0]}
    )
    kept, _ = apply_cuts(table, [FluxExcessDr2()])
    assert list(kept["phot_bp_rp_excess_factor"]) == [1.01, 1.29, 1.3]


def test_full_solutions_have_five_or_six_parameters():
    table = Table(
        {"astrometric_params_solved": [3.0, 31.0, 95.0, np.nan], "parallax": [np.nan, 1.0, np.nan, 2.0]}
    )
    assert list(apply_cuts(table, [five_parameter_cut(table.colnames)])[0]["astrometric_params_solved"]) == [
        31,
        95,
    ]
    table.remove_column("astrometric_params_solved")
    assert list(apply_cuts(table, [five_parameter_cut(table.colnames)])[0]["parallax"]) == [1.0, 2.0]


def test_only_stars_that_are_certainly_near_are_dropped():
    table = Table(
        {"parallax": [4.0, 4.0, 0.9, -3.0, np.nan], "parallax_error": [0.1, 1.0, 0.01, 0.1, np.nan]}
    )
    kept, log = apply_cuts(table, [NotNearby(5.0)])
    assert list(kept["parallax"][:3]) == [4.0, 0.9, -3.0] and np.isnan(kept["parallax"][3])
    assert (log.removed, log.records[0].missing) == (1, 1)


values = st.lists(st.floats(-3, 3) | st.just(np.nan), min_size=1, max_size=30)


@settings(max_examples=40)
@given(first=values, second=values)
def test_composites_follow_the_algebra_of_sets(first, second):
    n = min(len(first), len(second))
    table = Table({"id": np.arange(n), "parallax": first[:n], "bp_rp": second[:n]})
    table["parallax"][0] = table["bp_rp"][0] = 0.0  # a column of NaN alone decides nothing
    near, blue = ParallaxBelow(1.0), ColourBetween(-1.0, 1.0, keep_missing=True)

    def kept(*cuts: Cut) -> set[int]:
        return set(apply_cuts(table, cuts)[0]["id"].tolist())

    assert kept(AllOf(near, blue)) == kept(near, blue) == kept(near) & kept(blue)
    assert kept(AnyOf(near, blue)) == kept(near) | kept(blue)
    assert kept(Not(blue, keep_missing=True)) >= kept(Not(blue))
    complete = {i for i in range(n) if not np.isnan(table["parallax"][i])}
    assert kept(Not(near)) == complete - kept(near)
    assert kept(Not(AnyOf(near, blue), keep_missing=None)) == set(range(n)) - kept(AnyOf(near, blue))


def test_a_composite_without_a_column_is_reported():
    table = Table({"parallax": [1.0, 3.0]})
    kept, log = apply_cuts(table, [AnyOf(ParallaxBelow(2.0), MagnitudeBetween(1, 2))])
    assert len(kept) == 2 and "no column phot_g_mean_mag" in str(log)
    assert "parallax < 2 mas) or (1 <= phot_g_mean_mag" in log.records[0].name
