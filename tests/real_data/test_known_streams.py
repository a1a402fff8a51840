"""Real lists of known streams: STREAMFINDER's members lie on galstreams' tracks and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sky_patches import PatchFrame, PatchGeometry
from sky_patches.frames import unit_vectors
from streams.crossmatch import (
    CrossMatchRecipe,
    KnownStream,
    cross_match,
    galstreams_streams,
    group_streams,
    streamfinder_streams,
)
from streams.members import MemberStars

pytestmark = [pytest.mark.real_data]

RECIPE = CrossMatchRecipe(placements=20)


@pytest.fixture(scope="module")
def listed(shared_data: Callable[[str], Path]) -> dict[str, KnownStream]:
    return {stream.name: stream for stream in streamfinder_streams(shared_data("streamfinder_gaiadr3.fits"))}


@pytest.fixture(scope="module")
def tracks(tmp_path_factory: pytest.TempPathFactory) -> tuple[KnownStream, ...]:
    pytest.importorskip("galstreams", reason="galstreams is not installed")
    return galstreams_streams(tmp_path_factory.mktemp("cache"))


def _patch(stars: MemberStars, radius: float) -> MemberStars:
    """The stars within a radius of where they are densest."""
    points = unit_vectors(stars.ra, stars.dec)
    near = points @ points.T > np.cos(np.radians(radius))
    return stars.take(near[int(np.argmax(near.sum(axis=1)))])


def test_gd1s_members_are_gd1_by_track_and_motion(listed, tracks):
    stars = _patch(listed["GD-1"].members, 10.0)
    match = cross_match({"VM-1": stars}, tracks, (), RECIPE).candidates[0]
    assert (match.verdict, match.known[0].known) == ("rediscovered", "GD-1")
    best = match.known[0].best
    assert abs(best.separation) < 0.3 and best.share > 0.9 and best.pm_difference < 0.5 and best.shared == 0
    assert match.chance.match < 0.1


def test_gd1s_members_ten_degrees_away_are_new(listed, tracks):
    """The negative control."""
    stars = _patch(listed["GD-1"].members, 10.0)
    frame = PatchFrame.offset(float(np.median(stars.ra)), float(np.median(stars.dec)))
    phi1, phi2 = frame.project_positions(stars.ra, stars.dec)
    motions = frame.project_motions(stars.ra, stars.dec, stars.pmra, stars.pmdec)
    ra, dec = frame.unproject(phi1 + 10.0, phi2)
    pmra, pmdec = frame.unproject_motions(phi1 + 10.0, phi2, *motions)
    moved = replace(stars, ra=ra, dec=dec, pmra=pmra, pmdec=pmdec)
    match = cross_match({"VM-1": moved}, tracks, (), RECIPE).candidates[0]
    assert match.verdict != "rediscovered"
    assert "GD-1" not in [known.known for known in match.known if known.best.level == "match"]


def test_both_sources_know_one_gd1_and_it_is_missed_where_nothing_was_found(listed, tracks):
    (gd1,) = [group for group in group_streams((listed["GD-1"], *tracks)) if group.name == "GD-1"]
    assert gd1.sources == "STREAMFINDER 53, galstreams GD-1-I21"
    stars = _patch(listed["GD-1"].members, 10.0)
    patch = PatchGeometry.circle("gd1", float(np.median(stars.ra)), float(np.median(stars.dec)), 15.0, 10.0)
    nothing = cross_match({}, (listed["GD-1"], *tracks), [patch], RECIPE)
    (missed,) = [known for known in nothing.missed() if known.name == "GD-1"]
    assert missed.length == pytest.approx(20.0, abs=1.5) and missed.stars >= 0.9 * len(stars)


def test_the_names_of_the_numbers_are_those_of_the_tracks(listed, tracks):
    """Most numbered streams whose name galstreams knows as well lie on that track."""
    by_name = {stream.name: stream for stream in tracks if stream.has_proper_motion}
    both = sorted(set(by_name) & set(listed))
    assert len(both) > 50
    shares = []
    for name in both:
        stars = listed[name].members
        away = by_name[name].line.distances(unit_vectors(stars.ra, stars.dec))
        shares.append(float(np.mean(away < 2.0 + 2.0 * np.nan_to_num(by_name[name].width))))
    assert np.mean(np.array(shares) > 0.5) > 0.9
