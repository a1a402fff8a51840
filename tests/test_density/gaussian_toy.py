"""A toy whose every density is known: a compact Gaussian on Gaussians that drift with m."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from density import Window

__all__ = ["WINDOW", "ExactBackground", "GaussianToy"]

WINDOW = Window(2.0, 4.0)


@dataclass(frozen=True)
class ExactBackground:
    """Unit Gaussians, the first one's mean at drift * m; keeps the protocol of a fitted density."""

    width: int
    drift: float = 0.2

    def _mean(self, m: np.ndarray) -> np.ndarray:
        return np.outer(self.drift * m, np.arange(self.width) == 0)

    def log_prob(self, x: np.ndarray, m: np.ndarray) -> np.ndarray:
        return norm.logpdf(x, self._mean(m)).sum(axis=1)

    def sample(self, m: np.ndarray, *, seed: int) -> np.ndarray:
        return self._mean(m) + np.random.default_rng(seed).standard_normal((len(m), self.width))

    def to_latent(self, x: np.ndarray, m: np.ndarray) -> np.ndarray:
        return x - self._mean(m)


@dataclass(frozen=True)
class GaussianToy:
    """Rows in [-4, 8), signal in the window only.

    Args:
        width: Features.
        signal: Rows of signal.
        background: Rows of background, a sixth of them in the window.
        drift: Shift of the first feature per unit of m.
        spread: Standard deviation of the signal in each feature.
    """

    width: int = 2
    signal: int = 300
    background: int = 18_000
    drift: float = 0.2
    spread: float = 0.2

    @property
    def centre(self) -> np.ndarray:
        return np.array([2.0, -1.5, 1.0, -1.0])[: self.width]

    @property
    def exact(self) -> ExactBackground:
        return ExactBackground(self.width, self.drift)

    @property
    def fraction(self) -> float:
        """Share of signal in the window."""
        return self.signal / (self.signal + self.background / 6)

    def draw(self, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """x, m and labels."""
        random = np.random.default_rng(seed)
        m = random.uniform(-4, 8, self.background)
        x = self.exact.sample(m, seed=seed + 10_000)
        bump = self.centre + self.spread * random.standard_normal((self.signal, self.width))
        both = np.concatenate([m, random.uniform(WINDOW.low, WINDOW.high, self.signal)])
        return np.concatenate([x, bump]), both, np.arange(len(both)) >= self.background

    def log_odds(self, x: np.ndarray, m: np.ndarray) -> np.ndarray:
        """ln p_signal / p_background in the window; m is flat in both."""
        return norm.logpdf(x, self.centre, self.spread).sum(axis=1) - self.exact.log_prob(x, m)

    def log_ratio(self, x: np.ndarray, m: np.ndarray) -> np.ndarray:
        """ln p_data / p_background in the window."""
        return np.logaddexp(np.log1p(-self.fraction), np.log(self.fraction) + self.log_odds(x, m))
