"""The store gives back what went in, bit for bit, whatever happened between."""

from __future__ import annotations

import itertools
import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import astropy.units as u
import numpy as np
import pyarrow.parquet as pq
import pytest
from astropy.coordinates import Angle
from astropy.table import MaskedColumn, Table
from hypothesis import given, settings
from hypothesis import strategies as st
from store_skies import ORIGIN, Crash, assert_bit_exact, by_id, crashing_replace, separation, sky

from sky_patches.errors import SchemaError, StoreError
from sky_patches.frames import PatchFrame
from sky_patches.healpix import healpix_29, radec_to_pixel
from sky_patches.loader import read_stars
from sky_patches.schema import SCHEMA, star_table, validate
from sky_patches.store import AppendReport, CatalogStore
from sky_patches.store import commit as store_commit
from sky_patches.store.arrow_table import from_arrow
from sky_patches.store.commit import exclusive
from sky_patches.store.tree import place, split


@pytest.fixture
def store(tmp_path: Path) -> CatalogStore:
    return CatalogStore.create(tmp_path / "store", name="test", max_rows=100)


def test_rows_come_back_bit_for_bit(store: CatalogStore) -> None:
    stars = sky(1000, ruwe=np.where(np.arange(1000) % 2, np.nan, 1.1))
    stars["ruwe"][:2] = [-0.0, np.inf]
    assert store.append(stars, provenance=ORIGIN) == AppendReport(1000, 0, 0, len(store.partitions))
    assert_bit_exact(validate(store.stars()), stars)
    assert len(store) == 1000
    assert store.columns == tuple(stars.colnames)
    assert store.name == "test"
    assert_bit_exact(CatalogStore.open(store.path).stars(), stars)
    assert_bit_exact(pickle.loads(pickle.dumps(store)).stars(), stars)


def test_partitions_obey_max_rows_and_do_not_overlap(store: CatalogStore) -> None:
    for seed in range(3):
        store.append(sky(300, seed), provenance=ORIGIN)
    parts = store.partitions
    assert all(0 < part.rows <= 100 for part in parts)
    assert sum(part.rows for part in parts) == len(store) == 900
    spans = [part.span for part in parts]
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(spans))
    on_disk = {path.relative_to(store.path).as_posix() for path in store.path.glob("dataset/**/*.parquet")}
    assert on_disk == {part.path for part in parts}
    for part in parts:
        keys = pq.read_table(store.path / part.path, partitioning=None)["_healpix_29"].to_numpy()
        assert np.all(np.diff(keys) >= 0)
        assert part.span[0] <= keys[0] <= keys[-1] < part.span[1]


def test_splitting_ends_at_order_12(store: CatalogStore) -> None:
    stars = sky(300, spread=1e-7)
    store.append(stars, provenance=ORIGIN)
    assert max(part.order for part in store.partitions) == 12
    assert_bit_exact(store.stars(), stars)


@settings(max_examples=40)
@given(st.lists(st.integers(0, (12 << 58) - 1), max_size=60, unique=True), st.integers(1, 8))
def test_the_tree_shares_out_every_row_once(keys: list[int], max_rows: int) -> None:
    array = np.sort(np.array(keys, dtype=np.int64))
    rows = []
    for slot in place([], array):
        part = array[slot.start : slot.stop]
        for order, pixel, start, stop in split(slot.order, slot.pixel, part, max_rows):
            assert np.all(part[start:stop] >> (2 * (29 - order)) == pixel)
            assert stop - start <= max_rows or order == 12
            rows += part[start:stop].tolist()
    assert rows == array.tolist()


