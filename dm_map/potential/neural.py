"""A neural potential: a smooth network that makes learned scores stationary, without negative density.

Minimises the residual of the stationary Boltzmann equation plus a penalty on negative density, as Deep
Potential (Green, Ting & Kamdar 2023, arXiv:2205.02244) does, with the frame's pattern speed given.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from dm_map.errors import PotentialError
from dm_map.gravity import GALACTIC, GravityUnits
from dm_map.potential.from_scores import Scores, tail_weights
from dm_map.potential.jets import Jet, SmoothPerceptron
from dm_map.volume import Ball

if TYPE_CHECKING:
    from dm_map.potential.gala_terms import FieldPotential

__all__ = ["NeuralFit", "NeuralPotential"]

_FORMAT = "dm_map neural potential 1"
_CHUNK = 8192


@dataclass(frozen=True)
class NeuralFit:
    """Recipe of a neural potential.

    Attributes:
        widths: Neurons of each hidden layer.
        activation: "tanh", "silu" or "gelu".
        steps: Steps of Adam; the learning rate falls to zero along a cosine.
        batch: Points of phase space in a step.
        learning_rate: At the start.
        density_penalty: Weight of the mean of min(rho, 0)^2, in units of the typical density
            <v^2> / (4 pi G L^2), beside the residual relative to its part without a.
        density_points: Positions, drawn afresh from the volume, at which a step looks for negative density.
        truncation: Of the weights of velocities, see `tail_weights`.
        members: Networks, each from its own seed, each trained on the scores of one flow in turn.

    Raises:
        PotentialError: a number that is not positive, or an activation that is not smooth.
    """

    widths: tuple[int, ...] = (64, 64, 64)
    activation: str = "silu"
    steps: int = 2000
    batch: int = 512
    learning_rate: float = 1e-2
    density_penalty: float = 1.0
    density_points: int = 128
    truncation: float = 3.0
    members: int = 1

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "learning_rate", "density_points", "truncation", "members"):
            if not getattr(self, name) > 0:
                raise PotentialError(f"{name} is positive; got {getattr(self, name)}")
        if not self.density_penalty >= 0:
            raise PotentialError(f"density_penalty cannot be negative; got {self.density_penalty}")
        SmoothPerceptron(self.widths, self.activation)

    def fit(
        self,
        scores: Scores,
        volume: Ball,
        *,
        seed: int,
        pattern_speed: float = 0.0,
        units: GravityUnits = GALACTIC,
        weights: Float[np.ndarray, " k"] | None = None,
        progress: Callable[[int, int, float], None] | None = None,
    ) -> NeuralPotential:
        """Train the members.

        Args:
            scores: x, v of shape (k, 3); s_x, s_v of shape (m, k, 3), of one or more flows.
            volume: The ball that holds the positions.
            seed: Of initial weights, batches and positions of the penalty.
            pattern_speed: Angular speed of the frame about z, velocity unit over length unit.
            units: Of the result.
            weights: Of the points; `tail_weights` of the velocities where None.
            progress: Called with member, step and loss now and then.

        Raises:
            PotentialError: shapes disagree or values are not finite.
            VolumeError: a position lies outside the volume.
        """
        volume.require(scores.x)
        k = len(scores.x)
        if scores.s_x.ndim != 3 or scores.s_x.shape != scores.s_v.shape or scores.s_x.shape[1:] != (k, 3):
            raise PotentialError(
                f"s_x and s_v have one shape (m, {k}, 3); got {scores.s_x.shape} and {scores.s_v.shape}"
            )
        w = tail_weights(scores.v, self.truncation) if weights is None else weights
        speed2 = float(np.average(np.sum(scores.v**2, axis=-1), weights=w))
        length = float(np.sqrt(np.mean(volume.fraction_of_radius(scores.x) ** 2))) * volume.radius
        networks = []
        for member in range(self.members):
            flow = member % len(scores.s_x)
            terms = _terms(scores, flow, w, speed2, length, pattern_speed, volume)
            rng = np.random.default_rng([seed, member])
            networks.append(
                _train(
                    self,
                    terms,
                    rng,
                    volume.radius / length,
                    lambda i, loss, m=member: progress and progress(m, i, loss),
                )
            )
        return NeuralPotential(tuple(networks), self, volume, length, speed2, pattern_speed, units)


@dataclass(frozen=True, eq=False)
class NeuralPotential:
    """Phi = s N((x - centre) / L), the mean over its members; all derivatives are exact, in float64.

    Attributes:
        networks: The trained members.
        recipe: How they were trained.
        volume: Where: outside it the network extrapolates, and positions are refused.
        length: L, root mean square distance of the training positions from the centre.
        scale: s, mean squared speed of the training points, velocity unit squared.
        pattern_speed: Angular speed of the frame in which it is stationary.
        units: Of positions, velocities and mass density.
    """

    networks: tuple[SmoothPerceptron, ...]
    recipe: NeuralFit
    volume: Ball
    length: float
    scale: float
    pattern_speed: float
    units: GravityUnits

    def potential(self, x: Float[np.ndarray, "*batch 3"]) -> Float[np.ndarray, "*batch"]:
        """Phi up to a constant, velocity unit squared."""
        return self.member_potentials(x).mean(axis=0)

    def acceleration(self, x: Float[np.ndarray, "*batch 3"]) -> Float[np.ndarray, "*batch 3"]:
        """-grad Phi.

        Raises:
            VolumeError: a position lies outside the volume.
        """
        return self.member_accelerations(x).mean(axis=0)

    def density(self, x: Float[np.ndarray, "*batch 3"]) -> Float[np.ndarray, "*batch"]:
        """Mass density, from the Laplacian."""
        return self.member_densities(x).mean(axis=0)

    def member_potentials(self, x: Float[np.ndarray, "*batch 3"]) -> Float[np.ndarray, "m *batch"]:
        """Phi of each member."""
        return self.scale * self._evaluate(x, lambda jet: jet.value)

    def member_accelerations(self, x: Float[np.ndarray, "*batch 3"]) -> Float[np.ndarray, "m *batch 3"]:
        """Acceleration of each member."""
        return -self.scale / self.length * self._evaluate(x, lambda jet: jet.gradient)

    def member_densities(self, x: Float[np.ndarray, "*batch 3"]) -> Float[np.ndarray, "m *batch"]:
        """Mass density of each member."""
        factor = -self.units.rho_per_divergence * self.scale / self.length**2
        return factor * self._evaluate(x, lambda jet: jet.laplacian)

    def to_gala(self) -> FieldPotential:
        """A gala potential for its Python integrators; orbits that leave the volume are refused.

        Raises:
            PotentialError: the units are not Galactic.
        """
        if self.units != GALACTIC:
            raise PotentialError("only a potential in kpc, km/s and Msun/pc^3 can be handed to gala")
        from dm_map.potential.gala_terms import FieldPotential

        return FieldPotential.of(self)

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write it to a file that appears whole or not at all.

        Raises:
            PotentialError: the file exists and `overwrite` is not set.
        """
        path = Path(path)
        if path.exists() and not overwrite:
            raise PotentialError(f"{path} exists; choose another name or ask to overwrite it")
        content = {
            "format": _FORMAT,
            "recipe": asdict(self.recipe),
            "volume": asdict(self.volume),
            "length": self.length,
            "scale": self.scale,
            "pattern_speed": self.pattern_speed,
            "units": asdict(self.units),
            "networks": [network.state_dict() for network in self.networks],
        }
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        os.close(handle)
        try:
            torch.save(content, temporary)
            os.replace(temporary, path)
        finally:
            Path(temporary).unlink(missing_ok=True)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> NeuralPotential:
        """Read what `save` wrote; nothing in the file is executed.

        Raises:
            PotentialError: the file is not such a potential.
        """
        content = torch.load(path, weights_only=True)
        if not isinstance(content, dict) or content.get("format") != _FORMAT:
            raise PotentialError(f"{path} is not a neural potential of format {_FORMAT!r}")
        recipe = NeuralFit(**{**content["recipe"], "widths": tuple(content["recipe"]["widths"])})
        volume = Ball(tuple(content["volume"]["centre"]), content["volume"]["radius"])
        networks = []
        for state in content["networks"]:
            network = SmoothPerceptron(recipe.widths, recipe.activation).double()
            network.load_state_dict(state)
            networks.append(network)
        units = GravityUnits(**content["units"])
        numbers = (content[name] for name in ("length", "scale", "pattern_speed"))
        return cls(tuple(networks), recipe, volume, *numbers, units)

    def _evaluate(self, x: np.ndarray, part: Callable[[Jet], Tensor]) -> np.ndarray:
        x = np.asarray(x, dtype=np.float64)
        flat = x.reshape(-1, 3)
        self.volume.require(flat)
        y = torch.from_numpy((flat - np.asarray(self.volume.centre)) / self.length)
        with torch.no_grad():
            rows = [torch.cat([part(net(piece)) for piece in y.split(_CHUNK)]) for net in self.networks]
        out = torch.stack(rows).numpy()
        return out.reshape(len(rows), *x.shape[:-1], *out.shape[2:])


