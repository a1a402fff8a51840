"""Closure: does the learned background look like the data where there is no signal, and are ratios ratios?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float
from scipy.stats import chi2, ks_2samp

from density.checks.two_sample import TwoSample, two_sample_auc
from density.classifiers import Classifier
from density.detectors.contract import check_rows
from density.errors import DetectorError
from density.seeds import child_seed
from density.windows import Window

__all__ = [
    "FeatureAgreement",
    "FitsBackground",
    "InterpolationClosure",
    "SamplesBackground",
    "background_closure",
    "interpolation_closure",
    "neighbouring_windows",
]


@runtime_checkable
class SamplesBackground(Protocol):
    """A fitted conditional density, as `FlowDensity`."""

    def sample(self, m: Float[np.ndarray, " n"], *, seed: int) -> Float[np.ndarray, "n d"]:
        """One draw of x for each m."""


@runtime_checkable
class FitsBackground(Protocol):
    """Recipe of a conditional density, as `ConditionalFlow`."""

    def fit(self, x: Float[np.ndarray, "n d"], m: Float[np.ndarray, " n"], *, seed: int) -> SamplesBackground:
        """Fit p(x | m)."""


@dataclass(frozen=True)
class FeatureAgreement:
    """One feature's distribution in data and in background samples.

    Args:
        feature: Column of x.
        ks_p_value: Two-sample Kolmogorov-Smirnov.
        chi2: Two-sample chi^2 in bins of equal probability.
        degrees_of_freedom: Bins less one.
    """

    feature: int
    ks_p_value: float
    chi2: float
    degrees_of_freedom: int

    @property
    def chi2_p_value(self) -> float:
        """Probability of a larger chi^2."""
        return float(chi2.sf(self.chi2, self.degrees_of_freedom))


@dataclass(frozen=True)
class InterpolationClosure:
    """Background interpolated into a held-out window without signal, beside the data there.

    Args:
        held_out: The window that was left out of the training, beside the signal region.
        two_sample: All features together, and m.
        features: One by one.
    """

    held_out: Window
    two_sample: TwoSample
    features: tuple[FeatureAgreement, ...]

    @property
    def sentence(self) -> str:
        """The finding in words; the worst feature is named with its p-value, corrected for their number."""
        worst = min(self.features, key=lambda f: f.ks_p_value)
        looks = len(self.features)
        return (
            f"Interpolated into [{self.held_out.low:g}, {self.held_out.high:g}): {self.two_sample.sentence}"
            f" Feature {worst.feature} agrees least (KS p = {min(1.0, worst.ks_p_value * looks):.2g} after"
            f" {looks} looks)."
        )


def background_closure(
    background: SamplesBackground,
    x: Float[np.ndarray, "n d"],
    m: Float[np.ndarray, " n"],
    window: Window,
    *,
    margin: float = 0.0,
    reach: float | None = None,
    classifier: Classifier | None = None,
    folds: int = 2,
    permutations: int = 0,
    seed: int,
) -> TwoSample:
    """Background samples at the sidebands' own m against the sideband data; the classifier sees m too.

    Args:
        background: Fitted p(x | m). Give rows that it was not trained on, or a small overfit stays unseen.
        x: Features, shape (n, d).
        m: Resonant feature, shape (n,).
        window: The signal region, left out.
        margin, reach: See `Window.sidebands`.
        classifier, folds, permutations, seed: See `two_sample_auc`.

    Raises:
        DetectorError: too few rows.
        FeatureError: values that are not finite.
    """
    x, m = check_rows(x, m)
    beside = window.sidebands(m, margin=margin, reach=reach)
    drawn = background.sample(m[beside], seed=child_seed(seed, "closure samples"))
    return two_sample_auc(
        np.column_stack([x[beside], m[beside]]), np.column_stack([drawn, m[beside]]),
        classifier=classifier, folds=folds, permutations=permutations, seed=seed,
    )  # fmt: skip


def neighbouring_windows(window: Window) -> tuple[Window, Window]:
    """Windows of the same width on either side: where an interpolation can be tried without the signal."""
    return Window(window.low - window.width, window.low), Window(window.high, window.high + window.width)


def interpolation_closure(
    background: FitsBackground,
    x: Float[np.ndarray, "n d"],
    m: Float[np.ndarray, " n"],
    window: Window,
    *,
    held_out: Window,
    oversampling: int = 4,
    classifier: Classifier | None = None,
    folds: int = 2,
    seed: int,
) -> InterpolationClosure:
    """Train without a held-out window in the sidebands, and compare samples with the data there.

    The signal region takes no part. Where the two windows touch, the gap is wider than in earnest, and the
    trial harder than the task.

    Args:
        background: Recipe of the conditional density.
        x: Features, shape (n, d).
        m: Resonant feature, shape (n,).
        window: The signal region.
        held_out: Window of the trial, disjoint from the signal region; see `neighbouring_windows`.
        oversampling: Samples per row of the held-out window.
        classifier, folds, seed: See `two_sample_auc`.

    Raises:
        DetectorError: the windows overlap, or the held-out one holds fewer than 100 rows.
        TrainingError, FeatureError: as the recipe's `fit`.
    """
    if held_out.low < window.high and window.low < held_out.high:
        raise DetectorError(
            f"the held-out window [{held_out.low:g}, {held_out.high:g}) overlaps the signal region"
            f" [{window.low:g}, {window.high:g}); hold out a window beside it"
        )
    x, m = check_rows(x, m)
    inside = held_out.contains(m)
    if inside.sum() < 100:
        raise DetectorError(
            f"expected 100 rows or more in the held-out window [{held_out.low:g}, {held_out.high:g}); got"
            f" {inside.sum()}"
        )
    trained = ~inside & ~window.contains(m)
    density = background.fit(x[trained], m[trained], seed=child_seed(seed, "closure background"))
    m_drawn = np.repeat(m[inside], oversampling)
    drawn = density.sample(m_drawn, seed=child_seed(seed, "closure samples"))
    # Copies of one row's m must not stand in both folds, where they would be told by their place.
    shuffled = np.random.default_rng(child_seed(seed, "closure order")).permutation(len(drawn))
    two_sample = two_sample_auc(
        np.column_stack([x[inside], m[inside]]), np.column_stack([drawn, m_drawn])[shuffled],
        classifier=classifier, folds=folds, seed=seed,
    )  # fmt: skip
    features = tuple(_agreement(k, x[inside, k], drawn[:, k]) for k in range(x.shape[1]))
    return InterpolationClosure(held_out, two_sample, features)


def _agreement(
    feature: int, data: Float[np.ndarray, " n"], drawn: Float[np.ndarray, " k"], bins: int = 20
) -> FeatureAgreement:
    edges = np.quantile(drawn, np.linspace(0, 1, bins + 1)[1:-1])
    d = np.bincount(np.searchsorted(edges, data), minlength=bins)
    s = np.bincount(np.searchsorted(edges, drawn), minlength=bins)
    occupied = d + s > 0
    balance = np.sqrt(len(drawn) / len(data))
    terms = (d * balance - s / balance)[occupied] ** 2 / (d + s)[occupied]
    p_value = float(ks_2samp(data, drawn).pvalue)
    return FeatureAgreement(feature, p_value, float(terms.sum()), int(occupied.sum()) - 1)
