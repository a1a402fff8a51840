"""Mass density of a torch field by automatic differentiation: divergence of a, Laplacian of Phi."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float

from dm_map.errors import DmMapError
from dm_map.gravity.units import GALACTIC, GravityUnits, mass_density

__all__ = ["density_of_acceleration", "density_of_potential"]

Tensors = Callable[[torch.Tensor], torch.Tensor]


def density_of_acceleration(
    acceleration: Tensors,
    x: Float[np.ndarray, "n 3"],
    *,
    units: GravityUnits = GALACTIC,
    at_once: int = 65_536,
) -> Float[np.ndarray, " n"]:
    """rho = -div a / (4 pi G) of accelerations (n, 3) that torch can differentiate, in float64.

    Args:
        acceleration: Function from a tensor of positions (n, 3) to accelerations (n, 3), row by row.
        x: Positions.
        units: Units of the field.
        at_once: Positions differentiated together.

    Raises:
        DmMapError: the function does not return one acceleration for each position.
    """

    def divergence(near: torch.Tensor) -> torch.Tensor:
        return _divergence(acceleration(near), near)

    return mass_density(_by_chunks(divergence, x, at_once), units)


def density_of_potential(
    potential: Tensors, x: Float[np.ndarray, "n 3"], *, units: GravityUnits = GALACTIC, at_once: int = 65_536
) -> Float[np.ndarray, " n"]:
    """rho = laplacian(Phi) / (4 pi G) of a potential (n,) that torch can differentiate twice, in float64.

    Args:
        potential: Function from a tensor of positions (n, 3) to potentials (n,), row by row.
        x: Positions.
        units: Units of the field.
        at_once: Positions differentiated together.

    Raises:
        DmMapError: the function does not return one potential for each position.
    """

    def divergence(near: torch.Tensor) -> torch.Tensor:
        phi = potential(near)
        if phi.shape != near.shape[:1]:
            raise DmMapError(
                f"a potential of {len(near)} positions has shape ({len(near)},); got {tuple(phi.shape)}"
            )
        (gradient,) = torch.autograd.grad(phi.sum(), near, create_graph=True)
        return _divergence(-gradient, near)

    return mass_density(_by_chunks(divergence, x, at_once), units)


def _divergence(a: torch.Tensor, near: torch.Tensor) -> torch.Tensor:
    if a.shape != near.shape:
        raise DmMapError(
            f"accelerations have the shape of the positions, {tuple(near.shape)}; got {tuple(a.shape)}"
        )
    total = torch.zeros_like(near[:, 0])
    for axis in range(3):
        # A component that does not depend on the position has no gradient at all.
        (column,) = torch.autograd.grad(
            a[:, axis].sum(), near, retain_graph=True, allow_unused=True, materialize_grads=True
        )
        total = total + column[:, axis]
    return total


def _by_chunks(divergence: Tensors, x: np.ndarray, at_once: int) -> Float[np.ndarray, " n"]:
    parts = [np.empty(0)]
    for start in range(0, len(x), at_once):
        near = torch.tensor(x[start : start + at_once], dtype=torch.float64, requires_grad=True)
        parts.append(divergence(near).detach().numpy())
    return np.concatenate(parts)
