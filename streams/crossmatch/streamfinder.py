"""Known streams from the members that STREAMFINDER lists in Gaia DR3 (Ibata et al. 2024, ApJ 967, 89)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from astropy.io.registry import IORegistryError
from astropy.table import Table
from astropy.utils.exceptions import AstropyWarning
from jaxtyping import Float

from sky_patches import PatchFrame
from sky_patches.frames import unit_vectors
from streams.crossmatch.errors import CrossMatchError
from streams.crossmatch.known import KnownStream
from streams.crossmatch.track_line import positions_of
from streams.members import MEMBER_COLUMNS, MemberStars

__all__ = ["STREAMFINDER_NAMES", "streamfinder_streams"]

_COLUMNS = {
    "Gaia": "source_id", "RAdeg": "ra", "DEdeg": "dec", "plx": "parallax", "pmRA": "pmra", "pmDE": "pmdec",
    "Gmag": "phot_g_mean_mag", "B-R": "bp_rp",
}  # fmt: skip
_NEEDED = ("Gaia", "RAdeg", "DEdeg", "pmRA", "pmDE", "Stream")
_LEAST_STARS = 5
_STARS_PER_NODE = 10
_NODE_SPACING_DEG = 2.0
_MAD_TO_SIGMA = 1.4826

STREAMFINDER_NAMES: dict[int, str] = {
    1: "C-20", 2: "SGP-S", 3: "NGC288", 4: "ATLAS", 5: "Phoenix", 6: "Kwando", 7: "New-1", 8: "New-2",
    9: "C-13", 10: "Gaia-12", 11: "Hydrus", 12: "NGC1261", 13: "NGC1261a", 14: "NGC1261b", 15: "Indus",
    16: "NGC1851", 17: "New-3", 18: "New-4", 19: "Leiptr", 20: "C-12", 21: "New-5", 22: "New-6",
    23: "NGC2298", 24: "C-25", 25: "C-11", 26: "NGC2808", 27: "New-7", 28: "New-8", 29: "New-9", 30: "C-10",
    31: "New-10", 32: "New-11", 33: "Gaia-10", 34: "Gjoll", 35: "C-9", 36: "C-24", 37: "New-12",
    38: "New-13", 39: "Slidr", 40: "New-14", 41: "Ylgr", 42: "Sylgr", 43: "New-15", 44: "Gaia-7",
    45: "Gaia-8", 46: "New-16", 47: "Fjorm", 48: "Orphan", 49: "Gaia-1", 50: "C-23", 51: "LMS-1", 52: "C-22",
    53: "GD-1", 54: "OmegaCen", 55: "Fimbulthul", 56: "New-17", 57: "NGC5466", 58: "New-18", 59: "Gaia-6",
    60: "New-19", 61: "Pal5", 62: "M5", 63: "Kshir", 64: "Svol", 65: "Gaia-9", 66: "Ophiuchus",
    67: "NGC6101", 68: "M92", 69: "NGC6397", 70: "Gaia-11", 71: "Hrid", 72: "C-7", 73: "New-20",
    74: "New-21", 75: "Phlegethon", 76: "M2", 77: "M30", 78: "New-22", 79: "New-23", 80: "New-24",
    81: "New-25", 82: "New-26", 83: "New-27", 84: "NGC7492", 85: "C-19", 86: "Jhelum", 87: "TucanaIII",
}  # fmt: skip
"""Name of each stream number. 54 of them are named in a table that is distributed with the members; the
others follow from comparing the members with the tracks that galstreams takes from the same paper (number 54
with the track of Ibata et al. 2021): one track fits each, the next is several degrees or mas/yr away."""


def streamfinder_streams(path: Path) -> tuple[KnownStream, ...]:
    """One stream for each number in a member table, in order of number; every member has probability 1.

    The track is the running median of the members along their great circle, as long as the list and as wide
    as the scatter about it. Streams of fewer than five stars are left out.

    Args:
        path: table (FITS, ECSV, CSV, ...) with columns Gaia, RAdeg, DEdeg, pmRA, pmDE, Stream and, where
            present, plx, Gmag and B-R; deg, mas/yr, mas, mag.

    Raises:
        CrossMatchError: no such file, no table that can be read, or columns are missing.
    """
    table = _read(Path(path))
    numbers = np.asarray(table["Stream"], dtype=int)
    return tuple(
        _stream(int(number), MemberStars.from_table(_renamed(table[numbers == number])))
        for number in np.unique(numbers)
        if np.sum(numbers == number) >= _LEAST_STARS
    )


def _read(path: Path) -> Table:
    if not path.is_file():
        raise CrossMatchError(f"there is no file {path}: give the table of STREAMFINDER members")
    try:
        table = Table.read(path)
    except (OSError, ValueError, TypeError, IORegistryError, AstropyWarning) as error:
        raise CrossMatchError(f"{path} cannot be read as a table ({error})") from error
    missing = [name for name in _NEEDED if name not in table.colnames]
    if missing:
        raise CrossMatchError(f"{path} is no STREAMFINDER table: it lacks {missing} and has {table.colnames}")
    return table


def _renamed(table: Table) -> Table:
    chosen = Table({new: table[old] for old, new in _COLUMNS.items() if old in table.colnames})
    chosen["probability"] = np.ones(len(chosen))
    for name, (unit, _) in MEMBER_COLUMNS.items():
        if name in chosen.colnames and unit is not None and chosen[name].unit is None:
            chosen[name].unit = unit
    return chosen


def _stream(number: int, members: MemberStars) -> KnownStream:
    frame = _great_circle(unit_vectors(members.ra, members.dec))
    phi1, phi2 = frame.project_positions(members.ra, members.dec)
    along, across = frame.project_motions(members.ra, members.dec, members.pmra, members.pmdec)
    nodes = _running_median(np.column_stack([phi1, phi2, along, across]))
    ra, dec = frame.unproject(nodes[:, 0], nodes[:, 1])
    pmra, pmdec = frame.unproject_motions(*nodes.T)
    residual = phi2 - np.interp(phi1, nodes[:, 0], nodes[:, 1])
    width = _MAD_TO_SIGMA * float(np.median(np.abs(residual - np.median(residual))))
    name = STREAMFINDER_NAMES.get(number, f"STREAMFINDER-{number}")
    nothing = np.full(len(ra), np.nan)
    return KnownStream(name, f"STREAMFINDER {number}", ra, dec, nothing, pmra, pmdec, width, members)


def _great_circle(points: Float[np.ndarray, "n 3"]) -> PatchFrame:
    """The frame with phi2 = 0 on the great circle nearest to the stars and phi1 = 0 in their middle."""
    pole = np.linalg.eigh(points.T @ points)[1][:, 0]
    middle = points.mean(axis=0)
    middle -= (middle @ pole) * pole
    middle /= np.linalg.norm(middle)
    ra, dec = (float(angle[0]) for angle in positions_of(middle[None, :]))
    offset = PatchFrame.offset(ra, dec)
    _, y, z = offset.matrix @ pole
    return PatchFrame.offset(ra, dec, float(np.degrees(np.arctan2(y, z))))


def _running_median(values: Float[np.ndarray, "n 4"]) -> Float[np.ndarray, "m 4"]:
    """Medians of stars consecutive in phi1, at least ten and two degrees to a node, and both ends."""
    values = values[np.argsort(values[:, 0], kind="stable")]
    phi1 = values[:, 0]
    extent = float(phi1[-1] - phi1[0])
    count = int(max(1, min(len(values) // _STARS_PER_NODE, extent // _NODE_SPACING_DEG)))
    inner = np.array([np.median(part, axis=0) for part in np.array_split(values, count)])
    ends = inner[[0, -1]].copy()
    ends[:, 0] = phi1[[0, -1]]
    # The track runs on to the outermost stars with the slope of its last nodes.
    if count > 1:
        for end, near in ((0, (0, 1)), (1, (-1, -2))):
            step = (ends[end, 0] - inner[near[0], 0]) / (inner[near[0], 0] - inner[near[1], 0])
            ends[end, 1:] += step * (inner[near[0], 1:] - inner[near[1], 1:])
    return np.concatenate([ends[:1], inner, ends[1:]])
