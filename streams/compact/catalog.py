"""The second catalogue of a scan: one table of compact objects, one of their stars."""

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
from sky_patches.footprints.shapes import angular_distance
from sky_patches.masks.known_objects import KnownObject
from streams.compact.errors import CompactError
from streams.compact.finder import CompactCandidate
from streams.compact.masking import mask_radius
from streams.compact.membership import Parallax
from streams.stars import StreamStars

__all__ = ["CompactCatalog", "compact_rows"]

_Schema = tuple[tuple[str, str | None, str, str, str], ...]

KNOWN_WITHIN = 0.05
"""deg: an over-density this near to a known object of any size is that object."""

_OBJECTS: _Schema = (
    ("name", None, "U32", "meta.id;meta.main", "over-density, ranked by false-alarm probability"),
    ("rank", None, "i4", "meta.number", "1 is the most significant of the run"),
    ("patch", None, "U64", "meta.id", "patch it was found in"),
    ("known", None, "U64", "meta.id.cross", "known object at this place; empty where there is none"),
    ("significance", None, "f8", "stat.snr", "local significance of its best disc, sigma"),
    ("false_alarm_probability", None, "f8", "stat.probability", "of such a disc in a patch without any"),
    ("passes", None, "bool", "meta.code", "compact, and false_alarm_probability below the threshold"),
    ("elongated", None, "bool", "meta.code", "too flat for a cluster or galaxy: a piece of a stream"),
    ("extended", None, "bool", "meta.code", "broader than the discs that were looked for"),
    ("unexplained", None, "bool", "meta.code", "the fit found too few stars for any object"),
    ("scale", "arcmin", "f8", "phys.angSize", "radius of its best disc"),
    ("disc_stars", None, "i4", "meta.number", "stars in that disc beside the central one"),
    ("disc_expected", None, "f8", "meta.number", "background stars expected there"),
    ("stars", None, "f8", "meta.number", "expected number of stars, sum of membership probabilities"),
    ("members", None, "i4", "meta.number", "stars above the membership threshold, outskirts left out"),
    ("regions", None, "i4", "meta.number", "regions of interest merged into the candidate"),
    ("components", None, "U40", "meta.note", "resonant components of those regions"),
    ("ra", "deg", "f8", "pos.eq.ra;meta.main", "centre, ICRS"),
    ("dec", "deg", "f8", "pos.eq.dec;meta.main", "centre, ICRS"),
    ("phi1", "deg", "f8", "pos", "centre, patch frame"),
    ("phi2", "deg", "f8", "pos", "centre, patch frame"),
    ("half_number_radius", "arcmin", "f8", "phys.angSize", "of a circle of the fitted ellipse's area"),
    ("half_number_radius_error", "arcmin", "f8", "stat.error;phys.angSize", "standard error"),
    ("axis_ratio", None, "f8", "phys.size.axisRatio", "minor over major axis"),
    ("axis_ratio_error", None, "f8", "stat.error;phys.size.axisRatio", "standard error"),
    ("position_angle", "deg", "f8", "pos.posAng", "of the major axis in the patch frame, phi1 towards phi2"),
    ("mask_radius", "deg", "f8", "phys.angSize", "of the hole that hides it from the line finder"),
    ("pmra", "mas / yr", "f8", "pos.pm;pos.eq.ra", "at the centre, with cos(dec)"),
    ("pmdec", "mas / yr", "f8", "pos.pm;pos.eq.dec", "at the centre"),
    ("pm_error", "mas / yr", "f8", "stat.error;pos.pm", "standard error, mean of the two components"),
    ("pm_spread", "mas / yr", "f8", "stat.stdev;pos.pm", "intrinsic sigma of each component"),
    ("parallax", "mas", "f8", "pos.parallax", "mean; NaN where the stars have none"),
    ("parallax_error", "mas", "f8", "stat.error;pos.parallax", "standard error, without systematics"),
)
_MEMBERS: _Schema = (
    ("source_id", None, "i8", "meta.id;meta.main", "Gaia source identifier"),
    ("object", None, "U32", "meta.id.parent", "over-density"),
    ("probability", None, "f8", "stat.probability", "membership probability"),
    ("outskirts", None, "bool", "meta.code", "further from the centre than the largest disc"),
    ("distance", "arcmin", "f8", "pos.angDistance", "from the centre"),
    ("ra", "deg", "f8", "pos.eq.ra;meta.main", "ICRS"),
    ("dec", "deg", "f8", "pos.eq.dec;meta.main", "ICRS"),
    ("pmra", "mas / yr", "f8", "pos.pm;pos.eq.ra", "with cos(dec)"),
    ("pmdec", "mas / yr", "f8", "pos.pm;pos.eq.dec", ""),
    ("parallax", "mas", "f8", "pos.parallax", "NaN where there is none"),
    ("parallax_error", "mas", "f8", "stat.error;pos.parallax", ""),
)
_FILES = {
    "objects": ("compact.ecsv", "compact.fits"),
    "members": ("compact_members.ecsv", "compact_members.fits"),
}


