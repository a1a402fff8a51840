"""How high chance reaches among millions of hypotheses: the law of the best peaks of an empty sky."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from streams.likelihood.errors import LikelihoodError
from streams.significance import LEAST_PROBABILITY

__all__ = ["DIMENSIONS", "PeakLaw"]

DIMENSIONS = 16
"""Effective number. A hypothesis has eight quantities (angle, offset, two proper motions, their gradients,
width, distance), but improved sums of few heavy stars have longer tails than a Gaussian field: eighteen skies
without streams, none of those that test the law, ask for 16 (12: too eager, 20: too shy, by two fifths)."""
_REFERENCE = 6.0
_RANK = 20
"""Peaks of a patch from which the law is read: fewer scatter more, more were not all followed up."""
_STREAM = 0.05
_FEWEST = 5
_LOWEST = -650.0
"""Of the law's exponent: beyond 36 sigma it would be zero, and no law could be read from such peaks."""


@dataclass(frozen=True)
class PeakLaw:
    """Expected number of distinct peaks above a significance z on a sky without streams.

        N(> z) = peaks (z / 6)^(DIMENSIONS - 1) exp( -(z^2 - 36) / 2 )

    the tail law of the maxima of a smooth random field (Gaussian: in so many dimensions; Adler & Taylor 2007,
    Random Fields and Geometry; used for searches by Vitells & Gross 2011, Astropart. Phys. 35, 230), whose
    one free number is read where chance is plentiful and carried to where it is rare. Peaks being rare and
    distinct, their number is Poissonian: the false-alarm probability is 1 - exp(-N).

    Args:
        peaks: expected number above 6 sigma; infinite where a patch showed too few peaks to tell.
    """

    peaks: float

    @classmethod
    def of_patch(cls, significances: Float[np.ndarray, " k"]) -> PeakLaw:
        """Read from the lesser peaks of the patch itself, whose best may be streams.

        Peak by peak from the best, one that the peaks below it make less likely than `_STREAM` is taken for
        a stream and not counted.

        Args:
            significances: of all distinct peaks.
        """
        ranked = np.sort(significances[np.isfinite(significances)])[::-1]
        last = min(_RANK, len(ranked))
        if last < _FEWEST:
            return cls(np.inf)
        shape = _shape(ranked[:last])
        for streams in range(last - _FEWEST + 1):
            law = cls(float((last - streams) / shape[-1]))
            if law.false_alarm_probability(float(ranked[streams])) > _STREAM:
                break
        return law

    def with_null(self, maxima: Sequence[float]) -> PeakLaw:
        """Read from the best peaks of skies without streams: then N at the maximum is exponential.

        Raises:
            LikelihoodError: no maximum, or one that is not finite.
        """
        if not len(maxima) or not np.isfinite(maxima).all():
            raise LikelihoodError(f"expected finite significances of null skies, got {list(maxima)}")
        return PeakLaw(float(len(maxima) / _shape(np.asarray(maxima, dtype=float)).sum()))

    def expected(self, significance: float) -> float:
        """Peaks at least as significant that chance makes."""
        return self.peaks * float(_shape(np.array([max(significance, 1e-3)]))[0])

    def false_alarm_probability(self, significance: float) -> float:
        """Probability that a patch without streams holds a hypothesis this significant anywhere."""
        if not np.isfinite(self.peaks):
            return 1.0
        return float(np.clip(-np.expm1(-self.expected(significance)), LEAST_PROBABILITY, 1.0))


def _shape(z: Float[np.ndarray, " k"]) -> Float[np.ndarray, " k"]:
    """The law for one peak above 6 sigma; constant below its maximum, where it would turn back."""
    z = np.maximum(z, np.sqrt(DIMENSIONS - 1.0))
    return (z / _REFERENCE) ** (DIMENSIONS - 1) * np.exp(np.maximum(-0.5 * (z**2 - _REFERENCE**2), _LOWEST))
