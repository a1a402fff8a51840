"""Masked autoregressive flow: each feature is shifted and scaled by functions of those before it."""

from __future__ import annotations

import torch
from jaxtyping import Float
from normflows.flows.affine.autoregressive import Autoregressive
from torch import Tensor

from density.backend.autoregressive import AutoregressiveFlow, random_rotations
from density.backend.made import ConditionalMade

__all__ = ["LOG_SCALE_BOUND", "ConditionalMaf", "shift_and_log_scale"]

LOG_SCALE_BOUND = 4.0
"""|ln scale| of one layer stays below this: factors up to 55, which eight layers multiply."""


def shift_and_log_scale(
    parameters: Float[Tensor, "n p"],
) -> tuple[Float[Tensor, "n d"], Float[Tensor, "n d"]]:
    """Shift and bounded ln(scale) of each feature from the network's outputs, all shifts first."""
    shift, raw = parameters.chunk(2, dim=1)
    return shift, LOG_SCALE_BOUND * torch.tanh(raw / LOG_SCALE_BOUND)


class _MafLayer(Autoregressive):
    """z = shift + scale x, shift and ln(scale) functions of the context and of the features before x."""

    def _output_dim_multiplier(self) -> int:
        return 2

    def _elementwise_forward(self, inputs: Tensor, autoregressive_params: Tensor) -> tuple[Tensor, Tensor]:
        shift, log_scale = shift_and_log_scale(autoregressive_params)
        return torch.addcmul(shift, inputs, torch.exp(log_scale)), log_scale.sum(dim=1)

    def _elementwise_inverse(self, inputs: Tensor, autoregressive_params: Tensor) -> tuple[Tensor, Tensor]:
        shift, log_scale = shift_and_log_scale(autoregressive_params)
        return (inputs - shift) * torch.exp(-log_scale), -log_scale.sum(dim=1)


class ConditionalMaf(AutoregressiveFlow):
    """Conditional masked autoregressive flow with a standard normal base.

    In one dimension such a flow is a Gaussian whose mean and width depend on the context; `ConditionalSpline`
    is not so limited.

    Args:
        features: Dimensions d of the density.
        context: Dimensions c of the context, may be 0.
        layers: Autoregressive layers; every second one takes the features in reverse order.
        hidden: Units of each hidden layer of a layer's network.
        blocks: Hidden layers of each network after its first.
        seed: Seed of the initial weights; the global random state is left as it was.
        activation: Name of the activation of the networks.
        rotations: Seed of random rotations between the layers; None: none.
    """

    def __init__(
        self,
        features: int,
        context: int,
        *,
        layers: int,
        hidden: int,
        blocks: int,
        seed: int,
        activation: str = "silu",
        rotations: int | None = None,
    ) -> None:
        orders = (torch.arange(features), torch.arange(features).flip(0))
        outputs = torch.arange(features).repeat(2)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            nets = [
                ConditionalMade(features, context, hidden, blocks, orders[k % 2], outputs, activation)
                for k in range(layers)
            ]
        turns = random_rotations(rotations, features, layers)
        super().__init__(features, context, [_MafLayer(net) for net in nets], turns)
