"""Test functions of velocity: polynomials under a Gaussian taper, about the mean velocity of the stars."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import combinations_with_replacement
from typing import Literal

import numpy as np
from jaxtyping import Float

from dm_map.errors import WeakFormError

__all__ = ["Frame", "LocalFrame", "VelocityFunctions"]

Frame = Literal["cartesian", "cylindrical"]


@dataclass(frozen=True, eq=False)
class LocalFrame:
    """Velocities of n stars along local axes, and what the turning of the axes adds to their rates of change.

    Attributes:
        velocity: Components w along the local axes, km/s: (x, y, z) or (R, phi, z).
        geometric: dw/dt without forces: (v_phi^2/R, -v_R v_phi/R, 0) along cylindrical axes, else zero.
        rotation: (Omega z x v) along the axes minus the turning of the axes, for Omega = 1: what a rotating
            frame adds to dw/dt with the sign reversed; zero along cylindrical axes.
        axes: Local unit vectors, shape (n, 3, 3): axes[:, c] is axis c in Cartesian components.
    """

    velocity: Float[np.ndarray, "n 3"]
    geometric: Float[np.ndarray, "n 3"]
    rotation: Float[np.ndarray, "n 3"]
    axes: Float[np.ndarray, "n 3 3"]

    @classmethod
    def of(cls, frame: Frame, x: Float[np.ndarray, "n 3"], v: Float[np.ndarray, "n 3"]) -> LocalFrame:
        """The local frame at the stars."""
        axes = np.zeros((len(x), 3, 3))
        axes[:, 2, 2] = 1.0
        if frame == "cartesian":
            axes[:, 0, 0] = axes[:, 1, 1] = 1.0
            turned = np.stack([-v[:, 1], v[:, 0], np.zeros(len(v))], axis=1)
            return cls(v, np.zeros_like(v), turned, axes)
        radius = np.hypot(x[:, 0], x[:, 1])
        cosine, sine = x[:, 0] / radius, x[:, 1] / radius
        axes[:, 0, 0], axes[:, 0, 1] = cosine, sine
        axes[:, 1, 0], axes[:, 1, 1] = -sine, cosine
        w = np.stack([v[:, 0] * cosine + v[:, 1] * sine, v[:, 1] * cosine - v[:, 0] * sine, v[:, 2]], axis=1)
        turning = np.stack([w[:, 1] ** 2, -w[:, 0] * w[:, 1], np.zeros(len(v))], axis=1) / radius[:, None]
        return cls(w, turning, np.zeros_like(w), axes)


@dataclass(frozen=True)
class VelocityFunctions:
    """P_m(w) = u_1^a u_2^b u_3^c exp(-|u|^2/2), u = (w - mean) / (scale dispersion), along local axes.

    Degree 1 is Jeans' equation in integral form, weighted towards stars slower than the taper; several tapers
    tell cold populations, which know the acceleration best, from hot ones. Even degrees have no force in them
    for a population without streaming: they are equations of continuity.

    Attributes:
        frame: Local axes.
        mean: Mean velocity along the axes, km/s.
        dispersion: Dispersion along each axis, km/s.
        terms: Pairs (scale, degrees): all monomials of these degrees under a taper of this scale.

    Raises:
        WeakFormError: no term, or a scale or dispersion that is not positive.
    """

    frame: Frame
    mean: tuple[float, float, float]
    dispersion: tuple[float, float, float]
    terms: tuple[tuple[float, tuple[int, ...]], ...]

    def __post_init__(self) -> None:
        if not self.terms or not all(scale > 0 and degrees for scale, degrees in self.terms):
            raise WeakFormError(f"velocity functions need terms (positive scale, degrees); got {self.terms}")
        if not all(value > 0 and np.isfinite(value) for value in self.dispersion):
            raise WeakFormError(f"dispersions are positive, km/s; got {self.dispersion}")

    @cached_property
    def monomials(self) -> tuple[tuple[float, tuple[int, int, int]], ...]:
        """(scale, exponents) of every function, in order."""
        found = []
        for scale, degrees in self.terms:
            for degree in degrees:
                for axes in combinations_with_replacement(range(3), degree):
                    found.append((scale, (axes.count(0), axes.count(1), axes.count(2))))
        return tuple(found)

    @property
    def size(self) -> int:
        """Number of functions of velocity."""
        return len(self.monomials)

    @property
    def degrees(self) -> tuple[int, ...]:
        """Degree of each function."""
        return tuple(sum(exponents) for _, exponents in self.monomials)

    def evaluate(
        self, w: Float[np.ndarray, "n 3"]
    ) -> tuple[Float[np.ndarray, "n m"], Float[np.ndarray, "3 n m"]]:
        """Values, and derivatives with respect to w, 1/(km/s)."""
        values = np.empty((len(w), self.size))
        slopes = np.empty((3, len(w), self.size))
        scale_before, powers, taper, width = None, np.empty(0), np.empty(0), np.empty(0)
        for m, (scale, exponents) in enumerate(self.monomials):
            if scale != scale_before:
                scale_before, width = scale, scale * np.asarray(self.dispersion)
                u = (w - np.asarray(self.mean)) / width
                taper = np.exp(-0.5 * np.sum(u * u, axis=1))
                powers = np.stack([np.ones_like(u), u, u**2, u**3, u**4])
            factors = [powers[e][:, axis] for axis, e in enumerate(exponents)]
            value = factors[0] * factors[1] * factors[2] * taper
            values[:, m] = value
            for axis, e in enumerate(exponents):
                slope = -powers[1][:, axis] * value
                if e:
                    others = factors[(axis + 1) % 3] * factors[(axis + 2) % 3]
                    slope = slope + e * powers[e - 1][:, axis] * others * taper
                slopes[axis, :, m] = slope / width[axis]
        return values, slopes
