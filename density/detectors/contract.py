"""What a detector is: a recipe that, fitted to rows and a window, gives anomaly scores inside the window."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Int

from density.errors import DetectorError, FeatureError
from density.feature_maps import check_features
from density.ordering import canonical_order
from density.windows import Window

__all__ = [
    "ConditionalDensity",
    "Detector",
    "FittedDetector",
    "LatentDensity",
    "WindowedRows",
    "check_rows",
    "declared_names",
    "score_inside",
]


@runtime_checkable
class ConditionalDensity(Protocol):
    """A background p(x | m) that is known, or fitted elsewhere: `FlowDensity`, or an exact one."""

    def log_prob(self, x: Float[np.ndarray, "n d"], m: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """ln p(x | m)."""

    def sample(self, m: Float[np.ndarray, " n"], *, seed: int) -> Float[np.ndarray, "n d"]:
        """One draw of x for each m."""


@runtime_checkable
class LatentDensity(ConditionalDensity, Protocol):
    """A background with a latent space in which it is standard normal at every m."""

    def to_latent(self, x: Float[np.ndarray, "n d"], m: Float[np.ndarray, " n"]) -> Float[np.ndarray, "n d"]:
        """z(x; m), invertible in x."""


@runtime_checkable
class FittedDetector(Protocol):
    """Anomaly scores ln R = ln p_data(x | m) / p_background(x | m) inside one window."""

    window: Window
    out_of_fold: Float[np.ndarray, " n"]
    """ln R of the rows that were fitted, in their order, each from models that did not train on it; NaN
    outside."""

    def log_ratio(self, x: Float[np.ndarray, "n d"], m: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """ln R of new rows, in their order; NaN outside the window."""


@runtime_checkable
class Detector(Protocol):
    """Recipe of a detector: cheap, picklable, nothing loaded."""

    def fit(
        self, x: Float[np.ndarray, "n d"], m: Float[np.ndarray, " n"], window: Window, *, seed: int
    ) -> FittedDetector:
        """Learn background and data from rows inside and outside the window; blind to their order."""


@dataclass(frozen=True, eq=False)
class WindowedRows:
    """Rows in canonical order, and where each came from.

    Args:
        x: Features, shape (n, d).
        m: Resonant feature, shape (n,).
        inside: Rows in the window.
        beside: Rows in the sidebands.
        order: Position of each row in the caller's array.
    """

    x: Float[np.ndarray, "n d"]
    m: Float[np.ndarray, " n"]
    inside: Bool[np.ndarray, " n"]
    beside: Bool[np.ndarray, " n"]
    order: Int[np.ndarray, " n"]

    @classmethod
    def of(
        cls,
        x: Float[np.ndarray, "n d"],
        m: Float[np.ndarray, " n"],
        window: Window,
        *,
        margin: float = 0.0,
        reach: float | None = None,
        minimum: int = 100,
        names: tuple[str, ...] | None = None,
    ) -> WindowedRows:
        """Check, sort and split the rows.

        Args:
            x: Features, shape (n, d).
            m: Resonant feature, shape (n,).
            window: The signal region.
            margin: See `Window.sidebands`.
            reach: See `Window.sidebands`.
            minimum: Fewest rows wanted in the window, and in the sidebands.
            names: Names of the features, for messages.

        Raises:
            DetectorError: too few rows in the window or in its sidebands.
            FeatureError: wrong shapes, or values that are not finite.
        """
        x, m = check_rows(x, m, names)
        order = canonical_order(x, m)
        x, m = x[order], m[order]
        inside, beside = window.contains(m), window.sidebands(m, margin=margin, reach=reach)
        if min(inside.sum(), beside.sum()) < minimum:
            raise DetectorError(
                f"expected {minimum} rows or more in the window [{window.low}, {window.high}) and in"
                f" its sidebands; got {inside.sum()} and {beside.sum()} of {len(m)}; widen one of them"
            )
        return cls(x, m, inside, beside, order)

    def in_caller_order(self, inside_scores: Float[np.ndarray, " k"]) -> Float[np.ndarray, " n"]:
        """Scores of the rows inside, put where the caller had them; NaN elsewhere."""
        scores = np.full(len(self.m), np.nan)
        scores[self.order[self.inside]] = inside_scores
        return scores


def declared_names(background: object) -> tuple[str, ...] | None:
    """Names of the features that a recipe, or the recipe of a fitted density, declares; None: it does not."""
    bounds = getattr(getattr(background, "recipe", background), "bounds", None)
    return None if bounds is None else bounds.names


def check_rows(
    x: Float[np.ndarray, "n d"], m: Float[np.ndarray, " n"], names: tuple[str, ...] | None = None
) -> tuple[Float[np.ndarray, "n d"], Float[np.ndarray, " n"]]:
    """Finite float64 features and resonant feature of equal length.

    Raises:
        FeatureError: wrong shapes, or values that are not finite.
    """
    if np.ndim(x) != 2 or np.shape(m) != (len(x),):
        raise FeatureError(
            f"expected x of shape (n, d) and m of shape (n,); got {np.shape(x)} and {np.shape(m)}"
        )
    x = check_features(x, names or tuple(f"feature {k}" for k in range(np.shape(x)[1])))
    return x, check_features(np.asarray(m)[:, None], ("the resonant feature m",))[:, 0]


def score_inside(
    score: Callable[[Float[np.ndarray, "k d"], Float[np.ndarray, " k"]], Float[np.ndarray, " k"]],
    x: Float[np.ndarray, "n d"],
    m: Float[np.ndarray, " n"],
    window: Window,
) -> Float[np.ndarray, " n"]:
    """Scores of the rows inside the window, NaN elsewhere.

    Rows are scored in canonical order: the rounding of a matrix product depends on a row's place in its
    batch.

    Args:
        score: Scores of rows that lie inside.
        x: Features, shape (n, d).
        m: Resonant feature, shape (n,).
        window: The signal region.
    """
    x, m = check_rows(x, m)
    scores = np.full(len(m), np.nan)
    rows = np.flatnonzero(window.contains(m))
    rows = rows[canonical_order(x[rows], m[rows])]
    if len(rows):
        scores[rows] = score(x[rows], m[rows])
    return scores
