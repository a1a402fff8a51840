"""A learned phase-space density f(x, v) = n(x) p(v | x): values, scores and samples from the same flows."""

from __future__ import annotations

import io
import json
import os
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from density import FlowDensity, child_seed
from dm_map.errors import FlowError
from dm_map.stars import StarSample
from dm_map.volume import Ball

__all__ = ["PhaseSpaceDensity", "write_whole"]

_FORMAT = "dm_map phase-space density 1"
_CHUNK = 1 << 15
_REDRAWS = 50

# The leading axes of positions and velocities are broadcast.
Positions = Float[np.ndarray, "*#batch 3"]
Vectors = Float[np.ndarray, "... 3"]
Numbers = Float[np.ndarray, "..."]


@dataclass(frozen=True, eq=False)
class PhaseSpaceDensity:
    """Normalised phase-space density of tracers in a ball, made by `PhaseSpaceFlow.fit`.

    ln f = ln n(x) + ln p(v | x). The volume map y = x atanh(q)/q of the ball (q: distance from its centre
    over its radius) belongs to n, and also maps the positions that p depends on. Scores are taken in double
    precision.

    Attributes:
        volume: The ball of the stars, outside which f = 0.
        position: The flow n(x), probability per kpc^3.
        velocity: The flow p(v | x), probability per (km/s)^3.
        use_within: Share of the ball's radius within which the scores are to be used: near the edge, where no
            star lies beyond, they are not determined.
    """

    volume: Ball
    position: FlowDensity
    velocity: FlowDensity
    use_within: float = 0.75

    def __post_init__(self) -> None:
        if not 0 < self.use_within < 1:
            raise FlowError(f"use_within is a share of the radius between 0 and 1; got {self.use_within}")

    @property
    def usable(self) -> Ball:
        """The ball in which the scores are to be used."""
        return self.volume.within(self.use_within * self.volume.radius)

    def log_density(self, x: Positions, v: Positions) -> Numbers:
        """ln f(x, v) in 1/(kpc^3 (km/s)^3); -inf outside the volume.

        Args:
            x: Positions, shape (..., 3), kpc.
            v: Velocities, shape (..., 3), km/s; the leading axes of both are broadcast.

        Raises:
            FlowError: a value is not finite, or the shapes do not fit.
        """
        shape, x, v = _flat(x, v)
        inside = self.volume.contains(x)
        log_density = np.full(len(x), -np.inf)
        parts = [
            self.position.log_prob(x[rows]) + self.velocity.log_prob(v[rows], x[rows])
            for rows in _chunks(np.flatnonzero(inside))
        ]
        log_density[inside] = np.concatenate(parts) if parts else 0.0
        return log_density.reshape(shape)

    def scores(self, x: Positions, v: Positions) -> tuple[Vectors, Vectors]:
        """(grad_x ln f, grad_v ln f) in 1/kpc and 1/(km/s), by one batched reverse pass per chunk of rows.

        Args:
            x: Positions, shape (..., 3), kpc.
            v: Velocities, shape (..., 3), km/s; the leading axes of both are broadcast.

        Raises:
            FlowError: a value is not finite, or the shapes do not fit.
            VolumeError: a position lies outside the volume on which the flows were trained.
        """
        shape, x, v = _flat(x, v)
        self.volume.require(x)
        s_x, s_v = np.empty_like(x), np.empty_like(v)
        for rows in _chunks(np.arange(len(x))):
            at, velocity = (torch.from_numpy(values[rows]).requires_grad_() for values in (x, v))
            total = self.log_density_tensor(at, velocity).sum()
            s_x[rows], s_v[rows] = (g.numpy() for g in torch.autograd.grad(total, (at, velocity)))
        return s_x.reshape(*shape, 3), s_v.reshape(*shape, 3)

    def log_density_tensor(self, x: Float[Tensor, "n 3"], v: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
        """ln f as a differentiable function of double-precision tensors; NaN outside the volume."""
        return self._position.log_prob_tensor(x) + self._velocity.log_prob_tensor(v, x)

    def sample(self, n: int, seed: int) -> StarSample:
        """n stars drawn from f, in the volume.

        Raises:
            FlowError: n is negative, or the draws keep falling outside the volume.
        """
        x = self.sample_positions(n, child_seed(seed, "positions"))
        v = self.sample_velocities(x, 1, child_seed(seed, "velocities"))[:, 0]
        return StarSample(x, v, self.volume)

    def sample_positions(self, n: int, seed: int, within: Ball | None = None) -> Float[np.ndarray, "n 3"]:
        """n positions drawn from n(x), those inside a smaller ball only where one is given.

        Raises:
            FlowError: n is negative, or almost no draw falls inside.
        """
        if n < 0:
            raise FlowError(f"the number of draws cannot be negative; got {n}")
        ball = self.volume if within is None else within
        found: list[np.ndarray] = []
        wanted = n
        for attempt in range(_REDRAWS):
            # Twice what is missing: a smaller ball holds only some of the draws.
            draws = self.position.sample(seed=child_seed(seed, "draw", attempt), count=2 * wanted + 16)
            kept = draws[ball.contains(draws)][:wanted]
            found.append(kept)
            wanted -= len(kept)
            if wanted == 0:
                return np.concatenate(found)
        raise FlowError(
            f"{wanted} of {n} positions are still missing after {_REDRAWS} rounds of draws from the ball of "
            f"radius {ball.radius:g} around {ball.centre}; the density has almost no stars there"
        )

    def sample_velocities(
        self, x: Float[np.ndarray, "n 3"], k: int, seed: int, truncation: float | None = None
    ) -> Float[np.ndarray, "n k 3"]:
        """k velocities at each position, drawn from p(v | x), km/s.

        Args:
            x: Positions, kpc.
            k: Velocities per position.
            seed: Same seed, same draws.
            truncation: Radius in the flow's latent space beyond which none is drawn, in standard deviations;
                None: all of p.

        Raises:
            VolumeError: a position lies outside the volume.
            FlowError: k is not positive, or the truncation is not.
        """
        if k < 1 or (truncation is not None and not truncation > 0):
            raise FlowError(f"expected k >= 1 and a positive truncation; got {k} and {truncation}")
        self.volume.require(x)
        rng = np.random.default_rng(np.random.SeedSequence(seed))
        z = _normal_within(rng, len(x) * k, truncation)
        return self.velocity.from_latent(z, np.repeat(x, k, axis=0)).reshape(len(x), k, 3)

    def save(self, path: str | Path) -> None:
        """Write the density to one file of arrays and plain text, at once or not at all."""
        header = {"format": _FORMAT, "volume": asdict(self.volume), "use_within": self.use_within}
        parts = {
            name: np.frombuffer(flow.to_bytes(), dtype=np.uint8)
            for name, flow in (("position", self.position), ("velocity", self.velocity))
        }
        buffer = io.BytesIO()
        np.savez(buffer, header=np.array(json.dumps(header)), **parts)
        write_whole(Path(path), buffer.getvalue())

    @classmethod
    def load(cls, path: str | Path) -> PhaseSpaceDensity:
        """The density that `save` wrote; gives the same numbers to the last bit.

        Raises:
            FlowError: there is no such file, or it holds something else.
        """
        try:
            with np.load(path, allow_pickle=False) as archive:
                header = json.loads(str(archive["header"]))
                flows = [FlowDensity.from_bytes(archive[part].tobytes()) for part in ("position", "velocity")]
            if header["format"] != _FORMAT:
                raise FlowError(f"{path}: expected the format {_FORMAT!r}; got {header['format']!r}")
            volume = Ball(tuple(header["volume"]["centre"]), header["volume"]["radius"])
            return cls(volume, *flows, use_within=header["use_within"])
        except (OSError, EOFError, KeyError, TypeError, IndexError, ValueError, zipfile.BadZipFile) as error:
            raise FlowError(
                f"{path} is not a phase-space density ({error}); fit it again, or name another file"
            ) from error

    @cached_property
    def _position(self) -> FlowDensity:
        return self.position.in_double()

    @cached_property
    def _velocity(self) -> FlowDensity:
        return self.velocity.in_double()

    def __getstate__(self) -> dict[str, object]:
        return {
            name: value for name, value in self.__dict__.items() if name not in ("_position", "_velocity")
        }


def write_whole(path: Path, content: bytes) -> None:
    """Write a file at once or not at all: a temporary file beside it, then a rename."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(temporary, path)
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        raise


def _flat(x: np.ndarray, v: np.ndarray) -> tuple[tuple[int, ...], np.ndarray, np.ndarray]:
    """The common leading shape, and both as contiguous rows of float64."""
    shapes = np.shape(x), np.shape(v)
    if any(not shape or shape[-1] != 3 for shape in shapes):
        raise FlowError(f"positions and velocities have shape (..., 3); got {shapes[0]} and {shapes[1]}")
    try:
        shape = np.broadcast_shapes(*shapes)
    except ValueError as error:
        raise FlowError(f"positions of shape {shapes[0]} and velocities of {shapes[1]} do not fit") from error
    for name, values in (("positions", x), ("velocities", v)):
        if not np.isfinite(values).all():
            raise FlowError(f"{name} must be finite; {int((~np.isfinite(values)).sum())} numbers are not")
    flat = (np.array(np.broadcast_to(part, shape), dtype=np.float64).reshape(-1, 3) for part in (x, v))
    return shape[:-1], *flat


def _chunks(index: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(index), _CHUNK):
        yield index[start : start + _CHUNK]


def _normal_within(rng: np.random.Generator, n: int, radius: float | None) -> Float[np.ndarray, "n 3"]:
    """Three-dimensional standard normal numbers, all or those inside a radius."""
    z = rng.standard_normal((n, 3))
    if radius is None:
        return z
    outside = np.arange(n)
    while len(outside := outside[np.linalg.norm(z[outside], axis=1) >= radius]):
        z[outside] = rng.standard_normal((len(outside), 3))
    return z
