"""Sets of integers as sorted, disjoint, half-open intervals: of HEALPix pixels, or of identifiers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Int64

from sky_patches.errors import StoreError

__all__ = ["in_intervals", "intervals_of", "overlaps", "sorted_in_intervals"]


def intervals_of(ranges: Sequence[tuple[int, int]]) -> Int64[np.ndarray, "k 2"]:
    """Half-open ranges of `source_id`, sorted, with those that touch or overlap joined.

    Raises:
        StoreError: a range that is empty, reversed, or not of 64-bit integers.
    """
    bounds = []
    for entry in ranges:
        start, stop = (int(edge) for edge in entry)
        if not 0 <= start < stop <= 2**63 - 1:
            raise StoreError(
                f"a range of source_id is half-open, 0 <= start < stop < 2^63, found [{start}, {stop})"
            )
        bounds.append((start, stop))
    joined: list[tuple[int, int]] = []
    for start, stop in sorted(bounds):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(stop, joined[-1][1]))
        else:
            joined.append((start, stop))
    return np.array(joined, dtype=np.int64).reshape(-1, 2)


def in_intervals(
    values: Int64[np.ndarray, " n"], intervals: Int64[np.ndarray, "k 2"]
) -> Bool[np.ndarray, " n"]:
    """Which values lie inside one of the intervals; values in any order."""
    if len(intervals) == 0:
        return np.zeros(values.shape, dtype=bool)
    index = np.searchsorted(intervals[:, 0], values, side="right") - 1
    return (index >= 0) & (values < intervals[index, 1])


def sorted_in_intervals(
    values: Int64[np.ndarray, " n"], intervals: Int64[np.ndarray, "k 2"]
) -> Bool[np.ndarray, " n"]:
    """As `in_intervals`, for sorted values: a bisection for each interval instead of each value."""
    low, high = np.searchsorted(values, intervals[:, 0]), np.searchsorted(values, intervals[:, 1])
    filled = low < high
    steps = np.zeros(len(values) + 1, dtype=np.int8)
    # Disjoint intervals: no start is repeated, no stop is.
    steps[low[filled]] += 1
    steps[high[filled]] -= 1
    return np.cumsum(steps[:-1], dtype=np.int8).astype(bool)


def overlaps(start: int, stop: int, intervals: Int64[np.ndarray, "k 2"]) -> bool:
    """Whether [start, stop) shares a number with one of the intervals."""
    first = int(np.searchsorted(intervals[:, 1], start, side="right"))
    return first < len(intervals) and int(intervals[first, 0]) < stop
