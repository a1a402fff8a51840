"""What a refresh has to do: what is wanted, what is there, what is missing, and where it goes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sky_patches.archive.coverage import (
    RECORD,
    Coverage,
    FetchedPixel,
    coverage_of,
    missing_pixels,
    outermost,
)
from sky_patches.archive.generation import MANIFEST_FILE, REFRESH, next_generation
from sky_patches.archive.manifest import RefreshManifest
from sky_patches.archive.pixel import SkyPixel
from sky_patches.archive.query import ArchiveQuery
from sky_patches.archive.refresh_errors import RefreshError
from sky_patches.archive.regions import Region
from sky_patches.archive.staging import Staging
from sky_patches.store import CatalogStore

__all__ = ["Situation", "coverage_at", "manifest_at", "situation", "staging_at"]


@dataclass(frozen=True)
class Situation:
    """What a refresh finds before it begins.

    Attributes:
        root: the store.
        target: the store that the pixels go to: `root`, or the next generation beside it.
        wanted: pixels that are to be in the store.
        missing: those, or parts of them, that have to be fetched.
        leftover: pixels that an interrupted refresh has fetched already.
        old: what the store holds from other queries; the next generation will take its place.
    """

    root: Path
    target: Path
    wanted: tuple[SkyPixel, ...]
    missing: tuple[SkyPixel, ...]
    leftover: tuple[FetchedPixel, ...]
    old: tuple[FetchedPixel, ...]

    @property
    def replaces(self) -> bool:
        """Whether a new generation is to take the place of the store's present stars."""
        return bool(self.old)


def situation(
    root: Path, query: ArchiveQuery, region: Region | None, order: int, older_than_days: float | None
) -> Situation:
    """What it takes to have `region` in the store at `root`; nothing is written.

    Args:
        region: None means what the store holds already.
        order: order of the pixels to begin with.
        older_than_days: what was fetched before that is to be fetched again.

    Raises:
        RefreshError: the store holds stars from elsewhere, or there is nothing to refresh.
        RegionError: a region that cannot be turned into pixels.
    """
    coverage = coverage_at(root)
    mark = query.fingerprint
    wanted = _wanted(root, region, order, coverage)
    old = tuple(fetched for fetched in coverage.fetched if fetched.fingerprint != mark)
    target = next_generation(root) if old else root
    if old:
        wanted = outermost([*wanted, *(fetched.pixel for fetched in coverage.fetched)])
        coverage = coverage_at(target)
    told = set(coverage.fetched)
    staged = [fetched for fetched in staging_at(target).staged() if fetched.fingerprint == mark]
    leftover = [fetched for fetched in staged if fetched not in told]
    for fetched in leftover:
        coverage.put(fetched.pixel, fetched)
    counts = _counting(mark, older_than_days)
    missing = _beyond_splits(missing_pixels(wanted, coverage, counts), manifest_at(target), mark)
    return Situation(root, target, tuple(wanted), tuple(missing), tuple(leftover), old)


def coverage_at(root: Path) -> Coverage:
    """Which part of the sky the store at `root` holds; none where there is no store.

    Raises:
        RefreshError: the store holds stars that no refresh has put there.
    """
    if not CatalogStore.exists(root):
        return Coverage()
    store = CatalogStore.open(root)
    provenance = store.provenance
    strange = [record for record in provenance if not _is_refresh(record)]
    if strange:
        raise RefreshError(
            f"{root} holds stars from {strange[0].get('origin')!r}, which a refresh would mix with the "
            "archive's; refresh into a store of its own"
        )
    damaged = [(record.pixel, record.after) for record in manifest_at(root).in_state("damaged")]
    return coverage_of(provenance, damaged)


def manifest_at(root: Path) -> RefreshManifest:
    """The working record of the store at `root`."""
    return RefreshManifest(root / REFRESH / MANIFEST_FILE)


def staging_at(root: Path) -> Staging:
    """Where pixels lie before they go into the store at `root`."""
    return Staging(root / REFRESH / "staging")


def _is_refresh(record: dict[str, Any]) -> bool:
    return RECORD in record or "taken_out" in record


def _wanted(root: Path, region: Region | None, order: int, coverage: Coverage) -> list[SkyPixel]:
    if region is not None:
        found = [SkyPixel(order, int(number)) for number in region.pixels(order)]
        if not found:
            raise RefreshError("the region is empty: no pixel of the sky lies in all of its parts")
        return found
    if not coverage.fetched:
        raise RefreshError(f"{root} holds nothing from an archive yet: name a region to begin with")
    return outermost(fetched.pixel for fetched in coverage.fetched)


def _counting(fingerprint: str, older_than_days: float | None) -> Callable[[FetchedPixel], bool]:
    if older_than_days is None:
        return lambda fetched: fetched.fingerprint == fingerprint
    edge = datetime.now(UTC) - timedelta(days=older_than_days)
    return lambda f: f.fingerprint == fingerprint and datetime.fromisoformat(f.time) >= edge


def _beyond_splits(pixels: Iterable[SkyPixel], manifest: RefreshManifest, fingerprint: str) -> list[SkyPixel]:
    """The pixels, with the children of those that were found too full before."""
    found: list[SkyPixel] = []
    waiting = list(pixels)[::-1]
    while waiting:
        pixel = waiting.pop()
        record = manifest.get(pixel, fingerprint)
        if record is not None and record.state == "split":
            waiting.extend(reversed(pixel.children))
        else:
            found.append(pixel)
    return found