def compact_rows(
    found: Sequence[CompactCandidate],
    stars: StreamStars,
    geometry: PatchGeometry,
    *,
    threshold: float,
    member_threshold: float = 0.5,
    parallax: Parallax | None = None,
    known: Sequence[KnownObject] = (),
) -> tuple[Table, Table]:
    """Over-densities of one patch as catalogue rows: (objects, members), not yet named and ranked.

    Args:
        found: most significant first.
        stars: the patch's stars.
        geometry: the patch.
        threshold: false-alarm probability below which a compact object passes.
        member_threshold: least membership probability of a member.
        parallax: of the same stars.
        known: objects to compare with (`sky_patches.masks.read_known_objects`).
    """
    rows = [_row(one, geometry, threshold, member_threshold, known) for one in found]
    members = [
        _members(one, stars, geometry, str(number), member_threshold, parallax)
        for number, one in enumerate(found)
    ]
    return _table(_OBJECTS, rows), _stack(_MEMBERS, members)


def _row(
    one: CompactCandidate,
    geometry: PatchGeometry,
    threshold: float,
    member_threshold: float,
    known: Sequence[KnownObject],
) -> dict[str, Any]:
    disc, fit, model = one.disc, one.membership, one.membership.model
    phi1, phi2 = model.position
    ra, dec = (float(value) for value in geometry.frame.unproject(phi1, phi2))
    pmra, pmdec = geometry.frame.unproject_motions(phi1, phi2, *model.proper_motion)
    return {
        "name": "", "rank": 0, "patch": geometry.name, "known": _known(ra, dec, one, known),
        "significance": disc.significance, "false_alarm_probability": one.false_alarm_probability,
        "passes": one.passes(threshold), "elongated": one.elongated, "extended": one.extended,
        "unexplained": one.unexplained, "scale": 60 * disc.scale, "disc_stars": disc.count,
        "disc_expected": disc.expected, "stars": fit.stars, "members": len(one.members(member_threshold)),
        "regions": one.regions, "components": " ".join(one.components),
        "ra": ra, "dec": dec, "phi1": phi1, "phi2": phi2,
        "half_number_radius": 60 * model.half_number_radius,
        "half_number_radius_error": 60 * fit.errors.half_number_radius,
        "axis_ratio": model.axis_ratio, "axis_ratio_error": fit.errors.axis_ratio,
        "position_angle": model.position_angle, "mask_radius": mask_radius(one),
        "pmra": float(pmra), "pmdec": float(pmdec), "pm_error": float(np.mean(fit.errors.proper_motion)),
        "pm_spread": model.spread, "parallax": model.parallax, "parallax_error": fit.errors.parallax,
    }  # fmt: skip


def _known(ra: float, dec: float, one: CompactCandidate, known: Sequence[KnownObject]) -> str:
    """The nearest known object whose half-light circle, or the fitted one, holds the other's centre."""
    own = max(one.membership.model.half_number_radius, KNOWN_WITHIN)
    near = []
    for thing in known:
        distance = float(angular_distance(ra, dec, thing.ra, thing.dec))
        if distance < max(own, np.nan_to_num(thing.rhalf_arcmin) / 60):
            near.append((distance, thing.name))
    return min(near)[1] if near else ""


def _members(
    one: CompactCandidate,
    stars: StreamStars,
    geometry: PatchGeometry,
    name: str,
    threshold: float,
    parallax: Parallax | None,
) -> Table:
    fit = one.membership
    chosen = fit.probability > threshold
    rows, distance = fit.rows[chosen], fit.distance[chosen]
    nothing = np.full(len(rows), np.nan)
    phi1, phi2 = stars.position[rows].T
    ra, dec = geometry.frame.unproject(phi1, phi2)
    pmra, pmdec = geometry.frame.unproject_motions(phi1, phi2, *stars.proper_motion[rows].T)
    values = {
        "source_id": stars.source_id[rows], "object": np.full(len(rows), name, dtype="U32"),
        "probability": fit.probability[chosen], "outskirts": distance > one.reach,
        "distance": 60 * distance, "ra": ra, "dec": dec, "pmra": pmra, "pmdec": pmdec,
        "parallax": nothing if parallax is None else parallax.value[rows],
        "parallax_error": nothing if parallax is None else parallax.error[rows],
    }  # fmt: skip
    return Table(values)[np.lexsort((values["source_id"], -values["probability"]))]


