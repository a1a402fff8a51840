"""ANODE: the ratio of two learned densities (Nachman & Shih 2020, arXiv 2001.04990)."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from density.detectors.contract import ConditionalDensity, WindowedRows, declared_names, score_inside
from density.detectors.crossfit import cross_fit, folds_of
from density.errors import DetectorError
from density.flow import ConditionalFlow
from density.flow_density import FlowDensity
from density.seeds import child_seed
from density.windows import Window

__all__ = ["Anode", "FittedAnode", "fitted_background"]


@dataclass(frozen=True)
class Anode:
    """p_background(x | m) from the sidebands, interpolated; p_data(x | m) from the window itself.

    Args:
        background: Recipe for the sidebands' flow, or a density, fitted or exact, to use as it is.
        data: Recipe for the window's flows.
        folds: One flow of the window per fold, each without that fold's rows.
        warm_start: Begin the window's flows at the background: the ratio then starts at one, and a small
            window needs few epochs. Both must be flows of the same size.
        margin: Gap between window and sidebands; see `Window.sidebands`.
        reach: Outer edge of the sidebands; None: all other rows.
        minimum: Fewest rows in the window, and in the sidebands.
    """

    background: ConditionalFlow | ConditionalDensity = field(default_factory=ConditionalFlow)
    data: ConditionalFlow = field(
        default_factory=lambda: ConditionalFlow(epochs=15, batch_size=512, patience=None)
    )
    folds: int = 5
    warm_start: bool = True
    margin: float = 0.0
    reach: float | None = None
    minimum: int = 500

    def __post_init__(self) -> None:
        if not self.warm_start:
            return
        recipe = getattr(self.background, "recipe", self.background)
        if not isinstance(recipe, ConditionalFlow):
            raise DetectorError(
                f"a warm start needs a flow to start from; got a background of type"
                f" {type(self.background).__name__}; set warm_start=False"
            )
        sizes = [(flow.layers, flow.hidden, flow.blocks) for flow in (recipe, self.data)]
        if sizes[0] != sizes[1]:
            raise DetectorError(
                f"a warm start needs flows of one size (layers, hidden, blocks); got {sizes[0]}, {sizes[1]}"
            )

    def fit(
        self, x: Float[np.ndarray, "n d"], m: Float[np.ndarray, " n"], window: Window, *, seed: int
    ) -> FittedAnode:
        """Fit background and data flows.

        Args:
            x: Features, shape (n, d), rows inside and outside the window.
            m: Resonant feature, shape (n,).
            window: The signal region.
            seed: Root of all random streams.

        Raises:
            DetectorError: too few rows in the window or its sidebands.
            FeatureError: values not finite, outside their bounds, or constant.
            TrainingError: a flow could not be trained.
        """
        rows = WindowedRows.of(
            x, m, window, margin=self.margin, reach=self.reach, minimum=self.minimum,
            names=declared_names(self.background),
        )  # fmt: skip
        background = fitted_background(self.background, rows, seed)
        x_in, m_in = rows.x[rows.inside], rows.m[rows.inside]
        start = background if self.warm_start else None
        flows: list[FlowDensity] = []

        def fit_and_score(train: np.ndarray, score: np.ndarray, fold: int) -> np.ndarray:
            flow_seed = child_seed(seed, "data", fold)
            flows.append(self.data.fit(x_in[train], m_in[train], seed=flow_seed, start=start))
            return flows[-1].log_prob(x_in[score], m_in[score])

        folds = folds_of(x_in, m_in, folds=self.folds, seed=child_seed(seed, "folds"))
        log_ratio = cross_fit(fit_and_score, folds) - background.log_prob(x_in, m_in)
        return FittedAnode(window, rows.in_caller_order(log_ratio), background, tuple(flows))


@dataclass(frozen=True, eq=False)
class FittedAnode:
    """Fitted background and data densities.

    Args:
        window: The signal region.
        out_of_fold: ln R of the fitted rows, cross-fitted, NaN outside the window.
        background: p_background(x | m).
        data: p_data(x | m), one flow per fold.
    """

    window: Window
    out_of_fold: Float[np.ndarray, " n"]
    background: ConditionalDensity
    data: tuple[FlowDensity, ...]

    def log_ratio(self, x: Float[np.ndarray, "n d"], m: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """ln R of new rows; the data density is the mean of the folds' densities.

        For the fitted rows use `out_of_fold`: four of the five flows here have seen each of them.

        Args:
            x: Features, shape (n, d).
            m: Resonant feature, shape (n,).
        """

        def score(x_in: np.ndarray, m_in: np.ndarray) -> np.ndarray:
            data = np.logaddexp.reduce([flow.log_prob(x_in, m_in) for flow in self.data]) - np.log(
                len(self.data)
            )
            return data - self.background.log_prob(x_in, m_in)

        return score_inside(score, x, m, self.window)


def fitted_background(
    background: ConditionalFlow | ConditionalDensity, rows: WindowedRows, seed: int
) -> ConditionalDensity:
    """The density given, or one fitted to the sidebands.

    Raises:
        DetectorError: neither a recipe nor a density.
    """
    if isinstance(background, ConditionalDensity):
        return background
    if not isinstance(background, ConditionalFlow):
        raise DetectorError(
            f"expected a background to fit (ConditionalFlow), or one with log_prob(x, m) and"
            f" sample(m, seed=...); got {type(background).__name__}"
        )
    return background.fit(rows.x[rows.beside], rows.m[rows.beside], seed=child_seed(seed, "background"))
