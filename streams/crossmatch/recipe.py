"""When a candidate counts as a known stream: the constants of the cross-match."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from streams.crossmatch.errors import CrossMatchError

__all__ = ["CrossMatchRecipe"]


@dataclass(frozen=True)
class CrossMatchRecipe:
    """Constants of the cross-match.

    Args:
        widths: a star is on a known track within so many of its widths, plus `track_error`.
        track_error: deg; tracks of the same stream from two papers differ by a few tenths of a degree.
        unknown_width: deg; for tracks without a width.
        least_share: share of a candidate's stars on the track from which the positions agree.
        partial_share: share from which they agree in part.
        angle: largest angle (deg) between an elongated candidate and the track.
        elongation: length over width from which a candidate has a direction.
        proper_motion_error: mas/yr, of each component of a known track, added in quadrature.
        proper_motion_relative_error: the same as a share of the track's proper motion: steep gradients.
        proper_motion_sigmas: proper motions agree within so many errors.
        doubtful_sigmas: beyond so many errors they belong to other stars, and the place is a coincidence;
            between the two the case is left open.
        widest_alone: deg; the strip of a wider track says nothing without its proper motion.
        least_shared: shared stars that make a match by themselves ...
        shared_share: ... if they are this share of either list.
        decisive: ratio of evidence from which one of two matching streams is the right one.
        member_probability: of a candidate's star, from which it counts as listed when lists are compared.
        least_length: deg of a known track inside the footprints from which it could have been found ...
        least_stars: ... or so many of its listed stars there.
        placements: at how many other places of the sky the chance of a match is tried.
        least_move: deg; a place nearer than this to the candidate's own does not count.

    Raises:
        CrossMatchError: a constant that is not positive, or limits in the wrong order.
    """

    widths: float = 2.0
    track_error: float = 0.5
    unknown_width: float = 0.5
    least_share: float = 0.5
    partial_share: float = 0.2
    angle: float = 30.0
    elongation: float = 3.0
    proper_motion_error: float = 0.3
    proper_motion_relative_error: float = 0.05
    proper_motion_sigmas: float = 3.0
    doubtful_sigmas: float = 6.0
    widest_alone: float = 3.0
    least_shared: int = 5
    shared_share: float = 0.1
    decisive: float = 20.0
    member_probability: float = 0.5
    least_length: float = 1.0
    least_stars: int = 10
    placements: int = 100
    least_move: float = 10.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not (math.isfinite(value) and value > 0):
                raise CrossMatchError(f"{field.name} of a cross-match must be a positive number; got {value}")
        for low, high in (("partial_share", "least_share"), ("proper_motion_sigmas", "doubtful_sigmas")):
            if getattr(self, low) > getattr(self, high):
                raise CrossMatchError(
                    f"{low} must not exceed {high}; got {getattr(self, low)} and {getattr(self, high)}"
                )

    def tolerance(self, width: float) -> float:
        """Half-width (deg) of the strip around a track of the given width (deg; NaN if unknown)."""
        return self.widths * (width if math.isfinite(width) else self.unknown_width) + self.track_error
