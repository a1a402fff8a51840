"""The rows of many flows on one device, and the best epochs of each flow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from density.training import TrainingPlan

__all__ = ["BestEpochs", "Member", "StackedRows", "held_out_rows"]


@dataclass(frozen=True, eq=False)
class Member:
    """One flow to train.

    Args:
        start: Its initial weights, shape (p,).
        y: Its rows: mapped features, shape (n, d), in canonical order.
        context: Mapped context, shape (n, c).
        weights: Positive weights of mean one, shape (n,); None: all alike.
        random: Its stream of random numbers: first the validation split, then one permutation per epoch.
    """

    start: Float[Tensor, " p"]
    y: Float[np.ndarray, "n d"]
    context: Float[np.ndarray, "n c"]
    weights: Float[np.ndarray, " n"] | None
    random: np.random.Generator


@dataclass(frozen=True, eq=False)
class StackedRows:
    """All members' rows, one after another; a step gathers each flow's batch from its own.

    Args:
        x: Mapped features, shape (total rows, d); of each member first the training rows, then
            those held out.
        context: Mapped context, shape (total rows, c).
        weights: Weights of mean one over a member's training rows, shape (total rows,); None: all alike.
        first: Where each member's rows begin.
        training: Training rows of each member.
        held_out: Validation rows of each member.
        steps: Steps per epoch of each member.
    """

    x: Float[Tensor, "n d"]
    context: Float[Tensor, "n c"]
    weights: Float[Tensor, " n"] | None
    first: tuple[int, ...]
    training: tuple[int, ...]
    held_out: tuple[int, ...]
    steps: tuple[int, ...]

    @classmethod
    def of(
        cls, members: Sequence[Member], plan: TrainingPlan, dtype: torch.dtype, device: torch.device
    ) -> StackedRows:
        """Split each member's rows by its own random numbers, and put all on the device."""
        sizes = [len(member.y) for member in members]
        held_out = [held_out_rows(n, plan.validation_fraction) for n in sizes]
        training = [n - held for n, held in zip(sizes, held_out, strict=True)]
        splits = [
            np.roll(m.random.permutation(n), -h) for m, n, h in zip(members, sizes, held_out, strict=True)
        ]

        def joined(parts: list[np.ndarray]) -> Tensor:
            return torch.from_numpy(np.concatenate(parts)).to(device, dtype)

        pairs = list(zip(members, splits, strict=True))
        weights = None
        if any(member.weights is not None for member in members):
            weights = joined([_weights(*pair, n) for pair, n in zip(pairs, training, strict=True)])
        return cls(
            joined([member.y[split] for member, split in pairs]),
            joined([member.context[split] for member, split in pairs]),
            weights,
            tuple(int(start) for start in np.cumsum([0, *sizes[:-1]])),
            tuple(training),
            tuple(held_out),
            tuple(-(-n // plan.batch_size) for n in training),
        )  # fmt: skip

    def epoch(
        self, members: list[int], random: list[np.random.Generator]
    ) -> tuple[Int[Tensor, "s k b"], Float[Tensor, "s k"]]:
        """Row numbers of every batch of an epoch, and the batches' sizes.

        A flow's batches are of equal size but for one row; what is beyond a batch's size is some other row
        of the same flow, to be given no weight.

        Args:
            members: Numbers of the flows, those of most steps first.
            random: Their random numbers.
        """
        counts = [self.training[k] for k in members]
        steps = [self.steps[k] for k in members]
        width = max(-(-n // s) for n, s in zip(counts, steps, strict=True))
        index = np.zeros((steps[0], len(members), width), dtype=np.int64)
        sizes = np.zeros((steps[0], len(members)))
        for i, (k, n, s) in enumerate(zip(members, counts, steps, strict=True)):
            size = np.full(s, n // s) + (np.arange(s) < n % s)
            begin = np.cumsum(size) - size
            places = np.minimum(begin[:, None] + np.arange(width), n - 1)
            index[:s, i] = self.first[k] + random[i].permutation(n)[places]
            sizes[:s, i] = size
        return torch.from_numpy(index).to(self.x.device), torch.from_numpy(sizes).to(self.x)

    def batch(
        self, index: Int[Tensor, "k b"], sizes: Float[Tensor, " k"]
    ) -> tuple[Float[Tensor, "k b d"], Float[Tensor, "k b c"], Float[Tensor, "k b"]]:
        """Features, context and share in the mean loss of the rows of one batch per flow."""
        flat = index.flatten()
        place = torch.arange(index.shape[1], device=index.device)
        share = (place < sizes[:, None]) / sizes[:, None]
        if self.weights is not None:
            share = share * self.weights.index_select(0, flat).view(index.shape)
        x, context = (part.index_select(0, flat) for part in (self.x, self.context))
        return x.unflatten(0, index.shape), context.unflatten(0, index.shape), share

    def validation(
        self, members: list[int], width: int
    ) -> Iterator[tuple[Float[Tensor, "k b d"], Float[Tensor, "k b c"], Float[Tensor, "k b"]]]:
        """The validation rows of these members, piece by piece, with shares that sum to one per member.

        Args:
            members: Numbers of the flows.
            width: Rows per flow and piece.
        """
        device = self.x.device
        held_out = torch.tensor([self.held_out[k] for k in members], device=device)[:, None]
        first = torch.tensor([self.first[k] + self.training[k] for k in members], device=device)[:, None]
        place = torch.arange(max(self.held_out[k] for k in members), device=device)
        index = first + torch.minimum(place, held_out - 1)
        share = (place < held_out).double()
        if self.weights is not None:
            share = share * self.weights.index_select(0, index.flatten()).view(index.shape)
        share = share / share.sum(dim=1, keepdim=True)
        for rows, part in zip(index.split(width, dim=1), share.split(width, dim=1), strict=True):
            flat = rows.flatten()
            x, context = (values.index_select(0, flat) for values in (self.x, self.context))
            yield x.unflatten(0, rows.shape), context.unflatten(0, rows.shape), part


def held_out_rows(rows: int, fraction: float) -> int:
    """How many of these rows are held back for validation: at least one, and not all."""
    return min(max(1, round(fraction * rows)), rows - 1)


class BestEpochs:
    """The weights of the epochs of lowest validation loss.

    Args:
        keep: Epochs to keep.
    """

    def __init__(self, keep: int) -> None:
        self._keep = keep
        self._best: list[tuple[float, int, Tensor]] = []

    def offer(self, loss: float, epoch: int, weights: Float[Tensor, " p"]) -> None:
        """Remember these weights if they are among the best."""
        if len(self._best) < self._keep or loss < self._best[-1][0]:
            self._best.append((loss, epoch, weights.clone()))
            self._best.sort(key=lambda item: item[:2])
            del self._best[self._keep :]

    def mean(self) -> Float[Tensor, " p"]:
        """Average weights of the kept epochs."""
        return torch.stack([weights for _, _, weights in self._best]).mean(dim=0)

    def single(self) -> tuple[float, Float[Tensor, " p"]]:
        """Loss and weights of the best epoch."""
        loss, _, weights = self._best[0]
        return loss, weights


def _weights(member: Member, split: np.ndarray, training: int) -> np.ndarray:
    weights = np.ones(len(split)) if member.weights is None else member.weights[split]
    return weights / weights[:training].mean()
