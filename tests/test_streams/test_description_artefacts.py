"""Artefact flags: each raised where its cause is, and silent beside it."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import numpy as np
import pytest
from described_streams import Stream, members_of, with_light

from sky_patches import KnownObject, MaskSet, PatchFrame, PatchGeometry
from streams.description import FLAGS, DescriptionError, GreatCircle, StreamDescription, describe

MIDDLE = Stream().circle.ra0, Stream().circle.dec0


def _members(**changes):
    return members_of(replace(Stream(phi2=(0.0,)), **changes), 1, 150, 300)[0]


def _patch(offset: float, radius: float, fiducial: float | None = None) -> PatchGeometry:
    """A circle whose centre lies `offset` deg beside the stream's middle, across it."""
    ra, dec = Stream().circle.sky(np.array(0.0), np.array(offset))
    return PatchGeometry.circle("a", float(ra), float(dec), radius, fiducial)


def test_a_stream_inside_a_patch_has_no_flag_of_the_border():
    found = describe(_members(), geometries=[_patch(1.0, 12.0, 10.0)], objects=())
    assert not {"edge", "leaves_patch", "outside_fiducial"} & set(found.flags)
    assert found.numbers["edge_share"] == 0.0 and found.numbers["fiducial_share"] == pytest.approx(1.0)
    assert set(found.flags) <= set(FLAGS)


def test_a_line_along_the_border_is_flagged():
    """A chord near the rim: most of it within a width of the border."""
    short = _members(half_length=2.0)
    found = describe(short, geometries=[_patch(12.0, 12.2, 10.0)], objects=())
    assert {"edge", "outside_fiducial"} <= set(found.flags)
    # The neighbour's patch shows that the border had nothing to do with it.
    both = describe(short, geometries=[_patch(12.0, 12.2, 10.0), _patch(0.0, 12.0)], objects=())
    assert not {"edge", "outside_fiducial"} & set(both.flags)


def test_a_stream_that_goes_on_is_told():
    found = describe(_members(), geometries=[_patch(0.0, 7.9)], objects=())
    assert "leaves_patch" in found.flags and "edge" not in found.flags
    assert found.numbers["ends_at_border"] == 2.0


def test_holes_of_masks_are_no_border():
    patch = MaskSet.around([KnownObject("X", *MIDDLE, 6.0, "", "")]).pierce(_patch(0.0, 12.0))
    found = describe(_members(half_length=1.0), geometries=[patch], objects=())
    assert found.numbers["edge_share"] == 0.0


def _galactic(latitude: float, tilt: float) -> Stream:
    """A stream through (l, b) = (120, latitude), tilted against the parallel."""
    galactic = PatchFrame.galactic()
    angle, b = np.radians(tilt), np.radians(latitude)
    east, north = np.array([0.0, 1.0, 0.0]), np.array([-np.sin(b), 0.0, np.cos(b)])
    along = np.cos(angle) * east + np.sin(angle) * north
    origin = np.array([np.cos(b), 0.0, np.sin(b)])
    pole = np.cross(origin, along)
    places = []
    for vector in (pole, origin):
        longitude = np.degrees(np.arctan2(vector[1], vector[0])) + 120.0
        places += [float(x) for x in galactic.unproject(longitude, np.degrees(np.arcsin(vector[2])))]
    return Stream(circle=GreatCircle(*places), phi2=(0.0,), half_length=4.0)


@pytest.mark.parametrize("latitude, tilt, flagged", [(15, 3, True), (15, 40, False), (60, 3, False)])
def test_layers_of_the_galaxy_are_flagged(latitude, tilt, flagged):
    found = describe(members_of(_galactic(latitude, tilt), 2, 200)[0], objects=())
    assert ("galactic_latitude" in found.flags) is flagged
    assert found.numbers["latitude_angle"] == pytest.approx(tilt, abs=2.5)
    assert found.numbers["latitude_chance"] == pytest.approx(tilt / 90.0, abs=0.03)
    assert (found.l, found.b) == (pytest.approx(120.0, abs=2.0), pytest.approx(latitude, abs=1.0))


def _field(seed: int, stars: int = 2000):
    field, _ = members_of(Stream(width=2.0, phi2=(0.0,)), seed, stars)
    return replace(field, source_id=field.source_id + 100_000, probability=np.zeros(stars))


