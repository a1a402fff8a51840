"""One pixel from the archive to the staging directory: counted, split or fetched, checked."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from astropy.table import Table

from sky_patches.archive.coverage import FetchedPixel
from sky_patches.archive.errors import RowCountError, TruncatedReplyError
from sky_patches.archive.manifest import PixelRecord, RefreshManifest, now
from sky_patches.archive.pixel import DEEPEST_ORDER, SkyPixel
from sky_patches.archive.query import ArchiveQuery
from sky_patches.archive.refresh_errors import PixelTooFullError, RefreshError
from sky_patches.archive.staging import Staging
from sky_patches.errors import SkyPatchesError
from sky_patches.loader import read_stars
from sky_patches.schema import SCHEMA, StarTable, star_table
from sky_patches.store import CatalogStore

__all__ = ["Archive", "Failed", "Fetched", "PixelFetcher", "Split", "empty_stars", "record_of"]


@runtime_checkable
class Archive(Protocol):
    """What a refresh asks of an archive; `TapClient` is one. All of it may be called from several threads."""

    def check(self) -> None:
        """Raise `ArchiveUnreachableError` if the service is not there."""

    def row_limit(self) -> int | None:
        """The largest number of rows that the service gives at once; None where it does not say."""

    def count(self, adql: str) -> int:
        """The number that a SELECT COUNT(*) query gives."""

    def fetch(
        self,
        adql: str,
        *,
        expected: int,
        job_id: str | None = None,
        on_job: Callable[[str], None] | None = None,
    ) -> Table:
        """All `expected` rows of a query, or an error."""

    def stop(self) -> None:
        """End what other threads are waiting for."""


@dataclass(frozen=True)
class Fetched:
    """A pixel that was fetched whole and staged, and the number of rows that no store accepts."""

    fetched: FetchedPixel
    rejected: int


@dataclass(frozen=True)
class Split:
    """A pixel with too many stars: its children are to be fetched instead."""

    pixel: SkyPixel


@dataclass(frozen=True)
class Failed:
    """A pixel that could not be fetched, and why."""

    pixel: SkyPixel
    error: SkyPatchesError | OSError


class PixelFetcher:
    """Fetches pixels of one query into the staging directory of one store; threads may share it.

    Args:
        archive: the service.
        query: what is asked.
        limit: most rows of one query; a pixel with more is split.
        store: where rejected rows are kept.
        staging, manifest, log: of the refresh.
    """

    def __init__(
        self,
        archive: Archive,
        query: ArchiveQuery,
        limit: int,
        store: CatalogStore,
        staging: Staging,
        manifest: RefreshManifest,
        log: Callable[[str], None],
    ) -> None:
        self._archive, self._query, self._limit = archive, query, limit
        self._store, self._staging, self._manifest, self._log = store, staging, manifest, log
        self._rejecting = threading.Lock()

    def __call__(self, pixel: SkyPixel) -> Fetched | Split | Failed:
        """What became of `pixel`; every expected error is part of the answer."""
        try:
            return self._fetch(pixel)
        except (SkyPatchesError, OSError) as error:
            return Failed(pixel, error)

    def _fetch(self, pixel: SkyPixel) -> Fetched | Split:
        left = self._manifest.get(pixel, self._query.fingerprint)
        job_id = left.job_id or None if left is not None and left.state in ("running", "failed") else None
        if left is not None and job_id is not None:
            self._log(f"pixel {pixel}: taking up job {job_id}")
            expected = left.rows
        else:
            expected = self._archive.count(self._query.count(pixel))
        if expected > self._limit:
            return self._split(pixel, f"{expected} stars, at most {self._limit} in one query")
        try:
            raw = self._rows(pixel, expected, job_id)
        except TruncatedReplyError as error:
            return self._split(pixel, str(error))
        stars, rejected = self._checked(pixel, raw)
        fetched = self._staging.write(stars, pixel, self._query)
        self._manifest.note(record_of(fetched, "staged"))
        return Fetched(fetched, rejected)

    def _rows(self, pixel: SkyPixel, expected: int, job_id: str | None) -> Table | None:
        try:
            return self._ask(pixel, expected, job_id)
        except RowCountError as error:
            # The table may have changed since it was counted, above all before an interruption.
            again = self._archive.count(self._query.count(pixel))
            if again == expected and job_id is None:
                raise
            self._log(f"pixel {pixel}: {error}; counted again: {again}, asking anew")
            return self._ask(pixel, again, None)

    def _ask(self, pixel: SkyPixel, expected: int, job_id: str | None) -> Table | None:
        if expected == 0:
            return None
        table = self._archive.fetch(
            self._query.select(pixel),
            expected=expected,
            job_id=job_id,
            on_job=lambda new: self._note(pixel, "running", rows=expected, job_id=new),
        )
        if len(table) != expected:
            raise RowCountError(
                f"pixel {pixel}: {expected} stars were counted, {len(table)} came",
                expected=expected,
                found=len(table),
            )
        return table

    def _checked(self, pixel: SkyPixel, raw: Table | None) -> tuple[StarTable, int]:
        if raw is None:
            return empty_stars(self._query), 0
        _as_asked(raw, self._query.columns)
        loaded = read_stars(raw, keep=self._query.further_columns)
        if len(loaded.rejected):
            with self._rejecting:
                self._store.keep_rejected(loaded.rejected, f"refresh-{pixel.order}-{pixel.pixel}")
            self._log(f"pixel {pixel}: {loaded.report.rejected} rows are no stars, kept in rejected/")
        ids = np.asarray(loaded.stars["source_id"])
        low, stop = pixel.source_ids
        strange = ids[(ids < low) | (ids >= stop)]
        if strange.size:
            raise RefreshError(
                f"pixel {pixel}: the service sent source_id {strange[0]}, which was not asked for "
                f"({low} to {stop - 1}); is its table one of Gaia's?"
            )
        return loaded.stars, len(loaded.rejected)

    def _split(self, pixel: SkyPixel, reason: str) -> Split:
        if pixel.order == DEEPEST_ORDER:
            raise PixelTooFullError(
                f"pixel {pixel} cannot be split further ({reason}); cut more strictly, or use a service "
                "with a higher limit (a login may raise it)"
            )
        self._log(f"pixel {pixel}: split into its four children: {reason}")
        self._note(pixel, "split", reason=reason)
        return Split(pixel)

    def _note(self, pixel: SkyPixel, state: str, **values: object) -> None:
        self._manifest.note(PixelRecord(pixel, state, self._query.fingerprint, now(), **values))


def _as_asked(raw: Table, names: Sequence[str]) -> None:
    """Give columns the names that they were asked by: some services answer in capitals."""
    for name in names:
        found = [label for label in raw.colnames if label.lower() == name.lower()]
        if found and name not in found:
            raw.rename_column(found[0], name)


def record_of(fetched: FetchedPixel, state: str) -> PixelRecord:
    """The record of a pixel that is staged or committed."""
    return PixelRecord(
        fetched.pixel, state, fetched.fingerprint, fetched.time, fetched.rows, fetched.checksum
    )


def empty_stars(query: ArchiveQuery) -> StarTable:
    """A star table without rows, with the schema's columns of a query."""
    return star_table({name: np.zeros(0, SCHEMA[name].dtype) for name in query.columns if name in SCHEMA})
