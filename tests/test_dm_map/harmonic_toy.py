"""Tracers in a harmonic potential: Gaussian in everything, so that every fault can be made exactly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dm_map.stars import StarSample
from dm_map.volume import Ball

__all__ = ["BALL", "HarmonicStars"]

BALL = Ball((-1.5, 0.0, 0.0), 1.5)


@dataclass(frozen=True)
class HarmonicStars:
    """Isothermal populations in Phi = sum omega_i^2 x_i^2 / 2, seen in a ball beside the centre.

    Stationary in the frame that rotates with `pattern` unless kicked; faults: a motion of all stars, a
    displacement of all, a selection exp(g . x), scores that are constant in cells (as a ReLU network's),
    scores that are off by a factor.
    """

    omega: tuple[float, float, float] = (1.0, 1.0, 1.5)
    sigmas: tuple[float, ...] = (0.6, 1.3)
    shares: tuple[float, ...] = (0.6, 0.4)
    pattern: float = 0.0
    motion: tuple[float, float, float] = (0.0, 0.0, 0.0)
    displacement: tuple[float, float, float] = (0.0, 0.0, 0.0)
    selection: tuple[float, float, float] = (0.0, 0.0, 0.0)
    cell: float = 0.0
    factor: float = 1.0
    volume: Ball = BALL

    def acceleration(self, x: np.ndarray) -> np.ndarray:
        return -np.square(self.omega) * x

    def _stiffness(self) -> np.ndarray:
        return np.square(self.omega) - self.pattern**2 * np.array([1.0, 1.0, 0.0])

    def _streaming(self, x: np.ndarray) -> np.ndarray:
        return self.pattern * np.stack([-x[..., 1], x[..., 0], 0 * x[..., 0]], axis=-1)

    def _log_parts(self, x: np.ndarray) -> np.ndarray:
        x = x - np.array(self.displacement)
        s2 = np.square(self.sigmas)
        logs = (
            np.log(self.shares)
            - 3 * np.log(self.sigmas)
            - 0.5 * np.sum(x**2 * self._stiffness(), -1)[..., None] / s2
        )
        return logs

    def scores(self, x: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if self.cell:
            x = (np.floor(x / self.cell) + 0.5) * self.cell
        w = v - np.array(self.motion) - self._streaming(x)
        s2 = np.square(self.sigmas)
        logs = self._log_parts(x) - 3 * np.log(self.sigmas) - 0.5 * np.sum(w**2, -1)[..., None] / s2
        share = np.exp(logs - logs.max(-1, keepdims=True))
        inverse = np.sum(share / s2, -1) / share.sum(-1)
        turned = self.pattern * np.stack([-w[..., 1], w[..., 0], 0 * w[..., 0]], axis=-1)
        s_x = -inverse[..., None] * ((x - np.array(self.displacement)) * self._stiffness() + turned)
        return self.factor * (s_x + np.array(self.selection)), -self.factor * inverse[..., None] * w

    def _velocities(self, x: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
        logs = self._log_parts(x)
        share = np.exp(logs - logs.max(-1, keepdims=True))
        share /= share.sum(-1, keepdims=True)
        kind = (rng.random((len(x), k, 1)) > np.cumsum(share, -1)[:, None, :-1]).sum(-1)
        sigma = np.array(self.sigmas)[kind]
        return (self._streaming(x) + np.array(self.motion))[:, None] + sigma[..., None] * rng.standard_normal(
            (len(x), k, 3)
        )

    def sample_velocities(self, x: np.ndarray, k: int, seed: int) -> np.ndarray:
        return self._velocities(x, k, np.random.default_rng(seed))

    def sample(self, n: int, seed: int) -> StarSample:
        rng = np.random.default_rng(seed)
        g, centre, found = np.array(self.selection), np.array(self.volume.centre), []
        while sum(map(len, found)) < n:
            kind = rng.choice(len(self.sigmas), 4 * n, p=self.shares)
            # Each population has the share given by its density at the origin, as in the scores.
            x = np.array(self.displacement) + np.array(self.sigmas)[kind][:, None] * rng.standard_normal(
                (4 * n, 3)
            ) / np.sqrt(self._stiffness())
            x = x[self.volume.contains(x)]
            chance = np.exp((x - centre) @ g - np.linalg.norm(g) * self.volume.radius)
            found.append(x[rng.random(len(x)) < chance])
        x = np.concatenate(found)[:n]
        return StarSample(x, self._velocities(x, 1, rng)[:, 0], self.volume)
