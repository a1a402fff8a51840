"""What a table says about the distances of its stars, and about the errors of its measurements."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from astropy import units as u
from jaxtyping import Bool, Float

from dm_map.errors import SampleError
from dm_map.input.columns import CORRELATIONS, StarColumns
from dm_map.input.distances import ParallaxDistances
from dm_map.input.report import Sieve

__all__ = ["MeasuredDistances", "MeasuredErrors", "distance_notes", "measured_distances", "measured_errors"]

_RADIANS_PER_MAS = float((1 * u.mas).to_value(u.rad))
_POSITION_ERRORS = ("ra_error", "dec_error")


class MeasuredDistances(NamedTuple):
    """Distances of all rows (kpc, NaN where there is none), their errors, and where they come from."""

    values: Float[np.ndarray, " n"]
    errors: Float[np.ndarray, " n"] | None
    parallaxes: bool
    described: str


@dataclass(frozen=True, eq=False)
class MeasuredErrors:
    """Standard errors as `SolarFrame.jacobian` orders them, correlations likewise, and remarks."""

    values: Float[np.ndarray, "n 6"] | None
    correlations: dict[tuple[int, int], Float[np.ndarray, " n"]]
    notes: tuple[str, ...]


def measured_distances(
    given: StarColumns, recipe: ParallaxDistances | None, sieve: Sieve
) -> MeasuredDistances:
    """Distances of all rows; rows without a usable one are dropped.

    Args:
        given: The table.
        recipe: How parallaxes become distances; None: the column of distances first.
        sieve: Counts the rows that are dropped.

    Raises:
        SampleError: neither column is there, or a given distance is not positive.
    """
    if recipe is None and given.label("distance") is not None:
        return _given_distances(given, sieve)
    if given.label("parallax") is None and given.label("distance") is None:
        raise SampleError(
            f"{given.origin} has neither a column distance nor parallax; {given.nearby('distance')}. "
            "If it is there under another name, say columns={'distance': name in the table}, on the command "
            "line --column distance=NAME"
        )
    recipe = recipe or ParallaxDistances()
    offset = recipe.zero_point if not isinstance(recipe.zero_point, str) else 0.0
    if isinstance(recipe.zero_point, str):
        offset = given.values(recipe.zero_point, u.mas)
    parallax = given.values("parallax") - offset
    sieve.drop(~np.isfinite(parallax), "parallax is missing")
    sieve.drop(parallax <= 0, "parallax is not positive")
    distance, errors = recipe.distance(parallax), None
    if given.label("parallax_error") is not None:
        error = given.values("parallax_error")
        low = f"parallax over its error is below {recipe.signal_to_noise:g}"
        sieve.drop(np.isfinite(error) & (parallax < recipe.signal_to_noise * error), low)
        errors = error * distance**2
    name = recipe.zero_point if isinstance(recipe.zero_point, str) else f"{recipe.zero_point:g} mas"
    described = (
        f"inverse parallaxes, zero point {name}, signal to noise of {recipe.signal_to_noise:g} or more"
    )
    return MeasuredDistances(distance, errors, True, described)


def _given_distances(given: StarColumns, sieve: Sieve) -> MeasuredDistances:
    distance = given.values("distance")
    wrong = np.flatnonzero(distance <= 0)
    if wrong.size:
        raise SampleError(
            f"{given.origin}: {wrong.size} distances are not positive, the first in row {wrong[0]}: "
            f"{distance[wrong[0]]:g} kpc; remove such rows, or give parallaxes, which may be negative"
        )
    sieve.drop(~np.isfinite(distance), "distance is missing")
    errors = given.values("distance_error") if given.label("distance_error") is not None else None
    return MeasuredDistances(distance, errors, False, f"the column {given.label('distance')}")


def measured_errors(given: StarColumns, far: MeasuredDistances, sieve: Sieve) -> MeasuredErrors:
    """Errors of all rows; rows that lack one of them are dropped. None where the table lacks a column."""
    distance_error = "parallax_error" if far.parallaxes else "distance_error"
    names = (*_POSITION_ERRORS, distance_error, "pmra_error", "pmdec_error", "radial_velocity_error")
    lacking = [name for name in names if given.label(name) is None and name not in _POSITION_ERRORS]
    if lacking:
        note = f"no measurement covariance: the table has no column {', '.join(lacking)}"
        return MeasuredErrors(None, {}, (note,))
    values, absent = np.zeros((len(far.values), 6)), []
    for place, name in enumerate(names):
        if given.label(name) is None:
            absent.append(name)
            continue
        column = given.values(name)
        sieve.drop(~(column >= 0) | np.isinf(column), f"{name} is missing or negative")
        values[:, place] = far.errors if place == 2 else column
    values[:, :2] *= _RADIANS_PER_MAS
    notes = [f"no column {', '.join(absent)}: positions count as exact"] if absent else []
    correlations, more = _correlations(given, far.parallaxes, sieve)
    return MeasuredErrors(values, correlations, (*notes, *more))


def _correlations(
    given: StarColumns, parallaxes: bool, sieve: Sieve
) -> tuple[dict[tuple[int, int], Float[np.ndarray, " n"]], tuple[str, ...]]:
    """Gaia's correlations; those with the parallax change sign, as the distance falls with it."""
    found, absent = {}, []
    for name, pair in CORRELATIONS.items():
        if 2 in pair and not parallaxes:
            continue
        if given.label(name) is None:
            absent.append(name)
            continue
        values = given.values(name)
        sieve.drop(~(np.abs(values) <= 1), f"{name} is missing or beyond [-1, 1]")
        found[pair] = -values if 2 in pair else values
    notes = [f"correlations taken as zero: {', '.join(absent)}"] if absent else []
    if not parallaxes:
        notes.append("errors of the distances are taken as independent of those of the proper motions")
    return found, tuple(notes)


def distance_notes(
    far: MeasuredDistances, recipe: ParallaxDistances | None, kept: Bool[np.ndarray, " n"]
) -> tuple[str, ...]:
    """Sentences on the biases of the distances of the rows that were kept."""
    if not far.parallaxes:
        return ()
    # The error of 1/parallax over the distance is the error of the parallax over the parallax.
    fraction = None if far.errors is None else far.errors[kept] / far.values[kept]
    return (recipe or ParallaxDistances()).notes(fraction, far.values[kept])
