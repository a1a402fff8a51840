"""A fitted conditional density: log_prob, sample, scores; normalised, with the feature map included."""

from __future__ import annotations

import io
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from density.backend import AutoregressiveFlow
from density.errors import DensityError, FeatureError
from density.feature_maps import FeatureMap, check_features
from density.measurement_errors import ErrorFactors, log_blurred, quasi_uniform
from density.training import TrainingHistory

if TYPE_CHECKING:
    from density.flow import ConditionalFlow

__all__ = ["FlowDensity", "as_context"]

_CHUNK = 65536
_REDRAWS = 20


@dataclass(frozen=True, eq=False)
class FlowDensity:
    """Normalised conditional density p(x | m), made by `ConditionalFlow.fit`.

    Args:
        recipe: What it was fitted with.
        feature_map: Map of the features; its Jacobian is part of the density.
        context_map: Map of the context; None for an unconditional density.
        state: Weights of the network by name.
        history: How the training went.
    """

    recipe: ConditionalFlow
    feature_map: FeatureMap
    context_map: FeatureMap | None
    state: Mapping[str, np.ndarray]
    history: TrainingHistory

    @cached_property
    def _network(self) -> AutoregressiveFlow:
        context = 0 if self.context_map is None else self.context_map.width
        network = self.recipe.build(self.feature_map.width, context).to(getattr(torch, self.recipe.dtype))
        network.load_state_dict({name: torch.from_numpy(value.copy()) for name, value in self.state.items()})
        return network.eval().requires_grad_(False)

    def __getstate__(self) -> dict[str, object]:
        return {name: value for name, value in self.__dict__.items() if name != "_network"}

    def log_prob(
        self, x: Float[np.ndarray, "n d"], m: Float[np.ndarray, "n *c"] | None = None, *, device: str = "cpu"
    ) -> Float[np.ndarray, " n"]:
        """ln p(x | m), in one over the product of the features' units.

        Args:
            x: Features, shape (n, d).
            m: Resonant feature or context, shape (n,) or (n, c), as in the fit.
            device: torch device to evaluate on.

        Raises:
            FeatureError: a value is not finite or outside its bounds, or the shapes do not fit the density.
        """
        parts = [self._latent(*chunk, device) for chunk in self._mapped(x, m)]
        base = 0.5 * self.feature_map.width * np.log(2 * np.pi)
        return _join([log_det - 0.5 * (z * z).sum(axis=1) - base for z, log_det in parts], ())

    def log_prob_observed(
        self,
        x: Float[np.ndarray, "n d"],
        m: Float[np.ndarray, "n *c"] | None = None,
        *,
        errors: Float[np.ndarray, "n d *same"],
        draws: int = 256,
        seed: int = 0,
        device: str = "cpu",
    ) -> Float[np.ndarray, " n"]:
        """ln of the density blurred by each row's own measurement errors: Int p(t | m) N(x; t, C) dt.

        Deterministic, and blind to the row order: all rows use the same quasi-random draws.

        Args:
            x: Observed features, shape (n, d).
            m: Context, as in `log_prob`.
            errors: Standard deviations (n, d) or covariances (n, d, d), as in `ConditionalFlow.fit`.
            draws: Draws per row; a structure of width w under an error s is met by about draws w/s of them.
            seed: Of the draws, where more than one feature has errors.
            device: torch device to evaluate on.

        Raises:
            FeatureError: as in `log_prob`, or errors that are not finite, negative or of the wrong shape.
        """
        x = check_features(x, self.feature_map.names)
        self.feature_map.forward(x)
        context = self._map_context(m, len(x))
        factors = ErrorFactors.of(errors, x.shape, self.feature_map.names)
        points = quasi_uniform(draws, len(factors.columns), seed).to(device)[None]
        network = self._network.to(device)
        dtype = getattr(torch, self.recipe.dtype)
        parts = []
        for rows in _chunks(len(x), max(1, 4 * _CHUNK // len(points[0]))):
            seen = None if context is None else torch.from_numpy(context[rows]).to(device, dtype)
            with torch.no_grad():
                log_prob, reached = log_blurred(
                    network, self.feature_map, torch.from_numpy(x[rows]).to(device), seen,
                    torch.from_numpy(factors.factor[rows]).to(device), factors.columns, points,
                )  # fmt: skip
            parts.append(torch.where(reached, log_prob, -torch.inf).double().cpu().numpy())
        return _join(parts, ())

    def to_latent(
        self, x: Float[np.ndarray, "n d"], m: Float[np.ndarray, "n *c"] | None = None, *, device: str = "cpu"
    ) -> Float[np.ndarray, "n d"]:
        """Latent coordinates z, standard normal for rows that follow the density (LaCATHODE, arXiv
        2210.14924).

        Args, Raises: as in `log_prob`.
        """
        return _join(
            [self._latent(*chunk, device)[0] for chunk in self._mapped(x, m)], (self.feature_map.width,)
        )

    def from_latent(
        self, z: Float[np.ndarray, "n d"], m: Float[np.ndarray, "n *c"] | None = None, *, device: str = "cpu"
    ) -> Float[np.ndarray, "n d"]:
        """Features x with `to_latent(x, m)` = z: d passes.

        Args:
            z: Latent coordinates, shape (n, d).
            m: Context, shape (n,) or (n, c).
            device: torch device.

        Raises:
            FeatureError: m does not fit the density.
        """
        return self._from_latent(z, self._map_context(m, len(z)), device)

    def sample(
        self,
        m: Float[np.ndarray, "n *c"] | None = None,
        *,
        seed: int,
        count: int | None = None,
        device: str = "cpu",
    ) -> Float[np.ndarray, "n d"]:
        """One draw of x for each row of the context, or `count` draws from an unconditional density.

        Args:
            m: Context, shape (n,) or (n, c).
            seed: Same seed, same draws.
            count: Number of draws where the density has no context.

        Raises:
            DensityError: neither or both of m and count, or the draws keep falling outside the features'
                domain.
        """
        if (m is None) == (count is None) or (m is None) != (self.context_map is None):
            raise DensityError(
                "give m for a conditional density, count for an unconditional one, and only that"
            )
        context = None if m is None else self._map_context(m, len(m))
        generator = np.random.default_rng(np.random.SeedSequence(seed))
        x = np.full((count if context is None else len(context), self.feature_map.width), np.nan)
        missing = np.arange(len(x))
        for _ in range(_REDRAWS):
            z = generator.standard_normal((len(missing), x.shape[1]))
            x[missing] = self._from_latent(z, None if context is None else context[missing], device)
            missing = missing[~self.feature_map.inside(x[missing])]
            if not len(missing):
                return x
        raise DensityError(
            f"{len(missing)} of {len(x)} draws kept falling outside the domain; train the flow longer"
        )

    def log_prob_tensor(
        self, x: Float[Tensor, "n d"], m: Float[Tensor, "n c"] | None = None
    ) -> Float[Tensor, " n"]:
        """ln p(x | m) as a differentiable function of double-precision tensors; NaN outside the domain."""
        y, log_det = self.feature_map.forward_tensor(x)
        context = None if self.context_map is None else self.context_map.forward_tensor(m)[0]
        dtype = getattr(torch, self.recipe.dtype)
        log_prob = self._network.log_prob(y.to(dtype), None if context is None else context.to(dtype))
        return log_prob.to(x.dtype) + log_det

    def scores(
        self, x: Float[np.ndarray, "n d"], m: Float[np.ndarray, "n *c"] | None = None
    ) -> tuple[Float[np.ndarray, "n d"], Float[np.ndarray, "n c"] | None]:
        """Gradients of ln p(x | m) with respect to x and to the context.

        Args, Raises: as in `log_prob`.
        """
        x = check_features(x, self.feature_map.names)
        self.feature_map.forward(x)
        context = self._context(m, len(x))
        found: list[tuple[Tensor, ...]] = []
        for rows in _chunks(len(x)):
            inputs = [torch.from_numpy(a[rows]).requires_grad_() for a in (x, context) if a is not None]
            found.append(torch.autograd.grad(self.log_prob_tensor(*inputs).sum(), inputs))
        gradients = [torch.cat(parts).numpy() for parts in zip(*found, strict=True)]
        return gradients[0], gradients[1] if context is not None else None

    def in_double(self) -> FlowDensity:
        """The same density, evaluated in double precision: scores are then smooth to its rounding."""
        state = {name: value.astype(np.float64) if value.dtype.kind == "f" else value
                 for name, value in self.state.items()}  # fmt: skip
        return replace(self, recipe=replace(self.recipe, dtype="float64"), state=state)

    def to_bytes(self) -> bytes:
        """The density as an npz archive: arrays and a JSON header, no code."""
        header = {
            "recipe": self.recipe.to_dict(),
            "feature_map": self.feature_map.to_dict(),
            "context_map": None if self.context_map is None else self.context_map.to_dict(),
            "history": asdict(self.history),
        }
        buffer = io.BytesIO()
        np.savez(
            buffer, header=np.array(json.dumps(header)), **{f"state/{k}": v for k, v in self.state.items()}
        )
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> FlowDensity:
        """The density that `to_bytes` wrote; gives the same numbers to the last bit."""
        from density.flow import ConditionalFlow  # the recipe's module imports this one

        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            header = json.loads(str(archive["header"]))
            state = {k.removeprefix("state/"): archive[k] for k in archive.files if k.startswith("state/")}
        history = {k: tuple(v) if isinstance(v, list) else v for k, v in header["history"].items()}
        context_map = header["context_map"]
        return cls(
            ConditionalFlow.from_dict(header["recipe"]),
            FeatureMap.from_dict(header["feature_map"]),
            None if context_map is None else FeatureMap.from_dict(context_map),
            state,
            TrainingHistory(**history),
        )

    def save(self, path: str | Path) -> None:
        """Write the density to a file, at once or not at all."""
        path = Path(path)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(self.to_bytes())
            os.replace(temporary, path)
        except OSError:
            Path(temporary).unlink(missing_ok=True)
            raise

    @classmethod
    def load(cls, path: str | Path) -> FlowDensity:
        """The density that `save` wrote."""
        return cls.from_bytes(Path(path).read_bytes())

    def _context(self, m: np.ndarray | None, n: int) -> np.ndarray | None:
        context = as_context(m, n)
        expected = None if self.context_map is None else self.context_map.names
        if (context is None) != (expected is None):
            raise FeatureError(f"this density has context {expected}; got {'none' if m is None else 'one'}")
        return context

    def _map_context(self, m: np.ndarray | None, n: int) -> np.ndarray | None:
        context = self._context(m, n)
        return None if context is None else self.context_map.forward(context)[0]

    def _mapped(
        self, x: np.ndarray, m: np.ndarray | None
    ) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray | None]]:
        y, log_det = self.feature_map.forward(x)
        context = self._map_context(m, len(y))
        for rows in _chunks(len(y)):
            yield y[rows], log_det[rows], None if context is None else context[rows]

    def _latent(
        self, y: np.ndarray, log_det: np.ndarray, context: np.ndarray | None, device: str
    ) -> tuple[np.ndarray, np.ndarray]:
        with torch.no_grad():
            z, flow_log_det = self._network.to(device).to_latent(*self._tensors(y, context, device))
        return z.double().cpu().numpy(), flow_log_det.double().cpu().numpy() + log_det

    def _from_latent(
        self, z: np.ndarray, context: np.ndarray | None, device: str
    ) -> Float[np.ndarray, "n d"]:
        with torch.no_grad():
            parts = [
                self._network.to(device).from_latent(
                    *self._tensors(z[rows], None if context is None else context[rows], device)
                )
                for rows in _chunks(len(z))
            ]
        return self.feature_map.inverse(_join([p.double().cpu().numpy() for p in parts], z.shape[1:]))

    def _tensors(
        self, y: np.ndarray, context: np.ndarray | None, device: str
    ) -> tuple[Tensor, Tensor | None]:
        dtype = getattr(torch, self.recipe.dtype)
        arrays = (y, context)
        return tuple(None if a is None else torch.from_numpy(a).to(device, dtype) for a in arrays)


def as_context(m: Float[np.ndarray, "n *c"] | None, n: int) -> Float[np.ndarray, "n c"] | None:
    """The context as float64 of shape (n, c).

    Raises:
        FeatureError: it has another number of rows.
    """
    if m is None:
        return None
    context = np.array(m, dtype=np.float64)
    context = context[:, None] if context.ndim == 1 else context
    if context.ndim != 2 or len(context) != n:
        raise FeatureError(f"expected a context of shape ({n},) or ({n}, c); got {np.shape(m)}")
    return context


def _chunks(n: int, size: int = _CHUNK) -> list[slice]:
    return [slice(start, start + size) for start in range(0, n, size)]


def _join(parts: list[np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    return np.concatenate(parts) if parts else np.empty((0, *shape))
