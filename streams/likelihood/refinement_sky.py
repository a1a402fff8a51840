"""What a refinement looks at: stars with their background density, cells of the footprint."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from streams.cells import FootprintCells
from streams.likelihood.refinement_recipe import RefinementError
from streams.ridges import gaia_colour_error
from streams.stars import StreamStars

__all__ = ["RefinementSky"]

_PER_STAR = ("rows", "x", "y", "motion", "error", "correlation", "colour", "magnitude", "colour_error",
             "measured", "log_background")  # fmt: skip
LEAST_ERROR = 1e-3
"""Proper-motion error, mas/yr, that every star is granted at least."""


@dataclass(frozen=True, eq=False)
class RefinementSky:
    """Stars of a patch in its tangent plane, with all that stays fixed while streams are fitted.

    Args:
        rows: row numbers in the patch.
        x, y: plane coordinates, deg.
        motion, error: proper motions and standard errors, mas/yr.
        correlation: of the two errors.
        colour, magnitude, colour_error: BP-RP, G and the error of BP-RP, mag; NaN where not measured.
        measured: stars with both.
        log_background: ln of the background's density of everything that is measured: per deg^2 of the plane,
            (mas/yr)^2 and mag^2; it integrates to one.
        total: stars of the whole patch, those left out included.
        limits: brightest and faintest G of the survey.
        cell_x, cell_y, cell_area: cells of the footprint, deg, deg and deg^2 of the plane.
    """

    rows: Int[np.ndarray, " n"]
    x: Float[np.ndarray, " n"]
    y: Float[np.ndarray, " n"]
    motion: Float[np.ndarray, "n 2"]
    error: Float[np.ndarray, "n 2"]
    correlation: Float[np.ndarray, " n"]
    colour: Float[np.ndarray, " n"]
    magnitude: Float[np.ndarray, " n"]
    colour_error: Float[np.ndarray, " n"]
    measured: Bool[np.ndarray, " n"]
    log_background: Float[np.ndarray, " n"]
    total: int
    limits: tuple[float, float]
    cell_x: Float[np.ndarray, " cells"]
    cell_y: Float[np.ndarray, " cells"]
    cell_area: Float[np.ndarray, " cells"]

    @classmethod
    def of(
        cls,
        stars: StreamStars,
        cells: FootprintCells,
        log_background: Float[np.ndarray, " n"],
        density: Float[np.ndarray, " cells"] | None = None,
        *,
        use: Bool[np.ndarray, " n"] | None = None,
        correlation: Float[np.ndarray, " n"] | None = None,
        colour_error: Float[np.ndarray, " n"] | None = None,
        limits: tuple[float, float] | None = None,
    ) -> RefinementSky:
        """Stars with a finite background; for the arguments see `refine`.

        Raises:
            RefinementError: arrays of other lengths than the stars or the cells.
        """
        count = len(stars)
        for name, values in (("log_background", log_background), ("use", use), ("correlation", correlation)):
            if values is not None and len(values) != count:
                raise RefinementError(f"{name} needs one entry per star, {count}; it has {len(values)}")
        x, y = cells.plane.project(*stars.position.T)
        density = cells.density(x, y) if density is None else density
        if len(density) != len(cells.x):
            raise RefinementError(f"density needs one entry per cell, {len(cells.x)}; it has {len(density)}")
        surface = density / density.sum(dtype=float) / cells.plane_area
        usable = np.isfinite(log_background) if use is None else use & np.isfinite(log_background)
        rows = np.flatnonzero(usable)
        local = surface[cells.nearest(x[rows], y[rows])]
        colour, magnitude = _photometry(stars)
        error = np.maximum(stars.proper_motion_error[rows], LEAST_ERROR)
        rho = np.zeros(len(rows)) if correlation is None else np.nan_to_num(correlation[rows])
        bluer = _gaia_errors(colour, magnitude) if colour_error is None else colour_error
        measured = np.isfinite(colour) & np.isfinite(magnitude)
        limits = limits or _limits(magnitude)
        return cls(
            rows, x[rows], y[rows], stars.proper_motion[rows], error, rho, colour[rows], magnitude[rows],
            bluer[rows], measured[rows], np.log(np.maximum(local, 1e-300)) + log_background[rows],
            len(rows), limits, cells.x, cells.y, cells.plane_area,
        )  # fmt: skip

    def take(self, chosen: Bool[np.ndarray, " n"] | Int[np.ndarray, " m"]) -> RefinementSky:
        """Some of the stars (a mask, or places in these arrays); `total` counts the others as background."""
        return replace(self, **{name: getattr(self, name)[chosen] for name in _PER_STAR})

    @property
    def left_out(self) -> int:
        """Stars of the patch that are not here."""
        return self.total - len(self.x)


def _photometry(stars: StreamStars) -> tuple[np.ndarray, np.ndarray]:
    """BP-RP and G; NaN where the patch has none."""
    nothing = np.full(len(stars), np.nan)
    columns = dict(zip(stars.photometry_names, stars.photometry.T, strict=True))
    return columns.get("bp_rp", nothing), columns.get("phot_g_mean_mag", nothing)


def _gaia_errors(colour: np.ndarray, magnitude: np.ndarray) -> np.ndarray:
    """Errors of BP-RP that Gaia has at these magnitudes; NaN where they are."""
    measured = np.isfinite(colour) & np.isfinite(magnitude)
    error = np.full(len(colour), np.nan)
    if measured.any():
        error[measured] = gaia_colour_error(magnitude[measured], colour[measured])
    return error


def _limits(magnitude: np.ndarray) -> tuple[float, float]:
    """The range of the stars: the survey's limits where nobody states them."""
    measured = magnitude[np.isfinite(magnitude)]
    return (float(measured.min()), float(measured.max())) if len(measured) else (0.0, 1.0)
