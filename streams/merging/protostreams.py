"""Protoclusters of one patch that are one stream: a stream broken in two, or bent more than a line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool

from streams.membership import Membership, MembershipRecipe, StreamModel, fit_membership
from streams.merging.candidate import Candidate
from streams.merging.comparison import JoinRecipe, compare
from streams.merging.records import MergeDecision, ProtostreamLog
from streams.merging.tracks import SkyStars
from streams.plane import TangentPlane
from streams.stars import StreamStars

__all__ = ["Found", "compared", "fitted_together", "groups_of", "protostreams"]

LEAST_PROBABILITY = 0.01
"""Stars below this do not count when two fits are compared: there are thousands, all background."""


@dataclass(frozen=True)
class Found:
    """A protocluster as a candidate, with the stars that were free when it was found."""

    candidate: Candidate
    free: Bool[np.ndarray, " n"]


def protostreams(
    found: Sequence[Found],
    stars: StreamStars,
    plane: TangentPlane,
    membership: MembershipRecipe,
    join: JoinRecipe,
) -> list[Found]:
    """Protoclusters that continue each other become one, where one fit explains them all.

    Args:
        found: the protoclusters of a patch in order of discovery.
        stars, plane, membership: for the common fit.
        join: when two are compared as one.
    """
    memberships = [one.candidate.membership for one in found]
    decisions = compared(stars, memberships, join)
    joined: list[Found] = []
    for group in groups_of(len(found), decisions):
        parts = sorted((found[k] for k in group), key=lambda one: -one.candidate.line.significance)
        others = [memberships[k].members() for k in range(len(found)) if k not in group]
        free = np.ones(len(stars), dtype=bool)
        free[np.concatenate([*others, np.empty(0, dtype=int)])] = False
        fits = [one.candidate.membership for one in parts]
        fit = fitted_together(stars, plane, fits, membership, free) if len(parts) > 1 else None
        if len(parts) > 1 and fit is None:
            decisions = [_refused(decision, group) for decision in decisions]
        joined += parts if fit is None else [_one(parts, fit)]
    return [_logged(one, found, decisions) for one in joined]


def compared(
    stars: StreamStars, memberships: Sequence[Membership], recipe: JoinRecipe
) -> list[MergeDecision]:
    """Compare every two fitted streams of one patch; labels are their numbers in the sequence.

    They share no members by construction, so tracks and proper motions decide. Fits of fewer than
    `recipe.min_stars` stars are not compared.
    """
    sky = {
        number: _sky(stars, membership)
        for number, membership in enumerate(memberships)
        if membership.stars >= recipe.min_stars
    }
    return [
        compare((str(one), str(two)), sky[one], sky[two], recipe, None)
        for one in sky
        for two in sky
        if one < two
    ]


def groups_of(number: int, decisions: Sequence[MergeDecision]) -> list[list[int]]:
    """Connected components of `number` protoclusters under the decisions to join, each in order."""
    group = list(range(number))
    for decision in decisions:
        if decision.joined:
            one, two = sorted(group[int(label)] for label in decision.labels)
            group = [one if name == two else name for name in group]
    return [[k for k in range(number) if group[k] == name] for name in sorted(set(group))]


def fitted_together(
    stars: StreamStars,
    plane: TangentPlane,
    memberships: Sequence[Membership],
    recipe: MembershipRecipe,
    use: Bool[np.ndarray, " n"],
) -> Membership | None:
    """One stream fitted to what several fits found; None unless it explains more than half of each.

    Args:
        stars, plane, recipe, use: as in `fit_membership`.
        memberships: the fits, the one to start from first.
    """
    joint = fit_membership(stars, plane, _start(stars, plane, memberships), recipe, use)
    member = np.zeros(len(stars), dtype=bool)
    member[joint.members()] = True
    explained = [member[one.members()].mean() if len(one.members()) else 0.0 for one in memberships]
    return joint if min(explained) > 0.5 else None


def _sky(stars: StreamStars, membership: Membership) -> SkyStars:
    use = membership.probability > LEAST_PROBABILITY
    rows = membership.rows[use]
    return SkyStars.of(
        stars.position[rows], stars.proper_motion[rows], stars.proper_motion_error[rows],
        membership.probability[use],
    )  # fmt: skip


def _start(stars: StreamStars, plane: TangentPlane, memberships: Sequence[Membership]) -> StreamModel:
    """A model through the stars of all fits, along the line of the first."""
    first = memberships[0].model
    weight = np.zeros(len(stars))
    for one in memberships:
        weight[one.rows] = np.maximum(weight[one.rows], one.probability)
    rows = np.flatnonzero(weight > LEAST_PROBABILITY)
    x, y = plane.project(*stars.position[rows].T)
    s, t = first.along(x, y), x * np.sin(first.theta) - y * np.cos(first.theta)
    root = np.sqrt(weight[rows])
    track = np.polynomial.polynomial.polyfit(s, t, 2, w=root)
    motion = np.polynomial.polynomial.polyfit(s, stars.proper_motion[rows], 1, w=root)
    return StreamModel(
        first.theta, tuple(float(c) for c in track), max(one.model.width for one in memberships),
        tuple((float(a), float(b)) for a, b in motion.T), max(one.model.spread for one in memberships),
        float(np.clip(weight.sum() / max(len(memberships[0].rows), 1), 0.01, 0.5)),
    )  # fmt: skip


def _one(parts: list[Found], membership: Membership) -> Found:
    """One protostream of several protoclusters, the most significant first: its line is the evidence."""
    best = parts[0]
    candidates = [one.candidate for one in parts]
    components = tuple(sorted({name for one in candidates for name in one.components}))
    clusters = tuple(cluster for one in candidates for cluster in one.log.protoclusters)
    candidate = replace(
        best.candidate, membership=membership, regions=sum(one.regions for one in candidates),
        components=components, log=ProtostreamLog(clusters),
    )  # fmt: skip
    return Found(candidate, best.free)


def _refused(decision: MergeDecision, group: list[int]) -> MergeDecision:
    if not decision.joined or int(decision.labels[0]) not in group:
        return decision
    reason = "two streams: they agree, but one fit of both does not explain half of the members of each"
    return replace(decision, joined=False, reason=reason)


def _logged(one: Found, found: list[Found], decisions: list[MergeDecision]) -> Found:
    """The protostream with the comparisons of its protoclusters."""
    lines = [other.candidate.log.protoclusters[0] for other in found]
    own = {str(lines.index(cluster)) for cluster in one.candidate.log.protoclusters}
    log = replace(one.candidate.log, decisions=tuple(d for d in decisions if own.intersection(d.labels)))
    return replace(one, candidate=replace(one.candidate, log=log))
