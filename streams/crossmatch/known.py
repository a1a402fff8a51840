"""A known stream: its track, its proper motions along it, its members where somebody listed them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float

from streams.crossmatch.errors import CrossMatchError
from streams.crossmatch.track_line import TrackLine
from streams.members import MemberStars

__all__ = ["KnownStream"]


@dataclass(frozen=True, eq=False)
class KnownStream:
    """One stream as one source describes it.

    Args:
        name: of the stream, without a reference.
        source: who measured it.
        ra, dec: points of the track in order along it, ICRS, deg; at least two.
        distance: along the track, kpc; NaN where the source has none.
        pmra, pmdec: along the track, pmra with cos(dec), as observed, mas/yr; NaN where the source has none.
        width: Gaussian sigma across the track, deg; NaN where it is not known.
        members: stars that the source lists, or None.

    Raises:
        CrossMatchError: arrays of different lengths, fewer than two points, or positions that are no numbers.
    """

    name: str
    source: str
    ra: Float[np.ndarray, " n"]
    dec: Float[np.ndarray, " n"]
    distance: Float[np.ndarray, " n"]
    pmra: Float[np.ndarray, " n"]
    pmdec: Float[np.ndarray, " n"]
    width: float = float("nan")
    members: MemberStars | None = None

    def __post_init__(self) -> None:
        lengths = {len(values) for values in (self.ra, self.dec, self.distance, self.pmra, self.pmdec)}
        if len(lengths) > 1 or len(self.ra) < 2:
            raise CrossMatchError(
                f"the track of {self.name} needs at least two points and arrays of one length; "
                f"got lengths {sorted(lengths)}"
            )
        if not (np.isfinite(self.ra).all() and np.isfinite(self.dec).all()):
            raise CrossMatchError(
                f"the track of {self.name} holds positions that are no numbers: leave them out"
            )

    @cached_property
    def line(self) -> TrackLine:
        """The track as a line on the sphere."""
        return TrackLine.through(self.ra, self.dec, self.pmra, self.pmdec, self.distance)

    @property
    def has_proper_motion(self) -> bool:
        """True where the source gives proper motions along the track."""
        return bool(np.isfinite(self.pmra).any() and np.isfinite(self.pmdec).any())
