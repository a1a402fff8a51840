"""Maximum-likelihood training: deterministic, with early stopping, weight averaging and restarts."""

from __future__ import annotations

import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from math import cos, isfinite, pi

import numpy as np
import torch
from torch import Tensor

from density.backend import AutoregressiveFlow
from density.errors import TrainingError
from density.training_rows import Rows, TrainableRows, mean_loss, step_loss

__all__ = ["Progress", "Rows", "TrainableRows", "TrainingHistory", "TrainingPlan", "train"]

Progress = Callable[[int, float, float], None]
"""Called after each epoch with its number, training loss and validation loss (nats per row)."""

_GRADIENT_NORM = 5.0
_WARM_UP = 0.15


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


def train(
    model: Callable[[int], AutoregressiveFlow],
    rows: TrainableRows,
    plan: TrainingPlan,
    *,
    seeds: np.random.SeedSequence,
    progress: Progress | None = None,
    explain: Callable[[AutoregressiveFlow], str] | None = None,
) -> tuple[AutoregressiveFlow, TrainingHistory]:
    """Train a model; on a non-finite loss start again with new random numbers and half the rate, twice.

    Args:
        model: Makes a fresh model from a seed.
        rows: Rows in a canonical order, so that the result does not depend on the caller's order.
        plan: How to train.
        seeds: Root of all random streams.
        progress: Called after each epoch.
        explain: Says what may be at fault, given the last model whose losses were finite.

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
    message = f"the loss was not finite in three attempts, the last at rate {plan.learning_rate / 4:g}"
    raise TrainingError(message if explain is None else f"{message}; {explain(attempt.last_sound())}")


class _Attempt:
    """One training run: state of the model, the optimiser and the best epochs so far."""

    def __init__(
        self, model: AutoregressiveFlow, rows: TrainableRows, plan: TrainingPlan, random: np.random.Generator
    ) -> None:
        self.plan, self.random, self.factor = plan, random, 1.0
        self.model = model.to(rows.device, rows.precision)
        self.parameters = list(self.model.parameters())
        self.optimizer = torch.optim.AdamW(
            self.parameters, plan.learning_rate, weight_decay=plan.weight_decay, fused=True
        )
        split = random.permutation(len(rows))
        held_out = min(max(1, round(plan.validation_fraction * len(rows))), len(rows) - 1)
        self.validation = rows.take(self._index(split[:held_out], rows))
        self.training = rows.take(self._index(split[held_out:], rows))
        weights = self.training.weights
        self.mean_weight = 1.0 if weights is None else float(weights.mean())
        self.sound = self._state()
        self.training_loss: list[float] = []
        self.validation_loss: list[float] = []
        self.best: list[tuple[float, int, dict[str, Tensor]]] = []
        self.best_loss = float("nan")

    @staticmethod
    def _index(index: np.ndarray, rows: TrainableRows) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(index)).to(rows.device)

    def _state(self) -> dict[str, Tensor]:
        return {name: value.clone() for name, value in self.model.state_dict().items()}

    def last_sound(self) -> AutoregressiveFlow:
        """The model as it was after its last epoch of finite losses."""
        self.model.load_state_dict(self.sound)
        return self.model

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
            self.sound = self._state()
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
        total = torch.zeros((), dtype=self.training.precision, device=self.training.device)
        for step, index in enumerate(torch.tensor_split(order, steps)):
            rate = self.factor * self.plan.rate((epoch + step / steps) / self.plan.epochs)
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            self.optimizer.zero_grad(set_to_none=True)
            loss = step_loss(self.training.take(index), self.model, self.mean_weight)
            loss.backward()
            self.model.mask_gradients_()
            torch.nn.utils.clip_grad_norm_(self.parameters, _GRADIENT_NORM, foreach=True)
            self.optimizer.step()
            total += loss.detach() * (len(index) / n)
        return float(total)

    def _validate(self) -> float:
        with torch.no_grad():
            parts = torch.arange(len(self.validation), device=self.validation.device).split(
                self.validation.chunk
            )
            chunks = [self.validation.take(part) for part in parts]
            sizes = [float(len(c) if c.weights is None else c.weights.sum()) for c in chunks]
            losses = [float(mean_loss(chunk, self.model, training=False)) for chunk in chunks]
        return float(np.average(losses, weights=sizes))

    def _remember(self, epoch: int, loss: float) -> None:
        worst = self.best[-1][0] if len(self.best) == self.plan.average_best else float("inf")
        if loss < worst:
            self.best.append((loss, epoch, self.sound))
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
