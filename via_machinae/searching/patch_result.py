"""One patch after the likelihood search, as it lies on disk: everything a report needs."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io.registry import IORegistryError
from astropy.table import Table

from sky_patches import PatchGeometry, SkyPatchesError
from streams import FoundStream, MemberStars
from via_machinae.run import Run, atomic_path, write_json

__all__ = ["LikelihoodPatch", "clumps_in", "keep_patch", "kept_patch", "patch_folder"]

LEAST_STARS = 3
"""Of a candidate that can be described; with fewer it stays in the patch's table."""
_TABLES = ("streams", "members", "hypotheses")


@dataclass(frozen=True, eq=False)
class LikelihoodPatch:
    """What the likelihood search found in a patch.

    Args:
        geometry: the patch.
        streams: one row per candidate (`streams.catalog.LIKELIHOOD_STREAM_COLUMNS`).
        members: every star with a membership probability above 0.01; `candidate` is the row in `streams`.
        hypotheses: every distinct hypothesis that was looked at closely (`HYPOTHESIS_COLUMNS`), and which
            are compact groups (`CLUMP_COLUMNS`).
        told: how each candidate came about, in sentences.
        clumps: a sentence for each compact group that is as significant as a candidate.
        left: stars that the background of the fits was not learned from; 0: it is the one of the search.
        calibration: `law` (the numbers of the law of chance), `null` (the best significance of each searched
            null sky; empty: the patch's own lesser hypotheses were used) and `populations` (ridge, modulus).
        arrays: `maxima` of each population and cell of proper motion; `hypothesis_stars`, `hypothesis_id` and
            `hypothesis_weight` (source_id and weight of the stars of each hypothesis, one after the other);
            of each candidate `parameters` and `covariance` of the refinement, in the order of `names`.
    """

    geometry: PatchGeometry
    streams: Table
    members: Table
    hypotheses: Table
    told: tuple[tuple[str, ...], ...]
    clumps: tuple[str, ...]
    left: int
    calibration: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray]

    search = "likelihood"

    def label(self, row: int) -> str:
        """Name of a candidate before it has a rank."""
        return f"{self.geometry.name}/L{row}"

    def found(self) -> list[FoundStream]:
        """The candidates as the joining of patches takes them; two stars have no track."""
        owner = np.asarray(self.members["candidate"]).astype(str)
        return [
            FoundStream(
                self.label(number), self.geometry, MemberStars.from_table(self.members[owner == str(number)]),
                float(row["significance"]), float(row["false_alarm_probability"]), search=self.search,
            )
            for number, row in enumerate(self.streams)
            if (owner == str(number)).sum() >= LEAST_STARS
        ]  # fmt: skip


def patch_folder(run: Run, name: str) -> Path:
    """Where the results of a patch lie."""
    return run.path / "search" / "patches" / name


def keep_patch(result: LikelihoodPatch, folder: Path, key: str) -> None:
    """Write a result; without the last file, the log, the others count for nothing."""
    for name in _TABLES:
        table = getattr(result, name).copy(copy_data=False)
        table.meta["made_by"] = key
        with atomic_path(folder / f"{name}.ecsv") as temporary:
            table.write(temporary)
    with atomic_path(folder / "search.npz") as temporary:
        np.savez(temporary, made_by=np.array(key), **result.arrays)
    log = {
        "made_by": key,
        "geometry": result.geometry.to_dict(),
        "calibration": dict(result.calibration),
        "told": [list(lines) for lines in result.told],
        "clumps": list(result.clumps),
        "left": result.left,
    }
    write_json(folder / "log.json", log)


def kept_patch(folder: Path, key: str) -> LikelihoodPatch | None:
    """The result of an earlier search of the same stars in the same way, if it is whole."""
    try:
        log = json.loads((folder / "log.json").read_text(encoding="utf-8"))
        if log["made_by"] != key:
            return None
        tables = [Table.read(folder / f"{name}.ecsv") for name in _TABLES]
        with np.load(folder / "search.npz", allow_pickle=False) as saved:
            arrays = {name: saved[name] for name in saved.files}
        geometry = PatchGeometry.from_dict(log["geometry"])
        told = tuple(tuple(lines) for lines in log["told"])
        keys = {str(arrays.pop("made_by")), *(table.meta.get("made_by") for table in tables)}
        calibration, clumps, left = log["calibration"], tuple(log["clumps"]), int(log["left"])
    except (
        OSError, EOFError, ValueError, TypeError, LookupError, zipfile.BadZipFile, IORegistryError,
        SkyPatchesError,
    ):  # fmt: skip
        return None
    if keys != {key}:
        return None
    return LikelihoodPatch(geometry, *tables, told, clumps, left, calibration, arrays)


def clumps_in(folder: Path) -> tuple[str, ...]:
    """The compact groups of a patch whose result is known to be whole: a sentence each."""
    return tuple(json.loads((folder / "log.json").read_text(encoding="utf-8"))["clumps"])
