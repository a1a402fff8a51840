"""Files of the cross-match: units, UCDs and values come back; nothing half-written stays."""

from __future__ import annotations

from dataclasses import replace

import known_skies
import numpy as np
import pytest
from astropy.io.votable.ucd import parse_ucd
from astropy.table import Table
from known_skies import GEOMETRIES, KNOWN

from streams.crossmatch import (
    CROSS_MATCH_FILES,
    CrossMatch,
    CrossMatchRecipe,
    cross_match,
    cross_match_tables,
    write_cross_match,
)


@pytest.fixture(scope="module")
def result() -> CrossMatch:
    return cross_match(known_skies.sky(), KNOWN, GEOMETRIES, CrossMatchRecipe(placements=4))


def test_every_column_says_what_it_is(result):
    for table in cross_match_tables(result).values():
        for name in table.colnames:
            assert parse_ucd(table[name].meta["ucd"], check_controlled_vocabulary=True)
            assert table[name].description
    assert str(cross_match_tables(result)["candidates"]["pm_difference"].unit) == "mas / yr"


def test_the_files_hold_the_tables(result, tmp_path):
    paths = write_cross_match(result, tmp_path / "catalog")
    assert [path.name for path in paths] == list(CROSS_MATCH_FILES.values())
    assert sorted(tmp_path.joinpath("catalog").iterdir()) == sorted(paths)
    for path, table in zip(paths, cross_match_tables(result).values(), strict=True):
        again = Table.read(path)
        assert again.colnames == table.colnames and len(again) == len(table)
        for name in table.colnames:
            assert again[name].unit == table[name].unit and again[name].meta["ucd"] == table[name].meta["ucd"]
            if table[name].dtype.kind == "f":
                np.testing.assert_array_equal(np.ma.filled(again[name], np.nan), table[name])
            else:
                assert list(np.ma.filled(again[name], "")) == list(table[name])


def test_a_row_for_each_candidate_and_one_for_each_description_that_fits(result):
    tables = cross_match_tables(result)
    assert list(tables["candidates"]["candidate"]) == list(known_skies.sky())
    fits = sum(len(known.matches) for match in result.candidates for known in match.known)
    assert len(tables["matches"]) == fits
    assert list(tables["known"]["found_as"]) == ["VM-1", "VM-2"]


def test_nothing_to_match_gives_empty_tables_with_their_columns(tmp_path):
    nothing = cross_match({}, (), ())
    for path in write_cross_match(nothing, tmp_path):
        table = Table.read(path)
        assert len(table) == 0 and len(table.colnames) > 4


def test_names_that_fits_cannot_hold_are_kept(result, tmp_path):
    """These tables never become FITS."""
    named = replace(result, candidates=tuple(replace(m, candidate="Gjöll") for m in result.candidates))
    table = Table.read(write_cross_match(named, tmp_path)[0])
    assert set(table["candidate"]) == {"Gjöll"}
