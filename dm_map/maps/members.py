"""Values with their error: an ensemble of equally probable members, and what is quoted of it."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from dm_map.errors import DmMapError

__all__ = ["ONE_SIGMA", "Ensemble", "check_members", "check_sources"]

#: Probability of one standard deviation to either side of a Gaussian's mean: 68.27 per cent.
ONE_SIGMA = math.erf(math.sqrt(0.5))


class Ensemble(ABC):
    """What a set of members says: the first axis runs over m members, the others over values.

    The value is the members' median, its error half the interval of 68.27 per cent. An interval lies between
    order statistics (position q (m + 1) in the sorted members), so that it holds one more member drawn like
    the others with exactly its probability; with fewer than six members it is cut to their range, which holds
    a further one with probability (m - 1)/(m + 1) only: 60 per cent for four.
    """

    @property
    @abstractmethod
    def ensemble(self) -> Float[np.ndarray, "m ..."]:
        """The members."""

    @property
    def value(self) -> Float[np.ndarray, "..."]:
        """Median of the members."""
        return np.asarray(np.median(self.ensemble, axis=0))

    @property
    def error(self) -> Float[np.ndarray, "..."]:
        """Half the interval of 68.27 per cent."""
        low, high = self.interval(ONE_SIGMA)
        return 0.5 * (high - low)

    @property
    def deviation(self) -> Float[np.ndarray, "..."]:
        """Standard deviation of the members (m - 1 in the denominator)."""
        return np.asarray(np.std(self.ensemble, axis=0, ddof=1))

    @property
    def relative_error(self) -> Float[np.ndarray, "..."]:
        """error / |value|; infinite where the value is zero."""
        return _ratio(self.error, np.abs(self.value))

    def interval(self, level: float = 0.68) -> tuple[Float[np.ndarray, "..."], Float[np.ndarray, "..."]]:
        """Central interval of that probability, (low, high).

        Raises:
            DmMapError: the level is not between 0 and 1.
        """
        if not 0.0 < level < 1.0:
            raise DmMapError(f"the level of an interval lies between 0 and 1; got {level}")
        tails = [0.5 * (1.0 - level), 0.5 * (1.0 + level)]
        low, high = np.quantile(self.ensemble, tails, axis=0, method="weibull")
        return low, high


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    return np.divide(numerator, denominator, out=np.full_like(numerator, np.inf), where=denominator > 0)


def check_members(members: np.ndarray, shape: tuple[int, ...], what: str) -> None:
    """Refuse an ensemble that cannot carry an error.

    Raises:
        DmMapError: fewer than two members, another shape, or values that are not finite.
    """
    if members.ndim != 1 + len(shape) or members.shape[1:] != shape:
        raise DmMapError(
            f"members of {what} have shape (m, {', '.join(map(str, shape))}); got {members.shape}"
        )
    if len(members) < 2:
        raise DmMapError(f"{what} without an error: two members are the least; got {len(members)}")
    bad = np.argwhere(~np.isfinite(members))
    if bad.size:
        member, *place = (int(index) for index in bad[0])
        raise DmMapError(
            f"{what} is not finite in {len(bad)} places, the first in member {member} at {tuple(place)}; "
            "leave such positions out"
        )


def check_sources(sources: Sequence[str], members: int) -> None:
    """Refuse sources that do not name each member's.

    Raises:
        DmMapError: another number of them, or an empty name.
    """
    if len(sources) != members or not all(sources):
        raise DmMapError(f"{members} members need {members} names of what each varies; got {len(sources)}")
