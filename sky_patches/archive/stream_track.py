"""A known stream as a region: its track in galstreams, with a margin."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from astropy.table import Table
from jaxtyping import Float, Int64
from scipy.spatial import cKDTree

from sky_patches.archive.regions import RegionError, pixels_near
from sky_patches.archive.sphere import unit_vectors
from sky_patches.column_names import nearest

__all__ = ["StreamTrack", "stream_names", "track_of"]

_SPACING_DEG = 0.05


@dataclass(frozen=True)
class StreamTrack:
    """Everything within `margin` deg of the track of a known stream (galstreams, Mateu 2023).

    Attributes:
        name: galstreams' name of the track, for example "GD-1-I21".
        margin: half-width of the strip, deg.

    Raises:
        RegionError: a margin outside (0, 90] deg. The name is looked up when pixels are asked for: an unknown
            one, or a missing galstreams, is told then.
    """

    name: str
    margin: float

    def __post_init__(self) -> None:
        if not 0.0 < self.margin <= 90.0:
            raise RegionError(f"the margin of a stream lies in (0, 90] deg, found {self.margin}")

    def pixels(self, order: int) -> Int64[np.ndarray, " m"]:
        """Sorted NESTED pixels of `order` that the strip touches."""
        tree = cKDTree(_dense(unit_vectors(*track_of(self.name))))

        def distance(ra: Float[np.ndarray, " n"], dec: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
            chord = tree.query(unit_vectors(ra, dec))[0]
            away = np.degrees(2.0 * np.arcsin(np.clip(chord / 2.0, 0.0, 1.0)))
            # The track runs on between two of its points.
            return np.maximum(away - _SPACING_DEG - self.margin, 0.0)

        return pixels_near(distance, order)


def stream_names() -> tuple[str, ...]:
    """Names of the tracks that the installed galstreams knows.

    Raises:
        RegionError: galstreams is not installed, or keeps its tracks in a way that is not known.
    """
    return tuple(_tracks())


def track_of(name: str) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Right ascension and declination (deg) along the track of a known stream.

    Raises:
        RegionError: an unknown name, galstreams is not installed, or its file cannot be read.
    """
    tracks = _tracks()
    if name not in tracks:
        near = ", ".join(nearest(name, tracks)) or "see galstreams"
        raise RegionError(f"galstreams has no track {name!r}; nearest: {near}")
    try:
        track = Table.read(tracks[name], format="ascii.ecsv")
        ra, dec = (np.asarray(track[axis], dtype=float) for axis in ("ra", "dec"))
        known = np.isfinite(ra) & np.isfinite(dec)
        return ra[known], dec[known]
    except (OSError, ValueError, KeyError) as error:
        raise RegionError(f"the track of {name} cannot be read from {tracks[name]} ({error})") from error


@lru_cache(maxsize=1)
def _tracks() -> dict[str, Path]:
    """File of each track. The library itself is not loaded: that takes half a minute and prints."""
    found = importlib.util.find_spec("galstreams")
    if found is None or found.origin is None:
        raise RegionError("regions along known streams need galstreams; pip install galstreams")
    root = Path(found.origin).parent
    try:
        log = Table.read(root / "lib" / "master_log.txt", format="ascii.commented_header")
        return {
            str(row["TrackName"]): root
            / "tracks"
            / f"track.{row['Imp']}.{row['Name']}.{row['TrackRefs']}.ecsv"
            for row in log
        }
    except (OSError, ValueError, KeyError) as error:
        raise RegionError(f"the installed galstreams keeps its tracks in another way ({error})") from error


def _dense(points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "m 3"]:
    """The points of a track, with more between them where they are farther apart than the spacing."""
    gaps = np.degrees(np.linalg.norm(np.diff(points, axis=0), axis=1))
    pieces = [points[-1:]]
    for start, stop, gap in zip(points[:-1], points[1:], gaps, strict=True):
        part = np.linspace(0.0, 1.0, int(np.ceil(gap / _SPACING_DEG)) + 1)[:-1, None]
        pieces.append(start + part * (stop - start) if len(part) else start[None, :])
    filled = np.concatenate(pieces)
    return filled / np.linalg.norm(filled, axis=1, keepdims=True)
