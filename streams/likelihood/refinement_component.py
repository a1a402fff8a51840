"""One stream as a density over sky, motion, colour and magnitude, with its scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.special import expit, log_expit

from streams.likelihood.refinement_sky import RefinementSky
from streams.ridges import Ridge

__all__ = ["NAMES", "StreamDensity", "index"]

NAMES = (
    "c0", "c1", "c2", "log_width", "start", "end",
    "pm1_0", "pm1_1", "pm1_2", "pm2_0", "pm2_1", "pm2_2", "log_spread1", "log_spread2",
    "modulus", "modulus_slope", "log_stars",
)  # fmt: skip
"""Parameters of a stream, in the order of every array of them."""

_TRACK, _MOTION = slice(0, 3), (slice(6, 9), slice(9, 12))
_NOTHING = -1e4
"""Log density where a stream has no star: finite, so that sums of it are."""
_HOPELESS = -60.0
"""Log density of place and motion over the background's: below, no colour makes a member of a star."""
_MODULUS_STEP = 0.05
"""Of the derivative by the modulus, mag: the spacing of a ridge's nodes, over which its kinks average out."""


def index(name: str) -> int:
    """Place of a parameter in the arrays."""
    return NAMES.index(name)


@dataclass(frozen=True, eq=False)
class StreamDensity:
    """p(position, proper motion, colour, G | stream) in the frame of one line.

    On the sky: a Gaussian of sigma w across the track t = c0 + c1 s + c2 s^2, uniform along it between soft
    ends (or from edge to edge), normalised over the cells of the footprint, so that edges and holes are
    part of the model. In proper motion: Gaussian about a0 + a1 s + a2 s^2 with each star's own errors (and
    their correlation) and an intrinsic spread per component. In colour and G: a ridge at the distance
    modulus m0 + m1 s. A star without photometry is neutral there.

    Args:
        theta: angle of the line, radians.
        ridge: colour-magnitude ridge, or None.
        softness: of the ends, deg.
    """

    theta: float
    ridge: Ridge | None
    softness: float

    def evaluate(
        self, p: Float[np.ndarray, " k"], sky: RefinementSky
    ) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, "n k"]]:
        """Log density of every star, and its derivatives by the parameters (`log_stars` is left 0).

        Args:
            p: parameters in the order of `NAMES`.
            sky: stars near the stream and the footprint's cells.
        """
        scores = np.zeros((len(sky.x), len(NAMES)))
        s, t = self.frame(sky.x, sky.y)
        log_sky, scores[:, :6] = self._sky(p, s, t)
        log_mass, mass_scores = self._mass(p, sky)
        scores[:, :6] -= mass_scores
        log_motion, scores[:, 6:14] = _motion(p, s, sky)
        log_density = log_sky - log_mass + log_motion
        log_light, by_modulus = self.light(p, s, sky, log_density - sky.log_background > _HOPELESS)
        scores[:, index("modulus")] = by_modulus
        scores[:, index("modulus_slope")] = by_modulus * s
        return np.maximum(log_density + log_light, _NOTHING), scores

    def frame(
        self, x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"]
    ) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
        """(s, t) along and across the line, deg."""
        cosine, sine = np.cos(self.theta), np.sin(self.theta)
        return x * cosine + y * sine, x * sine - y * cosine

    def log_profile(self, p: Float[np.ndarray, " k"], s: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """Log of the density along the track, 1 between the ends."""
        return log_expit((s - p[4]) / self.softness) + log_expit((p[5] - s) / self.softness)

    def _sky(self, p: np.ndarray, s: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        width, powers = np.exp(p[3]), _powers(s)
        z = (t - powers @ p[_TRACK]) / width
        scores = np.empty((len(s), 6))
        scores[:, :3] = (z / width)[:, None] * powers
        scores[:, 3] = z * z - 1.0
        scores[:, 4] = -expit((p[4] - s) / self.softness) / self.softness
        scores[:, 5] = expit((s - p[5]) / self.softness) / self.softness
        return -0.5 * z * z - np.log(np.sqrt(2 * np.pi) * width) + self.log_profile(p, s), scores

    def _mass(self, p: np.ndarray, sky: RefinementSky) -> tuple[float, np.ndarray]:
        """Log of the sky term's integral over the footprint, and its derivatives."""
        s, t = self.frame(sky.cell_x, sky.cell_y)
        near = np.abs(t - _powers(s) @ p[_TRACK]) < 6.0 * np.exp(p[3])
        if not near.any():
            return 0.0, np.zeros(6)
        log_density, scores = self._sky(p, s[near], t[near])
        mass = sky.cell_area[near] * np.exp(log_density)
        total = mass.sum()
        return float(np.log(total + 1e-300)), mass @ scores / (total + 1e-300)

    def light(
        self,
        p: Float[np.ndarray, " k"],
        s: Float[np.ndarray, " n"],
        sky: RefinementSky,
        among: Bool[np.ndarray, " n"] | None = None,
    ) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
        """Log density in colour and G at the distance of each s, and its derivative by the modulus.

        Both are 0 for stars without photometry and for those that are not `among` the stars asked for.
        """
        value, slope = np.zeros(len(s)), np.zeros(len(s))
        if self.ridge is None:
            return value, slope
        m = sky.measured if among is None else sky.measured & among
        colour, magnitude, error = sky.colour[m], sky.magnitude[m], sky.colour_error[m]
        modulus, gradient = p[index("modulus")], p[index("modulus_slope")]
        if gradient != 0.0:  # with one distance for all, the stars that the limits leave are counted once
            modulus = modulus + gradient * s[m]
        low, here, high = (
            self.ridge.log_density(colour, magnitude, modulus + step, error, sky.limits)
            for step in (-_MODULUS_STEP, 0.0, _MODULUS_STEP)
        )
        usable = np.isfinite(low) & np.isfinite(high)
        value[m] = np.maximum(here, _NOTHING)
        low, high = (np.where(usable, side, 0.0) for side in (low, high))
        slope[m] = (high - low) / (2 * _MODULUS_STEP)
        return value, slope

    def log_motion(
        self, p: Float[np.ndarray, " k"], s: Float[np.ndarray, " n"], sky: RefinementSky
    ) -> Float[np.ndarray, " n"]:
        """Log density in proper motion at each s."""
        return _motion(p, s, sky)[0]

    def near(
        self, p: Float[np.ndarray, " k"], sky: RefinementSky, reach: float, motion: float, across: float
    ) -> Bool[np.ndarray, " n"]:
        """Stars within `reach` sigma and a margin (mas/yr; deg) of the stream."""
        s, t = self.frame(sky.x, sky.y)
        powers = _powers(s)
        close = np.abs(t - powers @ p[_TRACK]) < reach * np.exp(p[3]) + across
        for k in (0, 1):
            sigma = np.hypot(sky.error[:, k], np.exp(p[12 + k]))
            close &= np.abs(sky.motion[:, k] - powers @ p[_MOTION[k]]) < reach * sigma + motion
        return close


def _powers(s: np.ndarray) -> np.ndarray:
    return np.column_stack([np.ones_like(s), s, s * s])


def _motion(p: np.ndarray, s: np.ndarray, sky: RefinementSky) -> tuple[np.ndarray, np.ndarray]:
    """Bivariate Gaussian log density of the proper motions, and its eight derivatives."""
    powers = _powers(s)
    r1, r2 = (sky.motion[:, k] - powers @ p[_MOTION[k]] for k in (0, 1))
    spread1, spread2 = np.exp(2 * p[12]), np.exp(2 * p[13])
    v1, v2 = sky.error[:, 0] ** 2 + spread1, sky.error[:, 1] ** 2 + spread2
    c = sky.correlation * sky.error[:, 0] * sky.error[:, 1]
    determinant = v1 * v2 - c * c
    u1, u2 = (v2 * r1 - c * r2) / determinant, (v1 * r2 - c * r1) / determinant
    scores = np.empty((len(s), 8))
    scores[:, :3], scores[:, 3:6] = u1[:, None] * powers, u2[:, None] * powers
    scores[:, 6] = spread1 * (u1 * u1 - v2 / determinant)
    scores[:, 7] = spread2 * (u2 * u2 - v1 / determinant)
    return -0.5 * (r1 * u1 + r2 * u2 + np.log(determinant)) - np.log(2 * np.pi), scores
