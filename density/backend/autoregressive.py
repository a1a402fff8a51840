"""A stack of autoregressive layers over a standard normal base, whatever the layers do to one feature."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import log, pi

import numpy as np
import torch
from jaxtyping import Float
from normflows.flows.affine.autoregressive import Autoregressive
from torch import Tensor, nn

__all__ = ["AutoregressiveFlow", "random_rotations"]


class AutoregressiveFlow(nn.Module):
    """Conditional density of a stack of layers: data to latent in one pass per layer.

    Args:
        features: Dimensions d of the density.
        context: Dimensions c of the context, may be 0.
        layers: Layers from the data to the latent space.
        rotations: Rotation of the features before each layer, shape (d, d) each; empty: none.
    """

    def __init__(
        self,
        features: int,
        context: int,
        layers: list[Autoregressive],
        rotations: Sequence[Float[Tensor, "d d"]] = (),
    ) -> None:
        super().__init__()
        # Not buffers: they follow from the recipe, and are no part of the state.
        self.rotations = tuple(rotations)
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
        for k, flow in enumerate(self.flows):
            if self.rotations:
                x = x @ self.rotations[k].to(x)
            x, layer_log_det = flow(x, context)
            log_det = log_det + layer_log_det
        return x, log_det

    def from_latent(
        self, z: Float[Tensor, "n d"], context: Float[Tensor, "n c"] | None
    ) -> Float[Tensor, "n d"]:
        """x(z; context): d passes per layer."""
        for k, flow in reversed(list(enumerate(self.flows))):
            z, _ = flow.inverse(z, context)
            if self.rotations:
                z = z @ self.rotations[k].to(z).T
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


def random_rotations(seed: int | None, features: int, layers: int) -> tuple[Float[Tensor, "d d"], ...]:
    """A uniformly random rotation (or reflection) for each layer, in double precision; none without a seed.

    Args:
        seed: Same seed, same rotations.
        features: Dimensions d.
        layers: Number of rotations.
    """
    if seed is None:
        return ()
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    q, r = np.linalg.qr(rng.standard_normal((layers, features, features)))
    # Without the signs of the diagonal, QR favours some rotations.
    signs = np.sign(np.diagonal(r, axis1=1, axis2=2))
    return tuple(torch.from_numpy(one) for one in q * signs[:, None, :])
