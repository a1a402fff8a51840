"""The compiled loops of the likelihood search (numba; importing this module takes a second)."""

from __future__ import annotations

from typing import no_type_check

import numpy as np
from jaxtyping import Bool, Float, Int
from numba import njit

__all__ = ["count_entries", "fill_entries", "fill_histogram", "stack_gradients"]

# The loops are compiled: `no_type_check` keeps run-time type checkers from wrapping them.


@njit(cache=True, nogil=True)
@no_type_check
def _cells_within(centre, square, low, step, side):
    """Numbers of the first grid point within sqrt(square) of a value, and of the one after the last."""
    reach = np.sqrt(square)
    first = max(int(np.ceil((centre - reach - low) / step)), 0)
    last = min(int(np.floor((centre + reach - low) / step)), side - 1)
    return first, last + 1


@njit(cache=True, nogil=True)
@no_type_check
def count_entries(
    motion: Float[np.ndarray, "n 2"],
    variance: Float[np.ndarray, "n 2"],
    amplitude: Float[np.ndarray, " n"],
    low: float,
    step: float,
    side: int,
    least: float,
    counts: Int[np.ndarray, " cells"],
) -> None:
    """Count, for each proper-motion cell, the stars whose weight reaches `least` there."""
    floor = np.log(np.expm1(least))
    for i in range(len(amplitude)):
        room = 2.0 * (amplitude[i] - floor)
        if room <= 0.0:
            continue
        first, last = _cells_within(motion[i, 0], room * variance[i, 0], low, step, side)
        for j in range(first, last):
            left = room - (motion[i, 0] - low - j * step) ** 2 / variance[i, 0]
            if left <= 0.0:
                continue
            begin, end = _cells_within(motion[i, 1], left * variance[i, 1], low, step, side)
            for k in range(begin, end):
                counts[j * side + k] += 1


@njit(cache=True, nogil=True)
@no_type_check
def fill_entries(
    motion: Float[np.ndarray, "n 2"],
    variance: Float[np.ndarray, "n 2"],
    amplitude: Float[np.ndarray, " n"],
    x: Float[np.ndarray, " n"],
    y: Float[np.ndarray, " n"],
    low: float,
    step: float,
    side: int,
    least: float,
    place: Int[np.ndarray, " cells"],
    star: Int[np.ndarray, " entries"],
    weight: Float[np.ndarray, " entries"],
    moments: Float[np.ndarray, "cells 3 3"],
) -> None:
    """Stars and weights of each cell, one cell after the other, and sums of weight^p (1, x, y), p = 1, 2, 3.

    `place` holds where each cell begins and is moved on to where it ends.
    """
    floor = np.log(np.expm1(least))
    for i in range(len(amplitude)):
        room = 2.0 * (amplitude[i] - floor)
        if room <= 0.0:
            continue
        first, last = _cells_within(motion[i, 0], room * variance[i, 0], low, step, side)
        for j in range(first, last):
            part = (motion[i, 0] - low - j * step) ** 2 / variance[i, 0]
            left = room - part
            if left <= 0.0:
                continue
            begin, end = _cells_within(motion[i, 1], left * variance[i, 1], low, step, side)
            for k in range(begin, end):
                square = part + (motion[i, 1] - low - k * step) ** 2 / variance[i, 1]
                value = np.log1p(np.exp(amplitude[i] - 0.5 * square))
                cell = j * side + k
                star[place[cell]] = i
                weight[place[cell]] = value
                place[cell] += 1
                power = value
                for p in range(3):
                    moments[cell, p, 0] += power
                    moments[cell, p, 1] += power * x[i]
                    moments[cell, p, 2] += power * y[i]
                    power *= value


@njit(cache=True, nogil=True)
@no_type_check
def fill_histogram(
    start: Int[np.ndarray, " edges"],
    star: Int[np.ndarray, " entries"],
    weight: Float[np.ndarray, " entries"],
    place: Int[np.ndarray, " n"],
    histogram: Float[np.ndarray, "cells places"],
) -> None:
    """Sums of weights per proper-motion cell and place (piece of the line, offset bin) for one angle."""
    histogram[:] = 0.0
    for cell in range(len(start) - 1):
        for entry in range(start[cell], start[cell + 1]):
            histogram[cell, place[star[entry]]] += weight[entry]


