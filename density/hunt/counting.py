"""Counting: an observed number against an expected one with an error, and the template estimate of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import xlogy
from scipy.stats import norm

from density.errors import DetectorError
from density.hunt.spectrum import Expected

__all__ = ["Count", "on_off_significance", "template_count"]


@dataclass(frozen=True)
class Count:
    """Events in a window after a cut, beside what was expected.

    Args:
        observed: Events that survive the cut in the window.
        expected: Background expected among them, with its error.
        efficiency: Share of the background that survives the cut.
    """

    observed: int
    expected: Expected
    efficiency: float

    @property
    def significance(self) -> float:
        """Signed local significance, sigma; see `on_off_significance`."""
        return on_off_significance(self.observed, self.expected)

    @property
    def p_value(self) -> float:
        """Asymptotic local p-value of the excess, a mid-p-value as in `Bump.p_value`."""
        return float(norm.sf(self.significance))


def on_off_significance(observed: int, expected: Expected) -> float:
    """Signed significance of a count whose expectation is known with an error.

    The profile likelihood of a main and a control measurement (Li & Ma 1983, eq. 17; arXiv 1007.1727),
    where the control's count is (value / error)^2: the Poisson count with that relative error.
    Without an error it is the plain Poisson likelihood ratio.

    Args:
        observed: Events counted.
        expected: Expected background; positive.

    Raises:
        DetectorError: the expectation is not positive, or its error negative.
    """
    b, error = expected.value, expected.error
    if not (np.isfinite(b) and b > 0 and np.isfinite(error) and error >= 0 and observed >= 0):
        raise DetectorError(
            f"expected a positive background with an error of zero or more and a count of zero or more; got"
            f" {b:g} +- {error:g} and {observed}; loosen the cut"
        )
    n = float(observed)
    if error == 0:
        ratio = xlogy(n, n / b) - (n - b)
    else:
        off, scale = (b / error) ** 2, b / error**2
        common = (n + off) / (1 + scale)
        ratio = xlogy(n, n / common) + xlogy(off, off / (scale * common))
    return float(np.copysign(np.sqrt(2 * max(ratio, 0.0)), n - b))


def template_count(*, observed: int, before: Expected, passed: int, reference: int) -> Count:
    """Template counting: the window's background before the cut times the cut's efficiency elsewhere.

    The reference is background that the same fold's model scored and did not train on: sideband events,
    where the features do not change with m, or samples of the background density in the window. The
    relative errors of the two factors add in quadrature.

    Args:
        observed: Events that survive the cut in the window.
        before: Background of the window before the cut, as `Bump.expected` of the uncut spectrum.
        passed: Reference events that survive the cut.
        reference: All reference events.

    Raises:
        DetectorError: no reference event survives, or more survive than there are.
    """
    if not 0 < passed <= reference:
        raise DetectorError(
            f"expected at least one and at most all reference events to survive the cut; got {passed} of"
            f" {reference}; loosen the cut or take more reference events"
        )
    efficiency = passed / reference
    value = before.value * efficiency
    relative = np.hypot(before.error / before.value, np.sqrt(1 / passed))
    return Count(observed, Expected(value, float(value * relative)), efficiency)
