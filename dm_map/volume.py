"""The volume of a star sample: a ball, in which every position must lie."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from dm_map.errors import VolumeError

__all__ = ["Ball"]


@dataclass(frozen=True)
class Ball:
    """A ball in position space, in the length unit of the positions (kpc for real stars).

    Attributes:
        centre: Cartesian coordinates of the centre.
        radius: Positive radius.

    Raises:
        VolumeError: the centre is not three finite numbers, or the radius is not positive.
    """

    centre: tuple[float, float, float]
    radius: float

    def __post_init__(self) -> None:
        if len(self.centre) != 3 or not all(math.isfinite(value) for value in self.centre):
            raise VolumeError(f"a ball's centre is three finite coordinates; got {self.centre}")
        if not (self.radius > 0 and math.isfinite(self.radius)):
            raise VolumeError(f"a ball's radius is positive and finite; got {self.radius}")

    def fraction_of_radius(self, x: Float[np.ndarray, "*batch 3"]) -> Float[np.ndarray, "*batch"]:
        """Distance from the centre over the radius: below 1 inside."""
        return np.asarray(np.linalg.norm(x - np.asarray(self.centre), axis=-1) / self.radius)

    def contains(self, x: Float[np.ndarray, "*batch 3"]) -> Bool[np.ndarray, "*batch"]:
        """Which positions lie inside."""
        return np.asarray(self.fraction_of_radius(x) < 1.0)

    def within(self, radius: float) -> Ball:
        """A ball about the same centre."""
        return Ball(self.centre, radius)

    def require(self, x: Float[np.ndarray, "*batch 3"], what: str = "position") -> None:
        """Refuse positions outside.

        Raises:
            VolumeError: a position lies outside or is not finite; the message names the first one.
        """
        flat = np.asarray(x, dtype=np.float64).reshape(-1, 3)
        outside = np.flatnonzero(~self.contains(flat))
        if outside.size:
            shown = np.array2string(flat[outside[0]], precision=4)
            raise VolumeError(
                f"{len(outside)} of {len(flat)} {what}s are outside the ball of radius "
                f"{self.radius:g} around {self.centre}; the first is {shown}. Ask within it, or use a larger "
                "volume of stars"
            )

    def uniform(self, n: int, seed: int) -> Float[np.ndarray, "n 3"]:
        """Positions drawn uniformly from the ball."""
        rng = np.random.default_rng(seed)
        direction = rng.standard_normal((n, 3))
        direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
        return np.asarray(self.centre) + self.radius * rng.random((n, 1)) ** (1.0 / 3.0) * direction
