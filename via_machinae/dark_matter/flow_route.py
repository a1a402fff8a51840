"""The flow method in a run: ensemble, potential on its scores, pointwise accelerations, diagnostics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from density import child_seed
from dm_map.diagnostics import DiagnosticSettings, diagnose
from dm_map.flows import FlowEnsemble, PhaseSpaceFlow, draw_scores, fit_ensemble, pointwise_accelerations
from dm_map.maps import AccelerationMap
from dm_map.potential import LinearPotential, load_potential, potential_from_scores, save_potential
from dm_map.stars import StarSample
from via_machinae.dark_matter.directory import MapRun
from via_machinae.dark_matter.grid import MapGrid
from via_machinae.dark_matter.settings import MapSettings
from via_machinae.dark_matter.tables import write_table
from via_machinae.dark_matter.weak_route import dictionary_of
from via_machinae.terminal import console, rate_bar

__all__ = ["flow_potential", "flow_recipe", "flow_steps", "split_stars"]

# Points of phase space at which the scores meet the potential, and velocities at each place.
_PLACES, _VELOCITIES = 20_000, 1
# Stars kept from the training for the diagnostics: a tenth, within these limits.
_FEWEST_HELD, _MOST_HELD = 1_000, 20_000


def flow_recipe(settings: MapSettings) -> PhaseSpaceFlow:
    """The recipe of each flow."""
    recipe = PhaseSpaceFlow(use_within=settings.use_within / settings.radius)
    if settings.epochs is None:
        return recipe
    return replace(
        recipe,
        position=replace(recipe.position, epochs=settings.epochs),
        velocity=replace(recipe.velocity, epochs=settings.epochs),
    )


def split_stars(sample: StarSample, seed: int) -> tuple[StarSample, StarSample]:
    """Stars to train on, and stars held out for the diagnostics."""
    held = int(np.clip(len(sample) // 10, min(_FEWEST_HELD, len(sample) // 2), _MOST_HELD))
    order = np.random.default_rng(child_seed(seed, "held out")).permutation(len(sample))
    return sample.take(np.sort(order[held:])), sample.take(np.sort(order[:held]))


def flow_steps(
    run: MapRun, settings: MapSettings, stars: Callable[[], StarSample], grid: MapGrid, workers: int
) -> dict[str, Any]:
    """Train, fit and judge; what is finished is not done again.

    Args:
        run: The run.
        settings: Its settings.
        stars: Gives the sample, if it is needed.
        grid: Where pointwise accelerations are wanted.
        workers: Processes of the training.

    Raises:
        DmMapError: too few stars, or a step failed.
    """
    names = ("flow-potential", "flow-pointwise", "flow-diagnostics")
    trained: list[tuple[FlowEnsemble, StarSample, StarSample]] = []

    def flows() -> tuple[FlowEnsemble, StarSample, StarSample]:
        if not trained:
            trained.append(_train(run, settings, stars(), workers))
        return trained[0]

    steps = (
        lambda: _fit(run, settings, flows()[0]),
        lambda: _pointwise(run, settings, flows()[0], grid),
        lambda: _diagnose(run, settings, *flows()),
    )
    facts: dict[str, Any] = {}
    for name, make in zip(names, steps, strict=True):
        if not run.done(name):
            console.print(f"{name.replace('-', ': ', 1)} ...")
        facts |= run.step(name, make)
    return facts


def flow_potential(run: MapRun) -> LinearPotential:
    """The potential that `flow_steps` wrote."""
    return load_potential(run.file("flow", "potential.json"))


def _train(
    run: MapRun, settings: MapSettings, sample: StarSample, workers: int
) -> tuple[FlowEnsemble, StarSample, StarSample]:
    training, held_out = split_stars(sample, settings.seed)
    with rate_bar("flows trained", "") as show:
        ensemble = fit_ensemble(
            training,
            flow_recipe(settings),
            settings.flows,
            seed=settings.seed,
            bootstrap=True,
            directory=run.file("flow", "ensemble"),
            workers=workers,
            progress=lambda done, total: show(done, total, 0),
        )
    return ensemble, training, held_out


def _fit(run: MapRun, settings: MapSettings, ensemble: FlowEnsemble) -> dict[str, Any]:
    scores = draw_scores(ensemble, _PLACES, velocities=_VELOCITIES, seed=child_seed(settings.seed, "scores"))
    pattern_speed = "fit" if settings.pattern_speed is None else settings.pattern_speed
    fit = potential_from_scores(scores, dictionary_of(settings, ensemble.volume), pattern_speed=pattern_speed)
    save_potential(fit.potential, run.file("flow", "potential.json"), overwrite=True)
    return {
        "flows": len(ensemble),
        "residual": fit.residual,
        "member_residuals": fit.member_residuals.tolist(),
        "pattern_speed": float(fit.potential.pattern_speed),
        "member_pattern_speeds": fit.member_pattern_speeds.tolist(),
    }


def _pointwise(run: MapRun, settings: MapSettings, ensemble: FlowEnsemble, grid: MapGrid) -> dict[str, Any]:
    """Equation (2) position by position, without a potential; for a frame at rest only."""
    if settings.pattern_speed != 0.0:
        return {"pointwise": "not made: equation (2) is solved in a frame at rest"}
    found = pointwise_accelerations(ensemble, grid.meridional, seed=child_seed(settings.seed, "pointwise"))
    made = AccelerationMap(
        found.x, found.members, ("bootstrap",) * len(found.members), method="flow, pointwise"
    )
    for suffix in (".fits", ".ecsv"):
        made.write(run.file("flow", "maps", f"acceleration_pointwise{suffix}"), overwrite=True)
    return {
        "pointwise_residual": float(np.median(found.mean_residual)),
        "pointwise_condition": float(np.median(found.condition)),
    }


def _diagnose(
    run: MapRun, settings: MapSettings, ensemble: FlowEnsemble, training: StarSample, held_out: StarSample
) -> dict[str, Any]:
    potential = flow_potential(run)
    report = diagnose(
        ensemble,
        held_out,
        stars=training,
        field=potential,
        settings=DiagnosticSettings(
            use_within=settings.use_within / settings.radius, pattern_speed=potential.pattern_speed
        ),
        seed=child_seed(settings.seed, "diagnostics"),
    )
    write_table(report.to_table(), run.file("flow", "diagnostics.ecsv"))
    run.write_text(str(report) + "\n", "flow", "diagnostics.txt")
    failed = [check.name for check in report.failed]
    return {"diagnostics_passed": report.passed, "diagnostics_failed": failed, "diagnostics": len(report)}
