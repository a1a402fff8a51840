"""Membership of a cluster: a Plummer profile against the stars around it, by expectation-maximisation."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from streams.cells import FootprintCells
from streams.compact.profile import ClusterModel
from streams.compact.surroundings import log_sky_density, stars_beyond
from streams.kernel import KernelDensity
from streams.stars import StreamStars

__all__ = ["ClusterErrors", "ClusterMembership", "ClusterRecipe", "Parallax", "fit_cluster"]

FLOOR = 1e-300
LEAST_STARS = 10
"""Fewer stars around an over-density are not fitted: the profile alone has six parameters."""


@dataclass(frozen=True)
class Parallax:
    """Parallaxes of the stars of a patch, in its order.

    Args:
        value: mas; NaN where there is none.
        error: standard errors, mas.
    """

    value: Float[np.ndarray, " n"]
    error: Float[np.ndarray, " n"]


@dataclass(frozen=True)
class ClusterRecipe:
    """Settings of the fit.

    Args:
        half_box: half-width of the box in proper motion around the over-density, mas/yr.
        reach: radius of the field in half-number radii, within `min_field` and `max_field`, deg.
        clear: the background is measured beyond this many half-number radii.
        iterations: of expectation-maximisation, in each of `rounds` fields, each centred anew.
        min_radius, max_radius: bounds of the semi-axes of the half-number ellipse, deg.
        min_spread: floor of the intrinsic proper-motion spread, mas/yr.
        min_parallax_spread: floor of the intrinsic parallax spread, mas (Gaia's systematics: Lindegren et al.
            2021).
    """

    half_box: float = 3.0
    reach: float = 8.0
    min_field: float = 0.5
    max_field: float = 6.0
    clear: float = 2.5
    iterations: int = 50
    rounds: int = 3
    min_radius: float = 0.005
    max_radius: float = 4.0
    min_spread: float = 0.05
    min_parallax_spread: float = 0.02


@dataclass(frozen=True)
class ClusterErrors:
    """Standard errors of the fit, from the empirical information of each parameter by itself.

    Args:
        half_number_radius: deg.
        axis_ratio: by the asymptotic variance of the t distribution's shape (Tyler 1982), 1.5 / N for the
            log.
        proper_motion: of each component, mas/yr.
        parallax: mas; NaN where there are no parallaxes.
    """

    half_number_radius: float
    axis_ratio: float
    proper_motion: tuple[float, float]
    parallax: float


@dataclass(frozen=True)
class ClusterMembership:
    """Result of the fit.

    Args:
        model: the cluster.
        errors: of its parameters.
        rows: row numbers (in the patch) of the stars of the fit.
        probability: their membership probabilities.
        distance: from the cluster's centre, deg.
    """

    model: ClusterModel
    errors: ClusterErrors
    rows: Int[np.ndarray, " n"]
    probability: Float[np.ndarray, " n"]
    distance: Float[np.ndarray, " n"]

    @property
    def stars(self) -> float:
        """Expected number of stars."""
        return float(self.probability.sum())

    def members(self, threshold: float = 0.5, within: float = np.inf) -> Int[np.ndarray, " m"]:
        """Rows of the stars with a probability above `threshold`, within so many deg of the centre."""
        return self.rows[(self.probability > threshold) & (self.distance <= within)]


def fit_cluster(
    stars: StreamStars,
    cells: FootprintCells,
    start: ClusterModel,
    recipe: ClusterRecipe,
    *,
    parallax: Parallax | None = None,
    use: Bool[np.ndarray, " n"] | None = None,
) -> ClusterMembership:
    """Fit a cluster near an over-density, and weigh every star around it.

    Two-component mixture. Cluster: an elliptical Plummer profile with free centre, axes and angle; Gaussian
    in proper motion and parallax, intrinsic spread and each star's own errors; photometry by a leave-one-out
    kernel density of the members. Background: a log-linear density on the sky, and kernel densities of its
    proper motions, parallaxes and photometry, all of the stars beyond `clear` radii, each weighted with its
    probability not to be a member, because a Plummer profile has no end.

    Args:
        stars: all stars of the patch; photometry beyond the first two columns is not looked at.
        cells: its footprint.
        start: place, size and motion to start from.
        parallax: of the same stars; without it, distance says nothing.
        use: stars that may belong to it (others were given to a stronger one); default all.
    """
    use = np.ones(len(stars), dtype=bool) if use is None else use
    model, problem = start, None
    probability = np.empty(0)
    for _ in range(recipe.rounds):
        field = _Field.around(stars, cells, model, recipe, parallax, use)
        if len(field.rows) < LEAST_STARS:
            # A fit that has wandered off to where no stars are says no more than the one before.
            break
        problem = field
        model, probability = field.solve(model, recipe)
    if problem is None:
        unknown = ClusterErrors(np.nan, np.nan, (np.nan, np.nan), np.nan)
        return ClusterMembership(start, unknown, np.empty(0, dtype=np.int64), probability, probability)
    distance = np.hypot(*(problem.xy - model.centre).T)
    return ClusterMembership(model, problem.errors(model, probability), problem.rows, probability, distance)


@dataclass(frozen=True)
class _Field:
    """The stars around an over-density with everything that stays fixed while the mixture is fitted."""

    rows: np.ndarray
    xy: np.ndarray
    motion: np.ndarray
    error: np.ndarray
    parallax: np.ndarray
    parallax_error: np.ndarray
    densities: tuple[tuple[KernelDensity, np.ndarray], ...]
    photometry: tuple[KernelDensity, np.ndarray]
    beyond: np.ndarray
    log_sky: np.ndarray

    @classmethod
    def around(
        cls,
        stars: StreamStars,
        cells: FootprintCells,
        model: ClusterModel,
        recipe: ClusterRecipe,
        parallax: Parallax | None,
        use: np.ndarray,
    ) -> _Field:
        reach = np.clip(recipe.reach * model.half_number_radius, recipe.min_field, recipe.max_field)
        close = use & (np.abs(stars.proper_motion - model.proper_motion) < recipe.half_box).all(axis=1)
        rows = np.flatnonzero(close)
        xy = np.column_stack(model.plane.project(*stars.position[rows].T))
        near = np.hypot(*(xy - model.centre).T) < reach
        rows, xy = rows[near], xy[near]
        beyond = stars_beyond(np.hypot(*(xy - model.centre).T), recipe.clear * model.half_number_radius)
        nothing = np.full(len(rows), np.nan)
        value, error = (
            (nothing, nothing) if parallax is None else (parallax.value[rows], parallax.error[rows])
        )
        densities = [(stars.proper_motion[rows], np.ones(len(rows), dtype=bool))]
        if np.isfinite(value).any():
            densities.append((value[:, None], np.isfinite(value)))
        photometry = stars.photometry[rows, :2]
        measured = np.isfinite(photometry).all(axis=1)
        return cls(
            rows, xy, stars.proper_motion[rows], stars.proper_motion_error[rows], value,
            np.nan_to_num(error), tuple((KernelDensity.of(v[known]), known) for v, known in densities),
            (KernelDensity.of(photometry[measured]), measured), beyond.astype(float),
            log_sky_density(cells, model, xy, beyond, reach),
        )  # fmt: skip

    def solve(self, model: ClusterModel, recipe: ClusterRecipe) -> tuple[ClusterModel, np.ndarray]:
        """Expectation-maximisation from `model`; returns the model and the membership probabilities."""
        probability = np.zeros(len(self.rows))
        kernel, measured = self.photometry
        gain = np.zeros(len(self.rows))
        for _ in range(recipe.iterations):
            field = self.beyond * (1.0 - probability)
            probability = self._expect(model, gain - self._log_background(field))
            model = self._maximise(model, probability, recipe)
            # A star without photometry keeps the neutral 0: what was not measured says nothing.
            gain[measured] = kernel.log_density(probability[measured]) - kernel.log_density(field[measured])
        return model, self._expect(model, gain - self._log_background(field))

    def _log_background(self, weight: np.ndarray) -> np.ndarray:
        """Log density of the field's stars on the sky, in proper motion and in parallax."""
        total = self.log_sky.copy()
        for kernel, known in self.densities:
            total[known] += kernel.log_density(weight[known])
        return total

    def _expect(self, model: ClusterModel, log_rest: np.ndarray) -> np.ndarray:
        variance = self.error**2 + model.spread**2
        residual = self.motion - model.proper_motion
        odds = model.log_profile(self.xy) + log_rest
        odds -= 0.5 * (residual**2 / variance + np.log(2 * np.pi * variance)).sum(axis=1)
        if np.isfinite(model.parallax):
            variance = self.parallax_error**2 + model.parallax_spread**2
            term = (self.parallax - model.parallax) ** 2 / variance + np.log(2 * np.pi * variance)
            odds -= 0.5 * np.nan_to_num(term)
        odds += np.log(max(model.fraction, FLOOR)) - np.log1p(-min(model.fraction, 1 - 1e-9))
        return 1.0 / (1.0 + np.exp(-np.clip(odds, -50, 50)))

    def _maximise(self, model: ClusterModel, weight: np.ndarray, recipe: ClusterRecipe) -> ClusterModel:
        # The Student t of two degrees of freedom: every star's pull falls with its distance.
        pull = weight * 4.0 / (2.0 + model.squared_distance(self.xy))
        centre = pull @ self.xy / max(pull.sum(), FLOOR)
        apart = self.xy - centre
        shape = (apart * pull[:, None]).T @ apart / max(weight.sum(), FLOOR)
        motion, spread = _mean_and_spread(
            self.motion, self.error, np.broadcast_to(weight[:, None], self.motion.shape), model.spread
        )
        moved = replace(
            model, centre=(float(centre[0]), float(centre[1])), shape=_bounded(shape, recipe),
            proper_motion=(float(motion[0]), float(motion[1])), spread=max(spread, recipe.min_spread),
            fraction=float(weight.mean()),
        )  # fmt: skip
        if not np.isfinite(model.parallax):
            return moved
        known = np.isfinite(self.parallax)
        columns = (values[known, None] for values in (self.parallax, self.parallax_error, weight))
        parallax, spread = _mean_and_spread(*columns, model.parallax_spread)
        return replace(
            moved, parallax=float(parallax[0]), parallax_spread=max(spread, recipe.min_parallax_spread)
        )

    def errors(self, model: ClusterModel, weight: np.ndarray) -> ClusterErrors:
        """From the sum of squared score contributions (McLachlan & Krishnan 2008)."""
        # d ln(profile) / d ln(a) of Plummer's density.
        slope = 2.0 - 8.0 / (2.0 + model.squared_distance(self.xy))
        radius = model.half_number_radius / _information(weight * slope)
        pull = (self.motion - model.proper_motion) / (self.error**2 + model.spread**2)
        motion = [1.0 / _information(weight * column) for column in pull.T]
        pull = (self.parallax - model.parallax) / (self.parallax_error**2 + model.parallax_spread**2)
        parallax = 1.0 / _information(weight * np.nan_to_num(pull)) if np.isfinite(model.parallax) else np.nan
        flat = model.axis_ratio * np.sqrt(1.5 / max(weight.sum(), FLOOR))
        return ClusterErrors(radius, float(flat), (motion[0], motion[1]), parallax)


