"""A small neural network behind the classifiers' interface."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import isfinite

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from density.classifiers import balanced_weights, checked_classes
from density.errors import DetectorError, TrainingError
from density.seeds import child_seed

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
        mean, spread = x.mean(axis=0), x.std(axis=0)
        spread = np.where(spread > 0, spread, 1.0)
        inputs = torch.from_numpy((x - mean) / spread).float()
        target = torch.from_numpy(y).float()
        balanced = torch.from_numpy(balanced_weights(y, weights)).float()
        states = tuple(
            self._member(inputs, target, balanced, child_seed(seed, "member", k)) for k in range(self.members)
        )
        return FittedMlp(self, mean, spread, states)

    def build(self, width: int, seed: int) -> nn.Sequential:
        """An untrained network; the global random state is left as it was."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed % 2**63)
            layers: list[nn.Module] = []
            for units in self.hidden:
                layers += [nn.Linear(width, units), nn.SiLU()]
                width = units
            return nn.Sequential(*layers, nn.Linear(width, 1))

    def _member(self, x: Tensor, y: Tensor, weights: Tensor, seed: int) -> dict[str, np.ndarray]:
        for attempt in range(2):
            state = self._attempt(x, y, weights, child_seed(seed, "attempt", attempt))
            if state is not None:
                return {name: value.numpy() for name, value in state.items()}
        raise TrainingError(
            f"the classifier's loss was not finite with two seeds, at rate {self.learning_rate:g}; the most"
            f" extreme input lies {float(x.abs().max()):.1f} standard deviations out"
        )

    def _attempt(self, x: Tensor, y: Tensor, weights: Tensor, seed: int) -> dict[str, Tensor] | None:
        """Weights of the epoch of lowest validation loss; None once a loss is not finite."""
        random = np.random.default_rng(np.random.SeedSequence(seed))
        split = torch.from_numpy(random.permutation(len(x)))
        held_out = min(max(1, round(self.validation_fraction * len(x))), len(x) - 1)
        validation, training = split[:held_out], split[held_out:]
        model = self.build(x.shape[1], seed)
        optimizer = torch.optim.AdamW(
            model.parameters(), self.learning_rate, weight_decay=self.weight_decay, fused=True
        )
        best, best_epoch, state = float("inf"), 0, None
        for epoch in range(self.epochs):
            order = training[torch.from_numpy(random.permutation(len(training)))]
            # Batches of equal size: a last batch of a few rows would kick the weights at full rate.
            for rows in torch.tensor_split(order, -(-len(order) // self.batch_size)):
                optimizer.zero_grad(set_to_none=True)
                _loss(model, x[rows], y[rows], weights[rows]).backward()
                optimizer.step()
            with torch.no_grad():
                loss = float(_loss(model, x[validation], y[validation], weights[validation]))
            if not isfinite(loss):
                return None
            if loss < best:
                best, best_epoch = loss, epoch
                state = {name: value.clone() for name, value in model.state_dict().items()}
            elif epoch - best_epoch >= self.patience:
                break
        return state


def _loss(model: nn.Module, x: Tensor, y: Tensor, weights: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(model(x)[:, 0], y, weights)


@dataclass(frozen=True, eq=False)
class FittedMlp:
    """Fitted members; picklable.

    Args:
        recipe: What it was fitted with.
        mean: Mean of each input.
        spread: Standard deviation of each input.
        states: Weights of each member by name.
    """

    recipe: Mlp
    mean: Float[np.ndarray, " d"]
    spread: Float[np.ndarray, " d"]
    states: tuple[Mapping[str, np.ndarray], ...]

    @cached_property
    def _networks(self) -> tuple[nn.Sequential, ...]:
        networks = tuple(self.recipe.build(len(self.mean), 0) for _ in self.states)
        for network, state in zip(networks, self.states, strict=True):
            network.load_state_dict({name: torch.from_numpy(value.copy()) for name, value in state.items()})
            network.eval().requires_grad_(False)
        return networks

    def __getstate__(self) -> dict[str, object]:
        return {name: value for name, value in self.__dict__.items() if name != "_networks"}

    def log_odds(self, x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " n"]:
        """Mean over the members of ln p(x | 1) / p(x | 0), shape (n,)."""
        inputs = torch.from_numpy((np.asarray(x, dtype=np.float64) - self.mean) / self.spread).float()
        total = torch.zeros(len(inputs), dtype=torch.float64)
        for start in range(0, len(inputs), _EVALUATION_ROWS):
            rows = slice(start, start + _EVALUATION_ROWS)
            for network in self._networks:
                total[rows] += network(inputs[rows])[:, 0].double()
        return (total / len(self.states)).numpy()
