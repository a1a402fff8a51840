"""The compiled loops that improve a hypothesis step by step (numba; importing this module takes a second)."""

from __future__ import annotations

from typing import NamedTuple, no_type_check

import numpy as np
from jaxtyping import Float, Int
from numba import njit

__all__ = [
    "BINS",
    "PARAMETERS",
    "LineSurroundings",
    "climb",
    "evaluate",
    "line_shares",
    "near_stars",
    "profile",
]

# The loops are compiled: `no_type_check` keeps run-time type checkers from wrapping them.

BINS = 6
"""Bins of the Gaussian profile across the line, half a sigma each, on both sides."""
PARAMETERS = 9
"""Angle, offset, the two proper motions, their gradients, ln sigma, number of the modulus, of the ridge."""
_NODES = 48
_LOWEST = -5.0
_SPACING = 0.4


class LineSurroundings(NamedTuple):
    """What a hypothesis sees while it is improved.

    Args:
        near: numbers of the stars that may weigh.
        left: what other lines have left of each star.
        stars: x, y, the proper motions, their variances, ln of the Gaussian's density at its peak.
        amplitude: float32; ln of stream over background density, times deg (that of the proper motion and the
            profile across the line are still to come), of each ridge and modulus.
        moduli: number of moduli; column = ridge * moduli + modulus.
        cells: x, y of cells of the footprint.
        cell_share: of the smooth density in each.
        step, pieces: along the line.
        least: effective stars that a line needs.
    """

    near: Int[np.ndarray, " k"]
    left: Float[np.ndarray, " n"]
    stars: Float[np.ndarray, "n 7"]
    amplitude: Float[np.ndarray, "n columns"]
    moduli: int
    cells: Float[np.ndarray, "c 2"]
    cell_share: Float[np.ndarray, " c"]
    step: float
    pieces: int
    least: float


@njit(cache=True, nogil=True)
@no_type_check
def profile(sigma: float) -> Float[np.ndarray, " bins"]:
    """Mean density of the Gaussian in each bin of |t|, per deg."""
    edges = np.array(
        [0.0, 0.1914624613, 0.3413447461, 0.4331927987, 0.4772498681, 0.4937903347, 0.4986501020]
    )
    return (edges[1:] - edges[:-1]) / (0.5 * sigma)


