"""Random streams that depend on what they are for, never on the order or the number of workers."""

from __future__ import annotations

from zlib import crc32

import numpy as np

__all__ = ["child_seed"]


def child_seed(seed: int, *purpose: int | str) -> int:
    """A seed for one purpose, statistically independent of those for all others.

    Args:
        seed: Root seed, not negative.
        purpose: Words and non-negative numbers that name the stream, as ("fold", 3).

    Returns:
        Integer in [0, 2^63).
    """
    keys = [crc32(key.encode()) if isinstance(key, str) else int(key) for key in purpose]
    return int(np.random.SeedSequence(seed, spawn_key=tuple(keys)).generate_state(1, np.uint64)[0] >> 1)
