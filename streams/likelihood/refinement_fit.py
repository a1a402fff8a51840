"""Steps that refinements share: parameters of a start, the best of several starts, a turned frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float

from streams.likelihood.refinement_component import NAMES, StreamDensity, index
from streams.likelihood.refinement_mixture import Evaluation, StreamMixture
from streams.likelihood.refinement_recipe import (
    OPTIONAL_TERMS,
    RefinementError,
    RefinementRecipe,
    RefinementStart,
)
from streams.likelihood.refinement_sky import RefinementSky
from streams.ridges import Ridge

__all__ = ["LEAST_STARS", "best_of", "free_parameters", "started", "turned", "with_optional"]

LEAST_STARS = 20
"""Fewer stars near the start than this, background included, do not fix a dozen numbers."""
_BEHIND = 12.0
"""Log-likelihood that further expectation-maximisation seldom makes up for."""
_OF_TERM = {
    "ends": ("start", "end"), "motion_curvature": ("pm1_2", "pm2_2"), "distance_gradient": ("modulus_slope",)
}  # fmt: skip
_OPTIONAL = tuple(name for term in OPTIONAL_TERMS for name in _OF_TERM[term])


def free_parameters(ridge: Ridge | None, terms: Sequence[str] = ()) -> Bool[np.ndarray, " k"]:
    """Which parameters are fitted: those of every stream, the modulus with a ridge, the optional terms."""
    names = {name for name in NAMES if name not in (*_OPTIONAL, "modulus")}
    names |= {"modulus"} if ridge is not None else set()
    names |= {name for term in terms for name in _OF_TERM[term]}
    return np.array([name in names for name in NAMES])


def started(
    start: RefinementStart, ridge: Ridge | None, recipe: RefinementRecipe
) -> tuple[StreamDensity, Float[np.ndarray, " k"]]:
    """Density and parameters of a start.

    Raises:
        RefinementError: a ridge, and no distance modulus to begin with.
    """
    if ridge is not None and start.modulus is None:
        raise RefinementError(f"ridge {ridge.name!r} needs a start with a distance modulus, got None")
    (a1, b1), (a2, b2) = start.proper_motion
    p = np.zeros(len(NAMES))
    p[0], p[3] = start.offset, np.log(np.clip(start.width, recipe.min_width, recipe.max_width))
    p[4:6] = -np.inf, np.inf
    p[6:8], p[9:11] = (a1, b1), (a2, b2)
    p[12:14] = np.log(np.clip(start.spread, recipe.min_spread, recipe.max_spread))
    p[index("modulus")] = 0.0 if start.modulus is None else start.modulus
    p[index("log_stars")] = np.log(start.stars)
    return StreamDensity(start.theta, ridge, recipe.softness), p


def best_of(
    sky: RefinementSky,
    candidates: Sequence[tuple[tuple[StreamDensity, ...], Float[np.ndarray, "streams k"]]],
    recipe: RefinementRecipe,
    keep: int = 2,
) -> tuple[StreamMixture, Float[np.ndarray, "streams k"], Evaluation]:
    """The highest maximum: expectation-maximisation from each candidate, scoring from the best `keep`.

    Those that are clearly behind after a third of the iterations are given up.
    """
    tried, early = [], -(-recipe.iterations // 3)
    for streams, p in candidates:
        free = np.stack([free_parameters(one.ridge) for one in streams])
        mixture = StreamMixture(sky, streams, free, recipe)
        mixture = mixture.around(p, recipe.motion_margin[0], recipe.sky_margin[0])
        p = mixture.expect_and_maximise(p, early)
        tried.append((mixture.evaluate(p).log_ratio, mixture, p))
    best = max(value for value, _, _ in tried)
    left = [
        (mixture, mixture.expect_and_maximise(p, recipe.iterations - early))
        for value, mixture, p in tried if value > best - _BEHIND
    ]  # fmt: skip
    left.sort(key=lambda one: -one[0].evaluate(one[1]).log_ratio)
    climbed = [(mixture, *mixture.climb(p)) for mixture, p in left[:keep]]
    return max(climbed, key=lambda one: one[2].log_ratio)


def turned(
    stream: StreamDensity, p: Float[np.ndarray, " k"]
) -> tuple[StreamDensity, Float[np.ndarray, " k"]]:
    """The same stream in the frame in which its track has no slope at s = 0 of the old one.

    With tan(a) = c1, s = cos(a) (s' - c0 sin(a)) on the track. A straight track is the same exactly, and so
    are the motions and the modulus on it; a star beside it, at a distance d, now has those of a place that
    is d sin(a) further along. Curvature adds terms of the order of c1 c2.
    """
    angle = float(np.arctan(p[1]))
    scale, shift = np.cos(angle), -p[0] * np.sin(angle) * np.cos(angle)
    moved = p.copy()
    # The slope is taken up by the angle; what remains is c0 and c2.
    moved[:3] = np.cos(angle) * _substituted(np.array([p[0], 0.0, p[2]]), scale, shift)
    moved[3] = p[3] + np.log(np.cos(angle))
    moved[4:6] = (p[4:6] - shift) / scale
    for at in (6, 9):
        moved[at : at + 3] = _substituted(p[at : at + 3], scale, shift)
    light = np.array([p[index("modulus")], p[index("modulus_slope")], 0.0])
    moved[index("modulus")], moved[index("modulus_slope")] = _substituted(light, scale, shift)[:2]
    return replace(stream, theta=stream.theta - angle), moved


def _substituted(c: np.ndarray, scale: float, shift: float) -> np.ndarray:
    """Coefficients of c0 + c1 s + c2 s^2 with s = scale s' + shift."""
    return np.array([
        c[0] + c[1] * shift + c[2] * shift**2, scale * (c[1] + 2 * c[2] * shift), c[2] * scale**2
    ])  # fmt: skip


def with_optional(
    mixture: StreamMixture, p: Float[np.ndarray, "1 k"], extent: tuple[float, float] | None
) -> tuple[StreamMixture, Float[np.ndarray, "1 k"], Evaluation]:
    """Tries the recipe's optional terms, one after another, and keeps those the stars speak for."""
    here, terms = mixture.evaluate(p), []
    for term in mixture.recipe.optional:
        ridge = mixture.streams[0].ridge
        if term == "distance_gradient" and ridge is None:
            continue
        free = free_parameters(ridge, [*terms, term])[None]
        trial, begin = replace(mixture, free=free), p.copy()
        if term == "ends":
            begin[0, 4:6] = extent or _quantiles(mixture, here)
        moved, there = trial.climb(begin)
        price = len(_OF_TERM[term]) * np.log(max(np.exp(p[0, -1]), 2.0))
        if 2 * (there.log_ratio - here.log_ratio) > price:
            mixture, p, here, terms = trial, moved, there, [*terms, term]
    return mixture, p, here


def _quantiles(mixture: StreamMixture, here: Evaluation) -> tuple[float, float]:
    """s between which 96 % of the members lie."""
    s, _ = mixture.streams[0].frame(mixture.sky.x, mixture.sky.y)
    order = np.argsort(s)
    share = np.cumsum(here.probability[0, order]) / max(here.probability[0].sum(), 1e-300)
    low, high = np.interp([0.02, 0.98], share, s[order])
    return float(low), float(high)
