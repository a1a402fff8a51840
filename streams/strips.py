"""Strips of a Hough accumulator: what they expect, what they hold, and how significant that is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, UInt

__all__ = ["LEAST_SIGMA", "ExpectedStrips", "line_significance", "strip_counts"]

LEAST_SIGMA = 3.0
"""A strip with less excess than this is no line: chance alone gives each region dozens of such strips."""


@dataclass(frozen=True)
class ExpectedStrips:
    """What one region expects in every strip.

    Args:
        shares: share of the stars in the strip that begins at each offset bin, for each width; 0 where a
            strip is a corner of the footprint or ends outside the accumulator.
    """

    shares: Float[np.ndarray, "widths angles offsets"]

    def bounds(
        self, ranks: list[int]
    ) -> list[Int[np.ndarray, "widths bins"] | UInt[np.ndarray, "widths bins"]]:
        """For each rank the counts that a strip must exceed to be looked at: `LEAST_SIGMA` standard
        deviations above what it expects, rounded down; more than all stars where there is no strip."""
        flat = self.shares.reshape(len(self.shares), -1)
        share = np.where(flat > 0, flat, np.float32(1))
        root = np.sqrt(share)
        factors = [(np.float32(rank), np.float32(LEAST_SIGMA * np.sqrt(rank))) for rank in ranks]
        return [
            (factor * share + spread * root).astype(np.min_scalar_type(int(factor + spread) + 1))
            for factor, spread in factors
        ]


def line_significance(
    count: Float[np.ndarray, " n"], stars: int | Int[np.ndarray, " n"], share: Float[np.ndarray, " n"]
) -> Float[np.ndarray, " n"]:
    """Signed root of the binomial likelihood ratio (Wilks' theorem): sigma of `count` of `stars` in a
    strip that expects the share `share` of them. Exact zero where count = stars * share."""
    fraction = np.clip(count / stars, 1e-12, 1 - 1e-12)
    divergence = fraction * np.log(fraction / share) + (1 - fraction) * np.log((1 - fraction) / (1 - share))
    return np.sign(fraction - share) * np.sqrt(2 * stars * np.maximum(divergence, 0.0))


def strip_counts(accumulator: np.ndarray, widths: tuple[int, ...]) -> np.ndarray:
    """For each width the sum over as many bins, from each bin on: (widths, skies, bins).

    Sums are put together from sums over 1, 2, 4, 8 ... bins: a handful of additions serves all widths,
    and small integers are added dozens at a time. At the end of a row a sum runs on into the next one.
    """
    powers = [accumulator.ravel()]
    while 2 ** len(powers) <= max(widths):
        powers.append(_joined(powers[-1], powers[-1], 2 ** (len(powers) - 1)))
    sums = np.stack([_sum_of_powers(powers, width) for width in widths])
    return sums.reshape(len(widths), *accumulator.shape)


def _sum_of_powers(powers: list[np.ndarray], width: int) -> np.ndarray:
    total, reach = np.zeros_like(powers[0]), 0
    for exponent, sums in enumerate(powers):
        if width >> exponent & 1:
            total = _joined(total, sums, reach) if reach else sums
            reach += 2**exponent
    return total


def _joined(first: np.ndarray, then: np.ndarray, step: int) -> np.ndarray:
    """Sums that begin at each bin, followed by the sums that begin `step` bins later."""
    total = first.copy()
    total[:-step] += then[step:]
    return total
