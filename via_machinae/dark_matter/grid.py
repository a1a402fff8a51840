"""Where the products of a run are evaluated: planes, lines and shells inside one ball around the Sun."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float

from dm_map.baryons import SOLAR_RADIUS
from dm_map.local import grid_RZ, meridional_points
from dm_map.volume import Ball

__all__ = ["MapGrid"]

# Steps from the centre of the ball to its edge: 0.25 kpc for a ball of 3 kpc.
_STEPS = 12
# Nothing is evaluated at the very edge: the disc of the radial term reaches a little beyond each point.
_MARGIN = 0.999
_SHELLS, _SHELL_POSITIONS = 8, 4_000
_REFERENCE_HEIGHT = 1.0


@dataclass(frozen=True)
class MapGrid:
    """Positions of the products, all inside a ball around the Sun.

    * the meridional plane through the Sun and the Galactic centre, and the horizontal plane at the reference
      height: square grids whose spacing is a twelfth of the ball's radius (0.25 kpc for 3 kpc);
    * the radial line through the Sun with the same spacing, the vertical one with half of it;
    * spherical shells about the Galactic centre, from 4,000 uniform positions, those at |z| above the
      reference height.

    The reference height is 1 kpc, where nine tenths of the mass density are dark; a third of the radius in a
    ball that is too small for it.

    Attributes:
        ball: Where the field is trusted, kpc.
    """

    ball: Ball

    @property
    def spacing(self) -> float:
        """kpc."""
        return self.ball.radius / _STEPS

    @property
    def height(self) -> float:
        """The reference height, kpc."""
        return min(_REFERENCE_HEIGHT, self.ball.radius / 3.0)

    @cached_property
    def meridional(self) -> Float[np.ndarray, "p 3"]:
        """Positions of the meridional plane."""
        offset = self.spacing * np.arange(-_STEPS, _STEPS + 1)
        radius = SOLAR_RADIUS + offset[SOLAR_RADIUS + offset > 0]
        return self._inside(grid_RZ(radius, offset).reshape(-1, 3))

    @cached_property
    def horizontal(self) -> Float[np.ndarray, "p 3"]:
        """Positions of the horizontal plane at the reference height."""
        offset = self.spacing * np.arange(-_STEPS, _STEPS + 1)
        x, y = np.meshgrid(offset - SOLAR_RADIUS, offset, indexing="ij")
        return self._inside(np.stack([x, y, np.full_like(x, self.height)], axis=-1).reshape(-1, 3))

    @cached_property
    def heights(self) -> Float[np.ndarray, " p"]:
        """Positive heights above the plane, kpc, at which both sides are inside the ball at R0."""
        z = 0.5 * self.spacing * np.arange(1, 2 * _STEPS)
        return z[z < 0.95 * self.ball.radius - self.ball.centre[2]]

    def radii(self, height: float) -> Float[np.ndarray, " p"]:
        """Cylindrical radii at which the meridional plane is inside the ball at +height and -height, kpc."""
        below = abs(height) + self.ball.centre[2]
        reach = math.sqrt(max(self.ball.radius**2 - below**2, 0.0))
        offset = self.spacing * np.arange(-_STEPS, _STEPS + 1)
        radius = SOLAR_RADIUS + offset
        return radius[(np.abs(offset) < _MARGIN * reach) & (radius > 0)]

    def both_sides(
        self, radius: Float[np.ndarray, " p"] | float, height: Float[np.ndarray, " p"] | float
    ) -> Float[np.ndarray, "q 3"]:
        """Positions above the plane, then those below it."""
        return np.concatenate([meridional_points(radius, height), meridional_points(radius, -height)])

    @cached_property
    def shell_positions(self) -> Float[np.ndarray, "p 3"]:
        """Uniform positions in the ball; the same in every run."""
        return self._inside(self.ball.uniform(_SHELL_POSITIONS, seed=0))

    @property
    def shell_edges(self) -> Float[np.ndarray, " e"]:
        """Edges of the shells about the Galactic centre, kpc."""
        reach = 0.8 * self.ball.radius
        return np.linspace(max(SOLAR_RADIUS - reach, 0.0), SOLAR_RADIUS + reach, _SHELLS + 1)

    def _inside(self, x: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "p 3"]:
        return x[self.ball.within(_MARGIN * self.ball.radius).contains(x)]
