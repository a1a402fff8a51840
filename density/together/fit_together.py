"""Fit one recipe to many selections of the same rows, in one pass."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float

from density.bounds import Bounds
from density.detectors.contract import check_rows
from density.errors import FeatureError, TrainingError
from density.feature_maps import FeatureMap, choose_feature_map
from density.flow import ConditionalFlow
from density.flow_density import FlowDensity
from density.ordering import canonical_order
from density.together.stacked_flow import StackedFlow
from density.together.stacked_rows import Member
from density.together.stacked_training import Trained, train_stacked
from density.training import Progress

__all__ = ["best_device", "fit_together"]

_FEWEST_ROWS = 8


def best_device() -> str:
    """ "cuda" where there is a GPU, else "cpu"."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def fit_together(
    recipe: ConditionalFlow,
    x: Float[np.ndarray, "n d"],
    m: Float[np.ndarray, " n"],
    use: Bool[np.ndarray, "k n"] | Float[np.ndarray, "k n"],
    *,
    seeds: Sequence[int],
    start: FlowDensity | None = None,
    progress: Progress | None = None,
    device: str | None = None,
) -> tuple[FlowDensity, ...]:
    """K densities p_k(x | m), each as `recipe.fit` on its own rows and seed would give it, up to rounding.

    The rows of all densities, their feature maps applied, stay on the device: 4 (d + 1) bytes for each row
    that a density uses, in float32. On a GPU the pass takes little longer than one flow alone does; on a CPU
    as long as all of them one after another.

    Args:
        recipe: What each density is fitted with.
        x: Features, shape (n, d).
        m: Resonant feature, shape (n,).
        use: Which rows each density is trained on, shape (k, n); or non-negative weights of the rows.
        seeds: One seed per density.
        start: Warm start of all of them: take over this density's feature maps and weights.
        progress: Called after each epoch with its number and the mean losses of the flows still at work.
        device: torch device to train on; None: a GPU where there is one. The results live on the CPU.

    Returns:
        One density per row of `use`. One whose loss was not finite is fitted once more alone, with
        `ConditionalFlow.fit` and its restarts.

    Raises:
        FeatureError: a feature is constant, not finite or outside its bounds.
        TrainingError: shapes that do not fit, bad weights, or too few rows for one of the densities.
    """
    x, m = check_rows(x, m, None if recipe.bounds is None else recipe.bounds.names)
    use = _checked_use(use, len(x), len(seeds))
    order = canonical_order(x, m[:, None])
    x, m, use = x[order], m[order], use[:, order]
    if start is not None:
        _check_start(recipe, start, x.shape[1])
    selections = [_Selection(recipe, x, m, row, start) for row in use]
    flow = StackedFlow(recipe.build(x.shape[1], 1))
    members = [part.member(flow, seed) for part, seed in zip(selections, seeds, strict=True)]
    trained = train_stacked(
        flow, members, recipe.plan(), dtype=getattr(torch, recipe.dtype),
        device=torch.device(device or best_device()), progress=progress,
    )  # fmt: skip
    return tuple(
        part.alone(seed, device or best_device()) if result.weights is None else part.density(flow, result)
        for part, seed, result in zip(selections, seeds, trained, strict=True)
    )


class _Selection:
    """The rows of one density, in canonical order, and its feature maps."""

    def __init__(
        self, recipe: ConditionalFlow, x: np.ndarray, m: np.ndarray, use: np.ndarray,
        start: FlowDensity | None,
    ) -> None:  # fmt: skip
        rows = use > 0
        self.recipe, self.start = recipe, start
        self.x, self.m = x[rows], m[rows]
        self.weights = None if use.dtype == bool else use[rows] / use[rows].mean()
        self.maps = self._maps() if start is None else (start.feature_map, start.context_map)

    def _maps(self) -> tuple[FeatureMap, FeatureMap]:
        unbounded = Bounds.unbounded(self.x.shape[1])
        resonant = self.recipe.resonant or Bounds(Bounds.unbounded(1).features, ("m",))
        return (
            choose_feature_map(self.x, self.recipe.bounds or unbounded, self.weights),
            choose_feature_map(self.m[:, None], resonant, self.weights),
        )

    def member(self, flow: StackedFlow, seed: int) -> Member:
        """Its mapped rows and initial weights; random numbers as `ConditionalFlow.fit` draws them."""
        init_seed, stream = np.random.SeedSequence(seed).spawn(2)
        if self.start is None:
            network = self.recipe.build(self.x.shape[1], 1, int(init_seed.generate_state(1)[0]))
            state = network.state_dict()
        else:
            state = {name: torch.from_numpy(value.copy()) for name, value in self.start.state.items()}
        return Member(
            flow.flat(state), self.maps[0].forward(self.x)[0], self.maps[1].forward(self.m[:, None])[0],
            self.weights, np.random.default_rng(stream),
        )  # fmt: skip

    def density(self, flow: StackedFlow, result: Trained) -> FlowDensity:
        """The fitted density."""
        return FlowDensity(self.recipe, *self.maps, flow.state(result.weights), result.history)

    def alone(self, seed: int, device: str) -> FlowDensity:
        """The density fitted by itself, with restarts."""
        return self.recipe.fit(
            self.x, self.m, weights=self.weights, seed=seed, start=self.start, device=device
        )


def _checked_use(use: np.ndarray, n: int, k: int) -> np.ndarray:
    use = np.asarray(use)
    if use.dtype != bool:
        use = use.astype(np.float64)
    if use.shape != (k, n):
        raise TrainingError(
            f"expected one row of `use` per seed and one column per row of x, shape ({k}, {n}); got"
            f" {use.shape}"
        )
    if use.dtype != bool and not (np.isfinite(use).all() and (use >= 0).all()):
        raise TrainingError("expected finite non-negative weights in `use`")
    counts = (use > 0).sum(axis=1)
    if k < 1 or counts.min() < _FEWEST_ROWS:
        few = "no density at all" if k < 1 else f"{counts.min()} for density {int(counts.argmin())}"
        raise TrainingError(f"expected at least {_FEWEST_ROWS} rows to train each density on; got {few}")
    return use


def _check_start(recipe: ConditionalFlow, start: FlowDensity, features: int) -> None:
    expected = {name: tuple(value.shape) for name, value in recipe.build(features, 1).state_dict().items()}
    given = {name: tuple(value.shape) for name, value in start.state.items()}
    if given != expected or recipe.network_kind != start.recipe.network_kind:
        raise FeatureError(
            f"a warm start needs a flow of the same size and kind, with one context; got one of recipe"
            f" {start.recipe}"
        )