def test_content_and_checksum_do_not_depend_on_order_or_partitions(tmp_path: Path) -> None:
    stars = sky(200, extra={"flag": np.arange(200), "note": np.array([f"n{i}" for i in range(200)])})
    sums = set()
    for trial, (pieces, max_rows) in enumerate([(1, 1000), (4, 50), (2, 20)]):
        store = CatalogStore.create(tmp_path / str(trial), name="test", max_rows=max_rows)
        order = np.random.default_rng(trial).permutation(200)
        for rows in np.array_split(order, pieces):
            store.append(stars[rows], provenance=ORIGIN)
        assert_bit_exact(store.stars(), stars)
        sums.add(store.checksum())
    assert len(sums) == 1
    stars["pmra"][17] = np.nextafter(stars["pmra"][17], 1e9)
    other = CatalogStore.create(tmp_path / "other", name="test")
    other.append(stars, provenance=ORIGIN)
    assert other.checksum() not in sums


def test_duplicates_are_skipped_and_counted(store: CatalogStore) -> None:
    stars = sky(300)
    store.append(stars[:200], provenance=ORIGIN)
    moved = stars.copy()
    moved["ra"] = (moved["ra"] + 30.0) % 360  # the same identifiers elsewhere on the sky are the same stars
    report = store.append(moved, provenance=ORIGIN)
    assert (report.rows_added, report.duplicates, report.repeated) == (100, 200, 0)
    again = Table(np.concatenate([sky(10, 7).as_array(), sky(10, 7).as_array()]))
    for name in again.colnames:
        again[name].unit = SCHEMA[name].unit
    report = store.append(again, provenance=ORIGIN)
    assert (report.rows_added, report.duplicates, report.repeated) == (10, 0, 10)
    assert len(np.unique(store.stars(["source_id"])["source_id"])) == len(store) == 310


def test_a_repeated_import_changes_nothing(store: CatalogStore) -> None:
    store.append(sky(300), provenance=ORIGIN)
    before = {path: path.stat().st_mtime_ns for path in store.path.rglob("*") if path.is_file()}
    assert store.append(sky(300), provenance=ORIGIN).rows_added == 0
    assert before == {path: path.stat().st_mtime_ns for path in store.path.rglob("*") if path.is_file()}
    assert len(store.provenance) == 1


def test_a_column_of_one_append_is_nan_for_the_others(store: CatalogStore) -> None:
    first, second = sky(200, 1), sky(200, 2, ruwe=np.full(200, 1.5), extra={"flag": np.arange(200)})
    far = sky(50, 3)
    far["dec"] *= -1
    for table in (first, far, second, sky(20, 4)):
        store.append(table, provenance=ORIGIN)
    found = store.stars()
    given_ruwe = np.isin(found["source_id"], second["source_id"])
    assert np.array_equal(np.isfinite(found["ruwe"]), given_ruwe)
    assert np.array_equal(found["flag"].mask, ~given_ruwe)
    assert_bit_exact(store.stars(second.colnames[:-1])[given_ruwe], second[second.colnames[:-1]])
    schemas = {pq.read_schema(store.path / part.path).to_string() for part in store.partitions}
    assert len(schemas) == 1


def test_a_column_keeps_its_type_and_unit(store: CatalogStore) -> None:
    store.append(sky(20, extra={"flag": np.arange(20)}), provenance=ORIGIN)
    with pytest.raises(StoreError, match=r"'flag' is int64 \[None\] in the store and double"):
        store.append(sky(20, 1, extra={"flag": np.ones(20)}), provenance=ORIGIN)
    assert len(store) == 20


@settings(max_examples=25, deadline=None)
@given(st.floats(0, 360), st.floats(-90, 90), st.sampled_from([0.0, 1e-4, 0.3, 8.0, 60.0, 150.0, 180.0]))
def test_a_cone_is_the_cut_on_the_sphere(whole_sky: tuple, ra: float, dec: float, radius: float) -> None:
    store, stars = whole_sky
    expected = stars[separation(stars, ra, dec) <= radius]
    assert_bit_exact(store.cone(ra, dec, radius), expected)