@dataclass(frozen=True, eq=False)
class _Terms:
    """The equation per point as pull . grad N = streaming, relative to the typical streaming."""

    y: Tensor
    pull: Tensor
    streaming: Tensor


def _terms(
    scores: Scores, flow: int, w: np.ndarray, scale: float, length: float, pattern_speed: float, volume: Ball
) -> _Terms:
    s_x, s_v = scores.s_x[flow], scores.s_v[flow]
    turning = np.array([[0.0, -pattern_speed, 0.0], [pattern_speed, 0.0, 0.0], [0.0, 0.0, 0.0]])
    streaming = np.sum((scores.v - scores.x @ turning.T) * s_x, axis=-1)
    streaming -= np.sum((scores.v @ turning.T) * s_v, axis=-1)
    root = np.sqrt(w / np.mean(w))
    unit = np.sqrt(np.mean((root * streaming) ** 2))
    if not (np.isfinite(unit) and unit > 0 and np.all(np.isfinite(s_v))):
        raise PotentialError("the scores hold values that are not finite, or all of them vanish")
    arrays = (
        (scores.x - np.asarray(volume.centre)) / length,
        scale / length * (root / unit)[:, None] * s_v,
        root / unit * streaming,
    )
    return _Terms(*(torch.from_numpy(array.astype(np.float32)) for array in arrays))


