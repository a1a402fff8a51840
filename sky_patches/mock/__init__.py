"""A realistic, seeded mock Gaia sky: background populations and tidal streams in a cone, with Gaia's errors.

`MockSky` is a recipe and `MockSky.generate(seed)` its result: a catalogue in the package's schema, and the
truth apart from it. `demo_sky()` is the embedded default, `empty_sky()` the same without streams.

What is in it: thin disc, thick disc and halo with their density laws, velocity ellipsoids and metallicities;
one old colour-magnitude ridge and luminosity function; pygaia's errors; streams by particle spray in gala's
potential. What is not: dust, horizontal branch, binaries, white dwarfs, galaxies and quasars, star clusters,
crowding, the pattern of the scanning law, and correlations between the errors of one star.
"""

from __future__ import annotations

from sky_patches.mock.background import Survey, expected_background
from sky_patches.mock.cone import Cone
from sky_patches.mock.demo import demo_sky, empty_sky
from sky_patches.mock.gaia_errors import GaiaErrors
from sky_patches.mock.recipe import MockStream
from sky_patches.mock.ridge import distance_modulus, luminosity_count, ridge_colour, ridge_slope
from sky_patches.mock.sky import MockResult, MockSky
from sky_patches.mock.truth import Truth, stream_track

__all__ = [
    "Cone",
    "GaiaErrors",
    "MockResult",
    "MockSky",
    "MockStream",
    "Survey",
    "Truth",
    "demo_sky",
    "distance_modulus",
    "empty_sky",
    "expected_background",
    "luminosity_count",
    "ridge_colour",
    "ridge_slope",
    "stream_track",
]
