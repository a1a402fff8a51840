"""The terms of the equations, star by star, for stars that share one cell of the splines."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from dm_map.weak.functions import TestFunctions
from dm_map.weak.selection_terms import SelectionTerms
from dm_map.weak.velocities import LocalFrame

__all__ = ["StarTerms"]


@dataclass(frozen=True, eq=False)
class StarTerms:
    """Terms of n stars in the r rows that see their cell, single precision; sums are made in double.

    Attributes:
        rows: Numbers of the functions of position that do not vanish here.
        plain: v . grad_x psi + geometric terms, shape (n, r).
        turned: The same of a rotation about z with 1 km/s/kpc, shape (n, r).
        pull: What multiplies the components (a_x, a_y, a_z) of a force, shape (n, 3, r).
        slopes: Terms of the selection, shape (n, r) times (n, q); None without.
        share: B_j, shape (n, j).
    """

    rows: Int[np.ndarray, " j"]
    plain: Float[np.ndarray, "n r"]
    turned: Float[np.ndarray, "n r"]
    pull: Float[np.ndarray, "n 3 r"]
    slopes: tuple[Float[np.ndarray, "n r"], Float[np.ndarray, "n q"]] | None
    share: Float[np.ndarray, "n j"]

    @classmethod
    def of(
        cls,
        functions: TestFunctions,
        cell: int,
        x: Float[np.ndarray, "n 3"],
        v: Float[np.ndarray, "n 3"],
        weights: Float[np.ndarray, " n"] | None,
        selection: SelectionTerms | None,
    ) -> StarTerms:
        """The terms of stars of one cell."""
        values, gradients = functions.space.evaluate(cell, x)
        if weights is not None:
            values, gradients = values * weights[:, None], gradients * weights[:, None]
        local = LocalFrame.of(functions.velocity.frame, x, v)
        P, dP = functions.velocity.evaluate(local.velocity)
        B, P = values.astype(np.float32), P.astype(np.float32)
        streaming = np.einsum("nc,cnj->nj", v, gradients, optimize=True).astype(np.float32)
        turning = (x[:, :1] * gradients[1] - x[:, 1:2] * gradients[0]).astype(np.float32)
        bent = np.einsum("nc,cnm->nm", local.geometric, dP, optimize=True).astype(np.float32)
        swung = np.einsum("nc,cnm->nm", local.rotation, dP, optimize=True).astype(np.float32)
        force = np.einsum("nci,cnm->nim", local.axes, dP, optimize=True).astype(np.float32)
        along = None if selection is None else (_product(B, P), selection.along(x, v).astype(np.float32))
        return cls(
            functions.space.active(cell),
            _product(streaming, P) + _product(B, bent),
            _product(turning, P) + _product(B, swung),
            (B[:, None, :, None] * force[:, :, None, :]).reshape(len(B), 3, -1),
            along,
            B,
        )

    def residual(
        self,
        field: Float[np.ndarray, "n 3"],
        pattern_speed: float,
        selection: Float[np.ndarray, " q"] | None,
    ) -> Float[np.ndarray, "n r"]:
        """s_i: the terms of each star for a given acceleration, pattern speed and selection."""
        out = self.plain + np.einsum("nir,ni->nr", self.pull, field.astype(np.float32), optimize=True)
        if pattern_speed:
            out -= np.float32(pattern_speed) * self.turned
        if self.slopes is not None and selection is not None:
            values, slopes = self.slopes
            out += values * (slopes @ selection.astype(np.float32))[:, None]
        return out


def _product(of_position: Float[np.ndarray, "n j"], of_velocity: Float[np.ndarray, "n m"]) -> np.ndarray:
    return (of_position[:, :, None] * of_velocity[:, None, :]).reshape(len(of_position), -1)
