"""Extent and light of a stream: length, number of stars, surface density, colours and magnitudes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from streams.description.great_circle import weighted_quantiles
from streams.members import MemberStars

__all__ = ["Extent", "Photometry", "extent_of", "photometry_of", "surface_brightness", "surface_density"]

LENGTH_SHARE = (0.05, 0.95)
MEMBER_PROBABILITY = 0.5
_WITHIN_ONE_WIDTH = 0.6826894921370859
_SQUARE_ARCSEC = 2.5 * np.log10(3600.0**2)


@dataclass(frozen=True)
class Extent:
    """Size of a stream and number of its stars.

    Args:
        phi1_low, phi1_high: 5th and 95th percentile of the members along the track, deg.
        first, last: phi1 of the first and last member with a probability of at least one half, deg.
        width, width_error: Gaussian sigma across the track, deg.
        stars, stars_error: expected number of members, the sum of the probabilities.
        surface_density: stars per deg^2 within one width of the track, between the percentiles.
    """

    phi1_low: float
    phi1_high: float
    first: float
    last: float
    width: float
    width_error: float
    stars: float
    stars_error: float
    surface_density: float

    @property
    def length(self) -> float:
        """From the 5th to the 95th percentile, deg."""
        return self.phi1_high - self.phi1_low

    @property
    def ends(self) -> tuple[float, float]:
        """phi1 of both ends, deg."""
        return self.first, self.last

    def to_dict(self) -> dict[str, float]:
        """Plain values that `from_dict` turns back into an equal extent."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Extent:
        """The extent that `to_dict` described."""
        return cls(**values)


@dataclass(frozen=True)
class Photometry:
    """Place of the members in colour and magnitude; NaN where they have none.

    Args:
        bp_rp, bp_rp_spread: weighted mean and standard deviation of BP-RP, mag.
        g, g_spread: weighted mean and standard deviation of G, mag.
        surface_brightness: G mag per arcsec^2 within one width of the track, of the members' own light: stars
            beyond the survey's limit are not in it.
        stars: members with colour and magnitude, the sum of their probabilities.
    """

    bp_rp: float
    bp_rp_spread: float
    g: float
    g_spread: float
    surface_brightness: float
    stars: float

    def to_dict(self) -> dict[str, float]:
        """Plain values that `from_dict` turns back into an equal value."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Photometry:
        """The photometry that `to_dict` described."""
        return cls(**values)


def surface_density(stars: float, width: float, length: float) -> float:
    """Stars per deg^2 within one Gaussian width of a track, 5th to 95th percentile of its length (deg).

    0.683 of 0.9 of the stars, over an area 2 width length: 0.86 of the density on the ridge line itself.
    """
    area = 2.0 * width * length
    if not area > 0.0:
        return float("nan")
    return (LENGTH_SHARE[1] - LENGTH_SHARE[0]) * _WITHIN_ONE_WIDTH * stars / area


def surface_brightness(
    magnitude: Float[np.ndarray, " n"], weight: Float[np.ndarray, " n"], width: float, length: float
) -> float:
    """mag per arcsec^2 over the area of `surface_density`, of stars with these magnitudes and weights."""
    light = surface_density(float((weight * 10.0 ** (-0.4 * magnitude)).sum()), width, length)
    return float(-2.5 * np.log10(light) + _SQUARE_ARCSEC) if light > 0.0 else float("nan")


def extent_of(
    phi1: Float[np.ndarray, " n"], probability: Float[np.ndarray, " n"], width: tuple[float, float]
) -> Extent:
    """Extent of members at phi1 (deg) about a track of known width and error (deg).

    The error of the number of stars is that of the mixture's own fit with the background known,
    N / sqrt(sum p^2): the information about ln N is sum p^2. It is sqrt(N) where membership is certain.
    """
    low, high = weighted_quantiles(phi1, probability, np.array(LENGTH_SHARE))
    sure = phi1[probability >= MEMBER_PROBABILITY]
    first, last = (sure.min(), sure.max()) if len(sure) else (low, high)
    stars = float(probability.sum())
    error = stars / float(np.sqrt((probability**2).sum()))
    density = surface_density(stars, width[0], float(high - low))
    ends = (float(low), float(high), float(min(first, low)), float(max(last, high)))
    return Extent(*ends, *width, stars, error, density)


def photometry_of(members: MemberStars, extent: Extent) -> Photometry:
    """Mean colour-magnitude position and surface brightness of the members.

    The light is that of the stars with a probability of at least one half, scaled to all the expected
    members: a bright field star of probability 0.02 would outshine a stream.
    """
    known = np.isfinite(members.bp_rp) & np.isfinite(members.phot_g_mean_mag)
    stars = members.take(known)
    nan = float("nan")
    if not stars.stars > 0.0:
        return Photometry(nan, nan, nan, nan, nan, 0.0)
    (colour, colour_spread), (g, g_spread) = (
        _moments(values, stars.probability) for values in (stars.bp_rp, stars.phot_g_mean_mag)
    )
    sure = stars.take(stars.probability >= MEMBER_PROBABILITY)
    scale = extent.stars / sure.stars if sure.stars > 0.0 else 0.0
    brightness = surface_brightness(
        sure.phot_g_mean_mag, scale * sure.probability, extent.width, extent.length
    )
    return Photometry(colour, colour_spread, g, g_spread, brightness, stars.stars)


def _moments(values: Float[np.ndarray, " n"], weight: Float[np.ndarray, " n"]) -> tuple[float, float]:
    mean = float(np.average(values, weights=weight))
    return mean, float(np.sqrt(np.average((values - mean) ** 2, weights=weight)))
