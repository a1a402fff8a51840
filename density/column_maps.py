"""Smooth invertible maps of one column, or of a few jointly, each with its log-determinant.

Every map is written once, for torch tensors in double precision, so that values, log-determinants and the
gradients that a score needs come from the same lines.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import log
from typing import ClassVar, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from density.errors import FeatureError
from density.quantile_map import Quantile

__all__ = [
    "Affine",
    "Asinh",
    "Ball",
    "ColumnMap",
    "Edge",
    "LogitBox",
    "Quantile",
    "column_map_from_dict",
    "column_map_to_dict",
]


@runtime_checkable
class ColumnMap(Protocol):
    """Invertible map of `width` columns, from their domain to all of R^width."""

    kind: ClassVar[str]

    @property
    def width(self) -> int:
        """Number of columns the map takes together."""

    def forward(self, x: Float[Tensor, "n k"]) -> tuple[Float[Tensor, "n k"], Float[Tensor, " n"]]:
        """y(x) and ln|det dy/dx|."""

    def inverse(self, y: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
        """x(y)."""

    def inside(self, x: Float[Tensor, "n k"]) -> Bool[Tensor, " n"]:
        """Which rows lie in the open domain of the map."""


@dataclass(frozen=True)
class Affine:
    """y = (x - centre) / scale, for an unbounded feature with light tails."""

    centre: float
    scale: float
    kind: ClassVar[str] = "affine"
    width: ClassVar[int] = 1

    def forward(self, x: Float[Tensor, "n 1"]) -> tuple[Float[Tensor, "n 1"], Float[Tensor, " n"]]:
        y = (x - self.centre) / self.scale
        return y, torch.full_like(x[:, 0], -log(self.scale))

    def inverse(self, y: Float[Tensor, "n 1"]) -> Float[Tensor, "n 1"]:
        return self.centre + self.scale * y

    def inside(self, x: Float[Tensor, "n 1"]) -> Bool[Tensor, " n"]:
        return torch.isfinite(x[:, 0])


@dataclass(frozen=True)
class Asinh:
    """y = asinh((x - centre) / scale): linear in the core, logarithmic in heavy tails, smooth throughout."""

    centre: float
    scale: float
    kind: ClassVar[str] = "asinh"
    width: ClassVar[int] = 1

    def forward(self, x: Float[Tensor, "n 1"]) -> tuple[Float[Tensor, "n 1"], Float[Tensor, " n"]]:
        u = (x - self.centre) / self.scale
        return torch.asinh(u), (-0.5 * torch.log1p(u * u) - log(self.scale))[:, 0]

    def inverse(self, y: Float[Tensor, "n 1"]) -> Float[Tensor, "n 1"]:
        return self.centre + self.scale * torch.sinh(y)

    def inside(self, x: Float[Tensor, "n 1"]) -> Bool[Tensor, " n"]:
        return torch.isfinite(x[:, 0])


@dataclass(frozen=True)
class LogitBox:
    """y = ln((x - low) / (high - x)): an interval with hard edges onto the whole line.

    dy/dx = 1/(x - low) + 1/(high - x), written as a product to keep both edges exact.
    """

    low: float
    high: float
    kind: ClassVar[str] = "logit_box"
    width: ClassVar[int] = 1

    def forward(self, x: Float[Tensor, "n 1"]) -> tuple[Float[Tensor, "n 1"], Float[Tensor, " n"]]:
        below, above = torch.log(x - self.low), torch.log(self.high - x)
        return below - above, (log(self.high - self.low) - below - above)[:, 0]

    def inverse(self, y: Float[Tensor, "n 1"]) -> Float[Tensor, "n 1"]:
        return self.low + (self.high - self.low) * torch.sigmoid(y)

    def inside(self, x: Float[Tensor, "n 1"]) -> Bool[Tensor, " n"]:
        return ((x > self.low) & (x < self.high))[:, 0]


@dataclass(frozen=True)
class Edge:
    """y = ln(exp(u) - 1), u = side (x - bound) / scale > 0: logarithmic at one hard edge, linear far from it.

    The inverse is the softplus function. `side` is +1 where the bound is the lower one, -1 where it is the
    upper one, as for a magnitude limit. dy/du = 1 / (1 - exp(-u)).
    """

    bound: float
    scale: float
    side: int
    kind: ClassVar[str] = "edge"
    width: ClassVar[int] = 1

    def forward(self, x: Float[Tensor, "n 1"]) -> tuple[Float[Tensor, "n 1"], Float[Tensor, " n"]]:
        u = self.side * (x - self.bound) / self.scale
        shrink = torch.log(-torch.expm1(-u))
        # The sign of `side` keeps large x at large y, so that neither order nor correlations are mirrored.
        return self.side * (u + shrink), (-shrink - log(self.scale))[:, 0]

    def inverse(self, y: Float[Tensor, "n 1"]) -> Float[Tensor, "n 1"]:
        return self.bound + self.side * self.scale * F.softplus(self.side * y, threshold=50.0)

    def inside(self, x: Float[Tensor, "n 1"]) -> Bool[Tensor, " n"]:
        return (self.side * (x - self.bound) > 0)[:, 0] & torch.isfinite(x[:, 0])


@dataclass(frozen=True)
class Ball:
    """u = q atanh(|q|) / |q|, q = (x - centre) / radius: an open ball in k dimensions onto R^k.

    ln|det du/dx| = -ln(1 - q^2) + (k - 1) ln(atanh(q)/q) - k ln(radius), a power series in q^2 near the
    centre, so that the map is smooth there too. Without a core y = u; with one y = u asinh(|t|) / |t|,
    t = u radius / core, linear within the core and logarithmic outside, for densities with heavy tails.
    """

    centre: tuple[float, ...]
    radius: float
    core: float | None = None
    kind: ClassVar[str] = "ball"

    @property
    def width(self) -> int:
        """Dimensions of the ball."""
        return len(self.centre)

    def forward(self, x: Float[Tensor, "n k"]) -> tuple[Float[Tensor, "n k"], Float[Tensor, " n"]]:
        q = (x - x.new_tensor(self.centre)) / self.radius
        q2 = (q * q).sum(dim=1)
        stretch = _atanh_ratio(q2)
        log_det = -torch.log1p(-q2) + (self.width - 1) * torch.log(stretch) - self.width * log(self.radius)
        u = q * stretch[:, None]
        if self.core is None:
            return u, log_det
        t = u * (self.radius / self.core)
        t2 = (t * t).sum(dim=1)
        pull = _asinh_ratio(t2)
        log_det = log_det - 0.5 * torch.log1p(t2) + (self.width - 1) * torch.log(pull)
        return u * pull[:, None], log_det

    def inverse(self, y: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
        if self.core is not None:
            s = y * (self.radius / self.core)
            y = y * _sinh_ratio((s * s).sum(dim=1))[:, None]
        shrink = _tanh_ratio((y * y).sum(dim=1))
        return y.new_tensor(self.centre) + self.radius * y * shrink[:, None]

    def inside(self, x: Float[Tensor, "n k"]) -> Bool[Tensor, " n"]:
        q = (x - x.new_tensor(self.centre)) / self.radius
        # The root, because just below 1 it rounds to 1, where atanh is infinite.
        return torch.sqrt((q * q).sum(dim=1)) < 1.0


def _atanh_ratio(q2: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """atanh(q)/q as a function of q^2, smooth at 0; the first term left out of the series is below 1e-16."""
    series = 1 + q2 * (1 / 3 + q2 * (1 / 5 + q2 * (1 / 7 + q2 * (1 / 9 + q2 / 11))))
    near = q2 < 2e-3
    # The branch not taken must stay finite, or its gradient turns the whole result to NaN.
    q = torch.sqrt(torch.where(near, torch.full_like(q2, 0.25), q2))
    return torch.where(near, series, torch.atanh(q) / q)


def _tanh_ratio(r2: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """tanh(r)/r as a function of r^2, smooth at 0."""
    series = 1 + r2 * (-1 / 3 + r2 * (2 / 15 + r2 * (-17 / 315 + r2 * (62 / 2835 - r2 * 1382 / 155925))))
    near = r2 < 2e-3
    r = torch.sqrt(torch.where(near, torch.ones_like(r2), r2))
    return torch.where(near, series, torch.tanh(r) / r)


def _asinh_ratio(t2: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """asinh(t)/t as a function of t^2, smooth at 0."""
    series = 1 + t2 * (-1 / 6 + t2 * (3 / 40 + t2 * (-5 / 112 + t2 * (35 / 1152 - t2 * 63 / 2816))))
    near = t2 < 2e-3
    t = torch.sqrt(torch.where(near, torch.ones_like(t2), t2))
    return torch.where(near, series, torch.asinh(t) / t)


def _sinh_ratio(s2: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """sinh(s)/s as a function of s^2, smooth at 0."""
    series = 1 + s2 * (1 / 6 + s2 * (1 / 120 + s2 * (1 / 5040 + s2 / 362880)))
    near = s2 < 2e-3
    # So far out the ball's edge is reached to rounding; beyond, squares would overflow.
    s = torch.sqrt(torch.where(near, torch.ones_like(s2), s2)).clamp(max=300.0)
    return torch.where(near, series, torch.sinh(s) / s)


_KINDS: dict[str, type] = {cls.kind: cls for cls in (Affine, Asinh, LogitBox, Edge, Ball, Quantile)}


def column_map_to_dict(column_map: ColumnMap) -> dict[str, object]:
    """Plain values from which `column_map_from_dict` makes the same map again."""
    return {"kind": column_map.kind, **asdict(column_map)}


def column_map_from_dict(state: Mapping[str, object]) -> ColumnMap:
    """The map that `column_map_to_dict` described.

    Raises:
        FeatureError: the kind is unknown.
    """
    values = dict(state)
    kind = values.pop("kind", None)
    if kind not in _KINDS:
        raise FeatureError(f"expected a column map of kind {sorted(_KINDS)}; got {kind!r}")
    # JSON knows lists only.
    return _KINDS[kind](**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})
