"""Which map a single column gets, from its declared bound and its data."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.special import ndtr, ndtri

from density.bounds import AtLeast, AtMost, Bound, Interval, Irregular
from density.column_maps import Affine, Asinh, ColumnMap, Edge, LogitBox
from density.quantile_map import Quantile

__all__ = ["EDGE", "map_of_column"]

EDGE = 1e-6
"""Declared bounds are widened by this fraction of their width, so that values on an edge by rounding pass."""

_HEAVY = 3.5
"""Width of the central 99 % over the central 68.3 % above which tails count as heavy; 2.58 for a Gaussian."""

_SCORES = np.linspace(-2.5, 2.5, 26)
"""Knots of a quantile map, in standard deviations of what comes out; 0.6 % lie beyond each end."""


def map_of_column(
    values: Float[np.ndarray, " n"], bound: Bound, weights: Float[np.ndarray, " n"] | None = None
) -> ColumnMap:
    """The map of one column; see `density.feature_maps.choose_feature_map`.

    Args:
        values: Two distinct values or more, within the bound.
        bound: What is declared of the column; not a coordinate of a ball.
        weights: Positive weights of the values.
    """
    if isinstance(bound, Interval):
        pad = EDGE * (bound.high - bound.low)
        return LogitBox(bound.low - pad, bound.high + pad)
    if isinstance(bound, AtLeast | AtMost):
        edge, side = (bound.low, 1) if isinstance(bound, AtLeast) else (bound.high, -1)
        middle = _quantiles(values, [0.5], weights)[0]
        scale = _positive(float(side * (middle - edge)), values)
        return Edge(edge - side * EDGE * scale, scale, side)
    quantile = _quantile_map(values, weights) if isinstance(bound, Irregular) else None
    return quantile or _unbounded(values, weights)


def _unbounded(values: np.ndarray, weights: np.ndarray | None) -> ColumnMap:
    levels = [0.005, 0.15865, 0.5, 0.84135, 0.995]
    far_low, low, centre, high, far_high = _quantiles(values, levels, weights)
    scale = _positive(0.5 * float(high - low), values)
    heavy = (far_high - far_low) > _HEAVY * (high - low)
    return Asinh(float(centre), scale) if heavy else Affine(float(centre), scale)


def _quantile_map(values: np.ndarray, weights: np.ndarray | None) -> Quantile | None:
    """The column's own quantiles; None where hardly any differ."""
    beyond = ndtr(_SCORES[0]) / 2
    places = _quantiles(values, [beyond, *ndtr(_SCORES), 1 - beyond], weights)
    far_low, places, far_high = places[0], places[1:-1], places[-1]
    distinct = np.concatenate([[True], np.diff(places) > 1e-9 * (places[-1] - places[0])])
    places, scores = places[distinct], _SCORES[distinct]
    if len(places) < 4:
        return None
    secants = np.diff(scores) / np.diff(places)
    slopes = np.concatenate([secants[:1], np.sqrt(secants[1:] * secants[:-1]), secants[-1:]])
    # The median of the rows beyond an outer knot is put where the normal distribution has it.
    for end, excess in ((0, places[0] - far_low), (-1, far_high - places[-1])):
        if excess > 0:
            slopes[end] = (-ndtri(beyond) + _SCORES[0]) / excess
    return Quantile(_floats(places), _floats(scores), _floats(slopes))


def _quantiles(values: np.ndarray, levels: list[float], weights: np.ndarray | None) -> np.ndarray:
    # This definition alone makes a weight of k the same as k equal values.
    return np.quantile(values, levels, weights=weights, method="inverted_cdf")


def _positive(scale: float, values: np.ndarray) -> float:
    # More than two thirds of the values may be equal; their range is then the only scale left.
    return scale if scale > 0 else float(values.max() - values.min())


def _floats(values: np.ndarray) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
