"""How often a survey like Gaia looked at each place of the sky, and what that does to its depth."""

from __future__ import annotations

from dataclasses import dataclass

import astropy.units as u
import numpy as np
from astropy.coordinates import BarycentricMeanEcliptic, SkyCoord
from jaxtyping import Float
from scipy.special import expit

from sky_patches.errors import MockError

__all__ = ["ScanningLaw"]

_LATITUDE_MEAN = 2.0 / 15.0  # mean over the sky of x^2 (1 - x^2), x = sin(ecliptic latitude)
_LATITUDE_PEAK = 0.25


@dataclass(frozen=True, slots=True)
class ScanningLaw:
    """A smooth pattern of stripes in ecliptic coordinates, in the manner of Gaia's scanning law.

    The number of observations over its mean on the sky is

        r(lambda, beta) = 1 + latitude h(beta) + stripe cos(beta) cos(stripes lambda + twist beta),

    where h has zero mean over the sky, peaks with 1 at |beta| = 45 deg (a spin axis kept 45 deg from the Sun
    looks there most often: Gaia Collaboration, Prusti et al. 2016, A&A 595, A1, section 5.2) and is -8/7 on
    the ecliptic and at its poles. Errors go as r^(-1/2); a star of true magnitude G is in the catalogue with
    probability 1 / (1 + exp((G - G_50) / softness)), G_50 = half_complete + 1.25 lg r, so that the signal to
    noise at half completeness is the same everywhere. The default amplitudes are plausible, not fitted.

    Attributes:
        latitude: amplitude of the change with ecliptic latitude.
        stripe: amplitude of the stripes.
        stripes: stripes around the ecliptic.
        twist: how much the stripes lean, in turns of phase per turn of latitude.
        half_complete: G at which half of the stars are in the catalogue where r = 1.
        softness: width in magnitudes of the fall of the completeness.

    Raises:
        MockError: amplitudes that leave places without observations, or a value out of range.
    """

    latitude: float = 0.3
    stripe: float = 0.2
    stripes: int = 24
    twist: float = 6.0
    half_complete: float = 20.8
    softness: float = 0.12

    def __post_init__(self) -> None:
        if not (self.latitude >= 0.0 and self.stripe >= 0.0 and self.least > 0.0):
            raise MockError(
                "latitude and stripe must be zero or positive and leave every place observed, "
                f"8/7 latitude + stripe < 1; got latitude={self.latitude}, stripe={self.stripe}"
            )
        if not (self.softness > 0.0 and 4.0 <= self.half_complete <= 25.0 and np.isfinite(self.twist)):
            raise MockError(
                "softness must be positive, half_complete lie in [4, 25] and twist be finite; got "
                f"softness={self.softness}, half_complete={self.half_complete}, twist={self.twist}"
            )

    @property
    def least(self) -> float:
        """A lower bound of the number of observations over its mean."""
        return 1.0 - self.latitude * _LATITUDE_MEAN / (_LATITUDE_PEAK - _LATITUDE_MEAN) - self.stripe

    @property
    def most(self) -> float:
        """An upper bound of the number of observations over its mean."""
        return 1.0 + self.latitude + self.stripe

    def observations(
        self, ra: Float[np.ndarray, " n"], dec: Float[np.ndarray, " n"]
    ) -> Float[np.ndarray, " n"]:
        """Number of observations over its mean on the sky, at positions in degrees, shape (n,)."""
        ecliptic = SkyCoord(ra * u.deg, dec * u.deg).transform_to(BarycentricMeanEcliptic())
        lon, lat = ecliptic.lon.rad, ecliptic.lat.rad
        squared = np.sin(lat) ** 2
        shape = (squared * (1.0 - squared) - _LATITUDE_MEAN) / (_LATITUDE_PEAK - _LATITUDE_MEAN)
        wave = np.cos(lat) * np.cos(self.stripes * lon + self.twist * lat)
        return 1.0 + self.latitude * shape + self.stripe * wave

    def completeness(
        self, g: Float[np.ndarray, "*shape"], observations: Float[np.ndarray, "*shape"] | float
    ) -> Float[np.ndarray, "*shape"]:
        """Probability that a star of true magnitude G is in the catalogue."""
        half = self.half_complete + 1.25 * np.log10(observations)
        return expit((half - g) / self.softness)
