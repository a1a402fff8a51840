"""The weak form in a run: fit, test, and keep what later steps need."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dm_map.potential import (
    Dictionary,
    LinearPotential,
    bars,
    free_form_layer,
    galactic_dictionary,
    load_potential,
    save_potential,
)
from dm_map.stars import StarSample
from dm_map.volume import Ball
from dm_map.weak import ErrorCorrection, WeakFit, WeakForm, selection_report
from dm_map.weak.equilibrium import equilibrium_map
from dm_map.weak.equilibrium_check import equilibrium_functions, refit
from dm_map.weak.goodness import goodness_of_fit
from via_machinae.dark_matter.directory import MapRun
from via_machinae.dark_matter.settings import MapSettings
from via_machinae.dark_matter.tables import write_table
from via_machinae.terminal import rate_bar

__all__ = ["dictionary_of", "weak_potential", "weak_steps"]

# With fewer draws the law of the residuals is not known.
_DRAWS_OF_A_TEST = 20


def dictionary_of(settings: MapSettings, volume: Ball) -> Dictionary:
    """Components of the potential; bars too where the frame turns, local terms where asked for."""
    dictionary = galactic_dictionary(volume)
    if settings.pattern_speed != 0.0:
        dictionary = dictionary + bars(volume)
    return dictionary + free_form_layer(volume) if settings.free_form else dictionary


def weak_steps(run: MapRun, settings: MapSettings, stars: Callable[[], StarSample]) -> dict[str, Any]:
    """Fit the weak form, then test the stars' equilibrium; what is finished is not done again.

    The rows of the fit do not see a streaming motion, so equilibrium is tested with functions made for it.

    Args:
        run: The run.
        settings: Its settings.
        stars: Gives the sample, if it is needed.

    Raises:
        DmMapError: too few stars, or no solution.
    """
    solved: list[WeakFit] = []

    def fit() -> WeakFit:
        if not solved:
            solved.append(_solve(settings, stars()))
        return solved[0]

    facts = run.step("weak-fit", lambda: _keep(run, fit(), settings.correct_errors))
    return facts | run.step("weak-equilibrium", lambda: _equilibrium(run, settings, fit(), stars()))


def weak_potential(run: MapRun) -> LinearPotential:
    """The potential that `weak_fit` wrote."""
    return load_potential(run.file("weak", "potential.json"))


def _solve(settings: MapSettings, sample: StarSample) -> WeakFit:
    recipe = WeakForm(
        draws=settings.draws,
        pattern_speed=settings.pattern_speed,
        selection_degree=int(settings.fit_selection),
        correction=ErrorCorrection() if settings.correct_errors else None,
    )
    dictionary = dictionary_of(settings, sample.volume)
    with rate_bar("weak form: equations", "stars") as show:
        return recipe.fit(
            sample, dictionary, seed=_seed(settings, 1), progress=lambda done, total: show(done, total, done)
        )


def _keep(run: MapRun, fit: WeakFit, corrected: bool) -> dict[str, Any]:
    save_potential(fit.potential, run.file("weak", "potential.json"), overwrite=True)
    return {**_facts(fit), "errors_corrected": corrected, **_tests(run, fit, "goodness")}


def _equilibrium(run: MapRun, settings: MapSettings, fit: WeakFit, sample: StarSample) -> dict[str, Any]:
    with rate_bar("test of equilibrium: equations", "stars") as show:
        again = refit(
            fit, sample, equilibrium_functions(sample), seed=_seed(settings, 2),
            progress=lambda done, total: show(done, total, done),
        )  # fmt: skip
    write_table(equilibrium_map(again, sample).to_table(), run.file("weak", "equilibrium_map.ecsv"))
    return _tests(run, again, "equilibrium")


def _seed(settings: MapSettings, use: int) -> int:
    """A seed for one use: random signs must know nothing of the seed that a mock was drawn with."""
    return int(np.random.SeedSequence([settings.seed, use]).generate_state(1)[0])


def _facts(fit: WeakFit) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "stars": fit.stars,
        "equations": int(fit.system.keep.sum()),
        "components": len(fit.equations.dictionary),
        "effective_parameters": float(fit.effective_parameters),
        "pattern_speed": float(fit.pattern_speed),
        "seconds": round(fit.seconds, 1),
    }
    selection = fit.equations.selection
    if selection is not None:
        facts["log_selection"] = {
            name: [float(value), float(error)]
            for name, value, error in zip(
                selection.names, fit.log_selection, fit.log_selection_error, strict=True
            )
        }
        if len(fit.draws) >= _DRAWS_OF_A_TEST:
            facts["selection"] = selection_report(fit).sentence
    return facts


def _tests(run: MapRun, fit: WeakFit, name: str) -> dict[str, Any]:
    draws = len(fit.draws)
    if draws < _DRAWS_OF_A_TEST:
        return {name: f"not tested: {draws} draws, {_DRAWS_OF_A_TEST} are the least", f"{name}_passed": None}
    found = goodness_of_fit(fit)
    write_table(found.to_table(), run.file("weak", f"{name}.ecsv"))
    return {name: found.sentence(), f"{name}_passed": found.passed, f"{name}_p_value": found.p_value}
