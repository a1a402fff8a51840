"""Positions, velocities and learned scores, drawn once: what a potential is fitted to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from density import child_seed
from dm_map.errors import FlowError
from dm_map.flows.density import PhaseSpaceDensity
from dm_map.flows.ensemble import FlowEnsemble
from dm_map.volume import Ball

__all__ = ["ScoreSample", "draw_scores"]


@dataclass(frozen=True, eq=False)
class ScoreSample:
    """Scores of m members at k points of phase space.

    Attributes:
        x: Positions, kpc, shape (k, 3).
        v: Velocities, km/s, shape (k, 3).
        s_x: grad_x ln f of each member, 1/kpc, shape (m, k, 3).
        s_v: grad_v ln f of each member, 1/(km/s), shape (m, k, 3).
        volume: The ball that holds the positions.
    """

    x: Float[np.ndarray, "k 3"]
    v: Float[np.ndarray, "k 3"]
    s_x: Float[np.ndarray, "m k 3"]
    s_v: Float[np.ndarray, "m k 3"]
    volume: Ball

    def __len__(self) -> int:
        return len(self.x)

    @property
    def mean(self) -> tuple[Float[np.ndarray, "k 3"], Float[np.ndarray, "k 3"]]:
        """Both scores averaged over the members."""
        return self.s_x.mean(axis=0), self.s_v.mean(axis=0)


def draw_scores(
    density: PhaseSpaceDensity | FlowEnsemble,
    positions: int,
    *,
    seed: int,
    velocities: int = 1,
    truncation: float = 3.0,
    within: Ball | None = None,
    uniform: bool = False,
) -> ScoreSample:
    """Draw positions and velocities from the flows, and evaluate every member's scores there.

    Args:
        density: One learned density, or an ensemble, from whose members the points are drawn in equal shares.
        positions: Number of positions.
        seed: Of the draws.
        velocities: Velocities at each position; the result has positions x velocities rows.
        truncation: Velocities are drawn within this radius of the flow's latent space (standard normal).
        within: The ball that holds the positions; None: the usable part of the volume.
        uniform: Positions uniform in the ball instead of drawn from n(x): more weight where stars are few.

    Raises:
        FlowError: fewer than one position, or the ball reaches beyond the usable part of the volume.
    """
    ensemble = density if isinstance(density, FlowEnsemble) else FlowEnsemble((density,))
    ball = ensemble.usable if within is None else within
    _require_inside(ball, ensemble.usable)
    if positions < 1 or velocities < 1:
        raise FlowError(f"expected positions >= 1 and velocities >= 1; got {positions} and {velocities}")
    place_seed, velocity_seed = child_seed(seed, "positions"), child_seed(seed, "velocities")
    at = (
        ball.uniform(positions, place_seed)
        if uniform
        else ensemble.sample_positions(positions, place_seed, ball)
    )
    v = ensemble.sample_velocities(at, velocities, velocity_seed, truncation).reshape(-1, 3)
    x = np.repeat(at, velocities, axis=0)
    return ScoreSample(x, v, *ensemble.member_scores(x, v), ball)


def _require_inside(ball: Ball, usable: Ball) -> None:
    apart = float(np.linalg.norm(np.subtract(ball.centre, usable.centre)))
    if apart + ball.radius > usable.radius * (1 + 1e-12):
        raise FlowError(
            f"the ball of radius {ball.radius:g} around {ball.centre} reaches beyond the usable part of the "
            f"volume, of radius {usable.radius:g} around {usable.centre}; ask for a smaller one"
        )