@dataclass(frozen=True, eq=False)
class CompactCatalog:
    """Compact over-densities of a run and their stars.

    Args:
        objects: one row each, ranked; units and UCDs on every column.
        members: one row per member star, those of the outskirts marked.
        provenance: what made it (version, configuration, data, seed).
    """

    objects: Table
    members: Table
    provenance: Mapping[str, Any]

    @classmethod
    def merge(cls, patches: Sequence[tuple[Table, Table]], provenance: Mapping[str, Any]) -> CompactCatalog:
        """Rank the objects of all patches together and name them VC-1, VC-2, ...

        An object that overlapping patches show is one: of two that share more than half of the smaller list
        of members the more significant stays.
        """
        entries = []
        for rows, members in patches:
            for number, row in enumerate(rows):
                own = members[members["object"] == str(number)]
                entries.append((row, own))
        entries.sort(key=lambda entry: _rank_key(entry[0]))
        kept: list[tuple[Any, Table]] = []
        for row, own in entries:
            ids = set(own["source_id"].tolist())
            if not any(_same(ids, set(other["source_id"].tolist())) for _, other in kept):
                kept.append((row, own))
        rows, members = [], []
        for rank, (row, own) in enumerate(kept, start=1):
            rows.append({**{name: row[name] for name, *_ in _OBJECTS}, "name": f"VC-{rank}", "rank": rank})
            members.append(own.copy())
            members[-1]["object"] = np.full(len(own), f"VC-{rank}", dtype="U32")
        return cls(_table(_OBJECTS, rows), _stack(_MEMBERS, members), dict(provenance))

    def member_ids(self, name: str, *, outskirts: bool = False) -> np.ndarray:
        """source_id of the members of an object, on request with those beyond the largest disc.

        Raises:
            CompactError: no object of that name.
        """
        if name not in set(self.objects["name"]):
            held = ", ".join(map(str, self.objects["name"])) or "none"
            raise CompactError(f"no object {name!r}; the catalogue holds {held}")
        chosen = np.asarray(self.members["object"] == name)
        if not outskirts:
            chosen &= ~np.asarray(self.members["outskirts"], dtype=bool)
        return np.asarray(self.members["source_id"][chosen], dtype=np.int64)

    def write(self, directory: Path) -> list[Path]:
        """Write objects and members as ECSV and FITS, each file whole or not at all."""
        directory.mkdir(parents=True, exist_ok=True)
        # Not a single blank: FITS cuts the text into cards and strips those at their ends.
        text = json.dumps(dict(self.provenance), sort_keys=True, separators=(",", ":")).replace(
            " ", "\\u0020"
        )
        cards = [text[start : start + 70] for start in range(0, len(text), 70)]
        written = []
        for part, names in _FILES.items():
            for name in names:
                table = getattr(self, part).copy()
                table.meta = {"comments": cards} if name.endswith(".fits") else {"provenance": text}
                path = directory / name
                temporary = path.with_name(f".{path.stem}.tmp{path.suffix}")
                table.write(temporary, overwrite=True)
                os.replace(temporary, path)
                written.append(path)
        return written

    @classmethod
    def read(cls, directory: Path) -> CompactCatalog:
        """Read a catalogue that `write` wrote.

        Raises:
            CompactError: there is none, or it is damaged.
        """
        try:
            objects, members = (Table.read(directory / names[0]) for names in _FILES.values())
            provenance = json.loads(objects.meta["provenance"])
        except (OSError, ValueError, KeyError, TypeError, IORegistryError) as error:
            raise CompactError(
                f"no readable catalogue of compact objects in {directory} ({error}): make it with 'catalog'"
            ) from error
        return cls(objects, members, provenance)


def _rank_key(row: Any) -> tuple[float, float, str, float]:
    return (
        float(row["false_alarm_probability"]), -float(row["significance"]), str(row["patch"]),
        float(row["ra"]),
    )  # fmt: skip


def _same(ids: set[int], others: set[int]) -> bool:
    return len(ids & others) > 0.5 * min(len(ids), len(others))


def _table(schema: _Schema, rows: Sequence[Mapping[str, Any]]) -> Table:
    table = Table()
    for name, unit, dtype, ucd, description in schema:
        values = np.array([row[name] for row in rows], dtype=dtype)
        table[name] = Column(values, unit=None if unit is None else u.Unit(unit), description=description)
        table[name].meta["ucd"] = ucd
    return table


def _stack(schema: _Schema, tables: Sequence[Table]) -> Table:
    """All rows of the tables, in the schema's columns, units and descriptions."""
    filled = [table for table in tables if len(table)]
    stacked = vstack(filled, metadata_conflicts="silent") if filled else None
    table = Table()
    for name, unit, dtype, ucd, description in schema:
        values = np.empty(0) if stacked is None else np.asarray(stacked[name])
        table[name] = Column(
            values.astype(dtype), unit=None if unit is None else u.Unit(unit), description=description
        )
        table[name].meta["ucd"] = ucd
    return table
