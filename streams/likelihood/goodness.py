"""Does a refined stream look like its own model? Smooth tests, weighted by membership."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from numpy.polynomial.legendre import legvander
from scipy.special import ndtr
from scipy.stats import chi2

from streams.likelihood.goodness_model import luminosity_table, simulated_members, sky_mass
from streams.likelihood.refinement import RefinedStream
from streams.likelihood.refinement_component import StreamDensity, index
from streams.likelihood.refinement_mixture import StreamMixture
from streams.likelihood.refinement_recipe import RefinementRecipe
from streams.likelihood.refinement_sky import RefinementSky
from streams.ridges import INTRINSIC_COLOUR_SPREAD

__all__ = ["GoodnessOfFit", "goodness_of_fit"]

ORDER = 4
"""Of the polynomials: shift, width, skewness and tails; finer features need more stars than streams have."""
LEAST_MEMBERS = 10.0
"""Fewer have no distributions to speak of."""
LEAST_VARIANCE = 0.02
"""Share of a moment's variance that the fitted parameters must leave, for the moment to be tested."""
_WORDS = {
    "across": "the profile across the track",
    "along": "the density along the track",
    "pm1": "the proper motions along phi1",
    "pm2": "the proper motions along phi2",
    "colour": "the colours about the ridge",
    "magnitude": "the luminosity function",
}


@dataclass(frozen=True)
class GoodnessOfFit:
    """p-values of a stream's own distributions under its model.

    Args:
        p_values: (feature, p), in the order across, along, pm1, pm2, colour, magnitude (those there are);
            empty with fewer than ten members.
        stars: expected number of members that spoke, the sum of their probabilities.
    """

    p_values: tuple[tuple[str, float], ...]
    stars: float

    @property
    def p_value(self) -> float:
        """Of the worst feature, corrected for their number (Sidak 1967)."""
        worst = min((p for _, p in self.p_values), default=1.0)
        return float(-np.expm1(len(self.p_values) * np.log1p(-min(worst, 1 - 1e-16))))

    @property
    def sentence(self) -> str:
        """One sentence for the user."""
        if not self.p_values:
            return f"Too few members ({self.stars:.1f}) to say whether they look like the fitted stream."
        if self.p_value > 0.01:
            return (
                f"The members look like the fitted stream (p = {self.p_value:.2g}, {self.stars:.0f} stars)."
            )
        limit = 0.01 / len(self.p_values)
        bad = [_WORDS[name] for name, p in self.p_values if p <= limit] or [
            _WORDS[min(self.p_values, key=lambda pair: pair[1])[0]]
        ]
        return (
            f"The members do not look like the fitted stream (p = {self.p_value:.1g}): "
            f"the model fails in {' and '.join(bad)}."
        )


def goodness_of_fit(stream: RefinedStream, sky: RefinementSky, seed: int = 0) -> GoodnessOfFit:
    """Smooth tests of a stream's distributions across, along, in proper motion, colour and magnitude.

    Each star's value is turned into u in (0, 1), uniform for a star of the stream (its own errors included).
    If q is the membership probability and P_j a Legendre polynomial, sum_i q_i P_j(2 u_i - 1) has the
    expectation of N stars of the stream, however strong the background, because q times the mixture is the
    stream (Neyman's smooth test of 1937, as a conditional moment of a mixture). Across the track that
    expectation is the mean over the footprint, whose edges and holes cut the profile; elsewhere it is 0.

    The covariance of the moments is that of what the scores of the fitted parameters do not explain (Newey
    1985, Econometrica 53, 1047): the fit has adapted to the data. It is taken over stars simulated from the
    model, not over the observed ones, whose few outliers would decide it (the tests then reject a tenth of
    all true models at 1 % for a hundred members).

    Args:
        stream: result of `refine` or `refine_in`.
        sky: the sky it was fitted in (`RefinementSky.of` with the same arguments).
        seed: of the simulated stars.
    """
    near = sky.take(np.isin(sky.rows, stream.rows))
    p, density = stream.parameters, stream.density
    fitted = np.isfinite(np.diag(stream.covariance))
    mixture = StreamMixture(near, (density,), fitted[None], RefinementRecipe())
    here = mixture.evaluate(p[None])
    q, gradient = here.probability[0], here.gradient[fitted]
    if q.sum() < LEAST_MEMBERS:
        return GoodnessOfFit((), float(q.sum()))
    model = simulated_members(density, p, near, q, seed)
    expected = replace(mixture, sky=model.sky).evaluate(p[None])
    own_q = np.maximum(expected.probability[0], 1e-12)
    scores = expected.scores[:, fitted] * np.sqrt(model.weight / own_q)[:, None]
    values, there = [], dict(_uniform(density, p, model.sky))
    for name, u in _uniform(density, p, near):
        mean = _mean_across(density, p, near) if name == "across" else np.zeros(ORDER)
        moments = _moments(there[name], mean) * np.sqrt(model.weight * own_q)[:, None]
        values.append((name, _smooth_test(q @ _moments(u, mean), moments, scores, gradient)))
    return GoodnessOfFit(tuple(values), float(q.sum()))


