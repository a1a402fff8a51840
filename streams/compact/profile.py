"""A cluster in a patch: an elliptical Plummer profile with a place in proper motion and parallax."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from streams.plane import TangentPlane

__all__ = ["ClusterModel"]


@dataclass(frozen=True)
class ClusterModel:
    """A cluster or dwarf galaxy: where it is, how large, how it moves.

    The surface density is Plummer's (1911), (1 + m^2 / a^2)^-2 / (pi a^2), with elliptical radii m. It is the
    bivariate Student t distribution of two degrees of freedom with the scale matrix C, whose quadratic form
    d^2 = r^T C^-1 r is 2 m^2 / a^2: so its best fit has closed steps.

    Args:
        plane: tangent plane around the over-density; the centre and the shape are in its coordinates.
        centre: (x, y), deg.
        shape: the scale matrix C as (xx, xy, yy), deg^2.
        proper_motion: (pm_phi1_cosphi2, pm_phi2), mas/yr.
        spread: intrinsic sigma of each proper-motion component, mas/yr.
        parallax, parallax_spread: mean and intrinsic sigma, mas; NaN where there are no parallaxes.
        fraction: share of the stars of the fit that belong to it.
    """

    plane: TangentPlane
    centre: tuple[float, float]
    shape: tuple[float, float, float]
    proper_motion: tuple[float, float]
    spread: float
    parallax: float
    parallax_spread: float
    fraction: float

    @property
    def matrix(self) -> Float[np.ndarray, "2 2"]:
        """The scale matrix, deg^2."""
        xx, xy, yy = self.shape
        return np.array([[xx, xy], [xy, yy]])

    @property
    def half_number_radius(self) -> float:
        """Radius of the circle of the same area as the ellipse that holds half of the stars, deg."""
        return float(np.sqrt(2.0) * np.linalg.det(self.matrix) ** 0.25)

    @property
    def axis_ratio(self) -> float:
        """Minor over major axis."""
        small, large = np.linalg.eigvalsh(self.matrix)
        return float(np.sqrt(max(small, 0.0) / large))

    @property
    def major_half_radius(self) -> float:
        """Major semi-axis of the ellipse that holds half of the stars, deg."""
        return float(np.sqrt(2.0 * np.linalg.eigvalsh(self.matrix)[1]))

    @property
    def position_angle(self) -> float:
        """Of the major axis in the patch frame, deg from phi1 towards phi2, in [0, 180)."""
        xx, xy, yy = self.shape
        return float(np.degrees(0.5 * np.arctan2(2 * xy, xx - yy)) % 180.0)

    @property
    def position(self) -> tuple[float, float]:
        """Patch coordinates (phi1, phi2) of the centre, deg."""
        phi1, phi2 = self.plane.unproject(*(np.array([value]) for value in self.centre))
        return float(phi1[0]), float(phi2[0])

    def squared_distance(self, xy: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, " n"]:
        """d^2 = r^T C^-1 r of points in the plane (deg): 2 on the ellipse that holds half of the stars."""
        apart = xy - self.centre
        return np.einsum("ni,ij,nj->n", apart, np.linalg.inv(self.matrix), apart)

    def continued_by(self, other: ClusterModel, widths: float = 3.0) -> bool:
        """Whether another object lies on this one's major axis, however far out, and moves along with it.

        Within `widths` minor semi-axes and the other's own radius of the axis, and within as many intrinsic
        sigmas in proper motion: what an elongated object leaves behind where its fit ends.
        """
        axes, turn = np.linalg.eigh(self.matrix)
        place = np.column_stack(self.plane.project(*(np.array([value]) for value in other.position)))[0]
        across = abs(float((place - self.centre) @ turn[:, 0]))
        minor = np.sqrt(2.0 * max(axes[0], 0.0))
        apart = np.hypot(*np.subtract(self.proper_motion, other.proper_motion))
        near = across < widths * minor + other.major_half_radius
        return bool(near and apart < widths * np.hypot(self.spread, other.spread))

    def log_profile(self, xy: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, " n"]:
        """Log of the normalised surface density at points in the plane, per deg^2."""
        norm = np.log(2 * np.pi) + 0.5 * np.log(np.linalg.det(self.matrix))
        return -2.0 * np.log1p(self.squared_distance(xy) / 2.0) - norm
