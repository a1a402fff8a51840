"""From the description of a stream to what the catalogue says of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from streams.catalog.entries import EntryPopulation, EntryTrack
from streams.description.description import StreamDescription
from streams.description.distance import RIDGE_ERROR, WIDEST
from streams.description.track import Polynomial

__all__ = ["flags_of", "population_of", "track_of_description", "with_modulus"]

_SIGMAS_95 = 1.96

Three = tuple[float, float, float]


def track_of_description(description: StreamDescription) -> EntryTrack:
    """Frame, track, motion, width and length; the middle is phi1 = 0."""
    circle, track, extent = description.great_circle, description.track, description.extent
    phi2, phi2_error = _three(track.phi2)
    pm_phi1, pm_phi1_error = _three(track.pm_phi1_cosphi2)
    pm_phi2, pm_phi2_error = _three(track.pm_phi2)
    return EntryTrack(
        circle.pole_ra, circle.pole_dec, circle.ra0, circle.dec0, extent.phi1_low, extent.phi1_high,
        phi2, pm_phi1, pm_phi2, phi2_error, pm_phi1_error, pm_phi2_error,
        pole_error=circle.pole_error, width=extent.width, width_error=extent.width_error,
        length=extent.length, pm_spread=track.pm_spread,
    )  # fmt: skip


def _three(polynomial: Polynomial) -> tuple[Three, Three]:
    """Coefficients and standard errors up to phi1^2; what was not fitted is zero without an error."""
    lacking = 3 - len(polynomial.coefficients)
    values = (*polynomial.coefficients, *([0.0] * lacking))
    errors = (*polynomial.errors, *([float("nan")] * lacking))
    return (values[0], values[1], values[2]), (errors[0], errors[1], errors[2])


def population_of(description: StreamDescription) -> EntryPopulation:
    """Stars, light, colour and distance; the range of the distance is that of 95 %."""
    extent, light, distance = description.extent, description.photometry, description.distance
    return EntryPopulation(
        extent.stars, extent.stars_error, extent.surface_density, light.surface_brightness,
        light.bp_rp, light.bp_rp_spread, light.g, light.g_spread,
        distance.distance_kpc, *distance.range_kpc, distance.open, distance.ridge,
    )  # fmt: skip


def flags_of(description: StreamDescription) -> tuple[str, ...]:
    """Artefact flags; that of known objects tells their names."""
    named = "known_object:" + "+".join(description.known_objects)
    return tuple(named if flag == "known_object" else flag for flag in description.flags)


def with_modulus(population: EntryPopulation, modulus: float, error: float, ridge: str) -> EntryPopulation:
    """The population at the distance of a refined stream, where that says more than the members' colours.

    The refinement fits the distance with everything else over a learned background. What stays uncertain
    of a ridge however many stars there are (`RIDGE_ERROR`) is added to its error. It is taken where the
    description leaves the distance open or has a wider 95 % range, unless its own is wider than a factor of
    two.

    Args:
        population: by the description.
        modulus, error: refined distance modulus and its standard error, mag; NaN: not known.
        ridge: name of its ridge.
    """
    half = _SIGMAS_95 * float(np.hypot(error, RIDGE_ERROR))
    known = population.distance_low > 0 and not population.distance_open
    other = 5.0 * np.log10(population.distance_high / population.distance_low) if known else np.inf
    if not np.isfinite(modulus + half) or 2.0 * half > min(WIDEST, other):
        return population
    middle, low, high = (float(10 ** (0.2 * m - 2.0)) for m in (modulus, modulus - half, modulus + half))
    return replace(
        population, distance=middle, distance_low=low, distance_high=high, distance_open=False, ridge=ridge
    )
