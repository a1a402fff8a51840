"""A disk that fills up loses no star, and says so."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from store_skies import ORIGIN, assert_bit_exact, sky

from sky_patches.errors import StoreError
from sky_patches.store import CatalogStore

EVERYTHING = [(0, 2**63 - 1)]

Change = Callable[[CatalogStore], object]
changes = pytest.mark.parametrize(
    "change",
    [
        lambda store: store.append(sky(400, 2), provenance=ORIGIN),
        lambda store: store.replace(sky(400, 2), source_id_ranges=EVERYTHING, provenance=ORIGIN),
    ],
    ids=["append", "replace"],
)


@changes
@pytest.mark.parametrize("after", [0, 2])
def test_a_full_disk_leaves_the_old_store_and_its_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Change, after: int
) -> None:
    store = CatalogStore.create(tmp_path / "store", name="test", max_rows=100)
    store.append(sky(300), provenance=ORIGIN)
    original, calls = pq.write_table, iter(range(1000))

    def full(rows: object, path: Path, **options: object) -> None:
        original(rows, path, **options)
        if next(calls) >= after:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(pq, "write_table", full)
        with pytest.raises(StoreError, match=r"disk of .* is full .*No space left.*free space, then repeat"):
            change(store)
    assert_bit_exact(store.stars(), sky(300))
    assert not (store.path / "staging").exists()
    assert store.verify().ok
    change(store)
    assert store.verify().ok and len(store) >= 400


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of two megabytes."""
    target = tmp_path / "disk"
    target.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(target)]
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root; the fault is tested without one above")
    answer = subprocess.run(mount, capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        pytest.skip(f"a small file system cannot be mounted here: {answer.stderr.strip()}")
    yield target
    subprocess.run(["umount", str(target)], check=True)


def test_a_disk_that_is_really_full(small_disk: Path) -> None:
    store = CatalogStore.create(small_disk / "store", name="small", max_rows=2000)
    held = 0
    with pytest.raises(StoreError, match=r"is full .*free space, then repeat"):
        for seed in range(100):
            store.append(sky(3000, seed, spread=30.0), provenance=ORIGIN)
            held += 3000
    assert held > 0
    assert len(store) == len(store.stars()) == held
    assert store.verify().damaged == ()
    with pytest.raises(StoreError, match="is full"):
        store.replace(sky(40_000, 7, spread=30.0), source_id_ranges=EVERYTHING, provenance=ORIGIN)
    assert len(store.stars()) == held
    few = sky(100, 0, spread=30.0)
    store.replace(few, source_id_ranges=EVERYTHING, provenance=ORIGIN)
    assert np.array_equal(np.sort(store.stars()["source_id"]), np.sort(few["source_id"]))
    assert store.verify().ok
