"""What the likelihood search tries, and what it finds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

from streams.likelihood.errors import LikelihoodError

__all__ = ["Hypothesis", "SearchRecipe", "StreamRidge"]

KMS_PER_MASYR_KPC = 4.740470463
"""Transverse velocity (km/s) of 1 mas/yr at 1 kpc."""


@runtime_checkable
class StreamRidge(Protocol):
    """What the search asks of a colour-magnitude ridge; `streams.ridges.Ridge` is one."""

    @property
    def name(self) -> str:
        """For the reader, for example "[Fe/H] = -1.5"."""
        ...

    def log_density(
        self,
        colour: np.ndarray,
        magnitude: np.ndarray,
        modulus: float,
        colour_error: np.ndarray,
        limits: tuple[float, float],
    ) -> np.ndarray:
        """ln p(colour, G | modulus), per mag^2, normalised over the magnitudes between the limits."""
        ...


@dataclass(frozen=True)
class SearchRecipe:
    """Which streams are looked for; every value may be changed.

    Args:
        motion_limit: largest total proper motion of a stream's middle, mas/yr; less at distances where
            `fastest` allows less. 15 holds GD-1 (13.7 mas/yr at 7.6 kpc), the fastest of the known halo
            streams.
        motion_step: mas/yr. With `spread` a stream between four cells loses a fifth of its significance at
            most where Gaia's errors are small, and nothing at G = 20.
        spread: intrinsic dispersion of a stream in each component, mas/yr; also stands for the step.
        moduli: distance moduli of the grid, mag: 5 to 28 kpc; the best hypotheses are moved by quarters of a
            magnitude from there.
        angle_step: deg. 3 deg carry a line's end of 10 deg aside by a quarter of a degree. Divisors of 90
            treat both axes alike.
        offset_step: deg; a strip is a whole number of these, and begins at each of them.
        widths: full widths of the strips, deg; a strip is best about three Gaussian sigmas wide.
        along_step: length of the pieces of a line along which a gradient is stepped, deg.
        gradients: proper-motion gradients along the line that are tried in each component, mas/yr/deg: all
            pairs. Between two values the ends of a 20 deg line are 0.75 mas/yr off, about an error at G = 20;
            the refinement fits the rest.
        fastest: speed across the line of sight, as seen from the Sun, that no star bound to the Galaxy
            exceeds, km/s: escape (550 km/s) and the Sun's own speed. It bounds the proper motions at each
            distance.
        steepest: largest gradient of a proper motion times the distance, mas/yr/deg kpc: an orbit's
            acceleration and perspective change it by (v^2 / R + 2 mu v_r) / (mu d), 0.1 to 0.2 mas/yr/deg at
            9 kpc. It bounds the gradients at each distance.
        expected_stars: N, stars of the faintest stream that is looked for. It weighs a star: of many likely
            members none counts more than ln(1 + r N ...). The search for richer streams loses little.
        expected_width: full width of that stream, deg: N over its strip's area is its density.
        least_weight: a star with a smaller weight lambda is left out. It bounds memory and time.
        least_stars: a line that is made by fewer (effective) stars is none: a binary and a chance star.
        min_share: a strip that expects less than this share of what the widest strip of its direction
            expects (a corner of the footprint) is not a line.
        tilt_box: side of the box of proper motions that shares one gradient of the expected weights, mas/yr.
        limits: brightest and faintest G of the survey; None: of the stars.
        inspected: local maxima of the grid, of each ridge, that are improved step by step, with every
            quantity of the line free and a Gaussian profile.
        sigmas: narrowest and widest Gaussian sigma of an improved line, deg.
        intrinsic: dispersion of an improved stream's proper motions, mas/yr: 4 km/s at 9 kpc.
        peaks: distinct hypotheses that are listed at most; the lesser ones tell how high chance reaches.
        explained: a hypothesis with more than this share of its excess made by the stars of a better one is
            the same stream (or a line across it).
        clump: a line is no stream when one stretch of this length, deg, holds more than half of its excess
            (see `clump_stretch`): a cluster or a dwarf galaxy. So is a stream shorter than twice that.
        cell_deg: side of the footprint's cells, deg, where a footprint and not cells are given.
    """

    motion_limit: float = 15.0
    motion_step: float = 0.5
    spread: float = 0.3
    moduli: tuple[float, ...] = (13.5, 14.25, 15.0, 15.75, 16.5, 17.25)
    angle_step: float = 3.0
    offset_step: float = 0.25
    widths: tuple[float, ...] = (0.5, 1.0, 2.0)
    along_step: float = 2.5
    gradients: tuple[float, ...] = (-0.15, 0.0, 0.15)
    fastest: float = 850.0
    steepest: float = 2.7
    expected_stars: float = 40.0
    expected_width: float = 0.75
    least_weight: float = 0.02
    least_stars: float = 5.0
    min_share: float = 0.25
    tilt_box: float = 4.0
    limits: tuple[float, float] | None = None
    inspected: int = 400
    sigmas: tuple[float, float] = (0.1, 1.0)
    intrinsic: float = 0.1
    peaks: int = 30
    explained: float = 0.5
    clump: float = 1.0
    cell_deg: float = 0.1

    def __post_init__(self) -> None:
        positive = ("motion_limit", "motion_step", "spread", "angle_step", "offset_step", "along_step",
                    "fastest", "steepest", "expected_stars", "expected_width", "least_weight", "tilt_box",
                    "clump", "cell_deg")  # fmt: skip
        for name in positive:
            if not getattr(self, name) > 0:
                raise LikelihoodError(f"{name} must be positive, got {getattr(self, name)}")
        for name in ("moduli", "widths", "gradients"):
            if not len(getattr(self, name)):
                raise LikelihoodError(f"{name} must hold one value at least, got ()")
        if min(self.widths) < self.offset_step:
            raise LikelihoodError(
                f"the narrowest strip of {min(self.widths)} deg is narrower than offset_step = "
                f"{self.offset_step} deg: lower offset_step"
            )

    @property
    def motions(self) -> Float[np.ndarray, " k"]:
        """Cell centres of the grid in each component, mas/yr; zero is one of them."""
        reach = int(np.floor(self.motion_limit / self.motion_step + 1e-9))
        return np.arange(-reach, reach + 1) * self.motion_step

    def motion_reach(self, modulus: float) -> float:
        """Largest proper motion of a stream at a distance, mas/yr; of any stream for NaN."""
        if np.isnan(modulus):
            return self.motion_limit
        return min(self.motion_limit, self.fastest / (KMS_PER_MASYR_KPC * _kpc(modulus)))

    def gradient_reach(self, modulus: float) -> float:
        """Largest gradient of a proper motion at a distance, mas/yr/deg; of any stream for NaN."""
        most = 2.0 * max(abs(value) for value in self.gradients)
        return most if np.isnan(modulus) else min(most, self.steepest / _kpc(modulus))

    @property
    def bins(self) -> Int[np.ndarray, " widths"]:
        """Each width as a number of offset bins, narrowest first."""
        widths = sorted(self.widths)
        return np.array([max(round(width / self.offset_step), 1) for width in widths], dtype=np.int64)

    @property
    def gradient_pairs(self) -> Float[np.ndarray, "pairs 2"]:
        """All pairs of gradients, the flat one first: of equal hypotheses the plainest is kept."""
        values = sorted(self.gradients, key=abs)
        pairs = sorted(((a, b) for a in values for b in values), key=lambda pair: abs(pair[0]) + abs(pair[1]))
        return np.array(pairs, dtype=float)


@dataclass(frozen=True)
class Hypothesis:
    """A line with a proper motion, and the stars that speak for it.

    The line is x sin(theta) - y cos(theta) = offset in the footprint's tangent plane; s = x cos(theta) +
    y sin(theta) runs along it from the point next to the centre, deg.

    Args:
        theta: radians, [0, pi).
        offset: deg.
        width: Gaussian sigma across the line, deg.
        along: the part of the line, in s, that holds all but the outer tenths of the weight, deg.
        motion: (pm_phi1_cosphi2, pm_phi2) at s = 0, mas/yr.
        gradient: their change per degree of s, mas/yr/deg.
        modulus: distance modulus, mag; NaN where no ridge was given.
        ridge: its name; "" where none was given.
        significance: Gaussian sigma of one hypothesis (local: before the look-elsewhere effect), from the
            saddlepoint tail.
        contrast: excess over sqrt(variance + square of the largest weight): a plain figure, no probability.
        observed: sum of the weights along the line.
        expected: of stars with the same features that follow the smooth density.
        rows: row numbers of the line's stars with a weight, heaviest first.
        weights: their lambda = ln(1 + stream over background density).
        stretch: for a clump the part of the line, in s, that holds more than half of its excess, deg; None
            for a line.
    """

    theta: float
    offset: float
    width: float
    along: tuple[float, float]
    motion: tuple[float, float]
    gradient: tuple[float, float]
    modulus: float
    ridge: str
    significance: float
    contrast: float
    observed: float
    expected: float
    rows: Int[np.ndarray, " k"] = field(repr=False)
    weights: Float[np.ndarray, " k"] = field(repr=False)
    stretch: tuple[float, float] | None = None

    @property
    def clump(self) -> bool:
        """Whether it owes its significance to one place: a cluster or a dwarf galaxy, and no stream."""
        return self.stretch is not None


def _kpc(modulus: float) -> float:
    return float(10.0 ** (0.2 * modulus - 2.0))
