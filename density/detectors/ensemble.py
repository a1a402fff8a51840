"""Several detectors, or seeds of one, as one detector whose spread is its error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from density.detectors.contract import Detector, FittedDetector
from density.errors import DetectorError
from density.seeds import child_seed
from density.windows import Window

__all__ = ["Ensemble", "FittedEnsemble"]


@dataclass(frozen=True)
class Ensemble:
    """Fits every detector with every seed and averages.

    Args:
        detectors: Recipes, one or more.
        repeats: Seeds per detector, derived from the seed of the fit.
        combine: "mean" of the log-ratios; or "rank": mean of the ranks among the fitted rows of the window,
            from 0 to 1, for scores that are not on one scale (the result is then no log-ratio).
    """

    detectors: tuple[Detector, ...]
    repeats: int = 1
    combine: str = "mean"

    def __post_init__(self) -> None:
        if self.combine not in ("mean", "rank"):
            raise DetectorError(f"expected combine 'mean' or 'rank'; got {self.combine!r}")
        if self.repeats < 1 or len(self.detectors) * self.repeats < 2:
            raise DetectorError(
                f"an ensemble needs two members or more; got {len(self.detectors)} detectors and"
                f" {self.repeats} repeats"
            )

    def fit(
        self, x: Float[np.ndarray, "n d"], m: Float[np.ndarray, " n"], window: Window, *, seed: int
    ) -> FittedEnsemble:
        """Fit all members.

        Args:
            x: Features, shape (n, d), rows inside and outside the window.
            m: Resonant feature, shape (n,).
            window: The signal region.
            seed: Root of the members' seeds.

        Raises:
            DensityError: whatever a member raises.
        """
        members = tuple(
            detector.fit(x, m, window, seed=child_seed(seed, "detector", place, repeat))
            for place, detector in enumerate(self.detectors)
            for repeat in range(self.repeats)
        )
        return FittedEnsemble(window, members, self.combine)


@dataclass(frozen=True, eq=False)
class FittedEnsemble:
    """Fitted members; the score is their mean, the error their spread.

    The error is the standard deviation of one member about the mean (n - 1 in the denominator): it says what
    another training might have given. Members share the data, so it knows nothing of the data's own noise.

    Args:
        window: The signal region.
        members: Fitted detectors, detector by detector.
        combine: "mean" or "rank".
    """

    window: Window
    members: tuple[FittedDetector, ...]
    combine: str = "mean"

    @property
    def out_of_fold(self) -> Float[np.ndarray, " n"]:
        """Mean score of the fitted rows, cross-fitted, NaN outside the window."""
        return np.mean(self._fitted_scores(), axis=0)

    @property
    def out_of_fold_error(self) -> Float[np.ndarray, " n"]:
        """Spread of the members' scores of the fitted rows, NaN outside the window."""
        return np.std(self._fitted_scores(), axis=0, ddof=1)

    def log_ratio(self, x: Float[np.ndarray, "n d"], m: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """Mean score of new rows; for the fitted rows use `out_of_fold`.

        Args:
            x: Features, shape (n, d).
            m: Resonant feature, shape (n,).
        """
        return np.mean(self._scores(x, m), axis=0)

    def error(self, x: Float[np.ndarray, "n d"], m: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """Spread of the members' scores of new rows, NaN outside the window.

        Args:
            x: Features, shape (n, d).
            m: Resonant feature, shape (n,).
        """
        return np.std(self._scores(x, m), axis=0, ddof=1)

    def _fitted_scores(self) -> Float[np.ndarray, "k n"]:
        return np.stack([self._scaled(member, member.out_of_fold) for member in self.members])

    def _scores(self, x: np.ndarray, m: np.ndarray) -> Float[np.ndarray, "k n"]:
        return np.stack([self._scaled(member, member.log_ratio(x, m)) for member in self.members])

    def _scaled(self, member: FittedDetector, scores: np.ndarray) -> Float[np.ndarray, " n"]:
        """The scores, or their mid-ranks among the member's fitted rows, from 0 to 1."""
        if self.combine == "mean":
            return scores
        fitted = np.sort(member.out_of_fold[np.isfinite(member.out_of_fold)])
        below = np.searchsorted(fitted, scores, "left") + np.searchsorted(fitted, scores, "right")
        return np.where(np.isnan(scores), np.nan, 0.5 * below / len(fitted))