@pytest.fixture(scope="module")
def whole_sky(tmp_path_factory: pytest.TempPathFactory) -> tuple[CatalogStore, Table]:
    rng = np.random.default_rng(5)
    n = 3000
    dec = np.degrees(np.arcsin(rng.uniform(-1, 1, n)))
    dec[:2] = [90.0, -90.0]
    columns = {
        "ra": rng.uniform(0, 360, n),
        "dec": dec,
        "pmra": rng.normal(size=n),
        "pmdec": rng.normal(size=n),
    }
    columns["source_id"] = rng.permutation(n)
    store = CatalogStore.create(tmp_path_factory.mktemp("sky") / "store", name="sky", max_rows=200)
    store.append(star_table(columns), provenance=ORIGIN)
    return store, star_table(columns)


@settings(max_examples=25)
@given(
    st.floats(-360, 360),
    st.sampled_from([0.0, 1e-3, 3.0, 60.0, 200.0, 359.0, 360.0]),
    st.floats(-90, 90),
    st.sampled_from([0.0, 0.01, 5.0, 40.0, 180.0]),
    st.sampled_from([None, PatchFrame.galactic(), PatchFrame.offset(120.0, -89.5, 30.0)]),
)
def test_a_box_is_the_cut_in_its_frame(
    whole_sky: tuple, first: float, width: float, low: float, height: float, frame: PatchFrame | None
) -> None:
    store, stars = whole_sky
    last, high = first + width, min(low + height, 90.0)
    ra, dec = stars["ra"].data, stars["dec"].data
    lon, lat = (ra, dec) if frame is None else frame.project_positions(ra, dec)
    along = (lon - first) % 360.0 <= ((last - first) % 360.0 if last - first < 360.0 else 360.0)
    expected = stars[along & (lat >= low) & (lat <= high)]
    assert_bit_exact(store.box((first, last), (low, high), frame), expected)