@njit(cache=True, nogil=True)
@no_type_check
def line_shares(
    cell_x: Float[np.ndarray, " c"],
    cell_y: Float[np.ndarray, " c"],
    cell_share: Float[np.ndarray, " c"],
    theta: float,
    offset: float,
    sigma: float,
    step: float,
    pieces: int,
) -> Float[np.ndarray, "pieces bins"]:
    """Share of the smooth density in each piece along the line and each bin of the profile."""
    share = np.zeros((pieces, BINS))
    cosine, sine = np.cos(theta), np.sin(theta)
    for c in range(len(cell_x)):
        across = abs(cell_x[c] * sine - cell_y[c] * cosine - offset) / (0.5 * sigma)
        if across >= BINS:
            continue
        along = cell_x[c] * cosine + cell_y[c] * sine
        piece = min(max(int(np.floor(along / step + 0.5)) + pieces // 2, 0), pieces - 1)
        share[piece, int(across)] += cell_share[c]
    return share


@njit(cache=True, nogil=True)
@no_type_check
def _moment_table(share, shape):
    """Sums of share * ln(1 + e^a shape)^p over the bins, p = 1, 2, 3, on nodes of a; one row per piece."""
    table = np.zeros((share.shape[0], _NODES, 3))
    for n in range(_NODES):
        value = np.exp(_LOWEST + n * _SPACING)
        for b in range(BINS):
            weight = np.log1p(value * shape[b])
            for s in range(share.shape[0]):
                power = share[s, b] * weight
                for p in range(3):
                    table[s, n, p] += power
                    power *= weight
    return table


@njit(cache=True, nogil=True)
@no_type_check
def _star_moments(table, flat, slope, curve, room, step):
    """Mean weight^p of one star that falls anew, p = 1, 2, 3; its squared distance is a parabola in s."""
    k1, k2, k3 = 0.0, 0.0, 0.0
    pieces = table.shape[0]
    for s in range(pieces):
        along = (s - pieces // 2) * step
        place = (room - flat + 2.0 * slope * along - curve * along * along) * (0.5 / _SPACING)
        if place <= 0.0:
            continue
        place = min(place, _NODES - 1.001)
        node = int(place)
        part = place - node
        k1 += (1.0 - part) * table[s, node, 0] + part * table[s, node + 1, 0]
        k2 += (1.0 - part) * table[s, node, 1] + part * table[s, node + 1, 1]
        k3 += (1.0 - part) * table[s, node, 2] + part * table[s, node + 1, 2]
    return k1, k2, k3


@njit(cache=True, nogil=True)
@no_type_check
def _sums(h, seen, table, shape):
    """Sum of the weights along a line, and its mean, variance and third moment by chance."""
    theta, offset, half = h[0], h[1], 0.5 * np.exp(h[6])
    near, left, stars, amplitude, step = seen.near, seen.left, seen.stars, seen.amplitude, seen.step
    column, reach = int(h[8]) * seen.moduli + int(h[7]), (seen.pieces // 2) * step
    cosine, sine = np.cos(theta), np.sin(theta)
    found, mean, variance, third = 0.0, 0.0, 0.0, 0.0
    for n in range(len(near)):
        i = near[n]
        v1, v2 = stars[i, 4], stars[i, 5]
        d1, d2 = stars[i, 2] - h[2], stars[i, 3] - h[3]
        # Squared distance in proper motion, as a function of s: flat - 2 slope s + curve s^2.
        flat = d1 * d1 / v1 + d2 * d2 / v2
        slope = d1 * h[4] / v1 + d2 * h[5] / v2
        curve = h[4] * h[4] / v1 + h[5] * h[5] / v2
        room = 2.0 * (amplitude[i, column] + stars[i, 6] - _LOWEST)
        nearest = min(max(slope / curve, -reach), reach) if curve > 0.0 else 0.0
        if flat - 2.0 * slope * nearest + curve * nearest * nearest > room:
            continue
        k1, k2, k3 = _star_moments(table, flat, slope, curve, room, step)
        mean += k1
        variance += k2 - k1 * k1
        third += k3 - 3.0 * k1 * k2 + 2.0 * k1 * k1 * k1
        across = abs(stars[i, 0] * sine - stars[i, 1] * cosine - offset) / half
        if across >= BINS:
            continue
        along = stars[i, 0] * cosine + stars[i, 1] * sine
        height = room - flat + 2.0 * slope * along - curve * along * along
        if height > 0.0:
            found += left[i] * np.log1p(np.exp(0.5 * height + _LOWEST) * shape[int(across)])
    return found, mean, variance, third


@njit(cache=True, nogil=True)
@no_type_check
def evaluate(h: Float[np.ndarray, " 9"], seen: LineSurroundings) -> float:
    """Significance (three cumulants) of one hypothesis, given by its `PARAMETERS`."""
    sigma, cells = np.exp(h[6]), seen.cells
    shape = profile(sigma)
    share = line_shares(cells[:, 0], cells[:, 1], seen.cell_share, h[0], h[1], sigma, seen.step, seen.pieces)
    found, mean, variance, third = _sums(h, seen, _moment_table(share, shape), shape)
    if variance <= 0.0 or third <= 0.0 or found <= mean:
        return 0.0
    unit = third / variance
    if found < seen.least * unit:
        return 0.0
    expected = variance / (unit * unit)
    count = expected + (found - mean) / unit
    return np.sqrt(2.0 * (count * np.log(count / expected) - count + expected))


@njit(cache=True, nogil=True)
@no_type_check
def climb(
    h: Float[np.ndarray, " 9"],
    steps: Float[np.ndarray, " 9"],
    low: Float[np.ndarray, " 9"],
    high: Float[np.ndarray, " 9"],
    seen: LineSurroundings,
    halvings: int,
    evaluations: int,
) -> float:
    """Improve a hypothesis by steps in one parameter at a time; steps are halved where none improves.

    Args:
        h: the start; changed in place.
        steps: first step of each parameter; `low`, `high` bound it.
        seen: stars and cells.
        halvings, evaluations: when to stop.

    Returns:
        the significance reached.
    """
    best = evaluate(h, seen)
    size, trial = steps.copy(), h.copy()
    done, halved = 1, 0
    while halved <= halvings and done < evaluations:
        improved = False
        for k in range(PARAMETERS):
            for sign in (1.0, -1.0):
                trial[:] = h
                trial[k] += sign * size[k]
                if trial[k] < low[k] or trial[k] > high[k]:
                    continue
                value = evaluate(trial, seen)
                done += 1
                if value > best:
                    best, improved = value, True
                    h[:] = trial
                    break
        if not improved:
            halved += 1
            for k in range(PARAMETERS - 2):
                size[k] *= 0.5
    return best


@njit(cache=True, nogil=True)
@no_type_check
def near_stars(
    index: Int[np.ndarray, " n"],
    motion: Float[np.ndarray, "n 2"],
    variance: Float[np.ndarray, "n 2"],
    amplitude: Float[np.ndarray, " n"],
    low: Float[np.ndarray, " 2"],
    high: Float[np.ndarray, " 2"],
    floor: float,
) -> Int[np.ndarray, " k"]:
    """Those of the stars that reach an amplitude of `floor` at a proper motion between `low` and `high`."""
    kept = np.empty(len(index), dtype=np.int64)
    count = 0
    for i in range(len(index)):
        room = 2.0 * (amplitude[i] - floor)
        for k in range(2):
            outside = max(low[k] - motion[i, k], motion[i, k] - high[k], 0.0)
            room -= outside * outside / variance[i, k]
        if room > 0.0:
            kept[count] = index[i]
            count += 1
    return kept[:count]
