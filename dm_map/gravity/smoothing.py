"""How a mass density is smoothed: recipes that read it off accelerations, and smooth a known one alike."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from dm_map.errors import DmMapError
from dm_map.gravity.flux import Acceleration, kernel_density, kernel_widths, mean_density_in_ball
from dm_map.gravity.quadrature import sum_around
from dm_map.gravity.units import GALACTIC, GravityUnits

__all__ = [
    "BallMean",
    "GaussianKernel",
    "Pointwise",
    "Smoothing",
    "ball_smoothed",
    "kernel_smoothed",
    "smoothing_from",
]

#: Positions (n, 3) to mass densities (n,), or to those of m members at once, (m, n).
Density = Callable[[np.ndarray], np.ndarray]

# The vertical rule is finer than the horizontal one: discs have a cusp in their plane.
_HEIGHTS = 131
_KERNEL_REACH = 6.5


@runtime_checkable
class Smoothing(Protocol):
    """A volume over which a mass density is averaged."""

    @property
    def reach(self) -> float:
        """How far from a position the field is needed."""

    def from_acceleration(
        self, acceleration: Acceleration, x: np.ndarray, units: GravityUnits = GALACTIC
    ) -> np.ndarray:
        """Smoothed mass density from accelerations alone."""

    def smooth(self, density: Density, x: np.ndarray) -> np.ndarray:
        """A known mass density, smoothed alike."""

    def to_dict(self) -> dict[str, Any]:
        """What `smoothing_from` needs to make it again."""


@dataclass(frozen=True)
class Pointwise:
    """No smoothing: the density of the field itself, from its own divergence or Laplacian."""

    @property
    def reach(self) -> float:
        """Nowhere but at the position."""
        return 0.0

    def from_acceleration(
        self, acceleration: Acceleration, x: np.ndarray, units: GravityUnits = GALACTIC
    ) -> np.ndarray:
        """There is none without a derivative.

        Raises:
            DmMapError: always.
        """
        raise DmMapError(
            "a density at a point needs the field's own density; accelerations alone give it smoothed: use "
            "BallMean or GaussianKernel"
        )

    def smooth(self, density: Density, x: np.ndarray) -> np.ndarray:
        """The density itself."""
        return np.asarray(density(x))

    def to_dict(self) -> dict[str, Any]:
        """The kind."""
        return {"kind": "pointwise"}


@dataclass(frozen=True)
class BallMean:
    """Mean over a ball: Gauss's theorem.

    Attributes:
        radius: Radius, kpc for Galactic units.
        order: Order of the Lebedev rule on the sphere.
    """

    radius: float
    order: int = 17

    @property
    def reach(self) -> float:
        """The radius."""
        return self.radius

    def from_acceleration(
        self, acceleration: Acceleration, x: np.ndarray, units: GravityUnits = GALACTIC
    ) -> np.ndarray:
        """Mean mass density from the flux; see `mean_density_in_ball`."""
        return mean_density_in_ball(acceleration, x, self.radius, order=self.order, units=units)

    def smooth(self, density: Density, x: np.ndarray) -> np.ndarray:
        """Mean of a known density; see `ball_smoothed`."""
        return ball_smoothed(density, x, self.radius)

    def to_dict(self) -> dict[str, Any]:
        """Kind, radius and order."""
        return {"kind": "ball", **asdict(self)}


@dataclass(frozen=True)
class GaussianKernel:
    """Gaussian kernel.

    Attributes:
        width: Standard deviation along x, y and z, kpc for Galactic units.
        radii: Number of radii of the quadrature.
        order: Order of its Lebedev rule.
    """

    width: tuple[float, float, float]
    radii: int = 10
    order: int = 17

    @property
    def reach(self) -> float:
        """Three widths: 97 per cent of a Gaussian's volume."""
        return 3.0 * max(self.width)

    def from_acceleration(
        self, acceleration: Acceleration, x: np.ndarray, units: GravityUnits = GALACTIC
    ) -> np.ndarray:
        """Smoothed mass density; see `kernel_density`."""
        return kernel_density(acceleration, x, self.width, radii=self.radii, order=self.order, units=units)

    def smooth(self, density: Density, x: np.ndarray) -> np.ndarray:
        """A known density, smoothed; see `kernel_smoothed`."""
        return kernel_smoothed(density, x, self.width)

    def to_dict(self) -> dict[str, Any]:
        """Kind, widths, radii and order."""
        return {"kind": "kernel", **asdict(self), "width": list(self.width)}


def smoothing_from(values: Mapping[str, Any]) -> Smoothing:
    """The smoothing that `to_dict` described.

    Raises:
        DmMapError: no such kind.
    """
    kind, rest = values.get("kind"), {key: value for key, value in values.items() if key != "kind"}
    if kind == "pointwise":
        return Pointwise()
    if kind == "ball":
        return BallMean(**rest)
    if kind == "kernel":
        first, second, third = rest.pop("width")
        return GaussianKernel((first, second, third), **rest)
    raise DmMapError(f"a smoothing is 'pointwise', 'ball' or 'kernel'; got {kind!r}")


def ball_smoothed(
    density: Density, x: Float[np.ndarray, "p 3"], radius: float
) -> Float[np.ndarray, "*members p"]:
    """Mean of a known density over balls, by quadrature: what `mean_density_in_ball` estimates.

    Args:
        density: Function from positions (n, 3) to densities (n,), or (m, n).
        x: Centres.
        radius: Radius of the balls.

    Raises:
        DmMapError: the radius is not positive.
    """
    if not (radius > 0 and math.isfinite(radius)):
        raise DmMapError(f"a ball's radius is a positive length; got {radius}")
    z, weight_z = np.polynomial.legendre.leggauss(65)
    share, weight_r = np.polynomial.legendre.leggauss(4)
    angle = np.arange(8) * math.pi / 4
    # Uniform in the squared radius of each slice; a slice weighs as its area.
    height, area, turn = np.meshgrid(z, 0.5 * (1.0 + share), angle, indexing="ij")
    planar = np.sqrt((1.0 - height**2) * area)
    steps = radius * np.stack([planar * np.cos(turn), planar * np.sin(turn), height], axis=-1).reshape(-1, 3)
    weights = ((weight_z * (1.0 - z**2))[:, None, None] * weight_r[:, None] * np.ones(8)).ravel()
    return sum_around(density, x, steps, weights / weights.sum())


def kernel_smoothed(
    density: Density, x: Float[np.ndarray, "p 3"], width: float | tuple[float, ...], *, order: int = 7
) -> Float[np.ndarray, "*members p"]:
    """A known density smoothed by a Gaussian kernel, by quadrature: what `kernel_density` estimates.

    Gauss-Hermite along x and y; along z a trapezoidal rule of a tenth of the width, for the cusps of discs.

    Args:
        density: Function from positions (n, 3) to densities (n,), or (m, n).
        x: Positions.
        width: Standard deviation: one number, or one for each axis.
        order: Order of the Gauss-Hermite rules.

    Raises:
        DmMapError: a width is not positive.
    """
    widths = kernel_widths(width)
    node, weight = np.polynomial.hermite_e.hermegauss(order)
    height = np.linspace(-_KERNEL_REACH, _KERNEL_REACH, _HEIGHTS)
    steps = np.stack(np.meshgrid(node, node, height, indexing="ij"), axis=-1).reshape(-1, 3) * widths
    weights = (weight[:, None, None] * weight[:, None] * np.exp(-0.5 * height**2)).ravel()
    return sum_around(density, x, steps, weights / weights.sum())
