"""Real regular solid harmonics and their gradients, by recursion in Cartesian coordinates: no poles."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float

__all__ = ["harmonic_value_and_gradient"]


def harmonic_value_and_gradient(
    x: Float[np.ndarray, "n 3"], degree: int, order: int, sine: bool
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, "n 3"]]:
    """r^l Y_lm, of mean square one over the unit sphere, and its gradient.

    With R_lm = r^l P_lm(cos theta) exp(i m phi) / (l + m)!, without the sign (-1)^m, the derivatives are
    again solid harmonics: dR_lm/dz = R_(l-1)m, and d/dx -+ i d/dy lead to R_(l-1)(m-1) and -R_(l-1)(m+1).
    """
    value = _solid(x, degree, order)
    lower = _solid(x, degree - 1, order - 1)
    raised = _solid(x, degree - 1, order + 1)
    derivative = [0.5 * (lower - raised), 0.5j * (lower + raised), _solid(x, degree - 1, order)]
    # 1/sqrt of the mean square of the real part of R_lm over the sphere.
    norm = math.sqrt(math.factorial(degree + order) * math.factorial(degree - order) * (2 * degree + 1))
    norm *= 1.0 if order == 0 else math.sqrt(2.0)

    def part(values: np.ndarray) -> np.ndarray:
        return norm * (values.imag if sine else values.real)

    return part(value), np.stack([part(values) for values in derivative], axis=-1)


def _solid(x: Float[np.ndarray, "n 3"], degree: int, order: int) -> np.ndarray:
    """R_lm, complex, shape (n,); zero where |m| > l. R_l(-m) = (-1)^m conj(R_lm)."""
    if abs(order) > degree:
        return np.zeros(len(x), dtype=complex)
    if order < 0:
        return (-1) ** order * np.conj(_solid(x, degree, -order))
    ring = x[:, 0] + 1j * x[:, 1]
    # R_mm = (x + iy)^m / (2^m m!).
    below, current = np.zeros(len(x), dtype=complex), ring**order / (2.0**order * math.factorial(order))
    r2 = np.sum(x**2, axis=-1)
    for step in range(order + 1, degree + 1):
        above = ((2 * step - 1) * x[:, 2] * current - r2 * below) / (step**2 - order**2)
        below, current = current, above
    return current
