"""A replacement takes out the stars of some identifiers and brings others in, in one step or not at all."""

from __future__ import annotations

import itertools
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table, vstack
from hypothesis import given, settings
from hypothesis import strategies as st
from store_skies import ORIGIN, assert_bit_exact, crashing_replace, sky

from sky_patches.errors import SchemaError, StoreError
from sky_patches.healpix import radec_to_pixel, source_id_to_pixel
from sky_patches.store import CatalogStore
from sky_patches.store.intervals import in_intervals, intervals_of, sorted_in_intervals

Range = tuple[int, int]


def ids_of_pixel(pixel: int, order: int = 5) -> Range:
    shift = 35 + 2 * (12 - order)
    return pixel << shift, (pixel + 1) << shift


def inside(table: Table, ranges: list[Range]) -> np.ndarray:
    ids = np.asarray(table["source_id"])
    return np.any([(ids >= start) & (ids < stop) for start, stop in ranges], axis=0)


def renewed(table: Table, ranges: list[Range], seed: int = 9) -> Table:
    """The stars of the ranges as a later release has them: some gone, others a little moved."""
    rng = np.random.default_rng(seed)
    new = table[inside(table, ranges)]
    new = new[rng.random(len(new)) < 0.7]
    new["pmra"] = new["pmra"] + rng.normal(size=len(new))
    new["dec"] = np.clip(new["dec"] + 1e-4 * rng.normal(size=len(new)), -90, 90)
    return new


def busiest(table: Table, count: int) -> list[Range]:
    pixels, stars = np.unique(source_id_to_pixel(np.asarray(table["source_id"]), 5), return_counts=True)
    return [ids_of_pixel(int(pixel)) for pixel in pixels[np.argsort(stars)[-count:]]]


@pytest.fixture
def store(tmp_path: Path) -> CatalogStore:
    store = CatalogStore.create(tmp_path / "store", name="test", max_rows=100)
    store.append(sky(1000), provenance=ORIGIN)
    return store


def test_the_ranges_hold_the_new_stars_and_all_else_is_as_before(store: CatalogStore) -> None:
    old = sky(1000)
    ranges = busiest(old, 4)
    new = renewed(old, ranges)
    report = store.replace(new, source_id_ranges=ranges, provenance={"origin": "again", "pixels": [1, 2]})
    assert_bit_exact(store.stars(), vstack([old[~inside(old, ranges)], new]))
    assert report.rows_added == len(new)
    assert report.rows_removed == np.count_nonzero(inside(old, ranges))
    record = store.provenance[-1]
    assert (record["rows"], record["removed"], record["pixels"]) == (len(new), report.rows_removed, [1, 2])
    assert store.verify().ok
    assert len(store) == len(store.stars())


