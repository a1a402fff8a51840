"""The masked network that gives each feature's transformation its parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from normflows.nets.made import MADE, MaskedLinear
from torch import Tensor
from torch.nn import functional as F

__all__ = ["ACTIVATIONS", "SMOOTH_ACTIVATIONS", "ConditionalMade"]

ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = MappingProxyType(
    {"silu": F.silu, "gelu": F.gelu, "tanh": torch.tanh, "relu": F.relu}
)
"""Activations of the networks by name."""

SMOOTH_ACTIVATIONS = ("silu", "gelu", "tanh")
"""Those whose density has a continuous gradient; behind ReLU it jumps."""

_HIDDEN_GAIN = 2.5
"""Initial weights of hidden layers over torch's default, which lets signals die out behind SiLU and masks;
a short training then ends with a third of the Kullback-Leibler divergence (tried on a five-dimensional
toy)."""


class ConditionalMade(MADE):
    """normflows' MADE with feed-forward blocks, a context, and a chosen order of the features.

    Weights are kept masked (`AutoregressiveFlow.mask_weights_`) instead of being masked anew in each pass.

    Args:
        features: Dimensions d of the density.
        context: Dimensions c of the context.
        hidden: Units of each hidden layer.
        blocks: Hidden layers after the first.
        order: Place of each feature in the autoregressive order, shape (d,).
        outputs: Feature to which each output belongs: it depends on the features before that one.
        activation: Name of the activation.
    """

    def __init__(
        self,
        features: int,
        context: int,
        hidden: int,
        blocks: int,
        order: Tensor,
        outputs: Tensor,
        activation: str = "silu",
    ) -> None:
        super().__init__(
            features,
            hidden,
            num_blocks=blocks,
            output_multiplier=len(outputs) // features,
            use_residual_blocks=False,
            activation=ACTIVATIONS[activation],
        )
        self.activation = ACTIVATIONS[activation]
        # The context enters beside the features, with degree 0: allowed to reach every unit.
        degrees = torch.cat([order + 1, torch.zeros(context, dtype=order.dtype)])
        self.initial_layer = MaskedLinear(degrees, hidden, features, random_mask=False, is_output=False)
        self._set_masks(degrees, degrees[outputs], features)
        with torch.no_grad():
            for layer in self.masked_layers()[:-1]:
                layer.weight.mul_(_HIDDEN_GAIN)
            # Near the identity at the start: deep stacks then train at once, whatever the seed.
            self.final_layer.weight.mul_(0.1)
            self.final_layer.bias.zero_()

    def masked_layers(self) -> list[MaskedLinear]:
        """The linear layers, first to last."""
        return [self.initial_layer, *(block.linear for block in self.blocks), self.final_layer]

    def _set_masks(self, degrees: Tensor, output_degrees: Tensor, features: int) -> None:
        """Hidden units have degrees 0..d-1, not 1..d-1: those of degree 0 see the context alone."""
        hidden = torch.arange(self.initial_layer.out_features) % features
        first, *middle, final = self.masked_layers()
        first.mask.copy_(hidden[:, None] >= degrees)
        for layer in middle:
            layer.mask.copy_(hidden[:, None] >= hidden)
        final.mask.copy_(output_degrees[:, None] > hidden)

    def forward(self, inputs: Tensor, context: Tensor | None = None) -> Tensor:
        """Parameters of all features, shape (n, number of outputs)."""
        first, *middle, final = self.masked_layers()
        seen = inputs if context is None else torch.cat([inputs, context], dim=1)
        h = self.activation(F.linear(seen, first.weight, first.bias))
        for layer in middle:
            h = self.activation(F.linear(h, layer.weight, layer.bias))
        return F.linear(h, final.weight, final.bias)
