"""Isochrones as ridges: one colour and a number of stars at each absolute magnitude."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from streams.ridges import Ridge, RidgeError

__all__ = ["MASS_FUNCTIONS", "Isochrone", "isochrone_ridge", "stars_per_mass"]

MASS_FUNCTIONS = ("kroupa", "chabrier")
"""Names of the initial mass functions of `stars_per_mass`."""

_STEP = 0.05
_BRANCH = 0.15
_FEWEST_POINTS = 10
_LEAST_RANGE = 1.0


@dataclass(frozen=True, eq=False)
class Isochrone:
    """The single stars of one age and metallicity from the main sequence to the tip of the giant branch.

    Args:
        model: whose isochrone, for example "PARSEC".
        metallicity: [M/H] (PARSEC) or [Fe/H] (MIST) as the file has it.
        age: Gyr.
        initial_mass: solar masses, in the order of the file.
        absolute: absolute G magnitude of each point, without extinction.
        bp_rp: BP-RP of each point, without extinction.
        follows: true where a point continues the sequence of the one before it; false at the first point and
            after points of other phases.
        cumulated: stars of smaller initial mass per unit mass of the population, as the file counts them;
            None where it does not.
    """

    model: str
    metallicity: float
    age: float
    initial_mass: Float[np.ndarray, " n"]
    absolute: Float[np.ndarray, " n"]
    bp_rp: Float[np.ndarray, " n"]
    follows: Bool[np.ndarray, " n"]
    cumulated: Float[np.ndarray, " n"] | None = None

    @property
    def name(self) -> str:
        """Model, metallicity and age, such as "MIST [Fe/H] = -1.35, 12.0 Gyr"."""
        abundance = "Fe/H" if self.model == "MIST" else "M/H"
        return f"{self.model} [{abundance}] = {self.metallicity:.2f}, {self.age:.3g} Gyr"


def stars_per_mass(mass: Float[np.ndarray, " n"], mass_function: str = "kroupa") -> Float[np.ndarray, " n"]:
    """Stars per solar mass of initial mass; the scale is free.

    Args:
        mass: solar masses.
        mass_function: "kroupa" (Kroupa 2001, MNRAS 322, 231, eq. 2: slopes -0.3, -1.3 and -2.3, with breaks
            at 0.08 and 0.5) or "chabrier" (Chabrier 2003, PASP 115, 763, table 1: the disc's single stars,
            log-normal about 0.079 of width 0.69 dex, slope -2.3 above one solar mass).

    Raises:
        RidgeError: another mass function.
    """
    if mass_function not in MASS_FUNCTIONS:
        raise RidgeError(f"expected a mass function out of {MASS_FUNCTIONS}, got {mass_function!r}")
    return _kroupa(mass) if mass_function == "kroupa" else _chabrier(mass)


def isochrone_ridge(isochrone: Isochrone, mass_function: str | None = None) -> Ridge:
    """The ridge of an isochrone, at nodes 0.05 mag apart.

    Every piece between two neighbouring points holds the stars between their initial masses, spread evenly
    over its magnitudes. At each node the star-weighted median colour says which branch has most stars; the
    ridge is the mean colour of the stars within 0.15 mag of it, and counts these. So where a sequence turns
    back in magnitude (the bump of the giants, the hook of young turn-offs) all passages count and their mean
    colour is taken, and where two branches far apart in colour have one magnitude (main sequence and giants
    of a population younger than some Gyr) the fuller one is the ridge and the other is left out.

    Args:
        isochrone: points of one population.
        mass_function: initial mass function of the luminosity function; None takes the file's own count of
            stars, and Kroupa's where it has none.

    Raises:
        RidgeError: an unknown mass function, or too few points for a ridge.
    """
    stars = _stars_between(isochrone, mass_function)
    bright, faint = np.min(isochrone.absolute), np.max(isochrone.absolute)
    if len(isochrone.absolute) < _FEWEST_POINTS or faint - bright < _LEAST_RANGE or not stars.any():
        raise RidgeError(
            f"{isochrone.name}: a ridge needs at least {_FEWEST_POINTS} points on the main sequence, the "
            f"subgiant and the giant branch over {_LEAST_RANGE} mag, got {len(isochrone.absolute)} over "
            f"{faint - bright:.2f} mag with {stars.sum():.3g} stars: choose an older population"
        )
    edges = np.linspace(bright, faint, max(round((faint - bright) / _STEP), 2) + 1)
    count, colour = _binned(isochrone, stars, edges)
    middle = 0.5 * (edges[1:] + edges[:-1])
    full = count > 0
    luminosity = np.log(count[full] / np.diff(edges)[full])
    return Ridge(isochrone.name, middle[full], colour[full], luminosity)


def _kroupa(mass: np.ndarray) -> np.ndarray:
    low, middle = 0.08, 0.5
    brown, dwarfs = (mass / low) ** -0.3, (mass / low) ** -1.3
    massive = (middle / low) ** -1.3 * (mass / middle) ** -2.3
    return np.where(mass < low, brown, np.where(mass < middle, dwarfs, massive))


def _chabrier(mass: np.ndarray) -> np.ndarray:
    peak, width = np.log10(0.079), 0.69
    dwarfs = np.exp(-((np.log10(mass) - peak) ** 2) / (2 * width**2)) / mass
    massive = np.exp(-(peak**2) / (2 * width**2)) * mass**-2.3
    return np.where(mass < 1.0, dwarfs, massive)


def _stars_between(isochrone: Isochrone, mass_function: str | None) -> Float[np.ndarray, " pieces"]:
    """Stars between each point and the next; zero where the next does not follow."""
    mass, joined = isochrone.initial_mass, isochrone.follows[1:]
    if mass_function is None and isochrone.cumulated is not None:
        return np.where(joined, np.abs(np.diff(isochrone.cumulated)), 0.0)
    # Exact for a power law -1 in mass and good to some 0.1 % at the mass steps of isochrones.
    centre = np.sqrt(mass[1:] * mass[:-1])
    stars = stars_per_mass(centre, mass_function or "kroupa") * centre * np.diff(np.log(mass))
    return np.where(joined, np.abs(stars), 0.0)


def _binned(
    isochrone: Isochrone, stars: Float[np.ndarray, " pieces"], edges: Float[np.ndarray, " edges"]
) -> tuple[Float[np.ndarray, " bins"], Float[np.ndarray, " bins"]]:
    """Stars and mean colour of the fullest branch in each bin of magnitude."""
    start, stop = isochrone.absolute[:-1], isochrone.absolute[1:]
    low, high = np.minimum(start, stop), np.maximum(start, stop)
    left = np.maximum(low[:, None], edges[None, :-1])
    right = np.minimum(high[:, None], edges[None, 1:])
    # A piece without extent lies in the bin that holds it.
    length = np.where(high > low, high - low, 1.0)[:, None]
    point = (high == low)[:, None] & (left == low[:, None]) & (low[:, None] < edges[None, 1:])
    weight = stars[:, None] * np.where(point, 1.0, np.maximum(right - left, 0.0) / length)
    slope = np.where(high > low, np.diff(isochrone.bp_rp) / np.where(high > low, stop - start, 1.0), 0.0)
    colour = isochrone.bp_rp[:-1, None] + slope[:, None] * (0.5 * (left + right) - start[:, None])
    fullest = np.array([_weighted_median(*column) for column in zip(colour.T, weight.T, strict=True)])
    weight = np.where(np.abs(colour - fullest) < _BRANCH, weight, 0.0)
    count = weight.sum(axis=0)
    return count, (weight * colour).sum(axis=0) / np.where(count > 0, count, 1.0)


def _weighted_median(values: Float[np.ndarray, " n"], weights: Float[np.ndarray, " n"]) -> float:
    order = np.argsort(values)
    share = np.cumsum(weights[order])
    return float(values[order[min(int(np.searchsorted(share, 0.5 * share[-1])), len(values) - 1)]])
