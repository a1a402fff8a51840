"""Candidates of one patch as tables: what a patch hands to the joining of patches, and keeps on disk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from astropy.table import Table, vstack
from jaxtyping import Float, Int

from sky_patches import PatchGeometry
from streams.candidates import Candidate
from streams.catalog.schema import PATCH_MEMBER_COLUMNS, PATCH_STREAM_COLUMNS, table_of
from streams.errors import CatalogError
from streams.members import MEMBER_COLUMNS, MemberStars
from streams.plane import TangentPlane
from streams.stars import StreamStars

__all__ = ["LEAST_PROBABILITY", "candidate_rows"]

LEAST_PROBABILITY = 0.01
"""Stars below it are left out of the lists: together they hold less than a few per cent of a stream."""


def candidate_rows(
    candidates: Sequence[Candidate],
    stars: StreamStars,
    geometry: PatchGeometry,
    table: Table | None = None,
    *,
    threshold: float,
    member_threshold: float,
) -> tuple[Table, Table]:
    """Candidates of one patch as rows: (streams, stars of the streams), not yet named and ranked.

    The second table has every star with a membership probability above `LEAST_PROBABILITY`; `member` marks
    the members. Its `candidate` is the row number in the first table. A candidate's stars are
    `MemberStars.from_table(members[members["candidate"] == "0"])`.

    Args:
        candidates: most significant first.
        stars: the patch's stars.
        geometry: the patch.
        table: the patch table that `stars` were made of, row for row, with Gaia's columns. Without it
            positions and proper motions are turned back from the patch's frame, and errors, parallaxes
            and photometry are NaN.
        threshold: false-alarm probability below which a candidate passes.
        member_threshold: least membership probability of a member.

    Raises:
        CatalogError: `table` does not hold the same stars.
    """
    if table is not None and not np.array_equal(np.asarray(table["source_id"]), stars.source_id):
        raise CatalogError(
            f"the table ({len(table)} rows) and the stars ({len(stars)}) of patch {geometry.name!r} differ: "
            "give the table that the stars were made of"
        )
    plane = TangentPlane(*geometry.footprint.centre)
    rows = [_row(candidate, stars, geometry, plane, threshold, member_threshold) for candidate in candidates]
    columns = {column.name: [row[column.name] for row in rows] for column in PATCH_STREAM_COLUMNS}
    lists = [
        _stars_of(candidate, stars, geometry, table, number, member_threshold)
        for number, candidate in enumerate(candidates)
    ]
    return table_of(PATCH_STREAM_COLUMNS, columns), _together(lists)


def _together(lists: Sequence[Table]) -> Table:
    """All lists of stars, one below the other."""
    if not lists:
        return table_of(PATCH_MEMBER_COLUMNS, {column.name: [] for column in PATCH_MEMBER_COLUMNS})
    return vstack(list(lists), metadata_conflicts="silent")


def _row(
    candidate: Candidate,
    stars: StreamStars,
    geometry: PatchGeometry,
    plane: TangentPlane,
    threshold: float,
    member_threshold: float,
) -> dict[str, Any]:
    line, membership = candidate.line, candidate.membership
    return {
        "name": "", "rank": 0, "patch": geometry.name,
        "significance": line.significance, "false_alarm_probability": candidate.false_alarm_probability,
        "passes": candidate.false_alarm_probability < threshold,
        "contrast": (line.count - line.expected) / np.sqrt(line.expected) if line.expected > 0 else np.nan,
        "stability": candidate.stability,
        "stars": membership.stars, "members": len(membership.members(member_threshold)),
        "line_stars": line.count, "line_expected": line.expected, "line_rank": line.rank,
        "line_theta": line.theta, "line_offset": line.offset, "line_width": line.width,
        "regions": candidate.regions, "components": " ".join(candidate.components),
        **_track(candidate, stars, geometry, plane),
    }  # fmt: skip


def _track(
    candidate: Candidate, stars: StreamStars, geometry: PatchGeometry, plane: TangentPlane
) -> dict[str, float]:
    """The fitted stream at its middle, in the patch's frame and in ICRS."""
    model = candidate.membership.model
    middle, length = _extent(candidate, stars, plane)
    phi1, phi2 = (float(value[0]) for value in plane.unproject(*model.points(np.array([middle]))))
    ra, dec = geometry.frame.unproject(phi1, phi2)
    along, across = model.mean_proper_motion(np.array([middle]))[0]
    pmra, pmdec = geometry.frame.unproject_motions(phi1, phi2, along, across)
    slope = model.track[1] + 2 * model.track[2] * middle
    return {
        "ra": float(ra), "dec": float(dec), "pmra": float(pmra), "pmdec": float(pmdec),
        "phi1": phi1, "phi2": phi2, "pm_phi1_cosphi2": float(along), "pm_phi2": float(across),
        "pm_phi1_cosphi2_gradient": model.proper_motion[0][1], "pm_phi2_gradient": model.proper_motion[1][1],
        "position_angle": float(np.degrees(model.theta - np.arctan(slope)) % 180.0),
        "track_curvature": model.track[2], "width": model.width, "length": length,
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


def _stars_of(
    candidate: Candidate,
    stars: StreamStars,
    geometry: PatchGeometry,
    table: Table | None,
    number: int,
    threshold: float,
) -> Table:
    """Stars of one candidate, most probable first; equal probabilities by source_id."""
    membership = candidate.membership
    chosen = np.flatnonzero(membership.probability > LEAST_PROBABILITY)
    order = np.lexsort((stars.source_id[membership.rows[chosen]], -membership.probability[chosen]))
    chosen = chosen[order]
    rows, probability = membership.rows[chosen], membership.probability[chosen]
    sky = _sky(rows, probability, stars, geometry) if table is None else _gaia(table, rows, probability)
    values = {
        **{name: getattr(sky, name) for name in MEMBER_COLUMNS},
        "candidate": np.full(len(rows), str(number)), "patch": np.full(len(rows), geometry.name),
        "member": probability > threshold,
        "phi1": stars.position[rows, 0], "phi2": stars.position[rows, 1],
        "pm_phi1_cosphi2": stars.proper_motion[rows, 0], "pm_phi2": stars.proper_motion[rows, 1],
    }  # fmt: skip
    return table_of(PATCH_MEMBER_COLUMNS, values)


def _gaia(table: Table, rows: Int[np.ndarray, " m"], probability: Float[np.ndarray, " m"]) -> MemberStars:
    """Stars with the columns that the survey has."""
    present = [name for name in MEMBER_COLUMNS if name in table.colnames and name != "probability"]
    chosen = table[present][rows]
    chosen["probability"] = probability
    return MemberStars.from_table(chosen)


def _sky(
    rows: Int[np.ndarray, " m"],
    probability: Float[np.ndarray, " m"],
    stars: StreamStars,
    geometry: PatchGeometry,
) -> MemberStars:
    """Stars with what the patch's own coordinates say."""
    position, motion = stars.position[rows].T, stars.proper_motion[rows].T
    values = {name: np.full(len(rows), np.nan) for name in MEMBER_COLUMNS}
    values["ra"], values["dec"] = geometry.frame.unproject(*position)
    values["pmra"], values["pmdec"] = geometry.frame.unproject_motions(*position, *motion)
    return MemberStars(**{**values, "source_id": stars.source_id[rows], "probability": probability})
