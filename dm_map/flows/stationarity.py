"""Flows trained towards a steady state: the Boltzmann equation as a penalty beside the likelihood.

Along the orbits of a potential Phi the density of a population in equilibrium does not change,

    d ln f / dt = v . s_x - grad Phi . s_v = 0                                                       (1)

(eq. 1 of `dm_map.boltzmann`). The likelihood alone leaves the flows free to follow the noise of the stars in
all six dimensions; where (1) must hold too, for one smooth potential that is found along the way, much of
that noise has no place. In Deep Potential (Green & Ting 2020, arXiv:2011.04673) the potential is fitted to
flows that stay as they are; here the flows give way too. The derivative along the orbit is a single
forward-mode derivative of ln f.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from math import cos, isfinite, pi
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.autograd import forward_ad

from density import FlowDensity, child_seed
from density.backend import AutoregressiveFlow
from density.feature_maps import FeatureMap
from density.ordering import canonical_order
from dm_map.errors import FlowError
from dm_map.flows.density import PhaseSpaceDensity
from dm_map.stars import StarSample

__all__ = ["SteadyProgress", "SteadyState"]

SteadyProgress = Callable[[int, float, float], None]
"""Called after each epoch with its number, the negative log-likelihood and the penalty, per star."""

_WARM_UP = 0.15
_GRADIENT_NORM = 5.0
# The potential alone, before the flows give way: steps, most stars per step, rate, where outliers are cut.
_FIRST_STEPS, _FIRST_BATCH, _FIRST_RATE, _FIRST_CUT = 400, 1024, 1e-2, 4.0


@dataclass(frozen=True)
class SteadyState:
    """Recipe of the second part of a training, in which likelihood and equation (1) are satisfied together.

    Minimised is the mean over the stars of -ln f + weight (d ln f/dt)^2 / rate^2, where rate^2 is the mean
    square of the velocity in the coordinates of the position flow: one over the time in which a star crosses
    the scale on which ln n changes.

    It takes equilibrium for granted, as equation (2) does, but leaves less of a trace where there is none:
    the residual and the continuity of such flows are no test of equilibrium. Diagnose flows without it.

    Args:
        weight: Of the penalty; 0 trains on by likelihood alone.
        epochs: Passes over the stars, each of the cost of about eight passes by likelihood alone. The
            defaults are for 10^5 stars; what counts is the number of steps: 250 were too few there.
        batch_size: Stars per step.
        learning_rate: Peak rate of the flows, after a linear rise and before a cosine fall.
        hidden: Units of the two hidden layers of the potential's network.

    Raises:
        FlowError: a number is out of range.
    """

    weight: float = 1.0
    epochs: int = 4
    batch_size: int = 512
    learning_rate: float = 5e-3
    hidden: int = 48

    def __post_init__(self) -> None:
        if not (self.weight >= 0 and isfinite(self.weight) and self.learning_rate > 0):
            raise FlowError(
                f"expected a weight >= 0 and a rate > 0; got {self.weight} and {self.learning_rate}"
            )
        if min(self.epochs, self.batch_size, self.hidden) < 1:
            raise FlowError(
                "epochs, batch_size and hidden are 1 or more; got "
                f"{self.epochs}, {self.batch_size} and {self.hidden}"
            )

    def fit(
        self,
        density: PhaseSpaceDensity,
        sample: StarSample,
        *,
        seed: int,
        progress: SteadyProgress | None = None,
        device: str = "cpu",
    ) -> PhaseSpaceDensity:
        """Train a fitted density further; the order of the stars does not matter.

        Args:
            density: Fitted to the same stars by likelihood.
            sample: The stars, with their weights.
            seed: Same seed, same stars, same number of threads: same density.
            progress: Called after each epoch.
            device: torch device to train on; the result lives on the CPU.

        Raises:
            FlowError: the loss was not finite.
        """
        sample = sample.take(canonical_order(sample.x, sample.v, sample.unit_weights))
        rows = _rows(density, sample).to(device)
        torch_seed = child_seed(seed, "potential")
        random = np.random.default_rng(np.random.SeedSequence(child_seed(seed, "steady state")))
        potential = _Potential(self.hidden, torch_seed).to(device)
        _first_potential(potential, density, sample, rows, random)
        flows = tuple(_network(part).to(device) for part in (density.position, density.velocity))
        self._train(flows, potential, rows, random, progress)
        position, velocity = (
            replace(part, state={k: t.detach().cpu().numpy().copy() for k, t in net.state_dict().items()})
            for part, net in zip((density.position, density.velocity), flows, strict=True)
        )
        return replace(density, position=position, velocity=velocity)

    def _train(
        self,
        flows: tuple[AutoregressiveFlow, ...],
        potential: _Potential,
        rows: _Rows,
        random: np.random.Generator,
        progress: SteadyProgress | None,
    ) -> None:
        weights = [part for flow in flows for part in flow.parameters()]
        optimizer = torch.optim.AdamW(
            [*weights, *potential.parameters()], self.learning_rate, weight_decay=0.0, fused=True
        )
        steps = -(-len(rows.y) // self.batch_size)
        for epoch in range(self.epochs):
            order = torch.from_numpy(random.permutation(len(rows.y))).to(rows.y.device)
            totals = np.zeros(2)
            for step, index in enumerate(torch.tensor_split(order, steps)):
                for group in optimizer.param_groups:
                    group["lr"] = self._rate((epoch + step / steps) / self.epochs)
                optimizer.zero_grad(set_to_none=True)
                loss, penalty = _losses(flows, potential, rows.take(index))
                (loss + self.weight * penalty).backward()
                for flow in flows:
                    flow.mask_gradients_()
                torch.nn.utils.clip_grad_norm_(weights, _GRADIENT_NORM, foreach=True)
                optimizer.step()
                totals += np.array([float(loss.detach()), float(penalty.detach())]) / steps
            if not np.isfinite(totals).all():
                raise FlowError(
                    f"training towards a steady state lost its way in epoch {epoch} (loss {totals[0]:g}, "
                    f"penalty {totals[1]:g}); lower the learning rate ({self.learning_rate:g}) or the weight "
                    f"({self.weight:g})"
                )
            if progress is not None:
                progress(epoch, *totals.tolist())

    def _rate(self, done: float) -> float:
        if done < _WARM_UP:
            return self.learning_rate * (0.1 + 0.9 * done / _WARM_UP)
        return self.learning_rate * max(0.5 * (1 + cos(pi * (done - _WARM_UP) / (1 - _WARM_UP))), 1e-3)

    def to_dict(self) -> dict[str, float]:
        """Plain values for JSON."""
        return asdict(self)


class _Rows(NamedTuple):
    """The stars in the flows' coordinates, y(x) and u(v), with what the derivative along orbits needs."""

    y: Float[Tensor, "n 3"]
    jacobian: Float[Tensor, "n 3 3"]
    y_rate: Float[Tensor, "n 3"]
    u: Float[Tensor, "n 3"]
    u_jacobian: Float[Tensor, "n 3 3"]
    log_det_rate: Float[Tensor, " n"]
    u_log_det_slope: Float[Tensor, "n 3"]
    rate_squared: Float[Tensor, " n"]
    weight: Float[Tensor, " n"]
    energy: Float[Tensor, " n"]

    def take(self, index: Int[Tensor, " k"]) -> _Rows:
        """Some of the rows."""
        return _Rows(*(part[index] for part in self))

    def to(self, device: str) -> _Rows:
        """The rows on a device."""
        return _Rows(*(part.to(device) for part in self))


