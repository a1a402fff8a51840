"""Densities seen through measurement errors: what is observed is the intrinsic density, blurred row by row.

A row is observed as x_i = t_i + e_i with e_i ~ N(0, C_i), so its likelihood under an intrinsic density p is

    L_i = Int p(t | m_i) N(x_i; t, C_i) dt = E[ p(x_i - e | m_i) ],  e ~ N(0, C_i).

The mean over K draws is an unbiased estimate of L_i; its logarithm is too low by about var / (2 K L_i^2), a
bound that tightens with K (Burda et al. 2016, arXiv 1509.00519, eq. 8 and 9, with the error distribution as
proposal). The draws are a quasi-random set, shifted at random for each row and step, which in one dimension
leaves far less variance than independent draws. A draw beyond a declared bound has density zero.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from math import log

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from density.backend import AutoregressiveFlow
from density.errors import FeatureError, TrainingError
from density.feature_maps import FeatureMap

__all__ = ["BlurredRows", "ErrorFactors", "log_blurred", "quasi_uniform"]

_NOTHING = -1e4
"""ln p of a draw outside the domain: finite, so that a row with no draw inside keeps a gradient, of zero."""

_EVALUATION_DRAWS = 64
_EVALUATIONS = 1 << 18


@dataclass(frozen=True, eq=False)
class ErrorFactors:
    """Square roots of the error covariances, of those features that have errors at all.

    Args:
        factor: Standard deviations, shape (n, r), or F with C = F F^T, shape (n, r, r).
        columns: The r features that have errors.
    """

    factor: Float[np.ndarray, "n r *same"]
    columns: tuple[int, ...]

    @classmethod
    def of(
        cls, errors: Float[np.ndarray, "n d *same"], shape: tuple[int, int], names: tuple[str, ...]
    ) -> ErrorFactors:
        """Checked factors.

        Args:
            errors: Standard deviations (n, d) or covariances (n, d, d), in the features' units; zero is a
                feature known exactly.
            shape: (n, d) of the features.
            names: Names of the features, for messages.

        Raises:
            FeatureError: wrong shape, not finite, negative, not symmetric, or not positive semi-definite.
        """
        errors = np.array(errors, dtype=np.float64)
        n, d = shape
        if errors.shape not in ((n, d), (n, d, d)):
            raise FeatureError(
                f"expected errors of shape ({n}, {d}) (standard deviations) or ({n}, {d}, {d})"
                f" (covariances); got {errors.shape}"
            )
        spread = errors if errors.ndim == 2 else np.diagonal(errors, axis1=1, axis2=2)
        for row, column in np.argwhere(~(np.isfinite(spread) & (spread >= 0)))[:1]:
            raise FeatureError(
                f"{names[column]}: expected finite errors >= 0; got {spread[row, column]} in row {row};"
                " give 0 where a feature is known exactly, and cut rows without an error"
            )
        columns = tuple(int(k) for k in np.flatnonzero((spread > 0).any(axis=0)))
        if errors.ndim == 2:
            return cls(np.ascontiguousarray(errors[:, columns]), columns)
        return cls(_square_roots(errors)[:, columns][:, :, columns], columns)

    def take(self, index: Int[np.ndarray, " k"]) -> ErrorFactors:
        """The rows of `index`."""
        return replace(self, factor=self.factor[index])


def _square_roots(covariances: Float[np.ndarray, "n d d"]) -> Float[np.ndarray, "n d d"]:
    """The symmetric square root of each covariance; unlike Cholesky's factor it exists for singular ones."""
    scale = np.sqrt(np.diagonal(covariances, axis1=1, axis2=2))
    scale = np.where(scale > 0, scale, 1.0)
    unit = covariances / (scale[:, :, None] * scale[:, None, :])
    with np.errstate(invalid="ignore"):
        skew = ~(np.abs(unit - unit.transpose(0, 2, 1)) <= 1e-6).all(axis=(1, 2))
    if skew.any():
        row = int(np.argmax(skew))
        raise FeatureError(
            f"expected finite symmetric error covariances; that of row {row} is {covariances[row].tolist()}"
        )
    values, vectors = np.linalg.eigh(covariances)
    bad = values[:, 0] < -1e-6 * np.maximum(values[:, -1], 0)
    if bad.any():
        row = int(np.argmax(bad))
        raise FeatureError(
            f"expected positive semi-definite error covariances; that of row {row} has the eigenvalue"
            f" {values[row, 0]}"
        )
    return np.einsum("nij,nj,nkj->nik", vectors, np.sqrt(values.clip(min=0)), vectors)


