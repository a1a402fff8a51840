"""Laws of the catalogue's files: ECSV, FITS and Parquet hold one catalogue, with its units and meanings."""

from __future__ import annotations

import io
import shutil
import time

import numpy as np
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from astropy.io.votable import parse_single_table
from astropy.io.votable.ucd import parse_ucd
from astropy.table import Table
from astropy.units import Unit
from catalog_entries import make_entry, make_track
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from streams import CatalogError, StreamCatalog
from streams.catalog import (
    CANDIDATE_COLUMNS,
    MEMBER_LIST_COLUMNS,
    PATCH_MEMBER_COLUMNS,
    PATCH_STREAM_COLUMNS,
)

KINDS = ("ecsv", "fits", "parquet")
PARTS = ("candidates", "members")
PROVENANCE = {"version": "0.1.0", "seed": 3, "data": "a mock sky; " * 20, "letters": "Málaga"}
COLUMNS = {
    f"{table}.{column.name}": column
    for table, columns in {
        "candidates": CANDIDATE_COLUMNS,
        "members": MEMBER_LIST_COLUMNS,
        "patch streams": PATCH_STREAM_COLUMNS,
        "patch members": PATCH_MEMBER_COLUMNS,
    }.items()
    for column in columns
}
TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=12).map(str.rstrip)
REAL = st.floats(allow_nan=True, allow_infinity=True, width=64)


def same(one: Table, two: Table) -> bool:
    """Equal values and types, and the same units, descriptions and UCDs."""
    if one.colnames != two.colnames or len(one) != len(two):
        return False
    for name in one.colnames:
        a, b = one[name], two[name]
        told = (a.unit, a.description, a.meta, a.dtype.kind) == (b.unit, b.description, b.meta, b.dtype.kind)
        if not told or not np.array_equal(a, b, equal_nan=a.dtype.kind == "f"):
            return False
    return True


@pytest.fixture(scope="module")
def catalog():
    entries = [make_entry("north/0"), make_entry("south/3", seed=4, passes=False, flags=(), ridge="")]
    return StreamCatalog.of(entries, PROVENANCE)


@pytest.fixture(scope="module")
def written(catalog, tmp_path_factory):
    directory = tmp_path_factory.mktemp("catalogue")
    catalog.write(directory)
    return directory


@st.composite
def facts(draw):
    """Random values under random texts for up to three candidates."""
    drawn = []
    for number in range(draw(st.integers(0, 3))):
        text, real = (draw(st.lists(kind, min_size=4, max_size=4)) for kind in (TEXT, REAL))
        drawn.append((number, text, real, draw(st.booleans()), draw(st.integers(0, 4))))
    return drawn


def _entry(number, text, real, passes, stars):
    return make_entry(
        f"{number}", seed=number, stars=stars, patches=(text[0], text[1]), flags=tuple(text[2:]),
        ridge=text[3], significance=real[0], contrast=real[1], distance=real[2], passes=passes,
        track=make_track(length=real[3], width_error=-0.0),
    )  # fmt: skip


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(facts=facts(), text=st.text(max_size=30))
@example(facts=[], text="")
def test_any_catalogue_comes_back_from_each_kind_of_file(tmp_path, facts, text):
    catalog = StreamCatalog.of([_entry(*fact) for fact in facts], {"text": text, "number": len(facts)})
    catalog.write(tmp_path)
    for kind in KINDS:
        back = StreamCatalog.read(tmp_path, kind)
        for part in PARTS:
            assert same(getattr(back, part), getattr(catalog, part)), (kind, part)
        assert back.provenance == catalog.provenance


def test_the_comparison_sees_a_difference(catalog):
    """Negative control: a value, a unit, a UCD or a description that changed is a difference."""
    for change in ("value", "unit", "ucd", "description"):
        other = catalog.candidates.copy()
        if change == "value":
            other["phi2_c0"][0] = np.nextafter(other["phi2_c0"][0], 1)
        elif change == "unit":
            other["phi2_c0"].unit = "arcmin"
        elif change == "ucd":
            other["phi2_c0"].meta = {"ucd": "pos"}
        else:
            other["phi2_c0"].description = "a track"
        assert not same(other, catalog.candidates)
    assert same(catalog.candidates.copy(), catalog.candidates)


def test_no_other_files_are_left(written, catalog):
    assert sorted(path.name for path in written.iterdir()) == sorted(
        f"{part}.{kind}" for part in PARTS for kind in KINDS
    )


def test_what_is_written_again_is_the_same_to_the_byte(written, tmp_path):
    StreamCatalog.read(written).write(tmp_path)
    for path in written.iterdir():
        if path.suffix != ".fits":
            assert (tmp_path / path.name).read_bytes() == path.read_bytes()


@pytest.mark.parametrize("kind", KINDS)
def test_astropy_opens_every_file_with_units(written, catalog, kind):
    for part in PARTS:
        table, expected = Table.read(written / f"{part}.{kind}"), getattr(catalog, part)
        assert table.colnames == expected.colnames and len(table) == len(expected)
        for name in table.colnames:
            assert table[name].unit == expected[name].unit
            if kind != "fits":
                assert table[name].meta["ucd"] == expected[name].meta["ucd"]
                assert table[name].description == expected[name].description


