"""What an observer sees of a mock: a selection that thins the stars, and errors of distance and velocity."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from dm_map.errors import MockError
from dm_map.mocks.base import SUN_POSITION, SUN_VELOCITY, Numbers, Positions
from dm_map.stars import StarSample
from dm_map.volume import Ball

__all__ = ["SelectionGradient", "ball_before_errors", "with_errors", "with_selection"]

# Stars scatter in from this many standard deviations beyond the edge; 0.13 % of a star's errors are larger.
_REACH = 3.0

Vector = tuple[float, float, float]


@dataclass(frozen=True)
class SelectionGradient:
    """ln S(x) = g . (x - centre) - |g| R: complete at one point of the ball's edge, falling from there.

    Attributes:
        volume: The ball, of radius R.
        gradient: g, in 1/kpc: 0.1 for 10 % per kpc.
    """

    volume: Ball
    gradient: Vector = (0.1, 0.0, 0.0)

    def __call__(self, x: Positions) -> Numbers:
        """ln S at positions of the ball, at most zero."""
        slope = np.asarray(self.gradient)
        return np.asarray(
            (x - np.asarray(self.volume.centre)) @ slope - np.linalg.norm(slope) * self.volume.radius
        )


def with_selection(
    sample: StarSample,
    log_selection: Callable[[Float[np.ndarray, "n 3"]], Float[np.ndarray, " n"]],
    *,
    seed: int,
    known: bool = False,
) -> StarSample:
    """The stars that a survey with the selection function S(x) keeps, each with the chance S.

    Args:
        sample: The complete sample.
        log_selection: ln S of positions, at most zero.
        seed: Of the draws.
        known: Whether the observer knows S: the weights are then multiplied by 1/S.

    Raises:
        MockError: S is above one, negative or not a number somewhere.
    """
    log_s = np.asarray(log_selection(sample.x), dtype=float)
    if log_s.shape != (len(sample),) or not np.all(log_s <= 0):
        shown = np.max(log_s) if log_s.size else "none"
        raise MockError(
            f"a selection function has ln S <= 0 for each of {len(sample)} stars; got the shape "
            f"{log_s.shape}, largest {shown}"
        )
    kept = np.flatnonzero(np.log1p(-np.random.default_rng(seed).random(len(sample))) < log_s)
    thinned = sample.take(kept)
    if not known:
        return thinned
    before = np.ones(len(kept)) if thinned.weights is None else thinned.weights
    return replace(thinned, weights=before * np.exp(-log_s[kept]))


def ball_before_errors(volume: Ball, distance_error: float, sun_position: Vector = SUN_POSITION) -> Ball:
    """The ball that must be full of stars before errors of the distance are put on, to observe `volume`.

    Stars scatter into the observed volume from three standard deviations beyond its edge.
    """
    farthest = float(np.linalg.norm(np.subtract(volume.centre, sun_position))) + volume.radius
    return volume.within(volume.radius + farthest * math.expm1(_REACH * distance_error))


def with_errors(
    sample: StarSample,
    volume: Ball,
    *,
    seed: int,
    distance_error: float = 0.1,
    velocity_error: float = 2.0,
    sun_position: Vector = SUN_POSITION,
    sun_velocity: Vector = SUN_VELOCITY,
) -> StarSample:
    """The sample as measured from the Sun: errors put on, covariances filled in, cut on *observed* positions.

    The distance is d' = d exp(distance_error N(0, 1)): an error of the distance modulus, so d' is positive.
    The proper motion stays what it is, so the tangential velocity relative to the Sun grows by d'/d: an
    error of position and one of velocity that go together. Each component of the velocity then gets N(0,
    velocity_error). The covariances are what an observer would quote: first order, at the observed values.

    Args:
        sample: Stars without errors in a ball that reaches beyond `volume` (see `ball_before_errors`).
        volume: The ball in which observed positions are kept.
        seed: Of the errors.
        distance_error: Standard deviation of ln d.
        velocity_error: km/s in each component.
        sun_position: Galactocentric, kpc.
        sun_velocity: Galactocentric, km/s.

    Raises:
        MockError: an error is negative, the stars have errors already, or the sample's ball is too small.
    """
    _check_errors(sample, volume, distance_error, velocity_error, sun_position)
    rng = np.random.default_rng(seed)
    apart, relative = sample.x - np.asarray(sun_position), sample.v - np.asarray(sun_velocity)
    distance = np.linalg.norm(apart, axis=1, keepdims=True)
    sight = np.divide(apart, distance, out=np.zeros_like(apart), where=distance > 0)
    radial = np.sum(relative * sight, axis=1, keepdims=True) * sight
    stretch = np.exp(distance_error * rng.standard_normal((len(sample), 1)))
    tangential = (relative - radial) * stretch
    noise = velocity_error * rng.standard_normal(sample.v.shape)
    x = np.asarray(sun_position) + stretch * apart
    v = np.asarray(sun_velocity) + radial + tangential + noise
    kept = np.flatnonzero(volume.contains(x))
    # d(x, v)/d(ln d) at the observed values.
    along = np.concatenate([stretch * apart, tangential], axis=1)[kept]
    covariance = distance_error**2 * along[:, :, None] * along[:, None, :]
    covariance[:, 3:, 3:] += velocity_error**2 * np.eye(3)
    weights = None if sample.weights is None else sample.weights[kept]
    return StarSample(x[kept], v[kept], volume, weights, covariance)


def _check_errors(
    sample: StarSample, volume: Ball, distance_error: float, velocity_error: float, sun_position: Vector
) -> None:
    if not (0 <= distance_error < math.inf and 0 <= velocity_error < math.inf):
        raise MockError(
            f"errors are not negative; got {distance_error} (distance), {velocity_error} (velocity)"
        )
    if sample.covariance is not None:
        raise MockError("the stars have errors already; put errors on a sample without covariance")
    needed = ball_before_errors(volume, distance_error, sun_position)
    apart = float(np.linalg.norm(np.subtract(needed.centre, sample.volume.centre)))
    if apart + needed.radius > sample.volume.radius * (1 + 1e-12):
        raise MockError(
            f"with a distance error of {distance_error:g} stars scatter into the ball of radius "
            f"{volume.radius:g} from one of radius {needed.radius:.4g} around {needed.centre}, but the "
            f"sample ends at {sample.volume.radius:g} around {sample.volume.centre}; draw it from a "
            "larger ball"
        )
