"""Is everything in a catalogue store as it was written? Memory holds a row group, never a catalogue."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
from astropy.coordinates import angular_separation
from jaxtyping import Int64

from sky_patches.healpix import MAX_ORDER, healpix_29, pixel_radius
from sky_patches.store.arrow_table import plain_values
from sky_patches.store.commit import Snapshot
from sky_patches.store.hats_layout import HEALPIX_COLUMN, Partition, partition_info_text
from sky_patches.store.intervals import overlaps
from sky_patches.store.read import (
    DamagedPartitionError,
    digest,
    footer,
    locate,
    read_partition,
    row_groups,
)
from sky_patches.store.write import workers

__all__ = ["Damage", "VerifyReport", "verify"]

_CHECKED = [HEALPIX_COLUMN, "source_id", "ra", "dec"]
_BINS = 65_536
# Identifiers compared at a time; 200 MB with what sorting takes.
_BUCKET = 8_000_000
_EXAMPLES = 10


@dataclass(frozen=True)
class Damage:
    """A partition that is not what the store says it is, and why."""

    partition: Partition
    reason: str


@dataclass(frozen=True)
class VerifyReport:
    """Result of `CatalogStore.verify`; `str(report)` is a summary for people.

    Attributes:
        partitions, rows: what the store should hold.
        bytes_read: size of the partitions that were read.
        damaged: the partitions that are not whole, along the HEALPix curve.
        duplicates: number of rows whose `source_id` an earlier row has.
        duplicate_ids: up to ten of those identifiers.
        strays: Parquet files below `dataset/` that are not the store's; other programs would read them.
        descriptions: files that describe the catalogue to other programs, and are absent or wrong.
        unsealed: number of partitions without a checksum (of a store of format 1); all their pages were read.
    """

    partitions: int
    rows: int
    bytes_read: int
    damaged: tuple[Damage, ...] = ()
    duplicates: int = 0
    duplicate_ids: tuple[int, ...] = ()
    strays: tuple[str, ...] = ()
    descriptions: tuple[str, ...] = ()
    unsealed: int = 0

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.damaged or self.duplicates or self.strays or self.descriptions)

    def __str__(self) -> str:
        lines = [
            f"{self.partitions} partitions, {self.rows} stars, {self.bytes_read / 1e6:.1f} MB read: "
            + ("all is well" if self.ok else f"{len(self.damaged)} partitions are damaged")
        ]
        lines += [f"{entry.partition.path}: {entry.reason}" for entry in self.damaged]
        if self.duplicates:
            lines.append(f"{self.duplicates} rows repeat a source_id, such as {list(self.duplicate_ids)}")
        lines += [f"{path}: does not belong to the store" for path in self.strays]
        lines += [f"{path}: absent or wrong" for path in self.descriptions]
        if self.unsealed:
            lines.append(f"{self.unsealed} partitions have no checksum yet; the next import gives them one")
        return "\n  ".join(lines)


def verify(state: Snapshot, progress: Callable[[int, int], None] | None = None) -> VerifyReport:
    """Check every partition of the store; see `CatalogStore.verify`."""
    parts = state.manifest.partitions
    counts = np.zeros(_BINS, dtype=np.int64)
    damaged: list[Damage] = []
    size = 0
    with ThreadPoolExecutor(workers(len(parts))) as pool:
        for done, found in enumerate(pool.map(lambda part: _examined(state, part), parts), start=1):
            if isinstance(found, Damage):
                damaged.append(found)
            else:
                counts += found[0]
                size += found[1]
            if progress is not None:
                progress(done, len(parts))
    duplicates, examples = _duplicates(state, counts, damaged)
    return VerifyReport(
        partitions=len(parts),
        rows=state.manifest.rows,
        bytes_read=size,
        damaged=tuple(damaged),
        duplicates=duplicates,
        duplicate_ids=examples,
        strays=_strays(state),
        descriptions=_wrong_descriptions(state),
        unsealed=sum(not part.checksum for part in parts),
    )


def _examined(state: Snapshot, part: Partition) -> Damage | tuple[Int64[np.ndarray, " b"], int]:
    """What is wrong with a partition; else its identifiers by bins, and its size in bytes."""
    try:
        path = locate(state, part)
        if part.checksum and digest(path) != part.checksum:
            footer(state, part)  # says more where the file is cut or of another pixel
            return Damage(part, "its bytes are not those that were written (checksum)")
        if not footer(state, part).schema.to_arrow_schema().equals(state.manifest.arrow_schema):
            return Damage(part, "its columns are not those of the store")
        columns = _CHECKED if part.checksum else state.manifest.arrow_schema.names
        counts = np.zeros(_BINS, dtype=np.int64)
        previous = part.span[0]
        for rows in row_groups(state, part, columns):
            fault = _fault(part, rows, previous)
            if fault:
                return Damage(part, fault)
            previous = int(rows[HEALPIX_COLUMN][-1].as_py())
            counts += _binned(state, plain_values(rows["source_id"]))
        return counts, path.stat().st_size
    except DamagedPartitionError as error:
        return Damage(part, error.reason)
    except OSError as error:
        return Damage(part, f"it cannot be read ({error})")


def _fault(part: Partition, rows: pa.Table, previous: int) -> str:
    """What is wrong with the rows of one row group, or an empty string."""
    keys, ids, ra, dec = (plain_values(rows[name]) for name in _CHECKED)
    if keys.min() < part.span[0] or keys.max() >= part.span[1]:
        return "it has stars outside its pixel"
    if keys[0] < previous or np.any(np.diff(keys) < 0):
        return "its rows are not sorted"
    if ids.min() < part.id_min or ids.max() > part.id_max:
        return f"it has a source_id outside {part.id_min} to {part.id_max}"
    if not (np.isfinite(ra).all() and np.isfinite(dec).all() and np.abs(dec).max() <= 90.0):
        return "it has positions that are not on the sky"
    moved = np.flatnonzero(healpix_29(ra, dec) != keys)
    # Another version of the arithmetic may put a star on the edge of a pixel of 0.4 mas into the next one.
    if moved.size and _from_centres(keys[moved], ra[moved], dec[moved]).max() > 3.0 * pixel_radius(MAX_ORDER):
        return "its positions do not agree with its pixels"
    return ""


def _from_centres(keys: np.ndarray, ra: np.ndarray, dec: np.ndarray) -> np.ndarray:
    import healpy as hp  # late: it loads matplotlib.pyplot

    lon, lat = hp.pix2ang(1 << MAX_ORDER, keys, nest=True, lonlat=True)
    return np.degrees(angular_separation(*(np.radians(angle) for angle in (lon, lat, ra, dec))))


def _binned(state: Snapshot, ids: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " b"]:
    low, width = _bins(state)
    return np.bincount((ids - low) // width, minlength=_BINS).astype(np.int64, copy=False)


def _bins(state: Snapshot) -> tuple[int, int]:
    """First identifier and width of the bins that the store's identifiers are counted in."""
    low = min(part.id_min for part in state.manifest.partitions)
    high = max(part.id_max for part in state.manifest.partitions)
    return low, (high - low) // _BINS + 1


