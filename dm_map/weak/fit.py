"""The weak form solved: a potential from stars, without an estimate of their density."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from dm_map.errors import WeakFormError
from dm_map.potential import Dictionary, nonnegative_fit
from dm_map.stars import StarSample
from dm_map.weak.corrected_rows import sum_corrected_rows
from dm_map.weak.functions import TestFunctions, choose_functions
from dm_map.weak.measurement import ErrorCorrection
from dm_map.weak.result import WeakFit
from dm_map.weak.rows import Progress, sum_rows
from dm_map.weak.selection_terms import SelectionTerms
from dm_map.weak.sums import Equations, Groups, Reference
from dm_map.weak.system import System
from dm_map.weak.unknowns import Unknowns

__all__ = ["WeakForm"]

# Stars of the first fit, whose potential only shapes the covariance.
_PILOT_SHARE, _PILOT_STARS, _PILOT_RIDGE, _PILOT_MIN_STARS = 0.05, 20_000, 1e-3, 30.0


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
        share: Sum of the prior standard deviations of all components, in units of the field.
        local_share: Prior standard deviation of each free-form term, in units of the field.
        correction: How errors of measurement are taken out; None neglects them.

    Raises:
        WeakFormError: groups are not a multiple of two or more folds, or draws are negative.
    """

    draws: int = 100
    groups: int = 25
    folds: int = 5
    min_stars: float = 100.0
    pattern_speed: float | None = 0.0
    selection_degree: int = 0
    share: float = 20.0
    local_share: float = 0.002
    correction: ErrorCorrection | None = None

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
        chosen = self._functions(sample) if functions is None else functions
        volume = chosen.space.volume
        selection = SelectionTerms(volume, self.selection_degree) if self.selection_degree else None
        equations = Equations(chosen, dictionary, selection)
        unknowns = Unknowns.of(equations, self.pattern_speed)
        reference = self._reference(sample, equations, unknowns, seed)
        unknowns = unknowns.with_prior(equations, reference.coefficients, self.share, self.local_share)
        groups = Groups.draw(len(sample), self.groups, self.folds, seed)
        if self.correction is None:
            rows = sum_rows(sample, equations, groups, reference, progress)
        else:
            rows = sum_corrected_rows(sample, equations, groups, self.correction, reference, progress)
        system = System.of(rows, self.min_stars)
        return WeakFit.of(equations, unknowns, system, len(sample), time.perf_counter() - start)

    def _functions(self, sample: StarSample) -> TestFunctions:
        """Test functions for the sample, in a smaller ball where errors scatter stars over the edge."""
        if self.correction is None:
            return choose_functions(sample)
        ball = self.correction.ball(sample)
        return choose_functions(sample.within(ball), volume=ball)

    def _reference(
        self, sample: StarSample, equations: Equations, unknowns: Unknowns, seed: int
    ) -> Reference:
        """A fit to some of the stars, where the covariance of all is taken: first roughly, then well.

        Errors of measurement bias it, which does not matter: it only shapes the covariance.
        """
        some = min(len(sample), max(_PILOT_STARS, int(_PILOT_SHARE * len(sample))))
        index = np.random.default_rng(seed).choice(len(sample), some, replace=False)
        pilot_stars = sample.take(index)
        rough = self._rough(pilot_stars, equations, unknowns, seed)
        known = unknowns.with_prior(equations, rough.coefficients, self.share, self.local_share)
        groups = Groups.draw(some, self.folds, self.folds, seed)
        system = System.of(sum_rows(pilot_stars, equations, groups, rough), _PILOT_MIN_STARS)
        solved = WeakFit.of(equations, known, system, some, 0.0).solved
        return Reference(solved.coefficients, solved.pattern_speed, self.draws, seed)

    def _rough(self, sample: StarSample, equations: Equations, unknowns: Unknowns, seed: int) -> Reference:
        """Least squares with rows weighted by their numbers of stars."""
        rows = sum_rows(sample, equations, Groups.draw(len(sample), 1, 1, seed))
        seen = rows.stars > 0
        weight = 1.0 / np.sqrt(rows.stars[seen])
        columns = [rows.A[0][seen] * weight[:, None]]
        if unknowns.pattern_speed is None:
            columns.append(rows.d[0][seen, None] * weight[:, None])
        M = np.concatenate(columns, axis=1)
        b = rows.b[0][seen] + (unknowns.pattern_speed or 0.0) * rows.d[0][seen]
        G = M.T @ M
        ridge = _PILOT_RIDGE * np.diag(G) + unknowns.precision
        solution = nonnegative_fit(G, -M.T @ (b * weight), unknowns.positive, ridge)
        c = solution.coefficients
        if unknowns.pattern_speed is None:
            return Reference(c[:-1], float(c[-1]))
        return Reference(c, unknowns.pattern_speed)
