"""The catalogue of compact objects: names, files, overlaps, and the masks that follow from it."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from astropy.table import Table
from compact_skies import Cluster, add_clusters, parallaxes
from stream_skies import FOOTPRINT, scored_windows

from sky_patches import Box, Circle, Hole, PatchFrame, PatchGeometry, WithHoles
from sky_patches.masks.known_objects import KnownObject
from streams import CandidateFinder, RegionRecipe
from streams.catalog.files import FORMATS
from streams.compact import (
    CompactCatalog,
    CompactError,
    CompactFinder,
    CompactRecipe,
    compact_rows,
    mask_compact,
    mask_radius,
)
from streams.members import MemberStars

TWO = (Cluster(60, 0.1), Cluster(40, 0.1, (-2.0, 1.0), (-1.0, 2.0)))
GEOMETRY = PatchGeometry("here", PatchFrame.offset(359.5, -30.0), FOOTPRINT)


@cache
def _sky():
    sky = add_clusters(3, TWO)
    parallax = parallaxes(sky, TWO, 5)
    finder = CompactFinder(CompactRecipe(RegionRecipe(step=3.0), null_skies=20))
    found = finder.find(sky.stars, FOOTPRINT, scored_windows(sky, 4), parallax=parallax, seed=1)
    return sky, parallax, found


def _rows(geometry: PatchGeometry = GEOMETRY, **options) -> tuple[Table, Table]:
    sky, parallax, found = _sky()
    return compact_rows(found, sky.stars, geometry, threshold=0.01, parallax=parallax, **options)


def _passing():
    return [one for one in _sky()[2] if one.passes(0.01)]


@pytest.mark.parametrize("kind", ["ecsv", "fits", "parquet"])
def test_a_catalogue_comes_back_from_its_files(tmp_path, kind):
    catalog = CompactCatalog.merge([_rows()], {"seed": 1, "note": "two words"})
    paths = catalog.write(tmp_path)
    stems = ("compact", "compact_members")
    assert [path.name for path in paths] == [f"{stem}.{end}" for stem in stems for end in FORMATS]
    assert sorted(tmp_path.iterdir()) == sorted(paths), "nothing half-written stays"
    again = CompactCatalog.read(tmp_path, kind)
    for part in ("objects", "members"):
        assert _differences(getattr(catalog, part), getattr(again, part)) == []
    assert again.provenance == catalog.provenance


@pytest.mark.parametrize("kind", ["ecsv", "fits", "parquet"])
def test_an_empty_catalogue_has_all_its_columns(tmp_path, kind):
    catalog = CompactCatalog.merge([], {})
    catalog.write(tmp_path)
    again = CompactCatalog.read(tmp_path, kind)
    assert len(again.objects) == len(again.members) == 0
    assert _differences(catalog.objects, again.objects) == _differences(catalog.members, again.members) == []


def test_other_programs_find_units_and_values(tmp_path):
    catalog = CompactCatalog.merge([_rows()], {"seed": 1})
    for path in catalog.write(tmp_path):
        read = Table.read(path)
        table = catalog.members if "members" in path.name else catalog.objects
        for name in table.colnames:
            assert read[name].unit == table[name].unit
            plain = np.ma.filled(read[name], {"U": "", "S": b""}.get(read[name].dtype.kind, np.nan))
            np.testing.assert_array_equal(plain.astype(table[name].dtype), table[name])


def test_rows_that_were_kept_in_a_file_give_the_same_catalogue(tmp_path):
    """Empty texts come back masked; no object may become known by that."""
    kept = []
    for number, table in enumerate(_rows()):
        table.write(tmp_path / f"{number}.ecsv")
        kept.append(Table.read(tmp_path / f"{number}.ecsv"))
    assert np.ma.is_masked(kept[0]["known"])
    fresh, again = (CompactCatalog.merge([tuple(rows)], {}) for rows in (_rows(), kept))
    assert set(again.objects["known"]) == {""}
    for part in ("objects", "members"):
        assert _differences(getattr(fresh, part), getattr(again, part)) == []


def test_another_layout_is_refused(tmp_path):
    CompactCatalog.merge([_rows()], {}).write(tmp_path)
    for path in tmp_path.glob("*.ecsv"):
        path.write_text(path.read_text().replace("schema: 1}", "schema: 7}"))
    with pytest.raises(CompactError, match="layout 7; this version reads layout 1"):
        CompactCatalog.read(tmp_path)


def _differences(before: Table, after: Table) -> list[str]:
    """Columns that do not come back with their kind, unit, UCD, description and values."""
    assert before.colnames == after.colnames
    different = []
    for name in before.colnames:
        one, other = before[name], after[name]
        told = [(c.unit, c.meta["ucd"], c.description) for c in (one, other)]
        kinds = [c.dtype.kind if c.dtype.kind == "U" else c.dtype for c in (one, other)]
        same = np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
        if told[0] != told[1] or kinds[0] != kinds[1] or not same:
            different.append(name)
    return different


def test_rows_are_in_icrs_and_members_travel():
    objects, members = _rows()
    row = objects[0]
    assert GEOMETRY.frame.project_positions(row["ra"], row["dec"]) == pytest.approx(
        (row["phi1"], row["phi2"])
    )
    stars = MemberStars.from_table(members[members["object"] == "0"])
    assert np.median(stars.pmra) == pytest.approx(row["pmra"], abs=0.2)
    assert np.nanmedian(stars.parallax) == pytest.approx(row["parallax"], abs=0.2)
    assert row["pm_error"] < 0.1 and 4 < row["half_number_radius"] < 9


def test_an_object_of_two_patches_is_one():
    again = PatchGeometry("there", GEOMETRY.frame, FOOTPRINT)
    one, two = CompactCatalog.merge([_rows()], {}), CompactCatalog.merge([_rows(), _rows(again)], {})
    passing = one.objects[one.objects["passes"]]
    assert len(passing) == len(two.objects[two.objects["passes"]]) == 2
    assert list(passing["name"]) == ["VC-1", "VC-2"]
    swapped = CompactCatalog.merge([_rows(again), _rows()], {})
    assert list(swapped.objects["patch"]) == list(two.objects["patch"])
    np.testing.assert_array_equal(swapped.member_ids("VC-2"), two.member_ids("VC-2"))


def test_what_is_known_is_named():
    row = _rows()[0][0]
    near = KnownObject("Here 1", float(row["ra"]) % 360, float(row["dec"]) + 0.03, 1.0, "", "list")
    far = KnownObject("There 2", (float(row["ra"]) + 3) % 360, float(row["dec"]), 5.0, "", "list")
    large = KnownObject("Large 3", float(row["ra"]) % 360, float(row["dec"]) + 0.5, 40.0, "", "list")
    assert _rows()[0]["known"][0] == ""
    assert _rows(known=[far])[0]["known"][0] == ""
    assert _rows(known=[far, large, near])[0]["known"][0] == "Here 1"
    assert _rows(known=[far, large])[0]["known"][0] == "Large 3"


def test_outskirts_are_members_apart():
    catalog = CompactCatalog.merge([_rows()], {})
    core, everything = (catalog.member_ids("VC-1", outskirts=flag) for flag in (False, True))
    assert set(core) <= set(everything)
    far = catalog.members[catalog.members["outskirts"]]
    assert np.all(far["distance"] > 60.0)
    assert catalog.objects["members"][0] == len(core)


def test_errors_say_what_is_there(tmp_path):
    catalog = CompactCatalog.merge([_rows()], {})
    with pytest.raises(CompactError, match="VC-1"):
        catalog.member_ids("VC-99")
    with pytest.raises(CompactError, match="no readable catalogue"):
        CompactCatalog.read(tmp_path)


def test_masks_are_holes_around_the_clusters():
    masked = mask_compact(_passing(), FOOTPRINT)
    assert isinstance(masked, WithHoles) and len(masked.holes) == 2
    for one in _passing():
        assert not masked.contains(*one.membership.model.position)
        half = one.membership.model.major_half_radius
        assert mask_radius(one) == pytest.approx(5 * half)
    sky = _sky()[0]
    hidden = ~masked.contains(*sky.stars.position.T)
    assert hidden[sky.origin > 0].mean() > 0.9 and hidden[sky.origin == 0].mean() < 0.1


def test_masks_join_holes_that_are_there():
    one = _passing()[0]
    phi1, phi2 = one.membership.model.position
    old = WithHoles(FOOTPRINT, (Hole("old", phi1 + 0.3, phi2, 0.4), Hole("far", -3.0, -3.0, 0.5)))
    masked = mask_compact([one], old)
    assert len(masked.holes) == 2 and masked.area < old.area
    at = np.stack(FOOTPRINT.sample(4000, 1))
    assert not np.any(masked.contains(*at) & ~old.contains(*at)), "no hole is filled"
    for hole in masked.holes:
        assert abs(hole.phi1) < 10, "on the footprint's own turn of longitude"
    assert mask_compact([], old) is old
    assert isinstance(mask_compact([one], Box(-5.0, 5.0, -5.0, 5.0)), WithHoles)
    with pytest.raises(CompactError, match="scale=0"):
        mask_compact([one], Circle(6.0), scale=0)


def test_the_line_finder_does_not_see_what_is_masked():
    sky, _, _ = _sky()
    finder = CandidateFinder(RegionRecipe(step=3.0), null_skies=20)
    windows = scored_windows(sky, 4)
    seen = finder.find(sky.stars, FOOTPRINT, windows, seed=1)
    assert seen[0].false_alarm_probability < 0.01, "negative control: a cluster makes lines"
    masked = mask_compact(_passing(), FOOTPRINT, scale=8.0)
    keep = masked.contains(*sky.stars.position.T)
    found = finder.find(sky.stars, masked, windows, keep=keep, seed=1)
    assert all(one.false_alarm_probability > 0.01 for one in found)
