"""A realistic, seeded mock Gaia sky: background populations, streams and clusters, with Gaia's errors.

Two recipes:

* `MockSky` is a cone in memory, with an exact number of stars; `MockSky.generate(seed)` gives a catalogue in
  the package's schema, and the truth apart from it. `demo_sky()` is the embedded default, `empty_sky()` the
  same without streams.
* `SkyRecipe` is a sky of any size, made by `all_sky`, `patch_sky` or `pixel_sky`; `write_sky(recipe, seed,
  path)` writes it as a catalogue store, pixel by pixel, by several processes and in bounded memory. Globular
  clusters, dwarf galaxies and a scanning law come with it.

What is in both: thin disc, thick disc and halo with their density laws, velocity ellipsoids and
metallicities; one old colour-magnitude ridge and luminosity function; pygaia's errors; streams by particle
spray in gala's potential. What is in neither: dust, horizontal branch, binaries, white dwarfs, background
galaxies and quasars, crowding, and correlations between the errors of one star. The scanning law of the large
sky is smooth; the cone has the same depth everywhere.
"""

from __future__ import annotations

from sky_patches.mock.background import Survey, expected_background
from sky_patches.mock.clusters import MockCluster
from sky_patches.mock.cone import Cone
from sky_patches.mock.demo import demo_sky, empty_sky
from sky_patches.mock.gaia_errors import GaiaErrors
from sky_patches.mock.group import GROUP_CENTRES, GROUP_RADIUS_DEG, group_sky
from sky_patches.mock.random_objects import random_clusters, random_dwarfs, random_streams
from sky_patches.mock.recipe import MockStream
from sky_patches.mock.ridge import distance_modulus, luminosity_count, ridge_colour, ridge_slope
from sky_patches.mock.scanning import ScanningLaw
from sky_patches.mock.sky import MockResult, MockSky
from sky_patches.mock.sky_recipe import SkyRecipe, all_sky, patch_sky, pixel_sky
from sky_patches.mock.sky_region import SkyRegion
from sky_patches.mock.sky_store import SkyObjects, WrittenSky, draw_objects, sky_tables, write_sky
from sky_patches.mock.sky_truth import SkyTruth
from sky_patches.mock.truth import Truth, stream_track

__all__ = [
    "GROUP_CENTRES",
    "GROUP_RADIUS_DEG",
    "Cone",
    "GaiaErrors",
    "MockCluster",
    "MockResult",
    "MockSky",
    "MockStream",
    "ScanningLaw",
    "SkyObjects",
    "SkyRecipe",
    "SkyRegion",
    "SkyTruth",
    "Survey",
    "Truth",
    "WrittenSky",
    "all_sky",
    "demo_sky",
    "distance_modulus",
    "draw_objects",
    "empty_sky",
    "expected_background",
    "group_sky",
    "luminosity_count",
    "patch_sky",
    "pixel_sky",
    "random_clusters",
    "random_dwarfs",
    "random_streams",
    "ridge_colour",
    "ridge_slope",
    "sky_tables",
    "stream_track",
    "write_sky",
]
