"""The work of a refresh: pixels fetched side by side, put into the store batch by batch."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from sky_patches.archive.commits import Committer
from sky_patches.archive.coverage import FetchedPixel
from sky_patches.archive.errors import ArchiveUnreachableError, QueryRejectedError
from sky_patches.archive.fetching import Failed, Fetched, PixelFetcher, Split
from sky_patches.archive.manifest import PixelRecord, RefreshManifest, now
from sky_patches.archive.pixel import SkyPixel
from sky_patches.archive.pool import WorkerPool
from sky_patches.archive.refresh_errors import PixelTooFullError, RefreshError
from sky_patches.errors import SkyPatchesError, StoreError

__all__ = ["Engine", "RefreshProgress", "Tally"]

_MOST_FAILURES = 8
_MOST_PIXELS = 512
_AGAIN = "what was fetched is kept: run the same command again to continue"


@dataclass(frozen=True)
class RefreshProgress:
    """How far a refresh is.

    Attributes:
        done: pixels fetched in this run, or given up.
        total: pixels to be fetched in this run, as far as is known: a split adds three.
        rows: stars fetched in this run.
    """

    done: int
    total: int
    rows: int


@dataclass
class Tally:
    """What has become of the pixels so far."""

    total: int
    fetched: int = 0
    rows: int = 0
    splits: int = 0
    rejected: int = 0
    failed: list[tuple[SkyPixel, str]] = field(default_factory=list)

    def progress(self) -> RefreshProgress:
        """A picture of this moment."""
        return RefreshProgress(self.fetched + len(self.failed), self.total, self.rows)


class Engine:
    """Fetches pixels with several workers and commits them.

    Args:
        fetcher: fetches one pixel; called from several threads.
        committer: puts staged pixels into the store; called from this thread only.
        manifest: where failures are noted.
        workers: how many pixels are fetched at a time.
        batch_rows: stars that are committed at a time.
        log, progress: told what happens.
    """

    def __init__(
        self,
        fetcher: PixelFetcher,
        committer: Committer,
        manifest: RefreshManifest,
        *,
        fingerprint: str,
        workers: int,
        batch_rows: int,
        log: Callable[[str], None],
        progress: Callable[[RefreshProgress], None],
    ) -> None:
        self._fetcher, self._committer, self._manifest = fetcher, committer, manifest
        self._fingerprint, self._workers, self._batch_rows = fingerprint, workers, batch_rows
        self._log, self._progress = log, progress
        self._staged: deque[FetchedPixel] = deque()
        self._waiting: deque[SkyPixel] = deque()
        self._in_a_row = 0

    def run(self, missing: Sequence[SkyPixel], leftover: Sequence[FetchedPixel]) -> Tally:
        """Fetch what is missing, and put it and what was left over into the store.

        Raises:
            ArchiveError: the service cannot be reached, refuses the query, or fails again and again.
            StoreError: the store cannot be written.
            RefreshError: a file beside the store cannot be written.
        """
        self._waiting, self._staged = deque(missing), deque(leftover)
        tally = Tally(total=len(missing))
        pool = WorkerPool(self._fetcher, self._workers)
        active = 0
        try:
            while self._waiting or self._staged or active:
                # A few more than there are workers, so that none is idle while a batch is written.
                while self._waiting and active < 2 * self._workers:
                    pool.submit(self._waiting.popleft())
                    active += 1
                if active:
                    outcome = pool.next()
                    active -= 1
                    self._take(outcome, tally)
                    self._progress(tally.progress())
                self._commit_batch(tally, finish=not active and not self._waiting)
        except (ArchiveUnreachableError, QueryRejectedError, RefreshError):
            self._commit_rest()
            raise
        finally:
            pool.close()
        return tally

    def _take(self, outcome: Fetched | Split | Failed, tally: Tally) -> None:
        if isinstance(outcome, Split):
            tally.splits += 1
            tally.total += 3
            # Next in turn: the sky is then filled in one piece, and partitions are written fewer times.
            self._waiting.extendleft(reversed(outcome.pixel.children))
        elif isinstance(outcome, Fetched):
            self._in_a_row = 0
            tally.fetched += 1
            tally.rows += outcome.fetched.rows
            tally.rejected += outcome.rejected
            self._staged.append(outcome.fetched)
        else:
            self._fail(outcome, tally)

    def _fail(self, outcome: Failed, tally: Tally) -> None:
        reason = " ".join(str(outcome.error).split())
        self._log(f"pixel {outcome.pixel} failed: {reason}")
        self._note_failure(outcome.pixel, reason)
        _raise_if_hopeless(outcome.error)
        tally.failed.append((outcome.pixel, reason))
        # A pixel that is too full says nothing about the next one.
        self._in_a_row += not isinstance(outcome.error, PixelTooFullError)
        if self._in_a_row >= _MOST_FAILURES:
            raise RefreshError(f"{self._in_a_row} pixels failed in a row, the last: {reason}; {_AGAIN}")

    def _note_failure(self, pixel: SkyPixel, reason: str) -> None:
        """The failure, with the job if there is one: the next run may still take it up."""
        known = self._manifest.get(pixel, self._fingerprint)
        record = known or PixelRecord(pixel, "failed", self._fingerprint, now())
        self._manifest.note(replace(record, state="failed", time=now(), reason=reason))

    def _commit_batch(self, tally: Tally, *, finish: bool) -> None:
        """Commit once there is enough, or the rest."""
        rows = sum(fetched.rows for fetched in self._staged)
        if self._staged and (finish or rows >= self._batch_rows or len(self._staged) >= _MOST_PIXELS):
            damaged = self._committer.commit(self._next_batch())
            self._waiting.extend(damaged)
            tally.total += len(damaged)

    def _commit_rest(self) -> None:
        while self._staged:
            self._committer.commit(self._next_batch())

    def _next_batch(self) -> list[FetchedPixel]:
        batch: list[FetchedPixel] = []
        rows = 0
        while self._staged and len(batch) < _MOST_PIXELS and (rows < self._batch_rows or not batch):
            batch.append(self._staged.popleft())
            rows += batch[-1].rows
        return batch


def _raise_if_hopeless(error: SkyPatchesError | OSError) -> None:
    """Raise what would fail every other pixel too."""
    if isinstance(error, QueryRejectedError | StoreError):
        raise error
    if isinstance(error, ArchiveUnreachableError):
        raise type(error)(f"{error}; {_AGAIN}", retryable=error.retryable) from error
    if isinstance(error, OSError):
        raise RefreshError(
            f"a file cannot be written ({error}); free space or check permissions; {_AGAIN}"
        ) from error
