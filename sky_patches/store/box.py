"""A box in longitude and latitude of any patch frame, as pixels to read and as a cut."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int64

from sky_patches.errors import StoreError
from sky_patches.frames import PatchFrame
from sky_patches.healpix import pixel_radius, ranges_29

__all__ = ["SkyBox"]

_MARGIN_DEG = 1e-9
# Pixels of the cover: more of them cost more than the rows they save.
_ENOUGH = 1500
_FINEST = 14


@dataclass(frozen=True)
class SkyBox:
    """The points of the sky whose coordinates lie in two closed intervals.

    Attributes:
        phi1: (first, last) longitude, degrees; from 350 to 10 it passes through 0, and a difference of 360
            or more is the full circle.
        phi2: (lowest, highest) latitude, degrees.
        frame: the frame of both; None for ra, dec.
    """

    phi1: tuple[float, float]
    phi2: tuple[float, float]
    frame: PatchFrame | None = None

    def __post_init__(self) -> None:
        """Refuse what is no box."""
        if not np.isfinite([*self.phi1, *self.phi2]).all() or not -90 <= self.phi2[0] <= self.phi2[1] <= 90:
            raise StoreError(
                "a box needs finite longitudes and -90 <= lowest <= highest <= 90 deg of latitude, found "
                f"phi1={self.phi1}, phi2={self.phi2}"
            )

    def contains(self, ra: Float[np.ndarray, " n"], dec: Float[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
        """Whether positions (degrees) lie inside, edges included."""
        lon, lat = (ra, dec) if self.frame is None else self.frame.project_positions(ra, dec)
        return self._inside(lon, lat, 0.0, np.zeros(lon.shape))

    def ranges_29(self) -> Int64[np.ndarray, "k 2"]:
        """Sorted half-open ranges of order-29 pixels that cover the box; somewhat larger than it."""
        order, pixels = 2, np.arange(12 << 4, dtype=np.int64)
        while True:
            pixels = pixels[self._touches(pixels, order)]
            if order == _FINEST or len(pixels) > _ENOUGH:
                return ranges_29(pixels, order)
            order, pixels = order + 1, (4 * pixels[:, np.newaxis] + np.arange(4)).ravel()

    def _touches(self, pixels: Int64[np.ndarray, " m"], order: int) -> Bool[np.ndarray, " m"]:
        """Which pixels can have a point in common with the box: those whose circle reaches its intervals."""
        import healpy as hp  # late: it loads matplotlib.pyplot

        if len(pixels) == 0:
            return np.zeros(0, dtype=bool)
        reach = pixel_radius(order) + _MARGIN_DEG
        ra, dec = hp.pix2ang(1 << order, pixels, nest=True, lonlat=True)
        lon, lat = (ra, dec) if self.frame is None else self.frame.project_positions(ra, dec)
        # Half the width in longitude of a circle around latitude lat; a circle over a pole has all of it.
        ratio = np.sin(np.radians(reach)) / np.maximum(np.cos(np.radians(lat)), 1e-12)
        wide = np.degrees(np.arcsin(np.minimum(ratio, 1.0)))
        return self._inside(lon, lat, reach, np.where(np.abs(lat) + reach < 90.0, wide, 360.0))

    def _inside(
        self,
        lon: Float[np.ndarray, " n"],
        lat: Float[np.ndarray, " n"],
        above: float,
        beside: Float[np.ndarray, " n"],
    ) -> Bool[np.ndarray, " n"]:
        """Whether points lie in the intervals, widened by `above` in latitude and `beside` in longitude."""
        first, last = self.phi1
        width = 360.0 if last - first >= 360.0 else (last - first) % 360.0
        between = (lat >= self.phi2[0] - above) & (lat <= self.phi2[1] + above)
        # Widened on both sides; what reaches round the circle is all of it.
        whole = width + 2.0 * beside >= 360.0
        return between & (whole | ((lon - first + beside) % 360.0 <= width + 2.0 * beside))
