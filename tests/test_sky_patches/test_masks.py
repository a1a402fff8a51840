"""Laws of the masks: every star is kept or counted, merging loses nothing, lists are read or refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
from astropy.config import set_temp_cache
from astropy.table import Table
from hypothesis import given, settings
from hypothesis import strategies as st

from sky_patches.cuts import Cut, apply_cuts
from sky_patches.errors import FootprintError, MaskError
from sky_patches.footprints import WithHoles
from sky_patches.masks import CircleMask, MaskSet
from sky_patches.masks.known_objects import KnownObject, read_known_objects
from sky_patches.patch import Patch, PatchGeometry, TableSource

circles = st.builds(
    CircleMask,
    st.sampled_from("abcdefgh"),
    st.floats(0, 360),
    st.floats(-90, 90),
    st.floats(0.01, 12.0),
)


def sky(n: int = 20_000, seed: int = 5) -> Table:
    rng = np.random.default_rng(seed)
    ra, dec = rng.uniform(0, 360, n), np.degrees(np.arcsin(rng.uniform(-1, 1, n)))
    return Table({"source_id": np.arange(n), "ra": ra, "dec": dec})


def known(name: str, rhalf: float) -> KnownObject:
    return KnownObject(name, 10.0, 20.0, rhalf, "", "test")


def test_each_circle_reports_the_stars_it_removed():
    stars = sky()
    masks = MaskSet(
        (CircleMask("a", 0.5, 0.0, 20.0), CircleMask("b", 200.0, 80.0, 10.0), CircleMask("c", 0, -90, 1))
    )
    assert all(isinstance(mask, Cut) for mask in masks)
    kept, log = apply_cuts(stars, masks)
    assert len(kept) + log.removed == len(stars)
    assert [record.name for record in log.records] == ["a", "b", "c"]
    assert not masks.masked(kept["ra"].data, kept["dec"].data).any()
    share = (1 - math.cos(math.radians(20.0))) / 2
    assert log.records[0].removed / len(stars) == pytest.approx(share, abs=5 * math.sqrt(share / len(stars)))


@given(masks=st.lists(circles, max_size=8))
@settings(max_examples=60)
def test_merged_circles_hold_all_that_the_circles_held_and_do_not_overlap(masks):
    stars, before = sky(3000), MaskSet(tuple(masks))
    after = before.merged()
    ra, dec = stars["ra"].data, stars["dec"].data
    assert not (before.masked(ra, dec) & ~after.masked(ra, dec)).any()
    for index, first in enumerate(after.masks):
        for second in after.masks[index + 1 :]:
            assert second.passes(np.array([first.lon]), np.array([first.lat]))[0]
    assert {n for m in before for n in m.name.split(" + ")} == {n for m in after for n in m.name.split(" + ")}
    assert len(after.merged()) == len(after)


def test_two_circles_merge_to_the_smallest_around_both():
    (one,) = MaskSet((CircleMask("a", 359.0, 0.0, 2.0), CircleMask("b", 1.5, 0.0, 1.0))).merged()
    assert ((one.lon + 180.0) % 360.0 - 180.0, one.lat, one.radius) == pytest.approx(
        (-0.25, 0.0, 2.75), abs=1e-6
    )
    (same,) = MaskSet((CircleMask("a", 0.0, 80.0, 5.0), CircleMask("b", 0.0, 82.0, 1.0))).merged()
    assert (same.lon, same.lat, same.radius) == (0.0, 80.0, 5.0)


def test_radii_follow_the_half_light_radius_between_the_limits():
    objects = [known("small", 0.1), known("middle", 6.0), known("large", 342.0), known("unknown", math.nan)]
    radii = [mask.radius for mask in MaskSet.around(objects, scale=5.0, min_radius=0.2, max_radius=2.0)]
    assert radii == [0.2, 0.5, 2.0, 0.2]
    with pytest.raises(MaskError, match=r"min_radius=3\.0"):
        MaskSet.around(objects, min_radius=3.0)


def test_a_pierced_patch_holds_exactly_the_unmasked_stars():
    stars = sky(200_000)
    masks = MaskSet((CircleMask("mid", 151.0, 30.0, 2.0), CircleMask("edge", 150.0, 40.5, 3.0)))
    masks = masks + MaskSet((CircleMask("far", 300.0, -30.0, 5.0),))
    geometry = PatchGeometry.circle("north", 150.0, 30.0, 10.0, fiducial_deg=6.0)
    pierced = masks.pierce(geometry)
    assert [hole.name for hole in pierced.footprint.holes] == ["mid", "edge"]
    assert pierced.fiducial_deg == 6.0 and PatchGeometry.from_dict(pierced.to_dict()) == pierced
    whole, rest = (set(Patch(TableSource(stars), g).stars()["source_id"]) for g in (geometry, pierced))
    masked = set(np.flatnonzero(masks.masked(stars["ra"].data, stars["dec"].data)))
    assert rest == whole - masked and rest < whole
    assert len(rest) / len(whole) == pytest.approx(
        pierced.footprint.solid_angle / geometry.footprint.solid_angle, abs=0.04
    )


def test_a_patch_out_of_reach_is_not_pierced():
    geometry = PatchGeometry.circle("north", 150.0, 30.0, 10.0)
    assert MaskSet((CircleMask("far", 300.0, -30.0, 5.0),)).pierce(geometry) is geometry
    assert MaskSet().pierce(geometry) is geometry
    with pytest.raises(FootprintError, match="nothing"):
        MaskSet((CircleMask("all", 150.0, 30.0, 20.0),)).pierce(geometry)
    pierced = MaskSet((CircleMask("a", 150.0, 30.0, 1.0),)).pierce(geometry)
    assert isinstance(pierced.footprint, WithHoles)
    with pytest.raises(MaskError, match="holes already"):
        MaskSet((CircleMask("a", 150.0, 30.0, 1.0),)).pierce(pierced)


def test_the_builtin_list_is_that_of_the_database(shared_data):
    database = {known.name: known for known in read_known_objects(shared_data("lvdb"), confirmed_only=False)}
    builtin = read_known_objects()
    assert len(builtin) >= 25 and {known.kind for known in builtin} == {"globular cluster", "dwarf galaxy"}
    for entry in builtin:
        there = database[entry.name]
        assert (entry.ra, entry.dec, entry.rhalf_arcmin) == (there.ra, there.dec, there.rhalf_arcmin)


def test_the_database_is_read_from_a_file_a_directory_and_a_url(shared_data, tmp_path):
    folder = shared_data("lvdb")
    dwarfs = read_known_objects(folder / "dwarf_mw.csv")
    assert {"draco 1", "fornax 1"} <= {known.name for known in dwarfs}
    assert {known.kind for known in dwarfs} == {"dwarf galaxy"}
    with set_temp_cache(tmp_path):
        assert read_known_objects((folder / "dwarf_mw.csv").as_uri()) == dwarfs
    everything = read_known_objects(folder)
    assert set(dwarfs) < set(everything)
    # Negative control of `confirmed_only`.
    assert len(read_known_objects(folder, confirmed_only=False)) > len(everything)


def test_the_lists_of_galstreams_agree_with_the_builtin_one():
    pytest.importorskip("galstreams", reason="galstreams is not installed")
    places = {known.name: known for known in read_known_objects("galstreams")}
    for theirs, ours in (("NGC 5272", "ngc 5272"), ("NGC 104", "ngc 104"), ("Fornax", "fornax 1")):
        match = next(known for known in read_known_objects() if known.name == ours)
        assert not CircleMask("", match.ra, match.dec, 0.1).passes(
            np.array([places[theirs].ra]), np.array([places[theirs].dec])
        )[0]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("key,ra,dec\na,1,2\n", "no column \\['rhalf'\\]"),
        ("ra,dec,rhalf\n1,2,3\n", "key or name"),
        ("key,ra,dec,rhalf\na,1,x,3\n", r"row 1 \(a\): not a number"),
        ("key,ra,dec,rhalf\na,1,91,3\n", "impossible values"),
        ("", "no column"),
    ],
)
def test_a_bad_list_is_refused_with_what_is_wrong(tmp_path, content, told):
    (tmp_path / "list.csv").write_text(content)
    with pytest.raises(MaskError, match=told):
        read_known_objects(tmp_path / "list.csv")


def test_a_list_that_is_not_there_is_refused(tmp_path):
    for where in (tmp_path / "absent.csv", tmp_path, (tmp_path / "absent.csv").as_uri()):
        with pytest.raises(MaskError, match=r"absent\.csv|no CSV file"):
            read_known_objects(str(where))


def test_unknown_sizes_are_read_as_unknown(tmp_path):
    (tmp_path / "list.csv").write_text("name,ra,dec,rhalf,kind\nX_1,370,2,,globular cluster\n")
    (only,) = read_known_objects(tmp_path / "list.csv")
    assert (only.name, only.ra, only.kind) == ("X 1", 10.0, "globular cluster") and math.isnan(
        only.rhalf_arcmin
    )


def test_impossible_masks_are_refused():
    with pytest.raises(MaskError, match="radius 0"):
        CircleMask("x", 0.0, 0.0, 0.0)
