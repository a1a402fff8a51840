"""Binomial errors, the 50 % limit, the plan of a campaign, its tables and figure."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from via_machinae.injecting.drawing import draw_completeness
from via_machinae.injecting.errors import InjectError
from via_machinae.injecting.grid import InjectionGrid, plan
from via_machinae.injecting.job import motions_of
from via_machinae.injecting.limits import binomial_interval, half_limit
from via_machinae.injecting.summary import summarise

__all__: list[str] = []

NUMBERS = np.array([25, 50, 100, 200, 400], dtype=float)


def trials(half: float, slope: float, repeats: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Trials that follow the logistic curve exactly."""
    rng = np.random.default_rng(seed)
    stars = np.repeat(NUMBERS, repeats)
    return stars, rng.random(len(stars)) < 1 / (1 + (stars / half) ** -slope)


@given(st.integers(0, 60), st.integers(1, 60))
def test_the_interval_holds_the_fraction_and_mirrors(successes, trials):
    successes = min(successes, trials)
    low, high = binomial_interval(successes, trials)
    assert 0.0 <= low <= successes / trials <= high <= 1.0
    mirrored = binomial_interval(trials - successes, trials)
    assert mirrored == pytest.approx((1 - high, 1 - low), abs=1e-9)


def test_the_interval_covers_as_it_says_and_without_trials_says_nothing():
    assert binomial_interval(0, 0) == (0.0, 1.0)
    rng = np.random.default_rng(1)
    truths = rng.uniform(0.1, 0.9, 4000)
    intervals = np.array([binomial_interval(int(rng.binomial(20, p)), 20) for p in truths])
    covered = np.mean((intervals[:, 0] <= truths) & (truths <= intervals[:, 1]))
    # Four thousand draws tell 68 % to a percent; discreteness adds a few.
    assert 0.64 < covered < 0.75


def test_the_half_limit_is_found_without_bias_and_its_interval_covers():
    found = [half_limit(*trials(90.0, 4.0, 12, seed)) for seed in range(60)]
    assert all(limit.reached == "yes" for limit in found)
    assert np.median([limit.stars for limit in found]) == pytest.approx(90.0, rel=0.08)
    covered = np.mean([limit.low <= 90.0 <= limit.high for limit in found])
    assert 0.5 < covered < 0.85
    # The control: an interval does not cover another number.
    assert np.mean([limit.low <= 180.0 <= limit.high for limit in found]) < 0.1


def test_trials_that_a_number_parts_cleanly_have_a_finite_limit_between():
    stars = np.repeat(NUMBERS, 5)
    limit = half_limit(stars, stars > 75)
    assert 50.0 < limit.low < limit.stars < limit.high < 100.0


@given(st.lists(st.booleans(), min_size=25, max_size=25))
@settings(max_examples=40)
def test_nothing_is_extrapolated(recovered):
    limit = half_limit(np.repeat(NUMBERS, 5), np.array(recovered))
    if limit.reached == "yes":
        assert NUMBERS[0] <= limit.low <= limit.stars <= limit.high <= NUMBERS[-1]
    else:
        assert np.isnan(limit.stars) and np.isnan(limit.low)


def test_a_grid_that_does_not_bracket_the_limit_says_so():
    stars = np.repeat(NUMBERS, 5)
    assert half_limit(stars, np.zeros(25, dtype=bool)).reached == "not reached"
    assert half_limit(stars, np.ones(25, dtype=bool)).reached == "below the grid"
    assert half_limit(stars[:0], np.zeros(0, dtype=bool)).reached == "no trials"
    assert half_limit(np.zeros(5), np.zeros(5, dtype=bool)).reached == "no trials"


def test_names_and_seeds_of_units_depend_on_the_unit_alone():
    small = InjectionGrid(stars=(100,), repeats=2)
    large = InjectionGrid(stars=(400, 50, 100), widths=(0.1, 0.2), repeats=6)
    first = {unit.name: unit.seed(1) for unit in plan(small, ["a", "b"])}
    second = {unit.name: unit.seed(1) for unit in plan(large, ["a", "b"])}
    assert first.items() <= second.items()
    assert len(second) == 3 * 2 * 6 == len(set(second.values()))
    assert {unit.seed(2) for unit in plan(small, ["a", "b"])}.isdisjoint(first.values())


