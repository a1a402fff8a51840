"""Laws over the whole chain: a patch split in two keeps its catalogue; pieces of a stream become one fit."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from stream_skies import FOOTPRINT, PLANE, Injected, Sky, make_sky, scored_windows

from sky_patches import PatchGeometry
from streams import (
    CandidateFinder,
    LineRecipe,
    MembershipRecipe,
    RegionRecipe,
    StreamModel,
    StreamStars,
    fit_membership,
)
from streams.members import MEMBER_COLUMNS, MemberStars
from streams.merging import FoundStream, JoinRecipe, MergingError, explain, join_streams
from streams.merging.protostreams import compared, fitted_together, groups_of

FINDER = CandidateFinder(
    regions=RegionRecipe(step=3.0),
    lines=LineRecipe(widths=(0.5, 1.0), ranks=(50, 100), angle_step=4.0, offset_step=0.25),
    cell_deg=0.15,
    null_skies=20,
    report_below=0.05,
)
ONE = Injected(120, np.radians(10.0), 0.5)
TWO = Injected(110, np.radians(165.0), -1.5, proper_motion=((-4.0, 0.0), (3.5, 0.0)), colour=0.8)
WHOLE = PatchGeometry.circle("whole", 0.0, 0.0, FOOTPRINT.radius)
HALVES = PatchGeometry.circle("west", 358.0, 0.0, 4.0), PatchGeometry.circle("east", 2.0, 0.0, 4.0)


def _view(sky, geometry):
    """The stars of one patch, in its frame; (phi1, phi2) of the sky are (ra, dec)."""
    ra, dec = sky.stars.position.T
    inside = geometry.contains(ra, dec)
    motion = sky.stars.proper_motion[inside]
    stars = StreamStars(
        sky.stars.source_id[inside],
        np.column_stack(geometry.frame.project_positions(ra[inside], dec[inside])),
        np.column_stack(geometry.frame.project_motions(ra[inside], dec[inside], *motion.T)),
        sky.stars.proper_motion_error[inside], sky.stars.photometry[inside], sky.stars.photometry_names,
    )  # fmt: skip
    return Sky(stars, sky.origin[inside])


def _members(view, geometry, membership):
    use = membership.probability > 0.01
    rows = membership.rows[use]
    stars = view.stars
    ra, dec = geometry.frame.unproject(*stars.position[rows].T)
    pmra, pmdec = geometry.frame.unproject_motions(*stars.position[rows].T, *stars.proper_motion[rows].T)
    unknown = {name: np.full(len(rows), np.nan) for name in MEMBER_COLUMNS}
    known = {"source_id": stars.source_id[rows], "probability": membership.probability[use], "ra": ra,
             "dec": dec, "pmra": pmra, "pmdec": pmdec}  # fmt: skip
    return MemberStars(**{**unknown, **known})


def _found(sky, geometry):
    view = _view(sky, geometry)
    candidates = FINDER.find(view.stars, geometry.footprint, scored_windows(view, 2), seed=1)
    return [
        FoundStream(
            f"{geometry.name}/{number}", geometry, _members(view, geometry, candidate.membership),
            candidate.line.significance, candidate.false_alarm_probability, candidate.log,
        )
        for number, candidate in enumerate(candidates)
    ]  # fmt: skip


@cache
def _sky():
    return make_sky(3, 3000, (ONE, TWO))


@cache
def _halves():
    return tuple(found for half in HALVES for found in _found(_sky(), half))


def test_a_patch_split_in_two_overlapping_ones_keeps_its_catalogue():
    """Two streams, found in both halves, are listed once each, with the members of the whole patch there."""
    whole = {_origin(found.members): found.members for found in _found(_sky(), WHOLE)}
    assert set(whole) == {1, 2} and len(_halves()) == 4
    streams, _ = join_streams(_halves())
    assert [len(stream.parts) for stream in streams] == [2, 2]
    for stream in streams:
        reference = whole[_origin(stream.members)]
        seen = np.logical_or(*(half.contains(reference.ra, reference.dec) for half in HALVES))
        expected = reference.source_id[seen & (reference.probability > 0.5)]
        members = stream.members.source_id[stream.members.probability > 0.5]
        common = len(np.intersect1d(expected, members))
        assert 2 * common / (len(expected) + len(members)) > 0.85


def _origin(members):
    """Which injected stream most members come from."""
    ids = members.source_id[members.probability > 0.5]
    return int(np.bincount(_sky().origin[np.isin(_sky().stars.source_id, ids)]).argmax())


def test_explain_tells_regions_protostreams_patches_and_what_was_not_merged():
    streams, decisions = join_streams(_halves())
    logs = {found.label: found.log for found in _halves()}
    text = explain(streams[0].record, decisions, logs)
    for part in streams[0].parts:
        assert f"protostream {part} in patch {part.split('/')[0]}" in text
    line = logs[streams[0].record.best].protoclusters[0].line
    assert f"line of {line.count} among the best {line.rank} stars" in text
    assert "regions merged: more than 50 %" in text
    assert " joined: one stream" in text and "not joined: two streams" in text and "FAILED" in text
    assert text.splitlines()[0].startswith("2 protostreams in 2 patches: significance")
    with pytest.raises(MergingError, match=f"no log of .*{streams[0].parts[1]}"):
        explain(streams[0].record, decisions, {streams[0].parts[0]: logs[streams[0].parts[0]]})


def _pieces(seed, second):
    """A sky with one stream in pieces, or two, and a fit to each half of it."""
    sky = make_sky(seed, 2000, (Injected(240, np.radians(30.0), 0.0), *second))
    x, y = PLANE.project(*sky.stars.position.T)
    along = x * np.cos(np.radians(30.0)) + y * np.sin(np.radians(30.0))
    fits = []
    for number, side in enumerate((along < -0.5, along > 0.5)):
        offset = second[0].offset * number if second else 0.0
        start = StreamModel(np.radians(30.0), (offset, 0.0, 0.0), 0.2, ((4.0, 0.0), (-3.0, 0.0)), 0.5, 0.1)
        use = side if not second else sky.origin != 2 - number
        fits.append(fit_membership(sky.stars, PLANE, start, MembershipRecipe(), use))
    return sky, fits


@pytest.mark.parametrize("seed", range(3))
def test_two_pieces_of_a_stream_in_one_patch_are_fitted_as_one(seed):
    sky, fits = _pieces(seed, ())
    decisions = compared(sky.stars, fits, JoinRecipe())
    assert groups_of(2, decisions) == [[0, 1]]
    joint = fitted_together(sky.stars, PLANE, fits, MembershipRecipe(), np.ones(len(sky.stars), dtype=bool))
    members = joint.members()
    assert np.mean(sky.origin[members] == 1) > 0.85 and np.sum(sky.origin[members] == 1) > 0.85 * 240


@pytest.mark.parametrize("seed", range(3))
def test_parallel_streams_of_one_motion_in_one_patch_stay_two(seed):
    """Negative control: two degrees apart, the same proper motion."""
    sky, fits = _pieces(seed, (Injected(240, np.radians(30.0), 2.0),))
    decisions = compared(sky.stars, fits, JoinRecipe())
    assert groups_of(2, decisions) == [[0], [1]]
    assert [c.name for c in decisions[0].criteria if not c.passed] == ["position"]


def test_groups_are_connected_components():
    sky, fits = _pieces(0, ())
    decision = compared(sky.stars, fits, JoinRecipe())[0]
    links = [("0", "3"), ("1", "2"), ("3", "4")]
    decisions = [type(decision)(link, (), True, "") for link in links]
    assert groups_of(6, decisions) == [[0, 3, 4], [1, 2], [5]]
