"""The toy of benchmarks/windows_together.py: two populations that drift with m, and three streams."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.special import logsumexp
from scipy.stats import norm

from density import Bounds, Interval, Unbounded, Window, child_seed, window_grid

__all__ = ["BOUNDS", "GRID", "SIGNALS", "Signal", "Toy"]

LOW, HIGH = -16.0, 16.0
GRID = window_grid(LOW, HIGH, 4.0, 2.0)
BOUNDS = Bounds(
    (Interval(-1.0, 1.0), Unbounded(), Unbounded(), Unbounded()),
    ("position", "motion", "colour", "magnitude"),
)

# Share, mean and width in m of a disc-like and a halo-like population.
SHARE, M_MEAN, M_WIDTH = np.array([0.7, 0.3]), np.array([1.0, -2.0]), np.array([3.5, 7.0])
# Mean of the last three features at m = 0, their drift with m, and their widths, for each population.
MEAN = np.array([[-2.0, 0.9, 17.5], [1.0, 0.65, 18.5]])
DRIFT = np.array([[0.25, 0.0, 0.03], [-0.15, 0.004, 0.0]])
WIDTH = np.array([[2.5, 0.22, 1.2], [4.5, 0.12, 1.0]])


@dataclass(frozen=True)
class Signal:
    """A narrow Gaussian in all features, in one window.

    Args:
        window: Where it is; its m is spread around the centre by an eighth of the width.
        centre: Mean of each feature.
        spread: Standard deviation of each feature.
    """

    window: Window
    centre: tuple[float, ...]
    spread: tuple[float, ...] = (0.15, 0.5, 0.05, 0.7)

    def log_prob(self, x: Float[np.ndarray, "n 4"]) -> Float[np.ndarray, " n"]:
        """ln p_signal(x)."""
        return norm.logpdf(x, self.centre, self.spread).sum(axis=1)

    def draw(self, count: int, seed: int) -> tuple[Float[np.ndarray, "n 4"], Float[np.ndarray, " n"]]:
        """Features and m of some of its stars."""
        random = np.random.default_rng(seed)
        x = random.normal(self.centre, self.spread, (count, 4))
        m = self.window.centre + self.window.width / 8 * random.standard_normal(count)
        return x, np.clip(m, self.window.low, np.nextafter(self.window.high, self.window.low))


SIGNALS = (
    Signal(Window(-2.0, 2.0), (0.2, 1.5, 0.6, 18.8)),
    Signal(Window(-8.0, -4.0), (-0.3, -4.0, 0.55, 18.5)),
    Signal(Window(8.0, 12.0), (0.1, 3.0, 0.65, 19.0)),
)
"""At the peak of m, on its shoulder and in its wing."""


@dataclass(frozen=True)
class Toy:
    """Background rows with m in [-16, 16), and the signals.

    Args:
        background: Rows of background.
        significance: Stars of a signal over the root of its window's background.
        seed: Root of the draws.
    """

    background: int
    significance: float
    seed: int

    def draw(self) -> tuple[Float[np.ndarray, "n 4"], Float[np.ndarray, " n"], dict[Window, float]]:
        """Features, m, and the share of signal in each window that has one."""
        x, m = self.background_rows(self.background, Window(LOW, HIGH), child_seed(self.seed, "background"))
        parts, shares = [(x, m)], {}
        for number, signal in enumerate(SIGNALS):
            inside = int(signal.window.contains(m).sum())
            count = round(self.significance * inside**0.5)
            shares[signal.window] = count / (count + inside)
            parts.append(signal.draw(count, child_seed(self.seed, "signal", number)))
        return *map(np.concatenate, zip(*parts, strict=True)), shares

    @staticmethod
    def background_rows(
        count: int, window: Window, seed: int
    ) -> tuple[Float[np.ndarray, "n 4"], Float[np.ndarray, " n"]]:
        """Background with m in a window."""
        random = np.random.default_rng(seed)
        edges = norm.cdf((np.array([window.low, window.high])[:, None] - M_MEAN) / M_WIDTH)
        mass = SHARE * (edges[1] - edges[0])
        kind = random.choice(2, count, p=mass / mass.sum())
        m = M_MEAN[kind] + M_WIDTH[kind] * norm.ppf(random.uniform(edges[0, kind], edges[1, kind]))
        m = np.clip(m, window.low, np.nextafter(window.high, window.low))
        rest = MEAN[kind] + DRIFT[kind] * m[:, None] + WIDTH[kind] * random.standard_normal((count, 3))
        return np.column_stack([random.uniform(-1, 1, count), rest]), m

    @staticmethod
    def log_background(x: Float[np.ndarray, "n 4"], m: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """ln p_background(x | m), exact; -inf beyond the edges of the position."""
        log_kind = np.log(SHARE) + norm.logpdf(m[:, None], M_MEAN, M_WIDTH)
        log_kind -= logsumexp(log_kind, axis=1, keepdims=True)
        means = MEAN + DRIFT * m[:, None, None]
        log_x = norm.logpdf(x[:, None, 1:], means, WIDTH).sum(axis=2)
        return np.where(np.abs(x[:, 0]) <= 1, logsumexp(log_kind + log_x, axis=1) - np.log(2), -np.inf)
