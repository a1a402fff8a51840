"""Are two streams one? Place, direction and motion where they meet, and the stars they share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from streams.merging.records import Criterion, MergeDecision
from streams.merging.tracks import CommonFrame, SkyStars, Track, fit_track

__all__ = ["JoinRecipe", "SharedStars", "compare"]


@dataclass(frozen=True)
class JoinRecipe:
    """When two streams are taken for one.

    A difference passes when it is at most tolerance + sigmas * error, and never beyond the cap: the
    tolerance is what a quadratic track and a linear motion may miss of a real stream, and the cap keeps a
    badly known track from agreeing with everything.

    Args:
        sigmas: of the error of a difference.
        angle_tolerance, max_angle: between the directions, deg.
        position_tolerance, max_position: between the tracks, deg; the width of the line finder's strips.
        motion_tolerance, max_motion: per component of the proper motion, mas/yr; Gaia's error of a faint
            star, and a quarter of a window.
        max_gap: largest stretch along the track without stars of either, deg.
        least_share: of the stars expected in both lists; two fits of one stream have most in common, two
            streams have almost nothing.
        least_expected: stars expected in both lists (in both footprints, where both tracks run) from which
            the share is asked for.
        min_stars: a stream with fewer expected members has no track and is compared with nothing.
    """

    sigmas: float = 3.0
    angle_tolerance: float = 5.0
    max_angle: float = 20.0
    position_tolerance: float = 0.5
    max_position: float = 1.0
    motion_tolerance: float = 0.5
    max_motion: float = 1.5
    max_gap: float = 5.0
    least_share: float = 0.25
    least_expected: float = 5.0
    min_stars: float = 5.0


@dataclass(frozen=True, eq=False)
class SharedStars:
    """What two lists of stars have in common.

    Args:
        seen: for each list the stars that lie in the other's footprint too.
        common: for each star of the first list the smaller of its two probabilities; 0 where the second does
            not list it.
    """

    seen: tuple[Bool[np.ndarray, " n"], Bool[np.ndarray, " m"]]
    common: Float[np.ndarray, " n"]


def compare(
    labels: tuple[str, str], one: SkyStars, two: SkyStars, recipe: JoinRecipe, shared: SharedStars | None
) -> MergeDecision:
    """Compare two streams where they meet.

    They meet in the middle of the stretch where both have stars, or of the gap between them, to which both
    tracks are extrapolated with their errors.

    Args:
        labels: names of the two.
        one, two: their stars.
        recipe: tolerances.
        shared: what their lists have in common; None for two streams of one patch, which share no star by
            construction.
    """
    frame = CommonFrame.of(one, two)
    tracks = fit_track(one, frame), fit_track(two, frame)
    criteria = _differences(tracks, recipe)
    if shared is not None:
        criteria += _share(shared, (one, two), tracks, recipe)
    return MergeDecision(labels, criteria, all(c.passed for c in criteria), _reason(criteria))


def _share(
    shared: SharedStars, streams: tuple[SkyStars, SkyStars], tracks: tuple[Track, Track], recipe: JoinRecipe
) -> tuple[Criterion, ...]:
    """The share of common stars among those expected in both lists, where both streams run."""
    first, last = max(track.start for track in tracks), min(track.end for track in tracks)
    s = [track.frame.positions(stream.vectors)[0] for stream, track in zip(streams, tracks, strict=True)]
    both = [(along >= first) & (along <= last) for along in s]
    expected = min(
        float(stream.weight[seen & here].sum())
        for stream, seen, here in zip(streams, shared.seen, both, strict=True)
    )
    if expected < recipe.least_expected:
        return ()
    share = float(shared.common[both[0]].sum()) / expected
    return (Criterion("shared stars", share, recipe.least_share, share >= recipe.least_share, ""),)


def _differences(tracks: tuple[Track, Track], recipe: JoinRecipe) -> tuple[Criterion, ...]:
    one, two = tracks
    first, last = max(one.start, two.start), min(one.end, two.end)
    where = np.array([(first + last) / 2])
    gap = max(first - last, 0.0)
    limits = {
        "angle": (recipe.angle_tolerance, recipe.max_angle, "deg"),
        "position": (recipe.position_tolerance, recipe.max_position, "deg"),
        "proper motion along": (recipe.motion_tolerance, recipe.max_motion, "mas/yr"),
        "proper motion across": (recipe.motion_tolerance, recipe.max_motion, "mas/yr"),
    }
    values = [
        [track.angle(where), track.offset.at(where), *(motion.at(where) for motion in track.motion)]
        for track in tracks
    ]
    found = [Criterion("gap", gap, recipe.max_gap, gap <= recipe.max_gap, "deg")]
    for (name, (tolerance, cap, unit)), (a, a_error), (b, b_error) in zip(
        limits.items(), *values, strict=True
    ):
        difference = abs(float(a[0] - b[0]))
        threshold = min(tolerance + recipe.sigmas * float(np.hypot(a_error[0], b_error[0])), cap)
        found.append(Criterion(name, difference, threshold, difference <= threshold, unit))
    return tuple(found)


def _reason(criteria: tuple[Criterion, ...]) -> str:
    failed = [criterion for criterion in criteria if not criterion.passed]
    if failed:
        return "two streams: " + ", ".join(_words(criterion) for criterion in failed)
    by_name = {criterion.name: criterion for criterion in criteria}
    where = "where both have stars" if by_name["gap"].value == 0 else "in the middle of the gap between them"
    share = by_name.get("shared stars")
    also = "continuing into each other" if share is None else f"sharing {share.value:.0%} of their stars"
    return f"one stream: tracks and proper motions agree {where}, {also}"


def _words(criterion: Criterion) -> str:
    if criterion.name == "shared stars":
        return f"they share {criterion.value:.0%} of the stars (at least {criterion.threshold:.0%})"
    return f"{criterion.name} {criterion.value:.2f} {criterion.unit} (at most {criterion.threshold:.2f})"
