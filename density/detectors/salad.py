"""SALAD: a simulation, reweighted to the data in the sidebands, is the background (arXiv 2001.05001)."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from density.classifiers import BoostedTrees, Classifier, FittedClassifier
from density.detectors.contract import WindowedRows, check_rows
from density.detectors.crossfit import folds_of
from density.detectors.two_sample import FittedTwoSample, classify_against, with_resonant
from density.errors import DetectorError
from density.mlp import Mlp
from density.seeds import child_seed
from density.windows import Window

__all__ = ["FittedSalad", "Salad", "SidebandWeights", "simulation_rows"]


def simulation_rows(
    simulation: tuple[Float[np.ndarray, "s d"], Float[np.ndarray, " s"]],
    window: Window,
    *,
    features: int,
    margin: float,
    reach: float | None,
    minimum: int,
) -> WindowedRows:
    """Simulated rows, checked, sorted and split.

    Args:
        simulation: Features, shape (s, d), and resonant feature, shape (s,).
        window: The signal region.
        features: Number of features of the data.
        margin: See `Window.sidebands`.
        reach: See `Window.sidebands`.
        minimum: Fewest rows wanted in the window, and in the sidebands.

    Raises:
        DetectorError: too few simulated rows, or other features than the data's.
        FeatureError: wrong shapes, or values that are not finite.
    """
    x, m = check_rows(*simulation)
    if x.shape[1] != features:
        raise DetectorError(f"expected simulated rows of {features} features; got {x.shape[1]}")
    rows = WindowedRows.of(x, m, window, margin=margin, reach=reach, minimum=0)
    if min(rows.inside.sum(), rows.beside.sum()) < minimum:
        raise DetectorError(
            f"expected {minimum} simulated rows or more in the window [{window.low}, {window.high}) and in"
            f" its sidebands; got {rows.inside.sum()} and {rows.beside.sum()} of {len(m)}"
        )
    return rows


@dataclass(frozen=True, eq=False)
class SidebandWeights:
    """Weights that turn simulated rows into data, learned where there is no signal.

    Args:
        classifier: Data against simulation in the sidebands; its last column is m.
        low: Smallest ln weight of a simulated row of the sidebands.
        high: Largest.
    """

    classifier: FittedClassifier
    low: float
    high: float

    @classmethod
    def learn(
        cls, recipe: Classifier, data: WindowedRows, simulation: WindowedRows, *, seed: int
    ) -> SidebandWeights:
        """The weights from both sidebands.

        Args:
            recipe: Recipe of the classifier.
            data: Rows of the data.
            simulation: Rows of the simulation.
            seed: Root of its random streams.
        """
        known, simulated = (with_resonant(r.x[r.beside], r.m[r.beside], True) for r in (data, simulation))
        labels = np.arange(len(known) + len(simulated)) < len(known)
        fitted = recipe.fit(np.concatenate([known, simulated]), labels, seed=seed)
        seen = fitted.log_odds(simulated)
        return cls(fitted, float(seen.min()), float(seen.max()))

    def __call__(self, x: Float[np.ndarray, "n d"], m: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """p_data(x, m) / p_simulation(x, m) up to a factor, no further out than the sidebands reach.

        Args:
            x: Features, shape (n, d).
            m: Resonant feature, shape (n,).
        """
        return np.exp(np.clip(self.classifier.log_odds(with_resonant(x, m, True)), self.low, self.high))


@dataclass(frozen=True, eq=False)
class Salad:
    """Simulation Assisted Likelihood-free Anomaly Detection.

    A classifier between data and simulation in the sidebands, with m among its features, gives weights
    w(x, m) = p_data / p_simulation; in the window they are interpolated in m. A second classifier tells the
    window's data from the weighted simulation there. Where the simulation has no rows, no weight helps.

    Args:
        sim_x: Features of simulated background, shape (s, d), in the window and in the sidebands.
        sim_m: Their resonant feature, shape (s,).
        classifier: Recipe of the classifier in the window.
        reweighter: Recipe of the classifier in the sidebands. It must interpolate in m: a network does; trees
            are constant between the sidebands, with a step in the middle.
        folds: Folds of the cross-fitting.
        see_resonant: Let the classifier in the window see m too.
        margin: Gap between window and sidebands; see `Window.sidebands`.
        reach: Outer edge of the sidebands; None: all other rows.
        minimum: Fewest rows in the window, and in the sidebands, of data and of simulation; and the fewest
            that the weighted simulation must be worth in the window.
    """

    sim_x: Float[np.ndarray, "s d"]
    sim_m: Float[np.ndarray, " s"]
    classifier: Classifier = field(default_factory=BoostedTrees)
    reweighter: Classifier = field(default_factory=lambda: Mlp(batch_size=1024))
    folds: int = 5
    see_resonant: bool = False
    margin: float = 0.0
    reach: float | None = None
    minimum: int = 500

    def fit(
        self, x: Float[np.ndarray, "n d"], m: Float[np.ndarray, " n"], window: Window, *, seed: int
    ) -> FittedSalad:
        """Learn the weights in the sidebands, then cross-fit the classifier in the window.

        Args:
            x: Features, shape (n, d), rows inside and outside the window.
            m: Resonant feature, shape (n,).
            window: The signal region.
            seed: Root of all random streams.

        Raises:
            DetectorError: too few rows of data or simulation, or weights so uneven that few of them count.
            FeatureError: wrong shapes, or values that are not finite.
            TrainingError: the network could not be trained.
        """
        edges = {"margin": self.margin, "reach": self.reach, "minimum": self.minimum}
        rows = WindowedRows.of(x, m, window, **edges)
        simulation = simulation_rows(
            (self.sim_x, self.sim_m), window, features=rows.x.shape[1], **edges
        )  # fmt: skip
        reweight = SidebandWeights.learn(
            self.reweighter, rows, simulation, seed=child_seed(seed, "reweighter")
        )
        x_in, m_in = rows.x[rows.inside], rows.m[rows.inside]
        x_sim, m_sim = simulation.x[simulation.inside], simulation.m[simulation.inside]
        weights = self._even_enough(reweight(x_sim, m_sim))
        fold_seed = child_seed(seed, "folds")
        log_ratio, classifiers = classify_against(
            self.classifier, with_resonant(x_in, m_in, self.see_resonant),
            with_resonant(x_sim, m_sim, self.see_resonant), folds=self.folds, seed=seed,
            data_folds=folds_of(x_in, m_in, folds=self.folds, seed=fold_seed),
            reference_folds=folds_of(x_sim, m_sim, folds=self.folds, seed=fold_seed),
            reference_weights=weights / weights.mean(),
        )  # fmt: skip
        scores = rows.in_caller_order(log_ratio)
        return FittedSalad(window, scores, classifiers, self.see_resonant, reweight=reweight)

    def _even_enough(self, weights: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        worth = weights.sum() ** 2 / (weights**2).sum()
        if worth < self.minimum:
            raise DetectorError(
                f"the {len(weights)} simulated rows of the window are worth {worth:.0f} after weighting,"
                f" expected {self.minimum} or more: the simulation is too unlike the data; simulate more, or"
                " move the simulation instead of weighting it (Feta)"
            )
        return weights


@dataclass(frozen=True, eq=False)
class FittedSalad(FittedTwoSample):
    """One classifier per fold between the window's rows and the weighted simulation.

    Args:
        window, out_of_fold, classifiers, see_resonant: as in `FittedTwoSample`.
        reweight: Weights of simulated rows as a function of x and m.
    """

    reweight: SidebandWeights = field(kw_only=True)
