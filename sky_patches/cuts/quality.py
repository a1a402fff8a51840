"""Cuts on the quality of Gaia's solutions, and on nearby stars: values like those of `cuts.basic`."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from sky_patches.cuts.basic import Cut

__all__ = [
    "FiniteParallax",
    "FiveParameters",
    "FluxExcessDr2",
    "FluxExcessWithin",
    "NotNearby",
    "corrected_flux_excess",
    "five_parameter_cut",
    "flux_excess_sigma",
]

_FLUX_COLUMNS = ("phot_bp_rp_excess_factor", "bp_rp", "phot_g_mean_mag")


def corrected_flux_excess(
    excess: Float[np.ndarray, " n"], bp_rp: Float[np.ndarray, " n"]
) -> Float[np.ndarray, " n"]:
    """C*: the flux excess factor less that of a good star of its colour (Riello et al. 2021, eq. 6)."""
    blue = 1.154360 + 0.033772 * bp_rp + 0.032277 * bp_rp**2
    middle = 1.162004 + 0.011464 * bp_rp + 0.049255 * bp_rp**2 - 0.005879 * bp_rp**3
    red = 1.057572 + 0.140537 * bp_rp
    return excess - np.where(bp_rp < 0.5, blue, np.where(bp_rp < 4.0, middle, red))


def flux_excess_sigma(g_mag: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Scatter of C* of isolated stars at magnitude G (Riello et al. 2021, eq. 18)."""
    return 0.0059898 + 8.817481e-12 * g_mag**7.618399


@dataclass(frozen=True)
class FluxExcessWithin:
    """Clean BP and RP photometry of EDR3 and DR3: |C*| < `sigmas` sigma(G) (Riello et al. 2021, section 9.4).

    Blends, nebulae and crowded fields fail. 3 is strict, 5 usual. Not for DR2: see `FluxExcessDr2`.
    """

    sigmas: float = 5.0
    keep_missing: bool = False
    columns: tuple[str, ...] = _FLUX_COLUMNS

    @property
    def name(self) -> str:
        """What a reader of the log sees."""
        return f"|C*| < {self.sigmas:g} sigma(G)"

    def passes(self, *values: Float[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
        """True where the corrected excess is within its scatter."""
        excess, bp_rp, g_mag = values
        return np.abs(corrected_flux_excess(excess, bp_rp)) < self.sigmas * flux_excess_sigma(g_mag)


@dataclass(frozen=True)
class FluxExcessDr2:
    """Clean BP and RP photometry of DR2: 1.0 + 0.015 x^2 < E < 1.3 + 0.06 x^2, x = BP-RP.

    Lindegren et al. 2018, eq. C.2; the same as in Evans et al. 2018, section 6.
    """

    keep_missing: bool = False
    columns: tuple[str, ...] = _FLUX_COLUMNS[:2]

    @property
    def name(self) -> str:
        """What a reader of the log sees."""
        return "1 + 0.015 bp_rp^2 < flux excess < 1.3 + 0.06 bp_rp^2"

    def passes(self, *values: Float[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
        """True where the excess factor lies between the two curves."""
        excess, square = values[0], values[1] ** 2
        return (excess > 1.0 + 0.015 * square) & (excess < 1.3 + 0.06 * square)


@dataclass(frozen=True)
class FiveParameters:
    """Full astrometric solutions: astrometric_params_solved is 31 (five parameters) or 95 (six)."""

    keep_missing: bool = False
    columns: tuple[str, ...] = ("astrometric_params_solved",)

    @property
    def name(self) -> str:
        """What a reader of the log sees."""
        return "astrometric_params_solved is 31 or 95"

    def passes(self, *values: Float[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
        """True where parallax and proper motion were solved for."""
        return np.isin(values[0], (31.0, 95.0))


@dataclass(frozen=True)
class FiniteParallax:
    """Stars with a parallax: what tells a full solution where `astrometric_params_solved` is not at hand."""

    keep_missing: bool = False
    columns: tuple[str, ...] = ("parallax",)

    @property
    def name(self) -> str:
        """What a reader of the log sees."""
        return "has a parallax"

    def passes(self, *values: Float[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
        """True where there is one."""
        return np.isfinite(values[0])


def five_parameter_cut(columns: Collection[str]) -> Cut:
    """The cut on full solutions that a table with these columns allows."""
    return FiveParameters() if "astrometric_params_solved" in columns else FiniteParallax()


@dataclass(frozen=True)
class NotNearby:
    """Drop stars that are certainly near: parallax > `parallax` mas, measured to better than 1/`snr`.

    A star is dropped if parallax / parallax_error > `snr` and parallax > `parallax`: unlike a plain limit,
    a faint distant star that scatters above the limit stays. A star without a parallax is not known to be
    near: kept.
    """

    snr: float = 5.0
    parallax: float = 1.0
    keep_missing: bool = True
    columns: tuple[str, ...] = ("parallax", "parallax_error")

    @property
    def name(self) -> str:
        """What a reader of the log sees."""
        return f"not nearby (parallax > {self.parallax:g} mas and > {self.snr:g} times its error)"

    def passes(self, *values: Float[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
        """True unless the parallax is large and well measured."""
        parallax, error = values
        return ~((parallax > self.parallax) & (parallax > self.snr * error))
