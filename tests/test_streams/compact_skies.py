"""Small skies for the tests of `streams.compact`: the stream skies' background with clusters in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from stream_skies import PLANE, Sky, make_sky

from streams import StreamStars
from streams.compact import Parallax

__all__ = ["Cluster", "add_clusters", "parallaxes"]


@dataclass(frozen=True)
class Cluster:
    """A Plummer sphere on the sky: half-number radius and centre in deg, proper motion in mas/yr.

    `flat` squeezes it across its first axis.
    """

    stars: int
    radius: float
    centre: tuple[float, float] = (1.0, -1.5)
    proper_motion: tuple[float, float] = (4.0, -3.0)
    spread: float = 0.15
    parallax: float = 2.0
    flat: float = 1.0


def add_clusters(seed: int, clusters: tuple[Cluster, ...], background: int = 4000) -> Sky:
    """A smooth sky and clusters, mixed; origin 0 is the background, 1, 2, ... the clusters."""
    sky = make_sky(seed, background)
    rng = np.random.default_rng([seed, 7])
    parts = [_stars(rng, cluster) for cluster in clusters]
    old, count = sky.stars, [len(sky.origin), *(cluster.stars for cluster in clusters)]
    columns = [
        np.concatenate([column, *(part[k] for part in parts)])
        for k, column in enumerate((old.position, old.proper_motion, old.proper_motion_error, old.photometry))
    ]
    order = rng.permutation(sum(count))
    stars = StreamStars(
        10_000 + np.arange(sum(count)), *(column[order] for column in columns), old.photometry_names
    )
    return Sky(stars, np.repeat(np.arange(len(count)), count)[order])


def _stars(rng: np.random.Generator, cluster: Cluster) -> tuple[np.ndarray, ...]:
    number = cluster.stars
    # Plummer's projected number within R is R^2 / (R^2 + a^2): a holds half. The sky ends at 4 deg.
    share = rng.uniform(0.0, 16.0 / (16.0 + cluster.radius**2), number)
    radius, angle = cluster.radius * np.sqrt(share / (1 - share)), rng.uniform(0, 2 * np.pi, number)
    x, y = radius * np.cos(angle), cluster.flat * radius * np.sin(angle)
    x, y = x + cluster.centre[0], y + cluster.centre[1]
    error = 0.2 * rng.uniform(0.3, 3.0, (number, 2))
    motion = rng.normal(cluster.proper_motion, np.hypot(error, cluster.spread))
    magnitude = rng.uniform(17.0, 20.0, number)
    colour = 0.65 + 0.05 * (magnitude - 18.5) + rng.normal(0.0, 0.03, number)
    return np.column_stack(PLANE.unproject(x, y)), motion, error, np.column_stack([colour, magnitude])


def parallaxes(sky: Sky, clusters: tuple[Cluster, ...], seed: int) -> Parallax:
    """Distant stars all around the sky, and the clusters at theirs; errors of 0.1 to 0.3 mas."""
    rng = np.random.default_rng(seed)
    value = np.concatenate([[np.nan], [cluster.parallax for cluster in clusters]])[sky.origin]
    value = np.where(sky.origin == 0, rng.exponential(0.7, len(sky.origin)), value)
    error = rng.uniform(0.1, 0.3, len(value))
    return Parallax(value + error * rng.normal(size=len(value)), error)
