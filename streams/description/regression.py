"""Linear regression on probable members, with errors that hold although membership is uncertain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

__all__ = ["Regression", "intrinsic_variance", "regress", "sandwich"]

_LEAST_INFORMATION = 0.1
"""Least share of the information that uncertain membership leaves; below it the estimate has failed."""
_ROUNDS = 30


@dataclass(frozen=True, eq=False)
class Regression:
    """Coefficients of a weighted least-squares fit and their covariance."""

    coefficients: Float[np.ndarray, " k"]
    covariance: Float[np.ndarray, "k k"]


def regress(
    design: Float[np.ndarray, "n k"],
    value: Float[np.ndarray, " n"],
    variance: Float[np.ndarray, " n"],
    probability: Float[np.ndarray, " n"],
) -> Regression:
    """value = design @ coefficients for the members of a mixture, each star a member with `probability`.

    The coefficients solve sum_i psi_i = 0 with psi_i = p_i X_i r_i / v_i: the M-step of the mixture, and the
    derivative of its log-likelihood. Two things make the inverse of H = sum p X X^T / v too small an error:
    a star of probability p that moves the track changes its own p (the information that is missing because
    nobody says who is a member: Louis 1982, JRSS B 44, 226, eq. 3.2), and residuals may be wider than v says.
    The sandwich A^-1 B A^-1 (Huber 1967; White 1982, Econometrica 50, 1) holds against both:

        A = H - sum_i p_i (1 - p_i) X_i X_i^T r_i^2 / v_i^2,      B = sum_i psi_i psi_i^T,

    with a factor n / (n - k) for few stars, n = (sum p)^2 / sum p^2. Were p known to be 0 or 1 and v right,
    it is H^-1.

    Args:
        design: X, one row a star.
        value: what is fitted.
        variance: v, of each star about the track: errors and intrinsic spread.
        probability: p.

    Returns:
        The fit; a covariance that the stars do not determine is infinite.
    """
    weight = probability / variance
    information = (design * weight[:, None]).T @ design
    right = design.T @ (weight * value)
    if np.linalg.matrix_rank(information, hermitian=True) < design.shape[1]:
        coefficients = np.linalg.lstsq(information, right, rcond=None)[0]
        covariance = np.full(information.shape, np.inf)
    else:
        coefficients = np.linalg.solve(information, right)
        residual = value - design @ coefficients
        root = np.linalg.cholesky(information)
        unit = np.linalg.solve(root, design.T).T * (residual / variance)[:, None]
        back = np.linalg.inv(root)
        stars = probability.sum() ** 2 / (probability**2).sum()
        few = stars / max(stars - len(root), 1.0)
        covariance = few * back.T @ sandwich(unit, probability) @ back
    return Regression(coefficients, covariance)


def sandwich(
    scores: Float[np.ndarray, "n k"], probability: Float[np.ndarray, " n"]
) -> Float[np.ndarray, "k k"]:
    """A^-1 B A^-1 of parameters in units in which H is the unit matrix; see `regress`.

    Args:
        scores: derivative of each star's log-likelihood, as a member, by the parameters.
        probability: p.
    """
    missing = (scores * (probability * (1.0 - probability))[:, None]).T @ scores
    share, axes = np.linalg.eigh(np.eye(scores.shape[1]) - missing)
    bread = (axes / np.maximum(share, _LEAST_INFORMATION)) @ axes.T
    meat = (scores * (probability**2)[:, None]).T @ scores
    return bread @ meat @ bread


def intrinsic_variance(
    residual: Float[np.ndarray, " n"],
    error: Float[np.ndarray, " n"],
    probability: Float[np.ndarray, " n"],
    start: float,
) -> float:
    """Variance s^2 beyond the errors that maximises sum p ln N(residual; error^2 + s^2), by its fixed point.

    Each star counts by what it tells about s: sum p w^2 (r^2 - e^2) / sum p w^2, w = 1 / (e^2 + s^2).
    """
    # Without errors the first step is exact; with them the floor keeps a star of zero error from dividing
    # by zero when there is no spread at all.
    floor = 1e-6 * float((probability * residual**2).sum() / probability.sum()) + 1e-18
    variance = max(start, floor)
    for _ in range(_ROUNDS):
        weight = probability / (error**2 + variance) ** 2
        step = max(float((weight * (residual**2 - error**2)).sum() / weight.sum()), floor)
        if abs(step - variance) <= 1e-6 * variance:
            return step
        variance = step
    return variance
