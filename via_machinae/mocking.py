"""The job behind `mock`: the demo's small sky, or one of any size."""

from __future__ import annotations

from pathlib import Path

from sky_patches.mock import SkyRecipe, all_sky, patch_sky
from via_machinae.errors import ConfigError
from via_machinae.ingest import make_large_mock, make_mock
from via_machinae.terminal import console, rate_bar

__all__ = ["large_mock_job", "small_mock_job"]


def small_mock_job(store: Path, seed: int, *, streams: bool) -> None:
    """Write the demo's sky and say where it is."""
    stars, truth = make_mock(store, seed, streams=streams)
    console.print(f"{stars:,} stars in {store}; truth in {truth}")


def large_mock_job(
    store: Path,
    seed: int,
    *,
    stars: float,
    cone: tuple[float, float, float] | None,
    b_min: float,
    hidden: tuple[int, int, int],
    workers: int,
) -> None:
    """Write a mock of the whole sky or of a cone, with progress, and say where it is.

    Args:
        store: directory of the new store.
        seed: same seed, same sky.
        stars: how many, about.
        cone: (ra, dec, radius), deg; None: the whole sky.
        b_min: least |b| of a whole sky, deg.
        hidden: numbers of streams, globular clusters and dwarf galaxies.
        workers: processes.

    Raises:
        ConfigError: fewer than one star.
        RunError: the store exists.
        MockError: the sky cannot be made.
    """
    if not stars >= 1:
        raise ConfigError(f"--stars is the number of stars, 1 or more; got {stars:g}")
    recipe = _recipe(stars, cone, b_min)
    streams, clusters, dwarfs = hidden
    recipe = recipe.with_random_objects(seed, streams=streams, clusters=clusters, dwarfs=dwarfs)
    with rate_bar("pixels", "") as told:
        written = make_large_mock(
            store, seed, recipe, workers=workers, progress=lambda done, total: told(done, total, 0)
        )
    console.print(f"{written.stars:,} stars in {store}; truth in {store / 'truth'}")


def _recipe(stars: float, cone: tuple[float, float, float] | None, b_min: float) -> SkyRecipe:
    if cone is None:
        return all_sky(stars, b_min_deg=b_min)
    ra, dec, radius = cone
    return patch_sky(ra, dec, radius, stars)
