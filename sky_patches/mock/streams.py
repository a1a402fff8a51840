"""From stream particles to surveyed stars."""

from __future__ import annotations

import astropy.units as u
import numpy as np
from astropy.table import Table

from sky_patches.errors import MockError
from sky_patches.mock.background import Survey
from sky_patches.mock.gaia_errors import observe
from sky_patches.mock.kinematics import heliocentric
from sky_patches.mock.recipe import MockStream
from sky_patches.mock.ridge import absolute_magnitudes, distance_modulus, luminosity_count, ridge_colour

__all__ = ["draw_stream"]

_INTRINSIC_COLOUR_SPREAD = 0.02


def _visible_particles(particles: Table, survey: Survey, rng: np.random.Generator) -> Table:
    """Particles in the cone, thinned to the share of stars that are bright enough at their distance."""
    inside = survey.cone.contains(np.asarray(particles["ra"]), np.asarray(particles["dec"]))
    near = particles[inside]
    if len(near) == 0:
        return near
    modulus = distance_modulus(np.asarray(near["distance"]))
    bright, faint = survey.true_limits
    visible = luminosity_count(faint - modulus) - luminosity_count(bright - modulus)
    return near[rng.random(len(near)) * visible.max() < visible]


def draw_stream(stream: MockStream, survey: Survey, seeds: np.random.SeedSequence) -> tuple[Table, Table]:
    """Draw exactly `stream.stars` stars of a stream that pass the survey's cuts.

    Each particle of the spray becomes at most one star, with a magnitude from the luminosity function at the
    particle's own distance and a colour from the ridge.

    Args:
        stream: the recipe.
        survey: cone, limits and errors.
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
        modulus = distance_modulus(np.asarray(truth["distance"]))
        bright, faint = survey.true_limits
        absolute = absolute_magnitudes(bright - modulus, faint - modulus, rng)
        colour = ridge_colour(absolute, stream.metallicity) + _INTRINSIC_COLOUR_SPREAD * rng.normal(size=n)
        truth["phot_g_mean_mag"], truth["bp_rp"] = (absolute + modulus) * u.mag, colour * u.mag
        truth = truth[rng.permutation(n)]
        observed = observe(truth, survey.errors, rng)
        kept = np.flatnonzero(survey.selects(observed))[: stream.stars]
        if len(kept) == stream.stars:
            return truth[kept], observed[kept]
        n = len(kept)
    raise MockError(
        f"stream {stream.name!r}: {stream.stars} stars wanted, but only {n} of its "
        f"{len(particles)} particles are in the cone and pass the cuts; lower stars (or raise "
        f"release_particles, now {stream.release_particles}), or move its orbit into the cone"
    )
