"""What the weak form gives: a potential with errors, and how well the equations are obeyed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float

from dm_map.potential import LinearPotential
from dm_map.weak.sums import Equations
from dm_map.weak.system import System
from dm_map.weak.unknowns import Solved, Unknowns

__all__ = ["WeakFit"]


@dataclass(frozen=True, eq=False)
class WeakFit:
    """Solution of the weak form.

    Attributes:
        equations: Test functions and unknowns.
        unknowns: Their priors and bounds.
        system: The combined equations.
        solved: The unknowns themselves.
        stars: Number of stars.
        seconds: What the sums took.
    """

    equations: Equations
    unknowns: Unknowns
    system: System
    solved: Solved
    stars: int
    seconds: float

    @classmethod
    def of(
        cls, equations: Equations, unknowns: Unknowns, system: System, stars: int, seconds: float
    ) -> WeakFit:
        """Solve a system."""
        rotation = system.rotation() if unknowns.pattern_speed is None else None
        solved = unknowns.solve(*system.equations(unknowns.pattern_speed or 0.0), rotation)
        return cls(equations, unknowns, system, solved, stars, seconds)

    @property
    def pattern_speed(self) -> float:
        """Pattern speed, given or fitted, km/s/kpc."""
        return self.solved.pattern_speed

    @property
    def effective_parameters(self) -> float:
        """Number of parameters that the data determine."""
        return self.solved.solution.effective_parameters

    @cached_property
    def draws(self) -> tuple[Solved, ...]:
        """Draws of the solution, for its errors.

        The data get more noise of their exact covariance, and the prior another centre, drawn from itself.
        Without bounds these would be draws from the posterior, exactly (randomise, then optimise: Bardsley
        et al. 2014, SIAM J. Sci. Comput. 36, A1895); a coefficient at its bound stays there in some of them.
        """
        M, y = self.system.equations(self.unknowns.pattern_speed or 0.0)
        noise = self.system.noise()
        centres = self.unknowns.prior_centres(noise.shape[1], seed=noise.shape[1])
        return tuple(
            self.unknowns.solve(M, y + one, self._rotation, centre)
            for one, centre in zip(noise.T, centres, strict=True)
        )

    @cached_property
    def refits(self) -> tuple[Solved, ...]:
        """The solution for data made of the fit and noise: what fits to stationary stars would be."""
        M, _ = self.system.equations()
        expected = M @ self.solved.coefficients
        if self._rotation is not None:
            expected = expected + self.pattern_speed * self._rotation
        return tuple(self.unknowns.solve(M, expected + one, self._rotation) for one in self.system.noise().T)

    @property
    def _rotation(self) -> Float[np.ndarray, " w"] | None:
        """Column of the pattern speed, where it is fitted."""
        return self.system.rotation() if self.unknowns.pattern_speed is None else None

    def bootstrap(self, members: int, seed: int) -> tuple[Solved, ...]:
        """The solution for groups of stars drawn with replacement: a check of `draws`."""
        rng = np.random.default_rng(seed)
        groups = len(self.system.rows.b)
        out = []
        for _ in range(members):
            weights = rng.multinomial(groups, np.full(groups, 1.0 / groups)).astype(float)
            M, y = self.system.equations(self.unknowns.pattern_speed or 0.0, weights)
            out.append(self.unknowns.solve(M, y, self._rotation))
        return tuple(out)

    @cached_property
    def potential(self) -> LinearPotential:
        """The potential, with `draws` as its members."""
        return self.potential_of(self.draws)

    def potential_of(self, members: tuple[Solved, ...]) -> LinearPotential:
        """The potential with other members."""
        K = len(self.equations.dictionary)
        rows = np.stack([one.coefficients[:K] for one in members]) if members else None
        return LinearPotential(
            self.equations.dictionary, self.solved.coefficients[:K], rows, self.pattern_speed
        )

    @property
    def log_selection(self) -> Float[np.ndarray, " q"]:
        """Coefficients of the fitted terms of ln S."""
        return self.solved.coefficients[len(self.equations.dictionary) :]

    @property
    def log_selection_error(self) -> Float[np.ndarray, " q"]:
        """Their standard deviations over the draws."""
        K = len(self.equations.dictionary)
        return np.std([one.coefficients[K:] for one in self.draws], axis=0)
