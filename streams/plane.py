"""The tangent plane of a patch, in which every great circle is a straight line."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from streams.errors import LineSearchError

__all__ = ["MAX_DISTANCE_DEG", "TangentPlane"]

MAX_DISTANCE_DEG = 60.0
"""Beyond this distance from the centre the plane stretches a degree to more than four."""


@dataclass(frozen=True)
class TangentPlane:
    """Gnomonic projection about a point of the patch (Calabretta & Greisen 2002, section 5.1.3).

    A stream is close to a great circle over a few tens of degrees, and this is the projection that
    keeps great circles straight, at any position angle. Near the centre one unit is one degree.

    Args:
        phi1, phi2: the point of contact in patch coordinates, deg.
    """

    phi1: float
    phi2: float

    def project(
        self, phi1: Float[np.ndarray, " n"], phi2: Float[np.ndarray, " n"]
    ) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
        """Plane coordinates (x along phi1, y along phi2, deg) of patch coordinates (deg).

        Raises:
            LineSearchError: a point lies more than 60 deg from the centre.
        """
        longitude, latitude = np.radians(phi1 - self.phi1), np.radians(phi2)
        centre = np.radians(self.phi2)
        cosine = np.sin(centre) * np.sin(latitude) + np.cos(centre) * np.cos(latitude) * np.cos(longitude)
        if np.any(cosine < np.cos(np.radians(MAX_DISTANCE_DEG))):
            far = np.degrees(np.arccos(np.clip(cosine.min(), -1.0, 1.0)))
            raise LineSearchError(
                f"a patch must lie within {MAX_DISTANCE_DEG:.0f} deg of its centre for straight lines; "
                f"a star lies {far:.1f} deg away: cut the region into smaller patches"
            )
        x = np.cos(latitude) * np.sin(longitude) / cosine
        up = np.cos(centre) * np.sin(latitude) - np.sin(centre) * np.cos(latitude) * np.cos(longitude)
        return np.degrees(x), np.degrees(up / cosine)

    def unproject(
        self, x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"]
    ) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
        """Patch coordinates (phi1, phi2, deg) of plane coordinates (deg)."""
        u, v = np.radians(x), np.radians(y)
        centre = np.radians(self.phi2)
        longitude = np.arctan2(u, np.cos(centre) - v * np.sin(centre))
        norm = np.sqrt(1.0 + u**2 + v**2)
        latitude = np.arcsin((np.sin(centre) + v * np.cos(centre)) / norm)
        return self.phi1 + np.degrees(longitude), np.degrees(latitude)
