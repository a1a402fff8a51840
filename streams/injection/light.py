"""How bright and how dense an injected stream is on the sky."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

__all__ = ["FWHM_SHARE", "strip_area", "surface_brightness", "surface_density"]

_FWHM = 2.0 * np.sqrt(2.0 * np.log(2.0))
FWHM_SHARE = 0.7609681085504878
"""Share of a Gaussian within its full width at half maximum: erf(sqrt(ln 2))."""
_ARCSEC2_PER_DEG2 = 3600.0**2


def strip_area(width: float, length: float) -> float:
    """Area, deg^2, within the full width at half maximum of a stream of Gaussian sigma `width` (deg)."""
    return float(_FWHM * width * length)


def surface_density(stars: float, width: float, length: float) -> float:
    """Mean density, stars/deg^2, within the full width at half maximum."""
    return float(FWHM_SHARE * stars / strip_area(width, length))


def surface_brightness(g: Float[np.ndarray, " n"], width: float, length: float) -> float:
    """Mean surface brightness, mag/arcsec^2 in G, within the full width at half maximum.

    The light of the given stars only: of those that the survey lists, down to its limit, not of the fainter
    ones that the stream has too.

    Args:
        g: apparent magnitudes.
        width: Gaussian sigma, deg.
        length: deg.

    Returns:
        NaN without stars or without magnitudes.
    """
    flux = float(np.sum(10.0 ** (-0.4 * g))) if len(g) else 0.0
    area = strip_area(width, length) * _ARCSEC2_PER_DEG2
    if not (flux > 0.0 and area > 0.0):
        return float("nan")
    return float(-2.5 * np.log10(FWHM_SHARE * flux / area))
