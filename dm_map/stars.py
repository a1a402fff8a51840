"""Stars with six phase-space coordinates in a known volume: what every method of this package starts from."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from dm_map.errors import SampleError
from dm_map.volume import Ball

__all__ = ["StarSample"]


@dataclass(frozen=True, eq=False)
class StarSample:
    """Positions and velocities of n stars inside a ball, Cartesian, in an inertial Galactocentric frame.

    Attributes:
        x: Positions, kpc (or a mock's own unit), shape (n, 3).
        v: Velocities, km/s (or a mock's own unit), shape (n, 3).
        volume: The ball that holds all positions.
        weights: 1/S per star for a known selection function S, up to a common factor; None for equal weights.
        covariance: Measurement covariance of (x, v), shape (n, 6, 6); None where the errors are neglected.

    Raises:
        SampleError: shapes disagree, a value is not finite, a weight is not positive.
        VolumeError: a star is outside the volume.
    """

    x: Float[np.ndarray, "n 3"]
    v: Float[np.ndarray, "n 3"]
    volume: Ball
    weights: Float[np.ndarray, " n"] | None = None
    covariance: Float[np.ndarray, "n 6 6"] | None = None

    def __post_init__(self) -> None:
        n = len(self.x)
        expected = {"x": (n, 3), "v": (n, 3), "weights": (n,), "covariance": (n, 6, 6)}
        for name, shape in expected.items():
            values = getattr(self, name)
            if values is None:
                continue
            if values.shape != shape:
                raise SampleError(f"{name} has shape {shape} for {n} stars; got {values.shape}")
            bad = np.argwhere(~np.isfinite(values))
            if bad.size:
                raise SampleError(
                    f"{name} of star {int(bad[0][0])} is not finite ({len(bad)} such values); remove them"
                )
        if self.weights is not None and not np.all(self.weights > 0):
            worst = int(np.argmin(self.weights))
            raise SampleError(f"weights are positive; star {worst} has {self.weights[worst]:g}")
        self.volume.require(self.x, "star")

    def __len__(self) -> int:
        return len(self.x)

    @property
    def unit_weights(self) -> Float[np.ndarray, " n"]:
        """The weights, scaled to a mean of one; ones where there are none."""
        if self.weights is None:
            return np.ones(len(self))
        return self.weights / np.mean(self.weights)

    def take(self, index: Int[np.ndarray, " k"]) -> StarSample:
        """The stars at these rows, repeated where an index is."""

        def rows(values: np.ndarray | None) -> np.ndarray | None:
            return None if values is None else values[index]

        return replace(
            self,
            x=self.x[index],
            v=self.v[index],
            weights=rows(self.weights),
            covariance=rows(self.covariance),
        )

    def bootstrap(self, seed: int) -> StarSample:
        """As many stars drawn with replacement."""
        return self.take(np.random.default_rng(seed).integers(0, len(self), len(self)))

    def within(self, volume: Ball) -> StarSample:
        """The stars inside a smaller ball, which becomes the volume.

        Raises:
            SampleError: the ball reaches beyond the volume of the sample: stars would be missing there.
        """
        apart = float(np.linalg.norm(np.subtract(volume.centre, self.volume.centre)))
        if apart + volume.radius > self.volume.radius * (1 + 1e-12):
            raise SampleError(
                f"the ball of radius {volume.radius:g} around {volume.centre} reaches beyond the volume of "
                f"the sample (radius {self.volume.radius:g} around {self.volume.centre})"
            )
        inside = replace(self.take(np.flatnonzero(volume.contains(self.x))), volume=volume)
        return inside
