"""The test of equilibrium: functions made for it, and a fit whose covariance belongs to its potential."""

from __future__ import annotations

import time
from dataclasses import replace

from dm_map.stars import StarSample
from dm_map.volume import Ball
from dm_map.weak.functions import TestFunctions, choose_functions
from dm_map.weak.goodness import GoodnessOfFit, goodness_of_fit
from dm_map.weak.result import WeakFit
from dm_map.weak.rows import Progress, sum_rows
from dm_map.weak.sums import Groups, Reference
from dm_map.weak.system import System

__all__ = ["check_equilibrium", "equilibrium_functions", "refit"]

# Tapers in units of the dispersion with their degrees.
_TERMS = ((0.67, (0, 1)), (1.33, (0, 1, 2)), (2.67, (0, 1)))

# Effective number of stars that a test function needs.
_FEWEST_STARS = 300.0


def equilibrium_functions(sample: StarSample, volume: Ball | None = None) -> TestFunctions:
    """Coarse functions of position, with even degrees in velocity and with three tapers.

    For the test of equilibrium, not for the best potential: departures that matter are smooth, so few
    functions of position gather the most signal. Even degrees see streaming. The force that slow stars feel
    against that of fast stars sees a wrong selection: in a mixture of 60, 90 and 140 km/s (50, 30 and 20 %) a
    gradient g of ln S is a force of 4560, 5600 and 6980 (km/s)^2 g under tapers of 60, 120 and 240 km/s.

    Args:
        sample: The stars.
        volume: A ball inside that of the sample.

    Raises:
        WeakFormError: as `choose_functions`.
    """
    ball = sample.volume if volume is None else volume
    coarse = choose_functions(sample, spacing=ball.radius, layers=8, volume=ball)
    return replace(coarse, velocity=replace(coarse.velocity, terms=_TERMS))


def refit(
    fit: WeakFit,
    sample: StarSample,
    functions: TestFunctions | None = None,
    *,
    draws: int = 100,
    seed: int,
    progress: Progress | None = None,
) -> WeakFit:
    """Fit the same unknowns again, with the covariance of the rows taken at the first fit.

    The pilot that shapes the covariance of a first fit may be 10 % off. That costs the fit little, but a
    residual at one potential and a covariance at another make chi^2 too large, by several per cent.

    Args:
        fit: The first fit.
        sample: Its stars.
        functions: Test functions; those of the fit where None.
        draws: Sums with random signs.
        seed: Of groups and signs; another one than the sample was drawn with.
        progress: Called with (stars done, stars in all).

    Raises:
        WeakFormError: too few rows have enough stars.
    """
    start = time.perf_counter()
    equations = fit.equations if functions is None else replace(fit.equations, functions=functions)
    reference = Reference(fit.solved.coefficients, fit.pattern_speed, draws, seed)
    number, folds = len(fit.system.rows.b), len(fit.system.rows.covariance)
    groups = Groups.draw(len(sample), number, folds, seed)
    system = System.of(sum_rows(sample, equations, groups, reference, progress), _FEWEST_STARS)
    return WeakFit.of(equations, fit.unknowns, system, len(sample), time.perf_counter() - start)


def check_equilibrium(
    fit: WeakFit,
    sample: StarSample,
    functions: TestFunctions | None = None,
    *,
    seed: int,
    significance: float = 0.05,
) -> GoodnessOfFit:
    """Test whether stars are stationary in the fitted potential, with functions made for that purpose.

    Args:
        fit: A fit to these stars.
        sample: The stars.
        functions: Test functions; `equilibrium_functions` where None.
        seed: Of groups and random signs.
        significance: Probability that a good fit is flagged.

    Raises:
        WeakFormError: too few stars for the equations.
    """
    volume = fit.equations.functions.space.volume
    chosen = equilibrium_functions(sample, volume) if functions is None else functions
    return goodness_of_fit(refit(fit, sample, chosen, seed=seed), significance=significance)
