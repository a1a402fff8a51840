"""A mock as a phase-space density with exact scores: what the checks say where no flow has been trained."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from dm_map.mocks.base import Mock
from dm_map.mocks.observe import SelectionGradient, with_selection
from dm_map.stars import StarSample

__all__ = ["ExactDensity"]

Positions = Float[np.ndarray, "*batch 3"]


@dataclass(frozen=True)
class ExactDensity:
    """The exact density of a mock's tracers, seen whole or through a selection.

    Attributes:
        mock: The mock.
        selection: The selection of the observed stars, of which nobody knows; None: all are seen.
    """

    mock: Mock
    selection: SelectionGradient | None = None

    def scores(self, x: Positions, v: Positions) -> tuple[Positions, Positions]:
        """The mock's scores, and the gradient of ln S with them."""
        s_x, s_v = self.mock.scores(x, v)
        return (s_x if self.selection is None else s_x + np.asarray(self.selection.gradient)), s_v

    def sample(self, n: int, seed: int) -> StarSample:
        """n observed stars."""
        if self.selection is None:
            return self.mock.sample(n, seed)
        for_draws, for_selection = (int(s) for s in np.random.SeedSequence(seed).generate_state(2))
        # Of a ball's stars a share of exp(-|g| R) or more is kept on the whole, a third more for the scatter.
        share = float(np.exp(-np.linalg.norm(self.selection.gradient) * self.selection.volume.radius))
        drawn = self.mock.sample(int(1.3 * n / share) + 1000, for_draws)
        kept = with_selection(drawn, self.selection, seed=for_selection)
        return kept.take(np.arange(min(n, len(kept))))

    def sample_velocities(self, x: Float[np.ndarray, "n 3"], k: int, seed: int) -> Float[np.ndarray, "n k 3"]:
        """k velocities at each position: a selection by position leaves p(v | x) as it is."""
        return self.mock.sample_velocities(np.repeat(x, k, axis=0), seed).reshape(len(x), k, 3)