@settings(max_examples=6)
@given(st.lists(st.integers(0, 12 * 4**3 - 1), min_size=1, max_size=30), st.integers(0, 3))
def test_replacing_equals_a_new_store(tmp_path_factory, pixels: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = 400
    # Identifiers that have nothing to do with the positions: stars of a range are everywhere.
    old = sky(n, seed, spread=40.0)
    old["source_id"] = rng.integers(0, 12 << 59, n)
    ranges = [ids_of_pixel(pixel, 3) for pixel in pixels]
    new = renewed(old, ranges, seed)
    directory = tmp_path_factory.mktemp("replaced")
    store = CatalogStore.create(directory / "a", name="a", max_rows=100)
    store.append(old, provenance=ORIGIN)
    store.replace(new, source_id_ranges=ranges, provenance=ORIGIN)
    fresh = CatalogStore.create(directory / "b", name="b", max_rows=100)
    fresh.append(vstack([old[~inside(old, ranges)], new]), provenance=ORIGIN)
    assert store.checksum() == fresh.checksum()
    assert store.verify().ok


def test_a_star_over_the_border_of_its_pixel_is_found(store: CatalogStore) -> None:
    """Its identifier names the pixel next to the one where it stands."""
    star = sky(1, 50)
    home = int(source_id_to_pixel(np.asarray(star["source_id"]), 5)[0])
    star["dec"] -= 20.0
    assert int(radec_to_pixel(star["ra"].data, star["dec"].data, 5)[0]) != home
    store.append(star, provenance=ORIGIN)
    report = store.replace(star[:0], source_id_ranges=[ids_of_pixel(home)], provenance=ORIGIN)
    assert report.rows_removed >= 1
    assert star["source_id"][0] not in store.stars(["source_id"])["source_id"]


def test_only_the_touched_partitions_are_written(store: CatalogStore) -> None:
    old = sky(1000)
    (only,) = busiest(old, 1)
    before = {part.path: (store.path / part.path).stat().st_mtime_ns for part in store.partitions}
    report = store.replace(renewed(old, [only]), source_id_ranges=[only], provenance=ORIGIN)
    after = {part.path: (store.path / part.path).stat().st_mtime_ns for part in store.partitions}
    changed = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    assert 0 < report.partitions_written <= len(changed) <= 6 < len(before)


def test_nothing_new_empties_the_ranges_and_is_recorded(store: CatalogStore) -> None:
    nothing = sky(5)[:0]
    empty = ids_of_pixel(12_000)
    report = store.replace(nothing, source_id_ranges=[empty], provenance={"origin": "an empty pixel"})
    assert (report.rows_added, report.rows_removed, report.partitions_written) == (0, 0, 0)
    assert store.provenance[-1]["origin"] == "an empty pixel"
    assert_bit_exact(store.stars(), sky(1000))
    store.replace(nothing, source_id_ranges=[(0, 2**63 - 1)], provenance=ORIGIN)
    assert (len(store), len(store.stars()), store.partitions) == (0, 0, ())
    assert list(store.path.glob("dataset/**/*.parquet")) == []
    assert store.verify().ok
    store.append(sky(1000), provenance=ORIGIN)
    assert_bit_exact(store.stars(), sky(1000))


def test_a_repeated_replacement_gives_the_same_stars(store: CatalogStore) -> None:
    ranges = busiest(sky(1000), 3)
    new = renewed(sky(1000), ranges)
    store.replace(new, source_id_ranges=ranges, provenance=ORIGIN)
    once = store.checksum()
    report = store.replace(new, source_id_ranges=ranges, provenance=ORIGIN)
    assert report.rows_added == report.rows_removed == len(new)
    assert store.checksum() == once


def test_a_new_column_joins_every_partition(store: CatalogStore) -> None:
    ranges = busiest(sky(1000), 1)
    new = sky(1000, ruwe=np.full(1000, 1.3))
    new = new[inside(new, ranges)]
    store.replace(new, source_id_ranges=ranges, provenance=ORIGIN)
    found = store.stars()
    assert np.array_equal(np.isfinite(found["ruwe"]), inside(found, ranges))
    assert store.verify().ok


def test_what_is_no_replacement_is_refused(store: CatalogStore) -> None:
    stars = sky(1000)
    before = store.checksum()
    for ranges, message in (
        ([(0, 5)], "1000 of the new stars are outside the ranges"),
        ([(5, 5)], r"half-open.*found \[5, 5\)"),
        ([(-3, 5)], r"found \[-3, 5\)"),
    ):
        with pytest.raises(StoreError, match=message):
            store.replace(stars, source_id_ranges=ranges, provenance=ORIGIN)
    with pytest.raises(StoreError, match="'origin'"):
        store.replace(stars, source_id_ranges=[(0, 2**63 - 1)], provenance={})
    with pytest.raises(SchemaError):
        store.replace(Table(), source_id_ranges=[(0, 5)], provenance=ORIGIN)
    assert store.checksum() == before


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 20)), max_size=12))
def test_intervals_are_the_set_of_their_numbers(entries: list[tuple[int, int]]) -> None:
    ranges = [(start, start + length) for start, length in entries]
    expected = np.isin(np.arange(80), [number for start, stop in ranges for number in range(start, stop)])
    intervals = intervals_of(ranges)
    assert np.array_equal(in_intervals(np.arange(80), intervals), expected)
    assert np.array_equal(sorted_in_intervals(np.arange(80), intervals), expected)
    assert all(before[1] < after[0] for before, after in itertools.pairwise(intervals.tolist()))


def test_a_crash_at_any_rename_leaves_the_old_or_the_new_stars(tmp_path: Path) -> None:
    old = sky(120)
    ranges = busiest(old, 3)
    new = renewed(old, ranges)
    expected = vstack([old[~inside(old, ranges)], new])
    outcomes = []
    for after in range(1000):
        store = CatalogStore.create(tmp_path / str(after), name="crash", max_rows=60)
        store.append(old, provenance=ORIGIN)
        with pytest.MonkeyPatch.context() as patch:
            crashing_replace(patch, after)
            try:
                store.replace(new, source_id_ranges=ranges, provenance=ORIGIN)
                break
            except StoreError as error:
                assert "repeat the same" in str(error)
        survivor = CatalogStore.open(store.path)
        outcomes.append(len(survivor.provenance))
        assert_bit_exact(survivor.stars(), expected if outcomes[-1] == 2 else old)
        assert survivor.verify().damaged == ()
        survivor.replace(new, source_id_ranges=ranges, provenance=ORIGIN)
        assert_bit_exact(survivor.stars(), expected)
        assert survivor.verify().ok
    assert_bit_exact(store.stars(), expected)
    assert outcomes[0] == 1
    assert set(outcomes[1:]) == {2}
    assert len(outcomes) > 6


BUSY = """
import sys
from store_skies import sky
from sky_patches.store import CatalogStore
store = CatalogStore.open(sys.argv[1])
tables = [sky(3000), sky(2000, 1)]
for turn in range(10_000):
    new = tables[turn % 2]
    store.replace(new, source_id_ranges=[(0, 2**63 - 1)], provenance={"origin": str(turn % 2)})
    print(turn, flush=True)
"""


def test_kill_9_at_any_moment_leaves_one_of_two_whole_states(tmp_path: Path) -> None:
    store = CatalogStore.create(tmp_path / "store", name="killed", max_rows=300)
    tables = {"0": sky(3000), "1": sky(2000, 1)}
    store.replace(tables["1"], source_id_ranges=[(0, 2**63 - 1)], provenance={"origin": "1"})
    here = Path(__file__).parent
    for delay in (0.02, 0.2):
        program = [sys.executable, "-c", BUSY, str(store.path)]
        repository = str(here.parents[1])
        with subprocess.Popen(
            program, env={"PYTHONPATH": f"{repository}:{here}"}, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()  # the first replacement is done, the next is under way
            time.sleep(delay)
            process.send_signal(signal.SIGKILL)
        survivor = CatalogStore.open(store.path)
        assert_bit_exact(survivor.stars(), tables[survivor.provenance[-1]["origin"]])
        assert survivor.verify().damaged == ()
