"""Two streams in one place: a second component beside a refined stream, if the stars speak for it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float

from streams.likelihood.refinement import RefinedStream, refined_of
from streams.likelihood.refinement_component import NAMES, StreamDensity, index
from streams.likelihood.refinement_fit import best_of, free_parameters
from streams.likelihood.refinement_mixture import StreamMixture
from streams.likelihood.refinement_recipe import RefinementError, RefinementRecipe
from streams.likelihood.refinement_sky import RefinementSky

__all__ = ["SplitRecipe", "SplitResult", "split"]

_FEWEST = 4.0
"""Expected members that two streams have at least."""


@dataclass(frozen=True)
class SplitRecipe:
    """Settings of the search for a second stream.

    Args:
        motion_reach: mas/yr around the first stream's motion in which the second may lie.
        motion_step: mas/yr between the motions that are tried.
        angle_step: deg, between the angles that are tried.
        strip: full width of the strips, deg.
        stars: number of stars for which the strips' weights are made.
        starts: best strips from which the two are fitted.
    """

    motion_reach: float = 3.0
    motion_step: float = 1.0
    angle_step: float = 6.0
    strip: float = 0.8
    stars: float = 40.0
    starts: int = 4


@dataclass(frozen=True, eq=False)
class SplitResult:
    """One stream against two, in the same stars.

    Args:
        one: the single stream.
        two: both components of the best pair; each has the log-likelihood ratio of the pair.
        gain: twice the log-likelihood of two over that of one.
        price: what the gain must exceed: parameters of a stream times ln(stars that were fitted).
    """

    one: RefinedStream
    two: tuple[RefinedStream, RefinedStream]
    gain: float
    price: float

    @property
    def streams(self) -> tuple[RefinedStream, ...]:
        """Two where the gain exceeds its price, otherwise the one."""
        return self.two if self.gain > self.price else (self.one,)


def split(
    one: RefinedStream,
    sky: RefinementSky,
    recipe: SplitRecipe | None = None,
    refinement: RefinementRecipe | None = None,
) -> SplitResult:
    """Fit two streams where one was found, and compare them.

    Strips of every angle and motion around are scanned for what the one stream does not explain: each star
    counts ln(1 + N p_stream / p_background), times the probability that it is not the first stream's. From
    the best strips, and from the members halved along their widest spread in proper motion, both streams
    are fitted together. A second component is not an ordinary parameter (under one stream it has no place),
    so twice the gain does not follow chi^2; Schwarz's price with *all* stars of the fit, background
    included, pays for the places where chance could have put it.

    Args:
        one: result of `refine_in`, linear in its motions.
        sky: the sky it was fitted in.
        recipe: of the search; default `SplitRecipe()`.
        refinement: of the fit; default `RefinementRecipe()`.

    Raises:
        RefinementError: the stream vanishes when all stars around are fitted: nothing is left to be split.
    """
    recipe, refinement = recipe or SplitRecipe(), refinement or RefinementRecipe()
    wide = _surroundings(one, sky, recipe, refinement)
    if not len(wide.x):
        raise RefinementError("no star lies around the stream: there is nothing to tell apart")
    free = free_parameters(one.density.ridge)
    single = StreamMixture(wide, (one.density,), free[None], refinement)
    p, here = single.climb(one.parameters[None])
    if here.probability[0].sum() < _FEWEST:
        raise RefinementError(
            f"{here.probability[0].sum():.1f} stars belong to the stream among all {len(wide.x)} around; "
            f"{_FEWEST:g} are needed to tell two streams apart"
        )
    seconds = [_of_strip(one, *strip) for strip in _strips(one, wide, here.probability[0], recipe)]
    pairs = [((one.density, stream), np.stack([p[0], own])) for stream, own in seconds]
    pairs.append(((one.density, one.density), _halved(p[0], wide, here.probability[0])))
    mixture, both, found = best_of(wide, pairs, refinement)
    covariance, k = mixture.covariance(both), len(NAMES)
    parts = [
        refined_of(mixture.sky, stream, both[i], covariance[i * k : (i + 1) * k, i * k : (i + 1) * k],
                   found.probability[i], found.log_ratio)
        for i, stream in enumerate(mixture.streams)
    ]  # fmt: skip
    first, second = sorted(parts, key=lambda part: -part.stars[0])
    gain = 2 * (found.log_ratio - here.log_ratio)
    return SplitResult(one, (first, second), gain, float(free.sum() * np.log(len(wide.x))))


def _surroundings(
    one: RefinedStream, sky: RefinementSky, recipe: SplitRecipe, refinement: RefinementRecipe
) -> RefinementSky:
    """All stars near the first stream in proper motion, wherever they lie: a second may cross it."""
    return sky.take(
        one.density.near(one.parameters, sky, refinement.reach, recipe.motion_reach, across=np.inf)
    )


def _strips(
    one: RefinedStream, sky: RefinementSky, q: np.ndarray, recipe: SplitRecipe
) -> list[tuple[float, float, np.ndarray]]:
    """(angle, offset, motion) of the strips with the most that the first stream does not explain."""
    angles = one.density.theta + np.radians(np.arange(0.0, 180.0, recipe.angle_step))
    edges = np.arange(-np.hypot(sky.cell_x, sky.cell_y).max(), np.hypot(sky.cell_x, sky.cell_y).max(), 0.2)
    shares = [_counts(sky.cell_x, sky.cell_y, sky.cell_area / sky.cell_area.sum(), angle, edges, recipe)
              for angle in angles]  # fmt: skip
    steps = np.arange(-recipe.motion_reach, recipe.motion_reach + 1e-9, recipe.motion_step)
    found = []
    for shift in np.array(np.meshgrid(steps, steps)).reshape(2, -1).T:
        weight = _weights(one, sky, q, shift, recipe)
        heavy = weight > 0.02
        if heavy.sum() < 5:
            continue
        x, y, w = sky.x[heavy], sky.y[heavy], weight[heavy]
        for angle, share in zip(angles, shares, strict=True):
            excess = _counts(x, y, w, angle, edges, recipe) - w.sum() * share
            score = excess / np.sqrt((w**2).sum() * share + w.max() ** 2)
            best = int(score.argmax())
            offset = float(edges[best] + recipe.strip / 2)
            found.append((float(score[best]), float(angle), offset, shift))
    found.sort(key=lambda strip: -strip[0])
    return _distinct(found, recipe)


def _counts(
    x: np.ndarray, y: np.ndarray, w: np.ndarray, angle: float, edges: np.ndarray, recipe: SplitRecipe
) -> np.ndarray:
    """Sum of the weights in every strip of one angle; strip i begins at edges[i]."""
    histogram = np.histogram(x * np.sin(angle) - y * np.cos(angle), edges, weights=w)[0]
    return np.convolve(histogram, np.ones(round(recipe.strip / (edges[1] - edges[0]))), "valid")


def _weights(
    one: RefinedStream, sky: RefinementSky, q: np.ndarray, shift: np.ndarray, recipe: SplitRecipe
) -> np.ndarray:
    p, stream = one.parameters.copy(), one.density
    p[6], p[9] = p[6] + shift[0], p[9] + shift[1]
    p[12:14] = np.log(0.5 * recipe.motion_step)
    s, _ = stream.frame(sky.x, sky.y)
    log_density = stream.log_motion(p, s, sky) + stream.light(p, s, sky)[0]
    length = np.sqrt(sky.cell_area.sum())
    ratio = np.exp(np.minimum(log_density - sky.log_background, 50.0)) / (length * recipe.strip)
    return (1.0 - q) * np.log1p(recipe.stars / sky.total * ratio)


def _distinct(
    found: list[tuple[float, float, float, np.ndarray]], recipe: SplitRecipe
) -> list[tuple[float, float, np.ndarray]]:
    """The best strips, no two of them neighbours."""
    kept: list[tuple[float, float, np.ndarray]] = []
    for _, angle, offset, shift in found:
        near = any(
            abs(np.sin(angle - a)) < np.sin(np.radians(2.5 * recipe.angle_step))
            and np.abs(shift - m).max() < 1.5 * recipe.motion_step
            for a, _, m in kept
        )
        if not near:
            kept.append((angle, offset, shift))
        if len(kept) == recipe.starts:
            break
    return kept


def _of_strip(
    one: RefinedStream, angle: float, offset: float, shift: np.ndarray
) -> tuple[StreamDensity, np.ndarray]:
    p = one.parameters.copy()
    p[:3], p[3], p[4:6] = (offset, 0.0, 0.0), np.log(0.2), (-np.inf, np.inf)
    p[6:9], p[9:12] = (p[6] + shift[0], 0.0, 0.0), (p[9] + shift[1], 0.0, 0.0)
    p[12:14], p[index("log_stars")] = np.log(0.4), np.log(30.0)
    return replace(one.density, theta=angle), p


def _halved(p: Float[np.ndarray, " k"], sky: RefinementSky, q: Float[np.ndarray, " n"]) -> np.ndarray:
    """Two streams on the same line whose motions are the halves of the members along their widest spread."""
    residual = sky.motion - np.average(sky.motion, weights=q, axis=0)
    covariance = (q[:, None] * residual).T @ residual / q.sum()
    direction = np.linalg.eigh(covariance)[1][:, -1]
    upper: Bool[np.ndarray, " n"] = residual @ direction > 0
    pair = np.stack([p, p])
    for own, side in zip(pair, (upper, ~upper), strict=True):
        weight = q * side + 1e-12
        own[6:9], own[9:12] = 0.0, 0.0
        own[[6, 9]] = np.average(sky.motion, weights=weight, axis=0)
        own[index("log_stars")] = np.log(max(weight.sum(), 5.0))
        own[4:6] = -np.inf, np.inf
    return pair
