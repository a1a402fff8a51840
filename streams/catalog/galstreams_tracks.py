"""Export of candidates to the track files of galstreams (Mateu 2023, MNRAS 520, 5225)."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from astropy import units as u
from astropy.coordinates import Distance, Latitude, Longitude
from astropy.table import QTable, Row

from streams.catalog.catalogue import StreamCatalog
from streams.catalog.entries import EntryTrack
from streams.errors import CatalogError

__all__ = ["export_galstreams"]

_STEP = 0.1
_PLACEHOLDER_KPC = 1.0
_MOTION = u.mas / u.yr
_INFO_FLAGS = "1010"
"""galstreams' four flags: the sky track is measured, there is no distance track (one value at most), the
proper motions are measured, there are no radial velocities."""


def export_galstreams(
    catalog: StreamCatalog,
    directory: Path,
    *,
    names: Sequence[str] | None = None,
    reference: str = "viamachinae",
) -> list[Path]:
    """Write a track file and a summary file for each candidate, as `galstreams.Track6D` opens them:

        Track6D(track_name="VM-1", stream_name="VM-1", track_file=track, summary_file=summary)

    What is not known is flagged as galstreams does: InfoFlags is 1010, since the isochrone ridge gives at
    most one distance for the whole track, and there are no radial velocities. galstreams needs a number
    where nothing is known, and its own tables hold 1 kpc and 0 km/s there; so do these, and the metadata
    `distance_source` and `radial_velocity_source` of the summary say that these are placeholders.

    Args:
        catalog: a catalogue of joined candidates.
        directory: where the files go; made if absent.
        names: candidates; default those that pass.
        reference: third part of the file names, track.st.NAME.REFERENCE.ecsv.

    Returns:
        The files, a track and its summary in turn.

    Raises:
        CatalogError: no such candidate, or its track is not known.
    """
    table = catalog.candidates
    chosen = list(table["name"][np.asarray(table["passes"], dtype=bool)]) if names is None else names
    tracks = {str(name): _checked(catalog.track(name), name) for name in chosen}
    rows = {str(row["name"]): row for row in table}
    directory.mkdir(parents=True, exist_ok=True)
    written = []
    for name, track in tracks.items():
        stem = f"track.st.{name}.{reference}"
        written.append(_write(_knots(track, rows[name]), directory / f"{stem}.ecsv"))
        written.append(_write(_summary(name, track, rows[name]), directory / f"{stem}.summary.ecsv"))
    return written


def _checked(track: EntryTrack, name: str) -> EntryTrack:
    ends = (track.phi1_low, track.phi1_middle, track.phi1_high)
    numbers = (*ends, *track.phi2, *track.pm_phi1, *track.pm_phi2)
    if track.frame is None or not np.all(np.isfinite(numbers)) or not ends[0] < ends[2]:
        raise CatalogError(
            f"{name} has no track to export (pole {track.pole_ra}, {track.pole_dec}; phi1 {ends[0]} to "
            f"{ends[2]} deg): leave it out of `names`"
        )
    return track


def _knots(track: EntryTrack, row: Row) -> QTable:
    """The track every 0.1 deg."""
    pieces = max(int(np.ceil((track.phi1_high - track.phi1_low) / _STEP)), 2)
    return QTable(_six(track, np.linspace(track.phi1_low, track.phi1_high, pieces + 1), row))


def _six(track: EntryTrack, phi1: np.ndarray, row: Row) -> dict[str, Any]:
    """Position, distance and velocity on the track, by galstreams' names."""
    ra, dec, pmra, pmdec = track.at(phi1)
    distance = float(row["distance"]) if _has_distance(row) else _PLACEHOLDER_KPC
    return {
        "ra": Longitude(ra, u.deg), "dec": Latitude(dec, u.deg),
        "distance": Distance(np.full(len(phi1), distance), u.kpc),
        "pm_ra_cosdec": pmra * _MOTION, "pm_dec": pmdec * _MOTION,
        "radial_velocity": np.zeros(len(phi1)) * u.km / u.s,
    }  # fmt: skip


def _has_distance(row: Row) -> bool:
    return bool(np.isfinite(row["distance"]) and row["distance"] > 0 and not row["distance_open"])


def _summary(name: str, track: EntryTrack, row: Row) -> QTable:
    values: dict[str, Any] = {
        "StreamName": [name],
        "StreamShortName": [name.replace("-", "")],
        "InfoFlags": [_INFO_FLAGS],
    }
    places = {"end_o": track.phi1_low, "end_f": track.phi1_high, "mid": track.phi1_middle}
    for place, phi1 in places.items():
        values |= {f"{place}.{key}": at for key, at in _six(track, np.array([phi1]), row).items()}
    values |= {
        "pole.ra": Longitude([track.pole_ra], u.deg), "pole.dec": Latitude([track.pole_dec], u.deg),
        "pole.distance": [1.0] * u.one, "width_phi2": [track.width] * u.deg,
        "width_pm_phi1_cosphi2": [track.pm_spread] * _MOTION, "width_pm_phi2": [track.pm_spread] * _MOTION,
    }  # fmt: skip
    return QTable(values, meta=_sources(row))


def _sources(row: Row) -> Mapping[str, str]:
    distance = f"not known: {_PLACEHOLDER_KPC:g} kpc is a placeholder"
    if _has_distance(row):
        low, high = row["distance_low"], row["distance_high"]
        distance = f"one value for the whole track, by isochrone ridge: {low:.3g} to {high:.3g} kpc"
    return {
        "distance_source": distance,
        "radial_velocity_source": "not known: 0 km/s is a placeholder",
        "width_source": "widths are Gaussian sigmas, in proper motion without measurement errors",
    }


def _write(table: QTable, path: Path) -> Path:
    temporary = path.with_name(f".{path.stem}.tmp{path.suffix}")
    try:
        table.write(temporary, format="ascii.ecsv", delimiter=",", overwrite=True)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path
