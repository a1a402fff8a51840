"""CATHODE: classify the data against samples of an interpolated background (arXiv 2109.00546)."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from density.classifiers import BoostedTrees, Classifier, FittedClassifier
from density.detectors.anode import fitted_background
from density.detectors.contract import ConditionalDensity, WindowedRows, declared_names, score_inside
from density.detectors.crossfit import cross_fit, folds_of
from density.errors import DetectorError
from density.flow import ConditionalFlow
from density.seeds import child_seed
from density.windows import Window

__all__ = ["Cathode", "FittedCathode", "draw_resonant"]


@dataclass(frozen=True)
class Cathode:
    """Background flow on the sidebands, samples of it in the window, and a classifier between data and
    samples.

    Args:
        background: Recipe for the sidebands' flow, or a density, fitted or exact, to use as it is.
        classifier: Recipe of the classifier.
        oversampling: Background samples per row of the window.
        folds: Folds of the cross-fitting.
        classifier_features: Columns of x that the classifier sees; None: all.
        see_resonant: Let the classifier see m too, for signals narrower than the window.
        margin: Gap between window and sidebands; see `Window.sidebands`.
        reach: Outer edge of the sidebands; None: all other rows.
        minimum: Fewest rows in the window, and in the sidebands.
    """

    background: ConditionalFlow | ConditionalDensity = field(default_factory=ConditionalFlow)
    classifier: Classifier = field(default_factory=BoostedTrees)
    oversampling: int = 4
    folds: int = 5
    classifier_features: tuple[int, ...] | None = None
    see_resonant: bool = False
    margin: float = 0.0
    reach: float | None = None
    minimum: int = 500

    def __post_init__(self) -> None:
        if self.oversampling < 1:
            raise DetectorError(f"expected oversampling of at least 1; got {self.oversampling}")

    def fit(
        self, x: Float[np.ndarray, "n d"], m: Float[np.ndarray, " n"], window: Window, *, seed: int
    ) -> FittedCathode:
        """Fit the background, sample it in the window, and cross-fit the classifier.

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
        m_drawn = draw_resonant(
            m_in, window, self.oversampling * len(m_in), seed=child_seed(seed, "resonant")
        )
        x_drawn = background.sample(m_drawn, seed=child_seed(seed, "samples"))
        data, drawn = self.seen(x_in, m_in), self.seen(x_drawn, m_drawn)
        # Samples are exchangeable: their place in the list serves as their fold.
        drawn_folds = np.arange(len(drawn)) % self.folds
        members: list[FittedClassifier] = []

        def fit_and_score(train: np.ndarray, score: np.ndarray, fold: int) -> np.ndarray:
            kept = drawn[drawn_folds != fold]
            labels = np.arange(train.sum() + len(kept)) < train.sum()
            both = np.concatenate([data[train], kept])
            members.append(self.classifier.fit(both, labels, seed=child_seed(seed, "classifier", fold)))
            return members[-1].log_odds(data[score])

        folds = folds_of(x_in, m_in, folds=self.folds, seed=child_seed(seed, "folds"))
        log_ratio = cross_fit(fit_and_score, folds)
        return FittedCathode(self, window, rows.in_caller_order(log_ratio), background, tuple(members))

    def seen(self, x: Float[np.ndarray, "n d"], m: Float[np.ndarray, " n"]) -> Float[np.ndarray, "n k"]:
        """The columns that the classifier sees.

        Args:
            x: Features, shape (n, d).
            m: Resonant feature, shape (n,).

        Raises:
            DetectorError: `classifier_features` names a column that x has not.
        """
        columns = range(x.shape[1]) if self.classifier_features is None else self.classifier_features
        if any(not 0 <= column < x.shape[1] for column in columns):
            raise DetectorError(
                f"classifier_features {self.classifier_features} do not fit {x.shape[1]} features"
            )
        chosen = x[:, list(columns)]
        return np.column_stack([chosen, m]) if self.see_resonant else chosen


@dataclass(frozen=True, eq=False)
class FittedCathode:
    """Fitted background and one classifier per fold.

    Args:
        recipe: What it was fitted with.
        window: The signal region.
        out_of_fold: ln R of the fitted rows, cross-fitted, NaN outside the window.
        background: p_background(x | m).
        classifiers: One per fold.
    """

    recipe: Cathode
    window: Window
    out_of_fold: Float[np.ndarray, " n"]
    background: ConditionalDensity
    classifiers: tuple[FittedClassifier, ...]

    def log_ratio(self, x: Float[np.ndarray, "n d"], m: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """ln R of new rows, the mean over the folds' classifiers; for the fitted rows use `out_of_fold`.

        Args:
            x: Features, shape (n, d).
            m: Resonant feature, shape (n,).
        """

        def score(x_in: np.ndarray, m_in: np.ndarray) -> np.ndarray:
            seen = self.recipe.seen(x_in, m_in)
            return np.mean([classifier.log_odds(seen) for classifier in self.classifiers], axis=0)

        return score_inside(score, x, m, self.window)


def draw_resonant(
    m: Float[np.ndarray, " n"], window: Window, count: int, *, seed: int
) -> Float[np.ndarray, " k"]:
    """Draws from a Gaussian kernel density estimate of m, reflected at the window's edges.

    Silverman's bandwidth; reflection keeps the estimate from falling off at the edges.

    Args:
        m: Values inside the window, in canonical order, shape (n,).
        window: The signal region.
        count: Number of draws.
        seed: Same seed, same draws.
    """
    random = np.random.default_rng(np.random.SeedSequence(seed))
    low, high = np.percentile(m, [25, 75])
    spread = min(float(m.std()), float(high - low) / 1.34) or float(m.std())
    jittered = random.choice(m, count) + 0.9 * spread * len(m) ** -0.2 * random.standard_normal(count)
    # Folding with period 2 x width reflects at both edges, however far a draw went.
    folded = np.mod(jittered - window.low, 2 * window.width)
    inside = window.low + np.minimum(folded, 2 * window.width - folded)
    return np.clip(inside, window.low, np.nextafter(window.high, window.low))
