"""A smooth selection function from the ratio of a sample's density to that of a more complete one.

    S(x) = N_sample(x) / N_reference(x)

is learned by telling the two apart: the odds of a calibrated classifier are this ratio. The reference is of
stars of the same kind (same cut on luminosity, distances from the same source) without the selection in
question, for example Gaia's stars with and without a radial velocity; what the reference itself misses stays
missing. A joint fit of selection and potential (arXiv:2412.14236) needs no reference.

The noise of S goes into the result. The variance of ln S is about k (1/N_sample + 1/N_reference) for k terms,
and an error g of its gradient shifts the accelerations of stars with dispersion sigma by sigma^2 g. So the
lowest degree whose check passes is the best.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from scipy.stats import chi2
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from density.classifiers import Classifier, FittedClassifier, balanced_weights, checked_classes
from density.errors import DensityError
from dm_map.errors import SampleError
from dm_map.volume import Ball

__all__ = ["LearnedSelection", "PolynomialLogistic", "SelectionCheck", "SelectionRecipe"]

_FEWEST = 500
_BINS = 20


@dataclass(frozen=True)
class PolynomialLogistic:
    """Log-odds as a polynomial of the position: smooth, so that the weights add no structure of their own.

    Attributes:
        degree: Of the polynomial; 3 has 19 terms in three dimensions.
        inverse_penalty: scikit-learn's C: larger is less penalty on the coefficients of standardised terms.

    Raises:
        SampleError: a degree below 1, or a penalty that is not positive.
    """

    degree: int = 3
    inverse_penalty: float = 1e3

    def __post_init__(self) -> None:
        if self.degree < 1 or not self.inverse_penalty > 0:
            raise SampleError(
                f"expected a degree of at least 1 and a positive inverse penalty; got {self.degree} and "
                f"{self.inverse_penalty}"
            )

    def fit(
        self,
        x: Float[np.ndarray, "n d"],
        y: Bool[np.ndarray, " n"],
        weights: Float[np.ndarray, " n"] | None = None,
        *,
        seed: int,
    ) -> _FittedPolynomial:
        """Learn to tell class 1 from class 0; the seed is not needed, as nothing is drawn."""
        x, y, weights = checked_classes(x, y, weights)
        model = make_pipeline(
            StandardScaler(),
            PolynomialFeatures(self.degree, include_bias=False),
            StandardScaler(),
            LogisticRegression(C=self.inverse_penalty, max_iter=500),
        )
        model.fit(x, y, logisticregression__sample_weight=balanced_weights(y, weights))
        return _FittedPolynomial(model)


@dataclass(frozen=True, eq=False)
class _FittedPolynomial:
    model: Pipeline

    def log_odds(self, x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " n"]:
        return np.asarray(self.model.decision_function(x), dtype=np.float64)


class SelectionCheck(NamedTuple):
    """Calibration on stars that were held out: predicted against counted, in bins of the prediction.

    Attributes:
        predicted: Share of sample stars expected in each bin, shape (b,).
        counted: Share found, shape (b,).
        error: Its binomial standard error, shape (b,).
        chi2, p_value: Of all bins together; a small p-value means that S is wrong by more than chance.
        gain: Log-likelihood per held-out star over that of a constant S: zero means that nothing was learned.
    """

    predicted: Float[np.ndarray, " b"]
    counted: Float[np.ndarray, " b"]
    error: Float[np.ndarray, " b"]
    chi2: float
    p_value: float
    gain: float


@dataclass(frozen=True)
class SelectionRecipe:
    """How a selection function is learned.

    Attributes:
        classifier: A recipe of `density`: `PolynomialLogistic` (smooth, the default), or `BoostedTrees` in
            `Calibrated` for selections with edges, such as dust clouds; trees make S a step function.
        held_out: Share of the stars on which the result is checked, 0 to 1.

    Raises:
        SampleError: a share that leaves nothing.
    """

    classifier: Classifier = field(default_factory=PolynomialLogistic)
    held_out: float = 0.2

    def __post_init__(self) -> None:
        if not 0 < self.held_out < 1:
            raise SampleError(f"the share of stars held out is between 0 and 1; got {self.held_out}")

    def fit(
        self,
        sample: Float[np.ndarray, "n 3"],
        reference: Float[np.ndarray, "m 3"],
        volume: Ball,
        *,
        seed: int,
    ) -> LearnedSelection:
        """Learn S from positions of the sample and of a reference, drawn independently of each other.

        The level of S is the ratio of the numbers. A reference that contains the sample is to be given as
        `fit_members` instead.

        Args:
            sample: Positions of the sample, kpc.
            reference: Positions of the reference, kpc.
            volume: The ball that both fill.
            seed: Of the split and of the classifier.

        Raises:
            SampleError: fewer than 500 stars in one of the two, or a classifier that cannot be fitted.
            VolumeError: a star outside the volume.
        """
        x = np.concatenate([sample, reference])
        y = np.arange(len(x)) < len(sample)
        return self._fit(x, y, volume, seed, nested=False)

    def fit_members(
        self, reference: Float[np.ndarray, "m 3"], member: Bool[np.ndarray, " m"], volume: Ball, *, seed: int
    ) -> LearnedSelection:
        """Learn S from a reference of which each star is known to be in the sample or not.

        Args:
            reference: Positions of all stars, kpc.
            member: Which are in the sample.
            volume, seed: As for `fit`.

        Raises: as `fit`.
        """
        return self._fit(reference, member, volume, seed, nested=True)

    def _fit(
        self, x: np.ndarray, y: np.ndarray, volume: Ball, seed: int, *, nested: bool
    ) -> LearnedSelection:
        if min(np.count_nonzero(y), np.count_nonzero(~y)) < _FEWEST:
            raise SampleError(
                f"a selection is learned from at least {_FEWEST} stars in the sample and as many that are "
                f"not; got {np.count_nonzero(y)} and {np.count_nonzero(~y)}"
            )
        volume.require(x, "star")
        out = np.random.default_rng(seed).random(len(x)) < self.held_out
        scaled = (x - np.asarray(volume.centre)) / volume.radius
        try:
            fitted = self.classifier.fit(scaled[~out], y[~out], seed=seed)
        except DensityError as error:
            raise SampleError(f"the selection cannot be learned: {error}") from error
        offset = math.log(np.count_nonzero(y[~out]) / np.count_nonzero(~y[~out]))
        check = _check(fitted.log_odds(scaled[out]) + offset, y[out])
        return LearnedSelection(fitted, volume, offset, nested, check)


@dataclass(frozen=True, eq=False)
class LearnedSelection:
    """A learned selection function; picklable.

    Attributes:
        classifier: The fitted classifier of scaled positions.
        volume: Where it holds.
        offset: ln of the ratio of the numbers of stars of the two classes.
        nested: Whether class 0 are the stars that are *not* in the sample, so that S = odds / (1 + odds).
        check: Its calibration on stars that were held out.
    """

    classifier: FittedClassifier
    volume: Ball
    offset: float
    nested: bool
    check: SelectionCheck

    def log_selection(self, x: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, " n"]:
        """ln S at positions in kpc, shape (n,).

        Raises:
            VolumeError: a position outside the volume.
        """
        self.volume.require(x)
        scaled = (x - np.asarray(self.volume.centre)) / self.volume.radius
        log_odds = self.classifier.log_odds(scaled) + self.offset
        return -np.logaddexp(0.0, -log_odds) if self.nested else log_odds


def _check(log_odds: Float[np.ndarray, " n"], y: Bool[np.ndarray, " n"]) -> SelectionCheck:
    share = 1.0 / (1.0 + np.exp(-log_odds))
    bins = np.array_split(np.argsort(share, kind="stable"), _BINS)
    predicted = np.array([share[rows].mean() for rows in bins])
    counted = np.array([y[rows].mean() for rows in bins])
    error = np.array([math.sqrt(np.sum(share[rows] * (1 - share[rows]))) / len(rows) for rows in bins])
    total = float(np.sum(((counted - predicted) / error) ** 2))
    constant = float(y.mean())
    log_likelihood = np.where(y, -np.logaddexp(0, -log_odds), -np.logaddexp(0, log_odds))
    gain = float(
        log_likelihood.mean() - constant * math.log(constant) - (1 - constant) * math.log1p(-constant)
    )
    return SelectionCheck(predicted, counted, error, total, float(chi2.sf(total, _BINS)), gain)
