"""Significance improvement: how far a cut on the score raises S / sqrt(B), with the error of its maximum."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.stats import norm

from density.errors import DetectorError
from density.seeds import child_seed

__all__ = ["AreaUnderCurve", "MaxSic", "SicCurve", "max_sic", "roc_auc", "sic_curve"]


@dataclass(frozen=True, eq=False)
class SicCurve:
    """Efficiencies of the cuts score >= threshold, from the hardest cut to none.

    Args:
        threshold: Distinct scores, falling, shape (t,).
        signal_efficiency: Weighted share of the signal that survives, shape (t,).
        background_efficiency: Weighted share of the background that survives, shape (t,).
        background_events: Effective number of background events behind that share, (sum w)^2 / sum w^2:
            the plain count where there are no weights, shape (t,).
        minimum_background: Cuts that leave fewer events carry no figure.
    """

    threshold: Float[np.ndarray, " t"]
    signal_efficiency: Float[np.ndarray, " t"]
    background_efficiency: Float[np.ndarray, " t"]
    background_events: Float[np.ndarray, " t"]
    minimum_background: float

    @property
    def sic(self) -> Float[np.ndarray, " t"]:
        """signal_efficiency / sqrt(background_efficiency); NaN where too few background events survive."""
        quoted = self.background_events >= self.minimum_background
        root = np.sqrt(np.where(quoted, self.background_efficiency, np.nan))
        return self.signal_efficiency / root

    @property
    def auc(self) -> float:
        """Area under the ROC curve: a random signal event outscores a random background event; ties half."""
        background = np.concatenate([[0.0], self.background_efficiency])
        signal = np.concatenate([[0.0], self.signal_efficiency])
        return float(np.trapezoid(signal, background))


@dataclass(frozen=True)
class MaxSic:
    """Largest significance improvement over all cuts that leave enough background events.

    Args:
        value: Maximum of the curve.
        low: Lower end of the bootstrap interval (68 % unless asked otherwise).
        high: Upper end.
        threshold: The cut that reaches the maximum.
        signal_efficiency: Share of the signal that survives it.
        background_efficiency: Share of the background that survives it.
        background_events: Effective number of background events that survive it.
    """

    value: float
    low: float
    high: float
    threshold: float
    signal_efficiency: float
    background_efficiency: float
    background_events: float


@dataclass(frozen=True)
class AreaUnderCurve:
    """Area under the ROC curve with its bootstrap interval.

    Args:
        value: The area; 0.5 for scores that know nothing.
        low: Lower end of the interval.
        high: Upper end.
    """

    value: float
    low: float
    high: float


def sic_curve(
    signal_scores: Float[np.ndarray, " s"],
    background_scores: Float[np.ndarray, " b"],
    *,
    signal_weights: Float[np.ndarray, " s"] | None = None,
    background_weights: Float[np.ndarray, " b"] | None = None,
    minimum_background: float = 25.0,
) -> SicCurve:
    """Significance improvement at every cut that tells two events apart; equal scores pass together.

    A constant score gives one cut, which keeps everything: SIC 1.

    Args:
        signal_scores: Scores of labelled signal, shape (s,).
        background_scores: Scores of labelled background, shape (b,).
        signal_weights: Non-negative weights, shape (s,); None: all alike.
        background_weights: Non-negative weights, shape (b,); None: all alike.
        minimum_background: Fewest background events (effective number) behind a quoted figure
            (with fewer, the curve's maximum is a fluctuation).

    Raises:
        DetectorError: a score is NaN, weights are negative or do not fit, or there is no signal or too
            little background.
    """
    scores = _Scores.of(
        signal_scores, background_scores, signal_weights, background_weights, minimum_background
    )
    return scores.curve(None, None)


def max_sic(
    signal_scores: Float[np.ndarray, " s"],
    background_scores: Float[np.ndarray, " b"],
    *,
    signal_weights: Float[np.ndarray, " s"] | None = None,
    background_weights: Float[np.ndarray, " b"] | None = None,
    minimum_background: float = 25.0,
    resamples: int = 200,
    interval: float = 0.68,
    seed: int = 1,
) -> MaxSic:
    """Maximum of the SIC curve, with a bootstrap over the events.

    The maximum of a noisy curve lies above the curve's true maximum, and each resample is biased once more
    by about as much: the interval is the bias-corrected percentile interval (Efron 1981), which counts how
    many resamples lie below the value. The value itself keeps its bias, as published figures do, and the
    interval covers the true maximum less often than it says where few background events survive.

    Args:
        signal_scores, background_scores, signal_weights, background_weights, minimum_background: as in
            `sic_curve`.
        resamples: Bootstrap resamples of both classes, at least 20.
        interval: Probability content of [low, high].
        seed: Root of the resampling.

    Raises:
        DetectorError: as in `sic_curve`, or too few resamples.
    """
    scores = _Scores.of(
        signal_scores, background_scores, signal_weights, background_weights, minimum_background
    )
    curve = scores.curve(None, None)
    sic = curve.sic
    best = int(np.nanargmax(sic))
    maxima = np.array([np.nanmax(scores.curve(*draw).sic) for draw in scores.resampled(resamples, seed)])
    low, high = _bias_corrected(float(sic[best]), maxima, interval)
    return MaxSic(
        float(sic[best]), low, high, float(curve.threshold[best]), float(curve.signal_efficiency[best]),
        float(curve.background_efficiency[best]), float(curve.background_events[best]),
    )  # fmt: skip


def roc_auc(
    signal_scores: Float[np.ndarray, " s"],
    background_scores: Float[np.ndarray, " b"],
    *,
    signal_weights: Float[np.ndarray, " s"] | None = None,
    background_weights: Float[np.ndarray, " b"] | None = None,
    resamples: int = 200,
    interval: float = 0.68,
    seed: int = 1,
) -> AreaUnderCurve:
    """Area under the ROC curve, ties counted half, with a bootstrap over the events.

    Args, Raises: as in `max_sic`.
    """
    scores = _Scores.of(signal_scores, background_scores, signal_weights, background_weights, 0.0)
    value = scores.curve(None, None).auc
    areas = np.array([scores.curve(*draw).auc for draw in scores.resampled(resamples, seed)])
    return AreaUnderCurve(value, *_bias_corrected(value, areas, interval))


@dataclass(frozen=True, eq=False)
class _Scores:
    """Both classes sorted by falling score, and how many of each pass each distinct threshold."""

    threshold: Float[np.ndarray, " t"]
    signal_weights: Float[np.ndarray, " s"]
    background_weights: Float[np.ndarray, " b"]
    signal_passing: Int[np.ndarray, " t"]
    background_passing: Int[np.ndarray, " t"]
    minimum_background: float

    @classmethod
    def of(
        cls,
        signal: np.ndarray,
        background: np.ndarray,
        signal_weights: np.ndarray | None,
        background_weights: np.ndarray | None,
        minimum_background: float,
    ) -> _Scores:
        s, ws = _sorted("signal", signal, signal_weights)
        b, wb = _sorted("background", background, background_weights)
        effective = wb.sum() ** 2 / (wb**2).sum()
        if effective < minimum_background:
            raise DetectorError(
                f"expected {minimum_background:g} background events or more (effective number, no cut); got"
                f" {effective:.4g}; give more background or lower minimum_background"
            )
        threshold = np.unique(np.concatenate([s, b]))[::-1]
        passing = [np.searchsorted(-scores, -threshold, side="right") for scores in (s, b)]
        return cls(threshold, ws, wb, *passing, minimum_background)

    def curve(self, signal_counts: np.ndarray | None, background_counts: np.ndarray | None) -> SicCurve:
        """The curve with each event taken so many times; None: once."""
        ns, nb = signal_counts, background_counts
        signal = self.signal_weights if ns is None else self.signal_weights * ns
        background = self.background_weights if nb is None else self.background_weights * nb
        passed = _running(signal)[self.signal_passing]
        left = _running(background)[self.background_passing]
        squares = _running(background * self.background_weights)[self.background_passing]
        events = np.divide(left**2, squares, out=np.zeros_like(left), where=squares > 0)
        return SicCurve(self.threshold, passed / passed[-1], left / left[-1], events, self.minimum_background)

    def resampled(self, resamples: int, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """How often each event of both classes is drawn; draws without weight or background are redrawn."""
        if resamples < 20:
            raise DetectorError(f"a bootstrap interval needs 20 resamples or more; got {resamples}")
        random = np.random.default_rng(child_seed(seed, "sic bootstrap"))
        for _ in range(resamples):
            signal = self._draw(random, self.signal_weights, 0.0)
            yield signal, self._draw(random, self.background_weights, 1.0)

    def _draw(self, random: np.random.Generator, weights: np.ndarray, share: float) -> np.ndarray:
        n = len(weights)
        while True:
            counts = np.bincount(random.integers(n, size=n), minlength=n)
            drawn = counts * weights
            squares = (drawn * weights).sum()
            if squares > 0 and drawn.sum() ** 2 / squares >= share * self.minimum_background:
                return counts


def _running(weights: np.ndarray) -> np.ndarray:
    return np.concatenate([[0.0], np.cumsum(weights)])


def _sorted(
    name: str, scores: Float[np.ndarray, " n"], weights: Float[np.ndarray, " n"] | None
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Scores and weights by falling score."""
    scores = np.asarray(scores, dtype=np.float64)
    weights = np.ones(scores.shape) if weights is None else np.asarray(weights, dtype=np.float64)
    if scores.ndim != 1 or weights.shape != scores.shape or not len(scores):
        raise DetectorError(
            f"expected {name} scores of shape (n,), n > 0, and as many weights; got {scores.shape} and"
            f" {weights.shape}"
        )
    unknown: Bool[np.ndarray, " n"] = np.isnan(scores)
    if unknown.any():
        raise DetectorError(
            f"{unknown.sum()} of {len(scores)} {name} scores are NaN; scores are NaN outside the window:"
            " pass only rows inside it"
        )
    if not (np.isfinite(weights).all() and (weights >= 0).all() and weights.sum() > 0):
        raise DetectorError(
            f"{name} weights must be finite, not negative and not all zero; got a smallest of"
            f" {weights.min():g} and a sum of {weights.sum():g}"
        )
    order = np.argsort(-scores, kind="stable")
    return scores[order], weights[order]


def _bias_corrected(value: float, draws: Float[np.ndarray, " k"], interval: float) -> tuple[float, float]:
    """Bias-corrected percentile interval of `draws` about `value` (Efron 1981), which it always contains."""
    if not 0 < interval < 1:
        raise DetectorError(f"an interval's probability lies between 0 and 1; got {interval}")
    half = 0.5 / len(draws)
    below = np.mean(draws < value) + 0.5 * np.mean(draws == value)
    shift = 2 * norm.ppf(np.clip(below, half, 1 - half))
    levels = norm.cdf(shift + norm.ppf([0.5 - interval / 2, 0.5 + interval / 2]))
    low, high = np.quantile(draws, levels)
    return min(float(low), value), max(float(high), value)
