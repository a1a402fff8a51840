"""Laws of the cross-match: what is known is rediscovered, what is elsewhere is new, whatever the order."""

from __future__ import annotations

from dataclasses import replace

import known_skies
import numpy as np
import pytest
from astropy.coordinates import angular_separation
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from known_skies import GEOMETRIES, KNOWN

from sky_patches import PatchFrame, PatchGeometry
from streams.crossmatch import CrossMatchError, CrossMatchRecipe, cross_match
from streams.members import MemberStars

QUICK = CrossMatchRecipe(placements=4)
NORTH, WRAP, POLAR, STILL = KNOWN


def _one(stars: MemberStars, known=KNOWN, recipe: CrossMatchRecipe = QUICK):
    return cross_match({"VM-1": stars}, known, GEOMETRIES, recipe).candidates[0]


@pytest.mark.parametrize("stream", [NORTH, POLAR], ids=lambda stream: stream.name)
def test_a_streams_own_members_rediscover_it(stream):
    geometry = PatchGeometry.circle("all", float(stream.ra[20]), float(stream.dec[20]), 30.0)
    match = cross_match({"VM-1": stream.members}, KNOWN, [geometry], QUICK).candidates[0]
    assert (match.verdict, match.known[0].known) == ("rediscovered", stream.name)
    best = match.known[0].best
    assert best.shared == len(stream.members) and best.purity == 1.0 and best.completeness == 1.0


def test_unlisted_stars_of_known_streams_rediscover_them_by_track_and_motion():
    result = cross_match(known_skies.sky(), KNOWN, GEOMETRIES, QUICK)
    verdicts = {match.candidate: (match.verdict, match.known[0].known) for match in result.candidates}
    assert verdicts == {
        "VM-1": ("rediscovered", "North"), "VM-2": ("rediscovered", "Wrap"),
        "VM-3": ("rediscovered", "Polar"), "VM-4": ("ambiguous", "Still"),
    }  # fmt: skip


@pytest.mark.parametrize("number", range(4))
def test_ten_degrees_away_it_is_new(number):
    """The negative control: the same stars, not the same place."""
    stars = list(known_skies.sky().values())[number]
    stream = KNOWN[number]
    across = PatchFrame.offset(float(stream.ra[20]), float(stream.dec[20]), [20.0, 80.0, 100.0, 0.0][number])
    phi1, phi2 = across.project_positions(stars.ra, stars.dec)
    ra, dec = across.unproject(phi1, phi2 + 10.0)
    motion = across.project_motions(stars.ra, stars.dec, stars.pmra, stars.pmdec)
    pmra, pmdec = across.unproject_motions(phi1, phi2 + 10.0, *motion)
    match = _one(replace(stars, ra=ra, dec=dec, pmra=pmra, pmdec=pmdec))
    assert match.verdict == "new" and not match.known


@pytest.mark.parametrize(("shift", "verdict"), [(0.3, "rediscovered"), (1.5, "ambiguous"), (5.0, "new")])
def test_the_proper_motion_decides_in_one_place(shift, verdict):
    stars = known_skies.sky()["VM-1"]
    assert _one(replace(stars, pmra=stars.pmra + shift)).verdict == verdict


def test_a_stream_across_the_track_is_not_the_known_one():
    crossing = known_skies.known_stream("Crossing", 150.0, 35.0, 110.0, (-2.0, -6.0), half_length=6.0)
    stars = known_skies.members_on(crossing, 80, seed=5)
    assert _one(stars).verdict == "new"


def test_shared_stars_choose_between_two_streams_in_one_place():
    twin = replace(NORTH, name="Twin", source="other paper", members=None)
    # Half a degree away in proper motion space, so that they are two streams and both agree.
    twin = replace(twin, pmra=twin.pmra + 0.8)
    stars = replace(NORTH.members, pmra=NORTH.members.pmra + 0.4)
    listed = _one(stars, (NORTH, twin))
    assert (listed.verdict, listed.known[0].known) == ("rediscovered", "North")
    unlisted = _one(replace(stars, source_id=np.arange(len(stars))), (NORTH, twin))
    assert unlisted.verdict == "ambiguous" and len(unlisted.known) == 2


