"""Where a stream is put: a point and a direction of the sky, and the proper motion there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sky_patches import PatchFrame, PatchGeometry
from streams.injection.errors import InjectionError

__all__ = ["Place"]

_DRAWN = 4000


@dataclass(frozen=True)
class Place:
    """A point of the sky, the direction of a great circle through it, and a proper motion there.

    Args:
        frame: offset frame with its origin at the point and phi1 along the great circle.
        motion: proper motion at the origin in that frame, (along, across), mas/yr, as observed.
    """

    frame: PatchFrame
    motion: tuple[float, float]

    @classmethod
    def at(
        cls,
        geometry: PatchGeometry,
        ra: float,
        dec: float,
        rotation: float,
        motion: tuple[float, float],
    ) -> Place:
        """A given place.

        Args:
            geometry: the patch whose frame `motion` is given in.
            ra, dec: deg.
            rotation: phi2 of the stream's frame points so many deg east of north.
            motion: (pm_phi1_cosphi2, pm_phi2) in the patch frame, mas/yr.

        Raises:
            InjectionError: the point lies outside the patch.
        """
        if not geometry.contains(np.array([ra]), np.array([dec]))[0]:
            raise InjectionError(
                f"({ra:g}, {dec:g}) deg lies outside patch {geometry.name!r} around "
                f"({geometry.centre[0]:.2f}, {geometry.centre[1]:.2f}): choose a point inside it"
            )
        frame = PatchFrame.offset(ra, dec, rotation)
        phi1, phi2 = geometry.frame.project_positions(ra, dec)
        along, across = frame.project_motions(ra, dec, *geometry.frame.unproject_motions(phi1, phi2, *motion))
        return cls(frame, (float(along), float(across)))

    @classmethod
    def random(cls, geometry: PatchGeometry, motion: tuple[float, float], rng: np.random.Generator) -> Place:
        """A place drawn uniformly over the sky that the patch answers for, in a random direction.

        Raises:
            InjectionError: the fiducial region of the patch is empty.
        """
        phi1, phi2 = geometry.footprint.sample(_DRAWN, int(rng.integers(2**31)))
        # `sample` is uniform over the flat frame; the sky has cos(phi2) of its area.
        even = rng.random(_DRAWN) < np.cos(np.radians(phi2))
        inside = np.flatnonzero(geometry.is_fiducial(phi1, phi2) & even)
        if not len(inside):
            raise InjectionError(
                f"patch {geometry.name!r} has no point within {geometry.fiducial_deg} deg of its middle"
            )
        chosen = rng.choice(inside)
        ra, dec = geometry.frame.unproject(phi1[chosen], phi2[chosen])
        return cls.at(geometry, float(ra), float(dec), float(rng.uniform(0.0, 360.0)), motion)
