"""What the background is a density of, and what it is conditional on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from density import AtMost, Bounds, Unbounded
from sky_patches import Footprint
from streams import StreamStars
from streams.plane import TangentPlane
from streams.regions import COMPONENTS
from via_machinae.background.errors import BackgroundError
from via_machinae.background.recipe import BackgroundRecipe

__all__ = ["COLOUR", "MAGNITUDE", "BackgroundColumns"]

COLOUR, MAGNITUDE = "bp_rp", "phot_g_mean_mag"
_SAME = 0.01
"""Errors that differ by a smaller share are equal: rotation to the patch's frame changes the last digits."""
_FAINTEST = 100
"""Stars at the faint end whose mean spacing is added to the faintest: where the limit most likely lies."""


@dataclass(frozen=True)
class BackgroundColumns:
    """Features and context of one patch's background.

    With photometry the density is p(G, BP-RP, mu1, mu2 | x, y): the error of a star follows from its G, so
    that the observed density at that G is the density at that error. (A star's own error as a further
    context gains 0.002 nat on mock stars.) Without photometry it is p(mu1, mu2 | x, y, ln error): the error
    decides how far the observed proper motions scatter, and says how faint a star is (0.03 nat).

    Args:
        plane: (x, y) are coordinates in this tangent plane, deg.
        photometry: colour and magnitude are among the features.
        faintest: upper bound of G, mag; None without photometry.
        error: proper-motion error of a star that has none, mas/yr (the median of the others); None where
            the error is not in the context: all stars have the same one.
    """

    plane: TangentPlane
    photometry: bool
    faintest: float | None = None
    error: float | None = None

    @classmethod
    def of(cls, stars: StreamStars, footprint: Footprint, recipe: BackgroundRecipe) -> BackgroundColumns:
        """The columns that these stars can fill.

        Raises:
            BackgroundError: stars lie beyond the faint limit of the recipe.
        """
        plane = TangentPlane(*footprint.centre)
        if recipe.photometry and {COLOUR, MAGNITUDE} <= set(stars.photometry_names):
            return cls(plane, True, faintest=_faintest(_magnitude(stars), recipe.faintest))
        return cls(plane, False, error=_usual_error(_error(stars)))

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the features, in order."""
        return (MAGNITUDE, COLOUR, *COMPONENTS) if self.photometry else COMPONENTS

    @property
    def context(self) -> tuple[str, ...]:
        """Names of the context, in order."""
        return ("x", "y") if self.error is None else ("x", "y", "ln error")

    def bounds(self) -> tuple[Bounds, Bounds]:
        """Declared bounds of features and context: G ends at the limit."""
        features = tuple(AtMost(self.faintest) if n == MAGNITUDE else Unbounded() for n in self.features)
        return Bounds(features, self.features), Bounds((Unbounded(),) * len(self.context), self.context)

    def features_of(self, stars: StreamStars) -> Float[np.ndarray, "n d"]:
        """Features of stars, shape (n, 2 or 4).

        Raises:
            BackgroundError: the stars have no photometry and the background was learned with it.
        """
        if not self.photometry:
            return np.array(stars.proper_motion)
        missing = {COLOUR, MAGNITUDE} - set(stars.photometry_names)
        if missing:
            raise BackgroundError(
                f"this background was learned with {COLOUR} and {MAGNITUDE}; these stars lack "
                f"{sorted(missing)}: give them, or learn one with photometry=False"
            )
        colour = stars.photometry[:, stars.photometry_names.index(COLOUR)]
        return np.column_stack([_magnitude(stars), colour, stars.proper_motion])

    def context_of(self, stars: StreamStars) -> Float[np.ndarray, "n c"]:
        """Context of stars, shape (n, 2 or 3).

        Raises:
            LineSearchError: a star lies more than 60 deg from the centre.
        """
        place = self.plane.project(*stars.position.T)
        if self.error is None:
            return np.column_stack(place)
        errors = _error(stars)
        return np.column_stack([*place, np.log(np.where(errors > 0, errors, self.error))])

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**asdict(self), "plane": [self.plane.phi1, self.plane.phi2]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> BackgroundColumns:
        """The columns that `to_dict` described."""
        return cls(**{**values, "plane": TangentPlane(*values["plane"])})


def _magnitude(stars: StreamStars) -> Float[np.ndarray, " n"]:
    return stars.photometry[:, stars.photometry_names.index(MAGNITUDE)]


def _error(stars: StreamStars) -> Float[np.ndarray, " n"]:
    """Geometric mean of both errors; 0 where one is missing."""
    return np.sqrt(np.prod(np.maximum(stars.proper_motion_error, 0.0), axis=1))


def _usual_error(errors: Float[np.ndarray, " n"]) -> float | None:
    """The median of the known errors; None where most stars share it: it says nothing of them."""
    known = errors[errors > 0]
    if not len(known):
        return None
    low, usual, high = np.quantile(known, [0.1, 0.5, 0.9])
    return float(usual) if high > (1.0 + _SAME) * low else None


def _faintest(magnitude: Float[np.ndarray, " n"], declared: float | None) -> float:
    last = np.sort(magnitude)[-_FAINTEST - 1 :]
    if declared is None:
        return float(last[-1] + (last[-1] - last[0]) / max(len(last) - 1, 1))
    if last[-1] > declared:
        raise BackgroundError(
            f"faintest = {declared} mag is no limit of these stars: the faintest has G = {last[-1]:.3f}; cut "
            "them or leave the limit to be estimated"
        )
    return float(declared)
