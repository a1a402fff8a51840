"""Bump hunt: a smooth background from the sidebands, its expectation in the window, and the local p-value."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import brentq
from scipy.stats import chi2, norm

from density.errors import DetectorError
from density.hunt.shapes import ExpPolynomial, SpectrumShape
from density.hunt.spectrum import Expected, FittedSpectrum, fit_spectrum, poisson_log_likelihood
from density.windows import Window

__all__ = ["Bump", "BumpHunt", "choose_shape"]


@dataclass(frozen=True)
class BumpHunt:
    """Recipe of a bump hunt in [low, high), to be fitted to one window after another.

    Args:
        low: Lower end of the spectrum, in the unit of m.
        high: Upper end.
        shape: Shape of the background, or several nested ones, the simplest first, to choose from.
        bins: Bins of the whole range; each sideband gets its share, and bin edges meet the window's.
        margin: Gap between the window and the fitted sidebands.
        choice: How to choose among several shapes: "aic" (least Akaike criterion) or "ratio" (go on to the
            next while a likelihood-ratio test, the Poisson form of the F-test, prefers it at 5 %). The errors
            are those of the chosen shape alone: a choice made on the same sidebands leaves them a little
            short.
    """

    low: float
    high: float
    shape: SpectrumShape | tuple[SpectrumShape, ...] = field(default_factory=lambda: ExpPolynomial(2))
    bins: int = 40
    margin: float = 0.0
    choice: str = "aic"

    def __post_init__(self) -> None:
        if not (np.isfinite(self.low) and np.isfinite(self.high) and self.low < self.high):
            raise DetectorError(
                f"a bump hunt needs a finite range with low < high; got [{self.low}, {self.high}]"
            )
        if self.bins < 4 or not self.margin >= 0:
            raise DetectorError(
                f"a bump hunt needs 4 bins or more and no negative margin; got {self.bins}, {self.margin}"
            )
        if self.choice not in ("aic", "ratio"):
            raise DetectorError(f'choice is "aic" or "ratio"; got {self.choice!r}')
        if isinstance(self.shape, tuple) and not self.shape:
            raise DetectorError("expected one shape or more to choose from; got none")

    def fit(self, m: Float[np.ndarray, " n"], window: Window) -> Bump:
        """Fit the sidebands of a window and compare the window's count with what they say.

        Args:
            m: Resonant feature of the events that survived the cut, shape (n,); events outside the range are
                left out.
            window: The signal region, strictly inside the range.

        Raises:
            DetectorError: m is not finite, the window does not leave a sideband on both sides, too few bins
                are occupied, or the fit fails.
        """
        lower, upper = self.sideband_bins(window)
        counts, background = self._smooth(m, lower, upper)
        return Bump(window, lower, upper, counts, int(window.contains(m).sum()), background)

    def background_only(self, m: Float[np.ndarray, " n"]) -> FittedSpectrum:
        """The shape fitted to the whole range, no window left out: what pseudo-experiments are drawn from.

        Args:
            m: Resonant feature, shape (n,).

        Raises:
            DetectorError: m is not finite, or the fit fails.
        """
        edges = np.linspace(self.low, self.high, self.bins + 1)
        return self._smooth(m, edges[:-1], edges[1:])[1]

    def sideband_bins(self, window: Window) -> tuple[Float[np.ndarray, " b"], Float[np.ndarray, " b"]]:
        """Lower and upper edges of the sideband bins, each of shape (b,).

        Raises:
            DetectorError: the window and its margin do not leave a sideband on both sides.
        """
        sides = [(self.low, window.low - self.margin), (window.high + self.margin, self.high)]
        if not all(start < stop for start, stop in sides):
            raise DetectorError(
                f"the window [{window.low:g}, {window.high:g}) with margin {self.margin:g} must leave a"
                f" sideband on both sides of the range [{self.low:g}, {self.high:g}]; move or narrow the"
                " window, or widen the range"
            )
        step = (self.high - self.low) / self.bins
        edges = [np.linspace(a, b, max(1, round((b - a) / step)) + 1) for a, b in sides]
        return np.concatenate([e[:-1] for e in edges]), np.concatenate([e[1:] for e in edges])

    def _smooth(
        self, m: np.ndarray, lower: np.ndarray, upper: np.ndarray
    ) -> tuple[Int[np.ndarray, " b"], FittedSpectrum]:
        """Counts in the bins, and the shape fitted to them."""
        m = np.asarray(m, dtype=np.float64)
        if m.ndim != 1 or not np.isfinite(m).all():
            raise DetectorError(
                f"expected finite m of shape (n,); got shape {m.shape} with {(~np.isfinite(m)).sum()} values"
                " not finite; pass the events that survive the cut"
            )
        ranked = np.sort(m)
        counts = np.searchsorted(ranked, upper) - np.searchsorted(ranked, lower)
        shapes = self.shape if isinstance(self.shape, tuple) else (self.shape,)
        fitted = choose_shape(shapes, lower, upper, counts, low=self.low, high=self.high, choice=self.choice)
        return counts, fitted


@dataclass(frozen=True, eq=False)
class Bump:
    """What a bump hunt found in one window.

    Args:
        window: The signal region.
        lower: Lower edges of the sideband bins, shape (b,).
        upper: Upper edges, shape (b,).
        counts: Events in them, shape (b,).
        observed: Events in the window.
        background: Shape fitted to the sidebands alone.
    """

    window: Window
    lower: Float[np.ndarray, " b"]
    upper: Float[np.ndarray, " b"]
    counts: Int[np.ndarray, " b"]
    observed: int
    background: FittedSpectrum

    @cached_property
    def expected(self) -> Expected:
        """Background in the window, interpolated from the sidebands, with the fit's error."""
        return self.background.expected(self.window.low, self.window.high)

    @cached_property
    def significance(self) -> float:
        """Signed local significance, sigma: the root of -2 ln of the profile likelihood ratio of no signal.

        Cowan et al. 2011 (arXiv 1007.1727, eq. 12), with the sign of the excess kept instead of setting
        deficits to zero: under the background alone it then is standard normal on both sides, which a
        calibration can test. Signal has a free, positive or negative, count in the window.
        """
        return self._root(0.0)

    @property
    def p_value(self) -> float:
        """Asymptotic local p-value of the excess, 1 - Phi(significance).

        Counts are discrete and the normal law is not: without a continuity correction the value lies
        halfway between P(n >= observed) and P(n > observed), a mid-p-value, uniform on average over the
        steps.
        """
        return float(norm.sf(self.significance))

    @property
    def goodness_of_fit(self) -> float:
        """Probability of sidebands that fit worse; a small value says that the shape is wrong."""
        return self.background.goodness_of_fit

    @property
    def sentence(self) -> str:
        """The finding in words."""
        expected = self.expected
        return (
            f"Window [{self.window.low:g}, {self.window.high:g}): {self.observed} events where"
            f" {expected.value:.1f} +- {expected.error:.1f} are expected: {self.significance:.2f} sigma"
            f" (local p = {self.p_value:.2g}); sidebands fit with p = {self.goodness_of_fit:.2g}."
        )

    def upper_limit(self, level: float = 0.95) -> float:
        """Largest number of signal events in the window that the data allow at this confidence level.

        Inverts the profile likelihood ratio of arXiv 1007.1727, eq. 14 (no CLs), asymptotically; not below
        zero.

        Args:
            level: Confidence level, between 0.5 and 1.

        Raises:
            DetectorError: the level is outside that range.
        """
        if not 0.5 < level < 1:
            raise DetectorError(f"a confidence level lies between 0.5 and 1; got {level}")
        wanted = float(norm.ppf(level))

        def surplus(signal: float) -> float:
            return -self._root(signal) - wanted

        if surplus(0.0) >= 0:
            return 0.0
        expected = self.expected
        top = 10.0 + max(self.observed - expected.value, 0.0)
        while surplus(top) < 0:
            top *= 2
        return float(brentq(surplus, 0.0, top, xtol=1e-6))

    def _root(self, signal: float) -> float:
        """Signed root of the profile likelihood ratio of `signal` events in the window."""
        counts = np.append(self.counts, self.observed)
        added = np.append(np.zeros(len(self.counts)), signal)
        tested = fit_spectrum(
            self.background.shape,
            np.append(self.lower, self.window.low),
            np.append(self.upper, self.window.high),
            counts,
            low=self.background.low,
            high=self.background.high,
            signal=added,
        )
        # With the signal free, the window is fitted exactly and the sidebands alone fix the background.
        n = np.array([float(self.observed)])
        free = self.background.log_likelihood + poisson_log_likelihood(n, n)
        ratio = max(2 * (free - tested.log_likelihood), 0.0)
        return float(np.copysign(np.sqrt(ratio), self.observed - signal - self.expected.value))


def choose_shape(
    shapes: tuple[SpectrumShape, ...],
    lower: Float[np.ndarray, " b"],
    upper: Float[np.ndarray, " b"],
    counts: Int[np.ndarray, " b"],
    *,
    low: float,
    high: float,
    choice: str = "aic",
) -> FittedSpectrum:
    """Fit nested shapes to the sidebands and keep one; the window's count has no say.

    Args:
        shapes: Nested shapes, the simplest first.
        lower: Lower edges of the bins, shape (b,).
        upper: Upper edges, shape (b,).
        counts: Events in the bins, shape (b,).
        low: Lower end of the range.
        high: Upper end.
        choice: "aic" or "ratio"; see `BumpHunt`.

    Raises:
        DetectorError: a fit fails.
    """
    fits = [fit_spectrum(shape, lower, upper, counts, low=low, high=high) for shape in shapes]
    if choice == "aic":
        return min(fits, key=lambda fit: fit.aic)
    for simple, rich in pairwise(fits):
        gained = 2 * (rich.log_likelihood - simple.log_likelihood)
        if chi2.sf(gained, rich.shape.parameters - simple.shape.parameters) > 0.05:
            return simple
    return fits[-1]
