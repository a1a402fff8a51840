"""A large mock sky written as a catalogue store, in bounded memory and by several processes."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from astropy.table import Table, vstack
from jaxtyping import Int64

from sky_patches.errors import MockError
from sky_patches.mock.clusters import MockCluster, draw_cluster
from sky_patches.mock.identifiers import source_ids
from sky_patches.mock.ordered_jobs import in_order
from sky_patches.mock.recipe import MockStream
from sky_patches.mock.sky_background import draw_pixel
from sky_patches.mock.sky_recipe import SkyRecipe
from sky_patches.mock.sky_survey import SkySurvey
from sky_patches.mock.sky_truth import SkyTruth, cluster_table, no_cluster_members, write_truth
from sky_patches.mock.streams import draw_stream
from sky_patches.mock.truth import Truth, summarise_stream
from sky_patches.store import CatalogStore

__all__ = ["SkyObjects", "WrittenSky", "draw_objects", "sky_tables", "write_sky"]

_BACKGROUND, _STREAM, _CLUSTER = 0, 1, 2
_ROWS_PER_APPEND = 400_000


@dataclass(frozen=True, slots=True)
class SkyObjects:
    """The stars of all streams and clusters of a sky.

    Attributes:
        stars: observed, with source_id.
        truth: what only a test may look at.
    """

    stars: Table
    truth: SkyTruth


@dataclass(frozen=True, slots=True)
class WrittenSky:
    """What became of a recipe.

    Attributes:
        path: directory of the store.
        truth: directory of the truth, beside the stars and outside what a scan reads.
        stars: number of stars in the store.
        members: how many of them belong to streams.
        cluster_members: how many of them belong to globular clusters and dwarf galaxies.
        populations: number of background stars by population.
    """

    path: Path
    truth: Path
    stars: int
    members: int
    cluster_members: int
    populations: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class _ObjectJob:
    """Draw one stream or cluster."""

    survey: SkySurvey
    seed: int

    def __call__(self, recipe: MockStream | MockCluster) -> tuple[Table, Table]:
        kind, draw = (_STREAM, draw_stream) if isinstance(recipe, MockStream) else (_CLUSTER, draw_cluster)
        return draw(recipe, self.survey, _seeds(self.seed, kind, recipe.name).spawn(2)[1])


@dataclass(frozen=True, slots=True)
class _PixelJob:
    """Draw the background of one pixel; the identifiers `taken` there are in use already."""

    recipe: SkyRecipe
    seed: int

    def __call__(self, job: tuple[int, Int64[np.ndarray, " n"]]) -> tuple[int, Table, dict[str, int]]:
        pixel, taken = job
        sequence = np.random.SeedSequence([self.seed, _BACKGROUND, self.recipe.region.order, pixel])
        rng = np.random.default_rng(sequence)
        stars, numbers = draw_pixel(self.recipe.survey, pixel, self.recipe.density_scale, rng)
        place = np.asarray(stars["ra"]), np.asarray(stars["dec"])
        stars.add_column(source_ids(*place, rng, taken=taken), name="source_id", index=0)
        return pixel, stars, numbers


def _seeds(seed: int, kind: int, name: str) -> np.random.SeedSequence:
    return np.random.SeedSequence([seed, kind, crc32(name.encode())])


def draw_objects(recipe: SkyRecipe, seed: int, *, workers: int = 1) -> SkyObjects:
    """The stars of all streams and clusters of a recipe. Each depends on the seed and its own name only.

    Raises:
        MockError: negative seed; an object has too few stars in the footprint that pass the cuts.
    """
    if seed < 0:
        raise MockError(f"seed must be zero or positive, got {seed}")
    objects = (*recipe.streams, *recipe.clusters)
    stars, truth = [], []
    taken = np.zeros(0, dtype=np.int64)
    # Where there is little to do, starting processes would take longer than the work.
    drawn = in_order(_ObjectJob(recipe.survey, seed), objects, workers if len(objects) > 1 else 1)
    for one, (true, observed) in zip(objects, drawn, strict=True):
        kind = _STREAM if isinstance(one, MockStream) else _CLUSTER
        rng = np.random.default_rng(_seeds(seed, kind, one.name).spawn(2)[0])
        ids = source_ids(np.asarray(observed["ra"]), np.asarray(observed["dec"]), rng, taken=taken)
        taken = np.append(taken, ids)
        for table in (true, observed):
            table.add_column(ids, name="source_id", index=0)
        true.add_column(
            np.full(len(true), one.name), name="stream" if kind == _STREAM else "cluster", index=1
        )
        stars.append(observed)
        truth.append(true)
    return SkyObjects(vstack(stars) if stars else Table(), _truth(recipe, truth))


def _truth(recipe: SkyRecipe, drawn: list[Table]) -> SkyTruth:
    streams, clusters = drawn[: len(recipe.streams)], drawn[len(recipe.streams) :]
    summaries = [summarise_stream(table, one) for table, one in zip(streams, recipe.streams, strict=True)]
    return SkyTruth(
        members=vstack(streams) if streams else Truth.no_members(),
        streams=vstack(summaries) if summaries else Truth.no_streams(),
        cluster_members=vstack(clusters) if clusters else no_cluster_members(),
        clusters=cluster_table(recipe.clusters),
    )


def sky_tables(
    recipe: SkyRecipe, seed: int, objects: SkyObjects, *, workers: int = 1
) -> Iterator[tuple[int, Table, dict[str, int]]]:
    """The catalogue pixel by pixel along the HEALPix curve; memory holds a few pixels.

    The result is the same for any number of workers: each pixel has a random sequence of its own. Streams and
    clusters leave the background as it is.

    Args:
        recipe: the sky.
        seed: same seed, same sky.
        objects: what `draw_objects` gave for this recipe and seed.
        workers: processes; 1 works in this one.

    Yields:
        The pixel (of the region's order); its stars in the schema's names and units, sorted by source_id; the
        number of background stars of each population.

    Raises:
        MockError: negative seed, or a worker process was killed.
    """
    if seed < 0:
        raise MockError(f"seed must be zero or positive, got {seed}")
    order, extra = recipe.region.order, objects.stars
    ids = np.asarray(extra["source_id"]) if len(extra) else np.zeros(0, dtype=np.int64)
    homes = ids >> (35 + 2 * (12 - order))
    jobs = ((pixel, ids[homes == pixel]) for pixel in recipe.region.pixels)
    for pixel, background, numbers in in_order(_PixelJob(recipe, seed), jobs, workers):
        here = homes == pixel
        stars = vstack([background, extra[here]]) if here.any() else background
        yield pixel, stars[np.argsort(np.asarray(stars["source_id"]), kind="stable")], numbers


def write_sky(
    recipe: SkyRecipe,
    seed: int,
    path: Path | str,
    *,
    workers: int = 1,
    provenance: Mapping[str, Any] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> WrittenSky:
    """Write a mock sky as a new catalogue store, its truth in `<path>/truth`.

    The store is made aside and renamed when it is whole: an interrupted one leaves nothing at `path`.

    Args:
        recipe: the sky.
        seed: same seed, same stars, whatever the number of workers.
        path: directory of the new store.
        workers: processes that draw the stars; this one writes them.
        provenance: what the store is to say of its origin besides the seed; the recipe belongs to the truth.
        progress: called with (pixels done, pixels in all).

    Raises:
        MockError: there is something at `path`; negative seed; a stream or cluster has too few stars in the
            footprint; no star at all.
        StoreError: the store cannot be written.
    """
    target = Path(path).absolute()
    if target.exists():
        raise MockError(f"{path} exists already: choose a new directory for the mock sky")
    objects = draw_objects(recipe, seed, workers=workers)
    partial = target.with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    store = CatalogStore.create(partial, name=f"mock-sky-{seed}")
    record = {"origin": "mock sky", **(provenance or {}), "seed": seed, "streams": bool(recipe.streams)}
    totals = _append_all(store, sky_tables(recipe, seed, objects, workers=workers), record, recipe, progress)
    summary = {"seed": seed, "stars": len(store), "populations": totals, "recipe": recipe.to_dict()}
    write_truth(objects.truth, summary, partial / "truth")
    partial.rename(target)
    counts = len(objects.truth.members), len(objects.truth.cluster_members)
    return WrittenSky(target, target / "truth", sum(totals.values()) + sum(counts), *counts, totals)


def _append_all(
    store: CatalogStore,
    tables: Iterator[tuple[int, Table, dict[str, int]]],
    record: Mapping[str, Any],
    recipe: SkyRecipe,
    progress: Callable[[int, int], None] | None,
) -> dict[str, int]:
    """Append the tables, some hundred thousand stars at a time; the number of stars of each population."""
    waiting, totals = [], {}
    for done, (_, stars, numbers) in enumerate(tables, start=1):
        waiting.append(stars)
        totals = {name: totals.get(name, 0) + number for name, number in numbers.items()}
        if sum(map(len, waiting)) >= _ROWS_PER_APPEND or done == len(recipe.region.pixels):
            _append(store, vstack(waiting), record)
            waiting = []
        if progress is not None:
            progress(done, len(recipe.region.pixels))
    if len(store) == 0:
        raise MockError(f"the mock sky has no star: raise density_scale (now {recipe.density_scale:.3g})")
    return totals


def _append(store: CatalogStore, stars: Table, record: Mapping[str, Any]) -> None:
    if len(stars) == 0:
        return
    report = store.append(stars, provenance=record)
    if report.duplicates or report.repeated:
        # Possible only for stars that their errors moved over the edge of a pixel.
        raise MockError(
            f"{report.duplicates + report.repeated} stars were given identifiers that are in use: "
            "take another seed"
        )
