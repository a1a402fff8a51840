"""A run directory: what is to be done, what is done, and where everything lies."""

from __future__ import annotations

import json
import os
import uuid
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from sky_patches import PatchGeometry
from streams import WindowScores
from via_machinae.config import Config, config_from
from via_machinae.errors import RunError
from via_machinae.version import __version__

__all__ = ["RETRAINED", "Run", "Unit", "atomic_path"]

FORMAT = 1
RETRAINED = "retrained"
"""Name of the retrainings' scores in a file of scores, shape (retrainings - 1, stars)."""
MANIFEST = "run.json"
_KEYS = {"config", "patches", "scoring_hash", "stars", "store", "store_checksum", "units"}


@dataclass(frozen=True)
class Unit:
    """The unit of work: one window of one component in one patch. Restartable, independent of all others.

    Args:
        patch: name of the patch.
        component: the resonant component.
        low, high: the window, mas/yr.
    """

    patch: str
    component: str
    low: float
    high: float

    @property
    def label(self) -> str:
        """File name of its scores."""
        return f"{self.component}_{self.low:+09.3f}_{self.high:+09.3f}.npz"


@dataclass(frozen=True)
class Run:
    """A run on disk. Everything in it is written whole or not at all.

        run.json                      configuration, provenance, patches, units
        patches/NAME/scores/*.npz     scores of each finished unit
        patches/NAME/background*.npz  background that the likelihood search divides by
        search/patches/NAME/          what the likelihood search found
        catalog/                      candidates and members, ECSV and FITS
        figures/                      one per candidate

    Args:
        path: the directory.
        config: its configuration.
        store: path of the star catalogue.
        manifest: the content of run.json.
    """

    path: Path
    config: Config
    store: Path
    manifest: dict[str, Any]

    @staticmethod
    def exists(path: Path) -> bool:
        """True if `path` holds a run."""
        return (Path(path) / MANIFEST).is_file()

    @classmethod
    def create(
        cls,
        path: Path,
        config: Config,
        store: Path,
        *,
        geometries: list[PatchGeometry],
        units: list[Unit],
        provenance: dict[str, Any],
    ) -> Run:
        """Start a run.

        Raises:
            RunError: the directory holds other files.
        """
        path = Path(path)
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise RunError(f"{path} is not empty and holds no run: choose a new directory")
        path.mkdir(parents=True, exist_ok=True)
        manifest = {
            "format": FORMAT,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "version": __version__,
            "config": config.model_dump(mode="json"),
            "config_hash": config.hash(),
            "scoring_hash": config.scoring_hash(),
            "store": str(Path(store).resolve()),
            "patches": [geometry.to_dict() for geometry in geometries],
            "units": [[unit.patch, unit.component, unit.low, unit.high] for unit in units],
            **provenance,
        }
        write_json(path / MANIFEST, manifest)
        return cls(path, config, Path(store), manifest)

    @classmethod
    def open(cls, path: Path) -> Run:
        """Open a run.

        Raises:
            RunError: no run there, or one that this version cannot read.
        """
        path = Path(path)
        if not cls.exists(path):
            raise RunError(
                f"{path} is no run directory (no {MANIFEST} in it): make one with 'via-machinae scan'"
            )
        try:
            manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise RunError(
                f"{path / MANIFEST} cannot be read ({error}): the run must be made anew"
            ) from error
        if not isinstance(manifest, dict):
            raise RunError(f"{path / MANIFEST} holds no run: choose another directory")
        if manifest.get("format") != FORMAT:
            raise RunError(
                f"{path} has run format {manifest.get('format')}, this version reads {FORMAT}: "
                f"it was written by via-machinae {manifest.get('version')}"
            )
        missing = _KEYS - set(manifest)
        if missing:
            raise RunError(f"{path / MANIFEST} lacks {sorted(missing)}: the run must be made anew")
        config = config_from(manifest["config"], str(path / MANIFEST))
        return cls(path, config, Path(manifest["store"]), manifest)

    def at_store(self, store: Path) -> Run:
        """The same run on a store that was moved; the manifest is told."""
        manifest = {**self.manifest, "store": str(Path(store).resolve())}
        if manifest != self.manifest:
            write_json(self.path / MANIFEST, manifest)
        return replace(self, store=Path(manifest["store"]), manifest=manifest)

    def require(self, config: Config, checksum: str) -> None:
        """Refuse a configuration or stars that do not belong to the scores of this run.

        Args:
            config: a configuration; sections that scores do not depend on may differ.
            checksum: of the store.

        Raises:
            RunError: something differs; the message names every changed key.
        """
        if self.manifest["store_checksum"] != checksum:
            raise RunError(
                f"{self.path} was begun on other stars than the store {self.store} holds now: "
                "scan into a new run directory"
            )
        # Not the manifest's hash: a version that knows more keys reads their defaults into an old run.
        if self.config.scoring_hash() != config.scoring_hash():
            changed = _differences(self.config.scoring_values(), config.scoring_values())
            raise RunError(
                f"{self.path} was begun with another configuration; changed: {', '.join(changed)}. "
                "Use the old one to continue, or a new run directory"
            )

    @property
    def geometries(self) -> list[PatchGeometry]:
        """The patches."""
        return [PatchGeometry.from_dict(values) for values in self.manifest["patches"]]

    def geometry(self, name: str) -> PatchGeometry:
        """A patch by its name."""
        return next(geometry for geometry in self.geometries if geometry.name == name)

    @property
    def units(self) -> list[Unit]:
        """All units of work, in order."""
        return [Unit(*values) for values in self.manifest["units"]]

    def scores_path(self, unit: Unit) -> Path:
        """Where the scores of a unit lie once it is done."""
        return self.path / "patches" / unit.patch / "scores" / unit.label

    def pending(self) -> list[Unit]:
        """Units not done yet."""
        return [unit for unit in self.units if not self.scores_path(unit).exists()]

    def scores(self, patch: str, source_id: np.ndarray) -> list[WindowScores]:
        """Scores of a patch, as rows of its stars (`source_id` ascending).

        Raises:
            RunError: a file is damaged (the message says how to redo it) or belongs to other stars.
        """
        return [self._read(unit, source_id)[0] for unit in self.units if unit.patch == patch]

    def retrained_scores(self, patch: str, source_id: np.ndarray) -> list[list[WindowScores]]:
        """Scores of a patch by each further training (`detector.retrainings`): one list each, as `scores`.

        Raises:
            RunError: as `scores`.
        """
        units = [self._read(unit, source_id) for unit in self.units if unit.patch == patch]
        return [[scores[number] for scores in units] for number in range(1, self.config.detector.retrainings)]

    def _read(self, unit: Unit, source_id: np.ndarray) -> list[WindowScores]:
        path, trainings = self.scores_path(unit), self.config.detector.retrainings
        try:
            with np.load(path) as saved:
                ids = saved["source_id"]
                scores = [saved["log_ratio"], *(saved[RETRAINED] if trainings > 1 else ())]
        except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            raise RunError(
                f"{path} cannot be read ({error}): delete it and scan again, only it is redone"
            ) from error
        if len(scores) != trainings:
            raise RunError(
                f"{path} holds {len(scores)} of {trainings} trainings: delete it and scan again, "
                "only it is redone"
            )
        rows = np.searchsorted(source_id, ids)
        if not np.array_equal(source_id[np.minimum(rows, len(source_id) - 1)], ids):
            raise RunError(
                f"{path} holds stars that the store {self.store} no longer has: scan into a new run"
            )
        return [WindowScores(unit.component, unit.low, unit.high, rows, one) for one in scores]


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not mkstemp: its files are closed to the group with which a run may be shared.
    temporary = path.with_name(f".{uuid.uuid4().hex}{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _differences(old: dict[str, Any], new: dict[str, Any], prefix: str = "") -> list[str]:
    found = []
    for key in old:
        if isinstance(old[key], dict):
            found += _differences(old[key], new[key], f"{prefix}{key}.")
        elif old[key] != new[key]:
            found.append(f"{prefix}{key} ({old[key]} -> {new[key]})")
    return found


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Write JSON atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
