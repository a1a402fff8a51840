"""One patch from scores to candidates: a restartable unit, kept in the run and taken from there again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.io.registry import IORegistryError
from astropy.table import Table

from sky_patches import CatalogStore, PatchGeometry, SkyPatchesError
from streams import FoundStream, MemberStars, ProtostreamLog, StreamsError, WindowScores, candidate_rows
from streams.catalog import CATALOG_SCHEMA
from streams.merging import mean_scores
from via_machinae.cataloguing.compact_search import search_compact
from via_machinae.cataloguing.recipes import fiducial_stars, finder_of, null_skies_of
from via_machinae.config import Config
from via_machinae.errors import RunError
from via_machinae.patch_stars import PatchStars, load_patch
from via_machinae.run import Run, atomic_path, write_json
from via_machinae.version import __version__

__all__ = ["PatchResult", "kept_patch", "search_patch", "searched_geometry"]

_TABLES = ("streams", "members", "objects", "object_members")


@dataclass(frozen=True, eq=False)
class PatchResult:
    """What a patch holds, as it lies on disk.

    Args:
        geometry: the patch, with holes where compact objects are masked.
        streams: one row per candidate (`streams.catalog.PATCH_STREAM_COLUMNS`).
        members: every star with a membership probability above 0.01; `candidate` is the row in `streams`.
        objects: one row per compact over-density (`streams.compact.compact_rows`).
        object_members: their stars.
        logs: how each candidate came about.
    """

    geometry: PatchGeometry
    streams: Table
    members: Table
    objects: Table
    object_members: Table
    logs: tuple[ProtostreamLog, ...]

    search = "anomaly"

    def label(self, row: int) -> str:
        """Name of a candidate before it has a rank."""
        return f"{self.geometry.name}/{row}"

    def found(self) -> list[FoundStream]:
        """The candidates as the joining of patches takes them."""
        owner = np.asarray(self.members["candidate"]).astype(str)
        return [
            FoundStream(
                self.label(number), self.geometry, MemberStars.from_table(self.members[owner == str(number)]),
                float(row["significance"]), float(row["false_alarm_probability"]), self.logs[number],
            )
            for number, row in enumerate(self.streams)
        ]  # fmt: skip


def searched_geometry(run: Run, name: str) -> PatchGeometry:
    """A patch as its lines were sought: with a hole for each compact object that was found there.

    Raises:
        RunError: the patch was not searched yet, or its log is damaged.
    """
    path = run.path / "catalog" / "patches" / name / "log.json"
    try:
        return PatchGeometry.from_dict(json.loads(path.read_text(encoding="utf-8"))["geometry"])
    except (OSError, ValueError, TypeError, LookupError, SkyPatchesError) as error:
        raise RunError(
            f"{path} cannot be read ({error}): make the catalogue anew with "
            f"'via-machinae catalog --run {run.path}'"
        ) from error


def search_patch(
    run_path: Path, config: Config, name: str, progress: Callable[[], None] | None = None
) -> PatchResult:
    """Candidates of one patch.

    Args:
        run_path: the run directory.
        config: configuration of the search.
        name: the patch.
        progress: called after each null sky.
    """
    run = Run.open(run_path)
    patch, trainings = _scored(run, name)
    folder = run.path / "catalog" / "patches" / name
    key = _key(config, patch, trainings)
    kept = _kept(folder, key)
    if kept is not None:
        _tell(config, progress)
        return kept
    result = _search(config, patch, trainings, progress)
    _keep(result, folder, key)
    return result


def kept_patch(run: Run, config: Config, name: str) -> PatchResult | None:
    """Candidates of a patch that was searched before, with the same configuration and scores.

    Raises:
        RunError: scores are damaged or missing.
    """
    patch, trainings = _scored(run, name)
    return _kept(run.path / "catalog" / "patches" / name, _key(config, patch, trainings))


def _scored(run: Run, name: str) -> tuple[PatchStars, list[list[WindowScores]]]:
    """The stars of a patch and all their scores."""
    patch = load_patch(CatalogStore.open(run.store), run.geometry(name), run.config)
    return patch, [run.scores(name, patch.source_id), *run.retrained_scores(name, patch.source_id)]


def _search(
    config: Config,
    patch: PatchStars,
    trainings: list[list[WindowScores]],
    progress: Callable[[], None] | None,
) -> PatchResult:
    stars, keep = patch.stream_stars(), fiducial_stars(patch, config)
    objects, clean = search_compact(config, patch, mean_scores(trainings), keep, progress)
    candidates = finder_of(config).find(
        stars, clean.footprint, trainings[0], trainings[1:],
        keep=keep & clean.footprint.contains(*stars.position.T), seed=config.run.seed, progress=progress,
    )  # fmt: skip
    tables = candidate_rows(
        candidates, stars, clean, patch.table,
        threshold=config.significance.threshold, member_threshold=config.membership.threshold,
    )  # fmt: skip
    return PatchResult(clean, *tables, *objects, tuple(candidate.log for candidate in candidates))


def _tell(config: Config, progress: Callable[[], None] | None) -> None:
    """Count the null skies of a patch that was searched before."""
    if progress is not None:
        for _ in range(null_skies_of(config)):
            progress()


def _key(config: Config, patch: PatchStars, trainings: list[list[WindowScores]]) -> str:
    """What a search depends on: version, configuration, stars and scores."""
    digest = hashlib.sha256(f"{__version__} {CATALOG_SCHEMA} {config.anomaly_hash()}".encode())
    digest.update(patch.source_id.tobytes())
    for windows in trainings:
        for window in windows:
            digest.update(f"{window.component} {window.low} {window.high}".encode())
            digest.update(window.rows.tobytes() + window.log_ratio.tobytes())
    return digest.hexdigest()


def _keep(result: PatchResult, folder: Path, key: str) -> None:
    for name in _TABLES:
        table = getattr(result, name).copy(copy_data=False)
        table.meta["made_by"] = key
        with atomic_path(folder / f"{name}.ecsv") as temporary:
            table.write(temporary)
    told = {"geometry": result.geometry.to_dict(), "logs": [log.to_dict() for log in result.logs]}
    write_json(folder / "log.json", {"made_by": key, **told})


def _kept(folder: Path, key: str) -> PatchResult | None:
    """The result of an earlier search with the same configuration and stars, if it is whole."""
    try:
        tables = [Table.read(folder / f"{name}.ecsv") for name in _TABLES]
        told = json.loads((folder / "log.json").read_text(encoding="utf-8"))
        logs = tuple(ProtostreamLog.from_dict(log) for log in told["logs"])
        geometry = PatchGeometry.from_dict(told["geometry"])
        keys = {told["made_by"], *(table.meta.get("made_by") for table in tables)}
    except (OSError, ValueError, TypeError, LookupError, IORegistryError, StreamsError, SkyPatchesError):
        return None
    return PatchResult(geometry, *tables, logs) if keys == {key} else None