@lru_cache(maxsize=32)
def quasi_uniform(draws: int, dimensions: int, seed: int) -> Float[Tensor, "k r"]:
    """Evenly spread points of the unit cube: midpoints in one dimension, else scrambled Sobol points.

    Args:
        draws: Number of points K; powers of two are spread best.
        dimensions: Dimensions r.
        seed: Seed of the scrambling.

    Raises:
        TrainingError: fewer than one draw.
    """
    if draws < 1:
        raise TrainingError(f"expected draws >= 1; got {draws}")
    if dimensions == 1:
        return ((torch.arange(draws, dtype=torch.float64) + 0.5) / draws)[:, None]
    if dimensions == 0:
        return torch.empty((draws, 0), dtype=torch.float64)
    engine = torch.quasirandom.SobolEngine(dimensions, scramble=True, seed=seed)
    return engine.draw(draws, dtype=torch.float64)


@dataclass(frozen=True, eq=False)
class BlurredRows:
    """Observed rows with their errors, for training an intrinsic density.

    Args:
        x: Observed features, not mapped, double precision.
        context: Mapped context.
        weights: Weights of the rows.
        factor: Square roots of the error covariances, as in `ErrorFactors`.
        columns: The features that have errors.
        feature_map: Map of the features.
        draws: Draws K per row and step.
        generator: Source of the random shifts; on the device of x.
        precision: Number type of the model.
    """

    x: Float[Tensor, "n d"]
    context: Float[Tensor, "n c"] | None
    weights: Float[Tensor, " n"] | None
    factor: Float[Tensor, "n r *same"]
    columns: tuple[int, ...]
    feature_map: FeatureMap
    draws: int
    generator: torch.Generator
    precision: torch.dtype

    def __len__(self) -> int:
        return len(self.x)

    @property
    def device(self) -> torch.device:
        """Where the rows are."""
        return self.x.device

    @property
    def chunk(self) -> int:
        """Rows that are evaluated at once."""
        return max(1, _EVALUATIONS // max(self.draws, _EVALUATION_DRAWS))

    def take(self, index: Int[Tensor, " k"]) -> BlurredRows:
        """The rows of `index`."""
        context = None if self.context is None else self.context.index_select(0, index)
        weights = None if self.weights is None else self.weights.index_select(0, index)
        return replace(
            self,
            x=self.x.index_select(0, index),
            context=context,
            weights=weights,
            factor=self.factor.index_select(0, index),
        )

    def log_prob(self, model: AutoregressiveFlow, *, training: bool) -> Float[Tensor, " n"]:
        """ln L_i for each row, in mapped coordinates: fresh draws in training, many fixed ones otherwise."""
        if training:
            base = quasi_uniform(self.draws, len(self.columns), seed=0).to(self.device)
            shift = torch.rand(
                (len(self), 1, len(self.columns)),
                generator=self.generator,
                dtype=torch.float64,
                device=self.device,
            )
            points = (base + shift) % 1.0
        else:
            count = max(self.draws, _EVALUATION_DRAWS)
            points = quasi_uniform(count, len(self.columns), seed=1).to(self.device)[None]
        blurred, _ = log_blurred(
            model, self.feature_map, self.x, self.context, self.factor, self.columns, points
        )
        # In the units of the mapped coordinates at the observed place, as losses without errors are.
        return blurred - self.feature_map.forward_tensor(self.x)[1].to(self.precision)


def log_blurred(
    model: AutoregressiveFlow,
    feature_map: FeatureMap,
    x: Float[Tensor, "n d"],
    context: Float[Tensor, "n c"] | None,
    factor: Float[Tensor, "n r *same"],
    columns: tuple[int, ...],
    points: Float[Tensor, "s k r"],
) -> tuple[Float[Tensor, " n"], Bool[Tensor, " n"]]:
    """ln of the mean over the draws of p(x_i - e | m_i), and which rows had a draw inside the domain.

    Args:
        model: The flow, in mapped coordinates.
        feature_map: Map of the features.
        x: Observed features inside the domain, double precision.
        context: Mapped context, in the model's precision.
        factor: Square roots of the error covariances, shape (n, r) or (n, r, r).
        columns: The features that have errors.
        points: Points of the unit cube, one set for all rows (s = 1) or one for each.
    """
    n, draws = len(x), points.shape[1]
    normal = torch.special.ndtri(points.clamp(1e-12, 1 - 1e-12))
    if factor.ndim == 2:
        errors = normal * factor[:, None, :]
    else:
        errors = torch.einsum("nkr,nsr->nks", normal.expand(n, -1, -1), factor)
    observed = x[:, None, :].expand(-1, draws, -1)
    true = observed.clone()
    true[:, :, list(columns)] -= errors
    inside = feature_map.inside_tensor(true.flatten(0, 1)).unflatten(0, (n, draws))
    # A place inside stands in for draws outside, or their gradients turn the sum to NaN.
    true = torch.where(inside[:, :, None], true, observed)
    y, log_det = feature_map.forward_tensor(true.flatten(0, 1))
    dtype = next(model.parameters()).dtype
    repeated = None if context is None else context.repeat_interleave(draws, dim=0)
    log_prob = (model.log_prob(y.to(dtype), repeated) + log_det.to(dtype)).unflatten(0, (n, draws))
    log_prob = torch.where(inside, log_prob, _NOTHING)
    return torch.logsumexp(log_prob, dim=1) - log(draws), inside.any(dim=1)
