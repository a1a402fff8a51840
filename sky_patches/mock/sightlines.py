"""Counts of stars along lines of sight, and distances that follow them: what cones and pixels share."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from sky_patches.mock.populations import Population, galactocentric_positions

__all__ = ["cumulative_counts", "draw_distances"]


def cumulative_counts(
    population: Population,
    directions: Float[np.ndarray, "n 3"],
    distance: Float[np.ndarray, " k"],
    visible: Float[np.ndarray, " k"] | Float[np.ndarray, "n k"],
) -> Float[np.ndarray, "n k"]:
    """Stars per steradian nearer than each distance, along each direction: the integral of rho d^3 N dln d.

    Args:
        population: the population.
        directions: ICRS unit vectors.
        distance: grid in kpc, even in the logarithm.
        visible: stars per kpc^3 that are bright enough at each distance, where the thin disc has its density
            at the Sun; one row for all directions, or a row each.
    """
    xyz = galactocentric_positions(directions, np.broadcast_to(distance, (len(directions), len(distance))))
    rate = population.local_fraction * population.law(xyz) * visible * distance**3
    steps = 0.5 * (rate[:, 1:] + rate[:, :-1]) * np.log(distance[1] / distance[0])
    return np.concatenate([np.zeros((len(rate), 1)), np.cumsum(steps, axis=1)], axis=1)


def draw_distances(
    cumulative: Float[np.ndarray, "n k"], distance: Float[np.ndarray, " k"], rng: np.random.Generator
) -> Float[np.ndarray, " n"]:
    """A distance for each row of cumulative counts: uniform in count, log-linear between grid points."""
    level = cumulative[:, -1] * rng.random(len(cumulative))
    right = np.clip((cumulative <= level[:, None]).sum(axis=1), 1, len(distance) - 1)
    rows = np.arange(len(cumulative))
    low, high = cumulative[rows, right - 1], cumulative[rows, right]
    part = (level - low) / np.maximum(high - low, np.finfo(np.float64).tiny)
    log_distance = np.log(distance)
    return np.exp(log_distance[right - 1] + part * (log_distance[right] - log_distance[right - 1]))
