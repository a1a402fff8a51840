"""The local layer: terms of either sign that mend what smooth, symmetric components cannot follow.

Masses outside the volume (bar, spiral arms, a tilted outer halo) act inside it through solid harmonics, which
have no density there; masses inside are followed by blobs on a grid.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from jaxtyping import Float

from dm_map.errors import PotentialError
from dm_map.gravity import GRAVITATIONAL_CONSTANT
from dm_map.potential.components import Layer
from dm_map.potential.dictionary import Dictionary
from dm_map.potential.harmonics import harmonic_value_and_gradient
from dm_map.volume import Ball

if TYPE_CHECKING:
    from gala.potential import PotentialBase

__all__ = ["Blob", "Harmonic", "free_form_layer"]

#: Central density of a blob for a coefficient of one, Msun/pc^3.
_BLOB_DENSITY_OF_ONE = 0.01

_PC3_PER_KPC3 = 1e9


@dataclass(frozen=True)
class Harmonic:
    """A regular solid harmonic r^l Y_lm about the centre of a ball: the field of masses outside it.

    Phi = N (r/R)^l Y_lm with real Y_lm, "cosine" or "sine" in azimuth, and N such that a coefficient of one
    is 1 (km/s)^2/kpc of acceleration, root mean square over the surface of the ball. l = 1 is a uniform
    field.

    Raises:
        PotentialError: degree and order that are not 1 <= l, 0 <= m <= l, or a sine term of order zero.
    """

    name: str
    volume: Ball
    degree: int
    order: int
    part: Literal["cosine", "sine"]

    layer: Layer = "local"
    positive: bool = False
    axisymmetric: bool = False

    def __post_init__(self) -> None:
        if not (self.degree >= 1 and (self.part == "sine") <= self.order <= self.degree):
            raise PotentialError(
                f"harmonic {self.name!r}: 1 <= l, 0 <= m <= l and m >= 1 for a sine; "
                f"got l = {self.degree}, m = {self.order}, {self.part}"
            )

    def potential(self, x: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, " n"]:
        """Phi, (km/s)^2."""
        return self._scale * self._evaluate(x)[0]

    def acceleration(self, x: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
        """-grad Phi, (km/s)^2/kpc."""
        return -self._scale / self.volume.radius * self._evaluate(x)[1]

    def density(self, x: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, " n"]:
        """Zero: the masses are outside the ball."""
        return np.zeros(len(x))

    def to_gala(self, coefficient: float) -> PotentialBase:
        """A gala potential written in Python: gala's own multipoles are undefined at their centre."""
        from dm_map.potential.gala_terms import FieldPotential

        return FieldPotential.of(self, coefficient)

    @property
    def _scale(self) -> float:
        # The mean of |grad(r^l Y)|^2 over the sphere is l (2l + 1) r^(2l - 2) for Y of mean square one.
        return self.volume.radius / math.sqrt(self.degree * (2 * self.degree + 1))

    def _evaluate(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        y = (x - np.asarray(self.volume.centre)) / self.volume.radius
        return harmonic_value_and_gradient(y, self.degree, self.order, self.part == "sine")


@dataclass(frozen=True)
class Blob:
    """A flattened lump: Miyamoto & Nagai's (1975) spheroid about any point, density 0.01 Msun/pc^3 at its
    centre.

    `a = 0` is a Plummer sphere of radius b. The coefficient, a density in units of 0.01 Msun/pc^3, takes
    either
    sign: what counts is that the total density stays positive.

    Raises:
        PotentialError: a < 0 or b <= 0.
    """

    name: str
    centre: tuple[float, float, float]
    a: float
    b: float

    layer: Layer = "local"
    positive: bool = False
    axisymmetric: bool = False

    def __post_init__(self) -> None:
        if not (self.a >= 0 and self.b > 0):
            raise PotentialError(
                f"blob {self.name!r}: a >= 0 and b > 0 (kpc); got a = {self.a}, b = {self.b}"
            )

    @property
    def mass(self) -> float:
        """Msun for a coefficient of one."""
        shape = (self.a + 3 * self.b) / (4 * math.pi * self.b * (self.a + self.b) ** 3)
        return _BLOB_DENSITY_OF_ONE * _PC3_PER_KPC3 / shape

    def potential(self, x: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, " n"]:
        """Phi, (km/s)^2."""
        r2, _, _, height = self._parts(x)
        return -GRAVITATIONAL_CONSTANT * self.mass / np.sqrt(r2 + height**2)

    def acceleration(self, x: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
        """-grad Phi, (km/s)^2/kpc."""
        r2, d, root, height = self._parts(x)
        pull = -GRAVITATIONAL_CONSTANT * self.mass / (r2 + height**2) ** 1.5
        return np.stack([pull * d[:, 0], pull * d[:, 1], pull * d[:, 2] * height / root], axis=-1)

    def density(self, x: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, " n"]:
        """Mass density, Msun/pc^3 (Miyamoto & Nagai 1975, equation 5)."""
        r2, _, root, height = self._parts(x)
        top = self.a * r2 + (self.a + 3 * root) * height**2
        shape = self.b**2 / (4 * math.pi) * top / ((r2 + height**2) ** 2.5 * root**3)
        return self.mass / _PC3_PER_KPC3 * shape

    def to_gala(self, coefficient: float) -> PotentialBase:
        """gala's Miyamoto-Nagai potential with this origin."""
        import gala.potential as gp
        from gala.units import galactic

        mass, origin = coefficient * self.mass, np.asarray(self.centre, dtype=float)
        return gp.MiyamotoNagaiPotential(m=mass, a=self.a, b=self.b, origin=origin, units=galactic)

    def _parts(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        d = np.asarray(x, dtype=np.float64) - np.asarray(self.centre)
        root = np.sqrt(d[:, 2] ** 2 + self.b**2)
        return d[:, 0] ** 2 + d[:, 1] ** 2, d, root, self.a + root


def free_form_layer(
    volume: Ball, spacing: float = 1.6, *, height: float = 0.6, heights: float = 0.8, degree: int = 4
) -> Dictionary:
    """Solid harmonics up to a degree and flattened blobs on a grid, for what no smooth component follows.

    The blobs stand on a square grid in x and y and in rows of z that include the plane, wherever their centre
    is inside the ball. The radius in x and y at which a blob's density has halved is about half the spacing.

    Args:
        volume: The ball, kpc; usually the volume of the stars.
        spacing: Distance between blobs in x and y, kpc.
        height: Their scale height b, kpc.
        heights: Distance between blobs in z, kpc.
        degree: Largest degree of the harmonics; 0 for none.

    Raises:
        PotentialError: lengths that are not positive.
    """
    if not (spacing > 0 and height > 0 and heights > 0 and degree >= 0):
        raise PotentialError(
            "spacing, height and heights are positive (kpc), degree is not negative; "
            f"got {spacing}, {height}, {heights} and {degree}"
        )
    return Dictionary(
        tuple(_harmonics(volume, degree)) + tuple(_blobs(volume, spacing, height, heights)), volume
    )


def _harmonics(volume: Ball, degree: int) -> list[Harmonic]:
    parts = [
        (d, m, part)
        for d in range(1, degree + 1)
        for m in range(d + 1)
        for part in ("cosine", "sine")
        if m > 0 or part == "cosine"
    ]
    return [Harmonic(f"local: harmonic {d} {m} {part}", volume, d, m, part) for d, m, part in parts]


def _blobs(volume: Ball, spacing: float, height: float, heights: float) -> list[Blob]:
    across = spacing * np.arange(
        -math.floor(volume.radius / spacing), math.floor(volume.radius / spacing) + 1
    )
    up = heights * np.arange(-math.floor(volume.radius / heights), math.floor(volume.radius / heights) + 1)
    grid = np.stack(np.meshgrid(across, across, up, indexing="ij"), axis=-1).reshape(-1, 3)
    # Rows of z follow the Galactic plane, not the centre of the ball.
    centres = grid + np.array([volume.centre[0], volume.centre[1], 0.0])
    inside = centres[volume.contains(centres)]
    a = max(0.0, spacing - height)
    return [
        Blob(f"local: blob {x:.3f} {y:.3f} {z:.3f}", (float(x), float(y), float(z)), a, height)
        for x, y, z in inside
    ]
