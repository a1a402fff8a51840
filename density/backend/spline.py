"""Spline flow: each feature is shifted and scaled, then bent by a rational-quadratic spline.

The spline acts between -`tail_bound` and +`tail_bound` and is the identity outside (Durkan et al. 2019, arXiv
1906.04032, there without the affine part, which lets each layer choose what lies within the bound and how
wide the tails are). The gradient of the log density jumps at the knots: where it must be smooth, use
`ConditionalMaf`.
"""

from __future__ import annotations

from math import expm1, log

import torch
from jaxtyping import Float
from normflows.flows.affine.autoregressive import Autoregressive
from torch import Tensor
from torch.nn import functional as F

from density.backend.affine import shift_and_log_scale
from density.backend.autoregressive import AutoregressiveFlow, random_rotations
from density.backend.made import ConditionalMade
from density.rational_quadratic import RationalPiece

__all__ = ["ConditionalSpline"]

_LEAST_SHARE = 1e-3
"""Least width and height of a piece, as a share of the whole: slopes then lie between 1/1000 and 1000."""

_LEAST_SLOPE = 1e-3


class _SplineLayer(Autoregressive):
    """z = spline(shift + scale x), all parameters functions of the context and the features before x."""

    def __init__(self, net: ConditionalMade, order: list[int], bins: int, tail_bound: float) -> None:
        super().__init__(net)
        self.order, self.bins, self.tail_bound = order, bins, tail_bound

    def inverse(self, inputs: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """x(z) and its log-determinant: one pass per feature, which bends back that feature alone."""
        x, total = torch.zeros_like(inputs), torch.zeros_like(inputs[:, 0])
        for column in self.order:
            own = self.autoregressive_net(x, context)[:, column :: inputs.shape[1]]
            value, log_det = self._elementwise_inverse(inputs[:, [column]], own)
            x = torch.cat([x[:, :column], value, x[:, column + 1 :]], dim=1)
            total = total + log_det
        return x, total

    def _output_dim_multiplier(self) -> int:
        return 2 + 3 * self.bins - 1

    def _elementwise_forward(self, inputs: Tensor, autoregressive_params: Tensor) -> tuple[Tensor, Tensor]:
        shift, log_scale, raw = self._split(autoregressive_params, inputs.shape[1])
        u = torch.addcmul(shift, inputs, torch.exp(log_scale))
        clamped = u.T.clamp(-self.tail_bound, self.tail_bound)
        bent, log_slope = self._pieces(raw, clamped, by_value=False).forward(clamped)
        inside = u.abs() < self.tail_bound
        log_det = log_scale + torch.where(inside, log_slope.T, 0.0)
        return torch.where(inside, bent.T, u), log_det.sum(dim=1)

    def _elementwise_inverse(self, inputs: Tensor, autoregressive_params: Tensor) -> tuple[Tensor, Tensor]:
        # In double precision: the root loses half of the digits where the slope is small.
        shift, log_scale, raw = self._split(autoregressive_params.double(), inputs.shape[1])
        z = inputs.double()
        clamped = z.T.clamp(-self.tail_bound, self.tail_bound)
        straight, log_slope = self._pieces(raw, clamped, by_value=True).inverse(clamped)
        inside = z.abs() < self.tail_bound
        u = torch.where(inside, straight.T, z)
        log_det = torch.where(inside, log_slope.T, 0.0) - log_scale
        return ((u - shift) * torch.exp(-log_scale)).to(inputs), log_det.sum(dim=1).to(inputs)

    def _split(
        self, parameters: Float[Tensor, "n p"], features: int
    ) -> tuple[Float[Tensor, "n d"], Float[Tensor, "n d"], Float[Tensor, "q d n"]]:
        """Shift, ln(scale), and the spline's own parameters with the rows last: three times as fast."""
        shift, log_scale = shift_and_log_scale(parameters[:, : 2 * features])
        return shift, log_scale, parameters[:, 2 * features :].T.contiguous().unflatten(0, (-1, features))

    def _pieces(
        self, raw: Float[Tensor, "q d n"], at: Float[Tensor, "d n"], *, by_value: bool
    ) -> RationalPiece:
        """The piece of each element's spline in which its place, or its value, lies.

        Sums over masks take the place of look-ups: they are faster, and a parameter or a place that is not a
        number gives a result that is not a number instead of an index out of range.
        """
        sizes = torch.softmax(raw[: 2 * self.bins].unflatten(0, (2, self.bins)), dim=1)
        sizes = 2 * self.tail_bound * (_LEAST_SHARE + (1 - _LEAST_SHARE * self.bins) * sizes)
        with torch.no_grad():
            inner_knots = sizes[int(by_value), :-1].cumsum(dim=0) - self.tail_bound
            passed = (at >= inner_knots).to(raw.dtype)
            before = F.pad(passed, (0, 0, 0, 0, 0, 1))
            here = F.pad(passed, (0, 0, 0, 0, 1, 0), value=1.0) - before
        x0, y0 = ((sizes * before).sum(dim=1) - self.tail_bound).unbind()
        w, h = (sizes * here).sum(dim=1).unbind()
        slopes = raw[2 * self.bins :]
        return RationalPiece(
            x0, w, y0, h, _slope((slopes * here[1:]).sum(dim=0)), _slope((slopes * here[:-1]).sum(dim=0))
        )


def _slope(raw: Float[Tensor, "d n"]) -> Float[Tensor, "d n"]:
    # Zero gives slope 1: a fresh spline is the identity, and the outer knots join the tails smoothly.
    return _LEAST_SLOPE + F.softplus(raw + log(expm1(1 - _LEAST_SLOPE)))


class ConditionalSpline(AutoregressiveFlow):
    """Conditional autoregressive flow of affine and rational-quadratic layers, standard normal base.

    Also in one dimension a real density, of any shape that `bins` pieces can draw.

    Args:
        features: Dimensions d of the density.
        context: Dimensions c of the context, may be 0.
        layers: Autoregressive layers; every second one takes the features in reverse order.
        hidden: Units of each hidden layer of a layer's network.
        blocks: Hidden layers of each network after its first.
        bins: Pieces of each spline.
        tail_bound: The spline bends values between -tail_bound and tail_bound.
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
        bins: int,
        tail_bound: float,
        seed: int,
        activation: str = "silu",
        rotations: int | None = None,
    ) -> None:
        orders = (torch.arange(features), torch.arange(features).flip(0))
        outputs = torch.arange(features).repeat(2 + 3 * bins - 1)
        stack = []
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            for order in (orders[k % 2] for k in range(layers)):
                net = ConditionalMade(features, context, hidden, blocks, order, outputs, activation)
                # The order of a permutation and of its inverse agree for these two.
                stack.append(_SplineLayer(net, order.tolist(), bins, tail_bound))
        super().__init__(features, context, stack, random_rotations(rotations, features, layers))
