"""Everything that was found so far in a run: by anomaly scores, by likelihood, or by both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from sky_patches import PatchGeometry
from streams import FoundStream
from via_machinae.cataloguing.patch_search import PatchResult, kept_patch, search_patch
from via_machinae.cataloguing.recipes import null_skies_of
from via_machinae.config import Config
from via_machinae.errors import RunError
from via_machinae.run import Run
from via_machinae.searching import LikelihoodPatch, kept_result, patch_folder, searched_stars
from via_machinae.workers import completed, workers_of

__all__ = ["Findings", "findings_of"]


@dataclass(frozen=True, eq=False)
class Findings:
    """Results of patches, by their names.

    Args:
        anomaly: of the search in anomaly scores.
        likelihood: of the likelihood search.
        left_out: what lies in the run and does not count, in sentences.
    """

    anomaly: dict[str, PatchResult]
    likelihood: dict[str, LikelihoodPatch]
    left_out: tuple[str, ...]

    @property
    def patches(self) -> list[PatchResult | LikelihoodPatch]:
        """All of them: each is a look at the sky."""
        return [*self.anomaly.values(), *self.likelihood.values()]

    def found(self) -> list[FoundStream]:
        """The candidates of all patches and searches."""
        return [stream for patch in self.patches for stream in patch.found()]

    def geometry(self, name: str) -> PatchGeometry:
        """A patch as it was searched, with holes for compact objects where they were looked for."""
        return self.anomaly[name].geometry if name in self.anomaly else self.likelihood[name].geometry

    def row(self, label: str) -> Any:
        """Row of a candidate in its patch's table."""
        return self._place(label)[0]

    def search(self, label: str) -> str:
        """The search that a candidate comes from."""
        return self._place(label)[1]

    def _place(self, label: str) -> tuple[Any, str]:
        name, number = label.rsplit("/", 1)
        if number.startswith("L"):
            return self.likelihood[name].streams[int(number[1:])], "likelihood"
        return self.anomaly[name].streams[int(number)], "anomaly"


def findings_of(
    run: Run, config: Config, *, search_scores: bool, progress: Callable[[], None] | None = None
) -> Findings:
    """What the searches of a run have found.

    Args:
        run: the run.
        config: of the searches.
        search_scores: search the scores of all windows now, where that was not done; false: take what lies
            there.
        progress: called after each null sky of each patch whose scores are searched.

    Raises:
        RunError: windows are still to be scored, or nothing was searched.
    """
    likelihood, left_out = _likelihood(run, config)
    missing, units = len(run.pending()), len(run.units)
    if missing == units and likelihood:
        return Findings({}, likelihood, tuple(left_out))
    if not search_scores:
        anomaly, others = _kept(run, config)
        return Findings(anomaly, likelihood, (*left_out, *others))
    if missing or not units:
        raise RunError(
            f"{run.path} has {missing} of {units} windows still to score: "
            f"run 'via-machinae scan --store {run.store} --run {run.path}' again to finish"
            + ("".join(f"; {line}" for line in left_out))
        )
    return Findings(_search_all(run, config, progress), likelihood, tuple(left_out))


def _search_all(run: Run, config: Config, progress: Callable[[], None] | None) -> dict[str, PatchResult]:
    """The result of each patch; several patches are searched side by side."""
    names = [geometry.name for geometry in run.geometries]
    search = partial(search_patch, run.path, config)
    if len(names) == 1:
        return {names[0]: search(names[0], progress)}
    found = {}
    for name, future in completed(search, names, workers_of(config)):
        found[name] = future.result()
        if progress is not None:
            for _ in range(null_skies_of(config)):
                progress()
    return {name: found[name] for name in names}


def _kept(run: Run, config: Config) -> tuple[dict[str, PatchResult], list[str]]:
    """Patches whose scores were searched before."""
    waiting = {unit.patch for unit in run.pending()}
    found, other = {}, []
    for geometry in run.geometries:
        name = geometry.name
        if name in waiting or not (run.path / "catalog" / "patches" / name).exists():
            continue
        kept = kept_patch(run, config, name)
        if kept is None:
            other.append(name)
        else:
            found[name] = kept
    again = f"'via-machinae catalog --run {run.path}' brings them back"
    return found, [f"{_named(other)} made with other settings from anomaly scores: {again}"] if other else []


def _likelihood(run: Run, config: Config) -> tuple[dict[str, LikelihoodPatch], list[str]]:
    """Patches that the likelihood search is done with."""
    found, other = {}, []
    for geometry in run.geometries:
        name = geometry.name
        if not (patch_folder(run, name) / "log.json").exists():
            continue
        kept = kept_result(searched_stars(run.path, config, name))
        if kept is None:
            other.append(name)
        else:
            found[name] = kept
    again = f"'via-machinae search --store {run.store} --run {run.path}' brings them back"
    return found, [f"{_named(other)} made with other settings by likelihood: {again}"] if other else []


def _named(patches: list[str]) -> str:
    return f"left out: candidates of patch{'es' if len(patches) > 1 else ''} {', '.join(patches)}"
