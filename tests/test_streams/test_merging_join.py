"""Laws of joining across patches: one stream is one, two are two, and no order or frame matters."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sky_patches import PatchFrame, PatchGeometry
from sky_patches.frames import tangent_axes, unit_vectors
from streams.members import MEMBER_COLUMNS, MemberStars
from streams.merging import (
    CommonFrame,
    FoundStream,
    JoinRecipe,
    JoinRecord,
    MergeDecision,
    MergingError,
    SkyStars,
    fit_track,
    join_streams,
)

FRAME = PatchFrame.offset(30.0, 20.0, 25.0)


def _patch(name, phi1):
    ra, dec = FRAME.unproject(phi1, 0.0)
    return PatchGeometry.circle(name, float(ra), float(dec), 10.0)


WEST, MIDDLE, EAST, FAR = (
    _patch("west", -7.0),
    _patch("middle", 17.0),
    _patch("east", 7.0),
    _patch("far", 27.0),
)


def _members(position, motion, ids, probability):
    """Members from positions and motions in FRAME."""
    ra, dec = FRAME.unproject(*position.T)
    pmra, pmdec = FRAME.unproject_motions(*position.T, *motion.T)
    n = len(ids)
    unknown = {name: np.full(n, np.nan) for name in MEMBER_COLUMNS}
    known = {"source_id": ids, "probability": probability, "ra": ra, "dec": dec, "pmra": pmra, "pmdec": pmdec,
             "pmra_error": np.full(n, 0.2), "pmdec_error": np.full(n, 0.2)}  # fmt: skip
    return MemberStars(**{**unknown, **known})


def _stream(
    seed, stars=200, span=(-15.0, 15.0), slope=0.0, offset=0.0, bend=0.0, motion=(-4.0, 1.0), first=0
):
    """A stream along phi1 of FRAME with a gradient along it, and as many strays of small probability."""
    rng = np.random.default_rng(seed)
    s = rng.uniform(*span, stars)
    phi2 = offset + slope * s + bend * s**2 + rng.normal(0.0, 0.2, stars)
    motions = np.column_stack([motion[0] + 0.05 * s, np.full(stars, motion[1])])
    motions = motions + rng.normal(0.0, 0.3, motions.shape)
    strays = np.column_stack([rng.uniform(*span, stars), rng.uniform(-3.0, 3.0, stars)])
    position = np.concatenate([np.column_stack([s, phi2]), strays])
    motions = np.concatenate([motions, rng.normal(0.0, 3.0, strays.shape)])
    probability = np.concatenate([rng.uniform(0.7, 1.0, stars), rng.uniform(0.01, 0.05, stars)])
    return _members(position, motions, 1000 * first + np.arange(2 * stars), probability)


def _found(members, *geometries, significance=9.0):
    """What each patch sees of a stream."""
    return [
        FoundStream(
            f"{geometry.name}/{members.source_id.min()}", geometry,
            members.take(geometry.contains(members.ra, members.dec)), significance, 1e-3,
        )
        for geometry in geometries
    ]  # fmt: skip


def _partition(found, **options):
    streams, decisions = join_streams(found, **options)
    return {stream.parts for stream in streams}, decisions


@pytest.mark.parametrize("seed", range(5))
def test_one_stream_in_two_patches_is_one(seed):
    found = _found(_stream(seed, bend=0.01), WEST, EAST)
    streams, decisions = join_streams(found)
    assert [stream.parts for stream in streams] == [("east/0", "west/0")]
    assert [decision.joined for decision in decisions] == [True]
    assert "one stream" in decisions[0].reason and "sharing" in decisions[0].reason


def test_members_are_the_union_each_star_once_with_its_patch():
    whole = _stream(1)
    west, east = _found(whole, WEST, EAST)
    doubted = replace(east.members, probability=east.members.probability * 0.5)
    stream = join_streams([west, replace(east, members=doubted)])[0][0]
    both = np.union1d(west.members.source_id, east.members.source_id)
    np.testing.assert_array_equal(stream.members.source_id, both)
    in_west = np.isin(both, west.members.source_id)
    assert set(stream.patch_of[in_west]) == {"west"} and set(stream.patch_of[~in_west]) == {"east"}
    assert stream.record.stars == (doubted.probability.sum(), west.members.stars)


def test_streams_that_only_touch_continue_into_each_other():
    """No star in common: the two ends of a stream with a gap."""
    found = [
        *_found(_stream(1, 100, (-14.0, -1.5)), WEST),
        *_found(_stream(2, 100, (1.5, 14.0), first=9), EAST),
    ]
    partition, decisions = _partition(found)
    assert partition == {("east/9000", "west/0")}
    assert "gap" in decisions[0].reason
    wide = [
        *_found(_stream(1, 100, (-14.0, -4.0)), WEST),
        *_found(_stream(2, 100, (4.0, 14.0), first=9), EAST),
    ]
    assert len(_partition(wide)[0]) == 2, "a gap of eight degrees is no continuation"


OTHERS = {
    "crossing with another motion": {"slope": 0.4, "motion": (2.0, -3.0)},
    "same place, other motion": {"motion": (-4.0, 4.0)},
    "crossing with the same motion": {"slope": 0.5},
    "parallel, two degrees apart": {"offset": 2.0},
}


@pytest.mark.parametrize("kind", OTHERS)
@pytest.mark.parametrize("seed", range(3))
def test_two_streams_stay_two(kind, seed):
    """Negative control: each is one over its patches, and never one with the other."""
    one = _found(_stream(seed), WEST, EAST)
    two = _found(_stream(seed + 50, first=9, **OTHERS[kind]), WEST, EAST)
    partition, decisions = _partition(one + two)
    assert partition == {("east/0", "west/0"), ("east/9000", "west/9000")}, kind
    for decision in decisions:
        same = decision.labels[0][-4:] == decision.labels[1][-4:]
        assert decision.joined == (len({label.split("/")[1] for label in decision.labels}) == 1), same
        assert decision.joined == all(criterion.passed for criterion in decision.criteria)


def test_the_same_motion_in_another_place_is_another_stream():
    here = _found(_stream(1, span=(-16.0, 0.0), offset=3.0), WEST)
    there = _found(_stream(2, span=(0.0, 16.0), offset=-3.0, first=9), EAST)
    partition, decisions = _partition(here + there)
    assert len(partition) == 2
    assert [c.name for c in decisions[0].criteria if not c.passed] == ["position"]


def test_stars_that_should_be_shared_and_are_not_speak_against():
    """The same track and motion in both patches, but other stars: two lists of one place must agree."""
    found = [*_found(_stream(1), WEST), *_found(_stream(2, first=9), EAST)]
    partition, decisions = _partition(found)
    assert len(partition) == 2
    assert [c.name for c in decisions[0].criteria if not c.passed] == ["shared stars"]


def test_patches_out_of_reach_are_not_compared():
    found = [*_found(_stream(1), WEST), *_found(_stream(2, span=(20.0, 34.0), first=9), FAR)]
    partition, decisions = _partition(found)
    assert len(partition) == 2 and decisions == []


def test_a_chain_over_three_patches_is_one_stream():
    found = _found(_stream(1, 400, (-15.0, 35.0), bend=0.002), WEST, MIDDLE, EAST, FAR)
    assert _partition(found)[0] == {("east/0", "far/0", "middle/0", "west/0")}


def test_a_chain_does_not_join_what_its_own_patch_tells_apart():
    """A blurred list in the east agrees with both of two parallel streams of the west: one link goes."""
    a, b = _stream(1, offset=-0.5), _stream(2, offset=0.9, first=9)
    blurred = MemberStars.concatenate([a, b])
    west = _found(a, WEST) + _found(b, WEST)
    east = [replace(_found(blurred, EAST)[0], label="east/both")]
    recipe = JoinRecipe(least_share=0.05, position_tolerance=1.2, max_position=1.2)
    partition, decisions = _partition(west + east, recipe=recipe)
    assert len(partition) == 2
    refused = [d for d in decisions if not d.joined]
    assert len(refused) == 1 and "patch west tells" in refused[0].reason
    assert all(criterion.passed for criterion in refused[0].criteria)


def test_a_stream_with_too_few_stars_stays_alone():
    found = _found(_stream(1), WEST, EAST)
    empty = replace(found[1], members=found[1].members.take(np.zeros(len(found[1].members), dtype=bool)))
    partition, decisions = _partition([found[0], empty])
    assert partition == {("west/0",), ("east/0",)} and decisions == []


def test_a_label_that_comes_twice_is_refused():
    found = _found(_stream(1), WEST)
    with pytest.raises(MergingError, match="west/0"):
        join_streams(found * 2)
    assert join_streams([]) == ([], [])


MANY = [
    *_found(_stream(1), WEST, EAST, significance=8.0),
    *_found(_stream(2, first=9, slope=0.3, motion=(3.0, 3.0)), WEST, EAST),
    *_found(_stream(3, first=20, offset=2.5, span=(0.0, 35.0)), EAST, FAR),
]


def _same(one, two):
    assert one[1] == two[1]
    assert [stream.record for stream in one[0]] == [stream.record for stream in two[0]]
    for a, b in zip(one[0], two[0], strict=True):
        np.testing.assert_array_equal(a.members.source_id, b.members.source_id)
        np.testing.assert_array_equal(a.members.probability, b.members.probability)
        np.testing.assert_array_equal(a.patch_of, b.patch_of)


@settings(max_examples=10, deadline=None)
@given(order=st.permutations(range(len(MANY))), seed=st.integers(0, 1000))
def test_the_order_of_streams_and_of_their_stars_does_not_matter(order, seed):
    rng = np.random.default_rng(seed)
    mixed = [MANY[k] for k in order]
    mixed = [replace(f, members=f.members.take(rng.permutation(len(f.members)))) for f in mixed]
    expected, found = join_streams(MANY), join_streams(mixed)
    assert len(found[0]) == len(expected[0]) > 0
    _same(expected, found)


def _turned(found, rotation):
    """The same stars and patches after a rotation of the whole sky."""
    m = found.members
    vectors = unit_vectors(m.ra, m.dec) @ rotation.T
    east, north = tangent_axes(m.ra, m.dec)
    motions = (m.pmra[:, None] * east + m.pmdec[:, None] * north) @ rotation.T
    ra, dec = _angles(vectors)
    east, north = tangent_axes(ra, dec)
    pmra, pmdec = (motions * east).sum(1), (motions * north).sum(1)
    g = found.geometry
    centre = _angles(unit_vectors(*np.array(g.centre)[:, None]) @ rotation.T)
    geometry = PatchGeometry(g.name, PatchFrame.offset(float(centre[0][0]), float(centre[1][0])), g.footprint)
    return replace(found, geometry=geometry, members=replace(m, ra=ra, dec=dec, pmra=pmra, pmdec=pmdec))


def _angles(vectors):
    x, y, z = vectors.T
    return np.degrees(np.arctan2(y, x)) % 360.0, np.degrees(np.arctan2(z, np.hypot(x, y)))


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_rotate_the_sky_and_the_candidates_rotate(seed):
    """Poles and ra = 0 included: numbers of every decision stay, and so do the members."""
    q = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))[0]
    rotation = q * np.sign(np.linalg.det(q))
    streams, decisions = join_streams(MANY)
    turned, again = join_streams([_turned(found, rotation) for found in MANY])
    assert [stream.parts for stream in streams] == [stream.parts for stream in turned]
    for one, two in zip(decisions, again, strict=True):
        assert one.joined == two.joined
        for a, b in zip(one.criteria, two.criteria, strict=True):
            assert a.value == pytest.approx(b.value, abs=0.02), a.name


@pytest.mark.statistical
def test_errors_of_the_track_are_honest():
    """The true place lies within one sigma in about 68 of 100 draws; a tenth of the error fails."""
    pulls = []
    for seed in range(150):
        members = _stream(seed, stars=60)
        members = members.take(members.probability > 0.5)
        stars = SkyStars.of_members(members)
        frame = CommonFrame.of(stars)
        track = fit_track(stars, frame)
        truth = unit_vectors(*FRAME.unproject(np.array([0.0]), np.array([0.0])))
        s, t = frame.positions(truth)
        value, error = track.offset.at(s)
        pulls.append((value[0] - t[0]) / error[0])
    within = np.mean(np.abs(pulls) < 1.0)
    assert 0.58 < within < 0.78
    assert np.mean(np.abs(pulls) < 0.1) < 0.2, "negative control"


def test_records_and_decisions_come_back_from_json():
    streams, decisions = join_streams(MANY)
    for decision in decisions:
        assert MergeDecision.from_dict(json.loads(json.dumps(decision.to_dict()))) == decision
    for stream in streams:
        assert JoinRecord.from_dict(json.loads(json.dumps(stream.record.to_dict()))) == stream.record
    with pytest.raises(MergingError, match="another version"):
        JoinRecord.from_dict({"parts": []})
    with pytest.raises(MergingError, match="MergeDecision"):
        MergeDecision.from_dict({"labels": ["a", "b"]})
