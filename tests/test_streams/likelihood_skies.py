"""Small skies with an exact background for the tests of the likelihood search."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from sky_patches import Circle, Footprint
from streams import FootprintCells, StreamStars, TangentPlane
from streams.likelihood import SearchRecipe
from streams.likelihood.sight import PatchSight, Population
from streams.likelihood.stack import LineGrid, MotionEntries
from streams.likelihood.weights import PatchFeatures, star_weights

__all__ = [
    "FOOTPRINT",
    "RECIPE",
    "Cluster",
    "LikelihoodSky",
    "Planted",
    "background_density",
    "likelihood_sky",
    "reordered",
    "sight_of",
    "small_cells",
]

FOOTPRINT = Circle(6.0)
RECIPE = SearchRecipe(
    motion_limit=9.0, motion_step=1.0, spread=0.5, angle_step=15.0, offset_step=0.5, widths=(0.5, 1.0),
    along_step=3.0, gradients=(0.0,), inspected=60, peaks=5, cell_deg=0.2,
)  # fmt: skip
"""A coarse grid: a search of a small sky takes a tenth of a second."""

_MEAN, _SIGMA = np.array([-1.0, 1.0]), np.array([3.0, 2.5])


@dataclass(frozen=True)
class Planted:
    """A straight stream with a motion a + b s, all in deg and mas/yr."""

    stars: int
    theta: float = np.radians(30.0)
    offset: float = 1.25
    width: float = 0.1
    motion: tuple[float, float] = (3.0, -2.0)
    gradient: tuple[float, float] = (0.0, 0.0)
    spread: float = 0.2
    gap: tuple[float, float] = (0.0, 0.0)
    rich: float = 0.0
    """Share of the stars that are moved into a rich third of the stream."""

    def draw(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        s = rng.uniform(-5.0, 5.0, self.stars)
        across = self.offset + self.width * rng.normal(size=self.stars)
        s = np.where(np.arange(self.stars) < self.rich * self.stars, 1.5 + s / 3.0, s)
        low, high = self.gap
        s = np.where(
            (s > low) & (s < high), np.where(s < (low + high) / 2, s - high + low, s + high - low), s
        )
        cosine, sine = np.cos(self.theta), np.sin(self.theta)
        xy = np.column_stack([s * cosine + across * sine, s * sine - across * cosine])
        moved = np.array(self.motion) + s[:, None] * np.array(self.gradient)
        return xy, moved + self.spread * rng.normal(size=moved.shape)


@dataclass(frozen=True)
class Cluster:
    """Stars at one place with one motion."""

    stars: int
    place: tuple[float, float] = (1.0, -2.0)
    size: float = 0.2
    motion: tuple[float, float] = (3.0, -2.0)

    def draw(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        xy = np.array(self.place) + self.size * rng.normal(size=(self.stars, 2))
        return xy, np.array(self.motion) + 0.1 * rng.normal(size=(self.stars, 2))


@dataclass(frozen=True)
class LikelihoodSky:
    """Stars, the exact ln p_bg of their proper motions, and the planted object of each (0: none)."""

    stars: StreamStars
    log_background: Float[np.ndarray, " n"]
    origin: Int[np.ndarray, " n"]

    @property
    def member(self) -> Bool[np.ndarray, " n"]:
        return self.origin == 1


def small_cells(footprint: Footprint = FOOTPRINT) -> FootprintCells:
    return FootprintCells.of(footprint, RECIPE.cell_deg)


def likelihood_sky(
    seed: int,
    background: int,
    *planted: Planted | Cluster,
    footprint: Footprint = FOOTPRINT,
    error: float = 0.3,
) -> LikelihoodSky:
    """Stars without photometry: uniform background, Gaussian in proper motion at each star's own error."""
    rng = np.random.default_rng(seed)
    plane = TangentPlane(*FOOTPRINT.centre)
    position = [np.stack(FOOTPRINT.sample(background, seed), axis=-1)]
    motion = [_MEAN + _SIGMA * rng.normal(size=(background, 2))]
    for one in planted:
        xy, moved = one.draw(rng)
        position.append(np.column_stack(plane.unproject(*xy.T)))
        motion.append(moved)
    origin = np.repeat(np.arange(len(position)), [len(part) for part in position])
    place, observed = np.concatenate(position), np.concatenate(motion)
    errors = error * rng.uniform(0.3, 2.0, observed.shape)
    observed = observed + errors * rng.normal(size=observed.shape)
    inside = footprint.contains(*place.T)
    place, observed, errors, origin = (a[inside] for a in (place, observed, errors, origin))
    names = rng.permutation(len(place)) + 1
    stars = StreamStars(names, place, observed, errors, np.empty((len(place), 0)))
    return LikelihoodSky(stars, background_density(observed, errors), origin)


def reordered(sky: LikelihoodSky, rows: Int[np.ndarray, " k"] | Bool[np.ndarray, " n"]) -> LikelihoodSky:
    """Some of the stars, in the order given."""
    names = ("source_id", "position", "proper_motion", "proper_motion_error", "photometry")
    stars = replace(sky.stars, **{name: getattr(sky.stars, name)[rows] for name in names})
    return LikelihoodSky(stars, sky.log_background[rows], sky.origin[rows])


def background_density(motion: np.ndarray, errors: np.ndarray) -> Float[np.ndarray, " n"]:
    """ln p_bg(mu) at each star's own error, per (mas/yr)^2."""
    variance = _SIGMA**2 + errors**2
    return -0.5 * ((motion - _MEAN) ** 2 / variance + np.log(2.0 * np.pi * variance)).sum(axis=1)


def sight_of(sky: LikelihoodSky, recipe: SearchRecipe = RECIPE) -> tuple[PatchSight, MotionEntries]:
    """What hypotheses see of a sky whose smooth density is uniform, and the weights on the grid."""
    cells = small_cells()
    density = cells.area / cells.area.sum()
    grid = LineGrid(cells, density, recipe)
    features = PatchFeatures.of(sky.stars, cells, density, sky.log_background, recipe, photometric=False)
    weights = star_weights(features, recipe, None, np.nan, grid.length)
    entries = MotionEntries.of(weights, features, grid, recipe)
    flat = np.zeros((len(recipe.motions), len(recipe.motions), 2))
    return PatchSight(features, grid, (Population(None, np.nan, weights, flat),)), entries
