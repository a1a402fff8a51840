"""The jobs behind `refresh`, `verify` and `import --hats`, with what a user sees of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from sky_patches import CatalogStore
from sky_patches.archive import (
    ArchiveCuts,
    ClientPolicy,
    Cone,
    RefreshEstimate,
    RefreshProgress,
    RefreshReport,
    RefreshSettings,
    Region,
    Release,
    estimate_refresh,
    parse_regions,
    refresh,
    release_named,
    repair_store,
)
from sky_patches.archive.hats_source import HatsImport, import_hats
from sky_patches.store.verify import VerifyReport
from via_machinae.errors import ConfigError, RunError
from via_machinae.terminal import console, rate_bar, show_table

__all__ = ["dry_run_job", "hats_job", "range_of", "refresh_job", "release_of", "verify_job"]


_HATS_ORDER = 7


def refresh_job(
    store: Path,
    regions: Sequence[str],
    release: Release,
    *,
    url: str,
    cuts: ArchiveCuts,
    columns: Iterable[str] | None,
    settings: RefreshSettings,
    policy: ClientPolicy,
) -> RefreshReport:
    """Bring a region into a store, and show how it goes.

    Raises:
        RunError: some pixels could not be fetched; the rest is in the store.
        SkyPatchesError: wrong input, or a service that cannot be used.
    """
    with rate_bar("pixels", "stars") as show:
        report = refresh(
            store,
            _region(regions),
            release,
            url=url,
            cuts=cuts,
            columns=columns,
            settings=settings,
            policy=policy,
            progress=_shown(show),
        )
    _tell(report)
    if report.failed:
        pixel, reason = report.failed[0]
        raise RunError(
            f"{len(report.failed)} pixels could not be fetched, the first {pixel}: {reason}; the others are "
            f"kept: run the same command again, and see {store}/refresh/log.txt"
        )
    return report


def _shown(show: Callable[[int, int, int], None]) -> Callable[[RefreshProgress], None]:
    return lambda progress: show(progress.done, progress.total, progress.rows)


def _tell(report: RefreshReport) -> None:
    if not (report.missing or report.resumed or report.replaced):
        console.print(f"nothing to fetch: {report.store} holds all {report.wanted} pixels")
        return
    speed = report.rows / max(report.seconds, 1e-3)
    console.print(
        f"{report.fetched} pixels with {report.rows:,} stars fetched in {report.seconds:.0f} s "
        f"({speed:,.0f} stars/s)"
    )
    if report.resumed:
        console.print(f"  {report.resumed} pixels had been fetched before an interruption")
    if report.splits:
        console.print(f"  {report.splits} pixels had too many stars for one query and were split")
    if report.rejected:
        console.print(f"  {report.rejected} rows are no stars; kept in {report.store}/rejected")
    if report.replaced:
        console.print("  the new stars have taken the place of those of another query")
    console.print(f"{report.store}: {report.stars:,} stars of {report.release}")


def dry_run_job(
    store: Path,
    regions: Sequence[str],
    release: Release,
    *,
    url: str,
    cuts: ArchiveCuts,
    columns: Iterable[str] | None,
    settings: RefreshSettings,
    policy: ClientPolicy,
    offline: bool,
) -> RefreshEstimate:
    """Print the queries of a refresh and how much it would fetch."""
    found = estimate_refresh(
        store,
        _region(regions),
        release,
        url=url,
        cuts=cuts,
        columns=columns,
        settings=settings,
        policy=policy,
        offline=offline,
    )
    for query in found.queries:
        console.print(query)
    if found.pixels > len(found.queries):
        console.print(f"... and {found.pixels - len(found.queries)} more queries like these")
    if found.counted:
        basis = "counted" if found.exact else f"from a count of {found.counted} of the pixels"
    else:
        basis = "from a coarse model of the Galaxy, without the cuts" if found.pixels else "nothing to fetch"
    console.print(
        f"{found.pixels} pixels to fetch, {found.present} there already: about {found.rows:,} stars, "
        f"{_size(found.bytes)} in memory ({basis})"
    )
    if found.old_pixels:
        console.print(
            f"the store's {found.old_pixels} pixels with {found.old_rows:,} stars come from another query: "
            "--replace fetches them anew too, and exchanges them when all is there"
        )
    return found


def verify_job(store: Path, *, repair: bool) -> VerifyReport:
    """Check a store; print what is damaged, and take it out if asked to.

    Raises:
        RunError: something is damaged, and was not repaired.
    """
    opened = CatalogStore.open(store)
    begin = time.monotonic()
    with rate_bar("partitions", "") as show:
        report = opened.verify(lambda done, total: show(done, total, 0))
    if report.ok:
        console.print(
            f"{store}: {report.partitions} partitions with {report.rows:,} stars are whole "
            f"({time.monotonic() - begin:.0f} s)"
        )
        return report
    _show_damage(report)
    if not repair:
        raise RunError(
            f"{store} is damaged; 'via-machinae verify --store {store} --repair' takes out what is damaged, "
            "so that the next refresh fetches it again"
        )
    repaired = repair_store(store, report)
    console.print(f"{len(repaired.partitions)} partitions were taken out, into {store}/damaged")
    if report.duplicates:
        raise RunError(
            f"{store} has {report.duplicates} stars twice, which no repair can sort out; "
            "refresh into a new store"
        )
    console.print(
        f"{len(repaired.pixels)} pixels have to be fetched again: run 'via-machinae refresh' as before"
    )
    return report


def _show_damage(report: VerifyReport) -> None:
    rows = [
        (f"{entry.partition.order}/{entry.partition.pixel}", entry.partition.rows, entry.reason)
        for entry in report.damaged
    ]
    if rows:
        show_table("Damaged partitions", ("pixel", "stars", "reason"), rows)
    for path in report.strays:
        console.print(f"{path} does not belong to the store")
    for path in report.descriptions:
        console.print(f"{path} is absent or wrong")
    if report.duplicates:
        console.print(f"{report.duplicates} rows repeat a source_id, such as {report.duplicate_ids[:3]}")


def hats_job(source: str, store: Path, regions: Sequence[str], columns: Mapping[str, str]) -> HatsImport:
    """Bring a HATS catalogue, or a region of it, into a store, and tell what came.

    A cone is cut out exactly; of other regions come the HEALPix pixels of order 7 (0.5 deg) that they touch.

    Raises:
        SkyPatchesError: wrong input, or a catalogue that cannot be read.
    """
    region = _region(regions)
    if isinstance(region, Cone) and region.frame.lower() == "icrs":
        part = {"cone": (region.lon, region.lat, region.radius)}
    elif region is not None:
        part = {"pixels": region.pixels(_HATS_ORDER), "order": _HATS_ORDER}
    else:
        part = {}
    # Not len(): a store without stars exists all the same.
    exists = CatalogStore.exists(store)
    catalogue = CatalogStore.open(store) if exists else CatalogStore.create(store, name=Path(store).name)
    with rate_bar("partitions", "") as show:
        found = import_hats(
            catalogue, source, columns=columns, progress=lambda done, total: show(done, total, 0), **part
        )
    console.print(
        f"{source}: {found.rows_read:,} stars of {found.partitions} partitions read; "
        f"added to {store}: {found.rows_added:,}; there already: {found.duplicates:,}"
    )
    for reason, count in found.rejected.items():
        console.print(f"  left out: {count:,} ({reason})")
    return found


def release_of(name: str, table: str | None, ruwe_table: str | None) -> Release:
    """A release by name, under other table names where those are given."""
    return release_named(name).at(table, ruwe_table)


def range_of(option: str, text: str | None) -> tuple[float, float] | None:
    """Two numbers LOW,HIGH.

    Raises:
        ConfigError: the text is something else.
    """
    if text is None:
        return None
    try:
        low, high = (float(number) for number in text.split(","))
    except ValueError as error:
        raise ConfigError(f"{option} takes LOW,HIGH, for example {option} 10,20.2; got {text!r}") from error
    return low, high


def _region(regions: Sequence[str]) -> Region | None:
    return parse_regions(regions) if regions else None


def _size(count: int) -> str:
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count / 1e3:.0f} kB"
