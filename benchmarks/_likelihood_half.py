"""Numbers of stars at which half of the streams are found, with errors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from _likelihood_parts import Row
from jaxtyping import Bool, Float
from reporting import Cell
from scipy.optimize import isotonic_regression

__all__ = ["HalfPoints", "half_point", "half_point_error"]


def half_point(stars: Float[np.ndarray, " n"], detected: Bool[np.ndarray, " n"]) -> float:
    """Number of stars at which half of the streams are detected.

    The detected fraction is made monotone (isotonic regression, every trial with equal weight) and
    interpolated in ln N.

    Args:
        stars: of each trial.
        detected: whether it was.

    Returns:
        infinity where the richest streams do not reach a half; the smallest number tried where those reach
        it already (an upper limit); NaN without trials.
    """
    number, which = np.unique(stars, return_inverse=True)
    if not len(number):
        return float("nan")
    trials = np.bincount(which)
    fraction = isotonic_regression(np.bincount(which, detected) / trials, weights=trials).x
    above = int(np.searchsorted(fraction, 0.5))
    if above == len(number):
        return float("inf")
    if above == 0:
        return float(number[0])
    share = (0.5 - fraction[above - 1]) / (fraction[above] - fraction[above - 1])
    return float(number[above - 1] * (number[above] / number[above - 1]) ** share)


def half_point_error(
    seeds: Sequence[int],
    of: Callable[[list[int]], float],
    *,
    seed: int,
    skies: int = 200,
) -> float:
    """Half of the 16 to 84 % range of a figure over seeds drawn with replacement; NaN of a single seed.

    Args:
        seeds: those of the trials.
        of: the figure from a list of seeds, in which one may come several times.
        seed: of the bootstrap.
        skies: how many lists are drawn.
    """
    if len(seeds) < 2:
        return float("nan")
    rng = np.random.default_rng([seed, 19])
    drawn = np.array([of([int(s) for s in rng.choice(seeds, len(seeds))]) for _ in range(skies)])
    low, high = np.percentile(np.where(np.isfinite(drawn), drawn, np.inf), [16, 84], method="nearest")
    return float((high - low) / 2) if np.isfinite(high) else float("inf")


class HalfPoints:
    """Numbers of stars at which half of the streams are found, for any list of seeds.

    Args:
        rows: of the likelihood search.
    """

    def __init__(self, rows: Sequence[Row]) -> None:
        self.trials: dict[tuple[Cell, ...], list[Row]] = {}
        for row in rows:
            self.trials.setdefault((row["seed"], row["place"], row["ridge"]), []).append(row)
        self.places = list(dict.fromkeys(str(row["place"]) for row in rows))
        self.fewest = min((float(row["stars"]) for row in rows), default=0.0)
        self.seeds = sorted({int(row["seed"]) for row in rows})

    def half(self, place: str, ridge: str, seeds: Sequence[int]) -> float:
        """Of one place and ridge."""
        trials = [row for one in seeds for row in self.trials.get((one, place, ridge), [])]
        return half_point(
            np.array([float(row["stars"]) for row in trials]),
            np.array([bool(row["detected"]) for row in trials]),
        )

    def ratio(self, place: str, seeds: Sequence[int]) -> float:
        """Of the wrong ridge's to the true one's; NaN where one of them has none, or only a bound."""
        wrong, true = (self.half(place, name, seeds) for name in ("wrong", "true"))
        return wrong / true if np.isfinite(wrong) and self.fewest < true < np.inf else float("nan")

    def figures(self, names: Sequence[str], seed: int) -> dict[str, Cell]:
        """All of them with errors."""
        figures: dict[str, Cell] = {}

        def add(key: str, of: Callable[[Sequence[int]], float]) -> None:
            figures[key.format("")] = _finite(of(self.seeds))
            told = of(self.seeds) != self.fewest
            error = half_point_error(self.seeds, of, seed=seed) if told else np.nan
            figures[key.format(" error")] = _finite(error)

        for place in self.places:
            for name in names:
                add(f"half{{}}: {place}, {name}", partial(self.half, place, name))
            if {"true", "wrong"} <= set(names):
                add(f"ratio{{}}: {place}", partial(self.ratio, place))
        return figures


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
