"""After a repair of the store: which fetched pixels are no longer whole, and have to be fetched again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sky_patches.archive.coverage import Coverage, FetchedPixel
from sky_patches.archive.manifest import PixelRecord, now
from sky_patches.archive.situation import coverage_at, manifest_at
from sky_patches.store import CatalogStore
from sky_patches.store.verify import VerifyReport

__all__ = ["Repaired", "repair_store"]


@dataclass(frozen=True)
class Repaired:
    """Result of a repair.

    Attributes:
        partitions: paths of the damaged partitions; they lie in the store's `damaged/` now.
        pixels: fetched pixels that lost stars; the next refresh asks for them.
    """

    partitions: tuple[str, ...]
    pixels: tuple[FetchedPixel, ...]


def repair_store(path: Path | str, report: VerifyReport) -> Repaired:
    """Take damaged partitions out of a store, and mark what they held as missing.

    A star near the edge of a HEALPix pixel may have the identifier of the pixel next to it, so the stars that
    are left are counted by identifier: a pixel with another number than was fetched is fetched again.

    Raises:
        RefreshError: the store holds stars that came from no archive, which no refresh can bring back.
        StoreError: another writer, or a full disk.
    """
    root = Path(path).absolute()
    before = coverage_at(root)
    store = CatalogStore.open(root)
    taken = store.repair(report)
    lost = _short(store, before)
    after = len(store.provenance)
    manifest_at(root).note(
        *(
            PixelRecord(f.pixel, "damaged", f.fingerprint, now(), f.rows, after=after, reason="lost stars")
            for f in lost
        )
    )
    return Repaired(tuple(part.path for part in taken), tuple(lost))


def _short(store: CatalogStore, coverage: Coverage) -> list[FetchedPixel]:
    """The fetched pixels of which the store has another number of stars than was fetched."""
    fetched = [f for f in coverage.fetched if coverage.share(f.pixel, f.__eq__) == 1.0]
    edges = np.array([f.pixel.source_ids for f in fetched], dtype=np.int64).reshape(-1, 2)
    counts = np.zeros(len(fetched), dtype=np.int64)
    for ids in _identifiers(store):
        ordered = np.sort(ids)
        counts += np.searchsorted(ordered, edges[:, 1]) - np.searchsorted(ordered, edges[:, 0])
    return [f for f, count in zip(fetched, counts.tolist(), strict=True) if count != f.rows]


def _identifiers(store: CatalogStore) -> Sequence[np.ndarray]:
    """The identifiers of each partition in turn."""
    return [
        np.asarray(store.pixels([part.pixel], part.order, ["source_id"])["source_id"], dtype=np.int64)
        for part in store.partitions
    ]