def _train(
    recipe: NeuralFit,
    terms: _Terms,
    rng: np.random.Generator,
    radius: float,
    report: Callable[[int, float], object],
) -> SmoothPerceptron:
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    network = _initial(recipe, generator)
    optimiser = torch.optim.Adam(network.parameters(), lr=recipe.learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, recipe.steps)
    everywhere = Ball((0.0, 0.0, 0.0), radius)
    for step in range(recipe.steps):
        rows = torch.randint(len(terms.y), (recipe.batch,), generator=generator)
        looked_at = everywhere.uniform(recipe.density_points, int(rng.integers(2**62)))
        at = torch.cat([terms.y[rows], torch.from_numpy(looked_at.astype(np.float32))])
        jet = network(at)
        left = terms.streaming[rows] - (terms.pull[rows] * jet.gradient[: recipe.batch]).sum(dim=-1)
        # The Laplacian of N is the density in units of s / (4 pi G L^2).
        loss = (left**2).mean() + recipe.density_penalty * (jet.laplacian.clamp(max=0.0) ** 2).mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % 100 == 0:
            report(step, float(loss.detach()))
    return network.double().requires_grad_(False)


def _initial(recipe: NeuralFit, generator: torch.Generator) -> SmoothPerceptron:
    """A network whose weights depend on the generator alone, not on torch's global state."""
    network = SmoothPerceptron(recipe.widths, recipe.activation)
    with torch.no_grad():
        for layer in network.layers:
            bound = layer.in_features**-0.5
            layer.weight.uniform_(-bound * 3**0.5, bound * 3**0.5, generator=generator)
            layer.bias.uniform_(-bound, bound, generator=generator)
    return network
