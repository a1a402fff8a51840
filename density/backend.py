"""The one file that knows normflows: a conditional masked autoregressive flow whose density is one pass.

normflows orients its autoregressive layers for sampling; read the other way (data in, latent out) the same
layer gives the density in one pass and a sample in d passes (Papamakarios et al. 2017, arXiv 1705.07057).
Three properties of its networks are changed here, because they limit a density:

* its affine layer scales by a sigmoid, that is by 0.001 to 1.001: a density could not be narrower than the
  base in that orientation. Here ln(scale) is a smooth odd function of the network, bounded by
  `LOG_SCALE_BOUND`;
* its masks leave the first feature of each layer blind to the context. Here some hidden units see the context
  alone;
* activations are SiLU: with ReLU the gradient of the log density jumps.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import log, pi

import torch
from jaxtyping import Float
from normflows.flows.affine.autoregressive import Autoregressive
from normflows.nets.made import MADE, MaskedLinear
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["LOG_SCALE_BOUND", "ConditionalMaf"]

LOG_SCALE_BOUND = 4.0
"""|ln scale| of one layer stays below this: factors up to 55, which eight layers multiply."""

_HIDDEN_GAIN = 2.5
"""Initial weights of hidden layers over torch's default, which lets signals die out behind SiLU and masks;
a short training then ends with a third of the Kullback-Leibler divergence (tried on a five-dimensional
toy)."""


class _ConditionalMade(MADE):
    """normflows' MADE with feed-forward blocks, a context, and a chosen order of the features.

    Weights are kept masked (`mask_weights_`) instead of being masked anew in each pass.
    """

    def __init__(self, features: int, context: int, hidden: int, blocks: int, order: Tensor) -> None:
        super().__init__(
            features,
            hidden,
            num_blocks=blocks,
            output_multiplier=2,
            use_residual_blocks=False,
            activation=F.silu,
        )
        # The context enters beside the features, with degree 0: allowed to reach every unit.
        degrees = torch.cat([order + 1, torch.zeros(context, dtype=order.dtype)])
        self.initial_layer = MaskedLinear(degrees, hidden, features, random_mask=False, is_output=False)
        self._set_masks(degrees, features)
        with torch.no_grad():
            for layer in self.masked_layers()[:-1]:
                layer.weight.mul_(_HIDDEN_GAIN)
            # Near the identity at the start: deep stacks then train at once, whatever the seed.
            self.final_layer.weight.mul_(0.1)
            self.final_layer.bias.zero_()

    def masked_layers(self) -> list[MaskedLinear]:
        return [self.initial_layer, *(block.linear for block in self.blocks), self.final_layer]

    def _set_masks(self, degrees: Tensor, features: int) -> None:
        """Hidden units have degrees 0..d-1, not 1..d-1: those of degree 0 see the context alone."""
        hidden = torch.arange(self.initial_layer.out_features) % features
        first, *middle, final = self.masked_layers()
        first.mask.copy_(hidden[:, None] >= degrees)
        for layer in middle:
            layer.mask.copy_(hidden[:, None] >= hidden)
        final.mask.copy_(degrees[:features].repeat(2)[:, None] > hidden)

    def forward(self, inputs: Tensor, context: Tensor | None = None) -> Tensor:
        first, *middle, final = self.masked_layers()
        seen = inputs if context is None else torch.cat([inputs, context], dim=1)
        h = F.silu(F.linear(seen, first.weight, first.bias))
        for layer in middle:
            h = F.silu(F.linear(h, layer.weight, layer.bias))
        return F.linear(h, final.weight, final.bias)


class _MafLayer(Autoregressive):
    """z = shift + scale x, shift and ln(scale) functions of the context and of the features before x."""

    def _output_dim_multiplier(self) -> int:
        return 2

    def _elementwise_forward(self, inputs: Tensor, autoregressive_params: Tensor) -> tuple[Tensor, Tensor]:
        shift, log_scale = _shift_and_log_scale(autoregressive_params)
        return torch.addcmul(shift, inputs, torch.exp(log_scale)), log_scale.sum(dim=1)

    def _elementwise_inverse(self, inputs: Tensor, autoregressive_params: Tensor) -> tuple[Tensor, Tensor]:
        shift, log_scale = _shift_and_log_scale(autoregressive_params)
        return (inputs - shift) * torch.exp(-log_scale), -log_scale.sum(dim=1)


def _shift_and_log_scale(parameters: Tensor) -> tuple[Tensor, Tensor]:
    shift, raw = parameters.chunk(2, dim=1)
    return shift, LOG_SCALE_BOUND * torch.tanh(raw / LOG_SCALE_BOUND)


class ConditionalMaf(nn.Module):
    """Conditional masked autoregressive flow with a standard normal base.

    In one dimension such a flow is a Gaussian whose mean and width depend on the context.

    Args:
        features: Dimensions d of the density.
        context: Dimensions c of the context, may be 0.
        layers: Autoregressive layers; every second one takes the features in reverse order.
        hidden: Units of each hidden layer of a layer's network.
        blocks: Hidden layers of each network after its first.
        seed: Seed of the initial weights; the global random state is left as it was.
    """

    def __init__(
        self, features: int, context: int, *, layers: int, hidden: int, blocks: int, seed: int
    ) -> None:
        super().__init__()
        self.features, self.context = features, context
        orders = (torch.arange(features), torch.arange(features).flip(0))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            nets = [_ConditionalMade(features, context, hidden, blocks, orders[k % 2]) for k in range(layers)]
        self.flows = nn.ModuleList([_MafLayer(net) for net in nets])
        self.mask_weights_()

    def log_prob(self, x: Float[Tensor, "n d"], context: Float[Tensor, "n c"] | None) -> Float[Tensor, " n"]:
        """ln p(x | context), one pass.

        Args:
            x: Mapped features, shape (n, d).
            context: Mapped context, shape (n, c); None where c is 0.
        """
        z, log_det = self.to_latent(x, context)
        return log_det - 0.5 * (z * z).sum(dim=1) - 0.5 * self.features * log(2 * pi)

    def to_latent(
        self, x: Float[Tensor, "n d"], context: Float[Tensor, "n c"] | None
    ) -> tuple[Float[Tensor, "n d"], Float[Tensor, " n"]]:
        """Latent z(x; context), standard normal if the flow is right, and ln|det dz/dx|."""
        log_det = torch.zeros_like(x[:, 0])
        for flow in self.flows:
            x, layer_log_det = flow(x, context)
            log_det = log_det + layer_log_det
        return x, log_det

    def from_latent(
        self, z: Float[Tensor, "n d"], context: Float[Tensor, "n c"] | None
    ) -> Float[Tensor, "n d"]:
        """x(z; context): d passes per layer."""
        for flow in reversed(self.flows):
            z, _ = flow.inverse(z, context)
        return z

    def masked_weights(self) -> Iterator[tuple[nn.Parameter, Tensor]]:
        """Each masked weight with its mask."""
        for flow in self.flows:
            for layer in flow.autoregressive_net.masked_layers():
                yield layer.weight, layer.mask

    def mask_weights_(self) -> None:
        """Zero the weights that the masks forbid; needed after any change of weights from outside."""
        with torch.no_grad():
            for weight, mask in self.masked_weights():
                weight.mul_(mask)

    def mask_gradients_(self) -> None:
        """Zero the gradients that the masks forbid: an optimiser then keeps forbidden weights at zero."""
        pairs = [(weight.grad, mask) for weight, mask in self.masked_weights() if weight.grad is not None]
        torch._foreach_mul_([gradient for gradient, _ in pairs], [mask for _, mask in pairs])