class _Potential(nn.Module):
    """Phi as a smooth network of the mapped position, in units of the mean square velocity."""

    def __init__(self, hidden: int, seed: int) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.net = nn.Sequential(
                nn.Linear(3, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU(), nn.Linear(hidden, 1)
            )

    def acceleration(self, rows: _Rows) -> Float[Tensor, "n 3"]:
        """-grad Phi at the stars."""
        y = rows.y.detach().requires_grad_()
        (slope,) = torch.autograd.grad(self.net(y).sum(), y, create_graph=True)
        return -rows.energy[:, None] * torch.einsum("nk,nki->ni", slope, rows.jacobian)


def _rows(density: PhaseSpaceDensity, sample: StarSample) -> _Rows:
    v = torch.from_numpy(np.ascontiguousarray(sample.v))
    y, jacobian, log_det_slope = _geometry(density.position.feature_map, sample.x)
    u, u_jacobian, u_log_det_slope = _geometry(density.velocity.feature_map, sample.v)
    weight = torch.from_numpy(sample.unit_weights)
    second = torch.einsum("n,ni,nj->ij", weight, v, v) / len(v)
    columns = (
        y,
        jacobian,
        torch.einsum("nki,ni->nk", jacobian, v),
        u,
        u_jacobian,
        (log_det_slope * v).sum(dim=1),
        u_log_det_slope,
        torch.einsum("nki,ij,nkj->n", jacobian, second, jacobian),
        weight,
        (torch.trace(second) / 3).expand(len(v)),
    )
    return _Rows(*(part.to(torch.float32) for part in columns))


def _geometry(
    feature_map: FeatureMap, values: Float[np.ndarray, "n 3"]
) -> tuple[Float[Tensor, "n 3"], Float[Tensor, "n 3 3"], Float[Tensor, "n 3"]]:
    """Mapped values, their Jacobian, and the gradient of the logarithm of its determinant."""
    at = torch.from_numpy(np.ascontiguousarray(values)).requires_grad_()
    mapped, log_det = feature_map.forward_tensor(at)
    rows = [torch.autograd.grad(mapped[:, k].sum(), at, retain_graph=True)[0] for k in range(3)]
    # The determinant of a map that is linear does not depend on the values.
    slope = torch.autograd.grad(log_det.sum(), at)[0] if log_det.requires_grad else torch.zeros_like(at)
    return mapped.detach(), torch.stack(rows, dim=1), slope


def _network(part: FlowDensity) -> AutoregressiveFlow:
    """The network of a fitted flow, to be trained further."""
    context = 0 if part.context_map is None else part.context_map.width
    network = part.recipe.build(part.feature_map.width, context)
    network.load_state_dict({name: torch.from_numpy(value.copy()) for name, value in part.state.items()})
    return network.to(torch.float32)


def _first_potential(
    potential: _Potential,
    density: PhaseSpaceDensity,
    sample: StarSample,
    rows: _Rows,
    random: np.random.Generator,
) -> None:
    """Fit the potential to the flows as they are: a poor one would pull the flows away from the stars."""
    s_x, s_v = density.scores(sample.x, sample.v)
    streaming = torch.from_numpy(np.sum(sample.v * s_x, axis=1)).to(rows.y)
    pull = torch.from_numpy(s_v).to(rows.y)
    optimizer = torch.optim.Adam(potential.parameters(), _FIRST_RATE, fused=True)
    batch = min(_FIRST_BATCH, 1 + len(rows.y) // 16)
    for step in range(_FIRST_STEPS):
        for group in optimizer.param_groups:
            group["lr"] = _FIRST_RATE * max(0.5 * (1 + cos(pi * step / _FIRST_STEPS)), 1e-3)
        index = torch.from_numpy(random.integers(0, len(rows.y), batch)).to(rows.y.device)
        some = rows.take(index)
        left = streaming[index] + (potential.acceleration(some) * pull[index]).sum(dim=1)
        loss = (some.weight * (left**2 / some.rate_squared).clamp(max=_FIRST_CUT)).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()


def _losses(
    flows: tuple[AutoregressiveFlow, ...], potential: _Potential, rows: _Rows
) -> tuple[Tensor, Tensor]:
    """Negative log-likelihood in the mapped coordinates, and the mean square of d ln f/dt over the rate."""
    a = potential.acceleration(rows)
    u_rate = torch.einsum("nki,ni->nk", rows.u_jacobian, a)
    with forward_ad.dual_level():
        y, u = forward_ad.make_dual(rows.y, rows.y_rate), forward_ad.make_dual(rows.u, u_rate)
        log_density, change = forward_ad.unpack_dual(flows[0].log_prob(y, None) + flows[1].log_prob(u, y))
    change = change + rows.log_det_rate + (rows.u_log_det_slope * a).sum(dim=1)
    penalty = (rows.weight * change**2 / rows.rate_squared).mean()
    return -(rows.weight * log_density).mean(), penalty
