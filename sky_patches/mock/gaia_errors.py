"""Gaia's measurement errors, and the observed columns that true stars turn into."""

from __future__ import annotations

from dataclasses import dataclass

import astropy.units as u
import numpy as np
from astropy.table import Table
from jaxtyping import Float
from pygaia.errors.astrometric import parallax_uncertainty, position_uncertainty, proper_motion_uncertainty
from pygaia.errors.photometric import magnitude_uncertainty

from sky_patches.errors import MockError

__all__ = ["GaiaErrors", "observe"]

_RELEASES = ("dr3", "dr4", "dr5")
_MICRO = 1e-3  # pygaia speaks of micro-arcseconds and millimagnitudes
_FAINTEST_MODELLED = 21.0


@dataclass(frozen=True, slots=True)
class GaiaErrors:
    """Standard errors of one Gaia release.

    Astrometry: the sky-averaged uncertainties of pygaia (the release's science-performance formulae), times
        one log-normal factor per star that stands for the scanning law. Photometry: pygaia's BP, RP and G
        uncertainties for the release's mean number of observations; fainter than magnitude 21, where its
        splines end, they grow as 10^(0.4 m) (limited by the background).

    Attributes:
        release: "dr3", "dr4" or "dr5".
        spread: standard deviation of the log of the per-star factor; 0.166 is what Gaia DR2 parallax errors
            show at fixed G in the field of Blanco 1.

    Raises:
        MockError: unknown release, or a negative spread.
    """

    release: str = "dr3"
    spread: float = 0.166

    def __post_init__(self) -> None:
        if self.release not in _RELEASES:
            raise MockError(f"release must be one of {', '.join(_RELEASES)}, got {self.release!r}")
        if not self.spread >= 0.0:
            raise MockError(f"spread must be zero or positive, got {self.spread}")

    def astrometric(self, g: Float[np.ndarray, " n"]) -> dict[str, Float[np.ndarray, " n"]]:
        """Sky-averaged standard errors at G: positions and parallax in mas, proper motions in mas/yr."""
        ra, dec = position_uncertainty(g, release=self.release)
        pmra, pmdec = proper_motion_uncertainty(g, release=self.release)
        parallax = parallax_uncertainty(g, release=self.release)
        errors = {"ra": ra, "dec": dec, "parallax": parallax, "pmra": pmra, "pmdec": pmdec}
        return {name: _MICRO * value for name, value in errors.items()}

    def photometric(self, band: str, magnitude: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """Standard errors in magnitudes of the mean magnitude in "g", "bp" or "rp"."""
        modelled = np.clip(magnitude, 4.0, _FAINTEST_MODELLED)
        beyond = np.maximum(0.0, magnitude - _FAINTEST_MODELLED)
        return _MICRO * magnitude_uncertainty(band, modelled, release=self.release) * 10.0 ** (0.4 * beyond)

    def colour(self, g: Float[np.ndarray, " n"], bp_rp: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """Standard errors of BP-RP in magnitudes.

        BP and RP follow from G and c = BP-RP through G - RP = 0.037 + 0.604 c - 0.062 c^2, a fit to the Gaia
        DR2 photometry of the field of Blanco 1 for 0.3 < c < 2.6.
        """
        rp = g - (0.037 + 0.604 * bp_rp - 0.062 * bp_rp**2)
        return np.hypot(self.photometric("bp", rp + bp_rp), self.photometric("rp", rp))


def observe(
    stars: Table,
    errors: GaiaErrors,
    rng: np.random.Generator,
    *,
    observations: Float[np.ndarray, " n"] | float = 1.0,
) -> Table:
    """What Gaia would list for true stars: true values plus Gaussian errors, with the errors as columns.

    Args:
        stars: true ra, dec (deg), distance (kpc), pmra, pmdec (mas/yr), phot_g_mean_mag, bp_rp (mag), one row
            a star.
        errors: the error model. Errors depend on the true magnitude; those of one star are uncorrelated.
        rng: source of randomness.
        observations: number of observations of each star over the mean of the sky; all errors go as its
            inverse square root.

    Returns:
        Table in the schema's names and units, row for row as `stars`, without source_id.
    """
    g, colour = np.asarray(stars["phot_g_mean_mag"]), np.asarray(stars["bp_rp"])
    depth = np.sqrt(observations)
    factor = np.exp(errors.spread * rng.normal(size=len(stars))) / depth
    sigma = {name: factor * value for name, value in errors.astrometric(g).items()}
    noise = {name: value * rng.normal(size=len(stars)) for name, value in sigma.items()}
    to_degrees = 1.0 / 3.6e6
    dec = np.asarray(stars["dec"])
    observed = {
        "ra": (stars["ra"] + noise["ra"] * to_degrees / np.cos(np.radians(dec))) % 360.0,
        "dec": dec + noise["dec"] * to_degrees,
        "parallax": 1.0 / np.asarray(stars["distance"]) + noise["parallax"],
        "pmra": stars["pmra"] + noise["pmra"],
        "pmdec": stars["pmdec"] + noise["pmdec"],
        **{f"{name}_error": value for name, value in sigma.items()},
        "phot_g_mean_mag": g + errors.photometric("g", g) / depth * rng.normal(size=len(stars)),
        "bp_rp": colour + errors.colour(g, colour) / depth * rng.normal(size=len(stars)),
        # Gaia DR2, field of Blanco 1: median RUWE 1.01, half of the 16 to 84 % range 0.07.
        "ruwe": 1.01 * np.exp(0.05 * rng.normal(size=len(stars))),
    }
    return Table({name: u.Quantity(np.asarray(value), _UNITS[name]) for name, value in observed.items()})


_PROPER_MOTION = u.mas / u.yr
_UNITS = {
    "ra": u.deg,
    "dec": u.deg,
    "parallax": u.mas,
    "pmra": _PROPER_MOTION,
    "pmdec": _PROPER_MOTION,
    "ra_error": u.mas,
    "dec_error": u.mas,
    "parallax_error": u.mas,
    "pmra_error": _PROPER_MOTION,
    "pmdec_error": _PROPER_MOTION,
    "phot_g_mean_mag": u.mag,
    "bp_rp": u.mag,
    "ruwe": u.dimensionless_unscaled,
}