def test_fits_tells_ucds_and_meanings_in_its_header(written, catalog):
    for part in PARTS:
        with fits.open(written / f"{part}.fits") as file:
            file.verify("exception")
            header = file[1].header
        assert header["EXTNAME"] == part.upper()
        for number, column in enumerate(getattr(catalog, part).columns.values(), start=1):
            told = (header[f"TTYPE{number}"], header[f"TUCD{number}"], header[f"TCOMM{number}"])
            assert told == (column.name, column.meta["ucd"], column.description)


def test_parquet_tells_other_readers_units_and_ucds(written, catalog):
    for part in PARTS:
        schema = pq.read_schema(written / f"{part}.parquet")
        votable = parse_single_table(io.BytesIO(schema.metadata[b"IVOA.VOTable-Parquet.content"]))
        for field, ivoa in zip(schema, votable.fields, strict=True):
            column = getattr(catalog, part)[field.name]
            told = {key.decode(): value.decode() for key, value in field.metadata.items()}
            assert told["ucd"] == ivoa.ucd == column.meta["ucd"]
            assert told["description"] == ivoa.description == column.description
            assert ivoa.name == field.name and ivoa.unit == column.unit
            assert (Unit(told["unit"], format="vounit") if told["unit"] else None) == column.unit


@pytest.mark.parametrize("name", COLUMNS)
def test_every_column_has_a_valid_ucd_a_unit_and_a_short_meaning(name):
    column = COLUMNS[name]
    assert parse_ucd(column.ucd, check_controlled_vocabulary=True)
    assert 0 < len(column.description) <= 68 and column.description.isascii()
    assert not column.unit or Unit(column.unit).to_string("fits")
    assert column.kind == "real" or not column.unit


def test_a_wrong_ucd_is_seen():
    """Negative control of the vocabulary."""
    for wrong in ("pos.eq.rectascension", "stat.mean;pos.pm"):
        with pytest.raises(ValueError, match="word"):
            parse_ucd(wrong, check_controlled_vocabulary=True)


def test_a_hundred_thousand_stars_take_less_than_two_seconds_in_each_kind(tmp_path):
    catalog = StreamCatalog.of([make_entry("a/0", stars=60_000), make_entry("b/0", seed=1, stars=40_000)], {})
    start = time.process_time()
    catalog.write(tmp_path)
    assert time.process_time() - start < 3 * 2.0
    for kind in KINDS:
        start = time.process_time()
        back = StreamCatalog.read(tmp_path, kind)
        assert time.process_time() - start < 2.0 and same(back.members, catalog.members)


@pytest.mark.parametrize("patch", ["Málaga", "two\nlines", "ends in a blank "])
def test_a_name_that_fits_cannot_hold_is_refused_before_anything_is_written(tmp_path, patch):
    catalog = StreamCatalog.of([make_entry("a/0", patches=(patch,))], {})
    with pytest.raises(CatalogError, match="plain ASCII") as caught:
        catalog.write(tmp_path)
    assert repr(patch) in str(caught.value) and list(tmp_path.iterdir()) == []


def test_an_older_layout_is_refused_with_the_way_out(catalog, tmp_path, monkeypatch):
    monkeypatch.setattr("streams.catalog.catalogue.CATALOG_SCHEMA", 1)
    catalog.write(tmp_path)
    monkeypatch.undo()
    for kind in KINDS:
        with pytest.raises(CatalogError, match=r"layout 1; this version reads layout 2.*make it anew"):
            StreamCatalog.read(tmp_path, kind)


def test_the_files_of_the_first_layout_are_refused_with_the_way_out(tmp_path):
    """That layout had no number, blanks between columns, and fewer columns."""
    for part in PARTS:
        table = Table({"name": ["VM-1"], "candidate": ["VM-1"], "ra": [150.0]}, meta={"provenance": "{}"})
        for name in table.colnames:
            table[name].meta["ucd"] = "meta.id"
        table.write(tmp_path / f"{part}.ecsv")
    with pytest.raises(CatalogError, match="reads layout 2: make it anew from the run"):
        StreamCatalog.read(tmp_path)


@pytest.mark.filterwarnings("ignore::astropy.io.fits.verify.VerifyWarning")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("damage", ["absent", "cut short", "garbage", "empty", "other table"])
def test_a_damaged_file_is_refused_with_its_place(written, tmp_path, kind, damage):
    shutil.copytree(written, tmp_path, dirs_exist_ok=True)
    path = tmp_path / f"members.{kind}"
    content = path.read_bytes()
    path.unlink()
    if damage == "cut short":
        path.write_bytes(content[: len(content) * 2 // 5])
    elif damage == "garbage":
        path.write_bytes(b"not a table at all\n\x00\x01")
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "other table":
        Table({"name": ["VM-1"]}).write(path)
    with pytest.raises(CatalogError, match=r"no readable catalogue in .*make it with 'catalog'"):
        StreamCatalog.read(tmp_path, kind)


def test_a_write_that_fails_leaves_the_old_files(catalog, written, tmp_path, monkeypatch):
    catalog.write(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr("streams.catalog.files.os.replace", full)
    with pytest.raises(OSError, match="no space"):
        StreamCatalog.of([], {}).write(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
