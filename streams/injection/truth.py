"""What an injected stream really is: its track, width and proper motion, to compare a candidate with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from astropy.table import Table
from jaxtyping import Float

from sky_patches import PatchFrame

__all__ = ["InjectedStream", "StreamTruth", "robust_width"]


@dataclass(frozen=True)
class StreamTruth:
    """Track and proper motion of a stream in a frame of its own, phi1 along it.

    Args:
        frame: the frame; its origin is the place where the stream was put.
        track: (c0, c1, c2) of phi2 = c0 + c1 phi1 + c2 phi1^2, deg.
        motion: ((a, b), (a, b)): each component of the proper motion in the frame is a + b phi1, mas/yr
            and mas/yr/deg.
        width: Gaussian sigma across the track, deg.
        extent: first and last phi1, deg.
        distance: kpc; NaN where it is not known (real members).
        label: what the stream is.
    """

    frame: PatchFrame
    track: tuple[float, float, float]
    motion: tuple[tuple[float, float], tuple[float, float]]
    width: float
    extent: tuple[float, float]
    distance: float
    label: str

    @classmethod
    def measured(
        cls, frame: PatchFrame, stars: Table, *, distance: float, label: str, width: float | None = None
    ) -> StreamTruth:
        """The truth of a stream that is known by its stars only: polynomials fitted to them.

        Args:
            frame: with phi1 along the stream.
            stars: ra, dec (deg), pmra, pmdec (mas/yr); without measurement errors if they are known.
            distance: kpc.
            label: what the stream is.
            width: deg; default: measured from the stars, robustly.
        """
        ra, dec, pmra, pmdec = (
            np.asarray(stars[name], dtype=float) for name in ("ra", "dec", "pmra", "pmdec")
        )
        phi1, phi2 = frame.project_positions(ra, dec)
        motions = frame.project_motions(ra, dec, pmra, pmdec)
        track = np.polynomial.polynomial.polyfit(phi1, phi2, 2)
        lines = (np.polynomial.polynomial.polyfit(phi1, motion, 1) for motion in motions)
        motion = tuple((float(a), float(b)) for a, b in lines)
        if width is None:
            width = robust_width(phi2 - np.polynomial.polynomial.polyval(phi1, track))
        extent = (float(phi1.min()), float(phi1.max()))
        return cls(frame, tuple(map(float, track)), motion, width, extent, distance, label)

    def across(self, ra: Float[np.ndarray, " n"], dec: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """Signed distance from the true track, deg, of positions (deg)."""
        phi1, phi2 = self.frame.project_positions(ra, dec)
        slope = self.track[1] + 2 * self.track[2] * phi1
        return (phi2 - np.polynomial.polynomial.polyval(phi1, self.track)) / np.hypot(1.0, slope)

    def motion_offset(
        self,
        ra: Float[np.ndarray, " n"],
        dec: Float[np.ndarray, " n"],
        pmra: Float[np.ndarray, " n"],
        pmdec: Float[np.ndarray, " n"],
    ) -> Float[np.ndarray, "n 2"]:
        """Proper motion less that of the stream at the same phi1, mas/yr, along and across the stream."""
        phi1, _ = self.frame.project_positions(ra, dec)
        observed = np.column_stack(self.frame.project_motions(ra, dec, pmra, pmdec))
        return observed - np.column_stack([a + b * phi1 for a, b in self.motion])

    def visible_length(self, ra: Float[np.ndarray, " n"], dec: Float[np.ndarray, " n"]) -> float:
        """Length (deg) of the part that stars at these positions fill: the 5 to 95 % range over 0.9."""
        phi1, _ = self.frame.project_positions(ra, dec)
        return float(np.subtract(*np.percentile(phi1, [95.0, 5.0]))) / 0.9 if len(phi1) else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for a log."""
        return {
            "frame": self.frame.to_dict(), "track": list(self.track),
            "motion": [list(line) for line in self.motion], "width": self.width,
            "extent": list(self.extent), "label": self.label,
            "distance": self.distance if np.isfinite(self.distance) else None,
        }  # fmt: skip


@dataclass(frozen=True, eq=False)
class InjectedStream:
    """Stars as a catalogue would list them, and what they are.

    Args:
        stars: rows in the schema of a star table: source_id, ra, dec, pmra, pmdec and what else the survey
            measures.
        truth: the stream.
    """

    stars: Table
    truth: StreamTruth


def robust_width(offset: Float[np.ndarray, " n"]) -> float:
    """Half of the 16 to 84 % range: the sigma of a Gaussian, whatever its outliers do."""
    return float(np.subtract(*np.percentile(offset, [84.135, 15.865]))) / 2
