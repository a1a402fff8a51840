"""A local catalogue store from an archive, and its refresh: only what is missing is asked for.

    refresh("gaia", "cone:150,30,10", "dr3", cuts=ArchiveCuts(parallax_below=1.0))

A pixel is fetched whole, so regions may overlap and grow. A process that is killed at any moment loses
nothing: the same call continues. Stars of different queries never lie side by side in a store.
"""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from sky_patches.archive.client import TapClient
from sky_patches.archive.engine import RefreshProgress
from sky_patches.archive.errors import ArchiveUnreachableError
from sky_patches.archive.fetching import Archive
from sky_patches.archive.generation import REFRESH, finish_generation
from sky_patches.archive.query import ArchiveCuts, ArchiveQuery
from sky_patches.archive.refresh_errors import RefreshError
from sky_patches.archive.refresh_log import RefreshLog
from sky_patches.archive.refresh_values import GAIA_TAP, RefreshReport, RefreshSettings
from sky_patches.archive.region_text import parse_region
from sky_patches.archive.regions import Region
from sky_patches.archive.releases import Release, release_named
from sky_patches.archive.retry import ClientPolicy
from sky_patches.archive.situation import situation
from sky_patches.archive.task import RefreshTask, ask_leave
from sky_patches.store import CatalogStore

__all__ = ["query_of", "refresh", "region_of"]

_ATTEMPTS, _PAUSE_S = 3, 1.0


def refresh(
    store: Path | str,
    region: Region | str | None,
    release: Release | str = "dr3",
    *,
    url: str = GAIA_TAP,
    cuts: ArchiveCuts | None = None,
    columns: Iterable[str] | None = None,
    settings: RefreshSettings | None = None,
    policy: ClientPolicy | None = None,
    archive: Archive | None = None,
    progress: Callable[[RefreshProgress], None] | None = None,
    log: Callable[[str], None] | None = None,
) -> RefreshReport:
    """Bring a region of a release into a store, asking only for what it lacks; a killed call continues.

    `store/refresh/` holds the working record (`manifest.jsonl`) and `log.txt`.

    Args:
        store: directory of the store; made if there is none.
        region: a region, or its text (see `parse_region`); None means what the store holds already.
        release: "dr2", "dr3", or a `Release` with the table names of another service.
        url: TAP service.
        cuts: quality cuts that the service applies.
        columns: columns of the schema, or further ones of the archive's table; the schema's by default.
        settings, policy: workers, limits, what may be replaced; time-outs and retries.
        archive: a client to use instead of one for `url`.
        progress, log: called after each pixel; with each line of the log.

    Raises:
        ReplaceNeededError: the store's stars come from another query and `settings.replace` is not set.
        RefreshError: the store holds stars from elsewhere, another refresh of it runs, or most pixels fail.
        RegionError, ReleaseError, CutError: wrong input; nothing was changed.
        ArchiveUnreachableError, QueryRejectedError: as the service says; what was fetched is kept.
        StoreError: the store is damaged, or cannot be written.
    """
    query, area, chosen = query_of(release, columns, cuts), region_of(region), settings or RefreshSettings()
    root, begin, notes = Path(store).absolute(), time.monotonic(), RefreshLog(log)
    # Wrong input is told before anything is written or asked.
    found = situation(root, query, area, chosen.order, chosen.older_than_days)
    ask_leave(found, query, chosen)

    @cache
    def connect() -> Archive:
        if archive is not None:
            return archive
        secret = chosen.credentials
        return TapClient(url, policy=policy, login=chosen.login, credentials_file=secret, log=notes)

    if not CatalogStore.exists(root):
        # A wrong address is told at once, and leaves no empty store behind.
        _reach(connect(), notes)
        CatalogStore.create(root, name=_store_name(root))
    with _alone(root):
        finish_generation(root)
        found = situation(root, query, area, chosen.order, chosen.older_than_days)
        task = RefreshTask(found, query, chosen, connect, notes, url, progress or _unseen)
        tally = task.run()
    return task.report(tally, time.monotonic() - begin)


def query_of(release: Release | str, columns: Iterable[str] | None, cuts: ArchiveCuts | None) -> ArchiveQuery:
    """The query of a refresh.

    Raises:
        ReleaseError: an unknown release, or not a name of a column.
    """
    chosen = release if isinstance(release, Release) else release_named(release)
    return ArchiveQuery.of(chosen, columns, cuts)


def region_of(region: Region | str | None) -> Region | None:
    """The region that a text describes; a region as it is.

    Raises:
        RegionError: the text is not understood.
    """
    return parse_region(region) if isinstance(region, str) else region


def _reach(archive: Archive, log: RefreshLog) -> None:
    """Reach the service in one of a few attempts: a fault of a moment is no wrong address."""
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            archive.check()
            return
        except ArchiveUnreachableError as error:
            if attempt == _ATTEMPTS or not error.retryable:
                raise
            log(f"{error}; asking again")
            time.sleep(_PAUSE_S)


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Let no other refresh of the same store run; the lock goes with the process."""
    try:
        (root / REFRESH).mkdir(exist_ok=True)
        stream = (root / REFRESH / ".lock").open("a")
    except OSError as error:
        raise RefreshError(f"{root} cannot be written ({error}); check its permissions") from error
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise RefreshError(f"another refresh of {root} is running; wait until it has finished") from error
        yield


def _store_name(root: Path) -> str:
    """The directory's name, as far as a store may be called so."""
    kept = "".join(
        sign if sign.isascii() and (sign.isalnum() or sign in "_.+-") else "_" for sign in root.name
    )
    return kept if kept[:1].isalnum() else f"gaia{kept}"


def _unseen(_: RefreshProgress) -> None:
    """The progress of a refresh that nobody watches."""
