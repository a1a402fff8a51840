"""The largest disc significance in skies without structure."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int

from sky_patches.frames import unit_vectors
from streams.compact.discs import DiscSearch
from streams.regions import Region
from streams.significance import NullMaxima, NullPositions

__all__ = ["compact_null_maxima"]

_TOGETHER = 10
"""Null skies that are drawn side by side, region by region: a region's needs are worked out once for them."""


def compact_null_maxima(
    search: DiscSearch,
    regions: list[Region],
    densities: Float[np.ndarray, "regions cells"],
    order: Int[np.ndarray, " n"],
    *,
    skies: int,
    seed: int,
    progress: Callable[[], None] | None = None,
) -> NullMaxima:
    """Search the same regions after every star is moved to a position without structure.

    The same null as for lines (`streams.null_maxima`): each star is drawn anew from its region's smooth
    density and keeps its place through all regions as far as their densities agree. Within a cell a star lies
    anywhere, because the smallest discs are smaller than a cell.

    Args:
        search, regions, densities: as in the real search.
        order: number of each star of the patch by which it takes its random deviates, such as its place in
            the order of source_id: the order of the rows then changes nothing.
        skies: number of null skies.
        progress: called after each sky.
    """
    tops = [region.stars[: max(search.ranks)] for region in regions]
    used = np.unique(np.concatenate(tops)) if tops else np.empty(0, dtype=np.int64)
    places = [np.searchsorted(used, top) for top in tops]
    positions = NullPositions.of(densities)
    maxima = np.zeros(skies)
    children = np.random.SeedSequence(seed).spawn(skies)
    for first in range(0, skies, _TOGETHER):
        block = children[first : first + _TOGETHER]
        # Deviates are drawn for all stars, so that they do not depend on which of them a region holds.
        uniform = np.stack(
            [np.random.default_rng(child).random((5, len(order)))[:, order[used]] for child in block]
        )
        common = positions.common(uniform[:, 0])
        highest = maxima[first : first + len(block)]
        for number, top in enumerate(places):
            drawn = positions.draw(number, common[:, top], uniform[:, 1, top], uniform[:, 2, top])
            shift = uniform[:, 3:, top].swapaxes(0, 1).reshape(2, -1)
            at = unit_vectors(*search.scattered(drawn.ravel(), shift).T).reshape(*drawn.shape, 3)
            np.maximum(highest, search.maxima(at, drawn, densities[number]), out=highest)
        if progress is not None:
            for _ in block:
                progress()
    return NullMaxima(maxima)
