"""The unknowns of the equations, what is known about them beforehand, and the solution."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from dm_map.potential import Solution, density_points, nonnegative_fit
from dm_map.weak.rows import Equations

__all__ = ["Solved", "Unknowns"]

# Prior standard deviation of a gradient of ln S: 1/kpc, or 1/kpc^2. Wide: it only keeps the problem regular.
_SELECTION_PRIOR = 1.0


@dataclass(frozen=True, eq=False)
class Solved:
    """Values of all unknowns.

    Attributes:
        coefficients: Of the dictionary's components, then of the selection's terms.
        pattern_speed: km/s/kpc.
        solution: The constrained minimum with its certificate.
    """

    coefficients: Float[np.ndarray, " k"]
    pattern_speed: float
    solution: Solution


@dataclass(frozen=True, eq=False)
class Unknowns:
    """Coefficients of the components, then of the selection, then the pattern speed if it is fitted.

    Attributes:
        positive: Which cannot be negative.
        precision: Inverse variance of the prior about zero; 0 for none.
        constraints: Forms that cannot be negative: the density at points, where free-form terms could change
            its sign; None where there are none.
        pattern_speed: Given value; None where it is fitted.
    """

    positive: Bool[np.ndarray, " u"]
    precision: Float[np.ndarray, " u"]
    constraints: Float[np.ndarray, "p u"] | None
    pattern_speed: float | None

    @classmethod
    def of(cls, equations: Equations, pattern_speed: float | None, local_prior: float) -> Unknowns:
        """Of the equations; `local_prior` is the standard deviation of free-form coefficients."""
        dictionary = equations.dictionary
        others = equations.columns - len(dictionary)
        fitted = int(pattern_speed is None)
        positive = np.concatenate([dictionary.positive, np.zeros(others + fitted, dtype=bool)])
        precision = np.zeros(len(positive))
        precision[: len(dictionary)] = np.where(dictionary.positive, 0.0, local_prior**-2)
        precision[len(dictionary) : len(dictionary) + others] = _SELECTION_PRIOR**-2
        constraints = None
        if not np.all(dictionary.positive):
            densities = dictionary.densities(density_points(equations.functions.space.volume))
            constraints = np.pad(densities, ((0, 0), (0, others + fitted)))
        return cls(positive, precision, constraints, pattern_speed)

    def solve(
        self,
        M: Float[np.ndarray, "w k"],
        y: Float[np.ndarray, " w"],
        rotation: Float[np.ndarray, " w"] | None = None,
    ) -> Solved:
        """Minimise |M c - y|^2 plus the priors, under the constraints.

        Args:
            M: Whitened equations.
            y: Their right-hand side, for the given pattern speed (zero where it is fitted).
            rotation: Column of the pattern speed, where it is fitted.

        Raises:
            PotentialError: there is no solution.
        """
        columns = M if self.pattern_speed is not None or rotation is None else np.column_stack([M, rotation])
        solution = nonnegative_fit(
            columns.T @ columns, columns.T @ y, self.positive, self.precision, self.constraints
        )
        c = solution.coefficients
        if self.pattern_speed is None:
            return Solved(c[:-1], float(c[-1]), solution)
        return Solved(c, self.pattern_speed, solution)
