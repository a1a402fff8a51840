"""Penalised least squares with coefficients, and if wanted densities, that cannot be negative."""

from __future__ import annotations

from dataclasses import dataclass

import daqp
import numpy as np
from jaxtyping import Bool, Float
from scipy.linalg import null_space

from dm_map.errors import PotentialError

__all__ = ["Solution", "nonnegative_fit"]

# Added to the diagonal of G after it is scaled to one: fixes the directions that rounding leaves
# undetermined.
_RIDGE = 1e-10

# A certificate above this says that the solver did not find the minimum.
_LARGEST_CERTIFICATE = 1e-5

_UNBOUNDED = 1e30


@dataclass(frozen=True, eq=False)
class Solution:
    """Minimum of 1/2 c^T (G + P) c - h^T c under its constraints.

    Attributes:
        coefficients: c, shape (K,).
        active: Coefficients held at zero by their bound, shape (K,).
        active_constraints: Rows of `constraints` at zero, shape (p,).
        certificate: Largest violation of the Karush-Kuhn-Tucker conditions (stationarity, feasibility, sign
            of the multipliers, complementarity), with G scaled to a unit diagonal, relative to the largest
            scaled h. A minimum of this convex problem is one, and only one, where it vanishes.
        objective: Value of the minimum.
        effective_parameters: tr[(G_F + P_F)^-1 G_F] over the directions F in which the solution can move
            without leaving its active bounds and constraints: the number of parameters that the data
            determine.
    """

    coefficients: Float[np.ndarray, " K"]
    active: Bool[np.ndarray, " K"]
    active_constraints: Bool[np.ndarray, " p"]
    certificate: float
    objective: float
    effective_parameters: float


def nonnegative_fit(
    G: Float[np.ndarray, "K K"],
    h: Float[np.ndarray, " K"],
    positive: Bool[np.ndarray, " K"],
    penalty: Float[np.ndarray, "*K K"] | None = None,
    constraints: Float[np.ndarray, "p K"] | None = None,
) -> Solution:
    """Minimise 1/2 c^T (G + P) c - h^T c with c_k >= 0 where `positive`, and `constraints` @ c >= 0.

    For least squares |A c - b|^2 with weights W: G = A^T W A and h = A^T W b. Solved by DAQP, a dual
    active-set method (Arnstroem, Bemporad & Axehill 2022, IEEE TAC 67, 4362), after scaling G to a unit
    diagonal: exact zeros, a millisecond for a hundred components, and no harm from columns that are nearly
        alike.

    Args:
        G: Symmetric, positive semi-definite.
        h: Right-hand side.
        positive: Which coefficients cannot be negative.
        penalty: Diagonal, shape (K,), or matrix P, shape (K, K), positive semi-definite; None for zero.
        constraints: Linear forms that cannot be negative, such as the density at p positions.

    Raises:
        PotentialError: shapes disagree, a value is not finite, a component has no influence at all, or the
            solver fails to reach the minimum; the message gives its certificate.
    """
    quadratic, penalised = _problem(G, h, positive, penalty)
    rows = np.zeros((0, len(h))) if constraints is None else np.asarray(constraints, dtype=np.float64)
    if rows.ndim != 2 or rows.shape[1] != len(h):
        raise PotentialError(f"constraints have shape (p, {len(h)}); got {rows.shape}")
    scale = 1.0 / np.sqrt(np.diag(penalised))
    H = penalised * scale[:, None] * scale
    H[np.diag_indices_from(H)] += _RIDGE
    scaled_h = h * scale
    unit = max(float(np.max(np.abs(scaled_h))), np.finfo(float).tiny)
    A = rows * scale
    A = A / np.maximum(np.linalg.norm(A, axis=1, keepdims=True), np.finfo(float).tiny)
    z, multipliers = _solve(H, scaled_h / unit, positive, A)
    certificate = _certificate(H, scaled_h / unit, positive, A, z, multipliers)
    if not certificate <= _LARGEST_CERTIFICATE:
        raise PotentialError(
            f"the quadratic programme of {len(h)} coefficients was not solved: its conditions are violated "
            f"by {certificate:.1e} (at most {_LARGEST_CERTIFICATE:.0e}); penalise free-form components more"
        )
    c = z * unit * scale
    held = positive & (z <= 0)
    return Solution(
        c,
        held,
        multipliers[len(h) :] < 0,
        certificate,
        float(0.5 * c @ penalised @ c - h @ c),
        _effective(quadratic * scale[:, None] * scale, H, ~held, A[multipliers[len(h) :] < 0]),
    )


