"""Test functions psi_jm(x, v) = B_j(x) P_m(w), and their automatic choice from a star sample."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from dm_map.errors import WeakFormError
from dm_map.stars import StarSample
from dm_map.volume import Ball
from dm_map.weak.splines import EnvelopedSplines
from dm_map.weak.velocities import Frame, LocalFrame, VelocityFunctions

__all__ = ["TestFunctions", "choose_functions"]

# Intervals of z. Twenty are no better, at any number of stars: the field is smooth.
_LAYERS = 12

# Tapers in units of the dispersion: the inner one is ruled by the cold populations, the outer one sees all.
_SCALES = (0.67, 1.33)


@dataclass(frozen=True)
class TestFunctions:
    """All products of functions of position and of velocity; row (j, m) is number j * velocity.size + m."""

    __test__ = False  # not a class of tests, whatever its name says to a test runner

    space: EnvelopedSplines
    velocity: VelocityFunctions

    @property
    def size(self) -> int:
        """Number of test functions, hence of equations."""
        return self.space.size * self.velocity.size


def choose_functions(
    sample: StarSample,
    *,
    spacing: float | None = None,
    layers: int | None = None,
    degrees: tuple[int, ...] = (1,),
    scales: tuple[float, ...] = _SCALES,
    frame: Frame | None = None,
    volume: Ball | None = None,
) -> TestFunctions:
    """Test functions that follow the stars: planes of constant z between quantiles of the stars' heights.

    Two things limit the resolution: the field is smooth, so that finer functions say nothing new, and each
    function needs enough stars that its covariance is known. The defaults were chosen on mocks of the Milky
    Way (`benchmarks/weak_limits.py` prints what others give).

    Args:
        sample: The stars.
        spacing: Distance of knots in x and y; a third of the diameter where None.
        layers: Intervals of z; 12 where None.
        degrees: Degrees in velocity of all tapers.
        scales: Tapers in units of the dispersion.
        frame: Axes of the velocities; cylindrical where None, unless the volume holds the z axis.
        volume: A ball inside that of the sample, where stars have been scattered over the edge by errors.

    Raises:
        WeakFormError: fewer stars than the equations need, or velocities without dispersion.
    """
    ball = sample.volume if volume is None else volume
    if len(sample) < 1000:
        raise WeakFormError(
            f"the weak form needs 1000 stars at the least, and 100,000 for a useful answer; got {len(sample)}"
        )
    chosen = frame or _frame_of(ball)
    spacing = 2.0 * ball.radius / 3.0 if spacing is None else spacing
    across = max(2, int(np.ceil(2.0 * ball.radius / spacing - 1e-9)))
    horizontal = tuple(float(value) for value in np.linspace(-ball.radius, ball.radius, across + 1))
    if layers is None:
        layers = _LAYERS
    return TestFunctions(
        EnvelopedSplines(ball, (horizontal, horizontal, _heights(sample, ball, layers))),
        _velocities(sample, chosen, degrees, scales),
    )


def _frame_of(volume: Ball) -> Frame:
    from_axis = float(np.hypot(volume.centre[0], volume.centre[1]))
    return "cylindrical" if from_axis > 1.05 * volume.radius else "cartesian"


def _heights(sample: StarSample, ball: Ball, layers: int) -> tuple[float, ...]:
    """Knots of z: half way between equal shares of the stars and equal distances."""
    z = sample.x[:, 2] - ball.centre[2]
    shares = np.linspace(0.0, 1.0, layers + 1)[1:-1]
    by_stars = np.quantile(z[:: max(1, len(z) // 200_000)], shares)
    by_distance = ball.radius * (2.0 * shares - 1.0)
    inner = 0.5 * (by_stars + by_distance)
    return (-ball.radius, *(float(value) for value in inner), ball.radius)


def _velocities(
    sample: StarSample, frame: Frame, degrees: tuple[int, ...], scales: tuple[float, ...]
) -> VelocityFunctions:
    step = max(1, len(sample) // 200_000)
    w = LocalFrame.of(frame, sample.x[::step], sample.v[::step]).velocity
    mean, dispersion = _centre_and_width(w)
    if not np.all(dispersion > 0):
        raise WeakFormError(
            f"velocities have no dispersion along some axis ({dispersion} km/s): nothing to learn"
        )
    # A mean that its own error allows to be zero is zero: parity then removes half of the terms exactly.
    mean = np.where(np.abs(mean) > 5.0 * dispersion / np.sqrt(len(w)), mean, 0.0)
    one, two, three = (float(value) for value in mean)
    a, b, c = (float(value) for value in dispersion)
    return VelocityFunctions(frame, (one, two, three), (a, b, c), tuple((s, degrees) for s in scales))


def _centre_and_width(w: Float[np.ndarray, "n 3"]) -> tuple[Float[np.ndarray, " 3"], Float[np.ndarray, " 3"]]:
    """Mean and dispersion without the stars beyond five dispersions."""
    keep = np.ones(len(w), dtype=bool)
    for _ in range(3):
        mean, width = w[keep].mean(axis=0), w[keep].std(axis=0)
        keep = np.all(np.abs(w - mean) <= 5.0 * np.maximum(width, 1e-300), axis=1)
    return mean, width
