"""Which partition each star belongs to: a tree of HEALPix pixels that is deeper where stars are dense."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from sky_patches.store.hats_layout import Partition

__all__ = ["MAX_PARTITION_ORDER", "Slot", "place", "split"]

MAX_PARTITION_ORDER = 12
"""A pixel of this order (0.86 arcmin) is not split, however many stars it holds."""


@dataclass(frozen=True)
class Slot:
    """Rows `start` to `stop` of the sorted new stars, and the pixel that they go to.

    Attributes:
        order, pixel: the pixel.
        start, stop: half-open range of rows.
        existing: the store's partition of this very pixel, or None if the pixel is new.
    """

    order: int
    pixel: int
    start: int
    stop: int
    existing: Partition | None


def place(partitions: Sequence[Partition], keys: Int64[np.ndarray, " n"]) -> Iterator[Slot]:
    """Slots for stars with sorted order-29 pixels `keys`, so that pixels of the store never overlap.

    A star goes to the store's partition that covers it, else to the coarsest pixel that covers none.
    """
    leaves = {(part.order, part.pixel): part for part in partitions}
    branches = {
        (order, pixel >> 2 * (leaf_order - order))
        for leaf_order, pixel in leaves
        for order in range(leaf_order)
    }

    def descend(order: int, pixel: int, start: int, stop: int) -> Iterator[Slot]:
        if start == stop:
            return
        if (order, pixel) not in branches:
            yield Slot(order, pixel, start, stop, leaves.get((order, pixel)))
            return
        for child, low, high in _children(order, pixel, keys, start, stop):
            yield from descend(order + 1, child, low, high)

    edges = np.searchsorted(keys, np.arange(13, dtype=np.int64) << 58)
    for pixel in range(12):
        yield from descend(0, pixel, int(edges[pixel]), int(edges[pixel + 1]))


def split(
    order: int, pixel: int, keys: Int64[np.ndarray, " n"], max_rows: int
) -> Iterator[tuple[int, int, int, int]]:
    """Pixels (order, pixel, start, stop) that share out the rows of one pixel; none is empty.

    Args:
        order, pixel: the pixel that holds all rows.
        keys: sorted order-29 pixels of the rows.
        max_rows: a pixel with more rows is divided into its four children, down to `MAX_PARTITION_ORDER`.
    """

    def divide(order: int, pixel: int, start: int, stop: int) -> Iterator[tuple[int, int, int, int]]:
        if start == stop:
            return
        if stop - start <= max_rows or order >= MAX_PARTITION_ORDER:
            yield order, pixel, start, stop
            return
        for child, low, high in _children(order, pixel, keys, start, stop):
            yield from divide(order + 1, child, low, high)

    yield from divide(order, pixel, 0, len(keys))


def _children(
    order: int, pixel: int, keys: Int64[np.ndarray, " n"], start: int, stop: int
) -> list[tuple[int, int, int]]:
    shift = 2 * (28 - order)
    bounds = (4 * pixel + np.arange(5, dtype=np.int64)) << shift
    edges = (start + np.searchsorted(keys[start:stop], bounds)).tolist()
    return [(4 * pixel + child, edges[child], edges[child + 1]) for child in range(4)]
