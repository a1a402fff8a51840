"""What the residuals would be if the model were true: the same fit, to noise of the same covariance."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float
from scipy.stats import gamma

from dm_map.errors import WeakFormError
from dm_map.weak.result import WeakFit

__all__ = ["FEWEST_DRAWS", "Judged", "Residuals", "judge", "judge_together"]

#: Draws below which a p-value is not worth its name.
FEWEST_DRAWS = 20


@dataclass(frozen=True, eq=False)
class Residuals:
    """The residual of the kept rows beside draws of it under the null hypothesis.

    A draw is e + A (c' - c) + d (Omega' - Omega): e the sums of the stars' own terms with random signs, c'
    the fit to data made of the fit c and this noise. Signs leave the covariance as it is, so draws share with
    the data that the covariance was taken from the same stars; the refit takes away what fitting takes away,
    the bounds of the coefficients included.

    Attributes:
        observed: Shape (r,).
        null: Shape (r, draws).
        covariance: Of the observed residual, without what the fit takes away, shape (r, r).
    """

    observed: Float[np.ndarray, " r"]
    null: Float[np.ndarray, "r draws"]
    covariance: Float[np.ndarray, "r r"]

    @classmethod
    def of(cls, fit: WeakFit) -> Residuals:
        """Of a fit with draws.

        Raises:
            WeakFormError: the fit has fewer than 20 draws.
        """
        system, found = fit.system, fit.solved
        draws = system.rows.wild.shape[-1]
        if draws < FEWEST_DRAWS:
            raise WeakFormError(
                f"goodness of fit needs {FEWEST_DRAWS} draws or more; got {draws}: use WeakForm(draws=100)"
            )
        A, d = system.rows.A.sum(axis=0)[system.keep], system.rows.d.sum(axis=0)[system.keep]
        moved = np.stack([one.coefficients - found.coefficients for one in fit.refits], axis=1)
        turned = np.array([one.pattern_speed - found.pattern_speed for one in fit.refits])
        null = system.wild + A @ moved + d[:, None] * turned
        observed = system.residual(found.coefficients, found.pattern_speed)
        return cls(observed, null, system.covariance)

    @cached_property
    def together(self) -> Float[np.ndarray, "r s"]:
        """The observed residual in the first column, the draws in the others."""
        return np.column_stack([self.observed, self.null])


@dataclass(frozen=True, eq=False)
class Judged:
    """A statistic of the data against the same of the draws; large is bad.

    Attributes:
        value: Of the data.
        expected: Mean over the draws.
        counted: Share of data and draws at least as large: exact, but no smaller than 1/(draws + 1).
        p_value: Tail of the gamma law with the draws' mean and variance (a scaled chi^2).
        tails: The same of every draw, shape (draws,).
    """

    value: float
    expected: float
    counted: float
    p_value: float
    tails: Float[np.ndarray, " draws"]


def judge(statistic: Float[np.ndarray, " s"]) -> Judged:
    """Judge a statistic, of the data in the first place and of the draws behind it."""
    value, null = float(statistic[0]), np.asarray(statistic[1:], dtype=np.float64)
    mean, variance = float(null.mean()), float(null.var(ddof=1))
    tails = gamma.sf(statistic, mean**2 / variance, scale=variance / mean)
    counted = (1 + int(np.sum(null >= value))) / (1 + len(null))
    return Judged(value, mean, counted, float(tails[0]), tails[1:])


def judge_together(tests: list[Judged]) -> tuple[float, float]:
    """The probability that one of several tests comes out as badly as the worst of these; and their number.

    The smallest p-value of a draw over all tests has the law 1 - (1 - p)^m if they are worth m independent
    ones; m is fitted to the draws (maximum likelihood), which know how much the tests overlap.

    Returns:
        The global p-value and m.
    """
    smallest = np.min([test.tails for test in tests], axis=0)
    number = len(smallest) / float(np.sum(-np.log1p(-np.minimum(smallest, 1.0 - 1e-12))))
    worst = min(test.p_value for test in tests)
    return float(-np.expm1(number * np.log1p(-min(worst, 1.0 - 1e-12)))), number
