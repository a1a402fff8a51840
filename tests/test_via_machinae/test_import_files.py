"""Import: every row is in the store or kept with the reason why not; the same file adds nothing twice."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.table import Table

from sky_patches import CatalogStore
from via_machinae.errors import RunError
from via_machinae.ingest import import_files, make_mock, read_truth


@pytest.fixture
def flawed(sky, tmp_path):
    """200 rows, of which five cannot be used."""
    stars = sky[:200].copy()
    stars["pmra"][3] = np.nan
    stars["dec"][[5, 6]] = [91.0, np.nan]
    stars["ra"][8] = 400.0
    stars["source_id"][11] = stars["source_id"][10]
    stars.write(tmp_path / "flawed.csv")
    return tmp_path / "flawed.csv"


def test_rejected_rows_are_kept_with_their_reasons(flawed, tmp_path):
    (done,) = import_files([flawed], tmp_path / "store")
    assert (done.report.rows_read, done.added, done.known) == (200, 195, 0)
    (kept,) = (tmp_path / "store" / "rejected").glob("*.parquet")
    rejected = Table.read(kept)
    assert sorted(rejected["reason"]) == sorted(
        ["pmra is not finite", "dec is outside [-90, 90] deg", "dec is not finite",
         "ra is outside [-180, 360] deg", "source_id repeats an earlier row"]
    )  # fmt: skip
    assert sum(done.report.rejected.values()) == len(rejected)


def test_the_command_says_what_was_rejected_and_why(command, flawed, tmp_path):
    done = command("import", flawed, "--store", tmp_path / "store")
    assert (done.code, done.err) == (0, "")
    assert "195 of 200 rows kept" in done.out
    assert "rejected 1: pmra is not finite" in done.out


def test_no_row_is_lost(flawed, sky, tmp_path):
    import_files([flawed], tmp_path / "store")
    (kept,) = (tmp_path / "store" / "rejected").glob("*.parquet")
    stored = np.asarray(CatalogStore.open(tmp_path / "store").stars(["source_id"])["source_id"])
    together = np.r_[stored, np.asarray(Table.read(kept)["source_id"])]
    expected = np.asarray(sky["source_id"][:200]).copy()
    expected[11] = expected[10]
    assert np.array_equal(np.sort(together), np.sort(expected))


def test_the_same_file_twice_adds_nothing_and_says_so(command, flawed, tmp_path, tree):
    words = ("import", flawed, "--store", tmp_path / "store")
    command(*words)
    before = tree(tmp_path / "store")
    done = command(*words)
    assert f"added to {tmp_path / 'store'}: 0; there already: 195" in done.out
    assert tree(tmp_path / "store") == before


def test_stars_go_into_a_store_that_has_none_yet(sky, tmp_path):
    CatalogStore.create(tmp_path / "store", name="empty")
    sky[:50].write(tmp_path / "some.csv")
    (done,) = import_files([tmp_path / "some.csv"], tmp_path / "store")
    assert (done.added, len(CatalogStore.open(tmp_path / "store"))) == (50, 50)


def test_the_store_knows_where_its_stars_came_from(flawed, sky, tmp_path):
    sky[200:300].write(tmp_path / "more.ecsv")
    import_files([flawed, tmp_path / "more.ecsv"], tmp_path / "store")
    records = CatalogStore.open(tmp_path / "store").provenance
    assert [record["origin"] for record in records] == [str(flawed), str(tmp_path / "more.ecsv")]
    assert [record["rows"] for record in records] == [195, 100]
    assert all(record["version"] and record["time"] for record in records)


@pytest.mark.parametrize("name", ["stars.fits", "stars.ecsv", "stars.csv", "stars.parquet", "stars.vot"])
def test_every_format_gives_the_same_store(sky, tmp_path, name):
    stars = sky[:200].copy()
    stars.write(tmp_path / name, **({"format": "votable"} if name.endswith("vot") else {}))
    stars.write(tmp_path / "reference.csv")
    for path, store in ((tmp_path / name, "one"), (tmp_path / "reference.csv", "two")):
        import_files([path], tmp_path / store)
    checksums = {CatalogStore.open(tmp_path / store).checksum() for store in ("one", "two")}
    assert len(checksums) == 1


def test_the_truth_of_a_mock_is_read_by_stream(tmp_path):
    Table({"source_id": [1, 2, 3], "stream": ["a", "b", "a"]}).write(tmp_path / "members.ecsv")
    Table({"name": ["a", "b", "c"]}).write(tmp_path / "streams.ecsv")
    truth = read_truth(tmp_path)
    assert {name: ids.tolist() for name, ids in truth.items()} == {"a": [1, 3], "b": [2], "c": []}


def test_a_mock_is_not_written_over_anything(tmp_path):
    (tmp_path / "store").mkdir()
    with pytest.raises(RunError, match="exists already"):
        make_mock(tmp_path / "store", seed=1)
