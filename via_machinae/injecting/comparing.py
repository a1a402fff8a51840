"""A search's candidates against the injected stream: recovered or not, and how well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from astropy.table import Table
from jaxtyping import Int

from sky_patches import PatchGeometry
from streams import Agreement, Candidate, StreamModel, StreamStars, TangentPlane, agreement
from streams.injection import StreamTruth
from via_machinae.config import Config

__all__ = ["LEAST_SHARE", "judged"]

LEAST_SHARE = 0.1
"""A candidate is the injected stream if it holds this share of its stars, and more of it than of others."""


def judged(
    candidates: Sequence[Candidate],
    stars: StreamStars,
    geometry: PatchGeometry,
    injected: Table,
    truth: StreamTruth | None,
    known: Mapping[str, Int[np.ndarray, " _"]],
    config: Config,
) -> dict[str, Any]:
    """What a trial found.

    Args:
        candidates: of the search with the injected stars.
        stars: of the patch with them.
        geometry: the patch.
        injected: the injected stars that are in the patch; source_id, ra, dec, pmra, pmdec.
        truth: the stream; None for scattered stars.
        known: members of the candidates that the run has without an injection.
        config: thresholds of false-alarm probability and membership.

    Returns:
        `recovered`, `false_candidates` (passing, and neither the stream nor known), and of the candidate
        that is the stream, if there is one: purity, completeness, f1, significance, probability and biases.
    """
    ids = np.asarray(injected["source_id"], dtype=np.int64)
    threshold, least = config.significance.threshold, config.membership.threshold
    passing = [candidate for candidate in candidates if candidate.false_alarm_probability < threshold]
    owners = [_owner(_member_ids(candidate, stars, least), ids, known) for candidate in passing]
    found = [candidate for candidate, owner in zip(passing, owners, strict=True) if owner == ""]
    told: dict[str, Any] = {
        "recovered": bool(found), "pieces": len(found), "false_candidates": owners.count(None),
    }  # fmt: skip
    if found:
        members = agreement(_member_ids(found[0], stars, least), ids)
        told |= _quality(found[0], members)
        if truth is not None:
            told |= _biases(found[0], stars, geometry, injected, truth, least)
    return told


def _member_ids(candidate: Candidate, stars: StreamStars, threshold: float) -> Int[np.ndarray, " m"]:
    return stars.source_id[candidate.membership.members(threshold)]


def _owner(members: np.ndarray, injected: np.ndarray, known: Mapping[str, np.ndarray]) -> str | None:
    """What a candidate is: "" the injected stream, the name of a known candidate, or None: nothing."""
    shares = {name: agreement(members, ids).completeness for name, ids in known.items()}
    shares[""] = agreement(members, injected).completeness
    # On a tie the known candidate is kept: nothing is called recovered that was there before.
    best = max(shares, key=lambda name: (shares[name], name != ""))
    return best if shares[best] >= LEAST_SHARE else None


def _quality(candidate: Candidate, members: Agreement) -> dict[str, float]:
    return {
        "significance": candidate.line.significance,
        "false_alarm_probability": candidate.false_alarm_probability,
        "members": members.found, "purity": members.purity, "completeness": members.completeness,
        "f1": members.f1, "found_stars": candidate.membership.stars,
        "found_width": candidate.membership.model.width,
        "stars_ratio": candidate.membership.stars / members.reference,
    }  # fmt: skip


def _biases(
    candidate: Candidate,
    stars: StreamStars,
    geometry: PatchGeometry,
    injected: Table,
    truth: StreamTruth,
    threshold: float,
) -> dict[str, float]:
    """Offsets of the fitted stream from the true one, where the injected stars are."""
    model = candidate.membership.model
    ra, dec = (np.asarray(injected[name], dtype=float) for name in ("ra", "dec"))
    track_ra, track_dec, pmra, pmdec = _track(model, geometry, ra, dec)
    offset = truth.across(track_ra, track_dec)
    motion = truth.motion_offset(track_ra, track_dec, pmra, pmdec)
    rows = candidate.membership.members(threshold)
    found = truth.across(*geometry.frame.unproject(*stars.position[rows].T))
    return {
        "track_bias": float(np.median(found)), "track_rms": float(np.sqrt(np.mean(offset**2))),
        "pm_bias_along": float(np.median(motion[:, 0])), "pm_bias_across": float(np.median(motion[:, 1])),
        "width_bias": model.width - truth.width,
    }  # fmt: skip


def _track(
    model: StreamModel, geometry: PatchGeometry, ra: np.ndarray, dec: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """ICRS places and proper motions of the fitted track, over the middle 90 % of the injected stars."""
    plane = TangentPlane(*geometry.footprint.centre)
    along = model.along(*plane.project(*geometry.frame.project_positions(ra, dec)))
    s = np.linspace(*np.percentile(along, [5.0, 95.0]), 41)
    phi1, phi2 = plane.unproject(*model.points(s))
    motion = model.mean_proper_motion(s)
    return (*geometry.frame.unproject(phi1, phi2), *geometry.frame.unproject_motions(phi1, phi2, *motion.T))
