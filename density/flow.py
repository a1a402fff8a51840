"""Conditional flows: the recipe that is fitted to stars (or anything else) and gives a density."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

import numpy as np
import torch
from jaxtyping import Float

from density.backend import ConditionalMaf
from density.bounds import Bounds
from density.errors import FeatureError, TrainingError
from density.feature_maps import FeatureMap, check_features, choose_feature_map
from density.flow_density import FlowDensity, as_context
from density.ordering import canonical_order
from density.training import Progress, Rows, TrainingPlan, train

__all__ = ["ConditionalFlow"]


@dataclass(frozen=True)
class ConditionalFlow:
    """Recipe of a conditional density p(x | m), fitted by maximum likelihood.

    Args:
        layers: Autoregressive layers.
        hidden: Units of each hidden layer.
        blocks: Hidden layers of each network after its first.
        epochs: Most passes over the training rows.
        batch_size: Rows per step.
        learning_rate: Peak rate of AdamW.
        schedule: "one-cycle" or "constant".
        weight_decay: AdamW's decoupled decay.
        validation_fraction: Share of rows held back.
        average_best: Epochs whose weights are averaged (arXiv 2001.04990).
        patience: Epochs without a new best before stopping; None: never.
        bounds: Declared bounds and names of the features; None: unbounded.
        resonant: Declared bounds and names of the context m; None: unbounded.
        dtype: "float32", or "float64" where scores (gradients) must be smooth to rounding.
    """

    layers: int = 6
    hidden: int = 48
    blocks: int = 1
    epochs: int = 12
    batch_size: int = 1024
    learning_rate: float = 1e-2
    schedule: str = "one-cycle"
    weight_decay: float = 0.0
    validation_fraction: float = 0.1
    average_best: int = 4
    patience: int | None = 5
    bounds: Bounds | None = None
    resonant: Bounds | None = None
    dtype: str = "float32"

    def __post_init__(self) -> None:
        if min(self.layers, self.hidden) < 1 or self.blocks < 0:
            raise TrainingError(
                f"a flow needs layers >= 1, hidden >= 1, blocks >= 0; got {self.layers}, {self.hidden},"
                f" {self.blocks}"
            )
        if self.dtype not in ("float32", "float64"):
            raise TrainingError(f"expected dtype 'float32' or 'float64'; got {self.dtype!r}")
        self.plan()

    def plan(self) -> TrainingPlan:
        """The part of the recipe that concerns training."""
        return TrainingPlan(**{part.name: getattr(self, part.name) for part in fields(TrainingPlan)})

    def build(self, features: int, context: int, seed: int = 0) -> ConditionalMaf:
        """An untrained network of this recipe."""
        return ConditionalMaf(
            features, context, layers=self.layers, hidden=self.hidden, blocks=self.blocks, seed=seed
        )

    def fit(
        self,
        x: Float[np.ndarray, "n d"],
        m: Float[np.ndarray, "n *c"] | None = None,
        *,
        weights: Float[np.ndarray, " n"] | None = None,
        seed: int,
        start: FlowDensity | None = None,
        progress: Progress | None = None,
        device: str = "cpu",
    ) -> FlowDensity:
        """Fit the density. The order of the rows does not matter; the global random state is not touched.

        Args:
            x: Features, shape (n, d).
            m: Resonant feature, shape (n,), or any context, shape (n, c); None: an unconditional density.
            weights: Non-negative weights of the rows, shape (n,).
            seed: Same seed, same rows, same number of threads: same density.
            start: Warm start: take over this density's feature maps and weights.
            progress: Called after each epoch with its number and both losses.
            device: torch device to train on; the result lives on the CPU.

        Raises:
            FeatureError: a feature is constant, not finite or outside its bounds.
            TrainingError: too few rows, bad weights, or a loss that stays non-finite.
        """
        x, context, weights = self._canonical(x, m, weights)
        maps = (start.feature_map, start.context_map) if start else self._maps(x, context)
        y, _ = maps[0].forward(x)
        mapped_context = None if context is None else maps[1].forward(context)[0]
        dtype = getattr(torch, self.dtype)
        tensors = [
            None if a is None else torch.from_numpy(a).to(device, dtype) for a in (y, mapped_context, weights)
        ]
        widths = (x.shape[1], 0 if context is None else context.shape[1])

        def fresh(model_seed: int) -> ConditionalMaf:
            model = self.build(*widths, model_seed)
            return model if start is None else _load(model, start)

        try:
            seeds = np.random.SeedSequence(seed)
            model, history = train(fresh, Rows(*tensors), self.plan(), seeds=seeds, progress=progress)
        except TrainingError as error:
            raise TrainingError(f"{error}; {_most_extreme(y, maps[0].names)}") from error
        state = {name: value.detach().cpu().numpy() for name, value in model.state_dict().items()}
        return FlowDensity(self, maps[0], maps[1], state, history)

    def _canonical(
        self, x: np.ndarray, m: np.ndarray | None, weights: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
        """Checked inputs, in canonical order."""
        x = check_features(x, (self.bounds or Bounds.unbounded(np.shape(x)[-1])).names)
        context = as_context(m, len(x))
        parts = [x] if context is None else [x, context]
        if weights is not None:
            weights = np.array(weights, dtype=np.float64)
            if weights.shape != (len(x),) or not (np.isfinite(weights).all() and (weights >= 0).all()):
                raise TrainingError(
                    f"expected {len(x)} finite non-negative weights; got shape {weights.shape}"
                )
            if not weights.sum() > 0:
                raise TrainingError("all weights are zero; leave them out or give positive ones")
            weights /= weights.mean()
            parts.append(weights)
        order = canonical_order(*parts)
        return x[order], *(None if part is None else part[order] for part in (context, weights))

    def _maps(self, x: np.ndarray, context: np.ndarray | None) -> tuple[FeatureMap, FeatureMap | None]:
        feature_map = choose_feature_map(x, self.bounds or Bounds.unbounded(x.shape[1]))
        if context is None:
            return feature_map, None
        names = ("m",) if context.shape[1] == 1 else tuple(f"context {k}" for k in range(context.shape[1]))
        resonant = self.resonant or Bounds(Bounds.unbounded(context.shape[1]).features, names)
        return feature_map, choose_feature_map(context, resonant)

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        values = asdict(self)
        for name in ("bounds", "resonant"):
            declared = getattr(self, name)
            values[name] = None if declared is None else declared.to_dict()
        return values

    @classmethod
    def from_dict(cls, state: Mapping[str, object]) -> ConditionalFlow:
        """The recipe that `to_dict` described."""
        values = dict(state)
        for name in ("bounds", "resonant"):
            if values.get(name) is not None:
                values[name] = Bounds.from_dict(values[name])
        return cls(**values)


def _load(model: ConditionalMaf, start: FlowDensity) -> ConditionalMaf:
    expected = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    given = {name: value.shape for name, value in start.state.items()}
    if expected != given:
        raise FeatureError(f"a warm start needs a flow of the same size; got one of recipe {start.recipe}")
    model.load_state_dict({name: torch.from_numpy(value.copy()) for name, value in start.state.items()})
    return model


def _most_extreme(y: np.ndarray, names: tuple[str, ...]) -> str:
    row, column = np.unravel_index(np.argmax(np.abs(y)), y.shape)
    extreme = abs(y[row, column])
    return f"the most extreme feature is {names[column]}, {extreme:.1f} standard deviations after mapping"
