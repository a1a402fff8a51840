"""A HEALPix pixel as the unit of an archive query: a range of Gaia source identifiers."""

from __future__ import annotations

from dataclasses import dataclass

from sky_patches.errors import SkyPatchesError

__all__ = ["DEEPEST_ORDER", "SkyPixel"]

DEEPEST_ORDER = 12
"""Finest order that a Gaia `source_id` resolves: source_id // 2^35 is the level-12 NESTED pixel."""

_SOURCE_ID_SHIFT = 35


@dataclass(frozen=True, order=True)
class SkyPixel:
    """One HEALPix pixel, NESTED, of order 0 to 12.

    Raises:
        SkyPatchesError: an order outside 0 to 12, or a pixel that does not exist at that order.
    """

    order: int
    pixel: int

    def __post_init__(self) -> None:
        if not 0 <= self.order <= DEEPEST_ORDER:
            raise SkyPatchesError(f"archive pixels have orders 0 to {DEEPEST_ORDER}, found {self.order}")
        if not 0 <= self.pixel < 12 << (2 * self.order):
            last = (12 << (2 * self.order)) - 1
            raise SkyPatchesError(f"pixels of order {self.order} are 0 to {last}, found {self.pixel}")

    def __str__(self) -> str:
        return f"{self.order}/{self.pixel}"

    @classmethod
    def parse(cls, text: str) -> SkyPixel:
        """The pixel that `str` wrote, for example "5/1234".

        Raises:
            SkyPatchesError: no such text.
        """
        order, _, pixel = text.partition("/")
        if not (order.isdecimal() and pixel.isdecimal()):
            raise SkyPatchesError(f"a pixel is written ORDER/NUMBER, for example 5/1234; found {text!r}")
        return cls(int(order), int(pixel))

    @property
    def span(self) -> tuple[int, int]:
        """Half-open range of order-12 pixels."""
        shift = 2 * (DEEPEST_ORDER - self.order)
        return self.pixel << shift, (self.pixel + 1) << shift

    @property
    def source_ids(self) -> tuple[int, int]:
        """Half-open range of the `source_id` of its stars."""
        start, stop = self.span
        return start << _SOURCE_ID_SHIFT, stop << _SOURCE_ID_SHIFT

    @property
    def children(self) -> tuple[SkyPixel, ...]:
        """Its four pixels of the next order.

        Raises:
            SkyPatchesError: the pixel is of order 12, which `source_id` cannot divide.
        """
        return tuple(SkyPixel(self.order + 1, 4 * self.pixel + k) for k in range(4))
