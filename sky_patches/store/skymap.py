"""The number of stars per pixel of the sky that a store keeps beside its partitions, as HATS asks for."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int64

from sky_patches.store.arrow_table import plain_values
from sky_patches.store.commit import Snapshot
from sky_patches.store.hats_layout import HEALPIX_COLUMN, SKYMAP_PIXELS, read_skymap, skymap_counts
from sky_patches.store.read import DamagedPartitionError, row_groups

__all__ = ["counted_skymap", "stored_skymap"]


def stored_skymap(state: Snapshot) -> Int64[np.ndarray, " p"]:
    """The counts of the present state; read from the file, or counted where that is absent or wrong."""
    path = next((path for path in state.candidates("skymap.fits") if path.is_file()), None)
    counts = None if path is None else read_skymap(path)
    if counts is not None and int(counts.sum()) == state.manifest.rows:
        return counts
    return counted_skymap(state)


def counted_skymap(state: Snapshot) -> Int64[np.ndarray, " p"]:
    """The counts, from the positions of all stars; a damaged partition counts nothing."""
    counts = np.zeros(SKYMAP_PIXELS, dtype=np.int64)
    for part in state.manifest.partitions:
        try:
            for rows in row_groups(state, part, [HEALPIX_COLUMN]):
                counts += skymap_counts(plain_values(rows[HEALPIX_COLUMN]))
        except DamagedPartitionError:
            continue
    return counts
