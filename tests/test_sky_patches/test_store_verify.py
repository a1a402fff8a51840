"""Verification finds every kind of damage and blames nothing else; repair leaves a whole store."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from store_skies import ORIGIN, assert_bit_exact, sky

from sky_patches.errors import StoreError
from sky_patches.store import CatalogStore
from sky_patches.store import verify as store_verify
from sky_patches.store.hats_layout import Partition, write_partition
from sky_patches.store.read import digest


@pytest.fixture
def store(tmp_path: Path) -> CatalogStore:
    store = CatalogStore.create(tmp_path / "store", name="test", max_rows=100)
    store.append(sky(900), provenance=ORIGIN)
    return store


def as_version_1(store: CatalogStore) -> None:
    """What the first version of the package wrote: no checksums, no map of counts."""
    path = store.path / "sky_patches_store.json"
    content = json.loads(path.read_text())
    for entry in content["partitions"]:
        del entry["checksum"]
    path.write_text(json.dumps({**content, "format_version": 1}))
    (store.path / "skymap.fits").unlink()


def declare(store: CatalogStore, part: Partition) -> None:
    """Make the manifest agree with the file of a partition, checksum and all."""
    path = store.path / "sky_patches_store.json"
    content = json.loads(path.read_text())
    for entry in content["partitions"]:
        if (entry["order"], entry["pixel"]) == (part.order, part.pixel):
            entry |= {"rows": part.rows, "id_min": part.id_min, "id_max": part.id_max}
            entry["checksum"] = digest(store.path / part.path)
    path.write_text(json.dumps(content))


def rewritten(store: CatalogStore, change: Callable[[pa.Table], pa.Table], part: Partition) -> None:
    """Put other rows into a partition, and let the manifest agree as far as counts go."""
    path = store.path / part.path
    rows = change(pq.ParquetFile(path).read())
    write_partition(rows, path)
    declare(store, replace(part, rows=len(rows)))


def set_column(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[pa.Table], pa.Table]:
    def apply(rows: pa.Table) -> pa.Table:
        index = rows.schema.get_field_index(name)
        values = change(rows[name].to_numpy().copy())
        return rows.set_column(index, rows.schema.field(name), pa.array(values))

    return apply


def test_a_whole_store_is_well(store: CatalogStore) -> None:
    seen: list[tuple[int, int]] = []
    report = store.verify(lambda done, total: seen.append((done, total)))
    parts = len(store.partitions)
    assert report.ok and report.damaged == () and report.unsealed == 0
    assert (report.partitions, report.rows) == (parts, 900)
    assert report.bytes_read == sum((store.path / part.path).stat().st_size for part in store.partitions)
    assert seen == [(k, parts) for k in range(1, parts + 1)]
    assert "all is well" in str(report)
    empty = CatalogStore.create(store.path.with_name("empty"), name="empty")
    assert empty.verify().ok


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 0x10
    path.write_bytes(content)


def touch_up(path: Path) -> None:
    rows = pq.ParquetFile(path).read()
    write_partition(set_column("pmra", lambda values: values + 1e-9)(rows), path)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda path: path.unlink(), "missing"),
        (lambda path: path.write_bytes(path.read_bytes()[:-100]), ""),
        (lambda path: path.write_bytes(b"junk"), ""),
        (flip, ""),
        (touch_up, "checksum"),
    ],
    ids=["gone", "cut", "junk", "flip", "changed"],
)
@pytest.mark.parametrize("version", [1, 2])
def test_a_damaged_file_is_named(store: CatalogStore, damage: Callable, reason: str, version: int) -> None:
    part, whole = store.partitions[2], store.partitions[3]
    if version == 1:
        as_version_1(store)
    damage(store.path / part.path)
    report = store.verify()
    if version == 1 and reason == "checksum":
        assert report.damaged == ()  # nothing can tell, which is why format 2 has checksums
        return
    assert [entry.partition for entry in report.damaged] == [part]
    assert reason in report.damaged[0].reason and not report.ok
    assert part.path in str(report) and whole.path not in str(report)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda rows: rows.take(pa.array(np.arange(len(rows))[::-1])), "not sorted"),
        (set_column("_healpix_29", lambda keys: keys - (1 << 50)), "outside its pixel"),
        (set_column("ra", lambda ra: (ra + 1e-5) % 360), "do not agree with its pixels"),
        (set_column("dec", lambda dec: np.where(dec == dec[0], np.nan, dec)), "not on the sky"),
        (set_column("source_id", lambda ids: ids + (1 << 58)), "source_id outside"),
        (lambda rows: rows.drop_columns(["pmra"]), "columns are not those of the store"),
    ],
)
def test_wrong_rows_are_found_behind_a_right_checksum(store: CatalogStore, change, reason) -> None:
    part = max(store.partitions, key=lambda entry: entry.rows)
    rewritten(store, change, part)
    report = store.verify()
    assert [entry.partition.path for entry in report.damaged] == [part.path]
    assert reason in report.damaged[0].reason


@pytest.mark.parametrize("bucket", [8_000_000, 50])
def test_a_star_stored_twice_is_found(
    store: CatalogStore, bucket: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_verify, "_BUCKET", bucket)
    assert store.verify().duplicates == 0
    first, *_, last = (part for part in store.partitions if part.rows > 5)
    stolen = int(pq.ParquetFile(store.path / first.path).read(["source_id"])["source_id"][0].as_py())
    copied = replace(last, id_min=min(last.id_min, stolen), id_max=max(last.id_max, stolen))

    def steal(ids: np.ndarray) -> np.ndarray:
        return np.where(np.arange(len(ids)) == 3, stolen, ids)

    rewritten(store, set_column("source_id", steal), copied)
    report = store.verify()
    assert (report.duplicates, report.duplicate_ids) == (1, (stolen,))
    assert not report.ok and report.damaged == () and str(stolen) in str(report)


def test_foreign_files_and_lost_descriptions_are_told_and_repaired(store: CatalogStore) -> None:
    part = store.partitions[0]
    stray = store.path / "dataset" / "Norder=9" / "Dir=0" / "Npix=1.parquet"
    stray.parent.mkdir(parents=True)
    shutil.copy(store.path / part.path, stray)
    (store.path / "partition_info.csv").write_text("Norder,Npix\n")
    (store.path / "dataset" / "_metadata").unlink()
    report = store.verify()
    assert report.strays == ("dataset/Norder=9/Dir=0/Npix=1.parquet",)
    assert set(report.descriptions) == {"partition_info.csv", "dataset/_metadata"}
    assert store.repair(report) == ()
    assert store.verify().ok and not stray.exists()
    assert len(list((store.path / "damaged").rglob("*.parquet"))) == 1
    assert_bit_exact(store.stars(), sky(900))


def test_repair_takes_out_what_is_damaged_and_the_stars_can_come_again(store: CatalogStore) -> None:
    bad = store.partitions[1], store.partitions[4]
    flip(store.path / bad[0].path)
    (store.path / bad[1].path).unlink()
    with pytest.raises(StoreError, match="verify --store"):
        store.stars()
    report = store.verify()
    assert store.repair(report) == bad
    assert len(store) == len(store.stars()) == 900 - bad[0].rows - bad[1].rows
    assert store.verify().ok
    assert len(list((store.path / "damaged").rglob("*.parquet"))) == 1
    assert store.provenance[-1]["removed"] == bad[0].rows + bad[1].rows
    assert store.append(sky(900), provenance=ORIGIN).rows_added == bad[0].rows + bad[1].rows
    assert_bit_exact(store.stars(), sky(900))


def test_a_store_of_version_1_opens_and_is_upgraded_when_written_to(store: CatalogStore) -> None:
    as_version_1(store)
    assert_bit_exact(CatalogStore.open(store.path).stars(), sky(900))
    report = store.verify()
    assert report.damaged == () and report.unsealed == len(store.partitions)
    assert report.descriptions == ("skymap.fits",)
    store.append(sky(3, 7), provenance=ORIGIN)
    content = json.loads((store.path / "sky_patches_store.json").read_text())
    assert content["format_version"] == 2
    assert all(len(entry["checksum"]) == 64 for entry in content["partitions"])
    assert store.verify().ok and store.verify().unsealed == 0


def test_an_upgrade_does_not_seal_damage(store: CatalogStore) -> None:
    as_version_1(store)
    far = sky(3, 7)
    far["dec"] *= -1
    part = store.partitions[2]
    column = pq.read_metadata(store.path / part.path).row_group(0).column(4)
    content = bytearray((store.path / part.path).read_bytes())
    content[column.data_page_offset + column.total_compressed_size - 9] ^= 0xFF
    (store.path / part.path).write_bytes(content)
    store.append(far, provenance=ORIGIN)
    report = store.verify()
    assert [entry.partition for entry in report.damaged] == [part]
    assert report.unsealed == 1


def test_what_a_writer_does_meanwhile_is_no_damage(store: CatalogStore) -> None:
    wrote = []

    def writing(done: int, total: int) -> None:
        if not wrote:
            wrote.append(store.replace(sky(900, 3), source_id_ranges=[(0, 2**63 - 1)], provenance=ORIGIN))

    report = CatalogStore.open(store.path).verify(writing)
    assert report.ok and report.partitions == len(store.partitions)


def test_memory_is_bounded_by_row_groups(store: CatalogStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only four columns are decoded where there is a checksum."""
    read: set[str] = set()
    original = pq.ParquetFile.read_row_groups

    def counting(self: pq.ParquetFile, groups: list[int], columns: list[str]) -> pa.Table:
        assert len(groups) == 1
        read.update(columns)
        return original(self, groups, columns=columns)

    monkeypatch.setattr(pq.ParquetFile, "read_row_groups", counting)
    assert store.verify().ok
    assert read == {"_healpix_29", "source_id", "ra", "dec"}
