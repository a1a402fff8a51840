"""One candidate beside one known stream: separation, direction, proper motion, shared stars."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from streams.agreement import agreement
from streams.crossmatch.known import KnownStream
from streams.crossmatch.placed_stars import PlacedStars, weighted_median
from streams.crossmatch.recipe import CrossMatchRecipe
from streams.crossmatch.track_line import Beside

__all__ = ["Level", "StreamMatch", "compare"]

Level = Literal["match", "possible", "none"]
_MAD_TO_SIGMA = 1.4826
_MEDIAN_ERROR = 1.2533
"""Error of a median over that of a mean, for Gaussian scatter."""


@dataclass(frozen=True)
class StreamMatch:
    """How a candidate stands to a known stream.

    Args:
        stream, source: the known stream.
        level: "match" if all that can be compared agrees, "possible" if a part does, else "none".
        separation: median distance of the candidate's stars from the track, signed, deg.
        tolerance: half-width of the strip that counts as on the track, deg.
        share: of the candidate's stars on the track.
        overlap: length of the track that the candidate covers (5th to 95th percentile), deg.
        angle: between the candidate's long axis and the track, deg; NaN if the candidate has no direction.
        pm_along, pm_across: median proper motion minus the track's, along and across it, mas/yr; NaN where
            the source has none.
        pm_error: error of each, with the known track's own, mas/yr.
        distance: of the known stream there, kpc; NaN if unknown.
        shared: stars in both member lists.
        purity: their share of the candidate's list; NaN without a list of the known stream.
        completeness: their share of the known list inside the footprints; NaN without a list.
    """

    stream: str
    source: str
    level: Level
    separation: float
    tolerance: float
    share: float
    overlap: float
    angle: float
    pm_along: float
    pm_across: float
    pm_error: float
    distance: float
    shared: int
    purity: float
    completeness: float

    @property
    def pm_difference(self) -> float:
        """Length of the difference of the proper motions, mas/yr."""
        return math.hypot(self.pm_along, self.pm_across)

    @property
    def pm_sigmas(self) -> float:
        """The same over its error."""
        return self.pm_difference / self.pm_error

    @property
    def evidence(self) -> float:
        """ln of the density of the candidate's median place and proper motion for this stream.

        Gaussians of half the tolerance across the track and of the error in each proper motion; constants
        that all streams share are left out. Of two streams in one place, the thinner and nearer one has more.
        """
        place = -0.5 * (2.0 * self.separation / self.tolerance) ** 2 - math.log(self.tolerance)
        if not math.isfinite(self.pm_difference):
            return -math.inf
        return place - 0.5 * self.pm_sigmas**2 - 2.0 * math.log(self.pm_error)


def compare(
    stars: PlacedStars,
    known: KnownStream,
    inside: Int[np.ndarray, " m"] | None,
    recipe: CrossMatchRecipe,
) -> StreamMatch:
    """Compare a candidate with a known stream.

    Args:
        stars: the candidate.
        known: the stream.
        inside: source_id of those of its listed stars that lie inside the footprints; None without a list.
        recipe: when what agrees.
    """
    beside = known.line.beside(stars.points, stars.motions)
    tolerance = recipe.tolerance(known.width)
    on_track = np.abs(beside.separation) <= tolerance
    weight = np.where(on_track, stars.weight, 0.0)
    share = float(weight.sum() / stars.stars)
    along, across, error = _proper_motion(beside, weight, known, recipe)
    angle = _angle(stars, known, recipe)
    shared, purity, completeness = _shared(stars, inside)
    same_stars = shared >= recipe.least_shared and max(purity, completeness) >= recipe.shared_share
    sigmas = math.hypot(along, across) / error
    level = "match" if same_stars else _level(share, angle, sigmas, tolerance, recipe)
    return StreamMatch(
        known.name, known.source, level, weighted_median(beside.separation, stars.weight), tolerance, share,
        _covered(beside, weight), angle, along, across, error, _distance(known, beside, weight), shared,
        purity, completeness,
    )  # fmt: skip


def _level(share: float, angle: float, sigmas: float, tolerance: float, recipe: CrossMatchRecipe) -> Level:
    """Place, direction and proper motion: all agree, one of them is in doubt, or less than that."""
    if share < recipe.partial_share or sigmas > recipe.doubtful_sigmas:
        return "none"
    same_motion = sigmas <= recipe.proper_motion_sigmas
    # Written so that a direction that is not known (NaN) does not speak against a match.
    doubts = (share < recipe.least_share) + (angle > recipe.angle) + (not same_motion)
    if doubts == 0:
        return "match"
    says_something = same_motion or tolerance <= recipe.widest_alone
    return "possible" if doubts == 1 and says_something else "none"


def _proper_motion(
    beside: Beside, weight: Float[np.ndarray, " n"], known: KnownStream, recipe: CrossMatchRecipe
) -> tuple[float, float, float]:
    """Median differences along and across, and the error of each: the scatter's and the known track's."""
    given = np.isfinite(beside.motion).all(axis=1) & (weight > 0)
    if not given.any():
        return math.nan, math.nan, math.nan
    values, chosen = beside.motion[given], weight[given]
    medians = [weighted_median(component, chosen) for component in values.T]
    scatter = [
        weighted_median(np.abs(component - median), chosen)
        for component, median in zip(values.T, medians, strict=True)
    ]
    count = chosen.sum() ** 2 / (chosen**2).sum()
    statistical = _MEDIAN_ERROR * _MAD_TO_SIGMA * math.hypot(*scatter) / math.sqrt(2.0 * count)
    speed = float(np.median(np.linalg.norm(known.line.motions[beside.node[given]], axis=1)))
    error = math.hypot(statistical, recipe.proper_motion_error, recipe.proper_motion_relative_error * speed)
    return medians[0], medians[1], error


def _angle(stars: PlacedStars, known: KnownStream, recipe: CrossMatchRecipe) -> float:
    if stars.elongation < recipe.elongation:
        return math.nan
    tangent = known.line.tangents[known.line.tree.query(stars.centre)[1]]
    return math.degrees(math.acos(min(abs(float(stars.axis @ tangent)), 1.0)))


def _covered(beside: Beside, weight: Float[np.ndarray, " n"]) -> float:
    if not weight.sum() > 0:
        return 0.0
    order = np.argsort(beside.along, kind="stable")
    share = np.cumsum(weight[order]) / weight.sum()
    low, high = np.interp([0.05, 0.95], share, beside.along[order])
    return float(high - low)


def _distance(known: KnownStream, beside: Beside, weight: Float[np.ndarray, " n"]) -> float:
    distances = known.line.distance[beside.node]
    given = np.isfinite(distances) & (weight > 0)
    return weighted_median(distances[given], weight[given])


def _shared(stars: PlacedStars, inside: Int[np.ndarray, " m"] | None) -> tuple[int, float, float]:
    if inside is None:
        return 0, math.nan, math.nan
    both = agreement(stars.listed, inside)
    return both.common, both.purity, both.completeness
