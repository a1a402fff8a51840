"""One trial: a stream put into a patch, scored, searched, and compared with what was put there."""

from __future__ import annotations

import time
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table

from density import DensityError
from sky_patches.mock import MockStream
from streams.injection import (
    InjectedStream,
    InjectionError,
    ModelStream,
    MovedMembers,
    Place,
    SprayStream,
    StreamMaker,
    read_members,
    surface_brightness,
    surface_density,
)
from via_machinae.errors import RunError
from via_machinae.injecting.comparing import judged
from via_machinae.injecting.directory import InjectionDirectory
from via_machinae.injecting.field import Field, field_of, with_stars
from via_machinae.injecting.grid import Cell, InjectionUnit
from via_machinae.injecting.rescoring import rescored, touched
from via_machinae.injecting.searching import searched
from via_machinae.run import write_json

__all__ = ["inject_one", "made_stream", "run_trial"]

_SPRAY_PARTICLES = 6
"""Released per step and tail: enough that a patch of ten degrees shows a thousand stars."""


def inject_one(path: Path, unit: InjectionUnit) -> dict[str, Any]:
    """Do one unit and write its file; called in a worker process.

    A stream that cannot be made there (an orbit that fails, real members that miss the patch) is an outcome
    too: it is written with its `problem` and counts in no fraction.

    Raises:
        RunError: the run is damaged, or a detector could not be trained (the message names the unit).
    """
    directory = InjectionDirectory.open(path)
    try:
        outcome = run_trial(directory, unit)
    except InjectionError as error:
        outcome = {**_named(unit), "problem": str(error)}
    except DensityError as error:
        raise RunError(f"injection {unit.name}: {error}") from error
    write_json(directory.unit_path(unit), outcome)
    return outcome


def run_trial(directory: InjectionDirectory, unit: InjectionUnit) -> dict[str, Any]:
    """The outcome of one unit, as plain values.

    Raises:
        InjectionError: the stream cannot be made.
        DensityError: a detector could not be trained.
    """
    start = time.perf_counter()
    field = field_of(str(directory.run), unit.patch)
    stream = made_stream(directory, field, unit)
    patch, ids = with_stars(field, stream.stars, unit.cell.stars)
    injected = stream.stars[np.isin(np.asarray(stream.stars["source_id"]), ids)]
    trainings = rescored(field, patch, ids, all_windows=directory.all_windows)
    candidates = searched(directory, field, patch, trainings)
    truth = None if directory.grid.shuffled else stream.truth
    outcome = judged(
        candidates, patch.stream_stars(), patch.geometry, injected, truth, field.known, field.run.config
    )
    return {
        **_named(unit), "problem": "", "stars": len(ids), **_brightness(injected, stream),
        "truth": stream.truth.to_dict(), "windows_rescored": _rescored_count(directory, field, patch, ids),
        **outcome, "seconds": time.perf_counter() - start,
    }  # fmt: skip


def made_stream(directory: InjectionDirectory, field: Field, unit: InjectionUnit) -> InjectedStream:
    """The stream of a unit, before the cuts; it follows from the unit's name and the campaign's seed.

    Raises:
        InjectionError: it cannot be made there.
    """
    rng = np.random.default_rng(unit.seed(directory.grid.seed))
    place = Place.random(field.patch.geometry, _motion(field, unit.cell, rng), rng)
    maker = _maker(directory, unit.cell, rng)
    stream = maker.make(place, field.survey, field.patch.geometry, unit.cell.stars, rng)
    return _scattered(stream, field, rng) if directory.grid.shuffled else stream


def _motion(field: Field, cell: Cell, rng: np.random.Generator) -> tuple[float, float]:
    if cell.motion is not None:
        return cell.motion
    angle, offset = rng.uniform(0.0, 2 * np.pi), cell.offset or 0.0
    first, second = field.densest
    return first + offset * float(np.cos(angle)), second + offset * float(np.sin(angle))


def _maker(directory: InjectionDirectory, cell: Cell, rng: np.random.Generator) -> StreamMaker:
    grid = directory.grid
    if grid.kind == "members":
        return MovedMembers(
            _members(directory.members), cell.stream or 0, modulus_shift=cell.shift or 0.0, length=grid.length
        )
    distance = cell.distance or 0.0
    if grid.kind == "spray":
        # Where along its orbit the stream is seen, and how fast it goes away, is the orbit's own affair.
        recipe = MockStream(
            "spray", max(cell.stars, 1), 0.0, 0.0, distance, 0.0, 0.0, float(rng.normal(0.0, 120.0)),
            metallicity=grid.metallicity, release_particles=_SPRAY_PARTICLES,
        )  # fmt: skip
        return SprayStream(recipe)
    slope = rng.uniform(-grid.gradient, grid.gradient, 2)
    return ModelStream(
        cell.width or 0.0, grid.length, distance, grid.metallicity, grid.dispersion,
        (float(slope[0]), float(slope[1])),
    )  # fmt: skip


@lru_cache(maxsize=1)
def _members(path: str) -> Table:
    return read_members(Path(path))


def _scattered(stream: InjectedStream, field: Field, rng: np.random.Generator) -> InjectedStream:
    """The same stars at random places of the patch: everything but a stream."""
    stars, geometry = stream.stars.copy(), field.patch.geometry
    ra, dec = np.empty((2, 0))
    while len(ra) < len(stars):
        phi1, phi2 = geometry.footprint.sample(2 * len(stars) + 10, int(rng.integers(2**31)))
        even = rng.random(len(phi1)) < np.cos(np.radians(phi2))
        more = geometry.frame.unproject(phi1[even], phi2[even])
        ra, dec = np.concatenate([ra, more[0]]), np.concatenate([dec, more[1]])
    stars["ra"], stars["dec"] = ra[: len(stars)], dec[: len(stars)]
    return InjectedStream(stars, stream.truth)


def _named(unit: InjectionUnit) -> dict[str, Any]:
    return {"name": unit.name, "patch": unit.patch, "repeat": unit.repeat, "cell": asdict(unit.cell)}


def _brightness(injected: Table, stream: InjectedStream) -> dict[str, Any]:
    """Length in the patch, density and surface brightness of the stars that are in the catalogue."""
    ra, dec = (np.asarray(injected[name], dtype=float) for name in ("ra", "dec"))
    width, length = stream.truth.width, stream.truth.visible_length(ra, dec)
    known = "phot_g_mean_mag" in injected.colnames and length > 0
    g = np.asarray(injected["phot_g_mean_mag"], dtype=float) if known else np.empty(0)
    return {
        "width": width, "length": length,
        "stars_per_deg2": surface_density(len(injected), width, length) if length > 0 else None,
        "surface_brightness": surface_brightness(g, width, length) if len(g) else None,
    }  # fmt: skip


def _rescored_count(directory: InjectionDirectory, field: Field, patch: Any, ids: np.ndarray) -> int:
    return len(field.units) if directory.all_windows else int(touched(field, patch, ids).sum())
