"""A stack of autoregressive layers over a standard normal base, whatever the layers do to one feature."""

from __future__ import annotations

from collections.abc import Iterator
from math import log, pi

import torch
from jaxtyping import Float
from normflows.flows.affine.autoregressive import Autoregressive
from torch import Tensor, nn

__all__ = ["AutoregressiveFlow"]


class AutoregressiveFlow(nn.Module):
    """Conditional density of a stack of layers: data to latent in one pass per layer.

    Args:
        features: Dimensions d of the density.
        context: Dimensions c of the context, may be 0.
        layers: Layers from the data to the latent space.
    """

    def __init__(self, features: int, context: int, layers: list[Autoregressive]) -> None:
        super().__init__()
        self.features, self.context = features, context
        self.flows = nn.ModuleList(layers)
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
