"""Conditional flows: the recipe that is fitted to stars (or anything else) and gives a density."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

import numpy as np
import torch
from jaxtyping import Float

from density.backend import ACTIVATIONS, AutoregressiveFlow, ConditionalMaf, ConditionalSpline
from density.bounds import Bounds
from density.errors import FeatureError, TrainingError
from density.faults import likely_fault
from density.feature_maps import FeatureMap, check_features, choose_feature_map
from density.flow_density import FlowDensity, as_context
from density.measurement_errors import BlurredRows, ErrorFactors
from density.ordering import canonical_order
from density.seeds import child_seed
from density.training import Progress, Rows, TrainableRows, TrainingPlan, train

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
        kind: "maf": shifts and scales, fast, smooth, and of one feature a Gaussian; "spline": splines too
            (arXiv 1906.04032), several times slower: few layers do, and of one feature it is a density of
            any shape, whose gradient jumps at the knots.
        bins: Pieces of each spline.
        tail_bound: The splines bend what lies within this many standard deviations; beyond, a layer is
            linear.
        activation: "silu", "gelu" or "tanh", all smooth; or "relu", with which scores jump.
        rotations: Seed of fixed random rotations of the features before each layer, None for none. They spare
            the density the mark of the axes: three-dimensional positions and velocities gain, features of
            different kinds need not.
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
    kind: str = "maf"
    bins: int = 8
    tail_bound: float = 4.0
    activation: str = "silu"
    rotations: int | None = None

    def __post_init__(self) -> None:
        if min(self.layers, self.hidden) < 1 or self.blocks < 0:
            raise TrainingError(
                f"a flow needs layers >= 1, hidden >= 1, blocks >= 0; got {self.layers}, {self.hidden},"
                f" {self.blocks}"
            )
        if self.dtype not in ("float32", "float64"):
            raise TrainingError(f"expected dtype 'float32' or 'float64'; got {self.dtype!r}")
        if self.kind not in ("maf", "spline"):
            raise TrainingError(f"expected a flow of kind 'maf' or 'spline'; got {self.kind!r}")
        if not (2 <= self.bins <= 256 and 0 < self.tail_bound < float("inf")):
            raise TrainingError(
                f"a spline needs 2 to 256 bins and a positive tail_bound; got {self.bins}, {self.tail_bound}"
            )
        if self.activation not in ACTIVATIONS:
            raise TrainingError(f"expected an activation of {sorted(ACTIVATIONS)}; got {self.activation!r}")
        if self.rotations is not None and self.rotations < 0:
            raise TrainingError(f"expected a seed of the rotations >= 0, or None; got {self.rotations}")
        self.plan()

    def plan(self) -> TrainingPlan:
        """The part of the recipe that concerns training."""
        return TrainingPlan(**{part.name: getattr(self, part.name) for part in fields(TrainingPlan)})

    @property
    def network_kind(self) -> tuple[str, str, int | None]:
        """What two networks whose weights have equal shapes may still differ in."""
        return self.kind, self.activation, self.rotations

    def build(self, features: int, context: int, seed: int = 0) -> AutoregressiveFlow:
        """An untrained network of this recipe."""
        size = {
            "layers": self.layers,
            "hidden": self.hidden,
            "blocks": self.blocks,
            "seed": seed,
            "activation": self.activation,
            "rotations": self.rotations,
        }
        if self.kind == "maf":
            return ConditionalMaf(features, context, **size)
        return ConditionalSpline(features, context, **size, bins=self.bins, tail_bound=self.tail_bound)

    def fit(
        self,
        x: Float[np.ndarray, "n d"],
        m: Float[np.ndarray, "n *c"] | None = None,
        *,
        weights: Float[np.ndarray, " n"] | None = None,
        errors: Float[np.ndarray, "n d *same"] | None = None,
        draws: int = 16,
        seed: int,
        start: FlowDensity | None = None,
        progress: Progress | None = None,
        device: str = "cpu",
    ) -> FlowDensity:
        """Fit the density. The order of the rows does not matter; the global random state is not touched.

        Args:
            x: Features, shape (n, d).
            m: Resonant feature, shape (n,), or any context, shape (n, c); None: an unconditional density.
            weights: Non-negative weights of the rows, shape (n,); a weight of k counts as k equal rows.
            errors: Gaussian measurement errors of x: standard deviations (n, d) or covariances (n, d, d); 0
                for a feature known exactly. The result is then the density of the true features, from which
                the errors are taken out, and `FlowDensity.log_prob_observed` that of the observed ones. m is
                taken as exact. Costs `draws` times as much.
            draws: Draws of each row's error in each step (`density.measurement_errors`); more of them where
                the errors exceed the widths of what is sought.
            seed: Same seed, same rows, same number of threads: same density.
            start: Warm start: take over this density's feature maps and weights.
            progress: Called after each epoch with its number and both losses.
            device: torch device to train on; the result lives on the CPU.

        Raises:
            FeatureError: a feature is constant, not finite or outside its bounds; or so are its errors.
            TrainingError: too few rows, bad weights, or a loss that stays non-finite; the message names the
                feature that is most likely at fault.
        """
        if draws < 1:
            raise TrainingError(f"expected draws >= 1; got {draws}")
        x, context, weights, factors = self._canonical(x, m, weights, errors)
        maps = (start.feature_map, start.context_map) if start else self._maps(x, context, weights)
        seen = None if context is None else maps[1].forward(context)[0]
        rows = self._rows(x, seen, weights, factors, maps[0], draws, seed, device)

        def fresh(model_seed: int) -> AutoregressiveFlow:
            model = self.build(x.shape[1], 0 if seen is None else seen.shape[1], model_seed)
            return model if start is None else _load(self, model, start)

        def explain(last: AutoregressiveFlow) -> str:
            return likely_fault(last, maps[0].forward(x)[0], seen, maps[0].names)

        seeds = np.random.SeedSequence(seed)
        model, history = train(fresh, rows, self.plan(), seeds=seeds, progress=progress, explain=explain)
        state = {name: value.detach().cpu().numpy() for name, value in model.state_dict().items()}
        return FlowDensity(self, maps[0], maps[1], state, history)

    def _rows(
        self, x: np.ndarray, context: np.ndarray | None, weights: np.ndarray | None,
        factors: ErrorFactors | None, feature_map: FeatureMap, draws: int, seed: int, device: str,
    ) -> TrainableRows:  # fmt: skip
        """The rows as tensors: mapped once, or with their errors, to be mapped draw by draw."""
        dtype = getattr(torch, self.dtype)
        y, _ = feature_map.forward(x)
        shared = [None if a is None else torch.from_numpy(a).to(device, dtype) for a in (context, weights)]
        if factors is None:
            return Rows(torch.from_numpy(y).to(device, dtype), *shared)
        generator = torch.Generator(device).manual_seed(child_seed(seed, "measurement errors"))
        return BlurredRows(
            torch.from_numpy(x).to(device), *shared, torch.from_numpy(factors.factor).to(device),
            factors.columns, feature_map, draws, generator, dtype,
        )  # fmt: skip

    def _canonical(
        self, x: np.ndarray, m: np.ndarray | None, weights: np.ndarray | None, errors: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None, ErrorFactors | None]:
        """Checked inputs, in canonical order, without the rows of weight zero."""
        names = (self.bounds or Bounds.unbounded(np.shape(x)[-1])).names
        x = check_features(x, names)
        context = as_context(m, len(x))
        factors = None if errors is None else ErrorFactors.of(errors, x.shape, names)
        if weights is not None:
            weights = _checked_weights(weights, len(x))
        spread = None if factors is None else factors.factor.reshape(len(x), -1)
        order = canonical_order(*[part for part in (x, context, weights, spread) if part is not None])
        if weights is not None:
            order = order[weights[order] > 0]
            weights = weights / weights[order].mean()
        x, context, weights = (None if part is None else part[order] for part in (x, context, weights))
        return x, context, weights, None if factors is None else factors.take(order)

    def _maps(
        self, x: np.ndarray, context: np.ndarray | None, weights: np.ndarray | None
    ) -> tuple[FeatureMap, FeatureMap | None]:
        feature_map = choose_feature_map(x, self.bounds or Bounds.unbounded(x.shape[1]), weights)
        if context is None:
            return feature_map, None
        names = ("m",) if context.shape[1] == 1 else tuple(f"context {k}" for k in range(context.shape[1]))
        resonant = self.resonant or Bounds(Bounds.unbounded(context.shape[1]).features, names)
        return feature_map, choose_feature_map(context, resonant, weights)

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


def _checked_weights(weights: np.ndarray, n: int) -> np.ndarray:
    weights = np.array(weights, dtype=np.float64)
    if weights.shape != (n,) or not (np.isfinite(weights).all() and (weights >= 0).all()):
        raise TrainingError(f"expected {n} finite non-negative weights; got shape {weights.shape}")
    if not weights.sum() > 0:
        raise TrainingError("all weights are zero; leave them out or give positive ones")
    return weights


def _load(recipe: ConditionalFlow, model: AutoregressiveFlow, start: FlowDensity) -> AutoregressiveFlow:
    expected = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    given = {name: value.shape for name, value in start.state.items()}
    if expected != given or recipe.network_kind != start.recipe.network_kind:
        raise FeatureError(
            f"a warm start needs a flow of the same size and kind; got one of recipe {start.recipe}"
        )
    model.load_state_dict({name: torch.from_numpy(value.copy()) for name, value in start.state.items()})
    return model
