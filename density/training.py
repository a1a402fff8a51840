"""Maximum-likelihood training: deterministic, with early stopping, weight averaging and restarts."""

from __future__ import annotations

import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from math import cos, isfinite, pi

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from density.backend import ConditionalMaf
from density.errors import TrainingError

__all__ = ["Progress", "Rows", "TrainingHistory", "TrainingPlan", "train"]

Progress = Callable[[int, float, float], None]
"""Called after each epoch with its number, training loss and validation loss (nats per row)."""

_GRADIENT_NORM = 5.0
_WARM_UP = 0.15
_EVALUATION_ROWS = 65536


@dataclass(frozen=True)
class TrainingPlan:
    """How long, how fast, and which epochs to keep.

    Args:
        epochs: Most passes over the training rows.
        batch_size: Rows per step, at the most.
        learning_rate: Peak rate of Adam.
        schedule: "one-cycle" (linear rise, cosine fall to zero) or "constant".
        weight_decay: AdamW's decoupled decay.
        validation_fraction: Share of the rows held back for validation.
        average_best: The weights of this many epochs of lowest validation loss are averaged (ANODE's recipe,
            arXiv 2001.04990, there for ten models).
        patience: Stop after this many epochs without a new best; None: never.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    schedule: str
    weight_decay: float
    validation_fraction: float
    average_best: int
    patience: int | None

    def __post_init__(self) -> None:
        if self.schedule not in ("one-cycle", "constant"):
            raise TrainingError(f"expected schedule 'one-cycle' or 'constant'; got {self.schedule!r}")
        if min(self.epochs, self.batch_size, self.average_best) < 1:
            raise TrainingError(
                f"epochs, batch_size and average_best must be at least 1; got {self.epochs},"
                f" {self.batch_size}, {self.average_best}"
            )
        if not (0 < self.validation_fraction < 1 and self.learning_rate > 0):
            raise TrainingError(
                f"expected 0 < validation_fraction < 1 and a positive learning_rate; got"
                f" {self.validation_fraction} and {self.learning_rate}"
            )

    def rate(self, done: float) -> float:
        """Learning rate after the share `done` of all steps."""
        if self.schedule == "constant":
            return self.learning_rate
        if done < _WARM_UP:
            return self.learning_rate * (0.1 + 0.9 * done / _WARM_UP)
        return self.learning_rate * max(0.5 * (1 + cos(pi * (done - _WARM_UP) / (1 - _WARM_UP))), 1e-3)


@dataclass(frozen=True)
class TrainingHistory:
    """What happened: losses per epoch in nats per row (mapped coordinates), restarts, wall-clock seconds."""

    training_loss: tuple[float, ...]
    validation_loss: tuple[float, ...]
    best_loss: float
    restarts: int
    seconds: float


@dataclass(frozen=True)
class Rows:
    """Mapped features, mapped context and weights as tensors of one dtype on one device."""

    x: Float[Tensor, "n d"]
    context: Float[Tensor, "n c"] | None
    weights: Float[Tensor, " n"] | None

    def __len__(self) -> int:
        return len(self.x)

    def take(self, index: Tensor) -> Rows:
        """The rows of `index`."""
        context = None if self.context is None else self.context.index_select(0, index)
        weights = None if self.weights is None else self.weights.index_select(0, index)
        return Rows(self.x.index_select(0, index), context, weights)

    def loss(self, model: ConditionalMaf) -> Tensor:
        """Weighted mean of -ln p, a scalar tensor."""
        log_prob = model.log_prob(self.x, self.context)
        if self.weights is None:
            return -log_prob.mean()
        return -(log_prob * self.weights).sum() / self.weights.sum()


def train(
    model: Callable[[int], ConditionalMaf],
    rows: Rows,
    plan: TrainingPlan,
    *,
    seeds: np.random.SeedSequence,
    progress: Progress | None = None,
) -> tuple[ConditionalMaf, TrainingHistory]:
    """Train a model; on a non-finite loss start again with new random numbers and half the rate, twice.

    Args:
        model: Makes a fresh model from a seed.
        rows: Rows in a canonical order, so that the result does not depend on the caller's order.
        plan: How to train.
        seeds: Root of all random streams.
        progress: Called after each epoch.

    Raises:
        TrainingError: too few rows, or the loss was non-finite three times.
    """
    started = time.perf_counter()
    if len(rows) < 8:
        raise TrainingError(f"expected at least 8 rows to train on; got {len(rows)}")
    for restart in range(3):
        init_seed, stream = seeds.spawn(2)
        attempt = _Attempt(
            model(int(init_seed.generate_state(1)[0])), rows, plan, np.random.default_rng(stream)
        )
        attempt.slow_down(0.5**restart)
        if attempt.run(progress):
            return attempt.model, attempt.history(restart, time.perf_counter() - started)
    raise TrainingError(
        f"the loss was not finite in three attempts, the last at rate {plan.learning_rate / 4:g}"
    )


class _Attempt:
    """One training run: state of the model, the optimiser and the best epochs so far."""

    def __init__(
        self, model: ConditionalMaf, rows: Rows, plan: TrainingPlan, random: np.random.Generator
    ) -> None:
        self.plan, self.random, self.factor = plan, random, 1.0
        self.model = model.to(rows.x.device, rows.x.dtype)
        self.parameters = list(self.model.parameters())
        self.optimizer = torch.optim.AdamW(
            self.parameters, plan.learning_rate, weight_decay=plan.weight_decay, fused=True
        )
        split = random.permutation(len(rows))
        held_out = min(max(1, round(plan.validation_fraction * len(rows))), len(rows) - 1)
        self.validation = rows.take(self._index(split[:held_out], rows))
        self.training = rows.take(self._index(split[held_out:], rows))
        self.training_loss: list[float] = []
        self.validation_loss: list[float] = []
        self.best: list[tuple[float, int, dict[str, Tensor]]] = []
        self.best_loss = float("nan")

    @staticmethod
    def _index(index: np.ndarray, rows: Rows) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(index)).to(rows.x.device)

    def slow_down(self, factor: float) -> None:
        """Scale all learning rates."""
        self.factor = factor

    def run(self, progress: Progress | None) -> bool:
        """Train to the end; False as soon as a loss is not finite."""
        for epoch in range(self.plan.epochs):
            training_loss = self._epoch(epoch)
            validation_loss = self._validate()
            if not (isfinite(training_loss) and isfinite(validation_loss)):
                return False
            self.training_loss.append(training_loss)
            self.validation_loss.append(validation_loss)
            self._remember(epoch, validation_loss)
            if progress is not None:
                progress(epoch, training_loss, validation_loss)
            stale = epoch - int(np.argmin(self.validation_loss))
            if self.plan.patience is not None and stale >= self.plan.patience:
                break
        self._finish()
        return True

    def _epoch(self, epoch: int) -> float:
        n = len(self.training)
        # Batches of equal size: a last batch of a few rows would kick the weights at full rate.
        steps = -(-n // self.plan.batch_size)
        order = self._index(self.random.permutation(n), self.training)
        total = torch.zeros((), dtype=self.training.x.dtype, device=self.training.x.device)
        for step, index in enumerate(torch.tensor_split(order, steps)):
            rate = self.factor * self.plan.rate((epoch + step / steps) / self.plan.epochs)
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            self.optimizer.zero_grad(set_to_none=True)
            loss = self.training.take(index).loss(self.model)
            loss.backward()
            self.model.mask_gradients_()
            torch.nn.utils.clip_grad_norm_(self.parameters, _GRADIENT_NORM, foreach=True)
            self.optimizer.step()
            total += loss.detach() * (len(index) / n)
        return float(total)

    def _validate(self) -> float:
        with torch.no_grad():
            parts = torch.arange(len(self.validation), device=self.validation.x.device).split(
                _EVALUATION_ROWS
            )
            chunks = [self.validation.take(part) for part in parts]
            sizes = [float(len(c) if c.weights is None else c.weights.sum()) for c in chunks]
            losses = [float(chunk.loss(self.model)) for chunk in chunks]
        return float(np.average(losses, weights=sizes))

    def _remember(self, epoch: int, loss: float) -> None:
        worst = self.best[-1][0] if len(self.best) == self.plan.average_best else float("inf")
        if loss < worst:
            state = {name: value.clone() for name, value in self.model.state_dict().items()}
            self.best.append((loss, epoch, state))
            self.best.sort(key=lambda item: item[:2])
            del self.best[self.plan.average_best :]

    def _finish(self) -> None:
        """Load the average of the best epochs, unless the single best one beats it."""
        best_loss, _, best = self.best[0]
        mean = deepcopy(best)
        for name, value in mean.items():
            if value.is_floating_point():
                value.copy_(torch.stack([state[name] for _, _, state in self.best]).mean(dim=0))
        self.model.load_state_dict(mean)
        self.best_loss = self._validate()
        if not self.best_loss <= best_loss:
            self.model.load_state_dict(best)
            self.best_loss = best_loss

    def history(self, restarts: int, seconds: float) -> TrainingHistory:
        return TrainingHistory(
            tuple(self.training_loss), tuple(self.validation_loss), self.best_loss, restarts, seconds
        )
