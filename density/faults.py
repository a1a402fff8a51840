"""Which feature is most likely at fault when a density cannot be trained."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from density.backend import AutoregressiveFlow

__all__ = ["likely_fault"]

_EXTREME = 10.0
_ROWS = 4096


def likely_fault(
    model: AutoregressiveFlow,
    y: Float[np.ndarray, "n d"],
    context: Float[np.ndarray, "n c"] | None,
    names: tuple[str, ...],
) -> str:
    """A sentence that names one feature: as good a guess as the rows and the model allow.

    In this order: a feature that is not finite in the model's precision; the first that the model's layers
    turn into something not finite; one with a far outlier; one of which many values are equal, so that its
    likelihood has no maximum; the one in which the log density is steepest.

    Args:
        model: The last model whose losses were finite.
        y: Mapped features, shape (n, d).
        context: Mapped context.
        names: Names of the features.
    """
    dtype = next(model.parameters()).dtype
    device = next(model.parameters()).device
    rows = _telling_rows(y)
    x = torch.from_numpy(y[rows]).to(device, dtype)
    seen = None if context is None else torch.from_numpy(context[rows]).to(device, dtype)
    broken = ~torch.isfinite(x).all(dim=0)
    if broken.any():
        return f"{names[int(broken.nonzero()[0])]} is not finite after mapping, in {dtype}"
    column = _first_broken(model, x, seen)
    if column is not None:
        return f"{names[column]} is the first feature that the flow turns into something not finite"
    row, column = np.unravel_index(np.argmax(np.abs(y)), y.shape)
    extreme = abs(y[row, column])
    if extreme > _EXTREME or not _finite(model):
        return f"the most extreme feature is {names[column]}, {extreme:.1f} standard deviations after mapping"
    shares = [np.unique(values, return_counts=True)[1].max() / len(y) for values in y.T]
    if max(shares) > 0.1:
        column = int(np.argmax(shares))
        return f"{names[column]} has one value in {shares[column]:.0%} of the rows: it has no density"
    return _steepest(model, x, seen, names)


def _telling_rows(y: np.ndarray) -> np.ndarray:
    """The rows that hold the extremes of a feature, and the first few thousand others."""
    extremes = np.concatenate([np.argmin(y, axis=0), np.argmax(y, axis=0)])
    return np.unique(np.concatenate([extremes, np.arange(min(len(y), _ROWS))]))


def _finite(model: AutoregressiveFlow) -> bool:
    return all(bool(torch.isfinite(part).all()) for part in model.parameters())


def _first_broken(model: AutoregressiveFlow, x: Tensor, context: Tensor | None) -> int | None:
    """The first feature, in the order of the layers, that is not finite; None where all or none are."""
    with torch.no_grad():
        for number, flow in enumerate(model.flows):
            x, _ = flow(x, context)
            broken = torch.nonzero(~torch.isfinite(x).all(dim=0))[:, 0].tolist()
            if broken:
                everything = len(broken) == model.features
                return None if everything and model.features > 1 else broken[-(number % 2)]
    return None


def _steepest(model: AutoregressiveFlow, x: Tensor, context: Tensor | None, names: tuple[str, ...]) -> str:
    x = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(model.log_prob(x, context).sum(), x)
    largest = torch.nan_to_num(gradient.abs(), nan=torch.inf).amax(dim=0)
    column = int(largest.argmax())
    return (
        f"no feature is extreme; the log density is steepest in {names[column]}, up to"
        f" {float(largest[column]):.3g} per standard deviation"
    )