def _information(scores: np.ndarray) -> float:
    return float(np.sqrt(max((scores**2).sum(), FLOOR)))


def _mean_and_spread(
    value: np.ndarray, error: np.ndarray, weight: np.ndarray, spread: float
) -> tuple[np.ndarray, float]:
    """Means of the columns and their common intrinsic sigma: one fixed-point step, each star weighted by
    what it tells."""
    inverse = weight / (error**2 + spread**2)
    mean = (inverse * value).sum(axis=0) / np.maximum(inverse.sum(axis=0), FLOOR)
    information = weight / (error**2 + spread**2) ** 2
    variance = (information * ((value - mean) ** 2 - error**2)).sum() / max(information.sum(), FLOOR)
    return mean, float(np.sqrt(max(variance, 0.0)))


def _bounded(shape: np.ndarray, recipe: ClusterRecipe) -> tuple[float, float, float]:
    """The scale matrix with the semi-axes of the half-number ellipse (sqrt(2) times its own) in bounds."""
    axes, turn = np.linalg.eigh(shape)
    axes = np.clip(axes, recipe.min_radius**2 / 2, recipe.max_radius**2 / 2)
    matrix = (turn * axes) @ turn.T
    return float(matrix[0, 0]), float(matrix[0, 1]), float(matrix[1, 1])
