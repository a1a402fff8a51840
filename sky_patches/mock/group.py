"""Four overlapping patches of mock sky with three hidden streams and a known globular cluster."""

from __future__ import annotations

from dataclasses import replace

from sky_patches.mock.clusters import MockCluster
from sky_patches.mock.cone import Cone
from sky_patches.mock.recipe import MockStream
from sky_patches.mock.sky_recipe import SkyRecipe, patch_sky

__all__ = ["GROUP_CENTRES", "GROUP_RADIUS_DEG", "group_sky"]

GROUP_CENTRES = {
    "southwest": (199.65, 16.9),
    "southeast": (210.15, 16.9),
    "northwest": (199.3, 26.9),
    "northeast": (210.5, 26.9),
}
"""Right ascension and declination of the patches' centres (ICRS, deg): 10 deg apart, b from 71 to 84."""

GROUP_RADIUS_DEG = 15.0
"""Radius of each patch."""

_MIDDLE = (204.9, 22.0)
_REACH_DEG = 22.5

# Messier 3 at its place in the sky, with its size and motion (Baumgardt & Vasiliev 2021): the circle that
# masks the real cluster masks this one.
_MESSIER_3 = MockCluster(
    "mock Messier 3", "globular cluster", 600, 205.548, 28.377, 10.2, -0.15, -2.67, -147.2,
    half_light_pc=3.4, dispersion=7.0, metallicity=-1.5,
)  # fmt: skip

_STREAMS = (
    MockStream(
        "Dike", 300, 210.0, 17.0, 8.0, 1.22, -5.99, 50.1,
        progenitor_mass=5.0e3, age_gyr=2.0, progenitor_offset_myr=12.0, release_step_myr=1.0,
        tails="trailing",
    ),
    MockStream(
        "Eirene", 600, 205.548, 28.377, 9.0, -5.87, 0.48, -58.2,
        progenitor_mass=1.0e4, age_gyr=2.5, progenitor_offset_myr=-12.0, release_step_myr=1.0,
        tails="leading",
    ),
    MockStream(
        "Eunomia", 1500, 205.0, 22.0, 9.0, -6.03, -8.0, 38.0,
        progenitor_mass=4.0e4, progenitor_offset_myr=14.0, release_step_myr=1.5, release_particles=3,
        tails="trailing",
    ),
)  # fmt: skip


def group_sky(stars_per_patch: float = 45_000, *, streams: bool = True) -> SkyRecipe:
    """Four 15 deg patches with centres 10 deg apart, near the Galactic pole, as one piece of sky.

    Dike (300 stars) lies in the south-east; Eirene (600) runs under the mask of Messier 3; Eunomia (1,500)
    crosses all patches. As in `demo_sky` they are 8 to 9 kpc away and keep to the sparse parts of the
    proper-motion plane. The background is thinned to a share of the Galaxy's
    (`SkyRecipe.density_scale`), so the streams stand out as ones of more stars would over the whole Galaxy.

    Args:
        stars_per_patch: mean number of background stars in each patch (G < 20.2, parallax < 1 mas).
        streams: hide streams in it, or leave it without for null tests.
    """
    whole, patch = (Cone(*_MIDDLE, radius).solid_angle for radius in (_REACH_DEG, GROUP_RADIUS_DEG))
    sky = patch_sky(*_MIDDLE, _REACH_DEG, stars_per_patch * whole / patch, g_max=20.2)
    return replace(sky, streams=_STREAMS if streams else (), clusters=(_MESSIER_3,))
