"""An autoencoder's reconstruction error: the unsupervised baseline, an outlier score and not a ratio."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from density.detectors.contract import WindowedRows, score_inside
from density.detectors.crossfit import cross_fit, folds_of
from density.errors import DetectorError
from density.seeds import child_seed
from density.small_networks import FittedNetworks, seeded_network, standardisation, train_network
from density.windows import Window

__all__ = ["Autoencoder", "FittedAutoencoder", "Reconstruction"]


@dataclass(frozen=True)
class Autoencoder:
    """Squeezes standardised features through a bottleneck; what comes out badly is an outlier.

    Trained on the window's rows alone: no sidebands, no background, no simulation. The score is the mean
    squared error of the reconstruction. It keeps the detectors' contract, so that a benchmark can treat all
    alike, but **it is not a log-ratio**: it says how rare a row is and not how over-dense its place, it is
    never negative, it depends on the features' coordinates, and it must not be averaged with log-ratios. A
    signal amid the background goes unseen, and outliers of the background pass for signal.

    Args:
        bottleneck: Units of the narrowest layer, fewer than features; None: half of the features.
        hidden: Units of the layer on either side.
        members: Networks whose errors are averaged. Each splits off its own validation rows.
        epochs: Most passes over the training rows.
        batch_size: Rows per step.
        learning_rate: Rate of AdamW.
        weight_decay: AdamW's decoupled decay.
        validation_fraction: Share of the rows held back for early stopping.
        patience: Epochs without a new best before a member stops; the best epoch's weights are kept.
        folds: Folds of the cross-fitting.
        minimum: Fewest rows in the window.
    """

    bottleneck: int | None = None
    hidden: int = 32
    members: int = 2
    epochs: int = 60
    batch_size: int = 256
    learning_rate: float = 3e-3
    weight_decay: float = 1e-4
    validation_fraction: float = 0.2
    patience: int = 6
    folds: int = 5
    minimum: int = 500

    def __post_init__(self) -> None:
        counts = (self.hidden, self.members, self.epochs, self.batch_size, self.patience)
        if min(counts) < 1 or (self.bottleneck is not None and self.bottleneck < 1):
            raise DetectorError(
                f"bottleneck, hidden, members, epochs, batch_size and patience must be at least 1; got {self}"
            )
        if not (0 < self.validation_fraction < 1 and self.learning_rate > 0 and self.weight_decay >= 0):
            raise DetectorError(
                f"expected 0 < validation_fraction < 1, learning_rate > 0, weight_decay >= 0; got {self}"
            )

    def fit(
        self, x: Float[np.ndarray, "n d"], m: Float[np.ndarray, " n"], window: Window, *, seed: int
    ) -> FittedAutoencoder:
        """Train on the window, cross-fitted.

        Args:
            x: Features, shape (n, d); only rows inside the window are used.
            m: Resonant feature, shape (n,).
            window: The signal region.
            seed: Root of all random streams.

        Raises:
            DetectorError: too few rows in the window, or too few features for the bottleneck.
            FeatureError: wrong shapes, values that are not finite.
            TrainingError: the loss was not finite, with two seeds.
        """
        rows = WindowedRows.of(x, m, window, minimum=0)
        x_in, m_in = rows.x[rows.inside], rows.m[rows.inside]
        if len(x_in) < self.minimum:
            raise DetectorError(
                f"expected {self.minimum} rows or more in the window [{window.low}, {window.high}); got"
                f" {len(x_in)} of {len(rows.m)}"
            )
        self.width(x_in.shape[1])
        found: list[Reconstruction] = []

        def fit_and_score(train: np.ndarray, score: np.ndarray, fold: int) -> np.ndarray:
            found.append(self._reconstruction(x_in[train], child_seed(seed, "fold", fold)))
            return found[-1].error(x_in[score])

        folds = folds_of(x_in, m_in, folds=self.folds, seed=child_seed(seed, "folds"))
        scores = rows.in_caller_order(cross_fit(fit_and_score, folds))
        return FittedAutoencoder(window, scores, tuple(found))

    def width(self, features: int) -> int:
        """Units of the bottleneck for so many features.

        Raises:
            DetectorError: it would not be narrower than they are, and pass everything on.
        """
        width = max(1, features // 2) if self.bottleneck is None else self.bottleneck
        if width >= features:
            raise DetectorError(
                f"an autoencoder needs a bottleneck narrower than its features; got {width} of {features}"
            )
        return width

    def build(self, features: int, seed: int) -> nn.Sequential:
        """An untrained network; the global random state is left as it was."""
        narrow = self.width(features)
        return seeded_network(
            lambda: [
                nn.Linear(features, self.hidden), nn.SiLU(), nn.Linear(self.hidden, narrow),
                nn.Linear(narrow, self.hidden), nn.SiLU(), nn.Linear(self.hidden, features),
            ],
            seed,
        )  # fmt: skip

    def _reconstruction(self, x: np.ndarray, seed: int) -> Reconstruction:
        mean, spread = standardisation(x)
        inputs = torch.from_numpy((x - mean) / spread).float()

        def loss(model: nn.Module, rows: Tensor) -> Tensor:
            return _errors(model, inputs[rows]).mean()

        seeds = [child_seed(seed, "member", k) for k in range(self.members)]
        states = tuple(train_network(self, inputs, loss, seed=member) for member in seeds)
        return Reconstruction(self, mean, spread, states)


def _errors(model: nn.Module, x: Tensor) -> Tensor:
    """Mean squared error of each row."""
    return (model(x) - x).square().mean(dim=1)


@dataclass(frozen=True, eq=False)
class Reconstruction(FittedNetworks):
    """Trained networks of one fold; picklable.

    Args:
        recipe, mean, spread, states: as in `FittedNetworks`.
    """

    def error(self, x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " n"]:
        """Mean squared error of the standardised features, the mean over the networks.

        Args:
            x: Features, shape (n, d).
        """
        inputs = self.inputs(x)
        errors = torch.stack([_errors(network, inputs).double() for network in self.networks])
        return errors.mean(dim=0).numpy()


@dataclass(frozen=True, eq=False)
class FittedAutoencoder:
    """One set of networks per fold.

    Args:
        window: The signal region.
        out_of_fold: Reconstruction error of the fitted rows, cross-fitted, NaN outside the window.
        reconstructions: One per fold.
    """

    window: Window
    out_of_fold: Float[np.ndarray, " n"]
    reconstructions: tuple[Reconstruction, ...]

    def log_ratio(self, x: Float[np.ndarray, "n d"], m: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """Reconstruction error of new rows, the mean over the folds; **not** a log-ratio, whatever its name.

        The name is the contract's; only the ranks compare with those of other detectors.

        Args:
            x: Features, shape (n, d).
            m: Resonant feature, shape (n,).
        """

        def score(x_in: np.ndarray, m_in: np.ndarray) -> np.ndarray:
            return np.mean([part.error(x_in) for part in self.reconstructions], axis=0)

        return score_inside(score, x, m, self.window)
