"""A patch's background in the run directory: a unit that is learned once and read ever after."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from density import DensityError, FlowDensity, child_seed
from via_machinae.background.columns import BackgroundColumns
from via_machinae.background.errors import BackgroundError
from via_machinae.background.learning import PatchBackground, fit_background
from via_machinae.background.recipe import BackgroundRecipe
from via_machinae.patch_stars import PatchStars
from via_machinae.run import Run, atomic_path
from via_machinae.version import __version__

__all__ = ["background_folder", "background_of", "patch_background", "read_background", "write_background"]

FORMAT = 1
TABLE = "background.npz"


def background_folder(run: Run, patch: str) -> Path:
    """Where the background of a patch lies: `background.npz` and `background_flow_0.npz` ... in it."""
    return run.path / "patches" / patch


def patch_background(
    run: Run,
    patch: PatchStars,
    recipe: BackgroundRecipe | None = None,
    *,
    progress: Callable[[], None] | None = None,
) -> PatchBackground:
    """The background of a patch of a run: read if it is there, else learned and written.

    Its seed follows from the run's seed and the name of the patch.

    Raises:
        BackgroundError: as `background_of`.
    """
    seed = child_seed(run.config.run.seed, "background", patch.geometry.name)
    return background_of(
        background_folder(run, patch.geometry.name), patch, recipe, seed=seed, progress=progress
    )


def background_of(
    folder: Path,
    patch: PatchStars,
    recipe: BackgroundRecipe | None = None,
    *,
    seed: int,
    progress: Callable[[], None] | None = None,
) -> PatchBackground:
    """The background kept in a folder if it was learned in this way from these stars; else a new one.

    Args:
        folder: see `background_folder`.
        patch, recipe, seed, progress: as `fit_background`.

    Raises:
        BackgroundError: a file there is damaged; the message says how to redo it. Or as `fit_background`.
    """
    recipe = BackgroundRecipe() if recipe is None else recipe
    key = _key(patch, recipe, seed)
    if (folder / TABLE).exists() and _header(folder)["key"] == key:
        return read_background(folder)
    background = fit_background(patch, recipe, seed=seed, progress=progress)
    write_background(folder, background, key)
    return background


def write_background(folder: Path, background: PatchBackground, key: str = "") -> None:
    """Write a background, the flows first: without the table they count for nothing.

    Args:
        folder: made if it is not there.
        background: what to write.
        key: what it was made from, see `background_of`; "": it is read by `read_background` alone.
    """
    sums = []
    for number, flow in enumerate(background.flows):
        data = flow.to_bytes()
        sums.append(hashlib.sha256(data).hexdigest())
        with atomic_path(_flow_path(folder, number)) as temporary:
            temporary.write_bytes(data)
    header = {
        "format": FORMAT,
        "version": __version__,
        "key": key,
        "recipe": background.recipe.to_dict(),
        "seed": background.seed,
        "columns": background.columns.to_dict(),
        "flows": sums,
    }
    with atomic_path(folder / TABLE) as temporary:
        np.savez(
            temporary,
            header=np.array(json.dumps(header)),
            source_id=background.source_id,
            log_density=background.log_density,
        )


def read_background(folder: Path) -> PatchBackground:
    """The background that `write_background` wrote; gives the same numbers to the last bit.

    Raises:
        BackgroundError: a file is missing, damaged, or of another background; the message says how to redo
            it.
    """
    header = _header(folder)
    try:
        with np.load(folder / TABLE, allow_pickle=False) as saved:
            source_id, log_density = saved["source_id"], saved["log_density"]
        flows = tuple(_flow(folder, number, expected) for number, expected in enumerate(header["flows"]))
        recipe = BackgroundRecipe.from_dict(header["recipe"])
        columns = BackgroundColumns.from_dict(header["columns"])
    except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise _damaged(folder / TABLE, error) from error
    if source_id.shape != log_density.shape:
        raise _damaged(folder / TABLE, f"{len(source_id)} stars, {len(log_density)} densities")
    return PatchBackground(recipe, header["seed"], columns, source_id, log_density, flows)


def _key(patch: PatchStars, recipe: BackgroundRecipe, seed: int) -> str:
    """What a background depends on: version, recipe, seed, footprint, and the stars with all that is used."""
    told = json.dumps([FORMAT, __version__, recipe.to_dict(), seed, patch.geometry.to_dict()], sort_keys=True)
    digest = hashlib.sha256(told.encode())
    stars = patch.stream_stars()
    for values in (stars.source_id, stars.position, stars.proper_motion, stars.proper_motion_error):
        digest.update(np.ascontiguousarray(values).tobytes())
    digest.update(" ".join(stars.photometry_names).encode() + stars.photometry.tobytes())
    return digest.hexdigest()


def _header(folder: Path) -> dict[str, Any]:
    path = folder / TABLE
    try:
        with np.load(path, allow_pickle=False) as saved:
            header = json.loads(str(saved["header"]))
        known = {"key", "recipe", "seed", "columns", "flows"} <= set(header)
    except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise _damaged(path, error) from error
    if not known or header.get("format") != FORMAT:
        raise _damaged(path, f"format {header.get('format')}, this version reads {FORMAT}")
    return header


def _flow(folder: Path, number: int, expected: str) -> FlowDensity:
    path = _flow_path(folder, number)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise _damaged(path, error) from error
    if hashlib.sha256(data).hexdigest() != expected:
        raise _damaged(path, f"it is not the flow that {TABLE} was made with")
    try:
        return FlowDensity.from_bytes(data)
    except (DensityError, KeyError, zipfile.BadZipFile) as error:
        raise _damaged(path, error) from error


def _flow_path(folder: Path, number: int) -> Path:
    return folder / f"background_flow_{number}.npz"


def _damaged(path: Path, why: object) -> BackgroundError:
    return BackgroundError(
        f"{path} cannot be used ({why}): delete {path.with_name(TABLE)} and search again, only this patch's "
        "background is redone"
    )
