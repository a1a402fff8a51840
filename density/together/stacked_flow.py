"""Many flows of one size evaluated as one: their masked layers are batched matrix products.

A batch of K small matrix products fills a GPU that one of them leaves idle, and costs one launch instead of
K. Only the networks are stacked; what a layer does with its parameters is the backend's, row by row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from density.backend import AutoregressiveFlow

__all__ = ["StackedFlow"]


class _StackedNet(nn.Module):
    """The masked networks of one layer of all flows; rows of flow k are the k-th equal share of the rows."""

    def __init__(self, activation: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.activation = activation
        self.linear: list[tuple[Tensor, Tensor]] = []

    def forward(self, inputs: Tensor, context: Tensor | None = None) -> Tensor:
        """Parameters of all features, shape (k b, number of outputs)."""
        seen = inputs if context is None else torch.cat([inputs, context], dim=1)
        *hidden, (weight, bias) = self.linear
        h = seen.unflatten(0, (len(weight), -1))
        for hidden_weight, hidden_bias in hidden:
            h = self.activation(torch.baddbmm(hidden_bias, h, hidden_weight))
        return torch.baddbmm(bias, h, weight).flatten(0, 1)


class StackedFlow:
    """K flows of one architecture, each given by one row of a matrix of weights.

    Args:
        network: A flow of that architecture; it is taken over, and of no use afterwards.
    """

    def __init__(self, network: AutoregressiveFlow) -> None:
        self._buffers = {name: value.clone() for name, value in network.named_buffers()}
        names = {parameter: name for name, parameter in network.named_parameters()}
        masks = dict(network.masked_weights())
        self._shapes = {
            names[parameter]: parameter.shape
            for layer in network.flows
            for linear in layer.autoregressive_net.masked_layers()
            for parameter in (linear.weight, linear.bias)
        }
        by_name = {name: parameter for parameter, name in names.items()}
        self.mask = torch.cat(
            [masks.get(p, torch.ones_like(p)).flatten() for p in map(by_name.get, self._shapes)]
        ).detach()
        """Which weights the masks allow, shape (p,)."""
        self._nets = [_StackedNet(layer.autoregressive_net.activation) for layer in network.flows]
        self._depth = len(self._shapes) // (2 * len(self._nets))
        for layer, net in zip(network.flows, self._nets, strict=True):
            layer.autoregressive_net = net
        self._network = network

    def to(self, device: torch.device | str, dtype: torch.dtype) -> StackedFlow:
        """Move the masks, in place."""
        self.mask = self.mask.to(device, dtype)
        return self

    def flat(self, state: Mapping[str, Tensor]) -> Float[Tensor, " p"]:
        """The weights of one flow, from its state by name."""
        return torch.cat([state[name].detach().flatten() for name in self._shapes])

    def state(self, weights: Float[Tensor, " p"]) -> dict[str, np.ndarray]:
        """State by name of the flow with these weights, as its own network would give it."""
        sizes = [shape.numel() for shape in self._shapes.values()]
        parts = zip(self._shapes.items(), weights.detach().cpu().split(sizes), strict=True)
        state = {name: part.unflatten(0, shape).numpy().copy() for (name, shape), part in parts}
        constants = {name: value.to(weights.dtype) if value.is_floating_point() else value
                     for name, value in self._buffers.items()}  # fmt: skip
        return state | {name: value.cpu().numpy() for name, value in constants.items()}

    def log_prob(
        self, weights: Float[Tensor, "k p"], x: Float[Tensor, "k b d"], context: Float[Tensor, "k b c"] | None
    ) -> Float[Tensor, "k b"]:
        """ln p_k(x | context) of flow k for its own rows, differentiable in the weights.

        Args:
            weights: One row of weights per flow.
            x: Mapped features of each flow's rows.
            context: Mapped context of each flow's rows.
        """
        # One split, not slices: its gradient is one concatenation.
        parts = iter(weights.split([shape.numel() for shape in self._shapes.values()], dim=1))
        shapes = iter(self._shapes.values())
        for net in self._nets:
            net.linear = [
                (next(parts).unflatten(1, next(shapes)).mT, next(parts).unflatten(1, (1, *next(shapes))))
                for _ in range(self._depth)
            ]
        rows = None if context is None else context.flatten(0, 1)
        return self._network.log_prob(x.flatten(0, 1), rows).unflatten(0, x.shape[:2])
