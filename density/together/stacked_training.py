"""Maximum-likelihood training of many flows in one pass, each on its own rows and at its own pace.

Every flow keeps its own random numbers, batches, learning rate, validation rows, early stopping and best
epochs, all as `density.training.train` has them: trained together or alone, a flow is the same up to
rounding. Flows are sorted by their steps per epoch, so that those still at work are the first of the stack:
nothing is computed for a flow that has finished its epoch, or has stopped. Within an epoch nothing is read
back from the device.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from density.together.stacked_flow import StackedFlow
from density.together.stacked_rows import BestEpochs, Member, StackedRows
from density.training import Progress, TrainingHistory, TrainingPlan

__all__ = ["Trained", "train_stacked"]

_GRADIENT_NORM = 5.0
_BETAS = (0.9, 0.999)
_EPSILON = 1e-8
_EVALUATION_ROWS = 1 << 17


@dataclass(frozen=True, eq=False)
class Trained:
    """What became of a member.

    Args:
        weights: Weights at the end, shape (p,); None: a loss was not finite.
        history: How the training went; its seconds are those of the whole pass until this flow stopped.
    """

    weights: Float[Tensor, " p"] | None
    history: TrainingHistory


def train_stacked(
    flow: StackedFlow,
    members: Sequence[Member],
    plan: TrainingPlan,
    *,
    dtype: torch.dtype,
    device: torch.device,
    progress: Progress | None = None,
) -> tuple[Trained, ...]:
    """Train all members at once.

    Args:
        flow: Their common architecture.
        members: Flows and rows, at least 2 rows each.
        plan: How to train each of them.
        dtype: Number type of the models.
        device: Where everything lives during the training.
        progress: Called after each epoch with its number and the mean losses of the flows still at work.

    Returns:
        One result per member, in their order.
    """
    work = _Pass(flow.to(device, dtype), members, plan, dtype, device)
    for epoch in range(plan.epochs):
        if work.order:
            work.run_epoch(epoch, progress)
    work.finish(list(work.order))
    return tuple(work.results[number] for number in range(len(members)))


class _Pass:
    """State of the stack: row i of every tensor belongs to member `order[i]`."""

    def __init__(
        self, flow: StackedFlow, members: Sequence[Member], plan: TrainingPlan, dtype: torch.dtype,
        device: torch.device,
    ) -> None:  # fmt: skip
        self.flow, self.plan, self.started = flow, plan, time.perf_counter()
        self.rows = StackedRows.of(members, plan, dtype, device)
        self.random = [member.random for member in members]
        self.order = sorted(range(len(members)), key=lambda k: (-self.rows.steps[k], k))
        self.weights = torch.stack([members[k].start for k in self.order]).to(device, dtype)
        self.moments = [torch.zeros_like(self.weights) for _ in range(2)]
        self.losses: list[list[tuple[float, float]]] = [[] for _ in members]
        self.best = [BestEpochs(plan.average_best) for _ in members]
        self.results: dict[int, Trained] = {}

    def run_epoch(self, epoch: int, progress: Progress | None) -> None:
        """One pass over all rows of the flows still at work; then let go of those that are done."""
        training, validation = self._train_epoch(epoch), self._validate(self.weights, self.order)
        sound, done = [], []
        for i, number in enumerate(self.order):
            pair = (float(training[i]), float(validation[i]))
            if not (isfinite(pair[0]) and isfinite(pair[1])):
                self._record(number, None, float("nan"))
                continue
            self.losses[number].append(pair)
            self.best[number].offer(pair[1], epoch, self.weights[i])
            history = [loss for _, loss in self.losses[number]]
            stale = epoch - int(np.argmin(history))
            stopped = self.plan.patience is not None and stale >= self.plan.patience
            (done if stopped else sound).append(i)
        if progress is not None and sound + done:
            kept = sound + done
            progress(epoch, float(np.mean(training[kept])), float(np.mean(validation[kept])))
        self.finish([self.order[i] for i in done])
        self._keep(sound)

    def finish(self, numbers: list[int]) -> None:
        """Average the best epochs of these members, unless the single best one beats the average."""
        if not numbers:
            return
        means = torch.stack([self.best[number].mean() for number in numbers])
        for number, mean, loss in zip(numbers, means, self._validate(means, numbers), strict=True):
            best_loss, best = self.best[number].single()
            better = loss <= best_loss
            self._record(number, mean if better else best, float(loss) if better else best_loss)

    def _record(self, number: int, weights: Tensor | None, best_loss: float) -> None:
        training, validation = zip(*self.losses[number], strict=True) if self.losses[number] else ((), ())
        seconds = time.perf_counter() - self.started
        self.results[number] = Trained(weights, TrainingHistory(training, validation, best_loss, 0, seconds))

    def _keep(self, places: list[int]) -> None:
        if len(places) == len(self.order):
            return
        index = torch.tensor(places, dtype=torch.int64, device=self.weights.device)
        self.weights = self.weights.index_select(0, index)
        self.moments = [moment.index_select(0, index) for moment in self.moments]
        self.order = [self.order[i] for i in places]

    def _train_epoch(self, epoch: int) -> Float[np.ndarray, " k"]:
        steps = np.array([self.rows.steps[number] for number in self.order])
        index, sizes = self.rows.epoch(self.order, [self.random[number] for number in self.order])
        paces = self._paces(epoch, steps)
        total = torch.zeros_like(self.weights[:, 0])
        for step in range(steps[0]):
            active = int((steps > step).sum())
            loss = self._step(index[step, :active], sizes[step, :active], paces[:, step, :active])
            # Batches of a flow differ by a row at the most: each counts for its size.
            total[:active] += loss * sizes[step, :active]
        seen = np.array([self.rows.training[number] for number in self.order])
        return total.double().cpu().numpy() / seen

    def _paces(self, epoch: int, steps: Int[np.ndarray, " k"]) -> Float[Tensor, "three s k"]:
        """Learning rate and Adam's two bias corrections, for each step of the epoch and each flow."""
        step = np.arange(steps[0])[:, None]
        share = (epoch + step / steps) / self.plan.epochs
        rate = np.vectorize(self.plan.rate, otypes=[float])(np.minimum(share, 1.0))
        taken = epoch * steps + step + 1
        corrections = [1 - beta**taken for beta in _BETAS]
        paces = np.stack([rate, corrections[0], np.sqrt(corrections[1])])
        return torch.from_numpy(paces).to(self.weights.device, self.weights.dtype)

    def _step(
        self, index: Int[Tensor, "a b"], sizes: Float[Tensor, " a"], pace: Float[Tensor, "three a"]
    ) -> Float[Tensor, " a"]:
        """One step of AdamW with clipped gradients for the first flows of the stack; their losses."""
        active = len(index)
        weights = self.weights[:active].detach().requires_grad_()
        x, context, share = self.rows.batch(index, sizes)
        losses = -(self.flow.log_prob(weights, x, context) * share).sum(dim=1)
        # A flow's loss depends on its own weights alone: the gradient of the sum holds all of them.
        (gradient,) = torch.autograd.grad(losses.sum(), weights)
        gradient = gradient * self.flow.mask
        norm = torch.linalg.vector_norm(gradient, dim=1, keepdim=True)
        gradient *= (_GRADIENT_NORM / (norm + 1e-6)).clamp(max=1.0)
        rate, first_correction, second_correction = pace[:, :, None]
        first, second = (moment[:active] for moment in self.moments)
        first.lerp_(gradient, 1 - _BETAS[0])
        second.mul_(_BETAS[1]).addcmul_(gradient, gradient, value=1 - _BETAS[1])
        weights = self.weights[:active]
        if self.plan.weight_decay:
            weights.mul_(1 - rate * self.plan.weight_decay)
        weights.sub_(rate / first_correction * first / (second.sqrt() / second_correction + _EPSILON))
        return losses.detach()

    def _validate(self, weights: Float[Tensor, "k p"], numbers: list[int]) -> Float[np.ndarray, " k"]:
        total = torch.zeros(len(numbers), dtype=torch.float64, device=weights.device)
        with torch.no_grad():
            for x, context, share in self.rows.validation(numbers, max(1, _EVALUATION_ROWS // len(numbers))):
                total -= (self.flow.log_prob(weights, x, context).double() * share).sum(dim=1)
        return total.cpu().numpy()
