"""Rows to train a density on, and their loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from density.backend import AutoregressiveFlow

__all__ = ["Rows", "TrainableRows", "mean_loss", "step_loss"]

_EVALUATION_ROWS = 65536


@runtime_checkable
class TrainableRows(Protocol):
    """Rows that a model can be trained on: whatever their likelihood is, it is a number per row."""

    weights: Float[Tensor, " n"] | None
    precision: torch.dtype

    def __len__(self) -> int: ...

    @property
    def device(self) -> torch.device:
        """Where the rows are."""

    @property
    def chunk(self) -> int:
        """Rows that are evaluated at once."""

    def take(self, index: Int[Tensor, " k"]) -> TrainableRows:
        """The rows of `index`."""

    def log_prob(self, model: AutoregressiveFlow, *, training: bool) -> Float[Tensor, " n"]:
        """ln of the likelihood of each row; a random estimate where `training` asks for a step's."""


@dataclass(frozen=True)
class Rows:
    """Mapped features, mapped context and weights as tensors of one dtype on one device."""

    x: Float[Tensor, "n d"]
    context: Float[Tensor, "n c"] | None
    weights: Float[Tensor, " n"] | None

    def __len__(self) -> int:
        return len(self.x)

    @property
    def device(self) -> torch.device:
        """Where the rows are."""
        return self.x.device

    @property
    def precision(self) -> torch.dtype:
        """Number type of the model."""
        return self.x.dtype

    @property
    def chunk(self) -> int:
        """Rows that are evaluated at once."""
        return _EVALUATION_ROWS

    def take(self, index: Int[Tensor, " k"]) -> Rows:
        """The rows of `index`."""
        context = None if self.context is None else self.context.index_select(0, index)
        weights = None if self.weights is None else self.weights.index_select(0, index)
        return Rows(self.x.index_select(0, index), context, weights)

    def log_prob(self, model: AutoregressiveFlow, *, training: bool) -> Float[Tensor, " n"]:
        """ln p of each row."""
        return model.log_prob(self.x, self.context)

    def loss(self, model: AutoregressiveFlow) -> Tensor:
        """Weighted mean of -ln p, a scalar tensor."""
        return mean_loss(self, model, training=False)


def mean_loss(rows: TrainableRows, model: AutoregressiveFlow, *, training: bool) -> Tensor:
    """Weighted mean of -ln p, a scalar tensor.

    Args:
        rows: One row or more.
        model: The density.
        training: See `TrainableRows.log_prob`.
    """
    log_prob = rows.log_prob(model, training=training)
    if rows.weights is None:
        return -log_prob.mean()
    return -(log_prob * rows.weights).sum() / rows.weights.sum()


def step_loss(rows: TrainableRows, model: AutoregressiveFlow, mean_weight: float) -> Tensor:
    """The loss of one batch such that the mean over batches is the loss of all rows.

    Dividing by the batch's own weights would let rows of a light batch count for more: a weight of k would
    not be k equal rows.

    Args:
        rows: Rows of the batch.
        model: The density.
        mean_weight: Mean weight of all training rows.
    """
    log_prob = rows.log_prob(model, training=True)
    if rows.weights is None:
        return -log_prob.mean()
    return -(log_prob * rows.weights).mean() / mean_weight
