"""A patch as the likelihood search sees it: stars ranked by stream over learned background density."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from sky_patches import PatchGeometry
from streams.regions import Region
from streams.ridges import Ridge, gaia_colour_error
from streams.stars import StreamStars

__all__ = ["WeighedPatch"]


@dataclass(frozen=True, eq=False)
class WeighedPatch:
    """A patch in which the track of a likelihood candidate is continued.

    Under the null a star keeps its features, whatever its place, so that a rank by features scatters over the
    smooth density, as that of anomaly scores does.

    Args:
        geometry: the patch.
        ra, dec: of its stars, deg.
        stars: the same stars in patch coordinates.
        log_background: ln p(pm_phi1_cosphi2, pm_phi2 [, BP-RP, G] | position) of each, at its own errors.
        spread: dispersion of a stream's proper motions beyond the errors, mas/yr.
        ridge, modulus: population and distance modulus of the candidate; None: proper motions alone.
        reach: half-width of the box of proper motions, mas/yr.
    """

    geometry: PatchGeometry
    ra: Float[np.ndarray, " n"]
    dec: Float[np.ndarray, " n"]
    stars: StreamStars
    log_background: Float[np.ndarray, " n"]
    spread: float
    ridge: Ridge | None = None
    modulus: float = float("nan")
    reach: float = 3.0

    def region(self, motion: tuple[float, float]) -> Region | None:
        """Stars about a proper motion, highest density ratio first; equal ones by source_id."""
        box = tuple((centre - self.reach, centre + self.reach) for centre in motion)
        residual = self.stars.proper_motion - np.array(motion)
        variance = self.stars.proper_motion_error**2 + self.spread**2
        near = (np.abs(residual) < self.reach).all(axis=1) & np.isfinite(self.log_background)
        ratio = -0.5 * (residual**2 / variance + np.log(variance)).sum(axis=1) - self.log_background
        if self.ridge is not None:
            ratio = ratio + self._light(self.ridge)
        rows = np.flatnonzero(near)
        order = np.lexsort((self.stars.source_id[rows], -ratio[rows]))
        return Region("likelihood", (box[0], box[1]), rows[order])

    def _light(self, ridge: Ridge) -> Float[np.ndarray, " n"]:
        names = self.stars.photometry_names
        colour, magnitude = (
            self.stars.photometry[:, names.index(name)] for name in ("bp_rp", "phot_g_mean_mag")
        )
        limits = (float(magnitude.min()), float(magnitude.max()))
        error = gaia_colour_error(magnitude, colour)
        return ridge.log_density(colour, magnitude, self.modulus, error, limits)
