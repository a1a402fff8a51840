"""The group of four patches: what the benchmark says of it holds before a star is drawn."""

from __future__ import annotations

import itertools

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord

from sky_patches.masks import read_known_objects
from sky_patches.mock import GROUP_CENTRES, GROUP_RADIUS_DEG, draw_objects, group_sky


@pytest.fixture(scope="module")
def centres() -> SkyCoord:
    return SkyCoord(list(GROUP_CENTRES.values()), unit="deg")


def test_the_patches_are_ten_degrees_apart_and_off_the_plane(centres):
    apart = sorted(a.separation(b).deg for a, b in itertools.combinations(centres, 2))
    assert np.allclose(apart[:4], 10.0, atol=0.1)
    assert np.all(np.abs(centres.galactic.b.deg) > 20)


def test_the_sky_holds_every_patch_whole(centres):
    region = group_sky(1000).region
    angles = np.arange(0, 360, 5)
    for centre in centres:
        edge = centre.directional_offset_by(angles * u.deg, 14.99 * u.deg)
        assert region.contains(edge.ra.deg, edge.dec.deg).all()


def test_a_patch_has_the_mean_number_of_stars_asked_for():
    """The share of the area that a patch has of the sky is that of its solid angle."""
    sky = group_sky(45_000)
    cone = sky.region.cone
    assert cone is not None
    patch = 2 * np.pi * (1 - np.cos(np.radians(GROUP_RADIUS_DEG)))
    assert sky.density_scale * sky.natural_background() * patch / cone.solid_angle == pytest.approx(
        45_000, rel=0.02
    )


def test_the_builtin_mask_of_messier_3_covers_the_mock_cluster_and_lies_in_every_patch(centres):
    sky = group_sky(1000, streams=False)
    stars = draw_objects(sky, 1).stars
    known = [one for one in read_known_objects() if one.name == "ngc 5272"]
    assert len(known) == 1
    place = SkyCoord(known[0].ra, known[0].dec, unit="deg")
    apart = SkyCoord(stars["ra"], stars["dec"], unit="deg").separation(place).deg
    assert len(stars) == 600
    assert apart.max() < max(0.2, 10 * known[0].rhalf_arcmin / 60)
    assert (centres.separation(place).deg < GROUP_RADIUS_DEG).all()


def test_streams_have_the_promised_numbers_and_one_runs_under_the_mask():
    sky = group_sky(1000)
    assert [stream.stars for stream in sky.streams] == [300, 600, 1500]
    (cluster,) = sky.clusters
    assert (sky.streams[1].ra_deg, sky.streams[1].dec_deg) == (cluster.ra_deg, cluster.dec_deg)
    assert group_sky(1000, streams=False).streams == ()
