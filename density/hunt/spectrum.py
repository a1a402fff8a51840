"""Binned Poisson fit of a smooth shape to counts, with covariance, goodness of fit and draws."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.special import gammaln, xlogy
from scipy.stats import chi2

from density.errors import DetectorError
from density.hunt.shapes import SpectrumShape
from density.seeds import child_seed

__all__ = ["Expected", "FittedSpectrum", "fit_spectrum", "poisson_log_likelihood"]

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(8)
_ITERATIONS = 100
_TOLERANCE = 1e-10
_GRID = 4097
_PIECES = 8


@dataclass(frozen=True)
class Expected:
    """Expected number of events with its standard deviation.

    Args:
        value: Events.
        error: Standard deviation from the covariance of the fit.
    """

    value: float
    error: float


@dataclass(frozen=True, eq=False)
class FittedSpectrum:
    """Shape fitted to counts in bins.

    Args:
        shape: The shape.
        low: Lower end of the range.
        high: Upper end.
        parameters: Coefficients of the shape's columns, shape (k,).
        covariance: Inverse Fisher information, shape (k, k).
        log_likelihood: Poisson log-likelihood of the fitted counts.
        pearson: Sum of (count - mean)^2 / mean over the fitted bins.
        degrees_of_freedom: Fitted bins less parameters.
    """

    shape: SpectrumShape
    low: float
    high: float
    parameters: Float[np.ndarray, " k"]
    covariance: Float[np.ndarray, "k k"]
    log_likelihood: float
    pearson: float
    degrees_of_freedom: int

    @property
    def goodness_of_fit(self) -> float:
        """Probability of a larger Pearson chi^2; NaN without degrees of freedom.

        Pearson's sum keeps its mean where bins hold few events, which the deviance does not.
        """
        return float(chi2.sf(self.pearson, self.degrees_of_freedom)) if self.degrees_of_freedom else np.nan

    @property
    def aic(self) -> float:
        """Akaike's criterion: smaller is better."""
        return 2 * len(self.parameters) - 2 * self.log_likelihood

    def rate(self, m: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """Events per unit of m, shape (n,)."""
        return np.exp(self.shape.columns(m, self.low, self.high) @ self.parameters)

    def expected(self, low: float, high: float) -> Expected:
        """Events in [low, high), with the fit's error.

        Raises:
            DetectorError: the interval leaves the fitted range.
        """
        if not self.low <= low < high <= self.high:
            raise DetectorError(
                f"expected an interval inside the fitted range [{self.low:g}, {self.high:g}]; got"
                f" [{low:g}, {high:g})"
            )
        mean, gradient = self._integral(low, high)
        return Expected(mean, float(np.sqrt(gradient @ self.covariance @ gradient)))

    def influence(
        self, lower: Float[np.ndarray, " b"], upper: Float[np.ndarray, " b"], low: float, high: float
    ) -> Float[np.ndarray, " b"]:
        """By how much one more event in each fitted bin raises the expected count in [low, high).

        Args:
            lower: Lower edges of the fitted bins, shape (b,).
            upper: Upper edges, shape (b,).
            low: Lower end of the interval of interest.
            high: Its upper end.
        """
        mean, jacobian = self._means(lower, upper)
        return jacobian @ self.covariance @ self._integral(low, high)[1] / mean

    def draw(self, *, seed: int) -> Float[np.ndarray, " n"]:
        """A pseudo-experiment: a Poisson number of values of m over the whole range.

        Args:
            seed: Same seed, same values.
        """
        random = np.random.default_rng(child_seed(seed, "pseudo-experiment"))
        grid = np.linspace(self.low, self.high, _GRID)
        steps = 0.5 * np.diff(grid) * (self.rate(grid)[1:] + self.rate(grid)[:-1])
        cumulative = np.concatenate([[0.0], np.cumsum(steps)])
        uniform = cumulative[-1] * random.random(random.poisson(cumulative[-1]))
        return np.minimum(np.interp(uniform, cumulative, grid), np.nextafter(self.high, self.low))

    def _integral(self, low: float, high: float) -> tuple[float, Float[np.ndarray, " k"]]:
        """Expected count and its derivatives, in pieces: one bin's nodes would be few for a wide interval."""
        edges = np.linspace(low, high, _PIECES + 1)
        mean, jacobian = self._means(edges[:-1], edges[1:])
        return float(mean.sum()), jacobian.sum(axis=0)

    def _means(
        self, lower: Float[np.ndarray, " b"], upper: Float[np.ndarray, " b"]
    ) -> tuple[Float[np.ndarray, " b"], Float[np.ndarray, "b k"]]:
        return _Binned.of(self.shape, lower, upper, self.low, self.high).means(self.parameters)


def fit_spectrum(
    shape: SpectrumShape,
    lower: Float[np.ndarray, " b"],
    upper: Float[np.ndarray, " b"],
    counts: Int[np.ndarray, " b"],
    *,
    low: float,
    high: float,
    signal: Float[np.ndarray, " b"] | None = None,
) -> FittedSpectrum:
    """Maximum-likelihood fit of a shape to Poisson counts; each bin's mean is the integral over the bin.

    Fisher scoring: every step is a weighted least-squares problem. Empty bins count as they should.

    Args:
        shape: The shape.
        lower: Lower edges of the bins, shape (b,); the bins need not touch.
        upper: Upper edges, shape (b,).
        counts: Events in each bin, shape (b,).
        low: Lower end of the range that the shape refers to.
        high: Upper end.
        signal: Known events to add to each bin's mean, shape (b,); None: none.

    Raises:
        DetectorError: fewer occupied bins than parameters, or the fit does not converge.
    """
    counts = np.asarray(counts, dtype=np.float64)
    added = np.zeros(len(counts)) if signal is None else np.asarray(signal, dtype=np.float64)
    if np.count_nonzero(counts) < shape.parameters:
        raise DetectorError(
            f"{shape} has {shape.parameters} parameters, but only {np.count_nonzero(counts)} of"
            f" {len(counts)} bins hold events; use wider bins, a looser cut or a simpler shape"
        )
    bins = _Binned.of(shape, lower, upper, low, high)
    point = bins.at(bins.start(counts), counts, added)
    for _ in range(_ITERATIONS):
        root = np.sqrt(point.mean)
        step, *_ = np.linalg.lstsq(point.jacobian / root[:, None], (counts - point.mean) / root, rcond=None)
        if np.sum((point.jacobian @ step / root) ** 2) < _TOLERANCE:
            break
        point = bins.climb(point, step, counts, added)
    else:
        raise DetectorError(
            f"the fit of {shape} to {int(counts.sum())} events in {len(counts)} bins did not converge in"
            f" {_ITERATIONS} steps; use wider bins or a simpler shape"
        )
    root = np.sqrt(point.mean)
    inverse = np.linalg.pinv(point.jacobian / root[:, None])
    return FittedSpectrum(
        shape, low, high, point.parameters, inverse @ inverse.T, point.log_likelihood,
        float(np.sum((counts - point.mean) ** 2 / point.mean)), len(counts) - shape.parameters,
    )  # fmt: skip


def poisson_log_likelihood(counts: Float[np.ndarray, " b"], mean: Float[np.ndarray, " b"]) -> float:
    """Sum of ln Poisson(count | mean).

    Args:
        counts: Events, shape (b,).
        mean: Expected events, shape (b,).
    """
    return float(np.sum(xlogy(counts, mean) - mean - gammaln(counts + 1)))


@dataclass(frozen=True, eq=False)
class _Point:
    """Parameters, and what they imply for the bins: means with what was added, derivatives, likelihood."""

    parameters: np.ndarray
    mean: np.ndarray
    jacobian: np.ndarray
    log_likelihood: float


@dataclass(frozen=True, eq=False)
class _Binned:
    """A shape's columns at the quadrature nodes of each bin."""

    columns: Float[np.ndarray, "b q k"]
    weights: Float[np.ndarray, "b q"]

    @classmethod
    def of(
        cls,
        shape: SpectrumShape,
        lower: Float[np.ndarray, " b"],
        upper: Float[np.ndarray, " b"],
        low: float,
        high: float,
    ) -> _Binned:
        lower, upper = (np.asarray(edge, dtype=np.float64)[:, None] for edge in (lower, upper))
        half = 0.5 * (upper - lower)
        nodes = lower + half * (1 + _NODES)
        columns = shape.columns(nodes.ravel(), low, high)
        return cls(columns.reshape(*nodes.shape, -1), half * _WEIGHTS)

    def means(self, parameters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean of each bin and its derivatives, shapes (b,) and (b, k)."""
        with np.errstate(over="ignore"):
            rate = self.weights * np.exp(self.columns @ parameters)
        return rate.sum(axis=1), np.einsum("bq,bqk->bk", rate, self.columns)

    def start(self, counts: np.ndarray) -> np.ndarray:
        """Weighted least squares on the logarithm of the counts."""
        target = np.log((counts + 0.5) / self.weights.sum(axis=1))
        root = np.sqrt(counts + 0.5)
        return np.linalg.lstsq(self.columns.mean(axis=1) * root[:, None], target * root, rcond=None)[0]

    def at(self, parameters: np.ndarray, counts: np.ndarray, added: np.ndarray) -> _Point:
        """The point of these parameters; its likelihood is minus infinity where a mean overflows."""
        mean, jacobian = self.means(parameters)
        total = mean + added
        value = poisson_log_likelihood(counts, total) if np.isfinite(total).all() else -np.inf
        return _Point(parameters, total, jacobian, value)

    def climb(self, point: _Point, step: np.ndarray, counts: np.ndarray, added: np.ndarray) -> _Point:
        """The point one step on, halved until the likelihood does not fall; the same where no step helps."""
        for halvings in range(30):
            moved = self.at(point.parameters + step * 0.5**halvings, counts, added)
            if moved.log_likelihood >= point.log_likelihood:
                return moved
        return point
