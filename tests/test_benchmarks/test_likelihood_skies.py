"""Skies of the likelihood benchmarks: streams where they are said to be, and the rule of a detection."""

from __future__ import annotations

import numpy as np
import pytest
from _likelihood_half import half_point
from _likelihood_judging import excess_share, is_of, member_f1
from _likelihood_methods import window_of
from _likelihood_skies import CENTRE, MOTION_LIMIT, Field, lines_across, motions_at
from likelihood import PLACES, STREAM, likelihood_rows, ridges_of, sky_of
from likelihood_completeness import halo_motion
from null_patches import place

from streams.likelihood import Hypothesis
from via_machinae.patch_stars import PatchStars

JOB = {"seed": 2, "stars": 60, "place": "together", "field": 4_000, "quick": True, "ridges": "true"}


@pytest.fixture(scope="module")
def field() -> Field:
    return Field.of(CENTRE, 4_000, 2)


def test_the_places_have_the_densities_they_are_named_by(field: Field):
    rng = np.random.default_rng(1)
    motion = field.stars.proper_motion
    chosen = motions_at(field, list(PLACES.values()), rng)
    counts = np.array([np.sum(np.hypot(*(motion - one).T) < 0.8) for one in chosen])
    assert counts[0] == counts.max()
    for share, count in zip(list(PLACES.values())[1:], counts[1:], strict=True):
        # Counted in circles, without smoothing: Poisson noise, and the field is smoothed at the peak.
        assert count / counts[0] == pytest.approx(share, abs=0.12)
    assert np.abs(chosen).max() <= MOTION_LIMIT


def test_lines_point_in_different_directions_and_pass_near_the_middle(field: Field):
    motions = [(float(k), -1.0) for k in range(5)]
    places = lines_across(field, motions, np.random.default_rng(3))
    along = np.array([-0.5, 0.5])
    ends = [field.geometry.frame.project_positions(*one.frame.unproject(along, 0 * along)) for one in places]
    angle = np.sort([np.arctan2(*np.diff(xy)[::-1, 0]) % np.pi for xy in ends])
    gaps = np.diff(np.append(angle, angle[0] + np.pi))
    assert gaps.min() > np.radians(25)
    for one in places:
        middle = field.geometry.frame.project_positions(*one.frame.unproject(0.0, 0.0))
        assert np.hypot(*middle) < 5.1


def test_every_stream_has_its_number_of_observed_stars_and_moves_as_it_is_said_to():
    sky = sky_of({**JOB, "stars": 300})
    assert [one.name for one in sky.streams] == list(PLACES)
    for stream in sky.streams:
        member = sky.member(stream)
        assert member.sum() == 300
        light = sky.stars.photometry[member, sky.stars.photometry_names.index("phot_g_mean_mag")]
        assert light.min() > 12.0 and light.max() < 20.2
        motion = np.median(sky.stars.proper_motion[member], axis=0)
        assert motion == pytest.approx(stream.motion, abs=0.35)
        x, y = (sky.stars.position[member] - sky.stars.position[member].mean(axis=0)).T
        _, extent, _ = np.linalg.svd(np.column_stack([x * np.cos(np.radians(y)), y]), full_matrices=False)
        assert extent[0] > 10 * extent[1]
    assert len(np.unique(sky.stars.source_id)) == len(sky.stars)


def test_places_and_field_do_not_depend_on_the_number_of_stars_or_on_the_other_streams():
    few, many, alone = (
        sky_of({**JOB, **change}) for change in ({}, {"stars": 90}, {"place": list(PLACES)[2]})
    )
    assert [one.motion for one in few.streams] == [one.motion for one in many.streams]
    assert alone.streams[0].motion == few.streams[2].motion
    field = {*few.stars.source_id} - {*few.stars.source_id[few.any_member]}
    assert field == {*many.stars.source_id} - {*many.stars.source_id[many.any_member]}


def _hypothesis(rows: list[int], weights: list[float], expected: float) -> Hypothesis:
    return Hypothesis(
        0.1, 0.0, 1.0, (-5.0, 5.0), (0.0, 0.0), (0.0, 0.0), 15.0, "r", 6.0, 7.0, float(sum(weights)),
        expected, np.array(rows), np.array(weights),
    )  # fmt: skip


