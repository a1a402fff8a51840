"""LaCATHODE: CATHODE's classifier in the latent space of the background flow (arXiv 2210.14924)."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from density.classifiers import BoostedTrees, Classifier, FittedClassifier
from density.detectors.anode import fitted_background
from density.detectors.contract import LatentDensity, WindowedRows, declared_names, score_inside
from density.detectors.crossfit import folds_of
from density.detectors.two_sample import classify_against, mean_log_odds
from density.errors import DetectorError
from density.flow import ConditionalFlow
from density.seeds import child_seed
from density.windows import Window

__all__ = ["FittedLaCathode", "LaCathode"]


@dataclass(frozen=True)
class LaCathode:
    """Maps the window's rows to the latent space of the sidebands' flow and classifies them there against
    standard normal draws.

    Background rows are standard normal there at every m, so a cut on the score selects the same share of
    background at every m: no sculpting of the m spectrum where x depends on m.

    Args:
        background: Recipe for the sidebands' flow, or a density with a latent space to use as it is.
        classifier: Recipe of the classifier; it sees z and never m.
        oversampling: Normal draws per row of the window.
        folds: Folds of the cross-fitting.
        margin: Gap between window and sidebands; see `Window.sidebands`.
        reach: Outer edge of the sidebands; None: all other rows.
        minimum: Fewest rows in the window, and in the sidebands.
    """

    background: ConditionalFlow | LatentDensity = field(default_factory=ConditionalFlow)
    classifier: Classifier = field(default_factory=BoostedTrees)
    oversampling: int = 4
    folds: int = 5
    margin: float = 0.0
    reach: float | None = None
    minimum: int = 500

    def __post_init__(self) -> None:
        if self.oversampling < 1:
            raise DetectorError(f"expected oversampling of at least 1; got {self.oversampling}")
        if not isinstance(self.background, ConditionalFlow | LatentDensity):
            raise DetectorError(
                f"LaCATHODE needs a background with a latent space (to_latent); got one of type"
                f" {type(self.background).__name__}"
            )

    def fit(
        self, x: Float[np.ndarray, "n d"], m: Float[np.ndarray, " n"], window: Window, *, seed: int
    ) -> FittedLaCathode:
        """Fit the background, map the window to its latent space, and cross-fit the classifier.

        Args:
            x: Features, shape (n, d), rows inside and outside the window.
            m: Resonant feature, shape (n,).
            window: The signal region.
            seed: Root of all random streams.

        Raises:
            DetectorError: too few rows in the window or its sidebands.
            FeatureError: values not finite, outside their bounds, or constant.
            TrainingError: the flow could not be trained.
        """
        rows = WindowedRows.of(
            x, m, window, margin=self.margin, reach=self.reach, minimum=self.minimum,
            names=declared_names(self.background),
        )  # fmt: skip
        background = fitted_background(self.background, rows, seed)
        x_in, m_in = rows.x[rows.inside], rows.m[rows.inside]
        z = background.to_latent(x_in, m_in)
        random = np.random.default_rng(np.random.SeedSequence(child_seed(seed, "latent")))
        log_ratio, classifiers = classify_against(
            self.classifier, z, random.standard_normal((self.oversampling * len(z), z.shape[1])),
            folds=self.folds, seed=seed,
            data_folds=folds_of(x_in, m_in, folds=self.folds, seed=child_seed(seed, "folds")),
        )  # fmt: skip
        return FittedLaCathode(window, rows.in_caller_order(log_ratio), background, classifiers)


@dataclass(frozen=True, eq=False)
class FittedLaCathode:
    """Fitted background and one classifier per fold in its latent space.

    Args:
        window: The signal region.
        out_of_fold: ln R of the fitted rows, cross-fitted, NaN outside the window.
        background: p_background(x | m).
        classifiers: One per fold.
    """

    window: Window
    out_of_fold: Float[np.ndarray, " n"]
    background: LatentDensity
    classifiers: tuple[FittedClassifier, ...]

    def log_ratio(self, x: Float[np.ndarray, "n d"], m: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """ln R of new rows, the mean over the folds' classifiers; for the fitted rows use `out_of_fold`.

        Args:
            x: Features, shape (n, d).
            m: Resonant feature, shape (n,).
        """

        def score(x_in: np.ndarray, m_in: np.ndarray) -> np.ndarray:
            return mean_log_odds(self.classifiers, self.background.to_latent(x_in, m_in))

        return score_inside(score, x, m, self.window)
