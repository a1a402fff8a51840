"""Smooth shapes of a background spectrum, each the exponential of a sum that is linear in its parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from density.errors import DetectorError

__all__ = ["Dijet", "ExpPolynomial", "SpectrumShape"]


@runtime_checkable
class SpectrumShape(Protocol):
    """Rate per unit of m: exp(columns @ parameters). Linear in the parameters, so a Poisson fit of counts
    needs no starting values and has one optimum."""

    @property
    def parameters(self) -> int:
        """Number of parameters, the normalisation among them."""

    def columns(self, m: Float[np.ndarray, " n"], low: float, high: float) -> Float[np.ndarray, "n k"]:
        """What each parameter multiplies in the logarithm of the rate.

        Args:
            m: Resonant feature, shape (n,).
            low: Lower end of the fitted range.
            high: Upper end.

        Raises:
            DetectorError: the shape is not defined over [low, high].
        """


@dataclass(frozen=True)
class Dijet:
    """f(y) = p1 (1 - y)^p2 y^-(p3 + p4 ln y), y = m / scale: the falling spectrum of two-jet events.

    The form of CDF, ATLAS and CMS (CDF 2009, arXiv 0812.4036); three parameters leave p4 at zero.

    Args:
        scale: What m is divided by: the collision energy, in the unit of m.
        terms: 3 or 4 parameters.
    """

    scale: float
    terms: int = 3

    def __post_init__(self) -> None:
        if not (np.isfinite(self.scale) and self.scale > 0):
            raise DetectorError(f"the dijet shape needs a positive scale in the unit of m; got {self.scale}")
        if self.terms not in (3, 4):
            raise DetectorError(f"the dijet shape has 3 or 4 parameters; got {self.terms}")

    @property
    def parameters(self) -> int:
        """Number of parameters."""
        return self.terms

    def columns(self, m: Float[np.ndarray, " n"], low: float, high: float) -> Float[np.ndarray, "n k"]:
        """1, ln(1 - y), -ln y, and -(ln y)^2 where there are four."""
        if not 0 < low < high < self.scale:
            raise DetectorError(
                f"the dijet shape is defined for 0 < m < {self.scale:g} (its scale); got the range"
                f" [{low:g}, {high:g}]; narrow the range or use ExpPolynomial"
            )
        y = np.asarray(m, dtype=np.float64) / self.scale
        log = np.log(y)
        return np.stack([np.ones_like(y), np.log1p(-y), -log, -(log**2)][: self.terms], axis=1)


@dataclass(frozen=True)
class ExpPolynomial:
    """exp of a polynomial in m: degree 1 is an exponential, degree 2 a Gaussian's flank.

    The parameters are coefficients of Legendre polynomials over the fitted range, which keeps high degrees
    well conditioned.

    Args:
        degree: Degree of the polynomial, 0 or more.
    """

    degree: int = 2

    def __post_init__(self) -> None:
        if self.degree < 0:
            raise DetectorError(f"the degree of a polynomial is 0 or more; got {self.degree}")

    @property
    def parameters(self) -> int:
        """Number of parameters."""
        return self.degree + 1

    def columns(self, m: Float[np.ndarray, " n"], low: float, high: float) -> Float[np.ndarray, "n k"]:
        """Legendre polynomials of m mapped from [low, high] to [-1, 1]."""
        scaled = (2 * np.asarray(m, dtype=np.float64) - low - high) / (high - low)
        return np.polynomial.legendre.legvander(scaled, self.degree)
