"""Discs around stars: how many neighbours of one region lie within each scale, and how unlikely that is."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial import cKDTree
from scipy.special import betainc, gammaln, ndtri_exp

from sky_patches import Footprint
from sky_patches.frames import unit_vectors
from streams.cells import LATTICE_ANGLE, FootprintCells

__all__ = ["BestDiscs", "DiscSearch", "disc_significance"]

COARSE, FINE = 32, 256
"""Points with which the share of a disc inside the footprint is measured: to a per cent or so."""
LEAST_TAIL = 1e-280
"""Below this the incomplete beta function runs out of floating point, and the leading term takes over."""
WORTH_A_TAIL = 2.5
"""Standard deviations above the expectation from which the exact probability is worked out. A binomial's
upper tail is heavier than a Gaussian's, so no disc of three sigma or more is passed over."""

_NO_DISC = (0.0, 0, 0.0, 0, 0.0, 0.0)


def disc_significance(
    count: Float[np.ndarray, " n"], stars: Float[np.ndarray, " n"], share: Float[np.ndarray, " n"]
) -> Float[np.ndarray, " n"]:
    """Gaussian sigma of the exact binomial probability of `count` or more of `stars`, each with `share`.

    The expectation comes from all of a region's stars and is known to a few per cent, so its error is no part
    of the statistic, as it would be where the background is counted in a small annulus (Li & Ma 1983, eq.
    17). The tail is exact because at an arc minute the expectation is a thousandth of a star, where no
    expansion holds. Far out the tail is its first term times a geometric series, right to a part in a
    thousand.
    """
    tail = betainc(count, stars - count + 1.0, share)
    first = gammaln(stars + 1) - gammaln(count + 1) - gammaln(stars - count + 1)
    first = first + count * np.log(share) + (stars - count) * np.log1p(-share)
    ratio = (stars - count) * share / ((count + 1) * (1 - share))
    far = first - np.log1p(-np.minimum(ratio, 0.999))
    logarithm = np.where(tail > LEAST_TAIL, np.log(np.maximum(tail, LEAST_TAIL)), far)
    return -ndtri_exp(np.minimum(logarithm, -1e-12))


@dataclass(frozen=True)
class BestDiscs:
    """The most significant disc of each region: arrays with one entry per region.

    `significance` in Gaussian sigma (local: before the look-elsewhere effect), `star` the place of the disc's
    star in the region's ranking, `scale` its radius in deg, `rank` stars looked at, `count` of them in the
    disc beside its own star and `expected` there. Significance 0: no disc at all.
    """

    significance: Float[np.ndarray, " regions"]
    star: Int[np.ndarray, " regions"]
    scale: Float[np.ndarray, " regions"]
    rank: Int[np.ndarray, " regions"]
    count: Float[np.ndarray, " regions"]
    expected: Float[np.ndarray, " regions"]


class _Discs(NamedTuple):
    """Discs of several skies, one entry each."""

    sigma: Float[np.ndarray, " discs"]
    sky: Int[np.ndarray, " discs"]
    star: Int[np.ndarray, " discs"]
    scale: Int[np.ndarray, " discs"]
    rank: Int[np.ndarray, " discs"]
    count: Float[np.ndarray, " discs"]
    expected: Float[np.ndarray, " discs"]


