"""Laws of the report: each fault fires its checks, clean stars fire none, and the report keeps its values."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from harmonic_toy import HarmonicStars

from dm_map.diagnostics import DiagnosticError, DiagnosticReport, DiagnosticSettings, PhaseSpace, diagnose
from dm_map.diagnostics.amplitudes import expected_negative_share, negative_share, octants, vector_size
from dm_map.diagnostics.meanings import MEANINGS

CLEAN = HarmonicStars()
# Exact scores have no error of their own: one per cent is for the quadrature of the circles.
EXACT = DiagnosticSettings(accuracy=0.01, rows=2000, velocities=64)

FAULTS = {
    "kick": (replace(CLEAN, motion=(0.0, 0.0, 0.2)), {"continuity", "continuity of scores", "residual"}),
    "displaced": (replace(CLEAN, displacement=(0.0, 0.0, 0.3)), {"north-south"}),
    "selection": (
        replace(CLEAN, selection=(1.0, 0.0, 0.0)),
        {"speed of stars", "speed of scores", "Jeans", "residual"},
    ),
    "bar": (
        HarmonicStars(omega=(1.5, 1.0, 1.5), pattern=0.4),
        {"continuity", "continuity of scores", "azimuthal"},
    ),
    "jumps": (replace(CLEAN, cell=0.15), {"smoothness"}),
    "factor": (replace(CLEAN, factor=1.3), {"Stein velocity", "Stein position"}),
}


@pytest.fixture(scope="module")
def clean() -> DiagnosticReport:
    return diagnose(CLEAN, CLEAN.sample(20_000, 1), field=CLEAN, settings=EXACT, seed=2)


def _names(report: DiagnosticReport) -> set[str]:
    return {check.name for check in report.failed}


def test_the_toy_is_a_phase_space_density():
    assert isinstance(CLEAN, PhaseSpace)


@pytest.mark.parametrize("seed", [3, 4, 5])
def test_clean_stars_fire_nothing(seed):
    assert (
        _names(diagnose(CLEAN, CLEAN.sample(10_000, seed), field=CLEAN, settings=EXACT, seed=seed)) == set()
    )


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_fires_its_checks(fault):
    toy, expected = FAULTS[fault]
    report = diagnose(toy, toy.sample(40_000, 6), settings=EXACT, seed=7)
    assert expected <= _names(report)
    assert all("What to do" in check.sentence for check in report.failed)


def test_a_selection_of_one_temperature_along_the_axis_of_symmetry_is_invisible():
    """Stated, not hidden: these stars are in equilibrium in another potential."""
    single = HarmonicStars(sigmas=(1.0,), shares=(1.0,), selection=(0.3, 0.0, 0.0))
    settings = replace(EXACT, symmetries=("north-south",))
    report = diagnose(single, single.sample(20_000, 8), settings=settings, seed=9)
    assert report.passed
    # With the true field at hand it is seen.
    assert "field on stars" in _names(
        diagnose(single, single.sample(20_000, 8), field=CLEAN, settings=settings, seed=9)
    )


def test_the_frame_of_a_bar_makes_it_stationary():
    bar, checks = (
        HarmonicStars(omega=(1.5, 1.0, 1.5), pattern=0.4),
        {"continuity", "continuity of scores", "residual"},
    )
    settings = replace(EXACT, pattern_speed=0.4)
    assert not checks & _names(diagnose(bar, bar.sample(20_000, 10), settings=settings, seed=11))


def test_another_density_than_that_of_the_stars_is_noticed():
    held_out = replace(CLEAN, sigmas=(0.8, 1.6)).sample(10_000, 12)
    assert {"two-sample", "Stein velocity"} <= _names(diagnose(CLEAN, held_out, settings=EXACT, seed=13))


def test_halves_show_their_difference_and_take_out_the_noise():
    first, second = (replace(CLEAN, selection=(side * 0.3, 0.0, 0.0)) for side in (1, -1))
    sample = CLEAN.sample(10_000, 14)
    report = diagnose(CLEAN, sample, halves=(first, second), settings=EXACT, seed=15)
    assert _names(report) == {"split halves"}
    # What both halves have in common stays.
    common = replace(CLEAN, motion=(0.0, 0.0, 0.5))
    report = diagnose(CLEAN, sample, halves=(common, common), settings=EXACT, seed=15)
    assert "continuity of scores" in _names(report)


def test_noise_is_taken_out_of_sizes_at_its_expected_level():
    rng, x = np.random.default_rng(16), np.random.default_rng(17).normal(size=(64, 3))
    groups, passed = octants(x, np.zeros(3)), 0
    for _ in range(200):
        # One noise vector per octant: the worst case that the limit allows for.
        noise = [0.5 * rng.standard_normal((8, 3))[groups] for _ in range(2)]
        found = vector_size(0.5 * (noise[0] + noise[1]), (noise[0], noise[1]), groups, 1.0, 0.05, 2.33)
        passed += found.value <= found.limit
    assert passed >= 194
    # Negative control: a signal of the size of the noise's limit is not taken out.
    signal = np.full((64, 3), 0.5)
    found = vector_size(signal, (signal, signal), groups, 1.0, 0.05, 2.33)
    assert found.value == pytest.approx(0.5 * np.sqrt(3)) and found.value > found.limit


def test_negative_mass_is_shared_out():
    assert negative_share(np.array([3.0, -1.0])) == 0.25 and negative_share(np.ones(3)) == 0
    noisy = np.ones(100_000) + np.random.default_rng(18).normal(size=100_000)
    assert expected_negative_share(np.ones(3), 1.0) == pytest.approx(negative_share(noisy), rel=0.02)


def test_the_report_prints_and_keeps_its_values(clean):
    assert clean.passed and len(clean) == len(MEANINGS) - 1
    assert "16 of 16 checks passed" in str(clean) and "split halves" in str(clean)
    assert DiagnosticReport.from_dict(json.loads(json.dumps(clean.to_dict()))) == clean
    table = clean.to_table()
    assert list(table["name"]) == [check.name for check in clean] and np.isnan(table["p_value"][0])
    assert clean["curl"].value < 0.01
    with pytest.raises(DiagnosticError, match="no densities of two halves"):
        clean["split halves"]
    with pytest.raises(DiagnosticError, match="'curls'"):
        clean["curls"]
    with pytest.raises(DiagnosticError, match="not a diagnostic report"):
        DiagnosticReport.from_dict({})


def test_the_same_seed_gives_the_same_report(clean):
    assert diagnose(CLEAN, CLEAN.sample(20_000, 1), field=CLEAN, settings=EXACT, seed=2) == clean


def test_bad_requests_are_refused():
    with pytest.raises(DiagnosticError, match="got 500"):
        diagnose(CLEAN, CLEAN.sample(500, 1), seed=1)
    for bad in (
        {"accuracy": 0.0},
        {"positions": 3},
        {"truncation": 1.0},
        {"symmetries": ("mirror",)},
        {"claimed_error": -1.0},
    ):
        with pytest.raises(DiagnosticError):
            DiagnosticSettings(**bad)
