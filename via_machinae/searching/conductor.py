"""The likelihood search of all patches of a run: backgrounds, null skies, patches; each kept when done."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from via_machinae.background import FEWEST_STARS
from via_machinae.config import Config
from via_machinae.errors import RunError
from via_machinae.run import Run
from via_machinae.searching.keys import null_key
from via_machinae.searching.units import (
    SearchedStars,
    kept_result,
    kept_sky,
    learn_patch,
    search_null_sky,
    search_patch,
    searched_stars,
)
from via_machinae.workers import completed, workers_of

__all__ = ["Bar", "SearchPlan", "plan_search", "search_run"]

Bar = Callable[[str], AbstractContextManager[Callable[[int, int], None]]]
"""Opens a progress bar of that name: a function of (steps done, steps in all)."""
Job = TypeVar("Job")


@dataclass(frozen=True)
class SearchPlan:
    """What is left to do.

    Args:
        done: patches that were searched before in the same way.
        patches: those to be searched.
        skies: null skies to be searched, (patch, number).
        thin: patches with too few stars for a background.
        bare: patches that are searched without ridges, by proper motion and position alone.
    """

    done: tuple[str, ...]
    patches: tuple[str, ...]
    skies: tuple[tuple[str, int], ...]
    thin: tuple[str, ...]
    bare: tuple[str, ...]


def plan_search(run: Run, config: Config) -> SearchPlan:
    """Look what is on disk.

    Raises:
        RunError: no patch has stars enough, or ridges that the stars cannot have.
    """
    counts = run.manifest["stars"]
    names = [geometry.name for geometry in run.geometries]
    thin = tuple(name for name in names if counts[name] < FEWEST_STARS)
    if len(thin) == len(names):
        raise RunError(
            f"no patch of {run.path} has the {FEWEST_STARS} stars that a background needs "
            f"(stars after the cuts: {list(counts.values())}): widen the patch or the cuts"
        )
    done, patches, skies, bare = [], [], [], []
    for name in names:
        if name in thin:
            continue
        stars = searched_stars(run.path, config, name)
        if not stars.ridges:
            bare.append(name)
        if kept_result(stars) is not None:
            done.append(name)
            continue
        patches.append(name)
        skies += [(name, number) for number in _missing(stars)]
    return SearchPlan(tuple(done), tuple(patches), tuple(skies), thin, tuple(bare))


def _missing(stars: SearchedStars) -> Iterator[int]:
    """Numbers of the null skies that were not searched yet."""
    key = null_key(stars.config, stars.patch, stars.ridges)
    for number in range(stars.config.search.null_skies):
        if kept_sky(stars, number, key) is None:
            yield number


def search_run(run: Run, config: Config, plan: SearchPlan | None = None, bar: Bar | None = None) -> None:
    """Search all patches that are not searched yet.

    Independent units go to worker processes with one thread each; a single unit has all threads. Interrupting
    loses only what is at work; calling again continues. Results do not depend on the number of workers.

    Args:
        run: a planned run; its windows need no scores.
        config: its configuration; sections that scores do not depend on may differ from the run's own.
        plan: by `plan_search`.
        bar: shows progress.

    Raises:
        RunError: a patch cannot be searched (the message names it), or a worker process was killed.
    """
    plan = plan_search(run, config) if plan is None else plan
    bar = _silent if bar is None else bar
    workers = workers_of(config)
    if plan.patches:
        _each(bar, "learning backgrounds", partial(learn_patch, run.path, config), plan.patches, workers)
        _each(bar, "null skies", partial(search_null_sky, run.path, config), plan.skies, workers)
        _each(bar, "searching patches", partial(search_patch, run.path, config), plan.patches, workers)


def _each(bar: Bar, label: str, function: Callable[..., Any], jobs: Sequence[Job], workers: int) -> None:
    """Jobs side by side, or one with all threads."""
    if not jobs:
        return
    with bar(label) as show:
        if len(jobs) == 1:
            function(jobs[0], threads=workers, progress=show)
            return
        threads = max(1, workers // len(jobs))
        for done, (_, future) in enumerate(completed(partial(function, threads=threads), jobs, workers), 1):
            future.result()
            show(done, len(jobs))


@contextmanager
def _silent(label: str) -> Iterator[Callable[[int, int], None]]:
    yield lambda done, total: None
