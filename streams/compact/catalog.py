"""The second catalogue of a scan: one table of compact objects, one of their stars."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from astropy.io.registry import IORegistryError
from astropy.table import Table

from sky_patches import PatchGeometry
from sky_patches.footprints.shapes import angular_distance
from sky_patches.masks.known_objects import KnownObject
from streams.catalog.files import FORMATS, one_line, read_table, write_table
from streams.catalog.schema import table_of
from streams.compact.columns import COMPACT_COLUMNS, COMPACT_MEMBER_COLUMNS, COMPACT_SCHEMA
from streams.compact.errors import CompactError
from streams.compact.finder import CompactCandidate
from streams.compact.masking import mask_radius
from streams.compact.membership import Parallax
from streams.stars import StreamStars

__all__ = ["CompactCatalog", "compact_rows"]

KNOWN_WITHIN = 0.05
"""deg: an over-density this near to a known object of any size is that object."""

_FILES = {"objects": "compact", "members": "compact_members"}


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
    return _object_table(rows), _member_table(members)


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
        "source_id": stars.source_id[rows], "object": np.full(len(rows), name),
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
            rows.append({**_values(row), "name": f"VC-{rank}", "rank": rank})
            members.append(own.copy())
            members[-1]["object"] = np.full(len(own), f"VC-{rank}")
        return cls(_object_table(rows), _member_table(members), dict(provenance))

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
        """Write objects and members as ECSV, FITS and Parquet, each file whole or not at all.

        Raises:
            CatalogError: a text that is not plain ASCII.
        """
        directory.mkdir(parents=True, exist_ok=True)
        written = []
        for part, stem in _FILES.items():
            table = getattr(self, part).copy(copy_data=False)
            table.meta = {"schema": COMPACT_SCHEMA, "provenance": one_line(self.provenance)}
            written += [write_table(table, directory / f"{stem}.{ending}") for ending in FORMATS]
        return written

    @classmethod
    def read(cls, directory: Path, kind: Literal["ecsv", "fits", "parquet"] = "ecsv") -> CompactCatalog:
        """Read a catalogue that `write` wrote; the three kinds of file hold the same.

        Raises:
            CompactError: there is none, it is damaged, or of another layout.
        """
        try:
            objects, members = (read_table(directory / f"{stem}.{kind}") for stem in _FILES.values())
            # Files without a number are older than the number, and laid out in the same way.
            schemas = {table.meta.pop("schema", COMPACT_SCHEMA) for table in (objects, members)}
            told, _ = (table.meta.pop("provenance") for table in (objects, members))
            provenance = json.loads(told)
        except (OSError, ValueError, LookupError, TypeError, IORegistryError) as error:
            raise CompactError(
                f"no readable catalogue of compact objects in {directory} ({error}): make it with 'catalog'"
            ) from error
        if schemas != {COMPACT_SCHEMA}:
            found = ", ".join(sorted(map(str, schemas)))
            raise CompactError(
                f"the catalogue of compact objects in {directory} has layout {found}; this version reads "
                f"layout {COMPACT_SCHEMA}: make it anew from the run with 'catalog'"
            )
        return cls(objects, members, provenance)


def _rank_key(row: Any) -> tuple[float, float, str, float]:
    return (
        float(row["false_alarm_probability"]), -float(row["significance"]), str(row["patch"]),
        float(row["ra"]),
    )  # fmt: skip


def _same(ids: set[int], others: set[int]) -> bool:
    return len(ids & others) > 0.5 * min(len(ids), len(others))


def _values(row: Table.Row) -> dict[str, Any]:
    """The row by column; tables that were read from a file mask empty texts."""
    values = zip(row.colnames, row, strict=True)
    return {name: "" if value is np.ma.masked else value for name, value in values}


def _object_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    return table_of(
        COMPACT_COLUMNS, {column.name: [row[column.name] for row in rows] for column in COMPACT_COLUMNS}
    )


def _member_table(tables: Sequence[Table]) -> Table:
    """All rows of the tables, one below the other."""
    names = [column.name for column in COMPACT_MEMBER_COLUMNS]
    values = {name: np.concatenate([np.asarray(table[name]) for table in tables] or [[]]) for name in names}
    return table_of(COMPACT_MEMBER_COLUMNS, values)
