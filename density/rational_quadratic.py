"""One piece of a monotone rational-quadratic spline: smooth to first order, with a closed inverse.

Between two knots (x0, y0) and (x0 + w, y0 + h) with slopes d0 and d1 there, with s = h/w and t = (x - x0)/w,

    y = y0 + h [s t^2 + d0 t (1 - t)] / [s + (d0 + d1 - 2 s) t (1 - t)]

(Gregory & Delbourgo 1982; Durkan et al. 2019, arXiv 1906.04032, eq. 4 to 8). dy/dx is continuous over the
knots and positive where all slopes are; d2y/dx2 jumps there.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["RationalPiece"]


@dataclass(frozen=True)
class RationalPiece:
    """The piece of the spline that each element falls in, named as in the module's equation."""

    x0: Float[Tensor, "..."]
    w: Float[Tensor, "..."]
    y0: Float[Tensor, "..."]
    h: Float[Tensor, "..."]
    d0: Float[Tensor, "..."]
    d1: Float[Tensor, "..."]

    def forward(self, x: Float[Tensor, "..."]) -> tuple[Float[Tensor, "..."], Float[Tensor, "..."]]:
        """y and ln dy/dx at places within the piece."""
        return self._at((x - self.x0) / self.w)

    def inverse(self, y: Float[Tensor, "..."]) -> tuple[Float[Tensor, "..."], Float[Tensor, "..."]]:
        """x and ln dx/dy at values within the piece: the root of a quadratic that lies in it."""
        s, up = self.h / self.w, y - self.y0
        bend = self.d0 + self.d1 - 2 * s
        a, b, c = self.h * (s - self.d0) + up * bend, self.h * self.d0 - up * bend, -s * up
        # Rounding may push a vanishing discriminant below zero.
        root = torch.sqrt((b * b - 4 * a * c).clamp_min(0.0))
        t = 2 * c / (-b - root)
        return self.x0 + t * self.w, -self._at(t)[1]

    def _at(self, t: Float[Tensor, "..."]) -> tuple[Float[Tensor, "..."], Float[Tensor, "..."]]:
        s = self.h / self.w
        both = t * (1 - t)
        below = s + (self.d0 + self.d1 - 2 * s) * both
        y = self.y0 + self.h * (s * t * t + self.d0 * both) / below
        rise = self.d1 * t * t + 2 * s * both + self.d0 * (1 - t) ** 2
        return y, 2 * (torch.log(s) - torch.log(below)) + torch.log(rise)
