"""Where a refinement starts from, and its settings."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from streams.errors import StreamsError

__all__ = ["OPTIONAL_TERMS", "RefinementError", "RefinementRecipe", "RefinementStart"]

OPTIONAL_TERMS = ("ends", "motion_curvature", "distance_gradient")
"""Terms that are fitted only when asked for, and kept only when the stars speak for them."""


class RefinementError(StreamsError):
    """A refinement that cannot be carried out: too few stars, or numbers that do not fit together."""


@dataclass(frozen=True)
class RefinementStart:
    """A stream as a search found it.

    Args:
        theta, offset: the line x sin(theta) - y cos(theta) = offset in the tangent plane (radians, deg).
        width: Gaussian sigma across the line, deg: about a quarter of a search's full strip width.
        proper_motion: ((a, b), (a, b)): pm = a + b s in patch coordinates, mas/yr and mas/yr/deg, with
            s = x cos(theta) + y sin(theta) in deg from the foot of the perpendicular from the plane's centre.
        stars: expected number of stream stars in the patch.
        spread: intrinsic sigma of a proper-motion component, mas/yr: as wide as the search's step.
        modulus: distance modulus at s = 0, mag; needed when a ridge is given.
        extent: (first, last) s of the stream, deg; where the ends are put if they are fitted.
    """

    theta: float
    offset: float
    width: float
    proper_motion: tuple[tuple[float, float], tuple[float, float]]
    stars: float = 40.0
    spread: float = 0.4
    modulus: float | None = None
    extent: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        flat = (self.theta, self.offset, *np.ravel(self.proper_motion))
        if not np.isfinite(flat).all():
            raise RefinementError(f"a start needs a finite line and proper motion, got {flat}")
        for name in ("width", "stars", "spread"):
            if not getattr(self, name) > 0:
                raise RefinementError(f"a start needs a positive {name}, got {getattr(self, name)}")

    def varied(self) -> tuple[RefinementStart, ...]:
        """This start and others around it: narrower, wider, turned by two degrees, nearer, farther."""
        starts = [self, replace(self, width=0.5 * self.width), replace(self, width=2.0 * self.width)]
        starts += [self._turned(step) for step in np.radians([-2.0, 2.0])]
        if self.modulus is not None:
            starts += [replace(self, modulus=self.modulus + step) for step in (-0.4, 0.4)]
        return tuple(starts)

    def _turned(self, angle: float) -> RefinementStart:
        """Turned about the foot of the perpendicular; s changes by the second order only."""
        return replace(self, theta=self.theta + angle, offset=self.offset * float(np.cos(angle)))


@dataclass(frozen=True)
class RefinementRecipe:
    """Settings of the refinement.

    Args:
        motion_margin: mas/yr beyond `reach` standard deviations within which stars enter, in each round;
            the first round has to bridge the steps of a search, the last only its own errors.
        sky_margin: the same across the track, deg.
        reach: standard deviations (own errors and intrinsic spread; width) within which stars enter. Beyond,
            a stream star is a matter of one in ten thousand.
        iterations: of expectation-maximisation from each start of the first round.
        steps: at most, of the scoring that follows it.
        min_width, max_width: bounds of the Gaussian width, deg.
        min_spread, max_spread: bounds of the intrinsic proper-motion spread, mas/yr.
        max_curvature: 1/deg, largest |c2| of a track t = c0 + c1 s + c2 s^2.
        motion_reach: mas/yr/deg, largest gradient of a proper motion.
        softness: scale, deg, over which the ends fade, so that the likelihood is smooth in them.
        optional: those of `OPTIONAL_TERMS` that are tried. Each is kept when it raises twice the
            log-likelihood by more than ln(stars of the stream) per parameter (Schwarz 1978).
        errors: "information": inverse of the observed information; "sandwich": robust against a wrong model
            (Huber 1967), noisier below about a hundred stars.
    """

    motion_margin: tuple[float, ...] = (1.5, 0.3)
    sky_margin: tuple[float, ...] = (1.0, 0.3)
    reach: float = 4.5
    iterations: int = 12
    steps: int = 60
    min_width: float = 0.05
    max_width: float = 1.5
    min_spread: float = 0.02
    max_spread: float = 3.0
    max_curvature: float = 0.05
    motion_reach: float = 0.6
    softness: float = 0.25
    optional: tuple[str, ...] = ()
    errors: Literal["information", "sandwich"] = "information"

    def __post_init__(self) -> None:
        unknown = [name for name in self.optional if name not in OPTIONAL_TERMS]
        if unknown:
            raise RefinementError(f"unknown optional terms {unknown}: choose from {OPTIONAL_TERMS}")
        if not self.motion_margin or len(self.motion_margin) != len(self.sky_margin):
            raise RefinementError(
                "motion_margin and sky_margin need one entry per round, "
                f"got {self.motion_margin} and {self.sky_margin}"
            )
        if self.errors not in ("information", "sandwich"):
            raise RefinementError(f'errors are "information" or "sandwich", got {self.errors!r}')
