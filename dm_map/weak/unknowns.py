"""The unknowns of the equations, what is known about them beforehand, and the solution."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float

from dm_map.potential import Solution, density_points, nonnegative_fit
from dm_map.weak.sums import Equations

__all__ = ["Solved", "Unknowns"]

# Prior standard deviation of a gradient of ln S: 1/kpc, or 1/kpc^2. Wide: it only keeps the problem regular.
_SELECTION_PRIOR = 1.0

# Positions at which the strength of a component is taken.
_POSITIONS = 1000


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
    def of(cls, equations: Equations, pattern_speed: float | None) -> Unknowns:
        """Without a prior on the components: for a first fit."""
        dictionary = equations.dictionary
        others = equations.columns - len(dictionary)
        fitted = int(pattern_speed is None)
        positive = np.concatenate([dictionary.positive, np.zeros(others + fitted, dtype=bool)])
        precision = np.zeros(len(positive))
        precision[len(dictionary) : len(dictionary) + others] = _SELECTION_PRIOR**-2
        constraints = None
        if not np.all(dictionary.positive):
            densities = dictionary.densities(density_points(equations.functions.space.volume))
            constraints = np.pad(densities, ((0, 0), (0, others + fitted)))
        return cls(positive, precision, constraints, pattern_speed)

    def with_prior(
        self, equations: Equations, coefficients: Float[np.ndarray, " k"], share: float, local_share: float
    ) -> Unknowns:
        """The same, where no component is expected to carry much more than a share of the field.

        Many discs and haloes are nearly alike over a few kpc. Without a prior the least noisy among them take
        everything; with it they share, which halves the error of the density and biases the field by less
        than a tenth of its error.

        Args:
            equations: The equations.
            coefficients: A first fit, whose accelerations and densities set the scale.
            share: Sum of the prior standard deviations of all positive components, in units of the field.
            local_share: Of each free-form term, in the same units.
        """
        dictionary = equations.dictionary
        x = equations.functions.space.volume.uniform(_POSITIONS, seed=0)
        fields, densities = dictionary.accelerations(x, dtype=np.float64), dictionary.densities(x)
        strength = _strength(fields, densities, coefficients[: len(dictionary)])
        positive = dictionary.positive
        expected = np.where(positive, share / max(1, int(positive.sum())), local_share)
        precision = self.precision.copy()
        precision[: len(dictionary)] = strength / expected**2
        return replace(self, precision=precision)

    def prior_centres(self, draws: int, seed: int) -> Float[np.ndarray, "draws u"]:
        """Centres drawn from the prior itself; zero where there is none."""
        width = np.divide(
            1.0, np.sqrt(self.precision), out=np.zeros_like(self.precision), where=self.precision > 0
        )
        return width * np.random.default_rng(seed).standard_normal((draws, len(width)))

    def solve(
        self,
        M: Float[np.ndarray, "w k"],
        y: Float[np.ndarray, " w"],
        rotation: Float[np.ndarray, " w"] | None = None,
        centre: Float[np.ndarray, " u"] | None = None,
    ) -> Solved:
        """Minimise |M c - y|^2 plus the priors, under the constraints.

        Args:
            M: Whitened equations.
            y: Their right-hand side, for the given pattern speed (zero where it is fitted).
            rotation: Column of the pattern speed, where it is fitted.
            centre: Centre of the prior; zero where None.

        Raises:
            PotentialError: there is no solution.
        """
        columns = M if self.pattern_speed is not None or rotation is None else np.column_stack([M, rotation])
        h = columns.T @ y if centre is None else columns.T @ y + self.precision * centre
        solution = nonnegative_fit(columns.T @ columns, h, self.positive, self.precision, self.constraints)
        c = solution.coefficients
        if self.pattern_speed is None:
            return Solved(c[:-1], float(c[-1]), solution)
        return Solved(c, self.pattern_speed, solution)


def _strength(
    fields: Float[np.ndarray, "n 3 k"],
    densities: Float[np.ndarray, "n k"],
    coefficients: Float[np.ndarray, " k"],
) -> Float[np.ndarray, " k"]:
    """Squared strength of each component, in acceleration and in density, in units of their weighted sum."""
    whole_field, whole_density = fields @ coefficients, densities @ coefficients
    in_field = np.sum(fields**2, axis=(0, 1)) / np.sum(whole_field**2)
    return in_field + np.sum(densities**2, axis=0) / np.sum(whole_density**2)
