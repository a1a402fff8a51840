"""What a survey with a scanning law measures of true stars, and which of them it lists."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from astropy.table import Table
from jaxtyping import Bool, Float
from scipy.special import ndtr

from sky_patches.mock.gaia_errors import GaiaErrors, observe
from sky_patches.mock.ridge import distance_modulus, luminosity_count
from sky_patches.mock.scanning import ScanningLaw
from sky_patches.mock.sky_region import SkyRegion

__all__ = ["SkySurvey"]

_PHOTOMETRIC_MARGIN = 0.1  # magnitudes; many times Gaia's error in G, so the observed cut is exact
_BIN = 0.05  # magnitudes


@dataclass(frozen=True, slots=True)
class SkySurvey:
    """Footprint, limits, errors and scanning law of a large mock sky.

    Attributes:
        region: where on the sky (observed positions).
        g_min: brightest observed G.
        g_max: faintest observed G.
        parallax_max: upper limit of the observed parallax in mas; None for no cut.
        errors: Gaia's error model at the mean number of observations.
        scanning: the scanning law; None for the same depth everywhere, and no star missed.
    """

    region: SkyRegion
    g_min: float
    g_max: float
    parallax_max: float | None
    errors: GaiaErrors
    scanning: ScanningLaw | None

    @property
    def true_limits(self) -> tuple[float, float]:
        """Limits of the true G that contain every star whose observed G passes."""
        return self.g_min - _PHOTOMETRIC_MARGIN, self.g_max + _PHOTOMETRIC_MARGIN

    @property
    def nearest_kpc(self) -> float:
        """Distance within which no star passes the parallax cut (ten errors of the faintest star)."""
        if self.parallax_max is None:
            return 0.01
        worst = float(self.errors.astrometric(np.array([self.g_max]))["parallax"][0])
        least = 1.0 if self.scanning is None else self.scanning.least
        return 1.0 / (max(self.parallax_max, 0.0) + 10.0 * worst / np.sqrt(least))

    def contains(self, ra: Float[np.ndarray, " n"], dec: Float[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
        """Which of the positions (degrees, shape (n,)) lie within the footprint."""
        return self.region.contains(ra, dec)

    def observations(
        self, ra: Float[np.ndarray, " n"], dec: Float[np.ndarray, " n"]
    ) -> Float[np.ndarray, " n"]:
        """Number of observations over its mean on the sky, at positions in degrees."""
        return np.ones(len(ra)) if self.scanning is None else self.scanning.observations(ra, dec)

    def measure(self, stars: Table, rng: np.random.Generator) -> tuple[Table, Bool[np.ndarray, " n"]]:
        """What is observed of true stars, and which of them enter the catalogue."""
        looks = self.observations(np.asarray(stars["ra"]), np.asarray(stars["dec"]))
        observed = observe(stars, self.errors, rng, observations=looks)
        g = np.asarray(observed["phot_g_mean_mag"])
        kept = (g > self.g_min) & (g < self.g_max)
        if self.parallax_max is not None:
            kept &= np.asarray(observed["parallax"]) < self.parallax_max
        if self.scanning is not None:
            seen = self.scanning.completeness(np.asarray(stars["phot_g_mean_mag"]), looks)
            kept &= rng.random(len(stars)) < seen
        # The footprint last, and only where it matters: it is the dearest question.
        kept[kept] = self.contains(np.asarray(observed["ra"])[kept], np.asarray(observed["dec"])[kept])
        return observed, kept

    def listed(
        self, distance: Float[np.ndarray, " k"], observations: Float[np.ndarray, " r"]
    ) -> Float[np.ndarray, "r k"]:
        """Stars per kpc^3 at each distance (kpc) that pass all cuts, where the thin disc is as at the Sun.

        The luminosity function times the completeness times the probability that the observed parallax passes
        its cut, integrated over magnitude; the per-star factor of the errors by Gauss-Hermite quadrature.
        """
        edges = np.append(np.arange(self.g_min, self.g_max, _BIN), self.g_max)
        middle = 0.5 * (edges[1:] + edges[:-1])
        number = np.diff(luminosity_count(edges[:, None] - distance_modulus(distance)), axis=0)
        table = np.zeros((len(observations), len(distance)))
        for row, looks in enumerate(observations.tolist()):
            passing = self._parallax_share(middle, distance, looks)
            if self.scanning is not None:
                passing = passing * self.scanning.completeness(middle, looks)[:, None]
            table[row] = (number * passing).sum(axis=0)
        return table

    def _parallax_share(
        self, g: Float[np.ndarray, " m"], distance: Float[np.ndarray, " k"], looks: float
    ) -> Float[np.ndarray, "m k"]:
        if self.parallax_max is None:
            return np.ones((len(g), len(distance)))
        sigma = self.errors.astrometric(g)["parallax"] / np.sqrt(looks)
        room = (self.parallax_max - 1.0 / distance) / sigma[:, None]
        nodes, weights = np.polynomial.hermite_e.hermegauss(7)
        shares = [
            w * ndtr(room / np.exp(self.errors.spread * x)) for x, w in zip(nodes, weights, strict=True)
        ]
        return np.sum(shares, axis=0) / weights.sum()
