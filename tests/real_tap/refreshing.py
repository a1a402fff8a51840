"""How the tests call the refresh, and how they look at what it left."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path

from archive_rows import assert_same_rows, rows_of_dr3, within
from astropy.table import Table

from sky_patches import CatalogStore
from sky_patches.archive.refresh import refresh
from sky_patches.archive.refresh_values import RefreshReport, RefreshSettings
from sky_patches.archive.retry import ClientPolicy

__all__ = ["HASTY", "PATIENT", "QUARTET", "TABLE", "assert_store_holds", "log_of", "region", "run"]

HASTY = ClientPolicy(
    socket_timeout_s=4.0, total_timeout_s=120.0, attempts=12, backoff_s=0.2, longest_wait_s=2.0, poll_s=0.2
)
"""For faults of seconds; not so hasty that a busy machine looks like a hanging one."""
PATIENT = dataclasses.replace(HASTY, attempts=60)
"""For a service that is started again: on a busy machine that takes a minute."""

TABLE = "gaiadr3.gaia_source"

QUARTET = tuple((1, 4 * 5 + k) for k in range(4))
"""Four pixels (order, number) of some 700 stars each: one for each worker."""


def region(pixels: Iterable[tuple[int, int]]) -> str:
    """The text of a region of pixels, all of one order."""
    listed = list(pixels)
    return f"pixels:{listed[0][0]}:{','.join(str(number) for _, number in listed)}"


def run(
    store: Path,
    url: str,
    where: str,
    release: str = "dr3",
    *,
    order: int = 1,
    replace: bool = False,
    **options: object,
) -> RefreshReport:
    """A refresh with little patience and pixels of some hundred stars."""
    settings = RefreshSettings(order=order, replace=replace)
    return refresh(store, where, release, url=url, settings=settings, **{"policy": HASTY, **options})


def assert_store_holds(
    store: Path, pixels: Iterable[tuple[int, int]], rows: Table | None = None, **options: object
) -> None:
    """The store is the archive's table in these pixels, row for row, and sound."""
    expected = within(rows_of_dr3() if rows is None else rows, pixels)
    opened = CatalogStore.open(store)
    assert_same_rows(opened.stars(), expected, **options)
    assert len(opened) == len(expected)
    assert opened.verify().ok
    assert not list((store / "refresh" / "staging").glob("*.parquet")), "something was left in staging"


def log_of(store: Path) -> str:
    """What the refreshes of a store say about themselves."""
    return (store / "refresh" / "log.txt").read_text()
