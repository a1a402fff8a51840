"""The weak form on a mock galaxy, measured: accelerations, densities, intervals, time and memory."""

from __future__ import annotations

import resource
import time
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from density import child_seed
from dm_map.mocks import Mock
from dm_map.potential import Dictionary, free_form_layer, galactic_dictionary
from dm_map.stars import StarSample
from dm_map.volume import Ball
from dm_map.weak import TestFunctions, WeakFit, WeakForm

__all__ = ["HEIGHTS", "WeakResult", "density_points", "judged_at", "run_weak"]

#: Heights above the Sun's place at which the density is judged, kpc.
HEIGHTS = (0.0, 0.5, 1.0, 1.5, 2.0)

_USED_WITHIN = 0.75


def judged_at(volume: Ball, n: int = 400) -> Float[np.ndarray, "n 3"]:
    """Positions uniform in three quarters of the radius: the same for all methods and draws."""
    return volume.within(_USED_WITHIN * volume.radius * (1 - 1e-9)).uniform(n, 5)


def density_points(volume: Ball) -> Float[np.ndarray, "p 3"]:
    """Above and below the centre of the volume at `HEIGHTS` from the plane."""
    x, y, _ = volume.centre
    return np.array([[x, y, sign * z] for z in HEIGHTS for sign in (1.0, -1.0)])


@dataclass(frozen=True, eq=False)
class WeakResult:
    """One fit and how it compares with the truth.

    Attributes:
        sample: The stars.
        fit: The fit.
        errors: |da|/|a| at `judged_at`.
        rho: Ratio of the density to the true one at `HEIGHTS`, mean of both sides of the plane.
        inside: Share of components of a, and of densities, inside their 68 % intervals.
        seconds: Wall clock of the fit and its draws.
        cpu_seconds: Processor time.
        gigabytes: Peak memory of the process so far.
    """

    sample: StarSample
    fit: WeakFit
    errors: Float[np.ndarray, " n"]
    rho: Float[np.ndarray, " h"]
    inside: float
    seconds: float
    cpu_seconds: float
    gigabytes: float


def run_weak(
    mock: Mock,
    stars: int,
    seed: int,
    *,
    form: WeakForm | None = None,
    free_form: bool = False,
    dictionary: Dictionary | None = None,
    functions: TestFunctions | None = None,
) -> WeakResult:
    """Draw stars, fit, compare."""
    sample = mock.sample(stars, child_seed(seed, "stars"))
    started, used = time.perf_counter(), time.process_time()
    components = dictionary or galactic_dictionary(sample.volume)
    if free_form:
        components = components + free_form_layer(sample.volume)
    recipe = form or WeakForm(pattern_speed=mock.pattern_speed)
    fit = recipe.fit(sample, components, functions, seed=child_seed(seed, "fit"))
    potential = fit.potential
    seconds, processor = time.perf_counter() - started, time.process_time() - used
    x, heights = judged_at(sample.volume), density_points(sample.volume)
    truth, density = mock.acceleration(x), mock.density(heights)
    errors = np.linalg.norm(potential.acceleration(x) - truth, axis=1) / np.linalg.norm(truth, axis=1)
    inside = np.nan
    if potential.members is not None:
        within = [_inside(potential.member_accelerations(x), truth).ravel()]
        within.append(_inside(potential.member_densities(heights), density).ravel())
        inside = float(np.mean(np.concatenate(within)))
    ratio = (potential.density(heights) / density).reshape(-1, 2).mean(axis=1)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return WeakResult(sample, fit, errors, ratio, inside, seconds, processor, peak)


def _inside(members: Float[np.ndarray, "m *rest"], truth: Float[np.ndarray, "*rest"]) -> np.ndarray:
    low, high = np.quantile(members, [0.16, 0.84], axis=0)
    return (low <= truth) & (truth <= high)
