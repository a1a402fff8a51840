"""The restartable units of a likelihood search: a background, a null sky, a patch."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from density import DensityError, child_seed
from sky_patches import CatalogStore
from streams import StreamsError
from streams.ridges import Ridge
from via_machinae.background import (
    BackgroundError,
    BackgroundRecipe,
    PatchBackground,
    Relearned,
    fit_stars,
    patch_background,
    sample_sky,
)
from via_machinae.config import Config
from via_machinae.errors import RunError
from via_machinae.patch_stars import PatchStars, load_patch
from via_machinae.run import Run, write_json
from via_machinae.searching.keys import null_key, unit_key
from via_machinae.searching.patch_result import LikelihoodPatch, keep_patch, kept_patch, patch_folder
from via_machinae.searching.recipes import background_recipe, likelihood_search_of, ridges_of, search_recipe
from via_machinae.searching.relearning import SharedBar, keep_relearned, learned_anew, relearned_folder
from via_machinae.searching.tables import result_of
from via_machinae.workers import one_thread

__all__ = [
    "SearchedStars",
    "kept_result",
    "kept_sky",
    "learn_patch",
    "search_null_sky",
    "search_patch",
    "searched_stars",
]

Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class SearchedStars:
    """A patch of a run with all that its search depends on.

    Args:
        run: the run.
        config: of the search.
        patch: the stars; those in masks are gone, and the masks are holes of the footprint.
        ridges: of a stream's stars; empty: proper motions alone.
    """

    run: Run
    config: Config
    patch: PatchStars
    ridges: tuple[Ridge, ...]

    @property
    def name(self) -> str:
        """Of the patch."""
        return self.patch.geometry.name

    @property
    def recipe(self) -> BackgroundRecipe:
        """How its background is learned."""
        return background_recipe(self.config, photometry=bool(self.ridges))

    def background(self, progress: Callable[[], None] | None = None) -> PatchBackground:
        """Its background, from disk or learned now."""
        return patch_background(self.run, self.patch, self.recipe, progress=progress)

    def sky_path(self, number: int) -> Path:
        """Where the maximum of a null sky lies."""
        return patch_folder(self.run, self.name) / "null" / f"{number:04d}.json"


def searched_stars(run_path: Path, config: Config, name: str) -> SearchedStars:
    """Read a patch of a run.

    Raises:
        RunError: ridges that these stars cannot have.
    """
    run = Run.open(run_path)
    patch = load_patch(CatalogStore.open(run.store), run.geometry(name), run.config)
    return SearchedStars(run, config, patch, ridges_of(config, patch.features))


def learn_patch(
    run_path: Path, config: Config, name: str, *, threads: int = 1, progress: Progress | None = None
) -> None:
    """Learn the background of a patch and keep it.

    Args:
        run_path: the run directory.
        config: of the search.
        name: the patch.
        threads: not used: more than one gains nothing.
        progress: called with (epochs done, epochs in all).

    Raises:
        RunError: it cannot be learned; the message names the patch.
    """
    with _naming(name), one_thread():
        stars = searched_stars(run_path, config, name)
        epochs = stars.recipe.epochs * stars.recipe.folds
        stars.background(None if progress is None else _counted(progress, epochs))


def search_null_sky(
    run_path: Path,
    config: Config,
    sky: tuple[str, int],
    *,
    threads: int = 1,
    progress: Progress | None = None,
) -> float:
    """Draw a sky without streams from a patch's background, learn a background from it, and search it.

    So the errors of learning are in the null too. Returns the significance of its best hypothesis, and keeps
    it.

    Args:
        run_path: the run directory.
        config: of the search.
        sky: the patch and the number of the sky.
        threads: that share the search.
        progress: called with (steps done, steps in all).

    Raises:
        RunError: it cannot be searched; the message names the patch.
    """
    from streams.likelihood import search

    name, number = sky
    with _naming(name):
        here = searched_stars(run_path, config, name)
        footprint, seed = here.patch.geometry.footprint, config.run.seed
        drawn = sample_sky(
            here.background(), here.patch.stream_stars(), footprint,
            seed=child_seed(seed, "null sky", name, number), positions=config.search.null_positions,
        )  # fmt: skip
        with one_thread():
            learned = fit_stars(
                drawn.stars, footprint, here.recipe, seed=child_seed(seed, "null background", name, number)
            )
        result = search(
            drawn.stars, footprint, learned.log_density, search_recipe(config), here.ridges,
            threads=threads, progress=progress,
        )  # fmt: skip
        made_by = null_key(config, here.patch, here.ridges)
        write_json(here.sky_path(number), {"made_by": made_by, "significance": result.maximum})
    return result.maximum


def kept_sky(stars: SearchedStars, number: int, key: str) -> float | None:
    """The best significance of a null sky that was searched in the same way before.

    Args:
        stars: the patch.
        number: of the sky.
        key: `null_key` of the search.
    """
    try:
        kept = json.loads(stars.sky_path(number).read_text(encoding="utf-8"))
        return float(kept["significance"]) if kept["made_by"] == key else None
    except (OSError, ValueError, TypeError, LookupError):
        return None


def search_patch(
    run_path: Path, config: Config, name: str, *, threads: int = 1, progress: Progress | None = None
) -> LikelihoodPatch:
    """Search a patch over its background and keep everything; null skies are searched if they are missing.

    Candidates are fitted anew over a background that was learned without them (`search.relearn`).

    Args:
        run_path: the run directory.
        config: of the search.
        name: the patch.
        threads: that share the patch.
        progress: called with (steps done, steps in all).

    Raises:
        RunError: it cannot be searched; the message names the patch.
    """
    with _naming(name):
        here = searched_stars(run_path, config, name)
        null, key = _null(run_path, here, threads), unit_key(config, here.patch, here.ridges)
        better = _found(here, null, threads, progress)
        keep_relearned(better, relearned_folder(here.run, name), key)
        result = result_of(
            better.found, here.patch, here.patch.stream_stars(), config, null, left=better.left
        )
        keep_patch(result, patch_folder(here.run, name), key)
    return result


def _found(here: SearchedStars, null: list[float], threads: int, progress: Progress | None) -> Relearned:
    """Candidates of a patch, and the background that they are fitted over."""
    rounds, recipe = here.config.search.relearn, here.recipe
    bar = SharedBar(progress or _unseen, rounds, recipe.epochs * recipe.folds)
    stars, footprint = here.patch.stream_stars(), here.patch.geometry.footprint
    finder = likelihood_search_of(here.config, here.ridges, threads)
    background = here.background()
    found = finder.find(stars, footprint, background.log_density, null=null or None, progress=bar.searched)
    better = learned_anew(
        finder, found, background, stars, footprint,
        seed=child_seed(here.config.run.seed, "relearned background", here.name), rounds=rounds,
        progress=bar.learned_one,
    )  # fmt: skip
    apart = finder.told_apart(better.found, stars, footprint, better.background.log_density)
    bar.finish()
    return replace(better, found=apart)


def _null(run_path: Path, here: SearchedStars, threads: int) -> list[float]:
    key = null_key(here.config, here.patch, here.ridges)
    found = []
    for number in range(here.config.search.null_skies):
        kept = kept_sky(here, number, key)
        if kept is None:
            kept = search_null_sky(run_path, here.config, (here.name, number), threads=threads)
        found.append(kept)
    return found


def kept_result(stars: SearchedStars) -> LikelihoodPatch | None:
    """The result of an earlier search of the same stars in the same way."""
    key = unit_key(stars.config, stars.patch, stars.ridges)
    return kept_patch(patch_folder(stars.run, stars.name), key)


def _unseen(done: int, total: int) -> None:
    """Progress that nobody watches."""


def _counted(progress: Progress, total: int) -> Callable[[], None]:
    done = 0

    def step() -> None:
        nonlocal done
        done += 1
        progress(done, total)

    return step


@contextmanager
def _naming(name: str) -> Iterator[None]:
    """What goes wrong in a patch is told with its name."""
    try:
        yield
    except (BackgroundError, DensityError, StreamsError) as error:
        raise RunError(f"patch {name!r}: {error}") from error