def test_a_box_passes_through_zero_and_reads_only_what_it_touches(
    whole_sky: tuple, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, stars = whole_sky
    read: list[str] = []
    original = pq.ParquetFile.read_row_groups

    def counting(self: pq.ParquetFile, groups: list[int], columns: list[str]) -> object:
        read.append(",".join(sorted(columns)))
        return original(self, groups, columns=columns)

    monkeypatch.setattr(pq.ParquetFile, "read_row_groups", counting)
    found = store.box((350.0, 10.0), (-5.0, 5.0), columns=["ra"])["ra"]
    assert len(found) == np.count_nonzero(
        ((stars["ra"] >= 350.0) | (stars["ra"] <= 10.0)) & (np.abs(stars["dec"]) <= 5.0)
    )
    assert 1 <= len(read) <= 8 < len(store.partitions)
    assert set(read) == {"_healpix_29,dec,ra"}
    with pytest.raises(StoreError, match=r"lowest <= highest.*phi2=\(5, -5\)"):
        store.box((0, 1), (5, -5))


def test_a_star_is_in_the_cone_of_radius_zero_around_it(whole_sky: tuple) -> None:
    store, stars = whole_sky
    for row in (0, 1, 2, 500):
        found = store.cone(stars["ra"][row], stars["dec"][row], 0.0, ["source_id"])
        assert found["source_id"].tolist() == [stars["source_id"][row]]


def test_cones_take_quantities_and_angles(whole_sky: tuple) -> None:
    store, _ = whole_sky
    plain = store.cone(30.0, 10.0, 20.0)
    assert len(plain) > 0
    assert_bit_exact(store.cone(2 * u.hourangle, 600 * u.arcmin, Angle("20d")), plain)
    assert_bit_exact(store.cone(390.0, 10.0, 20.0), plain)
    for bad in (3 * u.kpc, [1.0, 2.0] * u.deg):
        with pytest.raises(StoreError, match="ra must be one angle"):
            store.cone(bad, 0.0, 1.0)


def test_a_cone_reads_only_what_it_touches(whole_sky: tuple, monkeypatch: pytest.MonkeyPatch) -> None:
    store, _ = whole_sky
    read: list[str] = []
    original = pq.ParquetFile.read_row_groups

    def counting(self: pq.ParquetFile, groups: list[int], columns: list[str]) -> object:
        read.append(",".join(sorted(columns)))
        return original(self, groups, columns=columns)

    monkeypatch.setattr(pq.ParquetFile, "read_row_groups", counting)
    store.cone(120.0, 30.0, 5.0, ["pmra"])
    assert 1 <= len(read) <= 6 < len(store.partitions)
    assert set(read) == {"_healpix_29,dec,pmra,ra"}


def test_columns_come_in_the_order_asked_for(whole_sky: tuple) -> None:
    store, _ = whole_sky
    assert store.cone(30.0, 10.0, 20.0, ["pmdec", "source_id"]).colnames == ["pmdec", "source_id"]
    assert store.stars(["dec", "ra"]).colnames == ["dec", "ra"]
    with pytest.raises(StoreError, match=r"'pm_ra' is not in the store; nearest \['pmra'"):
        store.stars(["pm_ra"])


def test_an_empty_answer_has_all_columns(whole_sky: tuple) -> None:
    store, stars = whole_sky
    nothing = store.cone(30.123, 10.0, 1e-9)
    assert len(nothing) == 0
    assert validate(nothing).colnames == stars.colnames


def test_pixels_are_those_of_the_positions(whole_sky: tuple) -> None:
    store, stars = whole_sky
    for order, pixels in ((0, [3, 7]), (3, [100, 5, 100]), (6, [12_000])):
        inside = np.isin(radec_to_pixel(stars["ra"].data, stars["dec"].data, order), pixels)
        assert_bit_exact(store.pixels(pixels, order), stars[inside])
    assert len(store.pixels(range(48), 1, ["ra"])) == len(store)
    assert len(store.pixels([], 1)) == 0
    with pytest.raises(StoreError, match="pixels of order 1 are 0 to 47, found 48"):
        store.pixels([48], 1)


def test_provenance_tells_each_append(store: CatalogStore) -> None:
    store.append(sky(30, 1), provenance={"origin": "a.csv", "release": "DR3", "bounds": [1.5, 2]})
    store.append(sky(40, 2), provenance={"origin": "b.csv"})
    first, second = CatalogStore.open(store.path).provenance
    assert (first["origin"], first["release"], first["bounds"], first["rows"]) == (
        "a.csv",
        "DR3",
        [1.5, 2],
        30,
    )
    assert (second["rows"], second["duplicates"]) == (40, 0)
    assert {"time", "version"} <= set(first)
    for bad, message in (
        ({}, "must name the 'origin'"),
        ({"origin": "x", "rows": 3}, r"\['rows'\] are written by the store"),
        ({"origin": "x", "seen": {1, 2}}, "JSON"),
    ):
        with pytest.raises(StoreError, match=message):
            store.append(sky(3, 3), provenance=bad)


def test_rejected_rows_are_kept_and_never_overwritten(store: CatalogStore) -> None:
    table = sky(20)
    table["ra"][:5] = np.nan
    table["source_id"] = MaskedColumn(table["source_id"], mask=np.arange(20) == 3)
    rejected = read_stars(table).rejected
    first = store.keep_rejected(rejected, "/data/gaia part 1.csv")
    assert store.keep_rejected(rejected, "/data/gaia part 1.csv") == first
    other = store.keep_rejected(rejected[:2], "/data/gaia part 1.csv")
    assert other != first
    found = from_arrow(pq.read_table(first))
    assert found["reason"].tolist() == rejected["reason"].tolist()
    assert found["source_id"].mask.tolist() == rejected["source_id"].mask.tolist()
    assert store.keep_rejected(rejected[:0], "x") is None
    assert len(list((store.path / "rejected").iterdir())) == 2


def test_a_crash_at_any_rename_leaves_the_old_or_the_new_store(tmp_path: Path) -> None:
    """Each rename of an append that splits partitions, adds a column and adds partitions fails in turn."""
    old, new = sky(50, 1), sky(60, 2, ruwe=np.full(60, 1.2))
    template = CatalogStore.create(tmp_path / "template", name="crash", max_rows=40)
    template.append(old, provenance=ORIGIN)
    before = template.checksum()
    outcomes = []
    for after in range(1000):
        store = CatalogStore.open(shutil.copytree(template.path, tmp_path / str(after)))
        with pytest.MonkeyPatch.context() as patch:
            crashing_replace(patch, after)
            try:
                store.append(new, provenance=ORIGIN)
                break
            except StoreError as error:
                assert "repeat the same import" in str(error)
        survivor = CatalogStore.open(store.path)
        outcomes.append(len(survivor))
        assert len(survivor) in (50, 110)
        assert len(store) == len(survivor) == len(survivor.stars()) == len(survivor.cone(0.0, 0.0, 180.0))
        assert (survivor.checksum() == before) == (len(survivor) == 50)
        assert_hats_readers_see_each_pixel_whole(store.path, old, new)
        assert survivor.append(new, provenance=ORIGIN).rows_added == 110 - outcomes[-1]
        assert_finished(survivor, old, new)
    assert_finished(store, old, new)
    assert outcomes[0] == 50
    assert set(outcomes[1:]) == {110}
    assert len(outcomes) > 8
    assert {part.path for part in template.partitions} - {part.path for part in store.partitions}


def assert_hats_readers_see_each_pixel_whole(path: Path, old: Table, new: Table) -> None:
    """A program that knows only HATS finds each file that `partition_info.csv` names, each old star once."""
    rows = np.loadtxt(path / "partition_info.csv", delimiter=",", skiprows=1, dtype=int, ndmin=2)
    ids = np.concatenate(
        [
            pq.ParquetFile(path / f"dataset/Norder={order}/Dir={pixel // 10000 * 10000}/Npix={pixel}.parquet")
            .read(columns=["source_id"])["source_id"]
            .to_numpy()
            for order, pixel in rows
        ]
    )
    assert len(np.unique(ids)) == len(ids)
    assert np.isin(old["source_id"], ids).all()
    assert np.isin(ids, np.concatenate([old["source_id"], new["source_id"]])).all()


def assert_finished(store: CatalogStore, old: Table, new: Table) -> None:
    path = store.path
    found = store.stars()
    assert np.array_equal(
        np.sort(found["source_id"]), np.sort(np.concatenate([old["source_id"], new["source_id"]]))
    )
    assert len(store.provenance) == 2
    assert not (path / "staging").exists()
    assert not (path / "journal.json").exists()
    assert {file.relative_to(path).as_posix() for file in path.glob("dataset/**/*.parquet")} == {
        part.path for part in store.partitions
    }


def test_a_crash_at_any_removal_leaves_the_new_store(store: CatalogStore) -> None:
    old, new = sky(90, 1), sky(160, 2)
    store.append(old, provenance=ORIGIN)

    def unlink(self: Path, missing_ok: bool = False) -> None:
        raise Crash(f"crash before {self} is removed")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "unlink", unlink)
        with pytest.raises(StoreError, match="repeat the same import"):
            store.append(new, provenance=ORIGIN)
    assert len(store.stars()) == 250
    assert_hats_readers_see_each_pixel_whole(store.path, old, new)
    assert store.append(new, provenance=ORIGIN).rows_added == 0
    assert_finished(store, old, new)


