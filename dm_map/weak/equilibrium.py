"""Where the Galaxy is not in equilibrium: residuals of regions as missing forces and rates of change."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from astropy import units as u
from astropy.table import Table
from jaxtyping import Float

from dm_map.stars import StarSample
from dm_map.weak.functions import TestFunctions
from dm_map.weak.null import Residuals
from dm_map.weak.regions import Region, regions_of
from dm_map.weak.result import WeakFit
from dm_map.weak.system import Covariance
from dm_map.weak.velocities import LocalFrame

__all__ = ["EquilibriumMap", "equilibrium_map"]

# Stars behind the response of the rows to a force: its error, below 1 %, only scales the map.
_RESPONSE_STARS = 200_000
_BLOCK = 8_192


@dataclass(frozen=True, eq=False)
class EquilibriumMap:
    """What would have to be added, region by region, to make the residuals vanish.

    Attributes:
        regions: The regions.
        letters: Local axes of `missing`.
        missing: Uniform force per mass along the local axes that the fitted potential lacks, (km/s)^2/kpc,
            shape (n, 3).
        missing_error: Its standard deviation over the draws, what the fit takes away included.
        rate: Rate at which the number of stars changes, d ln n/dt, km/s/kpc, shape (n,); NaN where there are
            no rows of even degree. 1 km/s/kpc is 1.0227 per Gyr.
        rate_error: Its standard deviation.
        fitted: |a| of the fitted potential at the centres, (km/s)^2/kpc.
    """

    regions: tuple[Region, ...]
    letters: tuple[str, str, str]
    missing: Float[np.ndarray, "n 3"]
    missing_error: Float[np.ndarray, "n 3"]
    rate: Float[np.ndarray, " n"]
    rate_error: Float[np.ndarray, " n"]
    fitted: Float[np.ndarray, " n"]

    @property
    def significance(self) -> Float[np.ndarray, "n 4"]:
        """Missing force and rate in standard deviations."""
        return np.column_stack([self.missing / self.missing_error, self.rate / self.rate_error])

    @property
    def centres(self) -> Float[np.ndarray, "n 3"]:
        """Cartesian centres of the regions, kpc: with the other columns all that a figure needs."""
        return np.array([region.centre for region in self.regions])

    def to_table(self) -> Table:
        """One row per region, with units."""
        force, table = u.km**2 / u.s**2 / u.kpc, Table()
        table["region"] = [region.name for region in self.regions]
        for axis, name in enumerate("xyz"):
            table[name] = self.centres[:, axis] * u.kpc
        table["stars"] = [region.stars for region in self.regions]
        for axis, letter in enumerate(self.letters):
            table[f"missing_{letter}"] = self.missing[:, axis] * force
            table[f"missing_{letter}_error"] = self.missing_error[:, axis] * force
        table["fitted"] = self.fitted * force
        table["rate"] = (self.rate * u.km / u.s / u.kpc).to(1 / u.Gyr)
        table["rate_error"] = (self.rate_error * u.km / u.s / u.kpc).to(1 / u.Gyr)
        return table


def equilibrium_map(fit: WeakFit, sample: StarSample) -> EquilibriumMap:
    """The residuals of each region as a missing uniform force and a rate of change of the density.

    With a + da in place of a, the rows of odd degree gain da . sum grad_w psi; where f changes as f lambda
    they are lambda sum psi, which rows of even degree see. Both follow by least squares from the region's
    rows. A wrong selection appears as a force sigma^2 grad ln S, a kick u as a rate -u . grad ln n.

    Args:
        fit: A fit with 20 draws or more, best from `refit` with `equilibrium_functions`: only even degrees
            tell rates.
        sample: Its stars, for the response of the rows.

    Raises:
        WeakFormError: the fit has too few draws.
    """
    residuals, functions = Residuals.of(fit), fit.equations.functions
    regions = regions_of(functions, fit.system.keep, fit.system.rows.stars)
    response = _response(functions, sample)[fit.system.keep]
    of_space, of_velocity = np.divmod(np.flatnonzero(fit.system.keep), functions.velocity.size)
    odd = np.asarray(functions.velocity.degrees)[of_velocity] % 2 == 1
    values = np.full((len(regions), 4, residuals.null.shape[1] + 1), np.nan)
    for number, region in enumerate(regions):
        inside = np.isin(of_space, region.functions)
        if np.any(inside & odd):
            values[number, :3] = -_least_squares(residuals, response[:, :3], inside & odd)
        if np.any(inside & ~odd):
            values[number, 3:] = _least_squares(residuals, response[:, 3:], inside & ~odd)
    centres = np.array([region.centre for region in regions])
    error = values[:, :, 1:].std(axis=2, ddof=1)
    letters = ("x", "y", "z") if functions.velocity.frame == "cartesian" else ("R", "phi", "z")
    fitted = np.linalg.norm(fit.potential.acceleration(centres), axis=1)
    return EquilibriumMap(
        regions, letters, values[:, :3, 0], error[:, :3], values[:, 3, 0], error[:, 3], fitted
    )


def _least_squares(
    residuals: Residuals, response: Float[np.ndarray, "r q"], rows: np.ndarray
) -> Float[np.ndarray, "q s"]:
    """Amplitudes of the columns of the response in the data and in the draws."""
    G, C = response[rows], Covariance.of(residuals.covariance[np.ix_(rows, rows)])
    weights = C.solve(G)
    return np.linalg.solve(G.T @ weights, weights.T @ residuals.together[rows])


def _response(functions: TestFunctions, sample: StarSample) -> Float[np.ndarray, "r 4"]:
    """Sums over the stars of grad_w psi along the local axes, and of psi, for every row."""
    step = max(1, len(sample) // _RESPONSE_STARS)
    index = np.arange(0, len(sample), step)
    index = index[functions.space.volume.contains(sample.x[index])]
    weights = sample.unit_weights[index] * step
    x, v = sample.x[index], sample.v[index]
    out = np.zeros((functions.space.size, functions.velocity.size, 4))
    cells = functions.space.cell_of(x)
    for cell in np.unique(cells):
        stars = np.flatnonzero(cells == cell)
        for some in np.split(stars, np.arange(_BLOCK, len(stars), _BLOCK)):
            B = functions.space.evaluate(int(cell), x[some])[0] * weights[some, None]
            local = LocalFrame.of(functions.velocity.frame, x[some], v[some])
            P, dP = functions.velocity.evaluate(local.velocity)
            both = np.concatenate([dP, P[None]])
            out[functions.space.active(int(cell))] += np.einsum("nj,cnm->jmc", B, both, optimize=True)
    return out.reshape(-1, 4)
