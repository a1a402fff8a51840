"""Source identifiers that encode the position as Gaia's do."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from sky_patches.healpix import radec_to_pixel

__all__ = ["source_ids"]

_PIXEL_ORDER = 12
_PIXEL_SHIFT = 35
_RUNNING_SHIFT = 7
_RUNNING_NUMBERS = 2**25


def source_ids(
    ra: Float[np.ndarray, " n"],
    dec: Float[np.ndarray, " n"],
    rng: np.random.Generator,
    *,
    taken: Int[np.ndarray, " m"] | None = None,
) -> Int[np.ndarray, " n"]:
    """Unique identifiers: HEALPix level-12 NESTED pixel times 2^35 plus a random running number times 2^7.

    The running number is random, so that neither its size nor the order of the identifiers in a pixel says
    which population a star came from.

    Args:
        ra: right ascensions in degrees, shape (n,).
        dec: declinations in degrees, shape (n,).
        rng: source of randomness.
        taken: identifiers that are already in use; they are avoided.

    Returns:
        int64 identifiers, shape (n,).
    """
    pixel = radec_to_pixel(ra, dec, _PIXEL_ORDER)
    used = np.zeros(0, dtype=np.int64) if taken is None else taken
    ids = np.zeros(len(ra), dtype=np.int64)
    redraw = np.ones(len(ra), dtype=bool)
    while redraw.any():
        running = rng.integers(0, _RUNNING_NUMBERS, size=int(redraw.sum()), dtype=np.int64)
        ids[redraw] = (pixel[redraw] << _PIXEL_SHIFT) + (running << _RUNNING_SHIFT)
        first = np.zeros(len(ids), dtype=bool)
        first[np.unique(ids, return_index=True)[1]] = True
        redraw = ~first | np.isin(ids, used)
    return ids
