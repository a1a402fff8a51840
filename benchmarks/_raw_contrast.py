"""The raw contrast of a line: stars in a strip against the neighbouring strips of the same shape.

It is what the papers of the Via Machinae chain rank lines by (2104.12789, section 4): a number of standard
deviations, but of no distribution that is known, so that a footprint's edges can raise it as a stream can.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from sky_patches import Footprint
from streams import FootprintCells, Region

__all__ = ["RawLine", "RawLines"]

_ANGLES = np.radians(np.arange(0.0, 180.0, 2.0))
_OFFSET_STEP = 0.125
_NEIGHBOURS = 2
_MIN_SHARE = 0.25


@dataclass(frozen=True, eq=False)
class RawLine:
    """The line of highest raw contrast in a region.

    Args:
        contrast: (n - e) / sqrt(e), with e expected from the neighbouring strips, at least one star.
        rows: row numbers of the stars in its strip.
    """

    contrast: float
    rows: Int[np.ndarray, " n"]


@dataclass(frozen=True, eq=False)
class RawLines:
    """The search for lines by raw contrast in one footprint.

    Args:
        cells: the footprint.
        width: full width of the strips, deg.
        rank: stars of a region that are looked at, highest score first.
    """

    cells: FootprintCells
    width: float
    rank: int = 100

    @classmethod
    def of(cls, footprint: Footprint, width: float) -> RawLines:
        """Lines of one width in a footprint."""
        return cls(FootprintCells.of(footprint, 0.1), width)

    def best(self, regions: list[Region], position: Float[np.ndarray, "n 2"]) -> list[RawLine]:
        """The line of highest contrast in each region.

        Args:
            regions: regions of interest.
            position: (phi1, phi2) of every star of the patch, deg.
        """
        x, y = self.cells.plane.project(*position.T)
        reach = int(np.ceil(np.hypot(self.cells.x, self.cells.y).max() / _OFFSET_STEP)) + 1
        area = self._strips(self._counts(self.cells.x, self.cells.y, reach, self.cells.area))
        around = self._around(area)
        usable = (area >= _MIN_SHARE * area.max(axis=1, keepdims=True)) & (around > 0)
        share = np.where(usable, area / np.where(usable, around, 1.0), 0.0)
        found = []
        for region in regions:
            rows = region.stars[: self.rank]
            counts = self._strips(self._counts(x[rows], y[rows], reach, np.ones(len(rows))))
            expected = np.maximum(share * self._around(counts), 1.0)
            contrast = np.where(usable, (counts - expected) / np.sqrt(expected), -np.inf)
            angle, strip = np.unravel_index(np.argmax(contrast), contrast.shape)
            offset = x[rows] * np.sin(_ANGLES[angle]) - y[rows] * np.cos(_ANGLES[angle])
            place = np.floor(offset / _OFFSET_STEP) + reach - strip
            inside = (place >= 0) & (place < self._bins)
            found.append(RawLine(float(contrast[angle, strip]), rows[inside]))
        return found

    @property
    def _bins(self) -> int:
        return max(round(self.width / _OFFSET_STEP), 1)

    def _counts(self, x: np.ndarray, y: np.ndarray, reach: int, weight: np.ndarray) -> np.ndarray:
        """Weight in each offset bin, (angles, 2 reach)."""
        offset = np.outer(np.sin(_ANGLES), x) - np.outer(np.cos(_ANGLES), y)
        bins = np.clip(np.floor(offset / _OFFSET_STEP).astype(int) + reach, 0, 2 * reach - 1)
        flat = bins + 2 * reach * np.arange(len(_ANGLES))[:, None]
        total = np.bincount(flat.ravel(), np.tile(weight, len(_ANGLES)), minlength=2 * reach * len(_ANGLES))
        return total.reshape(len(_ANGLES), -1)

    def _strips(self, counts: np.ndarray) -> np.ndarray:
        """Sums over the strip that begins at each bin."""
        padded = np.pad(np.cumsum(counts, axis=1), ((0, 0), (1, self._bins - 1)), mode="constant")
        padded[:, counts.shape[1] + 1 :] = padded[:, [counts.shape[1]]]
        return padded[:, self._bins :] - padded[:, : -self._bins]

    def _around(self, strips: np.ndarray) -> np.ndarray:
        """Sum of the nearest strips of the same shape on both sides."""
        total = np.zeros_like(strips)
        for step in range(1, _NEIGHBOURS + 1):
            shift = step * self._bins
            total[:, shift:] += strips[:, :-shift]
            total[:, :-shift] += strips[:, shift:]
        return total
