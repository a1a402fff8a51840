"""Skies with an exact background density, and streams drawn from the refinement's model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from sky_patches import Circle, Footprint
from streams import FootprintCells, StreamStars
from streams.ridges import INTRINSIC_COLOUR_SPREAD, old_ridges

__all__ = ["CELLS", "FOOTPRINT", "RIDGE", "ModelSky", "ModelStream", "error_at", "model_sky"]

FOOTPRINT: Footprint = Circle(6.0)
CELLS = FootprintCells.of(FOOTPRINT, 0.1)
RIDGE = old_ridges()[1]
LIMITS = (14.0, 20.2)
_SLOPE = 0.6
_HALO = ((0.6, (0.0, -1.0), 5.0), (0.4, (-2.0, -3.0), 2.0))
"""Share, mean and sigma (mas/yr) of the background's two Gaussians in proper motion."""
_COLOUR = (0.95, 0.3)


@dataclass(frozen=True)
class ModelStream:
    """A stream: line (theta, offset, curvature, deg), motions a + b s, distance modulus with a slope."""

    stars: float
    theta: float = 0.6
    offset: float = 0.8
    curvature: float = 0.0
    width: float = 0.2
    proper_motion: tuple[tuple[float, float], tuple[float, float]] = ((3.0, 0.10), (-4.0, -0.06))
    spread: tuple[float, float] = (0.25, 0.15)
    modulus: float = 15.0
    slope: float = 0.0
    extent: tuple[float, float] = (-7.0, 7.0)
    double: float = 0.0


@dataclass(frozen=True)
class ModelSky:
    """Stars, the exact log density of the background at each, and the stream each came from (0: none)."""

    stars: StreamStars
    log_background: Float[np.ndarray, " n"]
    origin: Int[np.ndarray, " n"]
    truth: tuple[ModelStream, ...]


def error_at(magnitude: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Proper-motion error, mas/yr, much as Gaia's."""
    return 0.05 + 0.35 * 10 ** (0.2 * (magnitude - 19.5))


def model_sky(
    seed: int, background: int = 6000, streams: tuple[ModelStream, ...] = (), photometry: bool = True
) -> ModelSky:
    """A sky over `FOOTPRINT`; numbers of stream stars are Poisson. `log_background` is exact."""
    rng = np.random.default_rng(seed)
    parts = [_background(rng, background), *(_stream(rng, one) for one in streams)]
    origin = np.repeat(np.arange(len(parts)), [len(part[0]) for part in parts])
    xy, motion, colour, magnitude = (np.concatenate(column) for column in zip(*parts, strict=True))
    error = error_at(magnitude)
    motion = motion + error[:, None] * rng.normal(size=motion.shape)
    position = np.column_stack(CELLS.plane.unproject(*xy.T))
    order = rng.permutation(len(origin))
    light = np.column_stack([colour, magnitude]) if photometry else np.empty((len(origin), 0))
    names = ("bp_rp", "phot_g_mean_mag") if photometry else ()
    log_background = _log_motion(motion, error)
    if photometry:
        log_background = log_background + _log_light(colour, magnitude)
    stars = StreamStars(
        10_000 + np.arange(len(origin)), position[order], motion[order],
        np.column_stack([error, error])[order], light[order], names,
    )  # fmt: skip
    return ModelSky(stars, log_background[order], origin[order], streams)


def _background(rng: np.random.Generator, count: int) -> tuple[np.ndarray, ...]:
    phi = np.stack(FOOTPRINT.sample(count, int(rng.integers(2**31))))
    kind = rng.random(count) < _HALO[0][0]
    mean, sigma = (np.where(kind[:, None], *(np.atleast_1d(h[k]) for h in _HALO)) for k in (1, 2))
    motion = mean + sigma * rng.normal(size=(count, 2))
    low, high = np.exp(_SLOPE * np.array(LIMITS))
    magnitude = np.log(low + rng.random(count) * (high - low)) / _SLOPE
    colour = rng.normal(*_COLOUR, count)
    return np.stack(CELLS.plane.project(*phi), axis=1), motion, colour, magnitude


def _stream(rng: np.random.Generator, one: ModelStream) -> tuple[np.ndarray, ...]:
    # Drawn in a longer strip and cut by the footprint, so that edges are as real ones.
    reach = FOOTPRINT.radius
    s = rng.uniform(-reach, reach, 200 * int(one.stars + 1))
    width = np.where(rng.random(len(s)) < 0.5, one.width, max(one.double, one.width))
    t = one.offset + one.curvature * s**2 + width * rng.normal(size=len(s))
    cosine, sine = np.cos(one.theta), np.sin(one.theta)
    x, y = s * cosine + t * sine, s * sine - t * cosine
    inside = FOOTPRINT.contains(*CELLS.plane.unproject(x, y)) & (s > one.extent[0]) & (s < one.extent[1])
    chosen = np.flatnonzero(inside)[: rng.poisson(one.stars)]
    x, y, s = x[chosen], y[chosen], s[chosen]
    motion = np.column_stack([a + b * s for a, b in one.proper_motion])
    motion += np.array(one.spread) * rng.normal(size=motion.shape)
    colour, magnitude = _light(rng, one.modulus + one.slope * s)
    return np.column_stack([x, y]), motion, colour, magnitude


def _light(rng: np.random.Generator, modulus: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    grid = np.linspace(*LIMITS, 2000)
    table = {m: np.cumsum(np.exp(RIDGE.log_luminosity_density(grid, m, LIMITS))) for m in np.unique(modulus)}
    magnitude = np.array([np.interp(rng.random() * table[m][-1], table[m], grid) for m in modulus])
    sigma = np.hypot(colour_error(magnitude), INTRINSIC_COLOUR_SPREAD)
    return RIDGE.colour(magnitude - modulus) + sigma * rng.normal(size=len(magnitude)), magnitude


def colour_error(magnitude: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Error of BP-RP, mag."""
    return 0.01 + 0.05 * 10 ** (0.25 * (magnitude - 19.5))


def _log_motion(motion: np.ndarray, error: np.ndarray) -> np.ndarray:
    density = np.zeros(len(error))
    for share, mean, sigma in _HALO:
        variance = sigma**2 + error**2
        square = ((motion - np.array(mean)) ** 2).sum(axis=1)
        density += share * np.exp(-0.5 * square / variance) / (2 * np.pi * variance)
    return np.log(density)


def _log_light(colour: np.ndarray, magnitude: np.ndarray) -> np.ndarray:
    low, high = np.exp(_SLOPE * np.array(LIMITS))
    mean, sigma = _COLOUR
    log_colour = -0.5 * ((colour - mean) / sigma) ** 2 - np.log(np.sqrt(2 * np.pi) * sigma)
    return log_colour + np.log(_SLOPE) + _SLOPE * magnitude - np.log(high - low)
