"""Stars per magnitude along a ridge, from lists that each see only a part of it."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.optimize import minimize

from streams.ridges import RidgeError

__all__ = ["luminosity_function"]

_CURVATURE = 2.0
_LEVEL = 1e-3


def luminosity_function(
    absolute: Float[np.ndarray, " n"], windows: Float[np.ndarray, "n 2"], nodes: Float[np.ndarray, " k"]
) -> Float[np.ndarray, " k"]:
    """Log of the stars per magnitude at equal steps of absolute magnitude, whatever the lists' limits.

    Each star tells only where in its own window of magnitudes it lies: with f the luminosity function, the
    likelihood is the product of f(M_i) / (integral of f over window i), as in Efron & Petrosian (1999, JASA
    94, 824) for doubly truncated data, so neither the numbers of stars of the lists nor their distances
    matter. Log f is free at every node; its second derivative has a Gaussian prior of sigma 2 per mag^2,
    which is what the turn-off of old populations needs, and makes it smooth.

    Args:
        absolute: absolute magnitudes of the stars, between the first and the last node.
        windows: brightest and faintest absolute magnitude that the star's list could hold.
        nodes: absolute magnitudes at equal steps; each stands for the half step on either side.

    Returns:
        Natural logarithm; its scale is free, here the mean is zero.

    Raises:
        RidgeError: there are neighbouring nodes that no list sees both, so that their ratio is unknown.
    """
    step = float(nodes[1] - nodes[0])
    which = np.clip(np.round((absolute - nodes[0]) / step).astype(int), 0, len(nodes) - 1)
    low, high = np.maximum(windows[:, :1], nodes - step / 2), np.minimum(windows[:, 1:], nodes + step / 2)
    seen = np.clip((high - low) / step, 0.0, 1.0)
    # A star counts where it is, though its window may begin within that node.
    seen[np.arange(len(which)), which] = np.maximum(seen[np.arange(len(which)), which], 1e-3)
    together = ((seen[:, 1:] > 0) & (seen[:, :-1] > 0)).any(axis=0)
    if not together.all():
        gap = nodes[np.flatnonzero(~together)[0]]
        raise RidgeError(
            f"no list of stars sees both sides of M_G = {gap:.1f}, so their numbers cannot be compared: "
            "add a stream that does, at a distance between those given"
        )
    return _most_likely(np.bincount(which, minlength=len(nodes)).astype(float), seen, step)


def _most_likely(
    counts: Float[np.ndarray, " k"], seen: Float[np.ndarray, "n k"], step: float
) -> Float[np.ndarray, " k"]:
    """Maximum of the penalised likelihood, which is concave: one solution."""
    size = len(counts)
    bend = np.diff(np.eye(size), n=2, axis=0) / (_CURVATURE * step**2)
    # The scale is free: a weak pull to zero settles it.
    prior = bend.T @ bend + _LEVEL * np.ones((size, size)) / size**2

    def minus_log(values: np.ndarray) -> tuple[float, np.ndarray]:
        light = seen * np.exp(values)
        total = light.sum(axis=1)
        share = (light / total[:, None]).sum(axis=0)
        pull = prior @ values
        return float(np.log(total).sum() - counts @ values + 0.5 * values @ pull), share - counts + pull

    def curvature(values: np.ndarray) -> np.ndarray:
        share = seen * np.exp(values)
        share /= share.sum(axis=1, keepdims=True)
        return np.diag(share.sum(axis=0)) - share.T @ share + prior

    found = minimize(minus_log, np.zeros(size), jac=True, hess=curvature, method="trust-exact")
    return np.asarray(found.x - found.x.mean())
