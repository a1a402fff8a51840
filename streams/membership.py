"""Membership: a parametric stream against a background measured beside it, by expectation-maximisation."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from streams.kernel import KernelDensity
from streams.plane import TangentPlane
from streams.stars import StreamStars

__all__ = ["Membership", "MembershipRecipe", "StreamModel", "fit_membership"]

FLOOR = 1e-300
LEAST_STARS = 5
"""A box with fewer stars is not fitted: a track and a background have more parameters than that."""


@dataclass(frozen=True)
class StreamModel:
    """A short stream in a patch: a line with a width, and a place in proper motion.

    Coordinates: s along and t across the line through the tangent plane, deg
    (s = x cos(theta) + y sin(theta), t = x sin(theta) - y cos(theta)).

    Args:
        theta: angle of the line, radians.
        track: (c0, c1, c2) of t = c0 + c1 s + c2 s^2, deg.
        width: Gaussian sigma across the track, deg.
        proper_motion: ((a, b), (a, b)): pm = a + b s for each component, mas/yr and mas/yr/deg.
        spread: intrinsic sigma of each proper-motion component, mas/yr.
        fraction: share of the stars in the fit's box that belong to the stream.
    """

    theta: float
    track: tuple[float, float, float]
    width: float
    proper_motion: tuple[tuple[float, float], tuple[float, float]]
    spread: float
    fraction: float

    def along(self, x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """s, deg, of points in the tangent plane."""
        return x * np.cos(self.theta) + y * np.sin(self.theta)

    def across(self, x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """Signed distance from the track, deg."""
        return (
            x * np.sin(self.theta) - y * np.cos(self.theta) - np.polyval(self.track[::-1], self.along(x, y))
        )

    def points(self, s: Float[np.ndarray, " k"]) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, " k"]]:
        """Plane coordinates (x, y, deg) of the track at s."""
        t = np.polyval(self.track[::-1], s)
        cosine, sine = np.cos(self.theta), np.sin(self.theta)
        return s * cosine + t * sine, s * sine - t * cosine

    def mean_proper_motion(self, s: Float[np.ndarray, " n"]) -> Float[np.ndarray, "n 2"]:
        """Proper motion of the track at s, mas/yr."""
        return np.column_stack([a + b * s for a, b in self.proper_motion])


@dataclass(frozen=True)
class Membership:
    """Result of the fit.

    Args:
        model: the stream.
        rows: row numbers (in the patch) of the stars in the fit's box.
        probability: their membership probabilities.
        half_box: half-width of the box in proper motion, mas/yr.
    """

    model: StreamModel
    rows: Int[np.ndarray, " n"]
    probability: Float[np.ndarray, " n"]
    half_box: float

    @property
    def stars(self) -> float:
        """Expected number of stream stars."""
        return float(self.probability.sum())

    def members(self, threshold: float = 0.5) -> Int[np.ndarray, " m"]:
        """Rows of the stars with a probability above `threshold`."""
        return self.rows[self.probability > threshold]


@dataclass(frozen=True)
class MembershipRecipe:
    """Settings of the fit.

    Args:
        half_box: half-width of the box in proper motion around the line's stars, mas/yr.
        clear: stars further than this many widths from the track measure the background.
        iterations: of expectation-maximisation, in each of `rounds` boxes, each centred anew.
        min_width, max_width: bounds of the Gaussian width, deg.
        min_spread: floor of the intrinsic proper-motion spread, mas/yr.
    """

    half_box: float = 3.0
    clear: float = 3.0
    iterations: int = 40
    rounds: int = 2
    min_width: float = 0.05
    max_width: float = 1.0
    min_spread: float = 0.1


def fit_membership(
    stars: StreamStars,
    plane: TangentPlane,
    start: StreamModel,
    recipe: MembershipRecipe,
    use: Bool[np.ndarray, " n"] | None = None,
) -> Membership:
    """Fit a stream near a line that the line finder found, and weigh every star around it.

    Two-component mixture. Stream: Gaussian across a quadratic track, Gaussian about a proper motion with
    a gradient, each star with its own errors; colours and magnitudes by a leave-one-out kernel density of
    the members. Background: uniform on the sky, its proper motions and photometry by a kernel density of
    the stars *beside* the line, which are background by construction: nothing is assumed about it.
    The idea of resonant anomaly detection used once more, with the distance from the line as the feature.

    Args:
        stars: all stars of the patch.
        plane: the tangent plane of its footprint.
        start: line and proper motion to start from.
        use: stars that may belong to it (others were given to a stronger candidate); default all.
    """
    use = np.ones(len(stars), dtype=bool) if use is None else use
    x, y = plane.project(*stars.position.T)
    model, rows, probability = start, np.empty(0, dtype=np.int64), np.empty(0)
    for _ in range(recipe.rounds):
        inside = _rows_in_box(stars, use, model, recipe)
        if len(inside) < LEAST_STARS:
            # A fit that has wandered off to where no stars are says no more than the one before.
            break
        rows = inside
        problem = _Problem.build(stars, x, y, rows, model, recipe)
        model, probability = problem.solve(model, recipe)
    return Membership(model, rows, probability, recipe.half_box)


def _rows_in_box(
    stars: StreamStars, use: np.ndarray, model: StreamModel, recipe: MembershipRecipe
) -> np.ndarray:
    centre = np.array([a for a, _ in model.proper_motion])
    return np.nonzero(use & (np.abs(stars.proper_motion - centre) < recipe.half_box).all(axis=1))[0]


@dataclass(frozen=True)
class _Problem:
    """The stars in the box with everything that stays fixed while the mixture is fitted."""

    x: np.ndarray
    y: np.ndarray
    motion: np.ndarray
    error: np.ndarray
    photometry: KernelDensity
    measured: np.ndarray
    log_background: np.ndarray
    log_background_photometry: np.ndarray

    @classmethod
    def build(
        cls,
        stars: StreamStars,
        x: np.ndarray,
        y: np.ndarray,
        rows: np.ndarray,
        model: StreamModel,
        recipe: MembershipRecipe,
    ) -> _Problem:
        x, y = x[rows], y[rows]
        beside = _beside(model.across(x, y), recipe.clear * model.width)
        motion = KernelDensity.of(stars.proper_motion[rows])
        measured = np.isfinite(stars.photometry[rows]).all(axis=1)
        photometry = KernelDensity.of(stars.photometry[rows[measured]])
        weight = beside.astype(float)
        # Across the line the background is uniform: its density there is one over the width of the field.
        extent = float(np.ptp(model.across(x, y)))
        return cls(
            x, y, stars.proper_motion[rows], stars.proper_motion_error[rows], photometry, measured,
            motion.log_density(weight) - np.log(extent), photometry.log_density(weight[measured]),
        )  # fmt: skip

    def solve(self, model: StreamModel, recipe: MembershipRecipe) -> tuple[StreamModel, np.ndarray]:
        """Expectation-maximisation from `model`; returns the model and the membership probabilities."""
        log_photometry = np.zeros(len(self.x))
        for _ in range(recipe.iterations):
            probability = self._expect(model, log_photometry)
            model = self._maximise(model, probability, recipe)
            log_stream_photometry = self.photometry.log_density(probability[self.measured])
            # A star without photometry keeps the neutral 0: what was not measured says nothing.
            log_photometry[self.measured] = log_stream_photometry - self.log_background_photometry
        return model, self._expect(model, log_photometry)

    def _expect(self, model: StreamModel, log_photometry: np.ndarray) -> np.ndarray:
        s = model.along(self.x, self.y)
        variance = self.error**2 + model.spread**2
        residual = self.motion - model.mean_proper_motion(s)
        log_motion = -0.5 * (residual**2 / variance + np.log(2 * np.pi * variance)).sum(axis=1)
        across = model.across(self.x, self.y) / model.width
        log_line = -0.5 * across**2 - np.log(np.sqrt(2 * np.pi) * model.width)
        odds = log_motion + log_line + log_photometry - self.log_background
        odds += np.log(max(model.fraction, FLOOR)) - np.log1p(-min(model.fraction, 1 - 1e-9))
        return 1.0 / (1.0 + np.exp(-np.clip(odds, -50, 50)))

    def _maximise(self, model: StreamModel, weight: np.ndarray, recipe: MembershipRecipe) -> StreamModel:
        s = model.along(self.x, self.y)
        t = self.x * np.sin(model.theta) - self.y * np.cos(model.theta)
        track = _weighted_polynomial(s, t, weight, 2)
        residual = t - np.polyval(track[::-1], s)
        width = np.sqrt((weight * residual**2).sum() / max(weight.sum(), FLOOR))
        inverse = weight[:, None] / (self.error**2 + model.spread**2)
        motion = tuple(_weighted_polynomial(s, self.motion[:, k], inverse[:, k], 1) for k in (0, 1))
        moved = replace(
            model, track=track, width=float(np.clip(width, recipe.min_width, recipe.max_width)),
            proper_motion=motion, fraction=float(weight.mean()),
        )  # fmt: skip
        return replace(moved, spread=self._spread(moved, weight, recipe.min_spread))

    def _spread(self, model: StreamModel, weight: np.ndarray, floor: float) -> float:
        """One fixed-point step for the intrinsic spread, each star weighted by what it tells about it."""
        residual = self.motion - model.mean_proper_motion(model.along(self.x, self.y))
        information = weight[:, None] / (self.error**2 + model.spread**2) ** 2
        variance = (information * (residual**2 - self.error**2)).sum() / max(information.sum(), FLOOR)
        return float(np.sqrt(max(variance, floor**2)))


def _beside(across: np.ndarray, clear: float) -> Bool[np.ndarray, " n"]:
    """Stars beside the line; where the line fills the field, the outer half of the stars."""
    far = np.abs(across)
    return far > min(clear, float(np.median(far)))


def _weighted_polynomial(
    s: np.ndarray, value: np.ndarray, weight: np.ndarray, degree: int
) -> tuple[float, ...]:
    """Coefficients, constant first, of a weighted least-squares polynomial (a whisper of ridge on the
    slopes keeps it defined when few stars remain)."""
    design = np.vander(s, degree + 1, increasing=True)
    normal = (design * weight[:, None]).T @ design
    ridge = 1e-6 * max(weight.sum(), FLOOR) * np.diag([0.0] + [1.0] * degree)
    right = design.T @ (weight * value)
    return tuple(float(c) for c in np.linalg.solve(normal + ridge + FLOOR * np.eye(degree + 1), right))