def test_a_crash_while_files_are_written_leaves_the_old_store(
    store: CatalogStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.append(sky(150, 1), provenance=ORIGIN)
    before = store.checksum()
    original = pq.write_table

    def full(rows: object, path: Path, **options: object) -> None:
        original(rows, path, **options)
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(pq, "write_table", full)
        with pytest.raises(StoreError, match="No space left"):
            store.append(sky(100, 2), provenance=ORIGIN)
    assert store.checksum() == before
    store.append(sky(100, 2), provenance=ORIGIN)
    assert len(store) == 250
    assert not (store.path / "staging").exists()


def test_an_interrupted_creation_can_be_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for after in range(20):
        with monkeypatch.context() as patch:
            crashing_replace(patch, after)
            try:
                CatalogStore.create(tmp_path / str(after), name="test")
                break
            except StoreError:
                pass
        if not CatalogStore.exists(tmp_path / str(after)):
            CatalogStore.create(tmp_path / str(after), name="test")
        store = CatalogStore.open(tmp_path / str(after))
        store.append(sky(10), provenance=ORIGIN)
        assert len(store) == 10
    assert after > 3


def test_a_reader_sees_what_another_writer_appends(store: CatalogStore) -> None:
    reader = CatalogStore.open(store.path)
    store.append(sky(150, 1), provenance=ORIGIN)
    assert len(reader.stars()) == 150
    stale = store_commit.snapshot(store.path)
    store.append(sky(200, 2), provenance=ORIGIN)
    reader._snapshot = stale  # a query that began just before the append, whose partitions are gone
    assert len(reader.stars()) == len(reader) == 350


def test_one_process_writes_at_a_time(store: CatalogStore) -> None:
    with exclusive(store.path), pytest.raises(StoreError, match="another process is writing"):
        store.append(sky(5), provenance=ORIGIN)
    assert store.append(sky(5), provenance=ORIGIN).rows_added == 5


def test_what_is_no_store_is_refused_with_a_remedy(tmp_path: Path, store: CatalogStore) -> None:
    for path in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(StoreError, match=r"not a catalogue store.*CatalogStore.create"):
            CatalogStore.open(path)
    with pytest.raises(StoreError, match=r"use CatalogStore\.open"):
        CatalogStore.create(store.path, name="test")
    with pytest.raises(StoreError, match="is not empty"):
        CatalogStore.create(tmp_path, name="test")
    with pytest.raises(StoreError, match="found 'a b'"):
        CatalogStore.create(tmp_path / "x", name="a b")
    with pytest.raises(StoreError, match="at least 1, found 0"):
        CatalogStore.create(tmp_path / "x", name="a", max_rows=0)
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match="cannot be made a store"):
        CatalogStore.create(tmp_path / "file", name="a")
    with pytest.raises(StoreError, match="not a catalogue store"):
        CatalogStore.open(tmp_path / "file")


