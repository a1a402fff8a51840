"""The flow route on a mock, measured: errors of pointwise accelerations and of Gauss-ball densities."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float

from density import child_seed
from dm_map.flows import (
    FlowEnsemble,
    PhaseSpaceFlow,
    fit_ensemble,
    pointwise_accelerations,
)
from dm_map.gravity import mean_density_in_ball
from dm_map.mocks import Mock
from dm_map.stars import StarSample

__all__ = ["flow_row", "query_points", "vector_errors"]

Cell = float | int | str | None

_INNER, _OUTER = 0.2, 4.0
_BALL_CENTRES, _BALL_ORDER = 40, 7


def query_points(mock: Mock, sample: StarSample, n: int, seed: int) -> Float[np.ndarray, "n 3"]:
    """Where the field is judged.

    Spheres in natural units: radii uniform in 0.2 < r < 4, directions isotropic (harder than at the stars,
    which crowd at small radii). Galaxies: uniform in three quarters of the volume's radius.
    """
    if mock.units.length:
        return sample.volume.within(0.75 * sample.volume.radius * (1 - 1e-9)).uniform(n, seed)
    rng = np.random.default_rng(seed)
    direction = rng.standard_normal((n, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    return rng.uniform(_INNER, _OUTER, (n, 1)) * direction


def vector_errors(
    found: Float[np.ndarray, "n 3"], truth: Float[np.ndarray, "n 3"]
) -> Float[np.ndarray, " n"]:
    """|a - truth| / |truth|."""
    return np.linalg.norm(found - truth, axis=1) / np.linalg.norm(truth, axis=1)


def flow_row(
    mock: Mock,
    stars: int,
    *,
    seed: int,
    members: int = 4,
    recipe: PhaseSpaceFlow | None = None,
    bootstrap: bool = False,
    workers: int = 1,
    directory: Path | None = None,
    positions: int = 300,
    velocities: int = 64,
    device: str = "cpu",
) -> dict[str, Cell]:
    """One row of benchmarks/accelerations.py: method "flow", pointwise accelerations.

    `coverage` is the share of vector components whose truth lies within one standard error (68 % if errors
    were complete): of seed members it is low by construction, they know the noise of training only.
    """
    sample = mock.sample(stars, child_seed(seed, "stars"))
    started, used = time.perf_counter(), _processor_seconds()
    ensemble = fit_ensemble(
        sample,
        recipe or PhaseSpaceFlow(),
        members,
        seed=child_seed(seed, "members"),
        bootstrap=bootstrap,
        workers=workers,
        directory=directory,
        device=device,
    )
    x = query_points(mock, sample, positions, child_seed(seed, "points"))
    found = pointwise_accelerations(ensemble, x, seed=child_seed(seed, "velocities"), velocities=velocities)
    seconds, processor = time.perf_counter() - started, _processor_seconds() - used
    truth = mock.acceleration(x)
    errors = vector_errors(found.value, truth)
    at_stars = _errors_at_stars(mock, ensemble, sample, positions, child_seed(seed, "at stars"))
    single = [float(np.median(vector_errors(one, truth))) for one in found.members]
    return {
        "mock": mock.name,
        "method": "flow",
        "stars": stars,
        "members": members,
        "median": float(np.median(errors)),
        "p90": float(np.quantile(errors, 0.9)),
        "rho_median": _density_error(mock, ensemble, x[:_BALL_CENTRES], child_seed(seed, "balls")),
        "coverage": None if members < 2 else float(np.mean(np.abs(found.value - truth) < found.error)),
        "seconds": seconds,
        "cpu_seconds": processor,
        "one_member": float(np.mean(single)),
        "median_at_stars": float(np.median(at_stars)),
        "p90_at_stars": float(np.quantile(at_stars, 0.9)),
        **_bias(found.value, truth),
    }


def _bias(found: np.ndarray, truth: np.ndarray) -> Mapping[str, float]:
    """Median of the error along the true acceleration: a common sign shows here."""
    size = np.linalg.norm(truth, axis=1)
    return {"bias": float(np.median(np.sum((found - truth) * truth, axis=1) / size**2))}


def _errors_at_stars(
    mock: Mock, ensemble: FlowEnsemble, sample: StarSample, positions: int, seed: int
) -> np.ndarray:
    """Errors where fresh stars are, in the part of space that `query_points` covers."""
    x = mock.sample(min(len(sample), 8 * positions), seed).x
    radius = np.linalg.norm(x, axis=1)
    inside = ensemble.usable.contains(x)
    x = x[inside if mock.units.length else inside & (radius > _INNER) & (radius < _OUTER)][:positions]
    return vector_errors(pointwise_accelerations(ensemble, x, seed=seed).value, mock.acceleration(x))


def _density_error(mock: Mock, ensemble: FlowEnsemble, x: np.ndarray, seed: int) -> float:
    """Median relative error of the mean density in balls of a radius of 1 kpc, or 0.4 r + 0.2 in spheres.

    Balls that reach beyond the usable part of the volume are left out.
    """
    errors = []
    for place, centre in enumerate(x):
        radius = 1.0 if mock.units.length else 0.2 + 0.4 * float(np.linalg.norm(centre))
        apart = np.linalg.norm(centre - np.asarray(ensemble.usable.centre))
        if apart + radius >= ensemble.usable.radius:
            continue

        def learned(at: np.ndarray, place: int = place) -> np.ndarray:
            return pointwise_accelerations(ensemble, at, seed=child_seed(seed, place), velocities=32).value

        found, truth = (
            mean_density_in_ball(field, centre[None], radius, order=_BALL_ORDER, units=mock.units)
            for field in (learned, mock.acceleration)
        )
        errors.append(abs(float(found[0] / truth[0]) - 1))
    return float(np.median(errors))


def _processor_seconds() -> float:
    """Of this process and of those it has waited for."""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system
