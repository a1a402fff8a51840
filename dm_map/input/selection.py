"""Selection functions: the share of stars at each position that is in a sample, and weights against it."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from dm_map.errors import SampleError
from dm_map.stars import StarSample

__all__ = [
    "GivenSelection",
    "LogLinearSelection",
    "SelectionFunction",
    "SelectionReport",
    "SelectionWarning",
    "select_weights",
]


class SelectionWarning(UserWarning):
    """A selection function that is too small somewhere to be undone by weights."""


@runtime_checkable
class SelectionFunction(Protocol):
    """S(x): the probability that a star at x is in the sample, up to a common factor."""

    def log_selection(self, x: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, " n"]:
        """ln S at Galactocentric positions in kpc, shape (n,)."""


@dataclass(frozen=True)
class GivenSelection:
    """A selection function from elsewhere.

    Attributes:
        function: From positions (n, 3) in kpc to ln S, shape (n,).
    """

    function: Callable[[np.ndarray], np.ndarray]

    def log_selection(self, x: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, " n"]:
        """ln S at n positions.

        Raises:
            SampleError: the function returns another shape.
        """
        values = np.asarray(self.function(x), dtype=np.float64)
        if values.shape != (len(x),):
            raise SampleError(
                f"a selection function returns ln S of shape ({len(x)},) for positions of shape "
                f"{np.shape(x)}; got {values.shape}"
            )
        return values


@dataclass(frozen=True)
class LogLinearSelection:
    """ln S = gradient . (x - origin): a selection that falls by the same share over every kpc.

    Unnoticed it adds sigma^2 times the gradient to the accelerations of a population with dispersion sigma.

    Attributes:
        gradient: Of ln S, 1/kpc.
        origin: Where S = 1, kpc.

    Raises:
        SampleError: not three finite numbers each.
    """

    gradient: tuple[float, float, float]
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        for name, values in (("gradient", self.gradient), ("origin", self.origin)):
            if len(values) != 3 or not all(map(math.isfinite, values)):
                raise SampleError(f"the {name} of a selection is three finite numbers; got {values}")

    def log_selection(self, x: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, " n"]:
        """ln S at n positions."""
        return (x - np.asarray(self.origin)) @ np.asarray(self.gradient)


@dataclass(frozen=True)
class SelectionReport:
    """What weighting by a selection function cost.

    Attributes:
        stars: Number of stars.
        lowest: Smallest S over the largest, among the stars.
        below: Stars whose S was below the floor; they carry the floor's weight.
        effective: Effective number of stars, (sum w)^2 / sum w^2.
    """

    stars: int
    lowest: float
    below: int
    effective: float


def select_weights(
    sample: StarSample, selection: SelectionFunction, *, floor: float = 0.05, on_floor: str = "raise"
) -> tuple[StarSample, SelectionReport]:
    """Give each star the weight 1/S, times the weight that it has.

    A star where S is a twentieth of its largest value stands for twenty: beyond that a few stars speak for
    the many that were not seen, and the errors of S with them.

    Args:
        sample: The stars.
        selection: The selection function.
        floor: Smallest S that is accepted, as a share of the largest S among the stars.
        on_floor: "raise", or "warn": such stars get the floor's weight, which leaves them too light.

    Returns:
        The weighted stars, mean weight one, and the report.

    Raises:
        SampleError: ln S is not finite at a star, S is below the floor and `on_floor` is "raise", or the
            floor or `on_floor` is not one.
    """
    if not 0 <= floor < 1 or on_floor not in ("raise", "warn"):
        raise SampleError(
            f"expected 0 <= floor < 1 and on_floor 'raise' or 'warn'; got {floor} and {on_floor!r}"
        )
    log_s = _finite_log(sample, selection)
    relative = log_s - np.max(log_s)
    low = relative < math.log(floor) if floor > 0 else np.zeros(len(sample), dtype=bool)
    lowest = float(np.exp(np.min(relative)))
    if low.any():
        _tell(sample, low, lowest, floor, on_floor)
        relative = np.maximum(relative, math.log(floor))
    weights = sample.unit_weights * np.exp(-relative)
    weights /= np.mean(weights)
    effective = float(np.sum(weights) ** 2 / np.sum(weights**2))
    return replace(sample, weights=weights), SelectionReport(len(sample), lowest, int(low.sum()), effective)


def _finite_log(sample: StarSample, selection: SelectionFunction) -> Float[np.ndarray, " n"]:
    log_s = np.asarray(selection.log_selection(sample.x), dtype=np.float64)
    bad = np.flatnonzero(~np.isfinite(log_s))
    if bad.size:
        raise SampleError(
            f"ln S is {log_s[bad[0]]} at {sample.x[bad[0]]} kpc, where there is a star ({bad.size} such "
            "stars): a selection function is positive and finite wherever a star was seen"
        )
    return log_s


def _tell(sample: StarSample, low: np.ndarray, lowest: float, floor: float, on_floor: str) -> None:
    where = np.array2string(sample.x[np.flatnonzero(low)[0]], precision=2)
    text = (
        f"{int(low.sum())} of {len(sample)} stars are where S is below {floor:g} of its largest value (down "
        f"to {lowest:.2g}), the first at {where} kpc; leave such regions out by a smaller volume"
    )
    if on_floor == "raise":
        raise SampleError(f"{text}, or accept their errors with a lower floor")
    warnings.warn(f"{text}; these stars carry the floor's weight", SelectionWarning, stacklevel=3)
