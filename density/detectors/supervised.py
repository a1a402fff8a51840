"""The supervised classifier: trained on true labels, the upper bound that benchmarks are measured against."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float

from density.classifiers import BoostedTrees, Classifier, FittedClassifier
from density.detectors.contract import WindowedRows, check_rows, score_inside
from density.detectors.crossfit import cross_fit, folds_of
from density.detectors.two_sample import mean_log_odds, with_resonant
from density.errors import DetectorError
from density.ordering import canonical_order
from density.seeds import child_seed
from density.windows import Window

__all__ = ["FittedSupervised", "Supervised"]


@dataclass(frozen=True, eq=False)
class Supervised:
    """A classifier between signal and background of the window, by their labels; for benchmarks only.

    Its score is ln(1 - w + w p_signal / p_background), w the share of signal in the window: the same ln R
    that the other detectors estimate.

    Args:
        labels: True for signal, one per row to be fitted, in their order, shape (n,).
        signal_x: Further signal rows to train on, shape (s, d); None: none. With few signal rows among the
            data the classifier would be limited by them, and bound nothing.
        signal_m: Their resonant feature, shape (s,); rows outside the window are left out.
        classifier: Recipe of the classifier.
        folds: Folds of the cross-fitting.
        see_resonant: Let the classifier see m too.
    """

    labels: Bool[np.ndarray, " n"]
    signal_x: Float[np.ndarray, "s d"] | None = None
    signal_m: Float[np.ndarray, " s"] | None = None
    classifier: Classifier = field(default_factory=BoostedTrees)
    folds: int = 5
    see_resonant: bool = False

    def __post_init__(self) -> None:
        if (self.signal_x is None) != (self.signal_m is None):
            raise DetectorError("further signal rows need both signal_x and signal_m; got one of them")

    def fit(
        self, x: Float[np.ndarray, "n d"], m: Float[np.ndarray, " n"], window: Window, *, seed: int
    ) -> FittedSupervised:
        """Cross-fit the classifier.

        Args:
            x: Features, shape (n, d), in the order of the labels.
            m: Resonant feature, shape (n,).
            window: The signal region.
            seed: Root of all random streams.

        Raises:
            DetectorError: labels of another length, or too few rows of a class in the window.
            FeatureError: wrong shapes, or values that are not finite.
        """
        rows = WindowedRows.of(x, m, window, minimum=0)
        labels = np.asarray(self.labels, dtype=bool)
        if labels.shape != rows.m.shape:
            raise DetectorError(f"expected one label per row, {len(rows.m)}; got shape {labels.shape}")
        y = labels[rows.order][rows.inside]
        if not 0 < y.sum() < len(y):
            raise DetectorError(
                f"expected signal and background in the window [{window.low}, {window.high}); got"
                f" {y.sum()} and {(~y).sum()} rows"
            )
        x_in, m_in = rows.x[rows.inside], rows.m[rows.inside]
        seen, share = with_resonant(x_in, m_in, self.see_resonant), float(y.mean())
        further = self._further(window, x_in.shape[1])
        members: list[FittedClassifier] = []

        def fit_and_score(train: np.ndarray, score: np.ndarray, fold: int) -> np.ndarray:
            both = np.concatenate([seen[train], further])
            known = np.concatenate([y[train], np.ones(len(further), dtype=bool)])
            members.append(self.classifier.fit(both, known, seed=child_seed(seed, "classifier", fold)))
            return members[-1].log_odds(seen[score])

        folds = folds_of(x_in, m_in, folds=self.folds, seed=child_seed(seed, "folds"))
        log_ratio = _diluted(cross_fit(fit_and_score, folds), share)
        return FittedSupervised(
            window, rows.in_caller_order(log_ratio), tuple(members), share, self.see_resonant
        )

    def _further(self, window: Window, width: int) -> Float[np.ndarray, "s k"]:
        """The further signal rows in the window, as the classifier sees them, in canonical order."""
        if self.signal_x is None or self.signal_m is None:
            return np.empty((0, width + self.see_resonant))
        x, m = check_rows(self.signal_x, self.signal_m)
        if x.shape[1] != width:
            raise DetectorError(f"expected signal rows of {width} features; got {x.shape[1]}")
        x, m = x[window.contains(m)], m[window.contains(m)]
        order = canonical_order(x, m) if len(m) else np.arange(0)
        return with_resonant(x[order], m[order], self.see_resonant)


@dataclass(frozen=True, eq=False)
class FittedSupervised:
    """One classifier per fold between signal and background.

    Args:
        window: The signal region.
        out_of_fold: ln R of the fitted rows, cross-fitted, NaN outside the window.
        classifiers: One per fold.
        share: Share of signal in the window.
        see_resonant: Whether the classifiers see m as a last column.
    """

    window: Window
    out_of_fold: Float[np.ndarray, " n"]
    classifiers: tuple[FittedClassifier, ...]
    share: float
    see_resonant: bool = False

    def log_ratio(self, x: Float[np.ndarray, "n d"], m: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """ln R of new rows, from the mean of the folds' log-odds; for the fitted rows use `out_of_fold`.

        Args:
            x: Features, shape (n, d).
            m: Resonant feature, shape (n,).
        """

        def score(x_in: np.ndarray, m_in: np.ndarray) -> np.ndarray:
            seen = with_resonant(x_in, m_in, self.see_resonant)
            return _diluted(mean_log_odds(self.classifiers, seen), self.share)

        return score_inside(score, x, m, self.window)


def _diluted(log_odds: Float[np.ndarray, " n"], share: float) -> Float[np.ndarray, " n"]:
    """ln(1 - w + w e^l)."""
    return np.logaddexp(np.log1p(-share), np.log(share) + log_odds)
