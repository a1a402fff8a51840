"""What the checks need of a phase-space density, and its accelerations at positions by equation (2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from dm_map.boltzmann import acceleration_from_scores
from dm_map.errors import DiagnosticError
from dm_map.stars import StarSample

__all__ = ["Field", "PhaseSpace", "Pointwise", "accelerations", "rotation", "streaming"]

Positions = Float[np.ndarray, "*batch 3"]
Numbers = Float[np.ndarray, "*batch"]

# Six standard deviations: of 10^8 normal velocities one lies beyond.
_OUTLIER = 6.0


@runtime_checkable
class PhaseSpace(Protocol):
    """A phase-space density f(x, v), learned or exact."""

    def scores(self, x: Positions, v: Positions) -> tuple[Positions, Positions]:
        """(grad_x ln f, grad_v ln f)."""

    def sample(self, n: int, seed: int) -> StarSample:
        """n stars drawn from f."""

    def sample_velocities(self, x: Float[np.ndarray, "n 3"], k: int, seed: int) -> Float[np.ndarray, "n k 3"]:
        """k velocities at each position, drawn from p(v | x)."""


@runtime_checkable
class Field(Protocol):
    """A gravitational field, fitted or exact."""

    def acceleration(self, x: Positions) -> Positions:
        """a = -grad Phi."""


def rotation(pattern_speed: float) -> Float[np.ndarray, "3 3"]:
    """The matrix W with W y = Omega z x y."""
    return pattern_speed * np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])


def streaming(
    x: Positions, v: Positions, s_x: Positions, s_v: Positions, pattern_speed: float = 0.0
) -> Numbers:
    """The part of equation (1) without the acceleration: (v - Omega x x) . s_x - (Omega x v) . s_v.

    Zero together with a . s_v for a density that is stationary in a frame that rotates with Omega about z.

    Args:
        x, v: Positions and velocities in the inertial frame.
        s_x, s_v: Scores of f.
        pattern_speed: Omega.
    """
    terms = np.sum(v * s_x, axis=-1)
    if pattern_speed:
        turn = rotation(pattern_speed)
        terms = terms - np.sum((x @ turn.T) * s_x + (v @ turn.T) * s_v, axis=-1)
    return np.asarray(terms)


@dataclass(frozen=True, eq=False)
class Pointwise:
    """Accelerations at p positions, with what they were solved from.

    Attributes:
        x: Positions, shape (p, 3).
        v: Velocities drawn from p(v | x), shape (p, k, 3).
        a: Accelerations by equation (2), shape (p, 3).
        flow: The streaming term of equation (1), shape (p, k).
        s_v: Velocity scores, shape (p, k, 3).
        distance: Distance of each velocity from the local mean, in local standard deviations, shape (p, k).
    """

    x: Float[np.ndarray, "p 3"]
    v: Float[np.ndarray, "p k 3"]
    a: Float[np.ndarray, "p 3"]
    flow: Float[np.ndarray, "p k"]
    s_v: Float[np.ndarray, "p k 3"]
    distance: Float[np.ndarray, "p k"]

    @property
    def residual(self) -> Float[np.ndarray, "p k"]:
        """What equation (1) leaves at each velocity."""
        return self.flow + np.einsum("pkc,pc->pk", self.s_v, self.a)

    def solved(self, weights: Float[np.ndarray, "p k"]) -> Float[np.ndarray, "p 3"]:
        """The acceleration from some of the velocities."""
        return _solve(self.flow, self.s_v, weights)


def accelerations(
    density: PhaseSpace,
    x: Float[np.ndarray, "p 3"],
    velocities: int,
    *,
    seed: int,
    truncation: float = 3.0,
    pattern_speed: float = 0.0,
) -> Pointwise:
    """Equation (2) at p positions, with velocities drawn from the density itself.

    Args:
        density: The density.
        x: Positions, shape (p, 3).
        velocities: Velocities per position.
        seed: Root of the velocities' random stream.
        truncation: Velocities beyond this many local standard deviations do not enter the solution.
        pattern_speed: Rotation of the frame in which the density is stationary.

    Raises:
        AccelerationError: the scores are not finite, or leave a direction undetermined.
    """
    v = _without_outliers(density.sample_velocities(x, velocities, seed))
    at = np.broadcast_to(x[:, None], v.shape)
    s_x, s_v = density.scores(at, v)
    flow = streaming(at, v, s_x, s_v, pattern_speed)
    distance = _distance(v)
    a = _solve(flow, s_v, (distance < truncation).astype(float))
    return Pointwise(x, v, a, flow, s_v, distance)


def _distance(v: Float[np.ndarray, "p k 3"]) -> Float[np.ndarray, "p k"]:
    """Distance from the local median in local standard deviations, neither moved by outliers."""
    low, middle, high = np.quantile(v, [0.1587, 0.5, 0.8413], axis=1, keepdims=True)
    sigma = 0.5 * (high - low)
    if not np.all(sigma > 0):
        worst = int(np.argmin(sigma.min(axis=(1, 2))))
        raise DiagnosticError(
            f"the velocities drawn at position {worst} do not vary in every direction (standard deviations"
            f" {sigma[worst, 0]}); train the velocity density again"
        )
    return np.linalg.norm((v - middle) / sigma, axis=2)


def _without_outliers(v: Float[np.ndarray, "p k 3"]) -> Float[np.ndarray, "p k 3"]:
    """Velocities far outside replaced by the most central one: a flow's rare wild draws say nothing of a."""
    distance = _distance(v)
    central = np.take_along_axis(v, np.argmin(distance, axis=1)[:, None, None], axis=1)
    return np.where(distance[..., None] < _OUTLIER, v, central)


def _solve(
    flow: Float[np.ndarray, "p k"], s_v: Float[np.ndarray, "p k 3"], weights: Float[np.ndarray, "p k"]
) -> Float[np.ndarray, "p 3"]:
    # Equation (2) knows x only through the streaming term, here handed over as a product with one factor 1.
    first = np.zeros_like(s_v)
    first[..., 0] = 1.0
    return acceleration_from_scores(first * flow[..., None], first, s_v, weights).a