def test_a_grid_comes_back_from_its_plain_values():
    grid = InjectionGrid(stars=(10, 20), motions=((1.0, -2.0),), repeats=3)
    assert InjectionGrid.from_dict(grid.to_dict()) == grid
    assert grid.cells[0].label == "10 stars, 0.2 deg, 9 kpc, at (1, -2) mas/yr"
    with pytest.raises(InjectError, match="unknown keys"):
        InjectionGrid.from_dict({"star": 1})


@pytest.mark.parametrize(
    "values, told",
    [
        ({"stars": (-1,)}, "stars must lie from 0"),
        ({"stars": ()}, "grid is empty"),
        ({"widths": (0.2, 0.0)}, "widths must lie from 0.01 to 5, got 0"),
        ({"distances": (float("nan"),)}, "distances"),
        ({"offsets": (-1.0,)}, "offsets"),
        ({"motions": ((1.0, 1000.0),)}, "motions"),
        ({"kind": "spiral"}, "kind is one of"),
        ({"kind": "members"}, "at least one stream"),
        ({"repeats": 0}, "repeats must be 1 or more"),
        ({"length": 500.0}, "length"),
    ],
)
def test_values_out_of_range_are_refused(values, told):
    with pytest.raises(InjectError, match=told):
        InjectionGrid(**values)


def test_proper_motions_are_read_from_text():
    assert motions_of(["4,-6", "0, 1.5"]) == ((4.0, -6.0), (0.0, 1.5))
    for wrong in ("4", "4,x", "1,2,3", ""):
        with pytest.raises(InjectError, match="PM1,PM2"):
            motions_of([wrong])


def outcomes_of(grid: InjectionGrid, half: float) -> list[dict]:
    """What units would have written if the recovered fraction were logistic."""
    from dataclasses import asdict

    rng = np.random.default_rng(4)
    written = []
    for unit in plan(grid, ["a"]):
        stars = unit.cell.stars
        limit = half * (unit.cell.width or 0.2) / 0.2
        recovered = bool(stars and rng.random() < 1 / (1 + (stars / limit) ** -4.0))
        light = {"surface_brightness": 38.0 - 2.5 * np.log10(stars), "stars_per_deg2": stars / 8.0}
        found = {"f1": 0.8, "track_bias": rng.normal(0.0, 0.02), "purity": 0.8} if recovered else {}
        written.append(
            {"name": unit.name, "patch": "a", "repeat": unit.repeat, "cell": asdict(unit.cell), "problem": "",
             "stars": stars, "recovered": recovered, "false_candidates": 0, "seconds": 1.0, **light, **found}
        )  # fmt: skip
    return written


def test_the_tables_count_what_was_found_and_have_units():
    grid = InjectionGrid(stars=(25, 50, 100, 200, 400), widths=(0.2, 0.5), repeats=20)
    written = outcomes_of(grid, 80.0)
    written[0] |= {"problem": "an orbit failed", "recovered": False}
    summary = summarise(written)
    assert len(summary.trials) == 200 and len(summary.cells) == 10 and len(summary.limits) == 2
    assert summary.cells["recovered"].sum() == sum(one["recovered"] for one in written)
    assert summary.cells["trials"].sum() == 199 and summary.cells["unmade"].sum() == 1
    assert np.all(summary.cells["fraction_low"] <= summary.cells["fraction"])
    assert str(summary.cells["track_bias"].unit) == "deg"
    assert str(summary.limits["half_surface_brightness"].unit) == "mag / arcsec2"
    for row, half in zip(summary.limits, (80.0, 200.0), strict=True):
        assert row["half_stars_low"] < half * 1.25 and row["half_stars_high"] > half / 1.25
        light = 38.0 - 2.5 * np.log10(row["half_stars"])
        assert row["half_surface_brightness"] == pytest.approx(light, abs=1e-9)
        assert row["half_stars_per_deg2"] == pytest.approx(row["half_stars"] / 8.0)


def test_the_figure_is_drawn_whatever_was_found(tmp_path):
    grid = InjectionGrid(stars=(25, 50, 100, 200, 400), widths=(0.2, 0.5), repeats=8)
    zero = [{**one, "stars": 0, "recovered": False, "cell": {**one["cell"], "stars": 0}}
            for one in outcomes_of(InjectionGrid(stars=(25,), repeats=2), 80.0)]  # fmt: skip
    for number, outcomes in enumerate([outcomes_of(grid, 80.0), outcomes_of(grid, 1e5), zero, []]):
        path = tmp_path / f"{number}.png"
        draw_completeness(summarise(outcomes), "test").savefig(path)
        assert path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size > 5_000
