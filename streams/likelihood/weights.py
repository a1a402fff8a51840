"""How much each star speaks for a stream: stream over background density, each star with its own errors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from streams.cells import FootprintCells
from streams.likelihood.errors import LikelihoodError
from streams.likelihood.hypotheses import SearchRecipe, StreamRidge
from streams.ridges import gaia_colour_error
from streams.stars import StreamStars

__all__ = ["PatchFeatures", "StarWeights", "star_weights"]


@dataclass(frozen=True)
class PatchFeatures:
    """The stars of one patch that can be searched, in an order that does not depend on the table's.

    Args:
        rows: their row numbers in the table.
        x, y: tangent plane, deg.
        motion: (pm_phi1_cosphi2, pm_phi2), mas/yr.
        variance: of the two components for a stream's star: own errors and intrinsic spread, (mas/yr)^2.
        log_background: ln p_bg(features | position).
        surface: expected stars per deg^2 at each star.
        colour, magnitude, colour_error: BP-RP, G, mag; empty where the table has none.
        limits: brightest and faintest G.
    """

    rows: Int[np.ndarray, " n"]
    x: Float[np.ndarray, " n"]
    y: Float[np.ndarray, " n"]
    motion: Float[np.ndarray, "n 2"]
    variance: Float[np.ndarray, "n 2"]
    log_background: Float[np.ndarray, " n"]
    surface: Float[np.ndarray, " n"]
    colour: Float[np.ndarray, " m"]
    magnitude: Float[np.ndarray, " m"]
    colour_error: Float[np.ndarray, " m"]
    limits: tuple[float, float]

    @classmethod
    def of(
        cls,
        stars: StreamStars,
        cells: FootprintCells,
        density: Float[np.ndarray, " cells"],
        log_background: Float[np.ndarray, " n"],
        recipe: SearchRecipe,
        *,
        photometric: bool,
        colour_error: Float[np.ndarray, " n"] | None = None,
    ) -> PatchFeatures:
        """Features of the stars that have them all; others (NaN, no background density) are left out.

        Args:
            density: share of the patch's stars expected in each cell.
            photometric: whether a ridge will be asked: colour and G are then needed.
            colour_error: mag; default Gaia DR3's at each star's G and BP-RP.

        Raises:
            LikelihoodError: arrays of different lengths, no photometry, or no star that can be searched.
        """
        if len(log_background) != len(stars):
            raise LikelihoodError(f"{len(stars)} stars came with {len(log_background)} background densities")
        photometry = _photometry(stars) if photometric else np.empty((len(stars), 0))
        whole = np.isfinite(np.column_stack([stars.position, stars.proper_motion, photometry])).all(axis=1)
        # +inf would be a background that explains everything; -inf one that the flow calls impossible.
        rows = np.flatnonzero(whole & np.isfinite(log_background))
        if not len(rows):
            raise LikelihoodError(
                f"none of {len(stars)} stars has a finite position, proper motion, photometry and background"
            )
        rows = rows[np.lexsort((*stars.position[rows].T, stars.source_id[rows]))]
        x, y = cells.plane.project(*stars.position[rows].T)
        colour, magnitude = photometry[rows].T if photometric else (np.empty(0), np.empty(0))
        limits = recipe.limits
        if limits is None:
            limits = (float(magnitude.min()), float(magnitude.max())) if photometric else (0.0, 0.0)
        if not photometric:
            error = np.empty(0)
        else:
            error = gaia_colour_error(magnitude, colour) if colour_error is None else colour_error[rows]
        return cls(
            rows, x, y, stars.proper_motion[rows],
            stars.proper_motion_error[rows] ** 2 + recipe.spread**2,
            log_background[rows], _surface(cells, density, x, y, len(rows)),
            colour, magnitude, error, limits,
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.rows)

    def log_ridge_ratio(
        self, ridge: StreamRidge | None, modulus: float, which: Int[np.ndarray, " k"] | None = None
    ) -> Float[np.ndarray, " k"]:
        """ln p_ridge(colour, G | modulus) - ln p_bg of some of the stars (None: all); without a ridge the
        background's alone."""
        some = slice(None) if which is None else which
        if ridge is None:
            return -self.log_background[some]
        light = ridge.log_density(
            self.colour[some], self.magnitude[some], modulus, self.colour_error[some], self.limits
        )
        return np.asarray(light - self.log_background[some])


@dataclass(frozen=True)
class StarWeights:
    """Weights of the stars for one ridge and distance, at any proper motion.

    lambda_i = ln(1 + N / A_strip  r_i / n(x_i)),   r_i = p_stream(features_i) / p_bg(features_i | x_i)

    (SCIENCE section 2b): the log-likelihood ratio of star i against the background when a stream of N stars
    fills the strip. r_i integrates to one over the background.

    Args:
        index: numbers in `PatchFeatures` of the stars that reach `least_weight` at some proper motion.
        motion, variance: of these stars, (k, 2).
        amplitude: ln of stream over background where the star's proper motion is the stream's.
    """

    index: Int[np.ndarray, " k"]
    motion: Float[np.ndarray, "k 2"]
    variance: Float[np.ndarray, "k 2"]
    amplitude: Float[np.ndarray, " k"]


def star_weights(
    features: PatchFeatures, recipe: SearchRecipe, ridge: StreamRidge | None, modulus: float, length: float
) -> StarWeights:
    """The stars that may belong to a stream on this ridge, and how strongly.

    Args:
        length: of the footprint along a line, deg; with `expected_width` the area of the expected stream.
    """
    density = recipe.expected_stars / (recipe.expected_width * length)
    peak = -0.5 * np.log(features.variance).sum(axis=1) - np.log(2.0 * np.pi)
    amplitude = np.log(density / features.surface) + features.log_ridge_ratio(ridge, modulus) + peak
    index = np.flatnonzero(amplitude >= np.log(np.expm1(recipe.least_weight)))
    return StarWeights(index, features.motion[index], features.variance[index], amplitude[index])


def _photometry(stars: StreamStars) -> Float[np.ndarray, "n 2"]:
    names = ("bp_rp", "phot_g_mean_mag")
    if not set(names) <= set(stars.photometry_names):
        raise LikelihoodError(
            f"a ridge needs the columns {names}, the stars have {stars.photometry_names}: "
            "search without ridges (proper motion and position only)"
        )
    return stars.photometry[:, [stars.photometry_names.index(name) for name in names]]


def _surface(
    cells: FootprintCells, density: np.ndarray, x: np.ndarray, y: np.ndarray, stars: int
) -> Float[np.ndarray, " n"]:
    """Expected stars per deg^2 at each star."""
    return stars * (density / cells.area).astype(float)[cells.nearest(x, y)]
