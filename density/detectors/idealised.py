"""Bounds on what can be found without labels: a perfect background sample, and the exact ratio."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from density.classifiers import BoostedTrees, Classifier
from density.detectors.contract import WindowedRows, check_rows, score_inside
from density.detectors.crossfit import folds_of
from density.detectors.two_sample import FittedTwoSample, classify_against, with_resonant
from density.errors import DetectorError
from density.ordering import canonical_order
from density.seeds import child_seed
from density.windows import Window

__all__ = ["ExactRatio", "FittedExactRatio", "Idealised"]


@dataclass(frozen=True, eq=False)
class Idealised:
    """A classifier between the window and true background rows: CATHODE with a perfect background model.

    Args:
        background_x: Features of true background rows, shape (b, d); not among the rows to be fitted.
        background_m: Their resonant feature, shape (b,); rows outside the window are left out.
        classifier: Recipe of the classifier.
        folds: Folds of the cross-fitting.
        see_resonant: Let the classifier see m too.
        minimum: Fewest rows in the window, of data and of background.
    """

    background_x: Float[np.ndarray, "b d"]
    background_m: Float[np.ndarray, " b"]
    classifier: Classifier = field(default_factory=BoostedTrees)
    folds: int = 5
    see_resonant: bool = False
    minimum: int = 500

    def fit(
        self, x: Float[np.ndarray, "n d"], m: Float[np.ndarray, " n"], window: Window, *, seed: int
    ) -> FittedTwoSample:
        """Cross-fit the classifier.

        Args:
            x: Features, shape (n, d).
            m: Resonant feature, shape (n,).
            window: The signal region.
            seed: Root of all random streams.

        Raises:
            DetectorError: too few rows in the window, or of background there, or other features.
            FeatureError: wrong shapes, or values that are not finite.
        """
        rows = WindowedRows.of(x, m, window, minimum=0)
        x_in, m_in = rows.x[rows.inside], rows.m[rows.inside]
        x_true, m_true = self._background(window, x_in.shape[1])
        if min(len(x_in), len(x_true)) < self.minimum:
            raise DetectorError(
                f"expected {self.minimum} rows or more of data and of true background in the window"
                f" [{window.low}, {window.high}); got {len(x_in)} and {len(x_true)}"
            )
        fold_seed = child_seed(seed, "folds")
        log_ratio, classifiers = classify_against(
            self.classifier, with_resonant(x_in, m_in, self.see_resonant),
            with_resonant(x_true, m_true, self.see_resonant), folds=self.folds, seed=seed,
            data_folds=folds_of(x_in, m_in, folds=self.folds, seed=fold_seed),
            reference_folds=folds_of(x_true, m_true, folds=self.folds, seed=fold_seed),
        )  # fmt: skip
        return FittedTwoSample(window, rows.in_caller_order(log_ratio), classifiers, self.see_resonant)

    def _background(self, window: Window, width: int) -> tuple[np.ndarray, np.ndarray]:
        """The true background rows in the window, in canonical order."""
        x, m = check_rows(self.background_x, self.background_m)
        if x.shape[1] != width:
            raise DetectorError(f"expected background rows of {width} features; got {x.shape[1]}")
        x, m = x[window.contains(m)], m[window.contains(m)]
        order = canonical_order(x, m) if len(m) else np.arange(0)
        return x[order], m[order]


@dataclass(frozen=True)
class ExactRatio:
    """The exact ln p_data / p_background, known where the data were made: nothing is learned.

    By Neyman and Pearson no score does better for any signal.

    Args:
        exact: ln R as a function of x, shape (n, d), and m, shape (n,).
    """

    exact: Callable[[Float[np.ndarray, "n d"], Float[np.ndarray, " n"]], Float[np.ndarray, " n"]]

    def fit(
        self, x: Float[np.ndarray, "n d"], m: Float[np.ndarray, " n"], window: Window, *, seed: int
    ) -> FittedExactRatio:
        """Evaluate the ratio; `seed` is part of the contract and has no effect.

        Raises:
            FeatureError: wrong shapes, or values that are not finite.
        """
        return FittedExactRatio(window, score_inside(self.exact, x, m, window), self.exact)


@dataclass(frozen=True, eq=False)
class FittedExactRatio:
    """The exact ratio in one window.

    Args:
        window: The signal region.
        out_of_fold: ln R of the rows given, NaN outside the window.
        exact: ln R as a function.
    """

    window: Window
    out_of_fold: Float[np.ndarray, " n"]
    exact: Callable[[Float[np.ndarray, "n d"], Float[np.ndarray, " n"]], Float[np.ndarray, " n"]]

    def log_ratio(self, x: Float[np.ndarray, "n d"], m: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """ln R of new rows; NaN outside the window.

        Args:
            x: Features, shape (n, d).
            m: Resonant feature, shape (n,).
        """
        return score_inside(self.exact, x, m, self.window)
