"""From the grid to the best hypothesis nearby: every quantity of a line freed, with a Gaussian profile.

A stream between the points of a grid in proper motion, gradient and angle is seen at two thirds of its
significance. The best hypotheses of the grid are therefore improved step by step.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from streams.likelihood.clumps import clump_of
from streams.likelihood.sight import FreeLine, GridHypothesis, PatchSight

__all__ = ["Climber"]

_STEPS = np.array([np.radians(1.5), 0.125, 0.25, 0.25, 0.075, 0.075, 0.35, 1.0, 1.0])
"""First step in angle, offset, the motions, the gradients, ln sigma, the modulus and the ridge."""
_REACH = np.array([np.radians(4.5), 0.6, 0.9, 0.9, 0.25, 0.25])
"""How far a hypothesis may be from where the grid has found it."""
_WIDER = 0.7
"""The same of ln sigma, upwards: half of the grid's ratio of widths would do."""
_MODULI_REACH = 4
_HALVINGS, _EVALUATIONS = 2, 120
_FIRST_LOOK, _SHARE_KEPT = 20, 4
_STRONG = 7.0
"""Sigma on the grid from which a hypothesis is a stream, or the shadow of one."""
_WEAK = 4.0
"""Sigma below which an improved hypothesis is neither."""


@dataclass(frozen=True)
class Climber:
    """Improves hypotheses of one patch.

    Args:
        sight: its stars and cells.
        threads: hypotheses are shared out among them.
    """

    sight: PatchSight
    threads: int = 1

    def best(self, starts: Sequence[GridHypothesis]) -> list[tuple[FreeLine, Float[np.ndarray, " n"]]]:
        """The best hypotheses near those of the grid, and what stronger ones have left of each star.

        A strong stream lights up the grid around it. The strongest hypotheses are therefore followed first,
        one by one, and their stars leave; what the others have without them decides which are followed on:
        all take a round of steps, blurred as the grid and then sharp, the better part of them goes on.
        """
        sight, recipe = self.sight, self.sight.grid.recipe
        _ = sight.amplitude, sight.stars, sight.blurred, sight.cells  # made before the threads ask for them
        begun = [sight.freed(start) for start in starts]
        left = np.ones(len(sight.features))
        found: list[tuple[FreeLine, Float[np.ndarray, " n"]]] = []
        while len(found) < recipe.peaks:
            top = max(begun, key=lambda one: one.significance, default=None)
            if top is None or top.significance < _STRONG:
                break
            near = self._climbed(top, left, True, 0, _FIRST_LOOK)
            strong = self._climbed(near, left, False, _HALVINGS, _EVALUATIONS)
            if strong.significance < _WEAK:
                # Nothing is there for a sharp eye: it would be the strongest for ever.
                begun = [one for one in begun if one.start is not top.start]
                continue
            found.append((strong, left))
            left = left * (1.0 - sight.membership(strong, clump_of(sight, strong, left)))
            begun = self._each(begun, left, True, 0, 0)
        wide = self._each(self._ahead(begun), left, True, 0, _FIRST_LOOK)
        first = self._ranked(self._each(wide, left, False, 0, _FIRST_LOOK))
        kept = first[: max(recipe.peaks, len(first) // _SHARE_KEPT)]
        last = self._ranked(self._each(kept, left, False, _HALVINGS, _EVALUATIONS))
        return found + [(line, left) for line in last]

    @staticmethod
    def _ranked(lines: Sequence[FreeLine]) -> list[FreeLine]:
        return sorted(lines, key=lambda line: -line.significance)

    def _ahead(self, begun: Sequence[FreeLine]) -> list[FreeLine]:
        """Of each ridge the best."""
        counts, kept = [0] * len(self.sight.ridges), []
        for line in self._ranked(begun):
            counts[int(line.h[8])] += 1
            if counts[int(line.h[8])] <= self.sight.grid.recipe.inspected:
                kept.append(line)
        return kept

    def _each(
        self,
        lines: Sequence[FreeLine],
        left: Float[np.ndarray, " n"],
        blurred: bool,
        halvings: int,
        evaluations: int,
    ) -> list[FreeLine]:
        def step(one: FreeLine) -> FreeLine:
            return self._climbed(one, left, blurred, halvings, evaluations)

        with ThreadPoolExecutor(max_workers=self.threads) as pool:
            return list(pool.map(step, lines))

    def _climbed(
        self, line: FreeLine, left: Float[np.ndarray, " n"], blurred: bool, halvings: int, evaluations: int
    ) -> FreeLine:
        """So many steps on; with no evaluations its significance is told anew.

        Blurred, as the grid sees it: the first steps, from a point of the grid, go where the view is wide.
        """
        from streams.likelihood.climbing_kernels import LineSurroundings, climb

        sight, recipe, h = self.sight, self.sight.grid.recipe, line.h.copy()
        low, high = self._bounds(sight.freed(line.start).h, line.start)
        turned = sight.grid.reach * np.sin(_REACH[0])
        cells = sight.cells_within(line, 3.0 * np.exp(high[6]) + 2.0 * _REACH[1] + turned)
        seen = LineSurroundings(
            sight.near(line, _REACH[2]), left, sight.blurred if blurred else sight.stars, sight.amplitude,
            len(sight.moduli), sight.cells[cells], sight.share(line, cells), recipe.along_step,
            sight.grid.pieces, float(recipe.least_stars),
        )  # fmt: skip
        significance = climb(h, _STEPS, low, high, seen, halvings, evaluations)
        return replace(line, h=h, significance=float(significance))

    def _bounds(
        self, h: Float[np.ndarray, " 9"], start: GridHypothesis
    ) -> tuple[Float[np.ndarray, " 9"], Float[np.ndarray, " 9"]]:
        """Lowest and highest value of each quantity near a hypothesis of the grid."""
        recipe = self.sight.grid.recipe
        ends, moduli = np.log(np.array(recipe.sigmas)), len(self.sight.moduli)
        first, last = max(h[7] - _MODULI_REACH, 0.0), min(h[7] + _MODULI_REACH, moduli - 1.0)
        widest = min(ends[1], h[6] + _WIDER) + 1e-9
        # Every ridge has starts of its own: a step to another ridge ends in a lesser maximum more often.
        low = np.concatenate([h[:6] - _REACH, [ends[0] - 1e-9, first, h[8]]])
        high = np.concatenate([h[:6] + _REACH, [widest, last, h[8]]])
        steepest = recipe.gradient_reach(self.sight.populations[start.population].modulus)
        low[4:6], high[4:6] = np.maximum(low[4:6], -steepest), np.minimum(high[4:6], steepest)
        return low, high
