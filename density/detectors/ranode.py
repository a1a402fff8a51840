"""R-ANODE: the background is frozen and only the residual is fitted (arXiv 2312.11629)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float

from density.bounds import Bounds, Interval
from density.classifiers import BoostedTrees, Classifier
from density.detectors.anode import fitted_background
from density.detectors.cathode import draw_resonant
from density.detectors.contract import ConditionalDensity, WindowedRows, declared_names, score_inside
from density.detectors.crossfit import folds_of
from density.detectors.fraction import Fraction, cross_fitted_fraction
from density.detectors.residual import (
    Residual,
    ResidualRows,
    SignalDensity,
    fit_residual,
    leading_rows,
)
from density.detectors.scouting import Neighbourhoods, best_start
from density.detectors.two_sample import classify_against
from density.detectors.window_background import FlooredBackground, ResonantDensity
from density.errors import DetectorError
from density.feature_maps import FeatureMap, choose_feature_map
from density.flow import ConditionalFlow
from density.seeds import child_seed
from density.windows import Window

__all__ = ["FittedRAnode", "RAnode"]

_SMALL = ConditionalFlow(
    layers=3, hidden=24, epochs=30, batch_size=128, learning_rate=5e-3, validation_fraction=0.2, patience=8
)


@dataclass(frozen=True)
class RAnode:
    """p_b(x | m) from the sidebands, frozen; p_S(x, m) fitted to the window beside it.

    The paper follows the gradient of E ln[w p_S + (1 - w) p_b] from random weights, which finds small signals
    in some seeds only. Here the same likelihood is climbed by expectation-maximisation. Many starts, the
    places where rows are denser than the background (`scouting.Neighbourhoods`) and the rows that a
    classifier between data and background samples ranks first, each grow a Gaussian; the likeliest is the
    first signal, and flows refine it where they improve on rows held out (`residual.fit_residual`). A signal
    of few rows stays a Gaussian.

    Of the folds, each in turn is scored, the next fifth of them chooses w and the end of the training, and
    the others are fitted.

    Args:
        background: Recipe for the sidebands' flow, or a density, fitted or exact, to use as it is.
        signal: Recipe for the flow of (m, x); its bounds are taken from the background's and the window.
        fraction: Share of signal while fitting. None: learned. A number: fixed. Several: scanned, and the
            smallest one kept whose held-out likelihood is within one standard error of the best: more signal
            than there is fits as well, with background in p_S.
        scout: Classifier that finds the first rows of the signal.
        peaks: Over-densities to start from, besides the scout's rows.
        first_events: Sum of the first rows' responsibilities.
        members: Flows averaged in p_S.
        rounds: Most rounds of expectation-maximisation with flows.
        oversampling: Background samples per row of the window, for the scout.
        folds: Folds of the cross-fitting, at least 3.
        margin: Gap between window and sidebands; see `Window.sidebands`.
        reach: Outer edge of the sidebands; None: all other rows.
        minimum: Fewest rows in the window, and in the sidebands.
    """

    background: ConditionalFlow | ConditionalDensity = field(default_factory=ConditionalFlow)
    signal: ConditionalFlow = _SMALL
    fraction: float | tuple[float, ...] | None = None
    scout: Classifier = field(default_factory=lambda: BoostedTrees(members=1))
    peaks: int = 10
    first_events: float = 30.0
    members: int = 1
    rounds: int = 3
    oversampling: int = 2
    folds: int = 10
    margin: float = 0.0
    reach: float | None = None
    minimum: int = 500

    def __post_init__(self) -> None:
        if any(not 0 < w < 1 for w in self._fractions() if w is not None):
            raise DetectorError(f"expected fractions between 0 and 1; got {self.fraction}")
        if self.folds < 3:
            raise DetectorError(
                f"expected at least 3 folds, to fit, to choose and to score; got {self.folds}"
            )
        if min(self.members, self.rounds, self.oversampling) < 1 or not self.first_events >= 10:
            raise DetectorError(
                f"expected members, rounds and oversampling of at least 1, and 10 first events or more; got"
                f" {self.members}, {self.rounds}, {self.oversampling}, {self.first_events}"
            )

    def _fractions(self) -> tuple[float | None, ...]:
        """What to try, in rising order."""
        return tuple(sorted(self.fraction)) if isinstance(self.fraction, tuple) else (self.fraction,)

    def fit(
        self, x: Float[np.ndarray, "n d"], m: Float[np.ndarray, " n"], window: Window, *, seed: int
    ) -> FittedRAnode:
        """Fit the background, then the residual, cross-fitted.

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
        prepared = self._prepare(background, x_in, m_in, window, seed)
        folds = folds_of(x_in, m_in, folds=self.folds, seed=child_seed(seed, "folds"))
        log_odds, residuals = np.empty(len(m_in)), []
        for fold in range(self.folds):
            scored = folds == fold
            chooses = (folds - fold - 1) % self.folds < max(self.folds // 5, 1)
            residual = self._residual(prepared, ~scored, chooses, child_seed(seed, "residual", fold))
            residuals.append(residual)
            log_odds[scored] = (
                residual.signal.log_prob(x_in[scored], m_in[scored])
                - prepared.log_background[scored] - residual.resonant.log_prob(m_in[scored])
            )  # fmt: skip
        fraction = cross_fitted_fraction(log_odds, folds)
        shown = max(fraction.value, 1 / len(m_in))
        scores = rows.in_caller_order(_full_ratio(log_odds, shown))
        limit = prepared.neighbourhoods.limit()
        return FittedRAnode(window, scores, prepared.background, tuple(residuals), fraction, limit, shown)

    def _prepare(
        self, background: ConditionalDensity, x: np.ndarray, m: np.ndarray, window: Window, seed: int
    ) -> _Prepared:
        """Draws of the background, and the rows' neighbourhoods among them."""
        m_drawn = draw_resonant(m, window, self.oversampling * len(m), seed=child_seed(seed, "resonant"))
        x_drawn = background.sample(m_drawn, seed=child_seed(seed, "samples"))
        bounds = self.signal.bounds or getattr(getattr(background, "recipe", None), "bounds", None)
        bounds = bounds or Bounds.unbounded(x.shape[1])
        bounds = Bounds((Interval(window.low, window.high), *bounds.features), ("m", *bounds.names))
        data, drawn = np.column_stack([m, x]), np.column_stack([m_drawn, x_drawn])
        feature_map = choose_feature_map(data, bounds)
        floored = FlooredBackground.of(background, feature_map, x, m, window)
        log_background = floored.log_prob(x, m)
        y, log_det = feature_map.forward(data)
        near = Neighbourhoods.of(y, log_background + floored.resonant.log_prob(m) - log_det)
        return _Prepared(data, drawn, floored, log_background, window, feature_map, near, bounds)

    def _residual(self, prepared: _Prepared, used: np.ndarray, chooses: np.ndarray, seed: int) -> Residual:
        """The residual of some rows; one of several where the fraction is scanned."""
        data, held_out = prepared.data[used], chooses[used]
        rows = ResidualRows(data[:, 1:], data[:, 0], prepared.log_background[used], held_out, prepared.window)
        start = self._start(prepared, rows, used, seed)
        found = [
            fit_residual(
                replace(self.signal, bounds=prepared.bounds), rows, prepared.feature_map, start,
                fraction=fraction, members=self.members, rounds=self.rounds, seed=seed,
            )
            for fraction in self._fractions()
        ]  # fmt: skip
        if len(found) == 1:
            return found[0]
        gains = np.stack([_gains(residual, rows) for residual in found])
        best = gains[int(np.argmax(gains.sum(axis=1)))]
        behind = (best - gains).sum(axis=1)
        error = (best - gains).std(axis=1) * np.sqrt(held_out.sum())
        return found[int(np.flatnonzero(behind <= error)[0])]

    def _start(
        self, prepared: _Prepared, rows: ResidualRows, used: np.ndarray, seed: int
    ) -> Float[np.ndarray, " n"]:
        """Responsibilities of the best Gaussian that grows from an over-density or from the scout's rows."""
        y, log_det = prepared.feature_map.forward(rows.both)
        resonant = ResonantDensity.of(rows.m, rows.window)
        log_background = rows.log_background + resonant.log_prob(rows.m) - log_det
        leading = self._leading(prepared, rows, seed)
        starts = [leading, *(peak[used] for peak in prepared.neighbourhoods.peaks(used, self.peaks))]
        grown = best_start(y, log_background, starts)
        return leading if grown is None else grown.responsibility

    def _leading(self, prepared: _Prepared, rows: ResidualRows, seed: int) -> Float[np.ndarray, " n"]:
        """Responsibilities from the scout, cross-fitted: in sample, every row stands out."""
        log_ratio, _ = classify_against(
            self.scout, rows.both, prepared.drawn, folds=2, seed=child_seed(seed, "scout")
        )
        return leading_rows(log_ratio, self.first_events)


@dataclass(frozen=True, eq=False)
class _Prepared:
    """What the folds share: rows (m, x), draws of the background, and what is known of the rows."""

    data: Float[np.ndarray, "n k"]
    drawn: Float[np.ndarray, "r k"]
    background: FlooredBackground
    log_background: Float[np.ndarray, " n"]
    window: Window
    feature_map: FeatureMap
    neighbourhoods: Neighbourhoods
    bounds: Bounds


@dataclass(frozen=True, eq=False)
class FittedRAnode:
    """Frozen background, fitted signal, and the share of signal in the window.

    Args:
        window: The signal region.
        out_of_fold: ln R = ln(1 - w + w p_S / p_b) of the fitted rows, cross-fitted, NaN outside the window;
            densities of x and m jointly.
        background: p_b(x | m), with a floor; `background.background` is the one that was given or fitted.
        residuals: One per fold.
        share: Share of signal w, estimated on rows that p_S did not see, with its likelihood interval. It
            counts the signal that was found.
        undetected_limit: Upper limit (95 %) on the share that a compact signal could hold anywhere in the
            window, found or not: one inside a ball of 40 rows (`Neighbourhoods.limit`).
        shown: w in the scores; at least one row's worth, so that ranks survive where w is estimated as 0.
    """

    window: Window
    out_of_fold: Float[np.ndarray, " n"]
    background: FlooredBackground
    residuals: tuple[Residual, ...]
    share: Fraction
    undetected_limit: float
    shown: float

    @property
    def fraction(self) -> float:
        """Share of signal in the window."""
        return self.share.value

    @property
    def fraction_error(self) -> float:
        """Its standard error: from the likelihood, and the spread of the folds."""
        return self.share.error

    @property
    def signal(self) -> SignalDensity:
        """p_S(x, m), the mean over the folds: `log_prob(x, m)` and `sample(count, seed=...)`."""
        return SignalDensity(tuple(part for residual in self.residuals for part in residual.signal.parts))

    def log_ratio(self, x: Float[np.ndarray, "n d"], m: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """ln R of new rows, with the mean over the folds of p_S / p_b; for the fitted rows use `out_of_fold`.

        Args:
            x: Features, shape (n, d).
            m: Resonant feature, shape (n,).
        """

        def score(x_in: np.ndarray, m_in: np.ndarray) -> np.ndarray:
            log_background = self.background.log_prob(x_in, m_in)
            parts = [
                residual.signal.log_prob(x_in, m_in) - log_background - residual.resonant.log_prob(m_in)
                for residual in self.residuals
            ]
            return _full_ratio(np.logaddexp.reduce(parts) - np.log(len(parts)), self.shown)

        return score_inside(score, x, m, self.window)


def _full_ratio(log_odds: Float[np.ndarray, " n"], fraction: float) -> Float[np.ndarray, " n"]:
    """ln(1 - w + w p_S / p_b)."""
    return np.logaddexp(np.log1p(-fraction), np.log(fraction) + log_odds)


def _gains(residual: Residual, rows: ResidualRows) -> Float[np.ndarray, " k"]:
    """ln(1 - w + w p_S / p_b) of the held-out rows, at the residual's own w."""
    x, m, log_background = (part[rows.held_out] for part in (rows.x, rows.m, rows.log_background))
    odds = residual.signal.log_prob(x, m) - log_background - residual.resonant.log_prob(m)
    return _full_ratio(odds, residual.fraction)
