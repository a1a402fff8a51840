"""Ensembles of small networks on standardised inputs: what the classifier and the autoencoder share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import isfinite
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from density.errors import TrainingError
from density.seeds import child_seed

__all__ = ["FittedNetworks", "NetworkRecipe", "seeded_network", "standardisation", "train_network"]


@runtime_checkable
class NetworkRecipe(Protocol):
    """What the training needs to know of a recipe."""

    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    validation_fraction: float
    patience: int

    def build(self, width: int, seed: int) -> nn.Sequential:
        """An untrained network for inputs of that width."""


@dataclass(frozen=True, eq=False)
class FittedNetworks:
    """Trained networks on standardised inputs; picklable.

    Args:
        recipe: What they were trained with.
        mean: Mean of each input.
        spread: Standard deviation of each input.
        states: Weights of each network by name.
    """

    recipe: NetworkRecipe
    mean: Float[np.ndarray, " d"]
    spread: Float[np.ndarray, " d"]
    states: tuple[Mapping[str, np.ndarray], ...]

    @cached_property
    def networks(self) -> tuple[nn.Sequential, ...]:
        """The networks, ready to evaluate."""
        networks = tuple(self.recipe.build(len(self.mean), 0) for _ in self.states)
        for network, state in zip(networks, self.states, strict=True):
            network.load_state_dict({name: torch.from_numpy(value.copy()) for name, value in state.items()})
            network.eval().requires_grad_(False)
        return networks

    def inputs(self, x: Float[np.ndarray, "n d"]) -> Tensor:
        """Standardised inputs in single precision."""
        return torch.from_numpy((np.asarray(x, dtype=np.float64) - self.mean) / self.spread).float()

    def __getstate__(self) -> dict[str, object]:
        return {name: value for name, value in self.__dict__.items() if name != "networks"}


def standardisation(x: Float[np.ndarray, "n d"]) -> tuple[Float[np.ndarray, " d"], Float[np.ndarray, " d"]]:
    """Mean and standard deviation of each column; 1 for a column that is constant."""
    spread = x.std(axis=0)
    return x.mean(axis=0), np.where(spread > 0, spread, 1.0)


def seeded_network(layers: Callable[[], list[nn.Module]], seed: int) -> nn.Sequential:
    """The layers with initial weights of that seed; the global random state is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed % 2**63)
        return nn.Sequential(*layers())


def train_network(
    recipe: NetworkRecipe,
    inputs: Float[Tensor, "n d"],
    loss: Callable[[nn.Module, Tensor], Tensor],
    *,
    seed: int,
) -> dict[str, np.ndarray]:
    """Weights of the epoch of lowest validation loss; a second seed where a loss is not finite.

    Args:
        recipe: Network and training.
        inputs: Standardised inputs, shape (n, d).
        loss: Called with the network and indices of rows, gives their mean loss.
        seed: Root of the initial weights, the held-out rows and the batches.

    Raises:
        TrainingError: the loss was not finite with two seeds.
    """
    for attempt in range(2):
        state = _attempt(recipe, inputs, loss, child_seed(seed, "attempt", attempt))
        if state is not None:
            return {name: value.numpy() for name, value in state.items()}
    raise TrainingError(
        f"the loss was not finite with two seeds, at rate {recipe.learning_rate:g}; the most extreme input"
        f" lies {float(inputs.abs().max()):.1f} standard deviations out"
    )


def _attempt(
    recipe: NetworkRecipe, inputs: Tensor, loss: Callable[[nn.Module, Tensor], Tensor], seed: int
) -> dict[str, Tensor] | None:
    random = np.random.default_rng(np.random.SeedSequence(seed))
    split = torch.from_numpy(random.permutation(len(inputs)))
    held_out = min(max(1, round(recipe.validation_fraction * len(inputs))), len(inputs) - 1)
    validation, training = split[:held_out], split[held_out:]
    model = recipe.build(inputs.shape[1], seed)
    optimizer = torch.optim.AdamW(
        model.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True
    )
    best, best_epoch, state = float("inf"), 0, None
    for epoch in range(recipe.epochs):
        order = training[torch.from_numpy(random.permutation(len(training)))]
        # Batches of equal size: a last batch of a few rows would kick the weights at full rate.
        for rows in torch.tensor_split(order, -(-len(order) // recipe.batch_size)):
            optimizer.zero_grad(set_to_none=True)
            loss(model, rows).backward()
            optimizer.step()
        with torch.no_grad():
            held = float(loss(model, validation))
        if not isfinite(held):
            return None
        if held < best:
            best, best_epoch = held, epoch
            state = {name: value.clone() for name, value in model.state_dict().items()}
        elif epoch - best_epoch >= recipe.patience:
            break
    return state
