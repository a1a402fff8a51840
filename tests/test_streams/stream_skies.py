"""Small skies for the tests of `streams`: a smooth background, streams, scores that know no positions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from sky_patches import Circle
from streams import COMPONENTS, StreamStars, TangentPlane, WindowScores

__all__ = ["FOOTPRINT", "PLANE", "Injected", "Sky", "make_sky", "reorder", "scored_windows"]

FOOTPRINT = Circle(6.0)
PLANE = TangentPlane(*FOOTPRINT.centre)


@dataclass(frozen=True)
class Injected:
    """A straight stream (deg, mas/yr): the line (theta, offset) in the tangent plane, pm = a + b s."""

    stars: int
    theta: float
    offset: float
    width: float = 0.15
    proper_motion: tuple[tuple[float, float], tuple[float, float]] = ((4.0, 0.0), (-3.0, 0.0))
    spread: float = 0.2
    colour: float = 0.65

    @property
    def centre(self) -> tuple[float, float]:
        return self.proper_motion[0][0], self.proper_motion[1][0]


@dataclass(frozen=True)
class Sky:
    """Stars and where they came from: 0 background, 1, 2, ... the injected streams."""

    stars: StreamStars
    origin: Int[np.ndarray, " n"]


def make_sky(
    seed: int,
    background: int = 4000,
    streams: tuple[Injected, ...] = (),
    gradient: tuple[float, float] = (0.0, 0.0),
    error: float = 0.2,
) -> Sky:
    """Background of density exp(gradient . position) and streams, mixed, sorted by source_id."""
    rng = np.random.default_rng(seed)
    xy = _background(rng, background, gradient)
    motion = rng.normal(0.0, 5.0, (background, 2))
    photometry = np.column_stack([rng.uniform(0.3, 1.5, background), rng.uniform(16.0, 20.0, background)])
    parts = [(xy, motion, photometry), *(_stream(rng, stream) for stream in streams)]
    xy, motion, photometry = (np.concatenate(column) for column in zip(*parts, strict=True))
    origin = np.repeat(np.arange(len(parts)), [len(part[0]) for part in parts])
    errors = error * rng.uniform(0.3, 3.0, motion.shape)
    motion = motion + errors * rng.normal(size=motion.shape)
    position = np.column_stack(PLANE.unproject(*xy.T))
    order = rng.permutation(len(origin))
    stars = StreamStars(
        10_000 + np.arange(len(origin)), position[order], motion[order], errors[order],
        photometry[order], ("bp_rp", "phot_g_mean_mag"),
    )  # fmt: skip
    return Sky(stars, origin[order])


def _background(
    rng: np.random.Generator, count: int, gradient: tuple[float, float]
) -> Float[np.ndarray, "n 2"]:
    phi = np.stack(FOOTPRINT.sample(20 * count, int(rng.integers(2**31))))
    xy = np.stack(PLANE.project(*phi))
    log_weight = gradient[0] * xy[0] + gradient[1] * xy[1] + np.log(np.cos(np.radians(phi[1])))
    kept = rng.random(xy.shape[1]) < np.exp(log_weight - log_weight.max())
    return xy[:, kept][:, :count].T


def _stream(rng: np.random.Generator, stream: Injected) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    reach = np.sqrt(max(5.5**2 - stream.offset**2, 0.0))
    s = rng.uniform(-reach, reach, stream.stars)
    t = stream.offset + rng.normal(0.0, stream.width, stream.stars)
    sine, cosine = np.sin(stream.theta), np.cos(stream.theta)
    motion = np.column_stack([a + b * s for a, b in stream.proper_motion])
    motion += rng.normal(0.0, stream.spread, motion.shape)
    magnitude = rng.uniform(17.0, 20.0, stream.stars)
    colour = stream.colour + 0.05 * (magnitude - 18.5) + rng.normal(0.0, 0.03, stream.stars)
    xy = np.column_stack([s * cosine + t * sine, s * sine - t * cosine])
    return xy, motion, np.column_stack([colour, magnitude])


def scored_windows(
    sky: Sky, seed: int, boost: float = 2.5, lows: tuple[float, ...] = (-6.0, -3.0, 0.0)
) -> list[WindowScores]:
    """Windows of 6 mas/yr: Gaussian scores, stream stars `boost` higher; no position enters."""
    score = np.random.default_rng(seed).normal(size=len(sky.origin)) + boost * (sky.origin > 0)
    windows = []
    for number, component in enumerate(COMPONENTS):
        motion = sky.stars.proper_motion[:, number]
        for low in lows:
            rows = np.flatnonzero((motion >= low) & (motion < low + 6.0))
            windows.append(WindowScores(component, low, low + 6.0, rows, score[rows]))
    return windows


def reorder(
    sky: Sky, windows: list[WindowScores], order: Int[np.ndarray, " n"]
) -> tuple[Sky, list[WindowScores]]:
    """The same sky with its rows in another order, and the same windows over it."""
    stars, position = sky.stars, np.argsort(order)
    moved = StreamStars(
        stars.source_id[order], stars.position[order], stars.proper_motion[order],
        stars.proper_motion_error[order], stars.photometry[order], stars.photometry_names,
    )  # fmt: skip
    over = [WindowScores(w.component, w.low, w.high, position[w.rows], w.log_ratio) for w in windows]
    return Sky(moved, sky.origin[order]), over
