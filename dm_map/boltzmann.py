"""Accelerations from the stationary collisionless Boltzmann equation, position by position.

With f(x, v) the phase-space density of tracers in equilibrium, and its scores s_x = grad_x ln f and
s_v = grad_v ln f,

    v . s_x + a . s_v = 0                                                            (1)

holds for every v at every x with one acceleration a(x) = -grad Phi. The least-squares solution over the
velocities v_i drawn at a position is

    a = -[sum_i w_i s_v s_v^T]^-1 sum_i w_i (v . s_x) s_v                            (2)

(Green & Ting 2020, arXiv:2011.04673; An et al. 2021, arXiv:2106.05981). With exact scores it is exact for any
three or more velocities in general position, so every error of the result is an error of the scores.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from dm_map.errors import AccelerationError

__all__ = ["PointwiseAcceleration", "acceleration_from_scores"]

# Beyond this the velocities at a position do not span three dimensions and rounding decides.
_LARGEST_CONDITION = 1e10


class PointwiseAcceleration(NamedTuple):
    """Accelerations at p positions.

    Attributes:
        a: Shape (p, 3), in the unit of v . s_x / s_v: (km/s)^2/kpc for km/s and kpc.
        residual: Shape (p,), root mean square of v . s_x + a . s_v over that of v . s_x: 0 where equation (1)
            can be satisfied, 1 where the acceleration explains nothing.
        condition: Shape (p,), condition number of the s_v at the position: the largest over the smallest
            singular value; the relative error of a is at most about this times that of the scores.
    """

    a: Float[np.ndarray, "p 3"]
    residual: Float[np.ndarray, " p"]
    condition: Float[np.ndarray, " p"]


def acceleration_from_scores(
    v: Float[np.ndarray, "p n 3"],
    s_x: Float[np.ndarray, "p n 3"],
    s_v: Float[np.ndarray, "p n 3"],
    weights: Float[np.ndarray, "p n"] | None = None,
) -> PointwiseAcceleration:
    """Solve equation (2) at p positions, by a QR decomposition of s_v instead of its normal matrix.

    Args:
        v: Velocities, n at each of p positions, km/s.
        s_x: grad_x ln f at (x, v), 1/kpc.
        s_v: grad_v ln f at (x, v), 1/(km/s).
        weights: Non-negative weights of the velocities; equal where None.

    Raises:
        AccelerationError: fewer than three velocities, values that are not finite, negative weights, or
            scores that leave a direction of the acceleration undetermined; the message names the position.
    """
    _check(v, s_x, s_v, weights)
    root = np.ones(v.shape[:2]) if weights is None else np.sqrt(weights)
    streaming = root * np.sum(v * s_x, axis=-1)
    pull = root[..., None] * s_v
    q, r = np.linalg.qr(pull)
    condition = _condition(r)
    projected = np.swapaxes(q, -1, -2) @ streaming[..., None]
    a = -np.linalg.solve(r, projected)[..., 0]
    left = streaming + np.sum(pull * a[:, None, :], axis=-1)
    scale = np.sqrt(np.mean(streaming**2, axis=-1))
    rms = np.sqrt(np.mean(left**2, axis=-1))
    return PointwiseAcceleration(a, np.divide(rms, scale, out=np.zeros_like(rms), where=scale > 0), condition)


def _condition(r: Float[np.ndarray, "p 3 3"]) -> Float[np.ndarray, " p"]:
    singular = np.linalg.svd(r, compute_uv=False)
    largest, smallest = singular[:, 0], singular[:, -1]
    condition = np.divide(largest, smallest, out=np.full_like(largest, np.inf), where=smallest > 0)
    worst = int(np.argmax(condition))
    if condition[worst] > _LARGEST_CONDITION:
        raise AccelerationError(
            f"position {worst}: the velocity scores do not span three dimensions (condition number "
            f"{condition[worst]:.1e}, at most {_LARGEST_CONDITION:.0e}); draw more varied velocities"
        )
    return condition


def _check(v: np.ndarray, s_x: np.ndarray, s_v: np.ndarray, weights: np.ndarray | None) -> None:
    if not v.shape == s_x.shape == s_v.shape or v.ndim != 3 or v.shape[-1] != 3:
        raise AccelerationError(
            f"v, s_x and s_v share one shape (p, n, 3); got {v.shape}, {s_x.shape} and {s_v.shape}"
        )
    if v.shape[0] == 0 or v.shape[1] < 3:
        raise AccelerationError(
            f"one position and three velocities are the least; got (p, n) = {v.shape[:2]}"
        )
    if weights is not None and (weights.shape != v.shape[:2] or not np.all(weights >= 0)):
        raise AccelerationError(
            f"weights are non-negative numbers of shape {v.shape[:2]}; got {weights.shape}"
        )
    for name, values in (("v", v), ("s_x", s_x), ("s_v", s_v)):
        bad = np.argwhere(~np.isfinite(values))
        if bad.size:
            position, velocity, axis = (int(index) for index in bad[0])
            raise AccelerationError(
                f"{name} is {values[position, velocity, axis]} at position {position}, velocity {velocity}; "
                "remove such velocities before the fit"
            )
