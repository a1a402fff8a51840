"""FETA: a simulation, morphed into the data by a flow learned in the sidebands (arXiv 2212.11285)."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from density.classifiers import BoostedTrees, Classifier
from density.detectors.cathode import draw_resonant
from density.detectors.contract import WindowedRows, check_rows, declared_names
from density.detectors.crossfit import folds_of
from density.detectors.salad import simulation_rows
from density.detectors.transport import InvertibleDensity, nearest_rows, transport
from density.detectors.two_sample import FittedTwoSample, classify_against, with_resonant
from density.errors import DetectorError
from density.flow import ConditionalFlow
from density.flow_density import FlowDensity
from density.seeds import child_seed
from density.windows import Window

__all__ = ["Feta", "FittedFeta", "MorphedDensity"]

_SMALL = ConditionalFlow(layers=4, hidden=24)


@dataclass(frozen=True, eq=False)
class MorphedDensity:
    """A base density and what the data's rows look like in its latent space.

    Rows of the base follow a standard normal distribution there, the data's nearly: their density q(z | m) is
    easy, and p_data(x | m) = p_base(x | m) q(z | m) / N(z), z = z_base(x; m). A density like any other: it
    may serve as the background of CATHODE, R-ANODE or transport.

    Args:
        base: p_base(x | m), of a simulation.
        latent: q(z | m), of the data in the base's latent space.
    """

    base: InvertibleDensity
    latent: FlowDensity

    def log_prob(self, x: Float[np.ndarray, "n d"], m: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """ln p_data(x | m)."""
        z = self.base.to_latent(x, m)
        normal = -0.5 * (z * z).sum(axis=1) - 0.5 * z.shape[1] * np.log(2 * np.pi)
        return self.base.log_prob(x, m) + self.latent.log_prob(z, m) - normal

    def sample(self, m: Float[np.ndarray, " n"], *, seed: int) -> Float[np.ndarray, "n d"]:
        """One draw of x for each m."""
        return self.base.from_latent(self.latent.sample(m, seed=seed), m)

    def to_latent(self, x: Float[np.ndarray, "n d"], m: Float[np.ndarray, " n"]) -> Float[np.ndarray, "n d"]:
        """Coordinates in which the data are standard normal."""
        return self.latent.to_latent(self.base.to_latent(x, m), m)

    def from_latent(
        self, z: Float[np.ndarray, "n d"], m: Float[np.ndarray, " n"]
    ) -> Float[np.ndarray, "n d"]:
        """The inverse of `to_latent`."""
        return self.base.from_latent(self.latent.from_latent(z, m), m)


@dataclass(frozen=True, eq=False)
class Feta:
    """Flow-Enhanced Transportation for Anomaly detection.

    A first flow learns p_simulation(x | m) everywhere; a second one, conditional on m, is fitted to the
    sidebands' data with the first as its base density; in the window it turns simulated rows into data. Here
    the second flow acts in the first one's latent space, where a perfect simulation leaves it nothing to do:
    the likelihood it maximises is the paper's, and little is left to be interpolated across the window.

    The paper morphs the simulated rows of the window. Here the first flow knows m as well, so that their
    neighbours are brought along: all get new m, of the data's distribution in the window and in the order of
    their own. More rows are morphed, and a wrong spectrum of the simulation does no harm.

    Args:
        sim_x: Features of simulated background, shape (s, d), in the window and in the sidebands.
        sim_m: Their resonant feature, shape (s,).
        classifier: Recipe of the classifier.
        base: Recipe for the simulation's flow, or its density, known or fitted elsewhere.
        morph: Recipe for the data's flow in the base's latent space; small. Bounds are not its concern.
        oversampling: Morphed rows per row of the window, those nearest to it; at most all, none twice.
        folds: Folds of the cross-fitting.
        see_resonant: Let the classifier see m too.
        margin: Gap between window and sidebands; see `Window.sidebands`.
        reach: Outer edge of the sidebands; None: all other rows.
        minimum: Fewest rows in the window, and in the sidebands, of data and of simulation.
    """

    sim_x: Float[np.ndarray, "s d"]
    sim_m: Float[np.ndarray, " s"]
    classifier: Classifier = field(default_factory=BoostedTrees)
    base: ConditionalFlow | InvertibleDensity = field(default_factory=ConditionalFlow)
    morph: ConditionalFlow = _SMALL
    oversampling: int = 4
    folds: int = 5
    see_resonant: bool = False
    margin: float = 0.0
    reach: float | None = None
    minimum: int = 500

    def __post_init__(self) -> None:
        if self.oversampling < 1:
            raise DetectorError(f"expected oversampling of at least 1; got {self.oversampling}")
        if not isinstance(self.base, ConditionalFlow | InvertibleDensity):
            raise DetectorError(
                f"FETA needs a base with a latent space and a way back (to_latent, from_latent); got one of"
                f" type {type(self.base).__name__}"
            )
        if self.morph.bounds is not None:
            raise DetectorError(
                f"the morph acts on latent coordinates, which have no bounds; got {self.morph.bounds}"
            )

    def fit(
        self, x: Float[np.ndarray, "n d"], m: Float[np.ndarray, " n"], window: Window, *, seed: int
    ) -> FittedFeta:
        """Fit both flows, morph the simulation, and cross-fit the classifier.

        Args:
            x: Features, shape (n, d), rows inside and outside the window.
            m: Resonant feature, shape (n,).
            window: The signal region.
            seed: Root of all random streams.

        Raises:
            DetectorError: too few rows of data or simulation, or rows lost in the morphing.
            FeatureError: values not finite, outside their bounds, or constant.
            TrainingError: a flow could not be trained.
        """
        edges = {"margin": self.margin, "reach": self.reach, "minimum": self.minimum}
        rows = WindowedRows.of(x, m, window, names=declared_names(self.base), **edges)
        simulation = simulation_rows(
            (self.sim_x, self.sim_m), window, features=rows.x.shape[1], **edges
        )  # fmt: skip
        density = self._morphed(rows, simulation, seed)
        x_in, m_in = rows.x[rows.inside], rows.m[rows.inside]
        x_to, to = self._reference(density, simulation, m_in, window, seed)
        log_ratio, classifiers = classify_against(
            self.classifier, with_resonant(x_in, m_in, self.see_resonant),
            with_resonant(x_to, to, self.see_resonant), folds=self.folds, seed=seed,
            data_folds=folds_of(x_in, m_in, folds=self.folds, seed=child_seed(seed, "folds")),
        )  # fmt: skip
        scores = rows.in_caller_order(log_ratio)
        return FittedFeta(window, scores, classifiers, self.see_resonant, density=density)

    def _morphed(self, rows: WindowedRows, simulation: WindowedRows, seed: int) -> MorphedDensity:
        """Base from all of the simulation, morph from the data's sidebands."""
        base = self.base
        if isinstance(base, ConditionalFlow):
            used = simulation.inside | simulation.beside
            base = base.fit(simulation.x[used], simulation.m[used], seed=child_seed(seed, "base"))
        x, m = rows.x[rows.beside], rows.m[rows.beside]
        return MorphedDensity(base, self.morph.fit(base.to_latent(x, m), m, seed=child_seed(seed, "morph")))

    def _reference(
        self, density: MorphedDensity, simulation: WindowedRows, m_in: np.ndarray, window: Window, seed: int
    ) -> tuple[Float[np.ndarray, "k d"], Float[np.ndarray, " k"]]:
        """Morphed rows and their m."""
        used = np.flatnonzero(simulation.inside | simulation.beside)
        count = self.oversampling * len(m_in)
        source = used[nearest_rows(simulation.m[used], window, count, seed=child_seed(seed, "sources"))]
        x, m = simulation.x[source], simulation.m[source]
        to = np.empty(len(m))
        # Rank by rank: among all pairings of the two spectra the one that moves the rows least.
        to[np.argsort(m, kind="stable")] = np.sort(
            draw_resonant(m_in, window, len(m), seed=child_seed(seed, "resonant"))
        )
        return transport(density, x, m, to, start=density.base), to


@dataclass(frozen=True, eq=False)
class FittedFeta(FittedTwoSample):
    """One classifier per fold between the window's rows and the morphed simulation.

    Args:
        window, out_of_fold, classifiers, see_resonant: as in `FittedTwoSample`.
        density: p_background(x | m), which morphs the simulation.
    """

    density: MorphedDensity = field(kw_only=True)

    def morphed(
        self, x: Float[np.ndarray, "n d"], m: Float[np.ndarray, " n"], to: Float[np.ndarray, " n"]
    ) -> Float[np.ndarray, "n d"]:
        """Simulated rows turned into rows like the data's background at another m.

        Args:
            x: Simulated features, shape (n, d).
            m: Their resonant feature, shape (n,).
            to: The m' of the rows wanted, shape (n,).
        """
        to = np.asarray(to, dtype=np.float64)
        return transport(self.density, *check_rows(x, m), to, start=self.density.base)
