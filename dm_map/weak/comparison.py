"""Nested models compared on stars that they were not fitted to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce

import numpy as np
from astropy.table import Table
from jaxtyping import Float, Int

from dm_map.errors import WeakFormError
from dm_map.potential import Component, Dictionary, GalaComponent, galactic_dictionary
from dm_map.stars import StarSample
from dm_map.volume import Ball
from dm_map.weak.fit import WeakForm
from dm_map.weak.functions import TestFunctions
from dm_map.weak.result import WeakFit
from dm_map.weak.unknowns import Unknowns

__all__ = ["Comparison", "Step", "compare", "nested_dictionaries"]

# Dark discs: scale lengths and heights beyond those of the stellar discs, kpc.
_DARK_DISCS = ((2.5, 1.5), (2.5, 2.5), (3.5, 1.5), (3.5, 2.5))
# Draws of the null hypothesis, each as many fits as there are folds.
_NULL_DRAWS = 60


def nested_dictionaries(volume: Ball) -> dict[str, Dictionary]:
    """From the baryons alone to a dark disc, each with all components of the one before.

    "disc only": discs and bulges of `galactic_dictionary`, their masses free. "+ halo": its spherical haloes.
    "+ flattening": its flattened and prolate ones. "+ dark disc": discs of height 1.5 and 2.5 kpc.
    """
    whole = galactic_dictionary(volume)
    baryons = whole.in_layer("baryons")
    round_halo = np.array(
        [
            isinstance(c, GalaComponent) and c.kind != "miyamoto-nagai" and len(c.parameters) == 1
            for c in whole.components
        ]
    )
    discs = tuple(_dark_disc(h_R, h_z) for h_R, h_z in _DARK_DISCS)
    return {
        "disc only": whole.subset(baryons),
        "+ halo": whole.subset(baryons | round_halo),
        "+ flattening": whole,
        "+ dark disc": whole + Dictionary(discs, volume),
    }


def _is_round(component: Component) -> bool:
    """Whether it has a scale radius and nothing else."""
    return isinstance(component, GalaComponent) and len(component.parameters) == 1


def _dark_disc(h_R: float, h_z: float) -> GalaComponent:
    name = f"halo: dark disc h_R={h_R:g} h_z={h_z:g}"
    return GalaComponent(name, "halo", "exponential disc", (("h_R", h_R), ("h_z", h_z)))


@dataclass(frozen=True)
class Step:
    """A model against the one before it.

    Attributes:
        model: Its name.
        components: Number of its components.
        log_likelihood: Of the held-out rows, up to a constant that all models share.
        gain: Difference to the model before; NaN for the first.
        error: Its standard deviation from the noise of the held-out rows; NaN for the first.
        p_value: Probability of such a gain if the model before were true, by refits to noise; NaN for the
            first.
    """

    model: str
    components: int
    log_likelihood: float
    gain: float
    error: float
    p_value: float


@dataclass(frozen=True)
class Comparison:
    """Models in the order given."""

    steps: tuple[Step, ...]
    folds: int
    draws: int

    def to_table(self) -> Table:
        """One row per model."""
        names = ("model", "components", "log_likelihood", "gain", "error", "p_value")
        return Table({name: [getattr(step, name) for step in self.steps] for name in names})

    def sentence(self) -> str:
        """What each step brings."""
        said = []
        for before, step in zip(self.steps, self.steps[1:], strict=False):
            verb = "predicts" if step.p_value < 0.05 else "does not predict"
            said.append(
                f"{step.model!r} {verb} held-out stars better than {before.model!r}: gain of "
                f"{step.gain:.1f} +- {step.error:.1f} in ln L, p = {step.p_value:.2g}"
            )
        least = 1.0 / (self.draws + 1)
        return f"{'; '.join(said)} ({self.folds} folds, {self.draws} draws, p is {least:.2g} at the least)."


def compare(
    sample: StarSample,
    dictionaries: Mapping[str, Dictionary],
    functions: TestFunctions | None = None,
    *,
    recipe: WeakForm | None = None,
    draws: int = _NULL_DRAWS,
    seed: int,
) -> Comparison:
    """Fit every model to all folds of stars but one and judge it by the rows of that one.

    ln L = -1/2 |M c - y|^2 of the held-out stars' combined, whitened equations (see `dm_map.weak.system`) at
    the coefficients of the others. They are the combinations through which components show at all. Over all
    rows a model with too weak a field would win: its residuals are less noisy, and many rows add that up.
    Weights of the combinations come from other folds, so no stars weigh themselves.

    Args:
        sample: The stars.
        dictionaries: Models by name, in order of growing freedom.
        functions: Test functions; chosen from the sample where None.
        recipe: How to fit.
        draws: Fits to the smaller model with noise of the rows, for the p-values.
        seed: Of folds and signs.

    Raises:
        WeakFormError: fewer than two models, or a recipe with fewer than 20 draws or 3 folds.
    """
    chosen = WeakForm() if recipe is None else recipe
    if len(dictionaries) < 2 or chosen.folds < 3 or chosen.draws < max(20, 2 * chosen.folds):
        raise WeakFormError(
            "a comparison needs two models, three folds, and draws for its noise (20, and twice the folds); "
            f"got {len(dictionaries)} models, {chosen.folds} folds, {chosen.draws} draws"
        )
    whole = chosen.fit(sample, _union(dictionaries), functions, seed=seed)
    trial, union = _Trial.of(whole, chosen.folds), whole.equations.dictionary
    columns = [np.array([union.names.index(n) for n in one.names]) for one in dictionaries.values()]
    models = [_Model(some, _unknowns_of(whole, some)) for some in columns]
    fits = [trial.fits(model, trial.y) for model in models]
    likelihood = [trial.log_likelihood(model, c, trial.y) for model, c in zip(models, fits, strict=True)]
    steps = []
    for k, (name, dictionary) in enumerate(dictionaries.items()):
        gain, error, p_value = (np.nan,) * 3
        if k:
            gain = likelihood[k] - likelihood[k - 1]
            error = trial.error(models[k - 1], fits[k - 1], models[k], fits[k])
            null = trial.null_gains(models[k - 1], fits[k - 1], models[k], draws, seed + k)
            p_value = (1 + int(np.sum(null >= gain))) / (1 + draws)
        steps.append(Step(name, len(dictionary), likelihood[k], gain, error, p_value))
    return Comparison(tuple(steps), chosen.folds, draws)


def _union(dictionaries: Mapping[str, Dictionary]) -> Dictionary:
    """Every component once."""

    def join(one: Dictionary, two: Dictionary) -> Dictionary:
        new = [k for k, name in enumerate(two.names) if name not in one.names]
        return one + two.subset(new) if new else one

    return reduce(join, dictionaries.values())


def _unknowns_of(fit: WeakFit, columns: Int[np.ndarray, " k"]) -> Unknowns:
    """Of some columns, at the pattern speed of the fit; fewer components may each carry more of the field."""
    every, positive = fit.unknowns, fit.unknowns.positive[columns]
    fewer = positive.sum() / max(1, every.positive.sum())
    precision = every.precision[columns] * np.where(positive, fewer**2, 1.0)
    constraints = None
    if every.constraints is not None and not np.all(positive):
        constraints = every.constraints[:, columns]
    return Unknowns(positive, precision, constraints, fit.pattern_speed)


@dataclass(frozen=True, eq=False)
class _Model:
    """Columns of the union and unknowns of one model."""

    columns: Int[np.ndarray, " k"]
    unknowns: Unknowns


@dataclass(frozen=True, eq=False)
class _Trial:
    """The combined equations M c = y of each fold, scaled to noise of unit variance in every fold."""

    M: Float[np.ndarray, "f w k"]
    y: Float[np.ndarray, "f w"]
    noise: Float[np.ndarray, "w draws"]

    @classmethod
    def of(cls, fit: WeakFit, folds: int) -> _Trial:
        fold, scale = np.arange(len(fit.system.rows.b)) % folds, np.sqrt(folds)
        parts = [fit.system.equations(fit.pattern_speed, (fold == f).astype(float)) for f in range(folds)]
        M, y = (np.stack([part[k] for part in parts]) for k in (0, 1))
        return cls(scale * M, scale * y, fit.system.noise())

    def fits(self, model: _Model, y: Float[np.ndarray, "f w"]) -> Float[np.ndarray, "f k"]:
        """Coefficients without each fold."""
        out, M = [], self.M[:, :, model.columns]
        for held in range(len(y)):
            rest = np.arange(len(y)) != held
            # The sum of the others' equations, scaled back to unit variance.
            scale = 1.0 / np.sqrt(rest.sum())
            solved = model.unknowns.solve(scale * M[rest].sum(axis=0), scale * y[rest].sum(axis=0))
            out.append(solved.coefficients)
        return np.stack(out)

    def predicted(self, model: _Model, c: Float[np.ndarray, "f k"]) -> Float[np.ndarray, "f w"]:
        """M c of each fold at the coefficients of the others."""
        return np.einsum("fwk,fk->fw", self.M[:, :, model.columns], c)

    def log_likelihood(self, model: _Model, c: np.ndarray, y: np.ndarray) -> float:
        return -0.5 * float(np.sum((y - self.predicted(model, c)) ** 2))

    def error(self, before: _Model, c: np.ndarray, after: _Model, better: np.ndarray) -> float:
        """The gain is linear in the held-out noise, with the difference of the predictions as its slope."""
        return float(np.linalg.norm(self.predicted(after, better) - self.predicted(before, c)))

    def null_gains(
        self, before: _Model, c: np.ndarray, after: _Model, draws: int, seed: int
    ) -> Float[np.ndarray, " draws"]:
        """Gains where the smaller model is true: its mean fit, with other noise in every fold."""
        rng, truth = np.random.default_rng(seed), c.mean(axis=0)
        expected = self.M[:, :, before.columns] @ truth
        gains = []
        for _ in range(draws):
            picked = rng.choice(self.noise.shape[1], len(expected), replace=False)
            y = expected + self.noise[:, picked].T * rng.choice([-1.0, 1.0], (len(expected), 1))
            one, two = (self.log_likelihood(model, self.fits(model, y), y) for model in (before, after))
            gains.append(two - one)
        return np.array(gains)
