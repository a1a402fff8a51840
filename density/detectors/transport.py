"""Transport: sideband rows, moved to the window's m by a conditional flow, are the background there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

from density.classifiers import BoostedTrees, Classifier
from density.detectors.anode import fitted_background
from density.detectors.cathode import draw_resonant
from density.detectors.contract import LatentDensity, WindowedRows, check_rows, declared_names
from density.detectors.crossfit import folds_of
from density.detectors.two_sample import FittedTwoSample, classify_against, with_resonant
from density.errors import DetectorError
from density.flow import ConditionalFlow
from density.seeds import child_seed
from density.windows import Window

__all__ = [
    "FittedTransport",
    "FlowTransport",
    "InvertibleDensity",
    "nearest_rows",
    "transport",
]


@runtime_checkable
class InvertibleDensity(LatentDensity, Protocol):
    """A density whose latent space can be left again."""

    def from_latent(
        self, z: Float[np.ndarray, "n d"], m: Float[np.ndarray, " n"]
    ) -> Float[np.ndarray, "n d"]:
        """x(z; m), the inverse of `to_latent`."""


def transport(
    density: InvertibleDensity,
    x: Float[np.ndarray, "n d"],
    m: Float[np.ndarray, " n"],
    to: Float[np.ndarray, " n"],
    *,
    start: LatentDensity | None = None,
) -> Float[np.ndarray, "n d"]:
    """Each row where the density has its like at another m: x' = x(z(x; m); m').

    Rows that follow p(x | m) come out following p(x | m'); to its own m a row returns to itself.

    Args:
        density: p(x | m) with a latent space and a way back.
        x: Features, shape (n, d).
        m: Their resonant feature, shape (n,).
        to: The m' to move to, shape (n,).
        start: The density that the rows follow, where it is another one; z is then taken from there.

    Raises:
        DetectorError: rows came back not finite.
        FeatureError: values not finite or outside the bounds.
    """
    moved = density.from_latent((density if start is None else start).to_latent(x, m), to)
    lost = np.flatnonzero(~np.isfinite(moved).all(axis=1))
    if len(lost):
        k = int(lost[0])
        raise DetectorError(
            f"{len(lost)} of {len(x)} rows are not finite after transport, the first {x[k].tolist()} from m ="
            f" {m[k]:g} to {to[k]:g}; train the flow longer, declare bounds, or narrow the reach"
        )
    return moved


def nearest_rows(
    m: Float[np.ndarray, " n"], window: Window, count: int, *, seed: int
) -> Int[np.ndarray, " k"]:
    """Indices of the rows nearest to the window, its own first; ties in random order, no row twice.

    A row used twice is not two rows: at another m' it stays beside its copy, and a classifier trusts them as
    if they were independent.

    Args:
        m: Resonant feature, shape (n,), in canonical order.
        window: The signal region.
        count: How many are wanted; all rows where there are fewer.
        seed: Same seed, same ties.
    """
    shuffled = np.random.default_rng(np.random.SeedSequence(seed)).permutation(len(m))
    distance = np.maximum(np.maximum(window.low - m, m - window.high), 0.0)[shuffled]
    return shuffled[np.argsort(distance, kind="stable")][:count]


@dataclass(frozen=True)
class FlowTransport:
    """Moves the rows of the sidebands into the window and classifies the window's rows against them.

    The family of CURTAINs and Flows for Flows (arXiv 2203.09470, 2305.04646). Theirs is a flow between
    p(x | m) and p(x | m') for pairs (m, m'), trained by maximum likelihood with a second, conditional flow as
    its base density. Here the one flow does both: x -> z(x; m) -> x'(z; m'). It is exact where the flow is,
    costs nothing once the sidebands' flow is there, and all windows can share it; but no penalty keeps the
    path short, as theirs starts from the identity.

    Against CATHODE, whose flow is the same, the background here is made of real rows: what the flow gets
    wrong at m and at m' alike, it undoes. Signal in the sidebands is moved along.

    Args:
        background: Recipe for the sidebands' flow, or a density with a latent space and a way back.
        classifier: Recipe of the classifier.
        oversampling: Transported rows per row of the window, those nearest to it; at most all, none twice.
        folds: Folds of the cross-fitting.
        see_resonant: Let the classifier see m too, for signals narrower than the window.
        margin: Gap between window and sidebands; see `Window.sidebands`.
        reach: Outer edge of the sidebands; None: all other rows.
        minimum: Fewest rows in the window, and in the sidebands.
    """

    background: ConditionalFlow | InvertibleDensity = field(default_factory=ConditionalFlow)
    classifier: Classifier = field(default_factory=BoostedTrees)
    oversampling: int = 4
    folds: int = 5
    see_resonant: bool = False
    margin: float = 0.0
    reach: float | None = None
    minimum: int = 500

    def __post_init__(self) -> None:
        if self.oversampling < 1:
            raise DetectorError(f"expected oversampling of at least 1; got {self.oversampling}")
        if not isinstance(self.background, ConditionalFlow | InvertibleDensity):
            raise DetectorError(
                f"transport needs a background with a latent space and a way back (to_latent, from_latent);"
                f" got one of type {type(self.background).__name__}"
            )

    def fit(
        self, x: Float[np.ndarray, "n d"], m: Float[np.ndarray, " n"], window: Window, *, seed: int
    ) -> FittedTransport:
        """Fit the background, transport the sidebands, and cross-fit the classifier.

        Args:
            x: Features, shape (n, d), rows inside and outside the window.
            m: Resonant feature, shape (n,).
            window: The signal region.
            seed: Root of all random streams.

        Raises:
            DetectorError: too few rows in the window or its sidebands, or rows lost in transport.
            FeatureError: values not finite, outside their bounds, or constant.
            TrainingError: the flow could not be trained.
        """
        rows = WindowedRows.of(
            x, m, window, margin=self.margin, reach=self.reach, minimum=self.minimum,
            names=declared_names(self.background),
        )  # fmt: skip
        background = fitted_background(self.background, rows, seed)
        x_in, m_in = rows.x[rows.inside], rows.m[rows.inside]
        beside = np.flatnonzero(rows.beside)
        near = nearest_rows(
            rows.m[beside], window, self.oversampling * len(m_in), seed=child_seed(seed, "sources")
        )
        source = beside[near]
        to = draw_resonant(m_in, window, len(source), seed=child_seed(seed, "resonant"))
        x_to = transport(background, rows.x[source], rows.m[source], to)
        log_ratio, classifiers = classify_against(
            self.classifier, with_resonant(x_in, m_in, self.see_resonant),
            with_resonant(x_to, to, self.see_resonant), folds=self.folds, seed=seed,
            data_folds=folds_of(x_in, m_in, folds=self.folds, seed=child_seed(seed, "folds")),
        )  # fmt: skip
        scores = rows.in_caller_order(log_ratio)
        return FittedTransport(window, scores, classifiers, self.see_resonant, background=background)


@dataclass(frozen=True, eq=False)
class FittedTransport(FittedTwoSample):
    """One classifier per fold between the window's rows and the transported ones.

    Args:
        window, out_of_fold, classifiers, see_resonant: as in `FittedTwoSample`.
        background: p_background(x | m), which moves the rows.
    """

    background: InvertibleDensity = field(kw_only=True)

    def transported(
        self, x: Float[np.ndarray, "n d"], m: Float[np.ndarray, " n"], to: Float[np.ndarray, " n"]
    ) -> Float[np.ndarray, "n d"]:
        """Rows moved from their m to another; see `transport`.

        Args:
            x: Features, shape (n, d).
            m: Their resonant feature, shape (n,).
            to: The m' to move to, shape (n,).
        """
        return transport(self.background, *check_rows(x, m), np.asarray(to, dtype=np.float64))
