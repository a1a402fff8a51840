"""Classifiers as density-ratio estimators, and the default: an ensemble of boosted trees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from density.errors import DetectorError
from density.ordering import canonical_order, content_hash
from density.seeds import child_seed

__all__ = [
    "BoostedTrees",
    "Calibrated",
    "Classifier",
    "FittedBoostedTrees",
    "FittedCalibrated",
    "FittedClassifier",
    "balanced_weights",
    "checked_classes",
]


@runtime_checkable
class FittedClassifier(Protocol):
    """A classifier that has seen its training rows."""

    def log_odds(self, x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " n"]:
        """ln of p(x | class 1) / p(x | class 0), shape (n,): odds with the classes' shares taken out."""


@runtime_checkable
class Classifier(Protocol):
    """Recipe of a classifier."""

    def fit(
        self,
        x: Float[np.ndarray, "n d"],
        y: Bool[np.ndarray, " n"],
        weights: Float[np.ndarray, " n"] | None = None,
        *,
        seed: int,
    ) -> FittedClassifier:
        """Learn to tell class 1 (True) from class 0; blind to the order of the rows."""


def checked_classes(
    x: Float[np.ndarray, "n d"], y: Bool[np.ndarray, " n"], weights: Float[np.ndarray, " n"] | None
) -> tuple[Float[np.ndarray, "n d"], Bool[np.ndarray, " n"], Float[np.ndarray, " n"] | None]:
    """Rows, labels and weights in canonical order.

    Raises:
        DetectorError: a class has fewer than ten rows or no weight, or a weight is negative or not finite.
    """
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=bool)
    if min(y.sum(), (~y).sum()) < 10:
        raise DetectorError(
            f"a classifier needs at least 10 rows of each class; got {y.sum()} and {(~y).sum()}"
        )
    parts = [y.astype(np.float64), x]
    if weights is not None:
        weights = np.asarray(weights, dtype=np.float64)
        if weights.shape != y.shape or not (np.isfinite(weights).all() and (weights >= 0).all()):
            raise DetectorError(f"expected {len(y)} finite non-negative weights; got shape {weights.shape}")
        if not min(weights[y].sum(), weights[~y].sum()) > 0:
            raise DetectorError("all weights of one class are zero; leave them out or give positive ones")
        parts.append(weights)
    order = canonical_order(*parts)
    return x[order], y[order], None if weights is None else weights[order]


def balanced_weights(
    y: Bool[np.ndarray, " n"], weights: Float[np.ndarray, " n"] | None = None
) -> Float[np.ndarray, " n"]:
    """Weights of mean one under which both classes have the same total.

    Args:
        y: Class of each row, shape (n,), both classes present.
        weights: Weights to start from, shape (n,); None: all alike.
    """
    weights = np.ones(len(y)) if weights is None else weights
    totals = np.bincount(y, weights)
    return weights * (0.5 * len(y) / totals)[y.astype(int)]


@dataclass(frozen=True)
class BoostedTrees:
    """Ensemble of histogram gradient-boosted trees (arXiv 2309.13111): robust where features carry nothing.

    Each member splits off its own validation rows for early stopping; the ensemble's log-odds are the mean.

    Args:
        members: Number of members.
        rounds: Most boosting rounds of a member.
        learning_rate: Shrinkage.
        max_leaf_nodes: Leaves of a tree.
        max_bins: Bins of each feature's histogram.
        min_samples_leaf: Fewest rows in a leaf.
        l2_regularization: Penalty on the leaves' values.
        validation_fraction: Share of rows a member holds back for early stopping.
        patience: Rounds without improvement before a member stops.
    """

    members: int = 5
    rounds: int = 200
    learning_rate: float = 0.1
    max_leaf_nodes: int = 31
    max_bins: int = 127
    min_samples_leaf: int = 20
    l2_regularization: float = 0.0
    validation_fraction: float = 0.5
    patience: int = 10

    def fit(
        self,
        x: Float[np.ndarray, "n d"],
        y: Bool[np.ndarray, " n"],
        weights: Float[np.ndarray, " n"] | None = None,
        *,
        seed: int,
    ) -> FittedBoostedTrees:
        """Learn to tell class 1 from class 0.

        Args:
            x: Features, shape (n, d).
            y: True for class 1 (data), False for class 0 (background), shape (n,).
            weights: Non-negative weights, shape (n,).
            seed: Root of the members' seeds.

        Raises:
            DetectorError: a class has fewer than ten rows, or bad weights.
        """
        x, y, weights = checked_classes(x, y, weights)
        shares = np.bincount(y, weights)
        # Taking the shares out afterwards, not by weights, lets each row count alike and spares scikit-learn
        # a weighted binning that costs more than the trees.
        offset = float(np.log(shares[1] / shares[0]))
        seeds = [child_seed(seed, "member", k) % 2**32 for k in range(self.members)]
        members = tuple(self._member(s).fit(x, y, sample_weight=weights) for s in seeds)
        return FittedBoostedTrees(members, offset)

    def _member(self, seed: int) -> HistGradientBoostingClassifier:
        return HistGradientBoostingClassifier(
            learning_rate=self.learning_rate,
            max_iter=self.rounds,
            max_leaf_nodes=self.max_leaf_nodes,
            max_bins=self.max_bins,
            min_samples_leaf=self.min_samples_leaf,
            l2_regularization=self.l2_regularization,
            early_stopping=True,
            validation_fraction=self.validation_fraction,
            n_iter_no_change=self.patience,
            random_state=seed,
        )


