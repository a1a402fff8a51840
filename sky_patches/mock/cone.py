"""Exact draws from a population within a cone: direction, distance and magnitude, nothing clipped."""

from __future__ import annotations

from dataclasses import dataclass

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord, angular_separation
from jaxtyping import Bool, Float

from sky_patches.mock.populations import Population, galactocentric_positions
from sky_patches.mock.ridge import absolute_magnitudes, distance_modulus, luminosity_count
from sky_patches.mock.sightlines import cumulative_counts, draw_distances

__all__ = ["Cone", "Sightline"]

_CHUNK = 20_000


@dataclass(frozen=True, slots=True)
class Cone:
    """A circle on the sky, seen as a cone from the Sun: centre and radius in degrees (ICRS)."""

    ra_deg: float
    dec_deg: float
    radius_deg: float

    def contains(self, ra: Float[np.ndarray, " n"], dec: Float[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
        """Which of the positions (degrees, shape (n,)) lie within the circle."""
        separation = angular_separation(
            np.radians(self.ra_deg), np.radians(self.dec_deg), np.radians(ra), np.radians(dec)
        )
        return np.asarray(np.degrees(separation) <= self.radius_deg)

    @property
    def solid_angle(self) -> float:
        """Solid angle in steradians."""
        return float(2.0 * np.pi * (1.0 - np.cos(np.radians(self.radius_deg))))

    def directions(
        self, cap: Float[np.ndarray, " n"], azimuth: Float[np.ndarray, " n"]
    ) -> Float[np.ndarray, "n 3"]:
        """Unit vectors at a fraction `cap` of the circle's area (0 centre, 1 rim) and an azimuth in rad."""
        cosine = 1.0 - cap * (1.0 - np.cos(np.radians(self.radius_deg)))
        sine = np.sqrt(np.maximum(0.0, 1.0 - cosine**2))
        centre = SkyCoord(self.ra_deg * u.deg, self.dec_deg * u.deg)
        pole = centre.cartesian.xyz.value
        ra = np.radians(self.ra_deg)
        east = np.array([-np.sin(ra), np.cos(ra), 0.0])
        north = np.cross(pole, east)
        side = np.cos(azimuth)[:, None] * north + np.sin(azimuth)[:, None] * east
        return cosine[:, None] * pole + sine[:, None] * side


@dataclass(frozen=True, slots=True)
class Sightline:
    """Stars of one population in a cone, between two apparent magnitudes and two distances.

    The number of stars per unit of solid angle, ln(distance) and magnitude is rho(x) d^3 phi(G - 5 lg d -
    10). A direction is accepted in proportion to the integral over distance along it, a distance follows the
    cumulative distribution along *its own* direction, a magnitude the luminosity function at its own
    distance.

    Attributes:
        population: the population.
        cone: where on the sky.
        bright: bright limit in G.
        faint: faint limit in G.
        nearest: smallest distance in kpc.
        farthest: largest distance in kpc.
        steps: points of the distance grid (even in the logarithm).
    """

    population: Population
    cone: Cone
    bright: float
    faint: float
    nearest: float
    farthest: float = 150.0
    steps: int = 240

    @property
    def _grid(self) -> Float[np.ndarray, " k"]:
        return np.geomspace(self.nearest, self.farthest, self.steps)

    def _cumulative(self, directions: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n k"]:
        """Stars per steradian nearer than each grid distance, along each direction."""
        distance = self._grid
        modulus = distance_modulus(distance)
        visible = luminosity_count(self.faint - modulus) - luminosity_count(self.bright - modulus)
        return cumulative_counts(self.population, directions, distance, visible)

    def counts(
        self, cap: Float[np.ndarray, " n"], azimuth: Float[np.ndarray, " n"]
    ) -> Float[np.ndarray, " n"]:
        """Expected stars per steradian along directions given as in `Cone.directions`, shape (n,)."""
        return self._cumulative(self.cone.directions(cap, azimuth))[:, -1]

    def expected(self) -> float:
        """Expected number of stars of the population in the cone: Gauss-Legendre in area, even in azimuth."""
        nodes, weights = np.polynomial.legendre.leggauss(12)
        azimuth = np.arange(24) * (2.0 * np.pi / 24)
        cap, turn = np.meshgrid(0.5 * (nodes + 1.0), azimuth, indexing="ij")
        per_steradian = self.counts(cap.ravel(), turn.ravel()).reshape(cap.shape)
        return float(self.cone.solid_angle * 0.5 * weights @ per_steradian.mean(axis=1))

    def _bound(self) -> float:
        """An upper bound of `counts` over the cone."""
        cap, turn = np.meshgrid(np.linspace(0.0, 1.0, 17), np.linspace(0.0, 2.0 * np.pi, 49), indexing="ij")
        return 1.02 * float(self.counts(cap.ravel(), turn.ravel()).max())

    def draw(
        self, n: int, rng: np.random.Generator
    ) -> tuple[Float[np.ndarray, "n 3"], Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
        """Draw `n` stars.

        Args:
            n: number of stars.
            rng: source of randomness.

        Returns:
            Galactocentric positions in kpc, shape (n, 3); distances in kpc, shape (n,); absolute G
            magnitudes, (n,).
        """
        bound, chunks, found = self._bound(), [], 0
        while found < n:
            size = min(_CHUNK, 2 * (n - found) + 100)
            directions = self.cone.directions(rng.random(size), 2.0 * np.pi * rng.random(size))
            cumulative = self._cumulative(directions)
            level = bound * rng.random(size)
            peak = float(cumulative[:, -1].max())
            if peak > bound:  # the bound was too low: start again with one that holds
                bound, chunks, found = 1.05 * peak, [], 0
                continue
            taken = level < cumulative[:, -1]
            distance = draw_distances(cumulative[taken], self._grid, rng)
            chunks.append((directions[taken], distance))
            found += len(distance)
        direction = np.concatenate([chunk[0] for chunk in chunks])[:n] if n else np.zeros((0, 3))
        distance = np.concatenate([chunk[1] for chunk in chunks])[:n] if n else np.zeros(0)
        modulus = distance_modulus(distance)
        magnitudes = absolute_magnitudes(self.bright - modulus, self.faint - modulus, rng)
        return galactocentric_positions(direction, distance[:, None])[:, 0], distance, magnitudes
