"""Stars into a store: from files, or from the mock sky. Nothing is lost without a word."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from astropy.table import Table

from sky_patches import CatalogStore, LoadReport, read_stars
from via_machinae.errors import RunError
from via_machinae.version import __version__

if TYPE_CHECKING:
    from sky_patches.mock import SkyRecipe, WrittenSky

__all__ = ["Ingested", "import_files", "make_large_mock", "make_mock", "read_truth"]

_TRUTH = "truth"


@dataclass(frozen=True)
class Ingested:
    """What became of one file.

    Args:
        path: the file.
        report: rows read, kept and rejected, columns recognised.
        added: stars new to the store.
        known: stars that the store had already.
    """

    path: Path
    report: LoadReport
    added: int
    known: int


def import_files(
    files: Sequence[Path], store: Path, columns: Mapping[str, str] | None = None
) -> list[Ingested]:
    """Read files into a store, which is made if it does not exist.

    Every file is read and checked before the first star is written, so a bad file leaves the store as it was.

    Args:
        files: FITS, ECSV, VOTable, CSV or Parquet.
        store: directory of the store.
        columns: names in the files of columns that are not recognised, {schema name: name in the file}.

    Raises:
        SkyPatchesError: a file or the store is not usable; the message names it.
    """
    existing = CatalogStore.open(store) if CatalogStore.exists(store) else None
    loaded = [(Path(path), read_stars(path, columns=columns)) for path in files]
    # Not `existing or ...`: a store without stars has length zero.
    catalogue = CatalogStore.create(store, name=Path(store).name) if existing is None else existing
    results = []
    for path, content in loaded:
        if len(content.rejected):
            catalogue.keep_rejected(content.rejected, str(path))
        appended = catalogue.append(content.stars, provenance=_origin(str(path)))
        results.append(Ingested(path, content.report, appended.rows_added, appended.duplicates))
    return results


def make_mock(store: Path, seed: int, *, streams: bool = True) -> tuple[int, Path]:
    """Write the mock sky of the demo as a store, and its truth beside the stars, where no scan looks.

    Args:
        store: directory of the new store.
        seed: same seed, same sky.
        streams: hide streams in it, or leave it empty for null tests.

    Returns:
        (number of stars, directory of the truth).

    Raises:
        RunError: the store exists.
    """
    from sky_patches.mock import demo_sky, empty_sky

    _refuse_existing(store)
    sky = (demo_sky() if streams else empty_sky()).generate(seed)
    # Made aside and renamed when whole: an interrupted mock leaves no half-filled store.
    partial = Path(store).with_name(f".{Path(store).name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    catalogue = CatalogStore.create(partial, name=f"mock-sky-{seed}")
    catalogue.append(sky.stars, provenance={**_origin("mock sky"), "seed": seed, "streams": streams})
    (partial / _TRUTH).mkdir()
    for name in ("members", "streams"):
        getattr(sky.truth, name).write(partial / _TRUTH / f"{name}.ecsv")
    partial.rename(store)
    return len(sky.stars), Path(store) / _TRUTH


def make_large_mock(
    store: Path,
    seed: int,
    recipe: SkyRecipe,
    *,
    workers: int,
    progress: Callable[[int, int], None] | None = None,
) -> WrittenSky:
    """Write a mock sky of any size as a store, its truth beside the stars as in `make_mock`.

    Args:
        store: directory of the new store.
        seed: same seed, same sky, whatever the number of workers.
        recipe: from `sky_patches.mock.all_sky`, `patch_sky` or `pixel_sky`.
        workers: processes.
        progress: called with (pixels done, pixels in all).

    Raises:
        RunError: the store exists.
        MockError: the recipe cannot be made.
    """
    from sky_patches.mock import write_sky

    _refuse_existing(store)
    origin = _origin("mock sky")
    return write_sky(recipe, seed, store, workers=workers, provenance=origin, progress=progress)


def _refuse_existing(store: Path) -> None:
    if Path(store).exists():
        raise RunError(f"{store} exists already: choose a new directory for the mock sky")


def read_truth(directory: Path) -> dict[str, np.ndarray]:
    """source_id of the members of each hidden stream.

    Raises:
        RunError: there is no truth in that directory.
    """
    path = Path(directory) / "members.ecsv"
    if not path.is_file():
        raise RunError(f"{directory} holds no members.ecsv: the truth of a mock store lies in STORE/{_TRUTH}")
    members = Table.read(path)
    streams = Table.read(path.with_name("streams.ecsv"))
    return {
        str(name): np.asarray(members["source_id"][members["stream"] == name]) for name in streams["name"]
    }


def _origin(name: str) -> dict[str, str]:
    return {"origin": name, "by": f"via-machinae {__version__}"}
