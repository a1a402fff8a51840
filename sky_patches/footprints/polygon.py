"""Polygons in the flat plane (phi1, phi2): area, solid angle, and what lies below a line; by Green's theorem.

In coordinates (u, v) along and across a line, the area with v < r is the integral of 1[v < r], which is the
closed line integral of -min(v, r) du: a sum over edges, exact for any simple polygon.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from sky_patches.footprints.shapes import Scalars, Values, line_offset

__all__ = ["Polygon", "clipped"]

_TINY = 1e-12


@dataclass(frozen=True, eq=False)
class Polygon:
    """A simple polygon by its corners (deg), counter-clockwise, the last not equal to the first."""

    x: Float[np.ndarray, " n"]
    y: Float[np.ndarray, " n"]

    @property
    def area(self) -> float:
        """Flat area in deg^2 (shoelace)."""
        return float(np.sum(self.x * np.roll(self.y, -1) - np.roll(self.x, -1) * self.y) / 2)

    @property
    def solid_angle(self) -> float:
        """Area in deg^2 on the sphere of longitude x and latitude y: minus the line integral of sin(y) dx."""
        low, high = np.radians(self.y), np.radians(np.roll(self.y, -1))
        step = np.roll(self.x, -1) - self.x
        # Mean of sin over an edge, written so that a level edge divides nothing by zero.
        mean = np.sin((low + high) / 2) * np.sinc((high - low) / (2 * np.pi))
        return float(-np.sum(step * np.degrees(mean)))

    def below(self, theta: Scalars, r: Scalars) -> Values:
        """Area (deg^2) of the part whose offset from the direction theta is below r; same shapes."""
        first, second, step = self._edges(theta)
        level = np.asarray(r)[..., None]
        under, over = np.maximum(level - first, 0.0), np.maximum(level - second, 0.0)
        # Mean of max(r - v, 0) along an edge: the middle of its ends, or a triangle where the line cuts it.
        rise = np.maximum(np.abs(second - first), _TINY)
        triangle = np.maximum(under, over) ** 2 / (2.0 * rise)
        depth = np.where(np.minimum(under, over) > 0.0, (under + over) / 2.0, triangle)
        return np.asarray(-np.sum(step * depth, axis=-1))

    def chord(self, theta: Scalars, r: Scalars) -> Values:
        """Length (deg) of the line (theta, r) inside the polygon; same shapes."""
        first, second, step = self._edges(theta)
        level = np.asarray(r)[..., None]
        rise = second - first
        flat = np.abs(rise) < _TINY
        share = (level - np.minimum(first, second)) / np.where(flat, 1.0, np.abs(rise))
        share = np.where(flat, level > first, np.clip(share, 0.0, 1.0))
        return np.asarray(-np.sum(step * share, axis=-1))

    def _edges(self, theta: Scalars) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Offsets of both ends of each edge, and its length along the line; edges on the last axis.

        (along, offset) is a mirrored frame, in which counter-clockwise corners run clockwise.
        """
        angle = np.asarray(theta)[..., None]
        offset = line_offset(self.x, self.y, angle)
        along = self.x * np.cos(angle) + self.y * np.sin(angle)
        return offset, np.roll(offset, -1, axis=-1), np.roll(along, -1, axis=-1) - along


def clipped(polygon: Polygon, convex: Polygon) -> Polygon:
    """The part of a polygon inside a convex one (Sutherland & Hodgman 1974); no corners if there is none."""
    corners = np.column_stack([polygon.x, polygon.y])
    edges = np.column_stack([convex.x, convex.y])
    for start, end in zip(edges, np.roll(edges, -1, axis=0), strict=True):
        if not len(corners):
            break
        corners = _half(corners, start, end - start)
    return Polygon(corners[:, 0], corners[:, 1])


def _half(corners: Float[np.ndarray, "n 2"], origin: np.ndarray, along: np.ndarray) -> np.ndarray:
    """The corners of what lies to the left of a directed line."""
    side = along[0] * (corners[:, 1] - origin[1]) - along[1] * (corners[:, 0] - origin[0])
    if (side >= 0).all():
        return corners
    following, then = np.roll(corners, -1, axis=0), np.roll(side, -1)
    crosses = (side >= 0) != (then >= 0)
    share = side / np.where(crosses, side - then, 1.0)
    # Each corner is followed by the place where its edge crosses the line; what is not there is dropped.
    both = np.stack([corners, corners + (following - corners) * share[:, None]], axis=1)
    return both.reshape(-1, 2)[np.column_stack([side >= 0, crosses]).ravel()]
