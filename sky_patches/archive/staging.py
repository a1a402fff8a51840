"""Fetched pixels between the archive and the store: one Parquet file each, whole or not there.

Each file says itself which pixel and query it holds, and carries a checksum of its stars, so that a process
that died right after writing it has lost nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from astropy.table import Table

from sky_patches.archive.coverage import FetchedPixel
from sky_patches.archive.errors import ArchiveError
from sky_patches.archive.manifest import now
from sky_patches.archive.pixel import SkyPixel
from sky_patches.archive.query import ArchiveQuery
from sky_patches.errors import SkyPatchesError
from sky_patches.schema import StarTable
from sky_patches.store.arrow_table import from_arrow, to_arrow

__all__ = ["Staging", "StagingError", "stars_checksum"]

_KEY = b"sky_patches.refresh"


class StagingError(ArchiveError):
    """A staged file that is damaged: its pixel has to be fetched again."""


class Staging:
    """The directory of staged pixels."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def write(self, stars: StarTable, pixel: SkyPixel, query: ArchiveQuery) -> FetchedPixel:
        """Stage the stars of a pixel; when this returns they are on disk.

        Raises:
            SchemaError: a column that Parquet cannot hold.
            OSError: the file cannot be written, for example because the disk is full.
        """
        self._directory.mkdir(parents=True, exist_ok=True)
        content = to_arrow(stars)
        # Of the stars as they will be read: what hides behind a mask is not kept.
        checksum = stars_checksum(from_arrow(content))
        fetched = FetchedPixel(pixel, query.fingerprint, query.release.name, now(), len(stars), checksum)
        described = content.replace_schema_metadata({_KEY: json.dumps(fetched.to_dict())})
        target = self._path(fetched)
        draft = target.with_name(f".{target.name}.{os.getpid()}.{threading.get_ident()}")
        try:
            with draft.open("wb") as stream:
                pq.write_table(described, stream, compression="zstd", compression_level=1)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(draft, target)
        finally:
            draft.unlink(missing_ok=True)
        return fetched

    def staged(self) -> list[FetchedPixel]:
        """What is staged whole, along the sky."""
        found = [described for path in self._files() if (described := _described(path)) is not None]
        return sorted(found, key=lambda fetched: fetched.pixel.span)

    def sweep(self) -> None:
        """Remove drafts, and files that cannot be read; call it when no other process stages here."""
        for path in self._files():
            if _described(path) is None:
                path.unlink(missing_ok=True)

    def read(self, fetched: FetchedPixel) -> StarTable:
        """The stars of a staged pixel.

        Raises:
            StagingError: the file is damaged; it has been removed.
        """
        path = self._path(fetched)
        try:
            stars = from_arrow(pq.read_table(path).replace_schema_metadata(None))
            if stars_checksum(stars) != fetched.checksum:
                raise StagingError(f"{path} does not hold the stars that were fetched")
        except (OSError, pa.ArrowException, SkyPatchesError) as error:
            path.unlink(missing_ok=True)
            raise StagingError(f"the staged pixel {fetched.pixel} is damaged ({error})") from error
        return stars

    def remove(self, fetched: FetchedPixel) -> None:
        """Remove a staged pixel."""
        self._path(fetched).unlink(missing_ok=True)

    def _files(self) -> list[Path]:
        return (
            [path for path in self._directory.iterdir() if path.is_file()] if self._directory.is_dir() else []
        )

    def _path(self, fetched: FetchedPixel) -> Path:
        return self._directory / f"{fetched.pixel.order}-{fetched.pixel.pixel}.parquet"


def stars_checksum(stars: Table) -> str:
    """SHA-256 of names and values, equal for equal stars in any order of rows."""
    order = np.argsort(np.asarray(stars["source_id"]), kind="stable")
    digest = hashlib.sha256(str(len(stars)).encode())
    for name in sorted(stars.colnames):
        values = np.asarray(stars[name])[order]
        digest.update(f"\n{name}\n".encode())
        if values.dtype.kind in "OUS":
            digest.update("\n".join(map(str, values.tolist())).encode())
        else:
            digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()


def _described(path: Path) -> FetchedPixel | None:
    """The pixel that a file holds; None for a draft, or what else is no staged pixel."""
    if path.name.startswith("."):
        return None
    try:
        metadata = pq.read_schema(path).metadata or {}
        return FetchedPixel.from_dict(json.loads(metadata[_KEY]))
    except (OSError, pa.ArrowException, ValueError, KeyError, TypeError, SkyPatchesError):
        return None
