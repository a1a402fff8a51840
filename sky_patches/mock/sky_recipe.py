"""The recipe of a large mock sky: a region, a share of the Galaxy's stars, and what is hidden in it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from sky_patches.errors import MockError
from sky_patches.mock.clusters import MockCluster
from sky_patches.mock.cone import Cone
from sky_patches.mock.gaia_errors import GaiaErrors
from sky_patches.mock.random_objects import random_clusters, random_dwarfs, random_streams
from sky_patches.mock.recipe import MockStream
from sky_patches.mock.scanning import ScanningLaw
from sky_patches.mock.sky_background import expected_stars
from sky_patches.mock.sky_region import SkyRegion, pixel_area
from sky_patches.mock.sky_survey import SkySurvey

__all__ = ["SkyRecipe", "all_sky", "patch_sky", "pixel_sky"]

_STARS_PER_PIXEL = 20_000
_FINEST_ORDER = 6


@dataclass(frozen=True, slots=True)
class SkyRecipe:
    """Recipe of a mock Gaia catalogue of any size. `all_sky`, `patch_sky` and `pixel_sky` make one.

    Attributes:
        region: where on the sky.
        density_scale: share of the Galaxy's background stars in the catalogue (the mean of a Poisson
            process); `thinned_to` sets it from a number of stars.
        g_min: brightest observed G.
        g_max: faintest observed G.
        parallax_max: upper limit of the observed parallax in mas; None for no cut.
        errors: Gaia's error model at the mean number of observations.
        scanning: the scanning law; None for the same depth everywhere.
        streams: the streams.
        clusters: globular clusters and dwarf galaxies.

    Raises:
        MockError: a value is out of range or two objects share a name; the message names it.
    """

    region: SkyRegion
    density_scale: float
    g_min: float = 12.0
    g_max: float = 20.5
    parallax_max: float | None = 1.0
    errors: GaiaErrors = field(default_factory=GaiaErrors)
    scanning: ScanningLaw | None = field(default_factory=ScanningLaw)
    streams: tuple[MockStream, ...] = ()
    clusters: tuple[MockCluster, ...] = ()

    def __post_init__(self) -> None:
        if not (math.isfinite(self.density_scale) and self.density_scale > 0.0):
            raise MockError(f"density_scale must be positive, got {self.density_scale}")
        if not 4.0 <= self.g_min < self.g_max <= 20.9:
            raise MockError(
                f"g_min must lie below g_max, both in [4, 20.9]; got {self.g_min} and {self.g_max}"
            )
        names = [one.name for one in (*self.streams, *self.clusters)]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise MockError(
                f"every stream and cluster needs a name of its own; used more than once: {', '.join(twice)}"
            )

    @property
    def survey(self) -> SkySurvey:
        """The cuts that decide which observed stars are in the catalogue."""
        return SkySurvey(self.region, self.g_min, self.g_max, self.parallax_max, self.errors, self.scanning)

    def natural_background(self) -> float:
        """Background stars that the Galaxy has in this survey, to about 20 % (see `luminosity_count`)."""
        return float(expected_stars(self.survey, np.array(self.region.pixels)).sum())

    def thinned_to(self, stars: float) -> SkyRecipe:
        """The recipe with the `density_scale` that gives this many background stars in the mean.

        Raises:
            MockError: no positive number, or a survey in which the Galaxy has no stars.
        """
        natural = self.natural_background()
        if not (math.isfinite(stars) and stars > 0 and natural > 0.0):
            raise MockError(
                f"the number of stars must be positive, in a survey that has some; got {stars}, and the "
                f"Galaxy has {natural:.3g} in this one"
            )
        return replace(self, density_scale=stars / natural)

    def with_random_objects(
        self, seed: int, *, streams: int = 0, clusters: int = 0, dwarfs: int = 0
    ) -> SkyRecipe:
        """The same sky with that many streams, globular clusters and dwarf galaxies, in place of its own.

        Raises:
            MockError: a negative number or seed.
        """
        compact = (*random_clusters(clusters, self.region, seed), *random_dwarfs(dwarfs, self.region, seed))
        return replace(self, streams=random_streams(streams, self.region, seed), clusters=compact)

    def without_streams(self) -> SkyRecipe:
        """The same sky without its streams; all other stars stay as they are."""
        return replace(self, streams=())

    def to_dict(self) -> dict[str, Any]:
        """The recipe as plain numbers, strings and lists, for provenance."""
        return asdict(self)


def all_sky(stars: float, *, b_min_deg: float = 0.0, **settings: Any) -> SkyRecipe:
    """The whole sky, or its part off the plane, with about this many background stars.

    Args:
        stars: mean number of background stars.
        b_min_deg: leave out Galactic latitudes |b| up to this.
        **settings: further attributes of `SkyRecipe` (g_max, scanning, streams, ...).

    Raises:
        MockError: a value is out of range.
    """
    order = _order(stars, 4.0 * math.pi * (1.0 - math.sin(math.radians(b_min_deg))))
    return SkyRecipe(SkyRegion.whole(order, b_min_deg=b_min_deg), 1.0, **settings).thinned_to(stars)


def patch_sky(ra_deg: float, dec_deg: float, radius_deg: float, stars: float, **settings: Any) -> SkyRecipe:
    """A circle on the sky with about this many background stars; otherwise as `all_sky`.

    Raises:
        MockError: a value is out of range.
    """
    if not (math.isfinite(ra_deg) and abs(dec_deg) <= 90.0 and 0.0 < radius_deg <= 180.0):
        raise MockError(
            "a patch needs a centre on the sky and a radius in (0, 180] deg; got "
            f"ra={ra_deg}, dec={dec_deg}, radius={radius_deg}"
        )
    cone = Cone(ra_deg, dec_deg, radius_deg)
    region = SkyRegion.circle(cone, _order(stars, cone.solid_angle))
    return SkyRecipe(region, 1.0, **settings).thinned_to(stars)


def pixel_sky(pixels: Iterable[int], order: int, stars: float, **settings: Any) -> SkyRecipe:
    """Some HEALPix pixels (NESTED) with about this many background stars; otherwise as `all_sky`.

    Raises:
        MockError: a value is out of range.
    """
    return SkyRecipe(SkyRegion.of_pixels(pixels, order), 1.0, **settings).thinned_to(stars)


def _order(stars: float, area: float) -> int:
    """The order at which a pixel holds some thousand stars: less is overhead, more is memory."""
    if not (math.isfinite(stars) and stars > 0):
        raise MockError(f"the number of stars must be positive, got {stars}")
    wanted = stars / _STARS_PER_PIXEL * pixel_area(0) / area
    return int(np.clip(math.ceil(math.log(max(wanted, 1e-9), 4.0)), 0, _FINEST_ORDER))
