"""Errors of measurement taken out of the equations: sums over the stars as if measured exactly.

An equation is a sum over stars of a smooth function g(x, v). A normal error along a direction u with
variance s^2 turns its expectation into exp(s^2 D^2 / 2) g, D the derivative along u. Distances are what
matters: the tangential velocity of a star changes with them, by 25 km/s for 10 % of the distance and a halo
at rest, and the stars look hotter than they are. The inverse, exp(-s^2 D^2 / 2), is a sum over shifted
copies of each star with weights of both signs,

    g*(x, v) = sum_k w_k g(x, v shifted by t_k standard deviations),
    sum_k w_k t_k^p = 1, 0, -1, 0, 3 for p = 0, 1, 2, 3, 4:

the moments of a normal distribution with variance -1. It is the limit of simulation and extrapolation (Cook
& Stefanski 1994, JASA 89, 1314) with a quadrature in place of the random draws, hence without their noise.
The copies of a star count as one star in the covariance, so the noise that the correction adds is in the
errors.

The long direction of an error ellipsoid is the line of sight: it has the quadrature to itself. What remains
of a covariance is added along one random direction for each star, which is right to second order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from jaxtyping import Float

from dm_map.errors import WeakFormError
from dm_map.input.measurement import square_roots
from dm_map.stars import StarSample
from dm_map.volume import Ball

__all__ = ["ErrorCorrection", "Node", "Shifts"]

# Where the Sun is for a StarSample: astropy's Galactocentric defaults of v4.0, kpc.
_SUN = (-8.122, 0.0, 0.0208)

# A variance below this share of what it was before a subtraction is rounding.
_ROUNDING = 1e-9

# Stars at a time: 36 numbers of a covariance and some copies for each.
_CHUNK = 65_536


@dataclass(frozen=True)
class Node:
    """A copy of every star, shifted by `at` standard deviations, that counts `weight`-fold."""

    weight: float
    at: float


@dataclass(frozen=True)
class ErrorCorrection:
    """Recipe: how to take the errors of measurement out of the equations.

    Attributes:
        order: 0 for no correction; 2 removes the term with the variance, 4 that with its square also.
        step: Distance of the shifted copies, in standard deviations.
        distance: "modulus": the logarithm of the distance has a normal error, as from photometry;
            "linear": the distance itself.
        sun_position: Whence distances were measured, kpc.
        directions: Random directions for what is left of the covariance beside the distance; more cost more
            and add less noise.
        method: "quadrature", or "random": simulation and extrapolation with normal draws along the line of
            sight also, for comparison.
        seed: Of the directions.

    Raises:
        WeakFormError: an order other than 0, 2, 4, a step that is not positive, or no direction.
    """

    order: int = 4
    step: float = 1.0
    distance: Literal["modulus", "linear"] = "modulus"
    sun_position: tuple[float, float, float] = _SUN
    directions: int = 1
    method: Literal["quadrature", "random"] = "quadrature"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.order not in (0, 2, 4) or not 0 < self.step < np.inf or self.directions < 1:
            raise WeakFormError(
                "a correction has order 0, 2 or 4, a positive step and one direction or more; got order "
                f"{self.order}, step {self.step}, {self.directions} directions"
            )

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """Copies of each star: 1, 3 or 5."""
        h = self.step
        if self.order == 0:
            return (Node(1.0, 0.0),)
        # Moments of a variance of -1. Random draws xi shift by at * xi, and E xi^4 = 3 asks for 1, not 3.
        second, fourth = -1.0, {"quadrature": 3.0, "random": 1.0}[self.method]
        if self.order == 2:
            pairs = [(second / (2 * h**2), h)]
        else:
            far = (fourth / h**4 - second / h**2) / 24.0
            pairs = [(second / (2 * h**2) - 4.0 * far, h), (far, 2 * h)]
        centre = Node(1.0 - 2.0 * sum(weight for weight, _ in pairs), 0.0)
        return (centre, *(Node(weight, sign * at) for weight, at in pairs for sign in (1.0, -1.0)))

    @property
    def reach(self) -> float:
        """Standard deviations by which the farthest copies are shifted."""
        return max(abs(node.at) for node in self.nodes)

    def ball(self, sample: StarSample) -> Ball:
        """A ball for the test functions: stars that errors moved out of it are in the sample still.

        The radius shrinks by the reach of the copies of stars near the edge, or of nine in ten of them where
        their errors differ.

        Raises:
            WeakFormError: errors so large that nothing of the ball is left.
        """
        covariance = _required(sample)
        outward = sample.x - np.asarray(sample.volume.centre)
        radius = np.linalg.norm(outward, axis=1)
        near = radius > 0.5 * sample.volume.radius
        if not near.any():
            raise WeakFormError(
                f"no star lies beyond half the radius {sample.volume.radius:g} of the ball, so the errors "
                "near its edge are unknown; choose the ball of the test functions yourself"
            )
        u = outward[near] / radius[near, None]
        shift = np.sqrt(np.einsum("ni,nij,nj->n", u, covariance[near, :3, :3], u, optimize=True))
        fraction = float(np.quantile(shift / radius[near], 0.9))
        grown = np.exp(self.reach * fraction) if self.distance == "modulus" else 1.0 + self.reach * fraction
        if grown > 2.0:
            raise WeakFormError(
                f"position errors of {fraction:.0%} of the radius leave less than half of the ball of radius "
                f"{sample.volume.radius:g}; use stars with better distances, order 2, or a smaller step"
            )
        return sample.volume.within(sample.volume.radius / float(grown))


@dataclass(frozen=True, eq=False)
class Shifts:
    """Where the copies of the stars lie.

    A copy at t standard deviations: the vector to the star is stretched, its velocity changes with it as the
    covariance says, and t times a random vector of the remaining covariance is added.

    Attributes:
        sample: The stars.
        correction: How they are copied.
    """

    sample: StarSample
    correction: ErrorCorrection

    def __post_init__(self) -> None:
        _required(self.sample)

    def copies(self) -> Iterator[tuple[float, Float[np.ndarray, "n 3"], Float[np.ndarray, "n 3"]]]:
        """(weight, x, v) of each node and direction, the stars themselves first; positions may be outside."""
        for direction in range(self.correction.directions):
            parts = self._parts(direction)
            for node in self.correction.nodes:
                if node.at == 0.0:
                    # The same for all directions: counted once.
                    if direction == 0:
                        yield node.weight, self.sample.x, self.sample.v
                    continue
                moved = self._moved(node.at, *parts)
                yield node.weight / self.correction.directions, moved[:, :3], moved[:, 3:]

    def _moved(
        self, t: float, error: np.ndarray, along: np.ndarray, rest: np.ndarray
    ) -> Float[np.ndarray, "n 6"]:
        """Positions and velocities of the copies."""
        stretch = np.expm1(t * error) if self.correction.distance == "modulus" else t * error
        return np.concatenate([self.sample.x, self.sample.v], axis=1) + stretch[:, None] * along + t * rest

    def _parts(
        self, direction: int
    ) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, "n 6"], Float[np.ndarray, "n 6"]]:
        """Error of ln d, d(x, v)/d ln d, and a random vector of the remaining covariance."""
        rng = np.random.default_rng([self.correction.seed, direction])
        n = len(self.sample)
        error, along, rest = np.empty(n), np.empty((n, 6)), np.empty((n, 6))
        for start in range(0, n, _CHUNK):
            part = slice(start, min(start + _CHUNK, n))
            apart = self.sample.x[part] - np.asarray(self.correction.sun_position)
            error[part], along[part], left = _along_sight(apart, _required(self.sample)[part])
            draws = rng.standard_normal((len(apart), 6))
            rest[part] = np.einsum("nij,nj->ni", square_roots(left, first=start), draws)
        if self.correction.method == "random":
            error = error * rng.standard_normal(n)
        return error, along, rest


def _along_sight(
    apart: Float[np.ndarray, "n 3"], covariance: Float[np.ndarray, "n 6 6"]
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, "n 6"], Float[np.ndarray, "n 6 6"]]:
    """Error of ln d, d(x, v)/d ln d by regression, and the covariance at a fixed distance."""
    distance = np.linalg.norm(apart, axis=1)
    sight = np.divide(apart, distance[:, None], out=np.zeros_like(apart), where=distance[:, None] > 0)
    together = np.einsum("nij,nj->ni", covariance[:, :, :3], sight)
    variance = np.sum(together[:, :3] * sight, axis=1)
    slope = np.divide(together, variance[:, None], out=np.zeros_like(together), where=variance[:, None] > 0)
    left = covariance - variance[:, None, None] * slope[:, :, None] * slope[:, None, :]
    error = np.divide(np.sqrt(variance), distance, out=np.zeros_like(distance), where=distance > 0)
    return error, distance[:, None] * slope, _without_rounding(left, covariance)


def _without_rounding(
    left: Float[np.ndarray, "n 6 6"], covariance: Float[np.ndarray, "n 6 6"]
) -> Float[np.ndarray, "n 6 6"]:
    """A direction of which the distance explains all has no variance left, not a small negative one."""
    before = np.einsum("nii->ni", covariance)
    empty = np.einsum("nii->ni", left) <= _ROUNDING * before
    return np.where(empty[:, :, None] | empty[:, None, :], 0.0, left)


def _required(sample: StarSample) -> Float[np.ndarray, "n 6 6"]:
    if sample.covariance is None:
        raise WeakFormError(
            f"the {len(sample)} stars carry no covariance of measurement, and without it there is no "
            "correction; read the errors with the stars, or fit without"
        )
    return sample.covariance