@njit(cache=True, nogil=True)
@no_type_check
def stack_gradients(
    histogram: Float[np.ndarray, "side side pieces offsets"],
    moments: Float[np.ndarray, "side side 3 3"],
    share: Float[np.ndarray, "3 pieces offsets"],
    strips: Float[np.ndarray, "widths offsets"],
    shifts: Int[np.ndarray, "pairs pieces 2"],
    bins: Int[np.ndarray, " widths"],
    allowed: Bool[np.ndarray, "side side"],
    least: float,
    floor: float,
    best: Float[np.ndarray, "side side"],
    code: Int[np.ndarray, "side side"],
) -> None:
    """For each proper motion of a line's middle the most significant strip of one angle, over gradients.

    The weights of a strip are added up along a sheared line in proper motion. Their first three cumulants
    under the null are sums of `moments` times `share` alike. The significance is the signed root of the
    likelihood ratio of the scaled Poisson law with these cumulants.

    Args:
        histogram: float32.
        moments: float32: sums of weight^p, and what its gradients in x and y add.
        share: float32: of the footprint, and its moments in x and y.
        strips: float32: share of each strip; 0 where it is none.
        shifts: cells by which each piece is shifted.
        bins: offset bins of each width, ascending.
        allowed: proper motions that are tried.
        least: effective stars that a line needs.
        floor: significance below which nothing is noted.
        best: float32, filled with the significance.
        code: filled with (pair * widths + width) * offsets + offset; -1 where none is.
    """
    offsets = histogram.shape[3]
    rows = np.zeros((4, offsets + bins.max()), dtype=np.float32)
    work = np.zeros((6, offsets), dtype=np.float32)
    for j in range(histogram.shape[0]):
        for k in range(histogram.shape[0]):
            best[j, k], code[j, k] = np.float32(floor), -1
            if not allowed[j, k]:
                continue
            for g in range(shifts.shape[0]):
                _sheared_rows(histogram, moments, share, shifts[g], j, k, rows)
                top, where = _best_strip(rows, work, strips, bins, least, best[j, k])
                if where >= 0:
                    best[j, k], code[j, k] = top, g * len(bins) * offsets + where


@njit(cache=True, nogil=True)
@no_type_check
def _sheared_rows(histogram, moments, share, shift, j, k, rows):
    """Sum of weights, and its first three cumulants, in each offset bin along a sheared line."""
    side, pieces, offsets = histogram.shape[0], histogram.shape[2], histogram.shape[3]
    rows[:] = 0.0
    for s in range(pieces):
        a, b = j + shift[s, 0], k + shift[s, 1]
        if a < 0 or a >= side or b < 0 or b >= side or moments[a, b, 0, 0] == 0.0:
            continue
        e0, e1, e2 = moments[a, b, 0, 0], moments[a, b, 0, 1], moments[a, b, 0, 2]
        v0, v1, v2 = moments[a, b, 1, 0], moments[a, b, 1, 1], moments[a, b, 1, 2]
        c0, c1, c2 = moments[a, b, 2, 0], moments[a, b, 2, 1], moments[a, b, 2, 2]
        for o in range(offsets):
            rows[0, o] += histogram[a, b, s, o]
            p, q, r = share[0, s, o], share[1, s, o], share[2, s, o]
            rows[1, o] += e0 * p + e1 * q + e2 * r
            rows[2, o] += v0 * p + v1 * q + v2 * r
            rows[3, o] += c0 * p + c1 * q + c2 * r


@njit(cache=True, nogil=True)
@no_type_check
def _best_strip(rows, work, strips, bins, least, top):
    """The most significant strip above `top`, and width * offsets + offset; `top` and -1 where none is."""
    box, spread, margin, where = work[:4], work[4], work[5], -1
    box[:] = 0.0
    offsets, added = work.shape[1], 0
    ninth = np.float32(1.0 / 9.0)
    for w in range(len(bins)):
        # Each width goes on from the last: a box sum grows bin by bin.
        while added < bins[w]:
            for c in range(4):
                # Slices: with an index that might be negative the loop is not vectorised.
                one, source = box[c], rows[c, added : added + offsets]
                for o in range(offsets):
                    one[o] += source[o]
            added += 1
        square, strip = top * top, strips[w]
        found, mean_sum, variance, third = box[0], box[1], box[2], box[3]
        for o in range(offsets):
            excess = max(found[o] - mean_sum[o], np.float32(0.0))
            part = variance[o] * (np.float32(1.0) - strip[o])
            spread[o] = part
            # More than (1 + x) ln(1 + x) - x, times two, is x^2 / (1 + x / 9), for x < 300.
            margin[o] = excess * excess * part - square * (part * part + excess * third[o] * ninth)
        if not (margin > 0.0).any():
            continue
        for o in range(offsets - bins[w] + 1):
            excess = found[o] - mean_sum[o]
            if strip[o] == 0.0 or excess <= 0.0 or spread[o] <= 0.0 or margin[o] <= 0.0:
                continue
            unit = third[o] / spread[o]
            if unit <= 0.0 or found[o] < least * unit:
                continue
            mean = spread[o] / (unit * unit)
            count = mean + excess / unit
            value = np.sqrt(2.0 * (count * np.log(count / mean) - count + mean))
            if value > top:
                top, where = np.float32(value), w * offsets + o
    return top, where