def test_the_scanning_law_needs_observations():
    assert describe(_members(), objects=()).scanning == "unknown"
    with pytest.raises(DescriptionError, match="background"):
        describe(_members(), objects=(), observations=(np.ones(3), np.ones(3)))
    members, field = _members(), _field(1)
    with pytest.raises(DescriptionError, match="got 3 and 3"):
        describe(members, objects=(), background=field, observations=(np.ones(3), np.ones(3)))


@pytest.mark.parametrize("extra, flagged", [(0.0, False), (3.0, True)])
def test_a_stripe_of_the_scanning_law_is_flagged(extra, flagged):
    rng, members, field = np.random.default_rng(1), _members(), _field(1)
    visits = rng.normal(20.0, 3.0, len(members)) + extra, rng.normal(20.0, 3.0, len(field))
    found = describe(members, objects=(), background=field, observations=visits)
    assert found.scanning == "known" and ("scanning_law" in found.flags) is flagged
    assert abs(found.numbers["scanning_sigma"]) > 5 if flagged else abs(found.numbers["scanning_sigma"]) < 3.5
    order = rng.permutation(len(members))
    again = describe(
        members.take(order), objects=(), background=field, observations=(visits[0][order], visits[1])
    )
    assert str(again) == str(found)


def test_known_objects_in_the_strip_are_named():
    circle = Stream().circle

    def at(name, phi1, phi2):
        ra, dec = circle.sky(np.array(phi1), np.array(phi2))
        return KnownObject(name, float(ra), float(dec), 3.0, "globular cluster", "")

    objects = [at("on it", 2.0, 0.3), at("beside", 2.0, 5.0), at("beyond the end", 20.0, 0.0)]
    found = describe(_members(), objects=objects)
    assert found.known_objects == ("on it",) and "known_object" in found.flags
    assert describe(_members(), objects=objects[1:]).known_objects == ()


def test_a_description_survives_json():
    members = with_light(1, 100, 10.0, -1.5)
    for stars in (members, _members()):
        found = describe(stars, geometries=[_patch(0.0, 12.0)])
        text = json.dumps(found.to_dict())
        again = StreamDescription.from_dict(json.loads(text))
        assert json.dumps(again.to_dict()) == text and str(again) == str(found)
    with pytest.raises(DescriptionError, match="track"):
        StreamDescription.from_dict({key: value for key, value in json.loads(text).items() if key != "track"})


def test_light_and_density_are_those_of_the_members():
    """Within one width: 0.68 of the 90 % between the percentiles, over twice the width."""
    members = replace(
        _members(), phot_g_mean_mag=np.full(len(_members()), 18.0), bp_rp=np.full(len(_members()), 0.7)
    )
    found = describe(members, objects=())
    area = 2 * found.extent.width * found.extent.length
    assert found.extent.surface_density == pytest.approx(0.9 * 0.6827 * found.extent.stars / area, rel=1e-3)
    expected = 18.0 - 2.5 * np.log10(found.extent.surface_density / 3600.0**2)
    assert found.photometry.surface_brightness == pytest.approx(expected, abs=1e-6)
    assert (found.photometry.bp_rp, found.photometry.g) == (pytest.approx(0.7), pytest.approx(18.0))
    assert found.photometry.g_spread == pytest.approx(0.0, abs=1e-6)
    assert found.extent.stars_error > np.sqrt(found.extent.stars)


def test_the_track_on_the_sky_lies_among_the_members():
    found = describe(_members(), objects=())
    ra, dec, pmra, pmdec = found.sky_track(np.zeros(1))
    assert (ra[0], dec[0]) == (pytest.approx(found.ra), pytest.approx(found.dec))
    assert (pmra[0], pmdec[0]) == (pytest.approx(found.pmra), pytest.approx(found.pmdec))
    further = found.sky_track(np.array([0.01]))
    east = (further[0][0] - ra[0]) * np.cos(np.radians(found.dec))
    angle = np.degrees(np.arctan2(east, further[1][0] - dec[0])) % 180.0
    assert found.position_angle == pytest.approx(angle, abs=0.1)


def test_a_description_is_quick():
    members = with_light(1, 300, 10.0, -1.5)
    describe(members)
    start = time.process_time()
    describe(members, geometries=[_patch(0.0, 12.0)])
    assert time.process_time() - start < 0.5