def _moments(u: np.ndarray, mean: np.ndarray) -> Float[np.ndarray, "n orders"]:
    """Legendre polynomials less their mean; 0 where u is NaN: such stars say nothing."""
    known = np.isfinite(u)
    return (legvander(2 * np.where(known, u, 0.5) - 1, ORDER)[:, 1:] - mean) * known[:, None]


def _mean_across(stream: StreamDensity, p: np.ndarray, sky: RefinementSky) -> Float[np.ndarray, " orders"]:
    """Mean of the polynomials of the profile's u over the footprint."""
    mass, z = sky_mass(stream, p, sky)
    return mass @ _moments(ndtr(z), np.zeros(ORDER)) / max(mass.sum(), 1e-300)


def _smooth_test(total: np.ndarray, moments: np.ndarray, scores: np.ndarray, gradient: np.ndarray) -> float:
    """p-value of Neyman's statistic; the squares of `moments` and `scores` add up to what one expects."""
    explained = np.linalg.lstsq(scores, moments, rcond=1e-10)[0]
    # The fit does not end where the likelihood is flat: its width is that of the restricted likelihood.
    total = total - gradient @ explained
    unexplained = moments - scores @ explained
    size = np.sqrt(np.maximum((moments**2).sum(axis=0), 1e-300))
    eigenvalue, vector = np.linalg.eigh(unexplained.T @ unexplained / np.outer(size, size))
    # Directions that the fit has used up have no variance left, and nothing to say.
    usable = eigenvalue > LEAST_VARIANCE
    projected = vector.T @ (total / size)
    statistic = float((projected[usable] ** 2 / eigenvalue[usable]).sum())
    return float(chi2.sf(statistic, int(usable.sum()))) if usable.any() else 1.0


def _uniform(
    stream: StreamDensity, p: np.ndarray, sky: RefinementSky
) -> list[tuple[str, Float[np.ndarray, " n"]]]:
    """The transforms: each is uniform over the stars of the stream."""
    s, t = stream.frame(sky.x, sky.y)
    powers = np.column_stack([np.ones_like(s), s, s * s])
    found = [("across", ndtr((t - powers @ p[:3]) / np.exp(p[3]))), ("along", _along(stream, p, s, sky))]
    for k, at in ((0, 6), (1, 9)):
        sigma = np.hypot(sky.error[:, k], np.exp(p[12 + k]))
        found.append((f"pm{k + 1}", ndtr((sky.motion[:, k] - powers @ p[at : at + 3]) / sigma)))
    if stream.ridge is not None:
        found += _light(stream, p, s, sky)
    return found


def _along(stream: StreamDensity, p: np.ndarray, s: np.ndarray, sky: RefinementSky) -> np.ndarray:
    """Cumulative mass of the model along the line, edges and holes of the footprint included."""
    cell_s, _ = stream.frame(sky.cell_x, sky.cell_y)
    mass, _ = sky_mass(stream, p, sky)
    order = np.argsort(cell_s)
    cumulative = np.cumsum(mass[order])
    return np.interp(s, cell_s[order], (cumulative - 0.5 * mass[order]) / max(cumulative[-1], 1e-300))


def _light(
    stream: StreamDensity, p: np.ndarray, s: np.ndarray, sky: RefinementSky
) -> list[tuple[str, np.ndarray]]:
    ridge = stream.ridge
    modulus = p[index("modulus")] + p[index("modulus_slope")] * s
    absolute = sky.magnitude - modulus
    sigma = np.hypot(sky.colour_error, INTRINSIC_COLOUR_SPREAD)
    colour = ndtr((sky.colour - ridge.colour(absolute)) / sigma)
    node, count = luminosity_table(ridge)
    here, bright, faint = (np.interp(m - modulus, node, count) for m in (sky.magnitude, *sky.limits))
    return [("colour", colour), ("magnitude", (here - bright) / np.maximum(faint - bright, 1e-300))]