def _duplicates(
    state: Snapshot, counts: Int64[np.ndarray, " b"], damaged: list[Damage]
) -> tuple[int, tuple[int, ...]]:
    """Number of repeated identifiers and examples, looked for bucket by bucket of identifiers.

    Damaged partitions are left out; one that shows its damage only now joins them.
    """
    total = 0
    examples: list[int] = []
    for low, high in _buckets(state, counts):
        bucket = np.array([[low, high]], dtype=np.int64)
        pieces = [np.zeros(0, np.int64)]
        lost = {entry.partition.path for entry in damaged}
        for part in state.manifest.partitions:
            if part.path in lost or not overlaps(part.id_min, part.id_max + 1, bucket):
                continue
            try:
                rows = read_partition(state, part, ["source_id"], bucket, by="source_id")
            except DamagedPartitionError as error:
                damaged.append(Damage(part, error.reason))
                continue
            ids = plain_values(rows["source_id"])
            pieces.append(ids[(ids >= low) & (ids < high)])
        every = np.sort(np.concatenate(pieces))
        repeated = every[1:][every[1:] == every[:-1]]
        total += len(repeated)
        examples += np.unique(repeated).tolist()[: _EXAMPLES - len(examples)]
    return total, tuple(examples)


def _buckets(state: Snapshot, counts: Int64[np.ndarray, " b"]) -> Iterator[tuple[int, int]]:
    """Half-open ranges of identifiers that hold about `_BUCKET` stars each, and all of them together."""
    if not counts.any():
        return
    low, width = _bins(state)
    which = (np.cumsum(counts) - 1) // _BUCKET
    edges = [*np.flatnonzero(np.diff(which, prepend=-1)).tolist(), _BINS]
    for start, stop in pairwise(edges):
        # Python integers: the last edge may lie beyond 64 bits.
        yield low + start * width, min(low + stop * width, 2**63 - 1)


def _strays(state: Snapshot) -> tuple[str, ...]:
    if state.pending:
        return ()  # the change that is under way tells where its files belong
    known = {part.path for part in state.manifest.partitions}
    files = (state.root / "dataset").rglob("*.parquet")
    return tuple(sorted({path.relative_to(state.root).as_posix() for path in files} - known))


def _wrong_descriptions(state: Snapshot) -> tuple[str, ...]:
    if state.pending:
        return ()
    wrong = []
    expected = partition_info_text(state.manifest.partitions)
    if _text(state, "partition_info.csv") != expected:
        wrong.append("partition_info.csv")
    for name in ("hats.properties", "properties"):
        if f"hats_nrows={state.manifest.rows}\n" not in _text(state, name):
            wrong.append(name)
    wrong += [
        name
        for name in ("dataset/_metadata", "dataset/_common_metadata", "skymap.fits")
        if not (state.root / name).is_file()
    ]
    return tuple(wrong)


def _text(state: Snapshot, name: str) -> str:
    try:
        return (state.root / name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
