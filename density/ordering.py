"""A canonical order of rows, so that results depend on the set of rows and not on their sequence."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

__all__ = ["canonical_order", "content_hash"]


def canonical_order(*columns: Float[np.ndarray, "n ..."]) -> Int[np.ndarray, " n"]:
    """Indices that sort rows by all their values, first column first; equal rows are interchangeable.

    Args:
        columns: Arrays of shape (n,) or (n, k) that together make up the rows.
    """
    keys = [part[:, None] if part.ndim == 1 else part for part in columns]
    return np.lexsort(np.concatenate(keys, axis=1).T[::-1])


def content_hash(*columns: Float[np.ndarray, "n ..."], seed: int = 0) -> Int[np.ndarray, " n"]:
    """A pseudo-random 64-bit number for each row, from its values alone (splitmix64 over the bit patterns).

    Args:
        columns: Arrays of shape (n,) or (n, k), float64.
        seed: Another seed gives unrelated numbers.
    """
    parts = [part[:, None] if part.ndim == 1 else part for part in columns]
    rows = np.concatenate(parts, axis=1).astype(np.float64) + 0.0  # + 0.0 turns -0.0 into 0.0
    state = np.full(len(rows), np.uint64(seed % 2**64) ^ np.uint64(0x9E3779B97F4A7C15), dtype=np.uint64)
    for bits in np.ascontiguousarray(rows.T).view(np.uint64):
        state = _mix(state ^ bits)
    return state.view(np.int64)


def _mix(z: np.ndarray) -> np.ndarray:
    z = z + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
