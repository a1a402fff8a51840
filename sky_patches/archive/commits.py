"""Staged pixels into the store, many in one step, so that each is there once whatever happens.

The record that the store keeps of a commit names its pixels, and is written in the same step as the stars.
A staged file that such a record names has been committed: only its removal was interrupted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from astropy.table import Table, vstack

from sky_patches.archive.coverage import RECORD, FetchedPixel, fetched_in
from sky_patches.archive.fetching import empty_stars, record_of
from sky_patches.archive.manifest import RefreshManifest
from sky_patches.archive.pixel import SkyPixel
from sky_patches.archive.query import ArchiveQuery
from sky_patches.archive.staging import Staging, StagingError
from sky_patches.schema import StarTable
from sky_patches.store import CatalogStore

__all__ = ["Committer"]


class Committer:
    """Puts staged pixels of one query into one store.

    Args:
        origin: what the store's records name as the origin of the stars.
    """

    def __init__(
        self,
        store: CatalogStore,
        query: ArchiveQuery,
        staging: Staging,
        manifest: RefreshManifest,
        log: Callable[[str], None],
        origin: str,
    ) -> None:
        self._store, self._query, self._origin = store, query, origin
        self._staging, self._manifest, self._log = staging, manifest, log

    def clear(self) -> None:
        """Remove staged files that are in the store already, or are of another query."""
        told = {fetched for record in self._store.provenance for fetched in fetched_in(record)}
        for fetched in self._staging.staged():
            if fetched in told:
                self._manifest.note(record_of(fetched, "committed"))
            elif fetched.fingerprint != self._query.fingerprint:
                self._log(f"pixel {fetched.pixel}: staged with another query, dropped")
            else:
                continue
            self._staging.remove(fetched)

    def commit(self, staged: Sequence[FetchedPixel]) -> list[SkyPixel]:
        """Put staged pixels into the store in one step.

        Returns:
            The pixels whose staged file is damaged; they are not in the store and have to be fetched again.

        Raises:
            StoreError: the store cannot be written, for example because the disk is full. What is staged
                stays staged.
        """
        tables, good, damaged = [], [], []
        for fetched in staged:
            try:
                tables.append(self._staging.read(fetched))
                good.append(fetched)
            except StagingError as error:
                self._log(f"{error}; fetching it again")
                damaged.append(fetched.pixel)
        if good:
            self._put(_joined([empty_stars(self._query), *tables]), good)
        return damaged

    def _put(self, stars: StarTable, pixels: Sequence[FetchedPixel]) -> None:
        told = {
            "release": self._query.release.name,
            "fingerprint": self._query.fingerprint,
            "adql": self._query.template,
            "pixels": [fetched.to_dict() for fetched in pixels],
        }
        self._store.replace(
            stars,
            source_id_ranges=[fetched.pixel.source_ids for fetched in pixels],
            provenance={"origin": self._origin, RECORD: told},
        )
        self._manifest.note(*(record_of(fetched, "committed") for fetched in pixels))
        for fetched in pixels:
            self._staging.remove(fetched)
        self._log(f"{len(pixels)} pixels with {len(stars)} stars are in the store")


def _joined(tables: Sequence[Table]) -> StarTable:
    with_rows = [table for table in tables if len(table)]
    if not with_rows:
        return tables[0]
    return vstack(with_rows, metadata_conflicts="silent")
