"""Known streams from the galstreams library (Mateu 2023, MNRAS 520, 5225), read once and kept."""

from __future__ import annotations

import csv
import importlib.util
import os
import uuid
from importlib import metadata
from pathlib import Path

import numpy as np
from astropy.table import Row, Table, vstack

from sky_patches.frames import unit_vectors
from streams.crossmatch.errors import CrossMatchError
from streams.crossmatch.known import KnownStream

__all__ = ["galstreams_streams"]

_LAYOUT = 1
_SPACING_DEG = 0.1
_NOT_MEASURED_KPC = 1.0
_COLUMNS = {"ra": "ra", "dec": "dec", "distance": "distance", "pm_ra_cosdec": "pmra", "pm_dec": "pmdec"}
_KEPT = ("track", "name", "width", *_COLUMNS.values())


def galstreams_streams(cache: Path | None = None) -> tuple[KnownStream, ...]:
    """The library's default track of every stream, in order of name.

    The library's own loader takes a quarter of a minute and has zeros for proper motions nobody measured.
    Here its files are read; a quantity whose flag is 0 is NaN, and so is a distance of exactly 1 kpc all
    along, which stands for "none" in some of its tracks. The second call reads a compact file.

    Args:
        cache: folder of the compact file; None is `via-machinae` in the user's cache folder.

    Raises:
        CrossMatchError: galstreams is not installed, or keeps its tracks in a way that is not known.
    """
    root = _library()
    folder = _user_cache() if cache is None else Path(cache)
    kept = folder / f"galstreams-{metadata.version('galstreams')}-{_LAYOUT}.parquet"
    table = _kept(kept)
    if table is None:
        table = _read(root)
        _keep(table, kept)
    starts = np.flatnonzero(np.append(True, table["track"][1:] != table["track"][:-1]))
    stops = np.append(starts[1:], len(table))
    return tuple(_stream(table[start:stop]) for start, stop in zip(starts, stops, strict=True))


def _library() -> Path:
    found = importlib.util.find_spec("galstreams")
    if found is None or found.origin is None:
        raise CrossMatchError("the cross-match with known tracks needs galstreams: pip install galstreams")
    return Path(found.origin).parent


def _user_cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "via-machinae"


def _kept(path: Path) -> Table | None:
    """The compact file, or None where there is none that can be read: it is only a copy."""
    if not path.is_file():
        return None
    try:
        table = Table.read(path, format="parquet")
    except (OSError, ValueError, KeyError):
        return None
    return table if set(_KEPT) <= set(table.colnames) and len(table) else None


def _keep(table: Table, path: Path) -> None:
    """Write the compact file; a cache folder that cannot be written costs time and nothing else."""
    temporary = path.with_name(f".{uuid.uuid4().hex}.parquet")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        table.write(temporary, format="parquet")
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)


def _read(root: Path) -> Table:
    try:
        log = Table.read(root / "lib" / "master_log.txt", format="ascii.commented_header")
        log.sort("TrackName")
        return vstack([_track(root, row) for row in log if row["On"]])
    except (OSError, ValueError, KeyError, IndexError, StopIteration) as error:
        raise CrossMatchError(
            f"the installed galstreams {metadata.version('galstreams')} keeps its tracks in another way "
            f"({error}): install galstreams 1.2"
        ) from error


def _track(root: Path, row: Row) -> Table:
    stem = root / "tracks" / f"track.{row['Imp']}.{row['Name']}.{row['TrackRefs']}"
    # Without the units: the reader of ECSV takes twenty times as long.
    columns = Table.read(f"{stem}.ecsv", format="ascii.fast_csv", comment="#", guess=False)
    track = Table({new: np.asarray(columns[old], dtype=float) for old, new in _COLUMNS.items()})
    track = _thinned(track[np.isfinite(track["ra"]) & np.isfinite(track["dec"])])
    summary = _summary(Path(f"{stem}.summary.ecsv"))
    _forget_unmeasured(track, summary["InfoFlags"])
    track["width"] = _width(float(row["width_phi2"]), float(summary["width_phi2"]))
    track["track"], track["name"] = str(row["TrackName"]), str(row["Name"])
    return track


def _summary(path: Path) -> dict[str, str]:
    """The one row of a summary as text: its flags are digits and no number."""
    with path.open(encoding="utf-8", newline="") as lines:
        return next(csv.DictReader(line for line in lines if not line.startswith("#")))


def _thinned(track: Table) -> Table:
    """Points about 0.1 deg apart, both ends among them."""
    points = unit_vectors(np.asarray(track["ra"]), np.asarray(track["dec"]))
    length = np.degrees(np.append(0.0, np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))))
    chosen = np.unique((length / _SPACING_DEG).astype(int), return_index=True)[1]
    return track[np.unique(np.append(chosen, len(track) - 1))]


def _forget_unmeasured(track: Table, flags: str) -> None:
    """NaN where the library's flags (track, distance, proper motion, velocity) say that nobody measured."""
    if flags[1] == "0" or (np.abs(track["distance"] - _NOT_MEASURED_KPC) < 1e-6).all():
        track["distance"] = np.nan
    if flags[2] == "0":
        track["pmra"] = track["pmdec"] = np.nan


def _width(listed: float, measured: float) -> float:
    """The literature's width where the library lists one, else the one from the members; deg."""
    width = listed if listed > 0 else measured
    return width if width > 0 else float("nan")


def _stream(track: Table) -> KnownStream:
    columns = {name: np.asarray(track[name], dtype=float) for name in _COLUMNS.values()}
    source = f"galstreams {track['track'][0]}"
    return KnownStream(str(track["name"][0]), source, width=float(track["width"][0]), **columns)
