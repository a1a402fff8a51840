"""A smooth perceptron with its gradient and Laplacian, carried forward through the layers in one pass."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dm_map.errors import PotentialError

__all__ = ["ACTIVATIONS", "Jet", "SmoothPerceptron"]

Derivatives = Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]


class Jet(NamedTuple):
    """A function at n points: value, gradient and Laplacian."""

    value: Float[Tensor, " n"]
    gradient: Float[Tensor, "n 3"]
    laplacian: Float[Tensor, " n"]


def _tanh(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    t = torch.tanh(x)
    slope = 1 - t * t
    return t, slope, -2 * t * slope


def _silu(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    s = torch.sigmoid(x)
    slope = s * (1 - s)
    return x * s, s + x * slope, slope * (2 + x * (1 - 2 * s))


def _gelu(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    cumulative = 0.5 * (1 + torch.erf(x * 2**-0.5))
    normal = torch.exp(-0.5 * x * x) * (2 * torch.pi) ** -0.5
    return x * cumulative, cumulative + x * normal, normal * (2 - x * x)


#: Smooth activations: value, first and second derivative. A rectifier has no
#: second derivative to give a density.
ACTIVATIONS: dict[str, Derivatives] = {"tanh": _tanh, "silu": _silu, "gelu": _gelu}


class SmoothPerceptron(nn.Module):
    """Fully connected layers from three coordinates to one number.

    Raises:
        PotentialError: an activation that is not smooth, or no hidden layer.
    """

    def __init__(self, widths: tuple[int, ...], activation: str) -> None:
        super().__init__()
        if activation not in ACTIVATIONS:
            raise PotentialError(
                f"a potential needs two derivatives: the activations are {sorted(ACTIVATIONS)}; "
                f"got {activation!r}"
            )
        if not widths or min(widths) < 1:
            raise PotentialError(f"a network has one or more hidden layers of positive width; got {widths}")
        sizes = (3, *widths, 1)
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        self.activation = activation

    def forward(self, y: Float[Tensor, "n 3"]) -> Jet:
        """Value, gradient and Laplacian at y: each layer maps (h, dh/dy, Laplacian of h) to the next.

        For h' = s(W h + b) = s(u): grad h' = s'(u) grad u and lap h' = s'(u) lap u + s''(u) |grad u|^2.
        """
        n = len(y)
        value = y
        gradient = torch.eye(3, dtype=y.dtype, device=y.device).expand(n, 3, 3)
        laplacian = torch.zeros_like(y)
        for layer in self.layers[:-1]:
            u, du, lu = layer(value), gradient @ layer.weight.T, laplacian @ layer.weight.T
            value, first, second = ACTIVATIONS[self.activation](u)
            gradient = first[:, None, :] * du
            laplacian = first * lu + second * (du * du).sum(dim=1)
        last = self.layers[-1]
        weight = last.weight[0]
        return Jet(last(value)[:, 0], gradient @ weight, laplacian @ weight)
