"""From the description of a stream to what the catalogue says of it."""

from __future__ import annotations

from streams.catalog.entries import EntryPopulation, EntryTrack
from streams.description.description import StreamDescription
from streams.description.track import Polynomial

__all__ = ["flags_of", "population_of", "track_of_description"]

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
