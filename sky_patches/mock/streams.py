"""From stream particles to surveyed stars."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import astropy.units as u
import numpy as np
from astropy.table import Table
from jaxtyping import Bool, Float

from sky_patches.errors import MockError
from sky_patches.mock.kinematics import heliocentric
from sky_patches.mock.recipe import MockStream
from sky_patches.mock.ridge import absolute_magnitudes, distance_modulus, luminosity_count, ridge_colour

__all__ = ["Selection", "add_light", "draw_stream"]

_INTRINSIC_COLOUR_SPREAD = 0.02


@runtime_checkable
class Selection(Protocol):
    """Where a survey looks, and what it measures of true stars: a cone's `Survey`, or that of a large sky."""

    @property
    def true_limits(self) -> tuple[float, float]:
        """Limits of the true G that contain every star whose observed G passes."""
        ...

    def contains(self, ra: Float[np.ndarray, " n"], dec: Float[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
        """Which of the positions (degrees, shape (n,)) lie within the survey."""
        ...

    def measure(self, stars: Table, rng: np.random.Generator) -> tuple[Table, Bool[np.ndarray, " n"]]:
        """What is observed of true stars, and which of them enter the catalogue."""
        ...


def add_light(
    stars: Table, metallicity: float, limits: tuple[float, float], rng: np.random.Generator
) -> None:
    """Give stars of one old population (with their `distance` in kpc) true phot_g_mean_mag and bp_rp.

    Magnitudes follow the luminosity function between the apparent `limits` at each star's own distance,
    colours the ridge.
    """
    modulus = distance_modulus(np.asarray(stars["distance"]))
    bright, faint = limits
    absolute = absolute_magnitudes(bright - modulus, faint - modulus, rng)
    colour = ridge_colour(absolute, metallicity) + _INTRINSIC_COLOUR_SPREAD * rng.normal(size=len(stars))
    stars["phot_g_mean_mag"], stars["bp_rp"] = (absolute + modulus) * u.mag, colour * u.mag


def _visible_particles(particles: Table, survey: Selection, rng: np.random.Generator) -> Table:
    """Particles in the cone, thinned to the share of stars that are bright enough at their distance."""
    inside = survey.contains(np.asarray(particles["ra"]), np.asarray(particles["dec"]))
    near = particles[inside]
    if len(near) == 0:
        return near
    modulus = distance_modulus(np.asarray(near["distance"]))
    bright, faint = survey.true_limits
    visible = luminosity_count(faint - modulus) - luminosity_count(bright - modulus)
    return near[rng.random(len(near)) * visible.max() < visible]


def draw_stream(stream: MockStream, survey: Selection, seeds: np.random.SeedSequence) -> tuple[Table, Table]:
    """Draw exactly `stream.stars` stars of a stream that pass the survey's cuts.

    Each particle of the spray becomes at most one star, with a magnitude from the luminosity function at the
    particle's own distance and a colour from the ridge.

    Args:
        stream: the recipe.
        survey: footprint, limits and errors.
        seeds: source of all randomness.

    Returns:
        True stars and observed stars, in the same (random) order.

    Raises:
        MockError: the stream has fewer particles in the cone than stars are asked for.
    """
    # gala takes a second to import, and only who makes a stream needs it.
    from sky_patches.mock.spray import spray

    release, stars = seeds.spawn(2)
    rng = np.random.default_rng(stars)
    particles = heliocentric(*spray(stream, int(release.generate_state(1)[0])))
    truth = _visible_particles(particles, survey, rng)
    n = len(truth)
    if n:
        add_light(truth, stream.metallicity, survey.true_limits, rng)
        truth = truth[rng.permutation(n)]
        observed, selected = survey.measure(truth, rng)
        kept = np.flatnonzero(selected)[: stream.stars]
        if len(kept) == stream.stars:
            return truth[kept], observed[kept]
        n = len(kept)
    raise MockError(
        f"stream {stream.name!r}: {stream.stars} stars wanted, but only {n} of its "
        f"{len(particles)} particles are in the footprint and pass the cuts; lower stars (or raise "
        f"release_particles, now {stream.release_particles}), or move its orbit into it"
    )
