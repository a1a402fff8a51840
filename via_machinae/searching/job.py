"""The job behind `search`, with its progress and its words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from via_machinae.config import Config
from via_machinae.jobs import catalogue_job
from via_machinae.run import Run
from via_machinae.scan import plan_run
from via_machinae.searching.conductor import SearchPlan, plan_search, search_run
from via_machinae.searching.patch_result import clumps_in, patch_folder
from via_machinae.terminal import console, rate_bar

__all__ = ["search_job"]


def search_job(store: Path, run_path: Path, config: Config) -> Run:
    """Plan or continue a run, search its patches by likelihood and write the catalogue."""
    run = plan_run(store, run_path, config, scored=False)
    plan = plan_search(run, config)
    _tell(run, config, plan)
    search_run(run, config, plan, _bar)
    _tell_clumps(run, plan)
    catalogue_job(run, config, search_scores=False)
    return run


def _tell(run: Run, config: Config, plan: SearchPlan) -> None:
    stars = sum(run.manifest["stars"].values())
    console.print(f"{len(run.geometries)} patch(es), {stars:,} stars; run {run.path}")
    for name in plan.thin:
        count = run.manifest["stars"][name]
        console.print(f"  patch {name}: not searched, {count} stars are too few to learn a background")
    if plan.bare and config.search.ridges == "auto":
        console.print(
            f"  without colours, searched by proper motion and position alone: {', '.join(plan.bare)}"
        )
    if plan.done:
        console.print(f"continuing: {len(plan.done)} patches are done already")
    if plan.patches and config.search.null_skies == 0:
        console.print(
            "false-alarm probabilities: from the patches' own lesser hypotheses (search.null_skies = 0)"
        )


def _tell_clumps(run: Run, plan: SearchPlan) -> None:
    for name in sorted((*plan.done, *plan.patches)):
        for sentence in clumps_in(patch_folder(run, name)):
            console.print(f"  patch {name}: {sentence}")


@contextmanager
def _bar(label: str) -> Iterator[Callable[[int, int], None]]:
    with rate_bar(label, "") as show:
        yield lambda done, total: show(done, total, 0)