def test_an_excess_is_the_streams_where_its_stars_make_it():
    member = np.arange(10) < 3
    found = _hypothesis([0, 1, 7, 8], [2.0, 2.0, 1.0, 1.0], 2.0)
    assert excess_share(found, member) == pytest.approx(1.0)
    assert excess_share(found, ~member) == pytest.approx(0.5)
    nothing = np.zeros(10, dtype=bool)
    assert excess_share(found, nothing) == 0.0


def test_a_candidate_is_the_streams_by_its_excess_or_by_its_members():
    member, rows = np.arange(10) < 3, np.array([0, 1, 7, 8])
    assert is_of(0.0, rows, np.array([0.9, 0.9, 0.5, 0.5]), member)
    assert not is_of(0.0, rows, np.array([0.4, 0.4, 0.9, 0.9]), member)
    assert is_of(0.6, rows, np.array([0.4, 0.4, 0.9, 0.9]), member)
    assert not is_of(0.0, rows[:0], np.zeros(0), member)


def test_f1_counts_members_that_are_missed():
    member, rows = np.arange(10) < 4, np.array([0, 1, 7, 8])
    assert member_f1(rows, np.array([0.9, 0.9, 0.9, 0.1]), member) == pytest.approx(4 / 7)
    assert member_f1(rows, np.zeros(4), member) == 0.0


def test_the_known_window_holds_the_stream_and_is_the_emptier_one():
    sky = sky_of(JOB)
    patch = PatchStars(sky.geometry, sky.table, ("bp_rp", "phot_g_mean_mag"), [])
    for stream in sky.streams:
        unit = window_of(patch, stream.motion, 6.0)
        value = patch.values(unit.component)
        inside = (value >= unit.low) & (value < unit.high)
        assert inside[sky.member(stream)].mean() > 0.9
        for number, component in enumerate(("pm_phi1_cosphi2", "pm_phi2")):
            other = np.abs(patch.values(component) - stream.motion[number]) < 3.0
            assert inside.sum() <= other.sum() + 1


def test_a_wrong_ridge_is_one_step_off():
    (true,), wrong = ridges_of("true", 1), [ridges_of("wrong", seed)[0] for seed in (1, 2)]
    assert true.name == f"[Fe/H] = {STREAM.metallicity}"
    assert [one.name for one in wrong] == ["[Fe/H] = -0.7", "[Fe/H] = -2.2"]
    assert len(ridges_of("all", 1)) == 3


def test_halo_motions_spread_as_their_dispersion_says(field: Field):
    rng = np.random.default_rng(4)
    for distance in (10.0, 20.0):
        drawn = np.array([halo_motion(CENTRE, field, distance, rng)[0] for _ in range(60)])
        spread = 130.0 / (4.7405 * distance)
        assert np.std(drawn, axis=0) == pytest.approx([spread, spread], rel=0.3)


def test_null_places_are_uniform_over_the_sphere_outside_the_disc():
    sine = np.abs(np.sin([place(seed, 20.0).galactic.b.rad for seed in range(200)]))
    assert sine.min() > np.sin(np.radians(20))
    assert np.mean(sine) == pytest.approx((1 + np.sin(np.radians(20))) / 2, abs=0.05)


def test_rich_streams_are_the_best_hypotheses_of_a_small_patch_and_poor_ones_are_not():
    """Negative control: three stars are no stream."""
    made = [likelihood_rows({**JOB, "stars": stars}) for stars in (60, 3)]
    rich, poor = ([row for row in rows if row["method"] == "likelihood"] for rows in made)
    assert sum(row["contrast"] is not None and row["contrast"] > row["best_false"] for row in rich) >= 4
    assert sum(row["detected"] for row in poor) == 0
    stars = np.array([float(row["stars"]) for row in rich + poor])
    seen = np.array([row["contrast"] is not None for row in rich + poor])
    assert 3.0 < half_point(stars, seen) <= 60.0
    known = {row["place"]: row for row in made[0] if row["method"] == "ideal"}
    # Members by the true parameters: fewer are wrong in the wing, where the field is thin.
    assert known["3 %"]["f1"] > known["peak"]["f1"] > 0.5
