"""Parts of the sky as HEALPix pixels: all of it, what lies off the Galactic plane, circles, given pixels."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from jaxtyping import Bool, Float, Int64

from sky_patches.errors import MockError
from sky_patches.healpix import MAX_ORDER, cone_pixels, pixel_radius, radec_to_pixel
from sky_patches.mock.cone import Cone

__all__ = ["SkyRegion", "middles", "pixel_area", "random_positions"]

_MOST_ORDER = 8
_SAMPLED_DEEPER = 3


def pixel_area(order: int) -> float:
    """Solid angle of a HEALPix pixel in steradians."""
    return 4.0 * math.pi / (12 << (2 * order))


@dataclass(frozen=True, slots=True)
class SkyRegion:
    """Where a large mock sky has stars. Make one with `whole`, `circle` or `of_pixels`.

    Attributes:
        order: HEALPix order of the pixels, NESTED; each is generated on its own.
        pixels: increasing; those that the region touches.
        b_min_deg: only Galactic latitudes with |b| above it.
        cone: only positions within this circle; None for no such limit.

    Raises:
        MockError: no pixel, a pixel that does not exist at that order, or a latitude out of range.
    """

    order: int
    pixels: tuple[int, ...]
    b_min_deg: float = 0.0
    cone: Cone | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.order <= _MOST_ORDER:
            raise MockError(
                f"the HEALPix order of a mock sky must lie in 0 to {_MOST_ORDER}, got {self.order}"
            )
        if not 0.0 <= self.b_min_deg < 90.0:
            raise MockError(f"b_min_deg must lie in [0, 90), got {self.b_min_deg}")
        if not self.pixels:
            raise MockError(f"the region of a mock sky has no pixel: b_min_deg={self.b_min_deg}, {self.cone}")
        if self.pixels[0] < 0 or self.pixels[-1] >= 12 << (2 * self.order):
            raise MockError(
                f"pixels of order {self.order} are 0 to {(12 << (2 * self.order)) - 1}, got "
                f"{self.pixels[0]} to {self.pixels[-1]}"
            )
        if any(low >= high for low, high in zip(self.pixels, self.pixels[1:], strict=False)):
            raise MockError("the pixels of a region must increase; use SkyRegion.of_pixels")

    @classmethod
    def whole(cls, order: int, *, b_min_deg: float = 0.0) -> SkyRegion:
        """The whole sky, or its part off the Galactic plane."""
        return cls._touched(order, np.arange(12 << (2 * order), dtype=np.int64), b_min_deg, None)

    @classmethod
    def circle(cls, cone: Cone, order: int, *, b_min_deg: float = 0.0) -> SkyRegion:
        """A circle on the sky."""
        pixels = cone_pixels(cone.ra_deg, cone.dec_deg, cone.radius_deg, order)
        return cls._touched(order, pixels, b_min_deg, cone)

    @classmethod
    def of_pixels(cls, pixels: Iterable[int], order: int, *, b_min_deg: float = 0.0) -> SkyRegion:
        """Some HEALPix pixels (NESTED), in any order."""
        return cls(order, tuple(sorted({int(pixel) for pixel in pixels})), b_min_deg)

    @classmethod
    def _touched(
        cls, order: int, pixels: Int64[np.ndarray, " p"], b_min_deg: float, cone: Cone | None
    ) -> SkyRegion:
        ra, dec = middles(pixels, order)
        near = np.abs(_latitude(ra, dec)) > b_min_deg - pixel_radius(order)
        return cls(order, tuple(pixels[near].tolist()), b_min_deg, cone)

    def contains(self, ra: Float[np.ndarray, " n"], dec: Float[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
        """Which of the positions (degrees, shape (n,)) lie within the region."""
        inside = np.isin(radec_to_pixel(ra, dec, self.order), self.pixels)
        if self.b_min_deg > 0.0:
            inside &= np.abs(_latitude(ra, dec)) > self.b_min_deg
        return inside if self.cone is None else inside & self.cone.contains(ra, dec)

    def cells(
        self, pixels: Int64[np.ndarray, " p"], order: int
    ) -> tuple[Int64[np.ndarray, " c"], Float[np.ndarray, " c"]]:
        """Cells of a finer order in some of the region's pixels that it touches, and the share of each in it.

        Shares are exact for cells away from the edges; elsewhere they are counted on 64 positions.
        """
        deeper = order - self.order
        cells = (pixels[:, None] << (2 * deeper)) + np.arange(1 << (2 * deeper))
        cells = cells.ravel()
        share = np.ones(len(cells))
        edge = self._near_edge(cells, order)
        inner = (cells[edge][:, None] << (2 * _SAMPLED_DEEPER)) + np.arange(1 << (2 * _SAMPLED_DEEPER))
        inside = self.contains(*middles(inner.ravel(), order + _SAMPLED_DEEPER))
        share[edge] = inside.reshape(inner.shape).mean(axis=1)
        # A cell without a position in the region may still touch it, so those near an edge all stay.
        touched = (share > 0.0) | (edge & self._reached(cells, order))
        return cells[touched], share[touched]

    def _near_edge(self, cells: Int64[np.ndarray, " c"], order: int) -> Bool[np.ndarray, " c"]:
        ra, dec = middles(cells, order)
        reach = pixel_radius(order)
        near = (
            np.abs(_latitude(ra, dec)) < self.b_min_deg + reach if self.b_min_deg else np.zeros(len(ra), bool)
        )
        if self.cone is None:
            return near
        return near | ~Cone(self.cone.ra_deg, self.cone.dec_deg, self.cone.radius_deg - reach).contains(
            ra, dec
        )

    def _reached(self, cells: Int64[np.ndarray, " c"], order: int) -> Bool[np.ndarray, " c"]:
        ra, dec = middles(cells, order)
        reach = pixel_radius(order)
        reached = np.abs(_latitude(ra, dec)) > self.b_min_deg - reach
        if self.cone is None:
            return reached
        wider = Cone(self.cone.ra_deg, self.cone.dec_deg, self.cone.radius_deg + reach)
        return reached & wider.contains(ra, dec)

    @property
    def area(self) -> float:
        """Solid angle in steradians (of cells at the edges a counted share, see `cells`)."""
        order = max(self.order, 7)
        return float(self.cells(np.array(self.pixels), order)[1].sum() * pixel_area(order))

    def draw_positions(
        self, n: int, rng: np.random.Generator
    ) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
        """Right ascensions and declinations (degrees) of `n` places, even over the region."""
        ra, dec = np.zeros(0), np.zeros(0)
        while len(ra) < n:
            more = random_positions(rng.choice(np.array(self.pixels), size=4 * n + 16), self.order, rng)
            inside = self.contains(*more)
            ra, dec = np.append(ra, more[0][inside]), np.append(dec, more[1][inside])
        return ra[:n], dec[:n]


def random_positions(
    cells: Int64[np.ndarray, " n"], order: int, rng: np.random.Generator
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """A position (degrees) in each cell, even over its area (on the grid of order 29, 0.4 mas)."""
    shift = 2 * (MAX_ORDER - order)
    return middles((cells << shift) + rng.integers(0, 1 << shift, len(cells)), MAX_ORDER)


def middles(
    pixels: Int64[np.ndarray, " p"], order: int
) -> tuple[Float[np.ndarray, " p"], Float[np.ndarray, " p"]]:
    """Positions (degrees) of the centres of HEALPix pixels (NESTED)."""
    import healpy as hp  # late: it loads matplotlib.pyplot

    ra, dec = hp.pix2ang(1 << order, pixels, nest=True, lonlat=True)
    return ra % 360.0, dec


def _latitude(ra: Float[np.ndarray, " n"], dec: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    return SkyCoord(ra * u.deg, dec * u.deg).galactic.b.deg
