"""Regions of interest: boxes of proper motion with their stars ranked by anomaly score."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from streams.errors import RegionError

__all__ = ["COMPONENTS", "Region", "RegionRecipe", "WindowScores", "regions_of_interest"]

COMPONENTS = ("pm_phi1_cosphi2", "pm_phi2")
"""The two proper-motion components of a patch; each is the resonant feature in turn."""


@dataclass(frozen=True)
class WindowScores:
    """The anomaly scores of one window: what a scan hands to the line finder.

    Args:
        component: the resonant proper-motion component, one of `COMPONENTS`.
        low, high: the half-open window of that component, mas/yr.
        rows: row numbers in the patch's star table of the stars in the window.
        log_ratio: their cross-fitted anomaly scores ln R (natural log), same order as `rows`.
    """

    component: str
    low: float
    high: float
    rows: Int[np.ndarray, " n"]
    log_ratio: Float[np.ndarray, " n"]

    def __post_init__(self) -> None:
        if self.component not in COMPONENTS:
            raise RegionError(f"component must be one of {COMPONENTS}, got {self.component!r}")
        if len(self.rows) != len(self.log_ratio):
            raise RegionError(
                f"{len(self.rows)} rows came with {len(self.log_ratio)} scores: one score per row"
            )

    @property
    def other(self) -> str:
        """The component that is not resonant."""
        return COMPONENTS[1 - COMPONENTS.index(self.component)]


@dataclass(frozen=True)
class Region:
    """A region of interest (ROI): one window cut by a second window in the other component.

    Args:
        component: the resonant component.
        box: ((low, high) of pm_phi1_cosphi2, (low, high) of pm_phi2), mas/yr.
        stars: all row numbers in the region, highest score first.
    """

    component: str
    box: tuple[tuple[float, float], tuple[float, float]]
    stars: Int[np.ndarray, " n"]

    @property
    def centre(self) -> tuple[float, float]:
        """Middle of the box, mas/yr."""
        return (sum(self.box[0]) / 2, sum(self.box[1]) / 2)


@dataclass(frozen=True)
class RegionRecipe:
    """How a window is cut into regions of interest (Shih et al. 2021, 2104.12789, section 4).

    Args:
        width, step: of the second window, mas/yr.
        min_stars: a region with fewer stars holds no line that could be told from chance.
        exclude_below: stars with both |pm| below this (mas/yr) are left out, because distant stars
            pile up there; 0 keeps them.
    """

    width: float = 6.0
    step: float = 1.0
    min_stars: int = 60
    exclude_below: float = 0.0


def regions_of_interest(
    windows: list[WindowScores],
    proper_motion: Float[np.ndarray, "n 2"],
    keep: np.ndarray,
    recipe: RegionRecipe,
) -> list[Region]:
    """All regions of interest of a patch, in a fixed order.

    Args:
        windows: scored windows of either component.
        proper_motion: (pm_phi1_cosphi2, pm_phi2) of every star of the patch, mas/yr.
        keep: boolean, one per star: the fiducial cuts (colour, magnitude) to rank within.
        recipe: width, step and smallest size.
    """
    quiet = np.abs(proper_motion).max(axis=1) < recipe.exclude_below
    allowed = keep & ~quiet
    return [region for window in windows for region in _cut(window, proper_motion, allowed, recipe)]


def _cut(
    window: WindowScores, proper_motion: np.ndarray, allowed: np.ndarray, recipe: RegionRecipe
) -> Iterator[Region]:
    use = allowed[window.rows] & np.isfinite(window.log_ratio)
    rows, score = window.rows[use], window.log_ratio[use]
    if len(rows) < recipe.min_stars:
        return
    # Ties (trees give equal scores to stars of one leaf) are broken by proper motion, never by row number:
    # the order of the table must not matter.
    rows = rows[np.lexsort((*proper_motion[rows].T, -score))]
    other = proper_motion[rows, COMPONENTS.index(window.other)]
    first = np.floor((other.min() - recipe.width) / recipe.step) + 1
    for start in recipe.step * np.arange(first, np.floor(other.max() / recipe.step) + 1):
        inside = (other >= start) & (other < start + recipe.width)
        if inside.sum() >= recipe.min_stars:
            yield Region(window.component, _box(window, float(start), recipe.width), rows[inside])


def _box(window: WindowScores, start: float, width: float) -> tuple[tuple[float, float], tuple[float, float]]:
    resonant, other = (window.low, window.high), (start, start + width)
    return (resonant, other) if window.component == COMPONENTS[0] else (other, resonant)
