"""The error budget: sources separately and together, and whether intervals cover."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.special import ndtri
from scipy.stats import binomtest

from dm_map.errors import DmMapError
from dm_map.maps.results import AccelerationMap, DensityMap

__all__ = ["Coverage", "ErrorBudget", "combine", "coverage"]

# Members of these were each trained anew, with another seed: their scatter holds the training noise too.
_RETRAINED = ("bootstrap", "measurement")


@dataclass(frozen=True, eq=False)
class ErrorBudget:
    """Standard deviations by source, and together.

    Attributes:
        value: The value quoted: the mean of the members of "training" where there are some, else the median
            of the first map.
        parts: Standard deviation of the value by source.
    """

    value: Float[np.ndarray, "..."]
    parts: Mapping[str, Float[np.ndarray, "..."]]

    @property
    def total(self) -> Float[np.ndarray, "..."]:
        """Quadrature of the parts: the sources are independent."""
        return np.sqrt(np.sum([part**2 for part in self.parts.values()], axis=0))

    def interval(self, level: float = 0.68) -> tuple[Float[np.ndarray, "..."], Float[np.ndarray, "..."]]:
        """Central Gaussian interval of that probability, (low, high).

        Raises:
            DmMapError: the level is not between 0 and 1.
        """
        if not 0.0 < level < 1.0:
            raise DmMapError(f"the level of an interval lies between 0 and 1; got {level}")
        half = float(ndtri(0.5 * (1.0 + level))) * self.total
        return self.value - half, self.value + half

    def share(self, source: str) -> Float[np.ndarray, "..."]:
        """Part of the total variance that one source has.

        Raises:
            DmMapError: no such source.
        """
        if source not in self.parts:
            raise DmMapError(f"there is no source {source!r}; the budget has {sorted(self.parts)}")
        whole = self.total**2
        return np.divide(self.parts[source] ** 2, whole, out=np.zeros_like(whole), where=whole > 0)


def combine(maps: Mapping[str, AccelerationMap] | Mapping[str, DensityMap]) -> ErrorBudget:
    """Errors of the sources, separately and together.

    Each map's members vary one source, all else as in the quoted result, at the same positions. With s^2 the
    variance of a map's members and K the number of training members:

    * "training": the value is the ensemble's, whose noise is that of a mean of K: s^2 / K;
    * "bootstrap" and "measurement": every member is one training on other data, so that s^2 holds the
      training noise of one model besides; it is taken off, max(s^2 - s_training^2, 0), and not counted twice.
      Where there is no map of "training" (an estimator without seeds), s^2 stands as it is;
    * any other, such as "baryons": s^2.

    Args:
        maps: By source.

    Raises:
        DmMapError: no map, or maps of different positions, kinds or units.
    """
    _check(maps)
    training = maps.get("training")
    noise = 0.0 if training is None else training.deviation**2
    parts = {}
    for source, found in maps.items():
        variance = found.deviation**2
        if source == "training":
            variance = variance / len(found.members)
        elif source in _RETRAINED:
            variance = np.maximum(variance - noise, 0.0)
        parts[source] = np.sqrt(variance)
    value = next(iter(maps.values())).value if training is None else np.mean(training.members, axis=0)
    return ErrorBudget(value, parts)


def _check(maps: Mapping[str, AccelerationMap] | Mapping[str, DensityMap]) -> None:
    if not maps:
        raise DmMapError("an error budget takes one map or more, by source; got none")
    (name, first), *others = maps.items()
    for source, found in others:
        if type(found) is not type(first) or found.units != first.units:
            raise DmMapError(
                f"the maps of {name!r} and {source!r} differ in kind or units; combine like with like"
            )
        if found.x.shape != first.x.shape or not np.array_equal(found.x, first.x):
            raise DmMapError(f"the maps of {name!r} and {source!r} are of different positions")


@dataclass(frozen=True)
class Coverage:
    """How often intervals held the truth.

    Attributes:
        fraction: Share of the intervals that did.
        low: Lower end of the 68.27 per cent Clopper-Pearson interval of that share.
        high: Upper end.
        pairs: Number of intervals.
    """

    fraction: float
    low: float
    high: float
    pairs: int


def coverage(
    intervals: tuple[Float[np.ndarray, "..."], Float[np.ndarray, "..."]],
    truth: Float[np.ndarray, "..."],
    *,
    independent: int | None = None,
) -> Coverage:
    """Share of the intervals that hold the truth, with its binomial error.

    Args:
        intervals: (low, high), for example of draws and points, shape (draws, p).
        truth: The truth, of the same shape or one that broadcasts to it.
        independent: How many of the pairs are independent; all where None. Points of one draw are not: pass
            the number of draws to be on the safe side.

    Raises:
        DmMapError: no pair, an interval upside down, or a number of independent pairs that cannot be.
    """
    low, high = intervals
    held: Bool[np.ndarray, "..."] = (low <= truth) & (truth <= high)
    if not held.size or np.any(low > high):
        raise DmMapError(f"coverage takes intervals (low, high) with low <= high; got {held.size} of them")
    count = held.size if independent is None else independent
    if not 1 <= count <= held.size:
        raise DmMapError(f"of {held.size} pairs 1 to {held.size} are independent; got {independent}")
    fraction = float(np.mean(held))
    # 68.27 per cent, as every error of this package.
    error = binomtest(round(fraction * count), count).proportion_ci(0.6827)
    return Coverage(fraction, float(error.low), float(error.high), held.size)
