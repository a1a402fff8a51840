"""Classifiers as density-ratio estimators, and the default: an ensemble of boosted trees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float
from sklearn.ensemble import HistGradientBoostingClassifier

from density.errors import DetectorError
from density.ordering import canonical_order
from density.seeds import child_seed

__all__ = ["BoostedTrees", "Classifier", "FittedBoostedTrees", "FittedClassifier"]


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
            DetectorError: a class has fewer than ten rows.
        """
        x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=bool)
        if min(y.sum(), (~y).sum()) < 10:
            raise DetectorError(
                f"a classifier needs at least 10 rows of each class; got {y.sum()} and {(~y).sum()}"
            )
        parts = (
            [y.astype(np.float64), x] if weights is None else [y.astype(np.float64), x, np.asarray(weights)]
        )
        order = canonical_order(*parts)
        x, y = x[order], y[order]
        weights = None if weights is None else np.asarray(weights, dtype=np.float64)[order]
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
