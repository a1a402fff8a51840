"""The idealised detector: what the weights of a search could say if it knew the stream beforehand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from _likelihood_skies import Field, HiddenSky
from jaxtyping import Float, Int

from sky_patches.mock.ridge import distance_modulus
from streams import FootprintCells
from streams.injection import ModelStream, Place
from streams.likelihood import SearchRecipe
from streams.likelihood.peaks import hypothesis_of
from streams.likelihood.sight import FreeLine, GridHypothesis, PatchSight, Population
from streams.likelihood.stack import LineGrid
from streams.likelihood.weights import PatchFeatures, star_weights
from streams.plane import TangentPlane
from streams.ridges import Ridge

__all__ = ["IdealDetector", "true_line"]

_STARS = 4000
"""Of the stream, drawn to know its line and motions: their means are then known to a hundredth."""


def true_line(
    field: Field, recipe: ModelStream, place: Place, seed: int
) -> tuple[Float[np.ndarray, " 2"], Float[np.ndarray, "2 2"]]:
    """(theta, offset) of a stream in the patch's tangent plane, and (motion, gradient) of both components.

    From a rich, thin realisation of the same stream: straight lines through its stars.
    """
    thin = replace(recipe, width=1e-3, dispersion=0.0)
    made = thin.make(place, field.survey, field.geometry, _STARS, np.random.default_rng([seed, 17]))
    stars = field.geometry.frame.project(made.stars)
    plane = TangentPlane(*field.geometry.footprint.centre)
    x, y = plane.project(np.asarray(stars["phi1"], dtype=float), np.asarray(stars["phi2"], dtype=float))
    direction = np.linalg.svd(np.column_stack([x - x.mean(), y - y.mean()]), full_matrices=False)[2][0]
    theta = float(np.arctan2(direction[1], direction[0]) % np.pi)
    along = x * np.cos(theta) + y * np.sin(theta)
    offset = float(np.median(x * np.sin(theta) - y * np.cos(theta)))
    motions = [np.asarray(stars[name], dtype=float) for name in ("pm_phi1_cosphi2", "pm_phi2")]
    lines = [_robust_line(along, motion) for motion in motions]
    return np.array([theta, offset]), np.array(lines)


def _robust_line(along: np.ndarray, motion: np.ndarray) -> tuple[float, float]:
    """(value at 0, slope), outliers of the errors' tail left out."""
    keep = np.ones(len(along), dtype=bool)
    for _ in range(4):
        slope, value = np.polyfit(along[keep], motion[keep], 1)
        residual = motion - value - slope * along
        keep = np.abs(residual) < 2.0 * np.median(np.abs(residual)) / 0.6745
    return float(value), float(slope)


class IdealDetector:
    """Significance at the true line, width, motion, gradients, distance and ridge, over the same background.

    Args:
        sky: field and streams.
        log_background: as the search has it.
        ridge: the true one.
        distance: kpc.
    """

    def __init__(
        self, sky: HiddenSky, log_background: Float[np.ndarray, " n"], ridge: Ridge, distance: float
    ) -> None:
        modulus = float(distance_modulus(np.array([distance]))[0])
        recipe = replace(SearchRecipe(), moduli=(modulus,))
        cells = FootprintCells.of(sky.geometry.footprint, recipe.cell_deg)
        density = cells.density(*cells.plane.project(*sky.stars.position.T))
        features = PatchFeatures.of(sky.stars, cells, density, log_background, recipe, photometric=True)
        area = np.asarray(cells.area, dtype=float)
        self.cells, self.features = cells, features
        self.log_light = features.log_ridge_ratio(ridge, modulus)
        grid = LineGrid(cells, area / area.sum(), recipe)
        weights = star_weights(features, recipe, ridge, modulus, grid.length)
        side = len(recipe.motions)
        population = Population(ridge, modulus, weights, np.zeros((side, side, 2)))
        self.sight = PatchSight(features, grid, (population,))

    def significance(
        self, line: Float[np.ndarray, " 2"], motions: Float[np.ndarray, "2 2"], width: float
    ) -> float:
        """Of one stream, sigma, with the exact tail."""
        h = np.array([*line, *motions[:, 0], *motions[:, 1], np.log(width), 0.0, 0.0])
        free = FreeLine(GridHypothesis(0, 0, (0, 0), 0, 0, 0, 0.0), h, 0.0)
        return hypothesis_of(self.sight, free, np.ones(len(self.sight.features))).significance

    def membership(
        self,
        line: Float[np.ndarray, " 2"],
        motions: Float[np.ndarray, "2 2"],
        width: float,
        dispersion: float,
        stars: float,
    ) -> tuple[Int[np.ndarray, " k"], Float[np.ndarray, " k"]]:
        """Rows, and the probability that each is of the stream, by its true parameters: nothing is fitted.

        Args:
            line, motions, width: see `true_line`, deg, mas/yr.
            dispersion: intrinsic, mas/yr.
            stars: of the stream in the patch.
        """
        f, cells = self.features, self.cells
        theta, offset = line
        along = f.x * np.cos(theta) + f.y * np.sin(theta)
        variance = f.variance - SearchRecipe().spread ** 2 + dispersion**2
        residual = f.motion - motions[:, 0] - along[:, None] * motions[:, 1]
        log_motion = -0.5 * (residual**2 / variance + np.log(2 * np.pi * variance)).sum(axis=1)

        def profile(x: np.ndarray, y: np.ndarray) -> np.ndarray:
            return np.exp(-0.5 * ((x * np.sin(theta) - y * np.cos(theta) - offset) / width) ** 2)

        inside = float((profile(cells.x, cells.y) * cells.area).sum())
        odds = stars * profile(f.x, f.y) / inside / f.surface * np.exp(log_motion + self.log_light)
        return f.rows, odds / (1.0 + odds)
