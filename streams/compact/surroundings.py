"""The stars around a cluster: which of them are beyond it, and how the field's density runs across it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float

from streams.cells import FootprintCells
from streams.compact.profile import ClusterModel

__all__ = ["log_sky_density", "stars_beyond"]

FLOOR = 1e-300
LEAST_BACKGROUND = 20
"""Fewer stars beyond the cluster measure no background; then the outer half of the field does."""


def stars_beyond(distance: Float[np.ndarray, " n"], clear: float) -> Bool[np.ndarray, " n"]:
    """Stars further than `clear` from the centre (deg), or the outer half where those are too few."""
    far = distance > clear
    if far.sum() >= LEAST_BACKGROUND or not len(distance):
        return far
    return distance >= np.median(distance)


def log_sky_density(
    cells: FootprintCells,
    model: ClusterModel,
    xy: Float[np.ndarray, "n 2"],
    beyond: Bool[np.ndarray, " n"],
    reach: float,
) -> Float[np.ndarray, " n"]:
    """Log density per deg^2 of the field's stars, normalised over the field.

    A log-linear law fitted to the stars and the cells beyond the cluster, and continued into it.

    Args:
        cells: the footprint.
        model: the cluster; its plane and centre.
        xy: all stars of the field, in that plane, deg.
        beyond: those of them that are beyond the cluster.
        reach: radius of the field, deg.
    """
    at = np.column_stack(model.plane.project(*cells.plane.unproject(cells.x, cells.y)))
    distance = np.hypot(*(at - model.centre).T)
    field = distance < reach
    if not field.any() or not beyond.any():
        return np.full(len(xy), -np.log(np.pi * reach**2))
    ring = field & (distance > np.hypot(*(xy[beyond] - model.centre).T).min())
    gradient = _gradient(replace(cells, x=at[ring, 0], y=at[ring, 1], area=cells.area[ring]), xy[beyond])
    centre = np.asarray(model.centre)
    norm = np.log((cells.area[field] * np.exp((at[field] - centre) @ gradient)).sum())
    return (xy - centre) @ gradient - norm


def _gradient(ring: FootprintCells, xy: np.ndarray) -> np.ndarray:
    """Slope of the log density over the cells of a ring, per deg; zero where the ring is too small."""
    if len(ring.x) < LEAST_BACKGROUND or len(xy) < LEAST_BACKGROUND:
        return np.zeros(2)
    level = np.log(np.maximum(ring.density(*xy.T).astype(float) / ring.area, FLOOR))
    design = np.column_stack([ring.x, ring.y, np.ones(len(ring.x))])
    return np.asarray(np.linalg.lstsq(design, level, rcond=None)[0][:2])
