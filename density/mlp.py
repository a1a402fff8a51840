"""A small neural network behind the classifiers' interface."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain, pairwise

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from density.classifiers import balanced_weights, checked_classes
from density.errors import DetectorError
from density.seeds import child_seed
from density.small_networks import FittedNetworks, seeded_network, standardisation, train_network

__all__ = ["FittedMlp", "Mlp"]

_EVALUATION_ROWS = 65536


@dataclass(frozen=True)
class Mlp:
    """Ensemble of multilayer perceptrons: standardised inputs, SiLU, AdamW, early stopping.

    The classes are weighted to equal totals in the loss, so that a logit is the log-ratio of their densities.
    Smooth where trees have steps, but features that carry nothing harm it (arXiv 2309.13111).

    Args:
        members: Networks; the ensemble's log-odds are their mean. Each splits off its own validation rows.
        hidden: Units of each hidden layer.
        epochs: Most passes over the training rows.
        batch_size: Rows per step.
        learning_rate: Rate of AdamW.
        weight_decay: AdamW's decoupled decay.
        validation_fraction: Share of the rows held back for early stopping.
        patience: Epochs without a new best before a member stops; the best epoch's weights are kept.
    """

    members: int = 3
    hidden: tuple[int, ...] = (64, 64)
    epochs: int = 60
    batch_size: int = 256
    learning_rate: float = 3e-3
    weight_decay: float = 1e-2
    validation_fraction: float = 0.25
    patience: int = 6

    def __post_init__(self) -> None:
        if min(self.members, self.epochs, self.batch_size, self.patience, *self.hidden) < 1:
            raise DetectorError(
                f"members, hidden, epochs, batch_size and patience must be at least 1; got {self}"
            )
        if not (0 < self.validation_fraction < 1 and self.learning_rate > 0 and self.weight_decay >= 0):
            raise DetectorError(
                f"expected 0 < validation_fraction < 1, learning_rate > 0, weight_decay >= 0; got {self}"
            )

    def fit(
        self,
        x: Float[np.ndarray, "n d"],
        y: Bool[np.ndarray, " n"],
        weights: Float[np.ndarray, " n"] | None = None,
        *,
        seed: int,
    ) -> FittedMlp:
        """Learn to tell class 1 from class 0; blind to the order of the rows.

        Args:
            x: Features, shape (n, d).
            y: True for class 1 (data), False for class 0 (background), shape (n,).
            weights: Non-negative weights, shape (n,).
            seed: Root of the members' seeds.

        Raises:
            DetectorError: a class has fewer than ten rows.
            TrainingError: the loss was not finite, with two seeds.
        """
        x, y, weights = checked_classes(x, y, weights)
        mean, spread = standardisation(x)
        inputs = torch.from_numpy((x - mean) / spread).float()
        target = torch.from_numpy(y).float()
        balanced = torch.from_numpy(balanced_weights(y, weights)).float()

        def loss(model: nn.Module, rows: Tensor) -> Tensor:
            logits = model(inputs[rows])[:, 0]
            return F.binary_cross_entropy_with_logits(logits, target[rows], balanced[rows])

        seeds = [child_seed(seed, "member", k) for k in range(self.members)]
        states = tuple(train_network(self, inputs, loss, seed=member) for member in seeds)
        return FittedMlp(self, mean, spread, states)

    def build(self, width: int, seed: int) -> nn.Sequential:
        """An untrained network; the global random state is left as it was."""

        def layers() -> list[nn.Module]:
            widths = (width, *self.hidden)
            hidden = [(nn.Linear(*pair), nn.SiLU()) for pair in pairwise(widths)]
            return [*chain.from_iterable(hidden), nn.Linear(widths[-1], 1)]

        return seeded_network(layers, seed)


@dataclass(frozen=True, eq=False)
class FittedMlp(FittedNetworks):
    """Fitted members; picklable.

    Args:
        recipe, mean, spread, states: as in `FittedNetworks`.
    """

    def log_odds(self, x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " n"]:
        """Mean over the members of ln p(x | 1) / p(x | 0), shape (n,)."""
        inputs = self.inputs(x)
        total = torch.zeros(len(inputs), dtype=torch.float64)
        for start in range(0, len(inputs), _EVALUATION_ROWS):
            rows = slice(start, start + _EVALUATION_ROWS)
            for network in self.networks:
                total[rows] += network(inputs[rows])[:, 0].double()
        return (total / len(self.states)).numpy()
