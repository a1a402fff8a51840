"""Stars from a HATS catalogue, for sites that hold Gaia as one already: a directory, or a URL.

hats (https://hats.readthedocs.io) knows where the partitions are, on a disk, behind HTTP or in a bucket;
what is in them goes through the same recognition of columns and units as every file.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from astropy.coordinates import angular_separation
from astropy.table import Table
from jaxtyping import Bool, Int64, Integer

from sky_patches.errors import LoadError
from sky_patches.healpix import MAX_ORDER, cone_ranges_29, healpix_29
from sky_patches.loader import Loaded, read_stars
from sky_patches.store import CatalogStore
from sky_patches.store.arrow_table import from_arrow, plain_array
from sky_patches.store.intervals import in_intervals, overlaps
from sky_patches.store.read import touched_groups

__all__ = ["HatsImport", "from_hats", "import_hats"]

# hats is optional and takes a second to load, so its classes cannot be named here.
Catalog: TypeAlias = Any
UPath: TypeAlias = Any

_WHOLE_SKY = np.array([[0, 12 << (2 * MAX_ORDER)]], dtype=np.int64)
_PLAIN = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean)
_TEXT = (pa.types.is_string, pa.types.is_large_string)


@dataclass(frozen=True)
class HatsImport:
    """What became of a HATS catalogue.

    Attributes:
        partitions: number of its partitions that the region touches.
        continued: how many of them an earlier, interrupted import had brought in.
        rows_read: stars of the region in the others.
        rows_added: those new to the store.
        duplicates: those that the store had already.
        rejected: rows that were left out, by reason; they stay where they were.
    """

    partitions: int
    continued: int
    rows_read: int
    rows_added: int
    duplicates: int
    rejected: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class _Region:
    """Ranges of order-29 pixels, and a circle (ra, dec, radius in degrees) to be cut out of them."""

    ranges: Int64[np.ndarray, "k 2"]
    cone: tuple[float, float, float] | None
    words: str

    def holds(self, stars: Table) -> Bool[np.ndarray, " n"]:
        ra, dec = np.asarray(stars["ra"]), np.asarray(stars["dec"])
        inside = in_intervals(healpix_29(ra, dec), self.ranges)
        if self.cone is None:
            return inside
        lon, lat, reach = self.cone
        there = np.radians(lon), np.radians(lat), np.radians(ra), np.radians(dec)
        return inside & (np.degrees(angular_separation(*there)) <= reach)


def from_hats(
    source: str | Path,
    *,
    cone: tuple[float, float, float] | None = None,
    pixels: Sequence[int] | Integer[np.ndarray, " k"] | None = None,
    order: int | None = None,
    columns: Mapping[str, str] | None = None,
    keep: Sequence[str] = (),
) -> Iterator[Loaded]:
    """Stars of a HATS catalogue, partition by partition; only the columns and row groups needed are read.

    Args:
        source: directory or URL of the catalogue, or of a collection, whose main catalogue is taken.
        cone: (ra, dec, radius) in degrees; only stars in this circle, the edge included.
        pixels: only stars whose positions lie in these HEALPix pixels (NESTED) of `order`.
        columns: name in the catalogue by schema name, where the automatic recognition does not do.
        keep: further columns to carry along unchanged.

    Yields:
        For each partition with stars in the region what `read_stars` makes of them: `.stars`, the rows it
        rejected with their reasons (Gaia's sources without proper motion, above all), and its report.

    Raises:
        LoadError: hats is not installed; the catalogue cannot be reached, read or understood; or a region
            that is none.
    """
    region = _region(cone, pixels, order)
    catalog = _catalogue(source)
    for path in _partitions(catalog, region):
        loaded = _read(path, catalog, region, columns, keep)
        if loaded is not None:
            yield loaded


def import_hats(
    store: CatalogStore,
    source: str | Path,
    *,
    cone: tuple[float, float, float] | None = None,
    pixels: Sequence[int] | Integer[np.ndarray, " k"] | None = None,
    order: int | None = None,
    columns: Mapping[str, str] | None = None,
    keep: Sequence[str] = (),
    progress: Callable[[int, int], None] | None = None,
) -> HatsImport:
    """Bring a HATS catalogue, or a region of it, into a store; the arguments are those of `from_hats`.

    Each partition is one append. An interrupted import that is repeated goes on after the last of them.

    Args:
        progress: called with (partitions done, partitions in all).

    Raises:
        LoadError: as for `from_hats`.
        StoreError: as for `CatalogStore.append`.
    """
    region = _region(cone, pixels, order)
    catalog = _catalogue(source)
    paths = _partitions(catalog, region)
    asked = {"region": region.words, "columns": dict(columns or {}), "keep": list(keep)}
    done = {record["origin"] for record in store.provenance if record.get("asked") == asked}
    read = added = known = continued = 0
    rejected: Counter[str] = Counter()
    for number, path in enumerate(paths, start=1):
        loaded = None if str(path) in done else _read(path, catalog, region, columns, keep)
        continued += str(path) in done
        if loaded is not None:
            read += loaded.report.rows_read
            rejected.update(loaded.report.rejected)
            report = store.append(loaded.stars, provenance={"origin": str(path), "asked": asked})
            added, known = added + report.rows_added, known + report.duplicates
        if progress is not None:
            progress(number, len(paths))
    return HatsImport(len(paths), continued, read, added, known, dict(rejected.most_common()))


def _region(
    cone: tuple[float, float, float] | None,
    pixels: Sequence[int] | Integer[np.ndarray, " k"] | None,
    order: int | None,
) -> _Region:
    if cone is not None and pixels is not None:
        raise LoadError("expected cone=... or pixels=..., found both; ask for one region at a time")
    if cone is not None:
        ra, dec, radius = (float(value) for value in cone)
        return _Region(cone_ranges_29(ra, dec, radius), (ra, dec, radius), f"cone {ra} {dec} {radius} deg")
    if pixels is None:
        return _Region(_WHOLE_SKY, None, "all")
    if order is None or not 0 <= order <= MAX_ORDER:
        raise LoadError(f"pixels=... needs its order, 0 to {MAX_ORDER}, found order={order}")
    wanted = np.unique(np.asarray(pixels, dtype=np.int64))
    if wanted.size == 0 or wanted[0] < 0 or wanted[-1] >= 12 << (2 * order):
        raise LoadError(f"pixels of order {order} are 0 to {(12 << (2 * order)) - 1}, found {wanted[:5]} ...")
    ranges = np.column_stack([wanted, wanted + 1]) << (2 * (MAX_ORDER - order))
    return _Region(ranges, None, f"pixels of order {order}: {' '.join(map(str, wanted))}")


def _catalogue(source: str | Path) -> Catalog:
    try:
        import hats
    except ImportError as error:
        raise LoadError(
            f"reading {source} needs the package hats ({error}); install it with: "
            "pip install 'via-machinae[hats]'"
        ) from error
    try:
        catalog = hats.read_hats(source)
    except _failures() as error:
        raise _unreadable(source, error) from error
    # A collection bundles a catalogue with its margins and indexes.
    catalog = getattr(catalog, "main_catalog", catalog)
    if getattr(catalog, "schema", None) is None or not hasattr(catalog, "get_healpix_pixels"):
        raise LoadError(f"{source} is a HATS data set, but not a catalogue of objects; name a catalogue")
    return catalog


def _failures() -> tuple[type[BaseException], ...]:
    """What a file system, local or remote, raises."""
    failures: tuple[type[BaseException], ...] = (OSError, ValueError, KeyError, pa.ArrowException)
    try:
        from aiohttp import ClientError
    except ImportError:
        return failures
    return (*failures, ClientError)


def _unreadable(source: object, error: BaseException) -> LoadError:
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return LoadError(
        f"{source} cannot be read as a HATS catalogue ({reason}); give the directory or URL that holds "
        "hats.properties, and check that it can be reached"
    )


def _partitions(catalog: Catalog, region: _Region) -> list[UPath]:
    """The files of the partitions that share sky with the region."""
    from hats.io.paths import pixel_catalog_file

    suffix = catalog.catalog_info.npix_suffix
    files: list[list[UPath]] = []
    for pixel in catalog.get_healpix_pixels():
        shift = 2 * (MAX_ORDER - pixel.order)
        if overlaps(pixel.pixel << shift, (pixel.pixel + 1) << shift, region.ranges):
            path = pixel_catalog_file(catalog.catalog_base_dir, pixel, npix_suffix=suffix)
            # With the suffix "/" a partition is a directory of files.
            files.append(sorted(path.glob("*.parquet")) if suffix == "/" else [path])
    return list(chain.from_iterable(files))


def _read(
    path: UPath,
    catalog: Catalog,
    region: _Region,
    columns: Mapping[str, str] | None,
    keep: Sequence[str],
) -> Loaded | None:
    """The stars of one partition inside the region; None where there is no row."""
    index = _index_column(catalog)
    wanted = _wanted(catalog, columns, keep)
    try:
        with path.open("rb") as stream:
            # A server that sends no parts of files gives a stream; then the whole file is the smallest part.
            whole = stream if stream.seekable() else io.BytesIO(stream.read())
            file = pq.ParquetFile(whole, pre_buffer=True)
            groups = touched_groups(file, index, region.ranges) if index else range(file.num_row_groups)
            names = list(dict.fromkeys([*wanted, *([index] if index else [])]))
            rows = file.read_row_groups(list(groups), columns=names)
    except _failures() as error:
        raise _unreadable(path, error) from error
    if index:
        rows = rows.filter(plain_array(in_intervals(rows[index].to_numpy(), region.ranges)))
    if len(rows) == 0:
        return None
    loaded = read_stars(from_arrow(rows.select(wanted)), columns=columns, keep=keep)
    stars = loaded.stars[region.holds(loaded.stars)]
    kept = replace(
        loaded.report,
        origin=str(path),
        format="hats",
        rows_kept=len(stars),
        rows_read=len(stars) + len(loaded.rejected),
    )
    return Loaded(stars, loaded.rejected, kept)


def _index_column(catalog: Catalog) -> str | None:
    """Name of the catalogue's column of order-29 pixels, if it has one."""
    info = catalog.catalog_info
    named = info.healpix_column if info.healpix_order == MAX_ORDER else None
    return named if named in catalog.schema.names else None


def _wanted(catalog: Catalog, columns: Mapping[str, str] | None, keep: Sequence[str]) -> list[str]:
    """The columns that the loader recognises: asked about one row of zeros, so that no byte is fetched."""
    plain = Table()
    for column in catalog.schema:
        unit: Any = (column.metadata or {}).get(b"unit")
        if any(test(column.type) for test in _PLAIN):
            plain[column.name] = np.zeros(1, dtype=column.type.to_pandas_dtype())
            plain[column.name].unit = None if unit is None else unit.decode()
        elif any(test(column.type) for test in _TEXT):
            plain[column.name] = np.array([""])
    if not plain.colnames:
        raise LoadError(f"{catalog.catalog_base_dir} has no columns of numbers; is it a star catalogue?")
    report = read_stars(plain, columns=columns, keep=keep).report
    return list(dict.fromkeys([*report.recognised.values(), *keep]))
