"""Where a signal may start: places where the rows are denser than the background."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.spatial import cKDTree
from scipy.special import expit, gammaln

from density.detectors.gaussian_signal import GaussianFit, grow_gaussian

__all__ = ["Neighbourhoods", "best_start"]

_ROWS = (10, 40)
"""Rows in the balls around each row."""

_FIRST_ROUNDS = 8
_ROUNDS = 60
_STEPS = 12


@dataclass(frozen=True, eq=False)
class Neighbourhoods:
    """Balls around each row, and the likelihood that one of them holds a signal, spread evenly in it.

    Built once; the likelihood can then be asked for any subset of the rows.

    Args:
        members: For each size of ball, the nearest rows of each row, itself first, shape (n, k).
        odds: ln of the signal's density over the background's at each of these rows, shape (n, k).
    """

    members: tuple[Int[np.ndarray, "n _"], ...]
    odds: tuple[Float[np.ndarray, "n _"], ...]

    @classmethod
    def of(cls, y: Float[np.ndarray, "n k"], log_background: Float[np.ndarray, " n"]) -> Neighbourhoods:
        """Balls in Euclidean distance.

        Args:
            y: Rows, in coordinates of comparable spread, shape (n, k).
            log_background: ln p_b(y) in the same coordinates, shape (n,).
        """
        rows = [min(size, len(y)) for size in _ROWS]
        distance, members = cKDTree(y).query(y, k=max(rows))
        k = y.shape[1]
        ball = 0.5 * k * np.log(np.pi) - gammaln(0.5 * k + 1)
        odds = []
        for size in rows:
            volume = ball + k * np.log(np.maximum(distance[:, size - 1], 1e-4))
            odds.append(-volume[:, None] - log_background[members[:, :size]])
        return cls(tuple(members[:, :size] for size in rows), tuple(odds))

    def limit(self) -> float:
        """Upper limit (95 %) on the share of the rows that a signal in one ball holds, wherever it is.

        The largest over the balls of the limit from each one's likelihood, in its Gaussian approximation. A
        signal that fills more than one ball can be larger.
        """
        among = np.ones(len(self.members[0]), dtype=bool)
        highest = 0.0
        for members, odds in zip(self.members, self.odds, strict=True):
            events, _, error = _in_balls(members, odds, among)
            highest = max(highest, float((events + 1.645 * error).max()))
        return highest / len(among)

    def peaks(self, among: Bool[np.ndarray, " n"], most: int) -> list[Float[np.ndarray, " n"]]:
        """Responsibilities of the rows around the most likely places of a signal, best first.

        A peak's centre lies in no better peak's ball.

        Args:
            among: Rows that are counted, and may be a centre, shape (n,).
            most: Most peaks.
        """
        fits = [
            _in_balls(members, odds, among) for members, odds in zip(self.members, self.odds, strict=True)
        ]
        scores = np.stack([np.where(among, gain, -np.inf) for _, gain, _ in fits])
        found: list[np.ndarray] = []
        while len(found) < most and scores.max() > 0:
            size, row = np.unravel_index(int(np.argmax(scores)), scores.shape)
            near, events = self.members[size][row], fits[size][0][row]
            peak = np.zeros(len(among))
            peak[near] = expit(self.odds[size][row] + np.log(events / among.sum())) * among[near]
            found.append(peak)
            scores[:, near] = -np.inf
        return found


def _in_balls(
    members: np.ndarray, odds: np.ndarray, among: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Events of the signal in each ball, ln of the likelihood over that without it, and the events' error."""
    ratio = np.exp(np.minimum(odds, 700.0)) * among[members] / among.sum()
    events = 0.5 * among[members].sum(axis=1)
    for _ in range(_STEPS):
        part = events[:, None] * ratio
        events = (part / (1 + part)).sum(axis=1)
    part = events[:, None] * ratio
    curvature = ((ratio / (1 + part)) ** 2).sum(axis=1)
    gain = np.log1p(part).sum(axis=1) - events
    return events, gain, 1 / np.sqrt(np.maximum(curvature, 1e-300))


def best_start(
    y: Float[np.ndarray, "n k"],
    log_background: Float[np.ndarray, " n"],
    starts: Sequence[Float[np.ndarray, " n"]],
) -> GaussianFit | None:
    """The start that grows into the Gaussian of highest likelihood; None: none grows.

    All grow for a few rounds, then those that are not far behind to the end.

    Args:
        y: Mapped coordinates, shape (n, k).
        log_background: ln p_b(y) in the same coordinates, shape (n,).
        starts: First responsibilities, each of shape (n,).
    """
    grown = [grow_gaussian(y, log_background, start, rounds=_FIRST_ROUNDS) for start in starts]
    grown = sorted((fit for fit in grown if fit is not None), key=lambda fit: -fit.gain)
    distinct: list[GaussianFit] = []
    for fit in grown:
        if fit.gain > 0.3 * grown[0].gain and all(_overlap(fit, other) < 0.5 for other in distinct):
            distinct.append(fit)
    finished = [grow_gaussian(y, log_background, fit.responsibility, rounds=_ROUNDS) for fit in distinct]
    return max((fit for fit in finished if fit is not None), key=lambda fit: fit.gain, default=None)


def _overlap(one: GaussianFit, other: GaussianFit) -> float:
    """Share of the smaller one's events that both claim."""
    both = np.minimum(one.responsibility, other.responsibility).sum()
    return float(both / min(one.responsibility.sum(), other.responsibility.sum()))