@dataclass(frozen=True, eq=False)
class FittedBoostedTrees:
    """Fitted members; picklable.

    Args:
        members: The fitted trees.
        offset: ln of the ratio of the classes' total weights, taken out of the log-odds.
    """

    members: tuple[HistGradientBoostingClassifier, ...]
    offset: float

    def log_odds(self, x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " n"]:
        """Mean over the members of ln p(x | 1) / p(x | 0), shape (n,)."""
        if len(x) == 0:
            return np.empty(0)
        return np.mean([member.decision_function(x) for member in self.members], axis=0) - self.offset


@dataclass(frozen=True)
class Calibrated:
    """A classifier whose log-odds are calibrated on rows it did not see.

    Every fold's classifier scores the fold it did not see; a monotone map from all these scores to log-odds,
    fitted with the classes balanced, is applied to the mean of the folds' classifiers.

    Args:
        classifier: Recipe of the classifier.
        method: "platt": a straight line in the log-odds (slope not negative), keeps the ranking; or
            "isotonic": any rising step function, needs many rows and ties neighbours.
        folds: Number of folds.
    """

    classifier: Classifier
    method: str = "platt"
    folds: int = 4

    def __post_init__(self) -> None:
        if self.method not in ("platt", "isotonic"):
            raise DetectorError(f"expected method 'platt' or 'isotonic'; got {self.method!r}")
        if self.folds < 2:
            raise DetectorError(f"calibration needs at least 2 folds; got {self.folds}")

    def fit(
        self,
        x: Float[np.ndarray, "n d"],
        y: Bool[np.ndarray, " n"],
        weights: Float[np.ndarray, " n"] | None = None,
        *,
        seed: int,
    ) -> FittedCalibrated:
        """Learn to tell class 1 from class 0, then calibrate.

        Args, Raises: as in `Classifier.fit`.
        """
        x, y, weights = checked_classes(x, y, weights)
        # By content, so that equal rows never stand on both sides.
        folds = content_hash(x, seed=child_seed(seed, "folds")) % self.folds
        scores, members = np.empty(len(y)), []
        for fold in range(self.folds):
            kept, out = folds != fold, folds == fold
            fold_weights = None if weights is None else weights[kept]
            members.append(
                self.classifier.fit(x[kept], y[kept], fold_weights, seed=child_seed(seed, "fold", fold))
            )
            scores[out] = members[-1].log_odds(x[out])
        calibrate = _platt if self.method == "platt" else _isotonic
        return FittedCalibrated(tuple(members), *calibrate(scores, y, balanced_weights(y, weights)))


@dataclass(frozen=True, eq=False)
class FittedCalibrated:
    """Fitted members and their calibration.

    Args:
        members: One classifier per fold.
        scores: Knots of the map, rising.
        log_odds_at: Calibrated log-odds at the knots; in between and beyond, a straight line (Platt, two
            knots), or a step function's interpolation, constant beyond (isotonic).
    """

    members: tuple[FittedClassifier, ...]
    scores: Float[np.ndarray, " k"]
    log_odds_at: Float[np.ndarray, " k"]

    def log_odds(self, x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " n"]:
        """Calibrated ln p(x | 1) / p(x | 0), shape (n,)."""
        raw = np.mean([member.log_odds(x) for member in self.members], axis=0)
        if len(self.scores) == 2:
            slope = (self.log_odds_at[1] - self.log_odds_at[0]) / (self.scores[1] - self.scores[0])
            return self.log_odds_at[0] + slope * (raw - self.scores[0])
        return np.interp(raw, self.scores, self.log_odds_at)


def _platt(scores: np.ndarray, y: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    model = LogisticRegression(C=np.inf).fit(scores[:, None], y, sample_weight=weights)
    slope, offset = max(float(model.coef_[0, 0]), 0.0), float(model.intercept_[0])
    return np.array([0.0, 1.0]), np.array([offset, offset + slope])


def _isotonic(scores: np.ndarray, y: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    # A step of one class alone has infinite odds; half a row of the other class keeps them finite.
    least = 0.5 / len(y)
    model = IsotonicRegression(y_min=least, y_max=1 - least, out_of_bounds="clip")
    model.fit(scores, y.astype(np.float64), sample_weight=weights)
    share = np.asarray(model.y_thresholds_, dtype=np.float64)
    return np.asarray(model.X_thresholds_, dtype=np.float64), np.log(share) - np.log1p(-share)
