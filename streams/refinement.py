"""Below the bins of the Hough transform: a line's place, width and length by maximum likelihood."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Float
from scipy.optimize import minimize
from scipy.special import expit

from streams.cells import FootprintCells
from streams.errors import LineSearchError

__all__ = ["RefineRecipe", "RefinedLine", "refine_line"]

LEAST_STARS = 8
"""Fewer stars than this in the band do not fix the six numbers of a line."""

MERGED_CELLS = 4
"""Cells merged along the line; four of 0.1 deg are as long as an end is soft."""

FLOOR = 1e-12
"""Background density, per deg^2, that every place is granted: a star where none is expected stays finite."""

_PARAMETERS = ("theta", "offset", "width", "start", "end", "stars")


@dataclass(frozen=True)
class RefineRecipe:
    """Settings of the refinement.

    Args:
        band_widths: stars and cells within this many strip widths of the line are used: enough beside it
            to weigh the background, near enough for a background that is only locally log-linear.
        min_band: half-width of the band that is used at least, deg: an angle that is wrong by one step
            moves the end of a line by a third of a degree.
        max_turn: largest turn against the angle of the start, deg; two steps of the Hough transform.
        min_width, max_width: bounds of the Gaussian width, deg. Narrower than half a cell of 0.1 deg, a
            handful of stars that happen to lie on a line would pass for a stream.
        softness: scale, deg, over which the line's ends fade, so that the likelihood is smooth in them.
    """

    band_widths: float = 3.0
    min_band: float = 1.5
    max_turn: float = 4.0
    min_width: float = 0.05
    max_width: float = 1.5
    softness: float = 0.25


@dataclass(frozen=True)
class RefinedLine:
    """A segment of a line with a Gaussian profile, in the tangent plane of its footprint.

    Args:
        theta, offset: x sin(theta) - y cos(theta) = offset (radians, deg). The angle is the one next to the
            start's and may leave [0, pi), so that the offset keeps its sign.
        width: Gaussian sigma across the line, deg.
        start, end: along the line, s = x cos(theta) + y sin(theta), deg, inside the footprint.
        stars: number of the given stars that belong to the line (real, not whole).
        log_likelihood_ratio: ln of the maximum likelihood over that of the background alone.
        covariance: of (theta, offset, width, start, end, stars), in their units. A number that stands
            at its bound has an infinite variance and no covariances: an end at the edge of the
            footprint is a limit.
    """

    theta: float
    offset: float
    width: float
    start: float
    end: float
    stars: float
    log_likelihood_ratio: float
    covariance: Float[np.ndarray, "6 6"]

    @property
    def errors(self) -> dict[str, float]:
        """Standard errors of theta, offset, width, start, end and stars, by name."""
        return dict(zip(_PARAMETERS, np.sqrt(np.diag(self.covariance)).tolist(), strict=True))

    @property
    def length(self) -> float:
        """Length inside the footprint, deg."""
        return self.end - self.start


def refine_line(
    x: Float[np.ndarray, " n"],
    y: Float[np.ndarray, " n"],
    cells: FootprintCells,
    density: Float[np.ndarray, " cells"],
    theta: float,
    offset: float,
    width: float,
    recipe: RefineRecipe | None = None,
) -> RefinedLine:
    """Fit a line segment over a smooth background to a region's ranked stars near a line of the finder.

    Two components inside a band around the start: the region's background density, and a Gaussian profile
    across a straight segment with soft ends, normalised over the cells of the band, so that edges and
    holes of the footprint are part of the model:

        p(x) = (1 - f) b(x) / B + f S(x) / Z,    B = sum over cells of b,    Z = sum over cells of S.

    (q, turn, ln sigma, both ends, logit f) by maximum likelihood with analytic gradients, from the two best
    of several lengths and places of the segment; errors from the observed information. To those of the
    ends the mean distance between the line's stars is added in quadrature: how far an end may lie from
    the last star is a matter of chance, not of curvature. As for any uniform law, the ends lie inwards by
    about half that distance.

    Args:
        x, y: stars, plane coordinates, deg.
        cells: the footprint.
        density: background, share of the stars per cell (`FootprintCells.density`).
        theta, offset, width: the line and the full width of its strip as found, radians, deg, deg.
        recipe: settings; default `RefineRecipe()`.

    Raises:
        LineSearchError: fewer than `LEAST_STARS` stars in the band, or none of its cells in the footprint.
    """
    recipe = recipe or RefineRecipe()
    problem = _Band.around(x, y, cells, density, theta, offset, width, recipe)
    starts = problem.starts(width / 4)
    fits = [problem.maximum(start) for start in sorted(starts, key=lambda p: problem.loss(p)[0])[:2]]
    return problem.line(min(fits, key=lambda fit: fit[1])[0])


@dataclass(frozen=True)
class _Band:
    """Stars and cells beside a line, in coordinates along (s) and across (t) it from a pivot on the line.

    Parameters of the model: q (offset from the start, deg), turn (radians, against theta), ln sigma, low and
    high (ends along the line, deg from the pivot), logit f.
    """

    star_s: np.ndarray
    star_t: np.ndarray
    background: np.ndarray
    cell_s: np.ndarray
    cell_t: np.ndarray
    cell_area: np.ndarray
    cell_size: float
    theta: float
    offset: float
    pivot: float
    strip: float
    recipe: RefineRecipe

    @classmethod
    def around(
        cls,
        x: np.ndarray,
        y: np.ndarray,
        cells: FootprintCells,
        density: np.ndarray,
        theta: float,
        offset: float,
        width: float,
        recipe: RefineRecipe,
    ) -> _Band:
        half = max(recipe.band_widths * width, recipe.min_band)
        (s, t), (cell_s, cell_t) = (_along_across(*points, theta) for points in ((x, y), (cells.x, cells.y)))
        near, beside = np.abs(t - offset) <= half, np.abs(cell_t - offset) <= half
        if near.sum() < LEAST_STARS or not beside.any():
            raise LineSearchError(
                f"a line is refined with at least {LEAST_STARS} stars; {near.sum()} of {len(x)} lie within "
                f"{half:.2f} deg of it, in {beside.sum()} cells of the footprint"
            )
        pivot = float(np.median(s[near]))
        # Cells have areas on the sky; stars and profile live in the plane, which is stretched off its centre.
        area, cell = cells.plane_area, cells.nearest(x[near], y[near])
        background = density[cell] / area[cell] / density[beside].sum(dtype=float)
        merged = _merged(cell_s[beside] - pivot, cell_t[beside] - offset, area[beside], cells.size)
        return cls(
            s[near] - pivot, t[near] - offset, np.maximum(background, FLOOR), *merged, cells.size,
            theta, offset, pivot, width, recipe,
        )  # fmt: skip

    def starts(self, sigma: float) -> list[np.ndarray]:
        """Segments between quantiles of the stars near the line, with the excess there as their share."""
        near = np.abs(self.star_t) <= self.strip / 2
        s = self.star_s[near] if near.any() else self.star_s
        share = float(np.clip(near.mean() - self.strip / np.ptp(self.cell_t), 0.05, 0.8))
        quantiles = np.quantile(s, [0.0, 0.25, 0.5, 0.75, 1.0])
        sigma = float(np.clip(sigma, self.recipe.min_width, self.recipe.max_width))
        tail = (np.log(sigma), np.log(share / (1 - share)))
        return [np.array([0.0, 0.0, tail[0], *ends, tail[1]]) for ends in combinations(quantiles, 2)]

    def maximum(self, start: np.ndarray) -> tuple[np.ndarray, float]:
        """Parameters of the maximum near `start`, and minus its log-likelihood ratio."""
        found = minimize(self.loss, start, jac=True, method="L-BFGS-B", bounds=self._bounds())
        return found.x, float(found.fun)

    def _bounds(self) -> list[tuple[float, float]]:
        recipe, (low, high) = self.recipe, self._reach()
        turn, sigma = np.radians(recipe.max_turn), (np.log(recipe.min_width), np.log(recipe.max_width))
        # Beyond the edge by a few scales a soft end is a line that leaves the footprint undiminished.
        ends = (low - 4 * recipe.softness, high + 4 * recipe.softness)
        return [(-self.strip, self.strip), (-turn, turn), sigma, ends, ends, (-8.0, 8.0)]

    def _reach(self) -> tuple[float, float]:
        """Extent of the footprint along the line."""
        on_line = self.cell_s[np.abs(self.cell_t) <= max(self.strip, self.cell_size)]
        inside = on_line if len(on_line) else self.cell_s
        return float(inside.min()), float(inside.max())

    def loss(self, parameters: np.ndarray) -> tuple[float, np.ndarray]:
        """Minus the log-likelihood ratio to the background alone, and its gradient."""
        sigma, fraction = np.exp(parameters[2]), expit(parameters[5])
        log_profile, slopes = self._profile(self.star_s, self.star_t, parameters, sigma)
        # Blurred by half a cell, the profile is sampled by the cells without aliasing.
        blurred = np.hypot(sigma, self.cell_size / 2)
        cells, cell_slopes = self._profile(self.cell_s, self.cell_t, parameters, blurred)
        cell_slopes[2] *= (sigma / blurred) ** 2
        peak = cells.max()
        weight = self.cell_area * np.exp(cells - peak)
        total = weight.sum()
        log_odds = log_profile - np.log(total) - peak - np.log(self.background)
        ratio = np.exp(np.clip(log_odds, -300, 300))
        mixture = 1 - fraction + fraction * ratio
        member = fraction * ratio / mixture
        gradient = slopes @ member - member.sum() * (cell_slopes @ weight) / total
        share = np.sum((ratio - 1) / mixture) * fraction * (1 - fraction)
        return -float(np.log(mixture).sum()), -np.append(gradient, share)

    def _profile(
        self, s: np.ndarray, t: np.ndarray, parameters: np.ndarray, sigma: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Log of the segment's profile, not normalised, and its slopes in the first five parameters."""
        q, turn, _, low, high, _ = parameters
        cosine, sine, softness = np.cos(turn), np.sin(turn), self.recipe.softness
        across, along = t * cosine - s * sine - q, s * cosine + t * sine
        begin, finish = expit((along - low) / softness), expit((high - along) / softness)
        pull, late, early = across / sigma**2, (1 - begin) / softness, (1 - finish) / softness
        log_profile = -0.5 * pull * across - np.log(sigma) + np.log(begin * finish + 1e-300)
        turned = pull * along + (late - early) * (across + q)
        return log_profile, np.stack([pull, turned, pull * across - 1, -late, early])

    def line(self, parameters: np.ndarray) -> RefinedLine:
        """The result in the coordinates of the plane, with errors."""
        q, turn, log_sigma, low, high, logit = parameters
        shift, count, fraction = self._shift(turn), len(self.star_s), expit(logit)
        first, last = self._reach()
        start, end = np.clip(sorted((low, high)), first, last) + shift
        return RefinedLine(
            float(self.theta - turn), float(self._offset(q, turn)), float(np.exp(log_sigma)),
            float(start), float(end), float(count * fraction), -self.loss(parameters)[0],
            self._covariance(parameters, (end - start) / max(count * fraction, 1.0)),
        )  # fmt: skip

    def _offset(self, q: float, turn: float) -> float:
        # The pivot lies on the line of the start, at (pivot, offset); q and turn are counted from there.
        return self.offset * np.cos(turn) - self.pivot * np.sin(turn) + q

    def _shift(self, turn: float) -> float:
        return self.pivot * np.cos(turn) + self.offset * np.sin(turn)

    def _covariance(self, parameters: np.ndarray, spacing: float) -> Float[np.ndarray, "6 6"]:
        turn, log_sigma, logit = parameters[[1, 2, 5]]
        fraction, count = expit(logit), len(self.star_s)
        bounds = np.array(self._bounds())
        free = (parameters > bounds[:, 0] + 1e-6) & (parameters < bounds[:, 1] - 1e-6)
        jacobian = np.diag([1.0, -1.0, np.exp(log_sigma), 1.0, 1.0, count * fraction * (1 - fraction)])
        jacobian[0, 1] = -self._shift(turn)
        jacobian[3:5, 1] = self._offset(0.0, turn)
        covariance = jacobian @ self._inverse_information(parameters, free) @ jacobian.T
        covariance[[3, 4], [3, 4]] += spacing**2
        covariance[~free, :] = covariance[:, ~free] = 0.0
        covariance[~free, ~free] = np.inf
        order = [1, 0, 2, 3, 4, 5]
        return covariance[np.ix_(order, order)]

    def _inverse_information(self, parameters: np.ndarray, free: np.ndarray) -> np.ndarray:
        """Inverse of the observed information of the free parameters, from differences of the gradient."""
        step = np.diag(np.array([1e-3, 1e-5, 1e-3, 1e-3, 1e-3, 1e-3]))
        rows = [(self.loss(parameters + h)[1] - self.loss(parameters - h)[1]) / (2 * h.sum()) for h in step]
        information = (np.array(rows) + np.array(rows).T) / 2
        # As weak as a prior that spans the whole field: an end that nothing holds stays finite.
        information[[3, 4], [3, 4]] += 1.0 / np.ptp(self.cell_s) ** 2
        inverse = np.zeros((6, 6))
        inverse[np.ix_(free, free)] = np.linalg.pinv(information[np.ix_(free, free)], hermitian=True)
        return inverse


def _along_across(x: np.ndarray, y: np.ndarray, theta: float) -> tuple[np.ndarray, np.ndarray]:
    return x * np.cos(theta) + y * np.sin(theta), x * np.sin(theta) - y * np.cos(theta)


def _merged(
    s: np.ndarray, t: np.ndarray, area: np.ndarray, size: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cells put together along the line, where the profile is smooth: a quarter of the work."""
    along, across = (np.floor(v / step).astype(int) for v, step in ((s, MERGED_CELLS * size), (t, size)))
    key = (along - along.min()) * (np.ptp(across) + 1) + across - across.min()
    total = np.bincount(key, area)
    filled = total > 0
    s, t = (np.bincount(key, area * v)[filled] / total[filled] for v in (s, t))
    return s, t, total[filled]
