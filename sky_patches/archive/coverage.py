"""Which part of the sky a store holds, and from which query: derived from the store's own records.

What a commit wrote into the store's provenance is the truth. Every later record wins over earlier ones.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sky_patches.archive.pixel import DEEPEST_ORDER, SkyPixel

__all__ = ["Coverage", "FetchedPixel", "RECORD", "coverage_of", "fetched_in", "missing_pixels", "outermost"]

_PARTITION = re.compile(r"Norder=(\d+)/.*Npix=(\d+)\.parquet$")

RECORD = "refresh"
"""Key of a refresh in a provenance record of the store."""


@dataclass(frozen=True)
class FetchedPixel:
    """One pixel as it was fetched.

    Attributes:
        pixel: the pixel.
        fingerprint: of the query.
        release: name of the release.
        time: when it was fetched, ISO 8601, UTC.
        rows: number of stars.
        checksum: SHA-256 of the stars, independent of their order.
    """

    pixel: SkyPixel
    fingerprint: str
    release: str
    time: str
    rows: int
    checksum: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**asdict(self), "pixel": str(self.pixel)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> FetchedPixel:
        """What `to_dict` made."""
        return cls(**{**values, "pixel": SkyPixel.parse(values["pixel"])})


class Coverage:
    """A function on the order-12 pixels: from which fetched pixel their stars come, if any."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._pieces: list[tuple[int, int, FetchedPixel]] = []

    @property
    def fetched(self) -> list[FetchedPixel]:
        """The pixels of which at least a part counts, along the HEALPix curve."""
        return list(dict.fromkeys(piece[2] for piece in self._pieces))

    def put(self, pixel: SkyPixel, value: FetchedPixel | None) -> None:
        """Let `value` count inside `pixel`, whatever counted there before; None clears it."""
        start, stop = pixel.span
        first, last = self._overlap(start, stop)
        new: list[tuple[int, int, FetchedPixel]] = [] if value is None else [(start, stop, value)]
        for low, high, old in self._pieces[first:last]:
            if low < start:
                new.append((low, start, old))
            if high > stop:
                new.append((stop, high, old))
        new.sort(key=lambda piece: piece[0])
        self._pieces[first:last] = new
        self._starts[first:last] = [piece[0] for piece in new]

    def inside(self, pixel: SkyPixel) -> list[FetchedPixel]:
        """What counts somewhere in `pixel`."""
        return [piece[2] for piece in self._pieces[slice(*self._overlap(*pixel.span))]]

    def share(self, pixel: SkyPixel, counts: Callable[[FetchedPixel], bool]) -> float:
        """Part of `pixel`, 0 to 1, that is covered by what `counts`."""
        start, stop = pixel.span
        pieces = self._pieces[slice(*self._overlap(start, stop))]
        covered = sum(min(high, stop) - max(low, start) for low, high, value in pieces if counts(value))
        return covered / (stop - start)

    def _overlap(self, start: int, stop: int) -> tuple[int, int]:
        first = max(bisect_right(self._starts, start) - 1, 0)
        if first < len(self._pieces) and self._pieces[first][1] <= start:
            first += 1
        return first, max(bisect_left(self._starts, stop), first)


def coverage_of(
    provenance: Sequence[Mapping[str, Any]], damaged: Iterable[tuple[SkyPixel, int]] = ()
) -> Coverage:
    """The coverage that a store's records tell.

    Args:
        provenance: records of the store, oldest first; those that are no refresh are passed over.
        damaged: pixels that were found damaged, each with the number of records that there were then.
    """
    found = Coverage()
    clear: dict[int, list[SkyPixel]] = {}
    for pixel, after in damaged:
        clear.setdefault(min(after, len(provenance)), []).append(pixel)
    for index in range(len(provenance) + 1):
        for pixel in clear.get(index, []):
            found.put(pixel, None)
        if index < len(provenance):
            for pixel in _taken_out(provenance[index]):
                found.put(pixel, None)
            for fetched in fetched_in(provenance[index]):
                found.put(fetched.pixel, fetched)
    return found


def fetched_in(record: Mapping[str, Any]) -> list[FetchedPixel]:
    """The pixels that one record of a store's provenance tells of."""
    return [FetchedPixel.from_dict(values) for values in record.get(RECORD, {}).get("pixels", [])]


def _taken_out(record: Mapping[str, Any]) -> list[SkyPixel]:
    """The pixels of the partitions that a repair of the store removed."""
    found = [_PARTITION.search(path) for path in record.get("taken_out", [])]
    return [SkyPixel(int(match[1]), int(match[2])) for match in found if match]


def missing_pixels(
    wanted: Iterable[SkyPixel], coverage: Coverage, counts: Callable[[FetchedPixel], bool]
) -> list[SkyPixel]:
    """The fewest pixels that cover what is wanted and not covered by what `counts`."""
    missing: list[SkyPixel] = []
    waiting = sorted(wanted, reverse=True)
    while waiting:
        pixel = waiting.pop()
        share = coverage.share(pixel, counts)
        if share == 0.0 or (share < 1.0 and pixel.order == DEEPEST_ORDER):
            missing.append(pixel)
        elif share < 1.0:
            waiting.extend(reversed(pixel.children))
    return missing


def outermost(pixels: Iterable[SkyPixel]) -> list[SkyPixel]:
    """The pixels without those that lie inside another one, along the HEALPix curve."""
    kept: list[SkyPixel] = []
    for pixel in sorted(set(pixels), key=lambda pixel: (pixel.span[0], pixel.order)):
        if not kept or pixel.span[0] >= kept[-1].span[1]:
            kept.append(pixel)
    return kept
