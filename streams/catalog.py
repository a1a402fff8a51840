"""The catalogue of candidates: one table of streams, one of member stars, with units, UCDs and provenance."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy import units as u
from astropy.io.registry import IORegistryError
from astropy.table import Column, Table, vstack

from sky_patches import PatchGeometry
from streams.candidates import Candidate
from streams.errors import CatalogError
from streams.plane import TangentPlane
from streams.stars import StreamStars

__all__ = ["StreamCatalog", "candidate_rows"]

_CANDIDATES: tuple[tuple[str, str | None, str, str, str], ...] = (
    ("name", None, "U32", "meta.id;meta.main", "candidate, ranked by false-alarm probability"),
    ("rank", None, "i4", "meta.number", "1 is the most significant of the run"),
    ("patch", None, "U64", "meta.id", "patch it was found in"),
    (
        "significance",
        None,
        "f8",
        "stat.snr",
        "local significance of its best line, sigma; before look-elsewhere",
    ),
    (
        "false_alarm_probability",
        None,
        "f8",
        "stat.probability",
        "of a line as significant in a stream-free patch",
    ),
    ("passes", None, "bool", "meta.code", "false_alarm_probability below the run's threshold"),
    ("stars", None, "f8", "meta.number", "expected number of stream stars, sum of membership probabilities"),
    ("members", None, "i4", "meta.number", "stars above the membership threshold"),
    ("line_stars", None, "i4", "meta.number", "stars in the strip of the best line"),
    ("line_expected", None, "f8", "meta.number", "background stars expected in that strip"),
    ("regions", None, "i4", "meta.number", "regions of interest merged into the candidate"),
    ("components", None, "U40", "meta.note", "resonant components of those regions"),
    ("ra", "deg", "f8", "pos.eq.ra;meta.main", "track at its middle, ICRS"),
    ("dec", "deg", "f8", "pos.eq.dec;meta.main", "track at its middle, ICRS"),
    ("phi1", "deg", "f8", "pos", "track at its middle, patch frame"),
    ("phi2", "deg", "f8", "pos", "track at its middle, patch frame"),
    ("position_angle", "deg", "f8", "pos.posAng", "of the track in the patch frame, from phi1 towards phi2"),
    ("track_curvature", "1 / deg", "f8", "pos", "second-order coefficient of the track across the line"),
    ("width", "deg", "f8", "phys.angSize", "Gaussian sigma across the track"),
    ("length", "deg", "f8", "phys.angSize", "extent along the track that holds 90 % of the members"),
    ("pm_phi1_cosphi2", "mas / yr", "f8", "pos.pm", "at the middle of the track, patch frame"),
    ("pm_phi2", "mas / yr", "f8", "pos.pm", "at the middle of the track, patch frame"),
    ("pm_phi1_cosphi2_gradient", "mas / (yr deg)", "f8", "pos.pm", "along the track"),
    ("pm_phi2_gradient", "mas / (yr deg)", "f8", "pos.pm", "along the track"),
    ("pm_spread", "mas / yr", "f8", "stat.stdev;pos.pm", "intrinsic sigma of each component"),
)
_MEMBERS: tuple[tuple[str, str | None, str, str, str], ...] = (
    ("source_id", None, "i8", "meta.id;meta.main", "Gaia source identifier"),
    ("candidate", None, "U32", "meta.id.parent", "candidate"),
    ("probability", None, "f8", "stat.probability", "membership probability"),
    ("phi1", "deg", "f8", "pos", "patch frame"),
    ("phi2", "deg", "f8", "pos", "patch frame"),
    ("pm_phi1_cosphi2", "mas / yr", "f8", "pos.pm", "patch frame"),
    ("pm_phi2", "mas / yr", "f8", "pos.pm", "patch frame"),
)
_FILES = {"candidates": ("candidates.ecsv", "candidates.fits"), "members": ("members.ecsv", "members.fits")}


def candidate_rows(
    candidates: Sequence[Candidate],
    stars: StreamStars,
    geometry: PatchGeometry,
    *,
    threshold: float,
    member_threshold: float,
) -> tuple[Table, Table]:
    """Candidates of one patch as catalogue rows: (streams, members), not yet named and ranked.

    Args:
        candidates: most significant first.
        stars: the patch's stars.
        geometry: the patch.
        threshold: false-alarm probability below which a candidate passes.
        member_threshold: least membership probability of a member.
    """
    plane = TangentPlane(*geometry.footprint.centre)
    rows = [_row(candidate, stars, geometry, plane, threshold, member_threshold) for candidate in candidates]
    members = [
        _members(candidate, stars, number, member_threshold) for number, candidate in enumerate(candidates)
    ]
    return _table(_CANDIDATES, rows), _stack(_MEMBERS, members)


def _row(
    candidate: Candidate,
    stars: StreamStars,
    geometry: PatchGeometry,
    plane: TangentPlane,
    threshold: float,
    member_threshold: float,
) -> dict[str, Any]:
    line, model = candidate.line, candidate.membership.model
    middle, length = _extent(candidate, stars, plane)
    phi1, phi2 = plane.unproject(*model.points(np.array([middle])))
    ra, dec = geometry.frame.unproject(phi1, phi2)
    motion = model.mean_proper_motion(np.array([middle]))[0]
    slope = model.track[1] + 2 * model.track[2] * middle
    return {
        "name": "", "rank": 0, "patch": geometry.name,
        "significance": line.significance, "false_alarm_probability": candidate.false_alarm_probability,
        "passes": candidate.false_alarm_probability < threshold,
        "stars": candidate.membership.stars, "members": len(candidate.membership.members(member_threshold)),
        "line_stars": line.count, "line_expected": line.expected,
        "regions": candidate.regions, "components": " ".join(candidate.components),
        "ra": float(ra[0]), "dec": float(dec[0]), "phi1": float(phi1[0]), "phi2": float(phi2[0]),
        "position_angle": float(np.degrees(model.theta - np.arctan(slope)) % 180.0),
        "track_curvature": model.track[2], "width": model.width, "length": length,
        "pm_phi1_cosphi2": motion[0], "pm_phi2": motion[1],
        "pm_phi1_cosphi2_gradient": model.proper_motion[0][1], "pm_phi2_gradient": model.proper_motion[1][1],
        "pm_spread": model.spread,
    }  # fmt: skip


def _extent(candidate: Candidate, stars: StreamStars, plane: TangentPlane) -> tuple[float, float]:
    """Middle and length (deg) of the track: the weighted 5th to 95th percentile of its stars."""
    membership = candidate.membership
    s = membership.model.along(*plane.project(*stars.position[membership.rows].T))
    order = np.argsort(s)
    cumulative = np.cumsum(membership.probability[order])
    if not membership.stars > 0:
        return float(np.median(s)) if len(s) else 0.0, 0.0
    low, middle, high = np.interp([0.05, 0.5, 0.95], cumulative / cumulative[-1], s[order])
    return float(middle), float(high - low)


def _members(candidate: Candidate, stars: StreamStars, number: int, threshold: float) -> Table:
    membership = candidate.membership
    chosen = membership.probability > threshold
    rows = membership.rows[chosen]
    values = {
        "source_id": stars.source_id[rows], "candidate": np.full(len(rows), str(number)),
        "probability": membership.probability[chosen],
        "phi1": stars.position[rows, 0], "phi2": stars.position[rows, 1],
        "pm_phi1_cosphi2": stars.proper_motion[rows, 0], "pm_phi2": stars.proper_motion[rows, 1],
    }  # fmt: skip
    return Table(values)[np.argsort(-values["probability"], kind="stable")]


@dataclass(frozen=True, eq=False)
class StreamCatalog:
    """Candidates and their member stars.

    Args:
        candidates: one row per candidate, ranked; units and UCDs on every column.
        members: one row per member star.
        provenance: what made it (version, configuration, data, seed).
    """

    candidates: Table
    members: Table
    provenance: Mapping[str, Any]

    @classmethod
    def merge(cls, patches: Sequence[tuple[Table, Table]], provenance: Mapping[str, Any]) -> StreamCatalog:
        """Rank the candidates of all patches together and name them VM-1, VM-2, ..."""
        labelled = []
        for number, (rows, members) in enumerate(patches):
            local = np.array([f"{number}/{index}" for index in range(len(rows))], dtype="U32")
            relabelled = members.copy()
            relabelled["candidate"] = [f"{number}/{index}" for index in members["candidate"]]
            labelled.append((rows, local, relabelled))
        candidates = _stack(_CANDIDATES, [rows for rows, _, _ in labelled])
        local = np.concatenate([names for _, names, _ in labelled]) if labelled else np.array([], dtype="U32")
        order = np.lexsort(
            (candidates["patch"], -candidates["significance"], candidates["false_alarm_probability"])
        )
        candidates, local = candidates[order], local[order]
        # Values go into the columns: a new column would have neither description nor UCD.
        candidates["rank"][:] = np.arange(1, len(candidates) + 1)
        candidates["name"][:] = [f"VM-{rank}" for rank in candidates["rank"]]
        members = _stack(_MEMBERS, [table for _, _, table in labelled])
        names = dict(zip(local, candidates["name"], strict=True))
        members["candidate"][:] = [names[label] for label in members["candidate"]]
        return cls(candidates, members, dict(provenance))

    def member_ids(self, name: str) -> np.ndarray:
        """source_id of the members of a candidate.

        Raises:
            CatalogError: no candidate of that name.
        """
        if name not in set(self.candidates["name"]):
            raise CatalogError(f"no candidate {name!r}; the catalogue holds {list(self.candidates['name'])}")
        return np.asarray(self.members["source_id"][self.members["candidate"] == name], dtype=np.int64)

    def write(self, directory: Path) -> list[Path]:
        """Write candidates and members as ECSV and FITS, each file whole or not at all."""
        directory.mkdir(parents=True, exist_ok=True)
        written = []
        for part, names in _FILES.items():
            table = getattr(self, part).copy()
            table.meta["provenance"] = _one_line(self.provenance)
            for name in names:
                path = directory / name
                temporary = path.with_name(f".{path.stem}.tmp{path.suffix}")
                (_for_fits(table) if path.suffix == ".fits" else table).write(temporary, overwrite=True)
                os.replace(temporary, path)
                written.append(path)
        return written

    @classmethod
    def read(cls, directory: Path) -> StreamCatalog:
        """Read a catalogue that `write` wrote.

        Raises:
            CatalogError: there is none, or it is damaged.
        """
        try:
            candidates, members = (Table.read(directory / names[0]) for names in _FILES.values())
            provenance = json.loads(candidates.meta["provenance"])
        except (OSError, ValueError, KeyError, TypeError, IORegistryError) as error:
            raise CatalogError(
                f"no readable catalogue in {directory} ({error}): make it with 'catalog'"
            ) from error
        return cls(candidates, members, provenance)


def _one_line(provenance: Mapping[str, Any]) -> str:
    """JSON without a single space: FITS cuts it into cards and strips the blanks at their ends."""
    return json.dumps(dict(provenance), sort_keys=True, separators=(",", ":")).replace(" ", "\\u0020")


def _for_fits(table: Table) -> Table:
    """FITS headers hold short cards: the provenance goes into COMMENT cards."""
    copy = table.copy()
    text = str(copy.meta.pop("provenance", ""))
    copy.meta["comments"] = [text[start : start + 70] for start in range(0, len(text), 70)]
    return copy


def _table(
    schema: tuple[tuple[str, str | None, str, str, str], ...], rows: Sequence[Mapping[str, Any]]
) -> Table:
    table = Table()
    for name, unit, dtype, ucd, description in schema:
        values = np.array([row[name] for row in rows], dtype=dtype)
        table[name] = Column(values, unit=None if unit is None else u.Unit(unit), description=description)
        table[name].meta["ucd"] = ucd
    return table


def _stack(schema: tuple[tuple[str, str | None, str, str, str], ...], tables: Sequence[Table]) -> Table:
    """All rows of the tables, in the schema's columns, units and descriptions."""
    filled = [table for table in tables if len(table)]
    stacked = vstack(filled, metadata_conflicts="silent") if filled else None
    rows = [] if stacked is None else [{name: row[name] for name, *_ in schema} for row in stacked]
    return _table(schema, rows)
