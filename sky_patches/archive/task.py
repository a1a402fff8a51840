"""One refresh from its beginning to its end, once it is known what there is to do."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass

from sky_patches.archive.commits import Committer
from sky_patches.archive.engine import Engine, RefreshProgress, Tally
from sky_patches.archive.fetching import Archive, PixelFetcher
from sky_patches.archive.generation import REFRESH, begin_generation, next_generation, take_place
from sky_patches.archive.query import ArchiveQuery
from sky_patches.archive.refresh_errors import ReplaceNeededError
from sky_patches.archive.refresh_log import RefreshLog
from sky_patches.archive.refresh_values import RefreshReport, RefreshSettings
from sky_patches.archive.situation import Situation, coverage_at, manifest_at, staging_at
from sky_patches.store import CatalogStore

__all__ = ["RefreshTask", "ask_leave"]


@dataclass(frozen=True)
class RefreshTask:
    """One refresh, with all that it needs."""

    found: Situation
    query: ArchiveQuery
    settings: RefreshSettings
    connect: Callable[[], Archive]
    log: RefreshLog
    url: str
    progress: Callable[[RefreshProgress], None]

    def run(self) -> Tally:
        """Fetch what is missing, commit it, and exchange generations when the new one is whole."""
        found = self.found
        if not (found.missing or found.leftover or found.replaces):
            return Tally(total=0)
        self.log.open(found.root / REFRESH / "log.txt")
        self.log(self._announcement())
        tally = self._fetch()
        if found.replaces and not tally.failed:
            take_place(found.root)
            self.log("the new generation has taken the place of the old one")
        self.log(
            f"done: {tally.fetched} pixels, {tally.rows} stars fetched; {len(tally.failed)} pixels failed"
        )
        return tally

    def _fetch(self) -> Tally:
        found, tally = self.found, None
        archive = self.connect()
        try:
            limit = self._limit(archive) if found.missing else self.settings.max_rows
            tally = self._engine(archive, self._target(), limit).run(found.missing, found.leftover)
            return tally
        finally:
            if tally is None:
                # After an interrupt too: what waits for the service must not go on in the background.
                self.log(f"stopped by {sys.exception()!r}")
                archive.stop()

    def report(self, tally: Tally, seconds: float) -> RefreshReport:
        """What was done."""
        found = self.found
        return RefreshReport(
            store=found.root,
            release=self.query.release.name,
            fingerprint=self.query.fingerprint,
            wanted=len(found.wanted),
            missing=len(found.missing),
            fetched=tally.fetched,
            rows=tally.rows,
            resumed=len(found.leftover),
            splits=tally.splits,
            rejected=tally.rejected,
            failed=tuple(tally.failed),
            replaced=found.replaces and not tally.failed,
            stars=len(CatalogStore.open(found.root)),
            seconds=seconds,
        )

    def _limit(self, archive: Archive) -> int:
        """Most rows of one query: ours, or the service's where it is lower."""
        offered = archive.row_limit()
        if offered is None:
            return self.settings.max_rows
        # A reply of exactly the limit may be marked as cut off.
        return max(1, min(self.settings.max_rows, offered - 1))

    def _target(self) -> CatalogStore:
        root = self.found.root
        if not self.found.replaces:
            return CatalogStore.open(root)
        begun = {fetched.fingerprint for fetched in coverage_at(self.found.target).fetched}
        if begun - {self.query.fingerprint}:
            self.log("a generation of yet another query had been begun; it is dropped")
            shutil.rmtree(next_generation(root))
        return begin_generation(root, CatalogStore.open(root))

    def _engine(self, archive: Archive, store: CatalogStore, limit: int) -> Engine:
        target, query = self.found.target, self.query
        manifest, staging = manifest_at(target), staging_at(target)
        manifest.note_query(query)
        staging.sweep()
        committer = Committer(store, query, staging, manifest, self.log, self.url)
        committer.clear()
        return Engine(
            PixelFetcher(archive, query, limit, store, staging, manifest, self.log),
            committer,
            manifest,
            fingerprint=query.fingerprint,
            workers=self.settings.workers,
            batch_rows=self.settings.batch_rows,
            log=self.log,
            progress=self.progress,
        )

    def _announcement(self) -> str:
        found = self.found
        what = f"{len(found.missing)} pixels to fetch for {len(found.wanted)} wanted"
        resumed = f", {len(found.leftover)} fetched before an interruption" if found.leftover else ""
        anew = f"; a new generation, for {len(found.old)} pixels of another query" if found.replaces else ""
        return f"refresh of {self.query.release.name} from {self.url}: {what}{resumed}{anew}"


def ask_leave(found: Situation, query: ArchiveQuery, settings: RefreshSettings) -> None:
    """Refuse to replace stars unless that was allowed.

    Raises:
        ReplaceNeededError: the store holds stars of another query.
    """
    if found.replaces and not settings.replace:
        rows = sum(fetched.rows for fetched in found.old)
        raise ReplaceNeededError(
            f"{found.root} holds {len(found.old)} pixels with {rows:,} stars of another query "
            f"({_difference(found, query)}). All {len(found.wanted)} pixels would be fetched anew beside "
            "them and take their place when whole; say --replace (replace=True) to do that, or choose "
            "another directory"
        )


def _difference(found: Situation, query: ArchiveQuery) -> str:
    """How the store's query differs from the one that is asked now."""
    records = CatalogStore.open(found.root).provenance
    old = next((r["refresh"] for r in reversed(records) if "refresh" in r), {})
    if old.get("release") != query.release.name:
        return f"release {old.get('release')}, now {query.release.name}"
    before, after = (str(text).partition(" FROM ") for text in (old.get("adql", ""), query.template))
    if before[0] != after[0]:
        names = [set(part[0].removeprefix("SELECT ").split(", ")) for part in (before, after)]
        added, dropped = sorted(names[1] - names[0]), sorted(names[0] - names[1])
        return f"columns: {', '.join(added) or 'none'} more, {', '.join(dropped) or 'none'} less"
    there, here = (part[2].partition(" WHERE ")[2].split(" AND ") for part in (before, after))
    less, more = ([cut for cut in one if cut not in other] for one, other in ((there, here), (here, there)))
    return f"cuts there: {' AND '.join(less) or 'no others'}; now: {' AND '.join(more) or 'no others'}"