def _problem(
    G: np.ndarray, h: np.ndarray, positive: np.ndarray, penalty: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """G and G + P as symmetric float64 matrices, checked."""
    K = len(h)
    if G.shape != (K, K) or positive.shape != (K,) or h.ndim != 1 or K == 0:
        raise PotentialError(
            f"G, h and positive have shapes (K, K), (K,), (K,); got {G.shape}, {h.shape}, {positive.shape}"
        )
    quadratic = 0.5 * (np.asarray(G, dtype=np.float64) + np.asarray(G, dtype=np.float64).T)
    penalised = quadratic.copy()
    if penalty is not None:
        if penalty.shape not in {(K,), (K, K)}:
            raise PotentialError(f"a penalty has shape ({K},) or ({K}, {K}); got {penalty.shape}")
        penalised += np.diag(penalty) if penalty.ndim == 1 else 0.5 * (penalty + penalty.T)
    if not (np.all(np.isfinite(penalised)) and np.all(np.isfinite(h))):
        raise PotentialError("the normal equations hold values that are not finite; check scores and weights")
    without = np.flatnonzero(np.diag(penalised) <= 0)
    if without.size:
        raise PotentialError(
            f"coefficient {int(without[0])} does not enter the equations (its diagonal is "
            f"{penalised[without[0], without[0]]:g}); remove that component or penalise it"
        )
    return quadratic, penalised


def _solve(
    H: np.ndarray, h: np.ndarray, positive: np.ndarray, A: np.ndarray
) -> tuple[Float[np.ndarray, " K"], Float[np.ndarray, " m"]]:
    """Minimum and the multipliers of bounds and rows, negative where a lower bound is active."""
    K, p = len(h), len(A)
    upper = np.full(K + p, _UNBOUNDED)
    lower = np.concatenate([np.where(positive, 0.0, -_UNBOUNDED), np.zeros(p)])
    z, _, flag, info = daqp.solve(
        np.ascontiguousarray(H),
        np.ascontiguousarray(-h),
        np.ascontiguousarray(A),
        upper,
        lower,
        np.zeros(K + p, dtype=np.int32),
        primal_tol=1e-11,
        dual_tol=1e-11,
        iter_limit=20 * (K + p) + 1000,
    )
    if flag < 1:
        raise PotentialError(
            f"{K} coefficients under {p} constraints: the programme has no solution (solver: {flag})"
        )
    z = np.asarray(z)
    # Zeros are exact on the active bounds; rounding leaves 1e-20 there.
    multipliers = np.asarray(info["lam"])
    z[positive & ((multipliers[:K] < 0) | (z < 0))] = 0.0
    return z, multipliers


def _certificate(
    H: np.ndarray, h: np.ndarray, positive: np.ndarray, A: np.ndarray, z: np.ndarray, multipliers: np.ndarray
) -> float:
    """Largest violation of the optimality conditions, computed afresh from H, h and A."""
    row_forces = -np.minimum(multipliers[len(h) :], 0.0)
    gradient = H @ z - h - A.T @ row_forces
    bound_forces = np.where(positive, np.maximum(gradient, 0.0), 0.0)
    values = A @ z
    violations = [
        np.abs(gradient - bound_forces),
        np.abs(bound_forces * z),
        np.maximum(-z[positive], 0.0),
        np.maximum(-values, 0.0),
        np.abs(row_forces * values),
    ]
    return float(max(np.max(violation, initial=0.0) for violation in violations))


def _effective(G: np.ndarray, H: np.ndarray, free: np.ndarray, active_rows: np.ndarray) -> float:
    directions = np.eye(len(G))[:, free]
    if len(active_rows) and directions.shape[1]:
        directions = directions @ null_space(active_rows[:, free])
    if not directions.shape[1]:
        return 0.0
    return float(np.trace(np.linalg.solve(directions.T @ H @ directions, directions.T @ G @ directions)))
