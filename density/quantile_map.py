"""A column mapped through its own quantiles: whatever its shape, it comes out nearly normal."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import log
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from density.errors import FeatureError
from density.rational_quadratic import RationalPiece

__all__ = ["Quantile"]


@dataclass(frozen=True)
class Quantile:
    """y(x) rises through given knots, a rational-quadratic spline between and a logarithm beyond them.

    With the knots at quantiles of the data and at the same quantiles of the standard normal distribution the
    mapped column is nearly normal, gaps and peaks included. dy/dx is continuous and positive everywhere. The
    tails are y = y_end + asinh(slope (x - x_end)): linear first, then logarithmic, so that an outlier stays
    within a few standard deviations.

    Args:
        places: Rising x of the knots, two or more.
        values: Rising y of the knots.
        slopes: Positive dy/dx at the knots.

    Raises:
        FeatureError: knots that do not rise, or slopes that are not positive.
    """

    places: tuple[float, ...]
    values: tuple[float, ...]
    slopes: tuple[float, ...]
    kind: ClassVar[str] = "quantile"
    width: ClassVar[int] = 1

    def __post_init__(self) -> None:
        same = len(self.places) == len(self.values) == len(self.slopes) >= 2
        rising = all(a < b for row in (self.places, self.values) for a, b in pairwise(row))
        if not (same and rising and min(self.slopes) > 0):
            raise FeatureError(
                f"a quantile map needs two knots or more, rising in both coordinates, with positive slopes;"
                f" got places {self.places}, values {self.values}, slopes {self.slopes}"
            )

    def forward(self, x: Float[Tensor, "n 1"]) -> tuple[Float[Tensor, "n 1"], Float[Tensor, " n"]]:
        """y(x) and ln dy/dx."""
        inner, log_slope = self._piece(x, self.places).forward(x.clamp(self.places[0], self.places[-1]))
        below, above = x < self.places[0], x > self.places[-1]
        for outside, end in ((below, 0), (above, -1)):
            u = torch.where(outside, (x - self.places[end]) * self.slopes[end], 0.0)
            inner = torch.where(outside, self.values[end] + torch.asinh(u), inner)
            tail = log(self.slopes[end]) - 0.5 * torch.log1p(u * u)
            log_slope = torch.where(outside, tail, log_slope)
        return inner, log_slope[:, 0]

    def inverse(self, y: Float[Tensor, "n 1"]) -> Float[Tensor, "n 1"]:
        """x(y)."""
        inner, _ = self._piece(y, self.values).inverse(y.clamp(self.values[0], self.values[-1]))
        below, above = y < self.values[0], y > self.values[-1]
        for outside, end in ((below, 0), (above, -1)):
            u = torch.sinh(torch.where(outside, y - self.values[end], 0.0))
            inner = torch.where(outside, self.places[end] + u / self.slopes[end], inner)
        return inner

    def inside(self, x: Float[Tensor, "n 1"]) -> Bool[Tensor, " n"]:
        """Which values are finite."""
        return torch.isfinite(x[:, 0])

    def _piece(self, at: Float[Tensor, "n 1"], knots: tuple[float, ...]) -> RationalPiece:
        # Only the inner knots are searched: the index is valid for any value, not-a-number included.
        index = torch.searchsorted(at.new_tensor(knots[1:-1]), at.detach().contiguous(), right=True)
        x, y, slopes = (at.new_tensor(part) for part in (self.places, self.values, self.slopes))
        x0, y0 = x[index], y[index]
        return RationalPiece(x0, x[index + 1] - x0, y0, y[index + 1] - y0, slopes[index], slopes[index + 1])
