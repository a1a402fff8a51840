"""The directory of a campaign: what was asked, of which run, and a file for each finished unit."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streams import StreamCatalog
from via_machinae.injecting.errors import InjectError
from via_machinae.injecting.grid import InjectionGrid, InjectionUnit, plan
from via_machinae.run import Run, write_json
from via_machinae.version import __version__

__all__ = ["InjectionDirectory"]

MANIFEST = "inject.json"
FORMAT = 1


@dataclass(frozen=True)
class InjectionDirectory:
    """A campaign on disk; everything in it is written whole or not at all.

        inject.json      what was asked, and of which run
        units/*.json     one finished unit each
        null/*.json      maxima of each patch's null skies
        summary.ecsv, trials.ecsv, limits.ecsv, completeness.png

    Args:
        path: the directory.
        run: the finished run whose patches are used.
        grid: the campaign.
        all_windows: every window is scored anew, not only those that hold injected stars.
        fresh_null: null skies are drawn for every unit, not once for each patch.
        members: list of real stream members; "" where none are used.
    """

    path: Path
    run: Path
    grid: InjectionGrid
    all_windows: bool = False
    fresh_null: bool = False
    members: str = ""

    @classmethod
    def begin(
        cls,
        path: Path,
        run: Run,
        grid: InjectionGrid,
        *,
        all_windows: bool = False,
        fresh_null: bool = False,
        members: str = "",
    ) -> InjectionDirectory:
        """Start a campaign, or continue one; the axes of the grid may have grown.

        Raises:
            InjectError: the run is not finished or has no catalogue; the directory holds other files, or a
                campaign of another run or recipe (the message says what differs).
        """
        require_finished(run)
        asked = cls(Path(path), run.path, grid, all_windows, fresh_null, members)
        if (asked.path / MANIFEST).is_file():
            asked._require_same(_read_json(asked.path / MANIFEST), run)
        elif asked.path.exists() and (not asked.path.is_dir() or any(asked.path.iterdir())):
            raise InjectError(f"{path} is not empty and holds no injection campaign: choose a new directory")
        asked.path.mkdir(parents=True, exist_ok=True)
        write_json(asked.path / MANIFEST, asked._manifest(run))
        return asked

    @classmethod
    def open(cls, path: Path) -> InjectionDirectory:
        """Open a campaign.

        Raises:
            InjectError: there is none, or it cannot be read.
        """
        path = Path(path)
        if not (path / MANIFEST).is_file():
            raise InjectError(f"{path} holds no injection campaign: make one with 'via-machinae inject'")
        values = _read_json(path / MANIFEST)
        missing = {"run", "grid", "all_windows", "fresh_null", "members"} - set(values)
        if missing or values.get("format") != FORMAT:
            raise InjectError(
                f"{path / MANIFEST} has format {values.get('format')} and lacks {sorted(missing)}; "
                f"this version reads format {FORMAT}: choose a new directory"
            )
        grid = InjectionGrid.from_dict(values["grid"])
        return cls(
            path, Path(values["run"]), grid, values["all_windows"], values["fresh_null"], values["members"]
        )

    def units(self) -> list[InjectionUnit]:
        """All units of the campaign."""
        return plan(self.grid, [geometry.name for geometry in Run.open(self.run).geometries])

    def unit_path(self, unit: InjectionUnit) -> Path:
        """Where the outcome of a unit lies once it is done."""
        return self.path / "units" / f"{unit.name}.json"

    def pending(self) -> list[InjectionUnit]:
        """Units not done yet."""
        return [unit for unit in self.units() if not self.unit_path(unit).exists()]

    def null_path(self, patch: str) -> Path:
        """Where the null maxima of a patch lie."""
        return self.path / "null" / f"{patch}.json"

    def _manifest(self, run: Run) -> dict[str, Any]:
        return {
            "format": FORMAT, "version": __version__, "run": str(run.path.resolve()), **_identity(run),
            "grid": self.grid.to_dict(), "all_windows": self.all_windows, "fresh_null": self.fresh_null,
            "members": self.members,
        }  # fmt: skip

    def _require_same(self, before: dict[str, Any], run: Run) -> None:
        """Refuse another run or another recipe: units of two of them cannot be counted together."""
        for key, value in _identity(run).items():
            if before.get(key) != value:
                raise InjectError(
                    f"{self.path} is a campaign of another run ({before.get('run')}; {key} is "
                    f"{before.get(key)}, of {run.path} {value}): choose a new directory"
                )
        old = {**InjectionGrid.from_dict(before["grid"]).recipe()}
        new = {**self.grid.recipe()}
        for key in ("all_windows", "fresh_null", "members"):
            old[key], new[key] = before.get(key), getattr(self, key)
        changed = [f"{key} ({old.get(key)} -> {new[key]})" for key in new if old.get(key) != new[key]]
        if changed:
            raise InjectError(
                f"{self.path} was begun with other settings; changed: {', '.join(changed)}. "
                "Use the old ones to continue, or a new directory"
            )


def require_finished(run: Run) -> None:
    """Refuse a run that is not scored to the end, or has no catalogue.

    Raises:
        InjectError: windows are missing, or there is no catalogue.
    """
    missing = len(run.pending())
    if missing:
        raise InjectError(
            f"{run.path} has {missing} of {len(run.units)} windows still to score: finish it with "
            f"'via-machinae scan --store {run.store} --run {run.path}' before streams are injected"
        )
    if not (run.path / "catalog" / "candidates.ecsv").is_file():
        raise InjectError(
            f"{run.path} has no catalogue: make it with 'via-machinae catalog' before streams are injected"
        )


def base_members(run: Run) -> dict[str, Any]:
    """source_id of the members of every candidate that the run has without an injection."""
    catalog = StreamCatalog.read(run.path / "catalog")
    return {str(name): catalog.member_ids(str(name)) for name in catalog.candidates["name"]}


def _identity(run: Run) -> dict[str, Any]:
    """What tells one run from another; not its path, since a run may be moved."""
    return {key: run.manifest[key] for key in ("scoring_hash", "store_checksum", "created")}


def _read_json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InjectError(f"{path} cannot be read ({error}): choose a new directory") from error
    if not isinstance(values, dict):
        raise InjectError(f"{path} holds no campaign: choose a new directory")
    return values
