"""The weak form solved: a potential from stars, without an estimate of their density."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np

from dm_map.errors import WeakFormError
from dm_map.potential import Dictionary, nonnegative_fit
from dm_map.stars import StarSample
from dm_map.weak.functions import TestFunctions, choose_functions
from dm_map.weak.result import WeakFit
from dm_map.weak.rows import Equations, Groups, Progress, Reference, sum_rows
from dm_map.weak.selection_terms import SelectionTerms
from dm_map.weak.system import System
from dm_map.weak.unknowns import Unknowns

__all__ = ["WeakForm"]

# Stars of the first fit, whose potential only shapes the covariance.
_PILOT_SHARE, _PILOT_STARS = 0.05, 20_000


@dataclass(frozen=True)
class WeakForm:
    """Recipe: how to solve the weak form of the Boltzmann equation.

    Attributes:
        draws: Members of the result, each with noise drawn from the exact covariance of the rows.
        groups: Random groups of stars, for the block bootstrap.
        folds: Folds of the cross-fitted weights.
        min_stars: Effective number of stars that a test function needs.
        pattern_speed: Angular speed about z of the frame in which the stars are stationary, km/s/kpc; None
            fits it.
        selection_degree: Fit ln S of an unknown selection: 1 linear, 2 quadratic in position; 0 not at all.
        local_prior: Prior standard deviation of the free-form coefficients, in their own unit.

    Raises:
        WeakFormError: groups are not a multiple of two or more folds, or draws are negative.
    """

    draws: int = 100
    groups: int = 25
    folds: int = 5
    min_stars: float = 100.0
    pattern_speed: float | None = 0.0
    selection_degree: int = 0
    local_prior: float = 1.0

    def __post_init__(self) -> None:
        if self.folds < 2 or self.groups < 2 * self.folds or self.groups % self.folds or self.draws < 0:
            raise WeakFormError(
                "groups are a multiple of the folds, two or more each, and draws are not negative; "
                f"got {self.groups} groups, {self.folds} folds, {self.draws} draws"
            )

    def fit(
        self,
        sample: StarSample,
        dictionary: Dictionary,
        functions: TestFunctions | None = None,
        *,
        seed: int,
        progress: Progress | None = None,
    ) -> WeakFit:
        """Fit the coefficients of the dictionary to the stars.

        Args:
            sample: The stars.
            dictionary: Components of the potential.
            functions: Test functions; chosen from the sample where None.
            seed: Of groups and random signs.
            progress: Called with (stars done, stars in all).

        Raises:
            WeakFormError: too few stars for the equations.
            PotentialError: the constrained problem has no solution.
        """
        start = time.perf_counter()
        chosen = choose_functions(sample) if functions is None else functions
        selection = SelectionTerms(sample.volume, self.selection_degree) if self.selection_degree else None
        equations = Equations(chosen, dictionary, selection)
        unknowns = Unknowns.of(equations, self.pattern_speed, self.local_prior)
        reference = self._pilot(sample, equations, unknowns, seed)
        groups = Groups.draw(len(sample), self.groups, self.folds, seed)
        system = System.of(sum_rows(sample, equations, groups, reference, progress), self.min_stars)
        return WeakFit.of(equations, unknowns, system, len(sample), time.perf_counter() - start)

    def _pilot(self, sample: StarSample, equations: Equations, unknowns: Unknowns, seed: int) -> Reference:
        """A fit to some of the stars whose rows are weighted by their numbers of stars."""
        some = min(len(sample), max(_PILOT_STARS, int(_PILOT_SHARE * len(sample))))
        index = np.random.default_rng(seed).choice(len(sample), some, replace=False)
        rows = sum_rows(sample.take(index), equations, Groups.draw(some, 1, 1, seed))
        seen = rows.stars > 0
        weight = 1.0 / np.sqrt(rows.stars[seen])
        columns = [rows.A[0][seen] * weight[:, None]]
        if unknowns.pattern_speed is None:
            columns.append(rows.d[0][seen, None] * weight[:, None])
        M = np.concatenate(columns, axis=1)
        b = rows.b[0][seen] + (unknowns.pattern_speed or 0.0) * rows.d[0][seen]
        solution = nonnegative_fit(M.T @ M, -M.T @ (b * weight), unknowns.positive, unknowns.precision)
        c = solution.coefficients
        reference = Reference(c, unknowns.pattern_speed or 0.0, self.draws, seed)
        if unknowns.pattern_speed is None:
            reference = replace(reference, coefficients=c[:-1], pattern_speed=float(c[-1]))
        return reference
