"""From the facts of all candidates to the two tables of the catalogue."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from astropy.coordinates import ICRS, Galactic, SkyCoord
from astropy.table import Row, Table

from streams.catalog.entries import CatalogEntry, EntryTrack
from streams.catalog.schema import CANDIDATE_COLUMNS, MEMBER_LIST_COLUMNS, table_of
from streams.errors import CatalogError
from streams.members import MEMBER_COLUMNS

__all__ = ["candidate_table", "member_list", "ranked", "track_of"]

_POLYNOMIALS = ("phi2", "pm_phi1", "pm_phi2")
_EVIDENCE = (
    "significance", "false_alarm_probability", "false_discovery_rate", "passes", "contrast", "stability",
    "independent_stars", "line_stars", "line_expected", "regions",
)  # fmt: skip
_TRACK = (
    "pole_ra", "pole_dec", "pole_error", "ra0", "dec0", "phi1_low", "phi1_middle", "phi1_high", "width",
    "width_error", "length", "pm_spread",
)  # fmt: skip
_POPULATION = (
    "stars", "stars_error", "surface_density", "surface_brightness", "bp_rp", "bp_rp_spread",
    "phot_g_mean_mag", "phot_g_mean_mag_spread", "distance", "distance_low", "distance_high", "distance_open",
    "ridge",
)  # fmt: skip


def ranked(entries: Sequence[CatalogEntry]) -> list[CatalogEntry]:
    """The entries, most trustworthy first, whatever order they come in; what is not known comes last.

    Raises:
        CatalogError: two entries have one label, so that their order would depend on chance.
    """
    twice = sorted(label for label, count in Counter(entry.label for entry in entries).items() if count > 1)
    if twice:
        raise CatalogError(f"candidates need labels of their own, got {twice} more than once")
    return sorted(entries, key=_rank)


def _rank(entry: CatalogEntry) -> tuple[Any, ...]:
    evidence = entry.evidence
    falling = (evidence.false_discovery_rate, evidence.false_alarm_probability, -evidence.significance)
    return (*(math.inf if math.isnan(value) else value for value in falling), entry.patches[0], entry.label)


def candidate_table(entries: Sequence[CatalogEntry], member_threshold: float) -> Table:
    """One row for each entry, in this order."""
    rows = [_row(entry, rank, member_threshold) for rank, entry in enumerate(entries, start=1)]
    columns = {column.name: [row[column.name] for row in rows] for column in CANDIDATE_COLUMNS if rows}
    galactic = SkyCoord(columns.get("ra", []), columns.get("dec", []), unit="deg", frame=ICRS())
    galactic = galactic.transform_to(Galactic())
    columns |= {"l": galactic.l.deg, "b": galactic.b.deg}
    return table_of(CANDIDATE_COLUMNS, {column.name: [] for column in CANDIDATE_COLUMNS} | columns)


def _row(entry: CatalogEntry, rank: int, member_threshold: float) -> dict[str, Any]:
    evidence, track, population = entry.evidence, entry.track, entry.population
    row: dict[str, Any] = {
        "name": _name(rank), "rank": rank, "patch": entry.patches[0], "patches": ",".join(entry.patches),
        "search": ",".join(evidence.search), "components": ",".join(evidence.components),
        "flags": ",".join(entry.flags), "match": "", "verdict": "", "l": 0.0, "b": 0.0,
        "members": int((entry.members.probability > member_threshold).sum()),
        **track.middle(),
    }  # fmt: skip
    for source, names in ((evidence, _EVIDENCE), (track, _TRACK), (population, _POPULATION)):
        row |= {name: getattr(source, name) for name in names}
    for name in _POLYNOMIALS:
        for power in range(3):
            row[f"{name}_c{power}"] = getattr(track, name)[power]
            row[f"{name}_c{power}_error"] = getattr(track, f"{name}_error")[power]
    return row


def track_of(row: Row) -> EntryTrack:
    """The track that a row of the candidates tells of."""
    values: dict[str, Any] = {name: float(row[name]) for name in _TRACK}
    for name in _POLYNOMIALS:
        values[name] = tuple(float(row[f"{name}_c{power}"]) for power in range(3))
        values[f"{name}_error"] = tuple(float(row[f"{name}_c{power}_error"]) for power in range(3))
    return EntryTrack(**values)


def _name(rank: int) -> str:
    return f"VM-{rank}"


def member_list(entries: Sequence[CatalogEntry], member_threshold: float) -> Table:
    """The stars of all entries: by rank, most probable first, then by source_id."""
    parts = [_stars(entry, rank, member_threshold) for rank, entry in enumerate(entries, start=1)]
    values = {
        column.name: np.concatenate([part[column.name] for part in parts]) if parts else []
        for column in MEMBER_LIST_COLUMNS
    }
    return table_of(MEMBER_LIST_COLUMNS, values)


def _stars(entry: CatalogEntry, rank: int, member_threshold: float) -> dict[str, np.ndarray]:
    order = np.lexsort((entry.members.source_id, -entry.members.probability))
    stars = entry.members.take(order)
    values = {name: getattr(stars, name) for name in MEMBER_COLUMNS}
    return {
        **values, "candidate": np.full(len(stars), _name(rank)),
        "patch": np.array(entry.member_patch, dtype="U")[order],
        "member": stars.probability > member_threshold, **_own_frame(entry.track, values),
    }  # fmt: skip


def _own_frame(track: EntryTrack, stars: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Positions and proper motions along and across the candidate's great circle."""
    names = ("phi1", "phi2", "pm_phi1_cosphi2", "pm_phi2")
    if track.frame is None:
        return {name: np.full(len(stars["ra"]), np.nan) for name in names}
    position = track.frame.project_positions(stars["ra"], stars["dec"])
    motion = track.frame.project_motions(stars["ra"], stars["dec"], stars["pmra"], stars["pmdec"])
    return dict(zip(names, (*position, *motion), strict=True))
