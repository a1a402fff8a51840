"""CWoLa hunting: classify the window against its sidebands (arXiv 1805.02664, 1902.02634)."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from density.classifiers import BoostedTrees, Classifier
from density.detectors.contract import WindowedRows
from density.detectors.crossfit import folds_of
from density.detectors.two_sample import FittedTwoSample, classify_against
from density.seeds import child_seed
from density.windows import Window

__all__ = ["Cwola"]


@dataclass(frozen=True)
class Cwola:
    """A classifier between the window and the sidebands: no density, no interpolation.

    It fails where the features depend on m: the window then differs from its sidebands without any signal.
    Both sides count alike, whatever their numbers (1902.02634, section III.B), so that a dependence linear in
    m cancels as far as it can.

    Args:
        classifier: Recipe of the classifier; it never sees m.
        folds: Folds of the cross-fitting.
        margin: Gap between window and sidebands; see `Window.sidebands`.
        reach: Outer edge of the sidebands, from the window's edges; None: all other rows. Near sidebands lose
            rows and gain likeness.
        minimum: Fewest rows in the window, and in the sidebands.
    """

    classifier: Classifier = field(default_factory=BoostedTrees)
    folds: int = 5
    margin: float = 0.0
    reach: float | None = None
    minimum: int = 500

    def fit(
        self, x: Float[np.ndarray, "n d"], m: Float[np.ndarray, " n"], window: Window, *, seed: int
    ) -> FittedTwoSample:
        """Cross-fit the classifier.

        Args:
            x: Features, shape (n, d), rows inside and outside the window.
            m: Resonant feature, shape (n,).
            window: The signal region.
            seed: Root of all random streams.

        Raises:
            DetectorError: too few rows in the window or its sidebands.
            FeatureError: wrong shapes, or values that are not finite.
        """
        rows = WindowedRows.of(x, m, window, margin=self.margin, reach=self.reach, minimum=self.minimum)
        x_in, m_in = rows.x[rows.inside], rows.m[rows.inside]
        x_beside, m_beside = rows.x[rows.beside], rows.m[rows.beside]
        fold_seed = child_seed(seed, "folds")
        log_ratio, classifiers = classify_against(
            self.classifier, x_in, x_beside, folds=self.folds, seed=seed,
            data_folds=folds_of(x_in, m_in, folds=self.folds, seed=fold_seed),
            reference_folds=folds_of(x_beside, m_beside, folds=self.folds, seed=fold_seed),
            reference_weights=_equal_sides(m_beside, window),
        )  # fmt: skip
        return FittedTwoSample(window, rows.in_caller_order(log_ratio), classifiers)


def _equal_sides(m: Float[np.ndarray, " r"], window: Window) -> Float[np.ndarray, " r"] | None:
    """Weights of mean one that give both sides the same total; None where there is one side only."""
    below = m < window.low
    count = int(below.sum())
    if count in (0, len(m)):
        return None
    return np.where(below, 0.5 * len(m) / count, 0.5 * len(m) / (len(m) - count))
