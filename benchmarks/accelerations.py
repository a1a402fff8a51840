"""Error of the acceleration and of the density against the number of stars, for every mock and method.

Methods: "weak" (the weak form, no density estimate), "flow" (equation 2 position by position on the scores of
an ensemble of flows), "steady flow" (the same, trained to obey the Boltzmann equation too), "flow potential"
(the global linear potential on the same scores). Columns: median and 90th percentile of |da|/|a|; median of
|drho/rho|, 1 to 2 kpc from the plane for "weak" and "flow potential", of means over balls for "flow"; share
of components in their 68 % interval; `floor`, what a gradient of ln n without any model allows. Positions:
0.2 < r < 4 in spheres, three quarters of the radius of the ball in galaxies. One row is one draw, for "weak"
the medians of five; rows of an earlier record are kept unless they are measured again, so that a campaign can
be made in parts.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import reporting
from _flow_route import flow_row, query_points
from _weak_route import density_points, judged_at, run_weak
from scipy.spatial import cKDTree

from density import ConditionalFlow, child_seed
from dm_map.flows import PhaseSpaceFlow, SteadyState, draw_scores, fit_ensemble
from dm_map.mocks import Mock, make_mock
from dm_map.potential import LinearPotential, galactic_dictionary, potential_from_scores
from dm_map.volume import Ball

__all__ = ["main"]

_GALAXIES = ("milky-way", "rotating-disc")
_SPHERES = ("plummer", "plummer-om", "hernquist")
_METHODS = ("weak", "flow", "steady flow", "flow potential")
_KEYS = ("mock", "method", "stars", "median", "p90", "rho_median", "coverage", "seconds", "cpu_seconds")
_SCORES = 40_000
_WEAK_DRAWS = 5


def main() -> None:
    """Measure what was asked for."""
    options = reporting.arguments(__doc__.splitlines()[0], _extend)
    rows = _earlier(options.json)
    for name in options.mock:
        for stars in [5000] if options.quick else [int(n) for n in options.stars]:
            for method in options.method:
                if method in ("flow", "steady flow") or name in _GALAXIES:
                    row = _row(make_mock(name), method, stars, options)
                    rows = [old for old in rows if _key(old) != _key(row)] + [row]
                    print({key: row[key] for key in _KEYS}, flush=True)
    rows = [row | {"floor": _floor(row, options.seed)} for row in sorted(rows, key=_key)]
    reporting.report("accelerations", options, rows=rows)


def _extend(parser: argparse.ArgumentParser) -> None:
    known = (*_SPHERES, *_GALAXIES)
    parser.add_argument("--mock", nargs="+", choices=known, default=["plummer", "milky-way"])
    parser.add_argument("--method", nargs="+", choices=_METHODS, default=list(_METHODS))
    parser.add_argument("--stars", type=float, nargs="+", default=[1e4, 1e5, 1e6])
    parser.add_argument("--members", type=int, default=4)
    parser.add_argument("--workers", type=int, default=1, help="processes that train members")


def _earlier(path: Path | None) -> list[dict]:
    return json.loads(path.read_text())["rows"] if path is not None and path.exists() else []


def _key(row: dict) -> tuple[str, str, int]:
    return row["mock"], row["method"], row["stars"]


def _floor(row: dict, seed: int) -> float:
    """Median of sigma^2 sqrt(12 / N_h) / (h |a|): a gradient of ln n from the N_h stars within h, no model.

    h is 1 kpc, or half a scale length of a sphere; sigma the dispersion of the sample along one axis.
    """
    mock = make_mock(row["mock"])
    sample = mock.sample(row["stars"], child_seed(seed, "stars"))
    h = 1.0 if mock.units.length else 0.5
    x = query_points(mock, sample, 200, seed)
    near = cKDTree(sample.x).query_ball_point(x, h, return_length=True)
    variance = float(np.mean(np.var(sample.v, axis=0)))
    strength = np.linalg.norm(mock.acceleration(x), axis=1)
    return float(np.median(variance * np.sqrt(12.0 / np.maximum(near, 1)) / h / strength))


def _row(mock: Mock, method: str, stars: int, options: argparse.Namespace) -> dict[str, reporting.Cell]:
    if method == "weak":
        return _weak(mock, stars, options.seed, 2 if options.quick else _WEAK_DRAWS)
    members, recipe = options.members, _recipe(stars)
    if method == "steady flow":
        recipe = replace(recipe, steady=SteadyState())
    if options.quick:
        members = 2
        flow = ConditionalFlow(layers=2, hidden=16, epochs=2)
        recipe = PhaseSpaceFlow(flow, flow)
    if method == "flow potential":
        return _flow_potential(mock, stars, options.seed, recipe, members, options.workers)
    row = flow_row(mock, stars, seed=options.seed, members=members, recipe=recipe, workers=options.workers)
    return {key: row[key] for key in _KEYS} | {"method": method}


def _recipe(stars: int) -> PhaseSpaceFlow:
    """The default; with ten times the stars a larger network in larger batches."""
    if stars < 500_000:
        return PhaseSpaceFlow()
    flow = ConditionalFlow(
        layers=8,
        hidden=96,
        epochs=5,
        batch_size=2048,
        learning_rate=1e-2,
        patience=None,
        validation_fraction=0.02,
    )
    return PhaseSpaceFlow(flow, flow)


def _weak(mock: Mock, stars: int, seed: int, draws: int) -> dict[str, reporting.Cell]:
    """Medians over draws: errors of one draw are alike all over the volume."""
    drawn = (run_weak(mock, stars, child_seed(seed, draw)) for draw in range(draws))
    found = [
        (
            float(np.median(one.errors)),
            float(np.quantile(one.errors, 0.9)),
            float(np.median(np.abs(one.rho[2:] - 1))),
            one.inside,
            one.seconds,
            one.cpu_seconds,
        )
        for one in drawn
    ]
    values = dict(zip(_KEYS[3:], np.median(found, axis=0).tolist(), strict=True))
    values["coverage"] = float(np.mean([one[3] for one in found]))
    return {"mock": mock.name, "method": "weak", "stars": stars, "draws": draws, **values}


def _flow_potential(
    mock: Mock, stars: int, seed: int, recipe: PhaseSpaceFlow, members: int, workers: int
) -> dict[str, reporting.Cell]:
    sample = mock.sample(stars, child_seed(seed, "stars"))
    started, used = time.perf_counter(), time.process_time()
    with tempfile.TemporaryDirectory() as directory:
        ensemble = fit_ensemble(
            sample,
            recipe,
            members,
            seed=child_seed(seed, "members"),
            bootstrap=True,
            workers=workers,
            directory=Path(directory),
        )
    scores = draw_scores(ensemble, _SCORES, seed=child_seed(seed, "scores"))
    potential = potential_from_scores(
        scores, galactic_dictionary(sample.volume), pattern_speed=mock.pattern_speed
    ).potential
    seconds, processor = time.perf_counter() - started, time.process_time() - used
    return {
        "mock": mock.name,
        "method": "flow potential",
        "stars": stars,
        **_judge(mock, potential, sample.volume),
        "seconds": seconds,
        "cpu_seconds": processor,
    }


def _judge(mock: Mock, potential: LinearPotential, volume: Ball) -> dict[str, float]:
    x, heights = judged_at(volume), density_points(volume)
    truth = mock.acceleration(x)
    errors = np.linalg.norm(potential.acceleration(x) - truth, axis=1) / np.linalg.norm(truth, axis=1)
    members = potential.member_accelerations(x)
    # Bootstrap members scatter like the fit itself would over other stars.
    inside = np.abs(potential.acceleration(x) - truth) < members.std(axis=0, ddof=1)
    rho = potential.density(heights) / mock.density(heights)
    return {
        "median": float(np.median(errors)),
        "p90": float(np.quantile(errors, 0.9)),
        "rho_median": float(np.median(np.abs(rho[4:] - 1))),
        "coverage": float(np.mean(inside)),
    }


if __name__ == "__main__":
    main()