@examples(max_examples=5)
@given(st.floats(0.0, 360.0), st.floats(-90.0, 90.0), st.floats(0.0, 360.0))
def test_on_a_turned_sky_the_verdicts_stay(ra, dec, rotation):
    frame = PatchFrame.offset(ra, dec, rotation)
    before = cross_match(known_skies.sky(), KNOWN, (), QUICK)
    moved = {name: known_skies.turned(stars, frame) for name, stars in known_skies.sky().items()}
    known = tuple(known_skies.turned_known(stream, frame) for stream in KNOWN)
    after = cross_match(moved, known, (), QUICK)
    for old, new in zip(before.candidates, after.candidates, strict=True):
        assert (old.verdict, [known.known for known in old.known]) == (
            new.verdict, [known.known for known in new.known]
        )  # fmt: skip
        one, two = old.known[0].best, new.known[0].best
        assert two.separation == pytest.approx(one.separation, abs=0.01)
        assert two.share == pytest.approx(one.share, abs=0.02)
        if np.isfinite(one.pm_difference):
            assert two.pm_along == pytest.approx(one.pm_along, abs=0.01)
            assert two.pm_across == pytest.approx(one.pm_across, abs=0.01)


@examples(max_examples=5)
@given(st.integers(0, 2**32 - 1))
def test_no_order_matters(seed):
    rng = np.random.default_rng(seed)
    shuffled = {name: stars.take(rng.permutation(len(stars))) for name, stars in known_skies.sky().items()}
    known = [KNOWN[number] for number in rng.permutation(len(KNOWN))]
    geometries = [GEOMETRIES[number] for number in rng.permutation(len(GEOMETRIES))]
    result = cross_match(shuffled, known, geometries, QUICK)
    # repr and not ==: a NaN is not equal to itself.
    assert repr(result) == repr(cross_match(known_skies.sky(), KNOWN, GEOMETRIES, QUICK))


def test_one_stream_from_two_sources_is_reported_once():
    again = replace(NORTH, name="north", source="another", members=None)
    renamed = replace(NORTH, name="STREAMFINDER-999", source="third", members=None)
    result = cross_match(known_skies.sky(), (*KNOWN, again, renamed), GEOMETRIES, QUICK)
    assert [known.known for known in result.candidates[0].known] == ["North"]
    assert {match.source for match in result.candidates[0].known[0].matches} == {"paper", "another", "third"}
    assert [known.name for known in result.inside] == ["North", "Wrap"]


def test_what_lies_inside_and_was_not_found_is_missed():
    sky = known_skies.sky()
    result = cross_match({"VM-2": sky["VM-2"]}, KNOWN, GEOMETRIES, QUICK)
    assert [known.name for known in result.missed()] == ["North"]
    missed = result.missed()[0]
    assert missed.length == pytest.approx(20.0, abs=0.2)
    inside = angular_separation(
        np.radians(150.0), np.radians(35.0), np.radians(NORTH.members.ra), np.radians(NORTH.members.dec)
    )
    assert missed.stars == np.sum(inside <= np.radians(10.0))
    assert [known.name for known in result.missed(among=())] == ["North", "Wrap"]


def test_overlapping_patches_count_a_track_once():
    twice = cross_match({}, KNOWN, [GEOMETRIES[0], GEOMETRIES[0]], QUICK)
    once = cross_match({}, KNOWN, GEOMETRIES[:1], QUICK)
    assert twice.inside == once.inside and np.isnan(twice.chance.match)


def test_a_thin_sky_is_rarely_matched_by_chance_and_a_full_one_often():
    """The chance says how far a rediscovery can be trusted; the control is a sky full of known streams."""
    recipe = CrossMatchRecipe(placements=40)
    stars = known_skies.sky()["VM-1"]
    assert cross_match({"VM-1": stars}, KNOWN, GEOMETRIES, recipe).chance.match < 0.05
    places = [(ra, dec) for ra in range(0, 360, 24) for dec in (-60, -30, 0, 30, 60)]
    full = [
        known_skies.known_stream(f"S{n}", ra, dec, 20.0, (0.0, 0.0), half_length=10.0, width=8.0)
        for n, (ra, dec) in enumerate(places)
    ]
    slow = replace(stars, pmra=0.0 * stars.pmra, pmdec=0.0 * stars.pmdec)
    assert cross_match({"VM-1": slow}, full, GEOMETRIES, recipe).chance.match > 0.1


def test_nothing_known_means_everything_is_new():
    result = cross_match(known_skies.sky(), (), GEOMETRIES, QUICK)
    assert {match.verdict for match in result.candidates} == {"new"}
    assert result.inside == () and result.chance.match == 0.0


def test_a_candidate_without_stars_is_an_error():
    stars = known_skies.sky()["VM-1"]
    with pytest.raises(CrossMatchError, match="VM-7"):
        cross_match({"VM-7": stars.take(np.zeros(0, dtype=int))}, KNOWN, GEOMETRIES)


@pytest.mark.parametrize("wrong", [{"widths": 0.0}, {"partial_share": 0.9}, {"angle": float("nan")}])
def test_a_recipe_refuses_what_makes_no_sense(wrong):
    with pytest.raises(CrossMatchError, match=next(iter(wrong))):
        CrossMatchRecipe(**wrong)
