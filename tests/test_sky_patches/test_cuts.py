"""Laws of the cuts: nothing is lost without a count, and the order changes the counts only."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import permutations

import numpy as np
import pytest
from astropy.table import MaskedColumn, Table

from sky_patches.cuts import (
    ColourBetween,
    Cut,
    MagnitudeBetween,
    MotionOutsideBox,
    ParallaxBelow,
    RuweBelow,
    apply_cuts,
)

CUTS = (ParallaxBelow(1.0), MagnitudeBetween(12.0, 20.2), ColourBetween(0.5, 1.0), RuweBelow(1.4))


@pytest.fixture
def stars() -> Table:
    rng = np.random.default_rng(8)
    n = 3000
    table = Table(
        {
            "source_id": np.arange(n),
            "parallax": rng.normal(0.5, 0.7, n),
            "phot_g_mean_mag": rng.uniform(11, 21, n),
            "bp_rp": rng.normal(0.8, 0.3, n),
            "ruwe": rng.normal(1.1, 0.2, n),
        }
    )
    table["bp_rp"][::17] = np.nan
    return table


def test_every_star_is_kept_or_counted(stars):
    kept, log = apply_cuts(stars, CUTS)
    assert len(kept) + log.removed == len(stars)
    assert log.records[0].before == len(stars)
    for record, following in zip(log.records, log.records[1:], strict=False):
        assert following.before == record.before - record.removed
    assert np.all((kept["parallax"] < 1) & (kept["bp_rp"] >= 0.5) & (kept["bp_rp"] < 1))


def test_the_order_of_cuts_does_not_change_the_stars(stars):
    results = [list(apply_cuts(stars, order)[0]["source_id"]) for order in permutations(CUTS)]
    assert all(result == results[0] for result in results)


def test_missing_values_fail_and_are_counted_unless_kept(stars):
    _, strict = apply_cuts(stars, [ColourBetween(-9, 9)])
    assert strict.records[0].removed == strict.records[0].missing == len(stars[::17])
    kept, lenient = apply_cuts(stars, [ColourBetween(-9, 9, keep_missing=True)])
    assert len(kept) == len(stars) and lenient.records[0].missing == len(stars[::17])


def test_masked_values_are_missing():
    table = Table({"ruwe": MaskedColumn([1.0, 1.0, 9.0], mask=[False, True, False])})
    kept, log = apply_cuts(table, [RuweBelow()])
    assert len(kept) == 1 and log.records[0].missing == 1


def test_a_cut_without_its_column_is_reported_and_removes_nothing(stars):
    stars.remove_column("ruwe")
    stars["parallax"] = np.nan
    kept, log = apply_cuts(stars, [RuweBelow(), ParallaxBelow()])
    assert len(kept) == len(stars) and log.not_applied == ("ruwe < 1.4", "parallax < 1 mas")
    assert "no column ruwe" in str(log) and "no star has a value in parallax" in str(log)


def test_limits_are_half_open():
    kept, _ = apply_cuts(Table({"phot_g_mean_mag": [11.9, 12.0, 20.2]}), [MagnitudeBetween(12.0, 20.2)])
    assert list(kept["phot_g_mean_mag"]) == [12.0]


def test_slow_stars_are_dropped_only_where_both_components_are_small():
    table = Table({"pm_phi1_cosphi2": [0.0, 3.0, -1.9, 0.0], "pm_phi2": [0.0, 0.0, 1.9, -2.0]})
    kept, _ = apply_cuts(table, [MotionOutsideBox(2.0)])
    assert list(kept["pm_phi1_cosphi2"]) == [3.0, 0.0]


def test_no_cuts_and_no_stars_are_fine(stars):
    assert len(apply_cuts(stars, [])[0]) == len(stars)
    kept, log = apply_cuts(stars[:0], CUTS)
    assert len(kept) == 0 and log.removed == 0


def test_the_log_is_plain_data(stars):
    _, log = apply_cuts(stars, CUTS)
    assert json.loads(json.dumps(log.to_dict()))["removed"] == log.removed


def test_a_users_cut_joins_in(stars):
    @dataclass(frozen=True)
    class EvenIds:
        name: str = "even source_id"
        columns: tuple[str, ...] = ("source_id",)
        keep_missing: bool = False

        def passes(self, *values):
            return values[0] % 2 == 0

    assert isinstance(EvenIds(), Cut) and all(isinstance(cut, Cut) for cut in CUTS)
    assert len(apply_cuts(stars, [EvenIds()])[0]) == len(stars) // 2