def test_a_newer_format_is_refused(store: CatalogStore) -> None:
    manifest = store.path / "sky_patches_store.json"
    content = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**content, "format_version": 99}))
    with pytest.raises(StoreError, match=r"store format 99.*upgrade via-machinae"):
        CatalogStore.open(store.path)
    manifest.write_text("{")
    with pytest.raises(StoreError, match=r"is damaged.*restore it"):
        CatalogStore.open(store.path)


@pytest.mark.parametrize("damage", ["cut", "flip", "gone", "swapped", "junk"])
def test_a_damaged_partition_is_an_error_that_names_it(store: CatalogStore, damage: str) -> None:
    store.append(sky(300), provenance=ORIGIN)
    part, other = store.partitions[0], max(store.partitions[1:], key=lambda entry: entry.rows)
    path = store.path / part.path
    content = bytearray(path.read_bytes())
    if damage == "flip":
        column = pq.read_metadata(path).row_group(0).column(2)  # ra
        content[column.data_page_offset + column.total_compressed_size - 9] ^= 0xFF
    if damage == "swapped":
        other = next(entry for entry in store.partitions if entry.rows != part.rows)
        content = bytearray((store.path / other.path).read_bytes())
    path.write_bytes({"cut": content[: len(content) // 2], "junk": b"junk"}.get(damage, bytes(content)))
    if damage == "gone":
        path.unlink()
    with pytest.raises(StoreError, match=rf"Npix={part.pixel}.parquet is damaged .*restore this file"):
        store.stars()
    with pytest.raises(StoreError, match="is damaged"):
        store.checksum()
    intact = store.pixels([other.pixel], other.order) if damage != "swapped" else [None] * other.rows
    assert len(intact) == other.rows


def test_what_is_no_star_table_is_not_appended(store: CatalogStore) -> None:
    stars = sky(10)
    stars["ra"][3] = np.nan
    with pytest.raises(SchemaError, match="1 rows have no finite 'ra'"):
        store.append(stars, provenance=ORIGIN)
    with pytest.raises(StoreError, match="reserved"):
        store.append(sky(10, extra={"_healpix_29": np.arange(10)}), provenance=ORIGIN)
    with pytest.raises(SchemaError, match="'many'"):
        many = sky(10)
        many["many"] = np.ones((10, 2))
        store.append(many, provenance=ORIGIN)
    assert len(store) == 0
    assert len(store.stars()) == 0


def test_other_programs_read_the_store(store: CatalogStore) -> None:
    import hats
    import lsdb
    import pyarrow.dataset
    from hats.io.skymap import read_skymap
    from hats.io.validation import is_valid_catalog

    stars = sky(700, ruwe=np.ones(700), extra={"member": np.arange(700) % 2 == 0})
    store.append(stars[:300], provenance=ORIGIN)
    store.append(stars[300:], provenance=ORIGIN)
    assert is_valid_catalog(store.path, strict=True)
    catalog = hats.read_hats(store.path)
    assert catalog.catalog_info.total_rows == 700
    assert {(pixel.order, pixel.pixel) for pixel in catalog.get_healpix_pixels()} == {
        (part.order, part.pixel) for part in store.partitions
    }
    assert catalog.schema.field("pmra").metadata[b"unit"] == b"mas / yr"
    assert catalog.schema.field("pmra").metadata[b"ucd"] == SCHEMA["pmra"].ucd.encode()
    assert catalog.schema.field("pmra").metadata[b"description"] == SCHEMA["pmra"].description.encode()

    positions = radec_to_pixel(stars["ra"].data, stars["dec"].data, 6)
    assert np.array_equal(read_skymap(catalog, 6), np.bincount(positions, minlength=12 << 12))
    assert np.array_equal(read_skymap(catalog, 3), np.bincount(positions >> 6, minlength=12 << 6))

    opened = lsdb.open_catalog(store.path)
    frame = opened.compute().sort_values("source_id")
    for name in stars.colnames:
        assert np.array_equal(frame[name].to_numpy(), by_id(stars)[name]), name
    cone = opened.cone_search(200.0, 40.0, 2 * 3600.0).compute()
    assert set(cone["source_id"]) == set(store.cone(200.0, 40.0, 2.0)["source_id"])

    plain = pyarrow.dataset.dataset(store.path / "dataset", format="parquet")
    assert plain.count_rows() == 700
    indexed = pyarrow.dataset.parquet_dataset(store.path / "dataset" / "_metadata")
    assert indexed.to_table(columns=["ra"]).num_rows == 700
    header = pq.read_schema(store.path / "dataset" / "_common_metadata").metadata
    assert b'ucd="pos.pm;pos.eq.ra"' in header[b"IVOA.VOTable-Parquet.content"]


def test_a_partition_is_a_file_of_stars_for_the_loader(store: CatalogStore) -> None:
    stars = sky(50)
    store.append(stars, provenance=ORIGIN)
    loaded = read_stars(store.path / store.partitions[0].path)
    assert_bit_exact(loaded.stars, stars)
    assert loaded.report.units_assumed == ()


@pytest.mark.real_data
def test_real_gaia_pixels(shared_data: Callable[[str], Path], tmp_path: Path) -> None:
    stars = read_stars(shared_data("healpix5_pixels_gaia_dr2.csv.gz"), keep=["gaia_healpix_5"]).stars
    assert len(stars) == 32_691
    store = CatalogStore.create(tmp_path / "gaia", name="gaia_dr2", max_rows=2000)
    store.append(stars, provenance={"origin": "healpix5_pixels_gaia_dr2.csv.gz"})
    found = store.stars()
    assert np.array_equal(np.asarray(found["source_id"]) >> 49, found["gaia_healpix_5"])
    assert_bit_exact(found, stars)
    assert np.all(np.diff(healpix_29(found["ra"].data, found["dec"].data)) >= 0)
    centre = float(np.median(stars["ra"])), float(np.median(stars["dec"]))
    cone = store.cone(*centre, 1.0)
    assert len(cone) > 100
    assert_bit_exact(cone, stars[separation(stars, *centre) <= 1.0])