@dataclass(frozen=True)
class DiscSearch:
    """Star-centred discs over one footprint.

    A disc is drawn around each of a region's best stars and the others in it are counted. That star is not,
    so
    under the null the count is binomial exactly: the other stars fall into the disc independently, each with
    the region's smooth density times the area of the disc inside the footprint.

    Args:
        footprint: in patch coordinates.
        cells: the same as cells.
        scales: radii of the discs, deg, ascending.
        ranks: how many of a region's best stars are looked at; each is tried.
        least: stars of a disc, its own included; fewer are a binary or a multiple star.
    """

    footprint: Footprint
    cells: FootprintCells
    scales: tuple[float, ...]
    ranks: tuple[int, ...]
    least: int

    @cached_property
    def centres(self) -> Float[np.ndarray, "cells 2"]:
        """Patch coordinates of the cells, deg."""
        return np.column_stack(self.cells.plane.unproject(self.cells.x, self.cells.y))

    @cached_property
    def areas(self) -> Float[np.ndarray, "cells scales"]:
        """Area (deg^2) inside the footprint of a disc around each cell: holes and borders are taken off."""
        sphere = 2 * np.pi * (1 - np.cos(np.radians(self.scales))) * np.degrees(1.0) ** 2
        return self._coverage() * sphere

    def cells_of(self, position: Float[np.ndarray, "n 2"]) -> Int[np.ndarray, " n"]:
        """The cell nearest to each position (phi1, phi2), deg."""
        tree = cKDTree(unit_vectors(*self.centres.T))
        return np.asarray(tree.query(unit_vectors(*position.T))[1], dtype=np.int64)

    def scattered(
        self, cells: Int[np.ndarray, " n"], uniform: Float[np.ndarray, "2 n"]
    ) -> Float[np.ndarray, "n 2"]:
        """Positions (phi1, phi2, deg) anywhere in the given cells, from two deviates in [0, 1) per star."""
        along, across = self.cells.size * (uniform - 0.5)
        cosine, sine = np.cos(LATTICE_ANGLE), np.sin(LATTICE_ANGLE)
        shift = np.column_stack([along * cosine - across * sine, along * sine + across * cosine])
        return self.centres[cells] + shift

    def best(
        self,
        vectors: list[Float[np.ndarray, "_ 3"]],
        cells: list[Int[np.ndarray, " _"]],
        densities: Float[np.ndarray, "regions cells"],
    ) -> BestDiscs:
        """The most significant disc of each region.

        Args:
            vectors: unit vectors of each region's stars, highest score first.
            cells: their cells.
            densities: share of each region's stars in each cell.
        """
        found = [self.best_of(*region) for region in zip(vectors, cells, densities, strict=True)]
        columns = np.array(found, dtype=float).reshape(len(found), 6).T
        return BestDiscs(columns[0], columns[1].astype(int), columns[2], columns[3].astype(int), *columns[4:])

    def best_of(
        self,
        vectors: Float[np.ndarray, "n 3"],
        cells: Int[np.ndarray, " n"],
        density: Float[np.ndarray, " cells"],
    ) -> tuple[float, int, float, int, float, float]:
        """The most significant disc of one region: significance, star, scale, rank, count, expected."""
        found = self._discs(vectors[None], cells[None], density)
        if not len(found.sigma):
            return _NO_DISC
        top = int(np.argmax(found.sigma))
        return (
            float(found.sigma[top]), int(found.star[top]), self.scales[found.scale[top]],
            int(found.rank[top]), float(found.count[top]), float(found.expected[top]),
        )  # fmt: skip

    def maxima(
        self,
        vectors: Float[np.ndarray, "skies n 3"],
        cells: Int[np.ndarray, "skies n"],
        density: Float[np.ndarray, " cells"],
    ) -> Float[np.ndarray, " skies"]:
        """The largest significance of one region in several skies, in which its stars lie elsewhere."""
        found = self._discs(vectors, cells, density)
        highest = np.zeros(len(vectors))
        np.maximum.at(highest, found.sky, found.sigma)
        return highest

    def _discs(self, vectors: np.ndarray, cells: np.ndarray, density: np.ndarray) -> _Discs:
        """All discs that hold enough stars to be worth an exact probability."""
        ranks = np.array(sorted({min(rank, vectors.shape[1]) for rank in self.ranks}))
        vectors, cells = vectors[:, : ranks[-1]], cells[:, : ranks[-1]]
        counts = self._counts(vectors, ranks)
        # Density per deg^2 at the disc's star, times the area of the disc: the density is as good as linear.
        share = (density[cells] / self.cells.area[cells])[..., None] * self.areas[cells]
        share = np.clip(share, 1e-12, 0.999)
        expected = share[..., None] * (ranks - 1.0)
        inside = np.arange(vectors.shape[1])[:, None, None] < ranks
        excess = counts - expected > WORTH_A_TAIL * np.sqrt(expected)
        sky, star, scale, rank = place = np.nonzero(inside & excess & (counts >= self.least - 1))
        count = counts[place].astype(float)
        sigma = disc_significance(count, ranks[rank] - 1.0, share[sky, star, scale])
        return _Discs(sigma, sky, star, scale, ranks[rank], count, expected[place])

    def _counts(
        self, vectors: Float[np.ndarray, "skies n 3"], ranks: Int[np.ndarray, " r"]
    ) -> Int[np.ndarray, "skies n scales r"]:
        """Neighbours of each star within each scale, among the best stars of each rank."""
        skies, stars, _ = vectors.shape
        # Skies lie apart in a fourth dimension, so that one tree serves them all.
        apart = np.repeat(10.0 * np.arange(skies), stars)
        points = np.column_stack([vectors.reshape(-1, 3), apart])
        chords = 2 * np.sin(np.radians(self.scales) / 2)
        one, two = cKDTree(points).query_pairs(chords[-1], output_type="ndarray").T
        distance = np.sqrt(((points[one] - points[two]) ** 2).sum(axis=1))
        scale = np.minimum(np.searchsorted(chords, distance), len(chords) - 1)
        # A pair belongs to a ranking when the worse of its two stars does.
        rank = np.searchsorted(ranks, np.maximum(one % stars, two % stars), side="right")
        bins = scale * len(ranks) + rank
        size = len(chords) * len(ranks)
        counts = np.bincount(one * size + bins, minlength=len(points) * size)
        counts += np.bincount(two * size + bins, minlength=len(points) * size)
        return counts.reshape(skies, stars, len(chords), len(ranks)).cumsum(axis=2).cumsum(axis=3)

    def _coverage(self) -> np.ndarray:
        """Share of a disc around each cell that lies inside the footprint: few points, more at borders."""
        covered = np.ones((len(self.centres), len(self.scales)))
        for column, scale in enumerate(self.scales):
            border = np.arange(len(self.centres))
            for points in (COARSE, FINE):
                covered[border, column] = self._inside(self.centres[border], scale, points)
                border = border[covered[border, column] < 1.0]
        return covered

    def _inside(self, centres: np.ndarray, scale: float, points: int) -> np.ndarray:
        number = np.arange(points) + 0.5
        # A sunflower's seeds cover a disc evenly (Vogel 1979).
        radius, angle = scale * np.sqrt(number / points), number * np.pi * (3 - np.sqrt(5))
        phi1, phi2 = centres.T[:, :, None]
        at1 = phi1 + radius * np.cos(angle) / np.cos(np.radians(phi2))
        at2 = np.clip(phi2 + radius * np.sin(angle), -90.0, 90.0)
        inside = np.asarray(self.footprint.contains(at1.ravel(), at2.ravel()))
        return inside.reshape(len(centres), points).mean(axis=1)
