"""HEALPix pixels of stars and of circles on the sky; NESTED numbering everywhere.

HEALPix: Gorski et al. 2005 (astro-ph/0409513). A Gaia `source_id` carries the star's level-12 pixel in its
upper bits (Gaia data model, `gaia_source.source_id`).
"""

from __future__ import annotations

import numpy as np
from astropy.coordinates import angular_separation
from jaxtyping import Float, Int64

from sky_patches.errors import SkyPatchesError

__all__ = [
    "MAX_ORDER",
    "cone_core_29",
    "cone_pixels",
    "cone_ranges_29",
    "healpix_29",
    "pixel_radius",
    "radec_to_pixel",
    "ranges_29",
    "source_id_to_pixel",
]

MAX_ORDER = 29
"""Finest HEALPix order; the pixel number then fills 62 bits."""

_SOURCE_ID_ORDER = 12
_MARGIN_DEG = 1e-9
_SOURCE_ID_SHIFT = 35


def source_id_to_pixel(source_id: Int64[np.ndarray, " n"], order: int) -> Int64[np.ndarray, " n"]:
    """NESTED pixel of each star at `order` (0 to 12), from its Gaia `source_id` alone.

    Raises:
        SkyPatchesError: `order` is above 12, which `source_id` does not resolve, or an identifier is
            negative or not an integer.
    """
    if not 0 <= order <= _SOURCE_ID_ORDER:
        raise SkyPatchesError(f"source_id gives pixels of order 0 to {_SOURCE_ID_ORDER}, asked for {order}")
    ids = np.asarray(source_id)
    if ids.dtype.kind not in "iu":
        raise SkyPatchesError(
            f"source_id must be integers (int64), found {ids.dtype}: floats lose the last digits"
        )
    if ids.size and ids.min() < 0:
        raise SkyPatchesError(f"source_id must not be negative, found {ids.min()}")
    return ids.astype(np.int64) >> (_SOURCE_ID_SHIFT + 2 * (_SOURCE_ID_ORDER - order))


def radec_to_pixel(
    ra: Float[np.ndarray, " n"], dec: Float[np.ndarray, " n"], order: int
) -> Int64[np.ndarray, " n"]:
    """NESTED pixel at `order` (0 to 29) of positions in degrees.

    Raises:
        SkyPatchesError: an order outside 0 to 29, or a position that is not finite or has |dec| > 90.
    """
    import healpy as hp  # late: it loads matplotlib.pyplot

    _check_order(order)
    lon, lat = np.atleast_1d(np.asarray(ra, float)), np.atleast_1d(np.asarray(dec, float))
    bad = ~(np.isfinite(lon) & (np.abs(lat) <= 90.0))
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise SkyPatchesError(
            f"{bad.sum()} positions are not on the sky, the first: ra={lon[row]}, dec={lat[row]}"
        )
    return hp.ang2pix(1 << order, lon, lat, nest=True, lonlat=True).astype(np.int64)


def healpix_29(ra: Float[np.ndarray, " n"], dec: Float[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
    """NESTED pixel of order 29 (0.4 mas) of positions in degrees: the sort key of a HATS catalogue."""
    return radec_to_pixel(ra, dec, MAX_ORDER)


def cone_pixels(ra: float, dec: float, radius_deg: float, order: int) -> Int64[np.ndarray, " m"]:
    """Sorted NESTED pixels at `order` that a circle touches; inclusive, a few beyond its edge may be listed.

    Args:
        ra, dec: centre, degrees.
        radius_deg: radius, degrees; 180 or more is the whole sky.

    Raises:
        SkyPatchesError: a centre that is not on the sky, a radius that is negative or not finite, or a bad
            order.
    """
    import healpy as hp  # late: it loads matplotlib.pyplot

    _check_order(order)
    if not (np.isfinite(ra) and abs(dec) <= 90.0):
        raise SkyPatchesError(f"the centre of a cone must be on the sky, found ra={ra}, dec={dec}")
    if not (np.isfinite(radius_deg) and radius_deg >= 0.0):
        raise SkyPatchesError(f"the radius of a cone must be finite and not negative, found {radius_deg} deg")
    nside = 1 << order
    if radius_deg >= 180.0:
        return np.arange(12 * nside**2, dtype=np.int64)
    centre = hp.ang2vec(ra, dec, lonlat=True)
    # RING, because healpy 1.20's query_disc with nest=True misses pixels of some circles (0, 0, radius 150).
    # It finds nothing for some circles of radius zero, so the margin and the centre's own pixel.
    found = hp.query_disc(nside, centre, np.radians(radius_deg + _MARGIN_DEG), inclusive=True)
    own = hp.ang2pix(nside, ra, dec, nest=True, lonlat=True)
    return np.union1d(hp.ring2nest(nside, found), own).astype(np.int64)


def cone_ranges_29(ra: float, dec: float, radius_deg: float) -> Int64[np.ndarray, "k 2"]:
    """Half-open ranges of order-29 pixels that cover a circle, sorted; about a thousand at most.

    They serve to skip rows sorted by `healpix_29`; the cover is a little larger than the circle.
    """
    order = _cover_order(radius_deg)
    return ranges_29(cone_pixels(ra, dec, radius_deg, order), order)


def cone_core_29(ra: float, dec: float, radius_deg: float) -> Int64[np.ndarray, "k 2"]:
    """Half-open ranges of order-29 pixels that lie wholly inside a circle, sorted.

    Stars there need no test of their distance; they are most of those in `cone_ranges_29`.
    """
    import healpy as hp  # late: it loads matplotlib.pyplot

    order = _cover_order(radius_deg)
    pixels = cone_pixels(ra, dec, radius_deg, order)
    lon, lat = hp.pix2ang(1 << order, pixels, nest=True, lonlat=True)
    distance = np.degrees(angular_separation(*np.radians([ra, dec]), np.radians(lon), np.radians(lat)))
    return ranges_29(pixels[distance + pixel_radius(order) + _MARGIN_DEG < radius_deg], order)


def _cover_order(radius_deg: float) -> int:
    # Pixels of about a fifteenth of the radius: finer ones cost more than the rows they save.
    return int(np.clip(np.ceil(np.log2(58.6 * 15.0 / max(radius_deg, 1e-4))), 0, 20))


def ranges_29(pixels: Int64[np.ndarray, " m"], order: int) -> Int64[np.ndarray, "k 2"]:
    """Sorted pixels of one order as half-open ranges of order 29, neighbours joined."""
    starts = np.flatnonzero(np.diff(pixels, prepend=-2) != 1)
    stops = np.append(starts[1:], pixels.size)[: starts.size] - 1
    shift = 2 * (MAX_ORDER - order)
    return np.column_stack([pixels[starts] << shift, (pixels[stops] + 1) << shift])


def pixel_radius(order: int) -> float:
    """Largest distance from a pixel's centre to its corners at `order`, degrees."""
    import healpy as hp  # late: it loads matplotlib.pyplot

    _check_order(order)
    return float(np.degrees(hp.max_pixrad(1 << order)))


def _check_order(order: int) -> None:
    if not 0 <= order <= MAX_ORDER:
        raise SkyPatchesError(f"HEALPix orders are 0 to {MAX_ORDER}, found {order}")
