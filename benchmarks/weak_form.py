"""The weak form on mock galaxies: errors against the number of stars, time and memory.

Part "accuracy": the isothermal-mixture Milky Way, several draws for each number of stars, and the slope of
the error. Part "outside": truths that no component of the dictionary resembles, without and with the
free-form layer; `p_value` is that of the test of equilibrium. Part "scale": ten million stars.
Medians over draws; |rho - 1| is relative to the true density at the place of the Sun and above and below it.
"""

from __future__ import annotations

import argparse

import numpy as np
import reporting
from _weak_route import HEIGHTS, WeakResult, run_weak

from density import child_seed
from dm_map.mocks import make_mock
from dm_map.weak import WeakForm
from dm_map.weak.equilibrium_check import check_equilibrium

__all__ = ["main"]

_OUTSIDE = ("triaxial", "disc-with-hole", "barred")


def main() -> None:
    """Run one part and report it."""
    options = reporting.arguments(__doc__.splitlines()[0], _extend)
    parts = {"accuracy": _accuracy, "outside": _outside, "scale": _scale}
    rows, figures = parts[options.part](options)
    reporting.report(f"weak_form_{options.part}", options, rows=rows, figures=figures)


def _extend(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--part", choices=("accuracy", "outside", "scale"), default="accuracy")
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--stars", type=float, nargs="+", default=None)


def _accuracy(options: argparse.Namespace) -> tuple[list[dict], dict]:
    numbers = [20_000] if options.quick else [int(n) for n in options.stars or (1e4, 1e5, 1e6)]
    draws = 2 if options.quick else options.draws
    mock = make_mock("milky-way")
    rows = []
    for stars in numbers:
        found = [run_weak(mock, stars, child_seed(options.seed, draw)) for draw in range(draws)]
        rows.append({"mock": mock.name, "stars": stars, "draws": draws, **_summary(found)})
        print(rows[-1], flush=True)
    figures = {}
    if len(rows) > 1:
        medians = np.log([row["median"] for row in rows])
        figures["slope"] = float(np.polyfit(np.log(numbers), medians, 1)[0])
    return rows, figures


def _outside(options: argparse.Namespace) -> tuple[list[dict], dict]:
    stars = 20_000 if options.quick else int((options.stars or [1e6])[0])
    draws = 1 if options.quick else options.draws
    rows = []
    for name in _OUTSIDE[: 1 if options.quick else 3]:
        mock = make_mock(name)
        for free_form in (False, True):
            found = [
                run_weak(mock, stars, child_seed(options.seed, draw), free_form=free_form)
                for draw in range(draws)
            ]
            row = {"mock": name, "free_form": str(free_form), "stars": stars, "draws": draws}
            rows.append({**row, **_summary(found), "p_value": None if free_form else _median_p(found)})
            print(rows[-1], flush=True)
    return rows, {}


def _median_p(found: list[WeakResult]) -> float:
    """Median over draws of the global p-value of the test of equilibrium."""
    return float(np.median([check_equilibrium(one.fit, one.sample, seed=1).p_value for one in found]))


def _scale(options: argparse.Namespace) -> tuple[list[dict], dict]:
    stars = 50_000 if options.quick else int((options.stars or [1e7])[0])
    found = run_weak(make_mock("milky-way"), stars, options.seed, form=WeakForm(draws=50))
    return [{"mock": "milky-way", "stars": stars, "draws": 1, **_summary([found])}], {}


def _summary(found: list[WeakResult]) -> dict[str, float]:
    """Medians over draws."""
    errors = np.array([[np.median(one.errors), np.quantile(one.errors, 0.9)] for one in found])
    rho = np.abs(np.array([one.rho for one in found]) - 1.0)
    far = [k for k, height in enumerate(HEIGHTS) if 1.0 <= height <= 2.0]
    return {
        "median": float(np.median(errors[:, 0])),
        "worst_draw": float(np.max(errors[:, 0])),
        "p90": float(np.median(errors[:, 1])),
        "rho_plane": float(np.median(rho[:, 0])),
        "rho_half_kpc": float(np.median(rho[:, 1])),
        "rho_1_to_2_kpc": float(np.median(rho[:, far].mean(axis=1))),
        "rho_1_to_2_kpc_worst": float(np.max(rho[:, far].mean(axis=1))),
        "coverage": float(np.mean([one.inside for one in found])),
        "parameters": float(np.median([one.fit.effective_parameters for one in found])),
        "seconds": float(np.median([one.seconds for one in found])),
        "cpu_seconds": float(np.median([one.cpu_seconds for one in found])),
        "gigabytes": float(np.max([one.gigabytes for one in found])),
    }


if __name__ == "__main__":
    main()
