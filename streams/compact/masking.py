"""Holes where compact objects were found, so that the line finder does not see them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sky_patches import Footprint
from sky_patches.footprints.holes import Hole, WithHoles
from sky_patches.masks import CircleMask
from sky_patches.masks.circles import merged
from streams.compact.errors import CompactError
from streams.compact.finder import CompactCandidate

__all__ = ["mask_compact", "mask_radius"]


def mask_radius(
    candidate: CompactCandidate, *, scale: float = 5.0, min_radius: float = 0.1, max_radius: float = 2.0
) -> float:
    """Radius of a candidate's mask, deg: so many half-number radii of its major axis, within limits.

    Of a Plummer profile 1 / (1 + scale^2) lies outside: 4 % for 5, which makes no line.
    """
    return float(np.clip(scale * candidate.membership.model.major_half_radius, min_radius, max_radius))


def mask_compact(
    found: Sequence[CompactCandidate],
    footprint: Footprint,
    *,
    scale: float = 5.0,
    min_radius: float = 0.1,
    max_radius: float = 2.0,
) -> Footprint:
    """The footprint with a hole around each candidate; the order of the candidates does not matter.

    The holes that it has stay; overlapping ones become the smallest circle around both. The stars in the new
    holes have to be kept from the line finder too: `keep & footprint.contains(phi1, phi2)`.

    Args:
        found: the candidates to mask, as a rule those that pass.
        footprint: of the patch, in patch coordinates, with or without holes.
        scale: radius of a hole in half-number radii (major axis).
        min_radius, max_radius: its limits, deg.

    Raises:
        CompactError: the scale or a radius is impossible.
        FootprintError: nothing of the footprint is left.
    """
    if not (scale > 0 and 0 < min_radius <= max_radius <= 90):
        raise CompactError(
            f"masks need scale > 0 and 0 < min_radius <= max_radius <= 90 deg; got scale={scale}, "
            f"min_radius={min_radius}, max_radius={max_radius}"
        )
    if not found:
        return footprint
    whole, old = (footprint.whole, footprint.holes) if isinstance(footprint, WithHoles) else (footprint, ())
    circles = [CircleMask(hole.name, hole.phi1, hole.phi2, hole.radius) for hole in old]
    for candidate in sorted(found, key=lambda one: (-one.disc.significance, one.disc.position)):
        radius = mask_radius(candidate, scale=scale, min_radius=min_radius, max_radius=max_radius)
        phi1, phi2 = candidate.membership.model.position
        circles.append(CircleMask(f"over-density at ({phi1:.2f}, {phi2:.2f})", phi1, phi2, radius))
    holes = tuple(_hole(circle, whole.centre[0]) for circle in merged(circles))
    return WithHoles(whole, holes).reached()


def _hole(circle: CircleMask, phi1: float) -> Hole:
    """A hole on the same turn of longitude as the footprint: the flat plane knows no 360 deg."""
    longitude = phi1 + (circle.lon - phi1 + 180.0) % 360.0 - 180.0
    return Hole(circle.name, longitude, circle.lat, circle.radius)
