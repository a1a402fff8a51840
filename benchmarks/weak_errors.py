"""What errors of distance and velocity do to the weak form, and what is left of it after the correction.

A mock Milky Way observed from the Sun: distances with 10 %, velocities with 2 km/s. On the same stars, with
the same test functions: no errors; errors that nobody corrects; corrections of order 2 and 4 by quadrature,
and of order 4 by random draws (simulation and extrapolation). `paired` is the difference to the fit without
errors, from which most of the noise of the stars drops out.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import reporting
from _weak_truth import POINT_NAMES, Truth

from density.seeds import child_seed
from dm_map.mocks import SOLAR_BALL, ball_before_errors, milky_way, with_errors
from dm_map.potential import galactic_dictionary
from dm_map.weak import WeakForm, choose_functions
from dm_map.weak.measurement import ErrorCorrection
from dm_map.weak.result import WeakFit

__all__ = ["main"]

_CASES: dict[str, ErrorCorrection | None] = {
    "no errors": None,
    "uncorrected": None,
    "order 2": ErrorCorrection(order=2),
    "order 4": ErrorCorrection(order=4),
    "order 4, random": ErrorCorrection(order=4, method="random"),
}
_DARK = 2
# 1 <= z <= 2 kpc at the solar radius.
_HIGH = slice(2, 5)

# Ratios to the truth, shape (3, points); median |da|/|a|; reported error of rho_DM; seconds.
Outcome = tuple[np.ndarray, float, float, float]


def one_draw(
    seed: int, stars: int, cases: tuple[str, ...], errors: tuple[float, float]
) -> dict[str, Outcome]:
    """Each case on one draw of the stars."""
    observed, wide = milky_way(), milky_way(ball_before_errors(SOLAR_BALL, errors[0]))
    trial = wide.sample(20_000, child_seed(seed, "trial"))
    share = float(np.mean(SOLAR_BALL.contains(trial.x)))
    exact = wide.sample(int(stars / share), child_seed(seed, "stars"))
    sample = with_errors(
        exact,
        SOLAR_BALL,
        seed=child_seed(seed, "errors"),
        distance_error=errors[0],
        velocity_error=errors[1],
    )
    ball = ErrorCorrection(order=4).ball(sample)
    functions = choose_functions(sample.within(ball), volume=ball)
    dictionary, form, truth = galactic_dictionary(SOLAR_BALL), WeakForm(), Truth(observed)
    at = ball.within(0.9 * ball.radius).uniform(400, child_seed(seed, "positions"))
    expected = observed.acceleration(at)
    found = {}
    for case in cases:
        start, correction = time.process_time(), _CASES[case]
        fit: WeakFit
        if correction is None:
            used = exact.within(ball) if case == "no errors" else sample
            fit = form.fit(used, dictionary, functions, seed=seed)
        else:
            fit = replace(form, correction=correction).fit(sample, dictionary, functions, seed=seed)
        off = np.linalg.norm(fit.potential.acceleration(at) - expected, axis=1)
        median = float(np.median(off / np.linalg.norm(expected, axis=1)))
        ratios = truth.of_fit(fit.potential) / truth.values
        reported = float(
            np.mean(np.std(truth.of_members(fit.potential), axis=0)[_DARK, _HIGH] / truth.dark[_HIGH])
        )
        found[case] = ratios, median, reported, time.process_time() - start
    return found


def table(
    results: list[dict[str, tuple[np.ndarray, float, float, float]]],
) -> list[dict[str, reporting.Cell]]:
    """One row for each case: bias of rho_DM with its error, paired bias, scatter, |da|/|a|."""
    rows: list[dict[str, reporting.Cell]] = []
    exact = np.stack([result["no errors"][0] for result in results])
    for case in results[0]:
        ratios = np.stack([result[case][0] for result in results])
        high = ratios[:, _DARK, _HIGH].mean(axis=1)
        pairs = high - exact[:, _DARK, _HIGH].mean(axis=1)
        row: dict[str, reporting.Cell] = {"stars with": case}
        row["rho_DM bias, 1 to 2 kpc"] = float(np.mean(high) - 1)
        row["+-"] = _error_of_mean(high)
        row["paired"] = float(np.mean(pairs))
        row["+- "] = _error_of_mean(pairs)
        row["scatter"] = float(np.std(high, ddof=1)) if len(high) > 1 else None
        row["error reported"] = float(np.mean([result[case][2] for result in results]))
        row |= {
            f"rho_DM {name}": float(np.mean(ratios[:, _DARK, p]))
            for p, name in enumerate(POINT_NAMES)
            if p > 1
        }
        row["|da|/|a|"] = float(np.median([result[case][1] for result in results]))
        row["CPU s"] = float(np.mean([result[case][3] for result in results]))
        rows.append(row)
    return rows


def _error_of_mean(values: np.ndarray) -> float | None:
    return float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None


def main() -> Mapping[str, object]:
    """Run the draws and print the table."""

    def extend(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--draws", type=int, default=None, help="number of mocks (default 10; quick 2)")
        parser.add_argument("--stars", type=int, default=None, help="observed stars (default 1e6; quick 5e4)")
        parser.add_argument("--distance-error", type=float, default=0.1, help="relative (default 0.1)")
        parser.add_argument("--velocity-error", type=float, default=2.0, help="km/s (default 2)")
        parser.add_argument("--all", action="store_true", help="also order 4 by random draws")

    options = reporting.arguments(__doc__.split("\n")[0], extend)
    draws = options.draws or (2 if options.quick else 10)
    stars = options.stars or (50_000 if options.quick else 1_000_000)
    cases = tuple(_CASES)[: None if options.all else -1]
    errors = (options.distance_error, options.velocity_error)
    results = []
    for number in range(draws):
        results.append(one_draw(child_seed(options.seed, "draw", number), stars, cases, errors))
        reporting.print_table(table(results))
        print(flush=True)
    rows = table(results)
    biases = {str(row["stars with"]): row["rho_DM bias, 1 to 2 kpc"] for row in rows}
    figures = {"draws": draws, "stars": stars, "distance error": errors[0], "velocity error": errors[1]}
    figures |= {f"bias of rho_DM, {case}": bias for case, bias in biases.items()}
    return reporting.report("weak_errors", options, rows=rows, figures=figures)


if __name__ == "__main__":
    main()
