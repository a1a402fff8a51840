"""Distances by isochrone ridge: recovered with their errors, and open where the data leave them open."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from described_streams import shuffled, with_light

from streams.description import DistanceEstimate, distance_by_ridge
from streams.ridges import old_ridges


def _modulus(kpc: float) -> float:
    return 5.0 * np.log10(kpc) + 10.0


@pytest.mark.statistical
@pytest.mark.parametrize("kpc", [8.0, 15.0, 25.0])
def test_distances_are_recovered_within_their_errors(kpc):
    """Metallicities on and between the ridges; the best ridge, or one beside it, is named."""
    truth, covered, wide, closed = _modulus(kpc), [], [], []
    for seed, feh in enumerate((-2.2, -1.7, -1.5, -0.9, -0.7) * 2):
        found = distance_by_ridge(with_light(seed, 150, kpc, feh))
        covered.append(found.low <= truth <= found.high)
        wide.append(found.range_kpc[0] <= kpc <= found.range_kpc[1])
        closed.append(not found.open)
        assert found.open or (abs(found.modulus - truth) < 0.4 and found.high - found.low < 0.8)
        assert abs(float(found.ridge.split("=")[1]) - feh) < 0.9
    assert np.mean(covered) >= 0.6 and np.mean(wide) >= 0.9 and np.mean(closed) >= 0.6


@pytest.mark.statistical
@pytest.mark.parametrize("kpc", [8.0, 15.0, 25.0])
def test_shuffled_colours_leave_the_distance_open(kpc):
    """Negative control: each star keeps its magnitude and gets the colour of another member."""
    found = [distance_by_ridge(with_light(seed, 150, kpc, -1.5, mix=True)) for seed in range(6)]
    assert np.mean([estimate.open for estimate in found]) > 0.8
    assert all(estimate.reason for estimate in found if estimate.open)


def test_more_stars_narrow_the_range():
    few, many = (distance_by_ridge(with_light(3, stars, 15.0, -1.5)) for stars in (25, 400))
    assert many.high - many.low < few.high - few.low


def test_too_few_stars_or_no_photometry_say_nothing():
    members = with_light(1, 150, 10.0, -1.5)
    none = replace(members, bp_rp=np.full(len(members), np.nan))
    for blind in (none, members.take(np.arange(4))):
        found = distance_by_ridge(blind)
        assert found.open and np.isnan(found.modulus) and "needed" in found.reason
        assert found.range_kpc == (pytest.approx(3.98, abs=0.01), pytest.approx(100.0))


def test_a_field_of_stars_has_no_distance():
    """Negative control: no stream at all, only field stars of the same probability."""
    members = with_light(2, 1, 10.0, -1.5, field=3000)
    field = replace(members, probability=np.full(len(members), 0.6))
    background = with_light(3, 1, 10.0, -1.5, field=3000)
    background = replace(background, source_id=background.source_id + 10_000)
    assert distance_by_ridge(field, background=background).open


def test_a_background_and_the_true_ridge_may_be_given():
    members = with_light(5, 100, 12.0, -2.2)
    background = with_light(6, 1, 12.0, -2.2, field=3000)
    background = replace(
        background, source_id=background.source_id + 10_000, probability=0.0 * background.probability
    )
    found = distance_by_ridge(members, old_ridges()[:1], background, limits=(12.0, 20.2))
    assert found.ridge == "[Fe/H] = -2.2"
    assert found.modulus == pytest.approx(_modulus(12.0), abs=0.3)


def test_row_order_and_files_change_nothing():
    members = with_light(7, 80, 10.0, -1.5)
    found = distance_by_ridge(members)
    assert distance_by_ridge(shuffled(members, 1)).modulus == pytest.approx(found.modulus, abs=1e-9)
    assert DistanceEstimate.from_dict(found.to_dict()) == found
    assert len(found.moduli) == len(found.log_likelihood) and max(found.log_likelihood) == 0.0


def test_fainter_stars_are_farther():
    """All magnitudes one mag fainter, limits with them: the modulus grows by one."""
    members = with_light(8, 200, 10.0, -1.5)
    fainter = replace(members, phot_g_mean_mag=members.phot_g_mean_mag + 1.0)
    error = np.full(len(members), 0.05)
    near, far = (distance_by_ridge(stars, colour_error=error) for stars in (members, fainter))
    assert far.modulus - near.modulus == pytest.approx(1.0, abs=0.02)
