"""A candidate's stars as vectors, so that the same candidate can be tried at another place of the sky."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from sky_patches.frames import unit_vectors
from streams.crossmatch.errors import CrossMatchError
from streams.crossmatch.track_line import motion_vectors
from streams.members import MemberStars

__all__ = ["PlacedStars", "weighted_median"]


@dataclass(frozen=True, eq=False)
class PlacedStars:
    """Stars of one candidate.

    Args:
        points: unit vectors.
        motions: proper motions as tangent vectors, mas/yr.
        weight: membership probabilities.
        listed: source_id of the stars that count as members; empty at a place where the candidate is not.
        centre: unit vector of the weighted middle.
        axis: direction of the longest axis, a unit vector tangent to the sky at the centre.
        elongation: ratio of the longest axis to the shorter one.
        reach: deg; no star is farther than this from the centre.
    """

    points: Float[np.ndarray, "n 3"]
    motions: Float[np.ndarray, "n 3"]
    weight: Float[np.ndarray, " n"]
    listed: Int[np.ndarray, " m"]
    centre: Float[np.ndarray, " 3"]
    axis: Float[np.ndarray, " 3"]
    elongation: float
    reach: float

    @classmethod
    def of(cls, name: str, members: MemberStars, member_probability: float) -> PlacedStars:
        """A candidate where it was found. Stars without weight, position or proper motion are left out.

        Raises:
            CrossMatchError: nothing is left.
        """
        known = np.isfinite(members.ra + members.dec + members.pmra + members.pmdec)
        stars = members.take(known & (members.probability > 0))
        if not len(stars):
            raise CrossMatchError(
                f"candidate {name} has no star with a position and a proper motion to compare"
            )
        # Sums depend on the order of their terms in the last digit, and results must not.
        stars = stars.take(np.argsort(stars.source_id))
        points = unit_vectors(stars.ra, stars.dec)
        motions = motion_vectors(stars.ra, stars.dec, stars.pmra, stars.pmdec)
        middle = stars.probability @ points
        centre = middle / np.linalg.norm(middle)
        reach = float(np.degrees(np.arccos(np.clip(points @ centre, -1.0, 1.0)).max()))
        listed = stars.source_id[stars.probability >= member_probability]
        axis, elongation = _longest_axis(points, stars.probability, centre)
        return cls(points, motions, stars.probability, listed, centre, axis, elongation, reach)

    def moved(self, matrix: Float[np.ndarray, "3 3"]) -> PlacedStars:
        """The same stars at another place; there they are nobody's listed stars."""
        return replace(
            self, points=self.points @ matrix.T, motions=self.motions @ matrix.T,
            centre=matrix @ self.centre, axis=matrix @ self.axis,
            listed=np.zeros(0, dtype=np.int64),
        )  # fmt: skip

    @property
    def stars(self) -> float:
        """Expected number of members."""
        return float(self.weight.sum())


def weighted_median(values: Float[np.ndarray, " n"], weight: Float[np.ndarray, " n"]) -> float:
    """The value with half of the weight on either side; NaN of nothing."""
    if not weight.sum() > 0:
        return float("nan")
    order = np.argsort(values, kind="stable")
    below = np.cumsum(weight[order]) - weight[order] / 2.0
    return float(np.interp(weight.sum() / 2.0, below, values[order]))


def _longest_axis(
    points: Float[np.ndarray, "n 3"], weight: Float[np.ndarray, " n"], centre: Float[np.ndarray, " 3"]
) -> tuple[Float[np.ndarray, " 3"], float]:
    flat = points - (points @ centre)[:, None] * centre
    flat -= np.average(flat, axis=0, weights=weight)
    spread, axes = np.linalg.eigh((flat * weight[:, None]).T @ flat / weight.sum())
    return axes[:, 2], float(np.sqrt(max(spread[2], 0.0) / max(spread[1], 1e-20)))
