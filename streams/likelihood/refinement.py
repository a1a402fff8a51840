"""Refinement of a stream that a likelihood search found: all of its numbers, their errors, its members."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from streams.cells import FootprintCells
from streams.likelihood.refinement_component import StreamDensity, index
from streams.likelihood.refinement_fit import (
    LEAST_STARS,
    best_of,
    free_parameters,
    started,
    turned,
    with_optional,
)
from streams.likelihood.refinement_mixture import Evaluation, StreamMixture
from streams.likelihood.refinement_recipe import RefinementError, RefinementRecipe, RefinementStart
from streams.likelihood.refinement_sky import RefinementSky
from streams.membership import Membership, StreamModel
from streams.ridges import Ridge
from streams.stars import StreamStars

__all__ = ["RefinedStream", "refine", "refine_in", "refined_of"]


@dataclass(frozen=True, eq=False)
class RefinedStream:
    """A stream with errors.

    Args:
        density: its line, ridge and softness.
        parameters: in the order of `NAMES` (streams.likelihood.refinement_component): track c0, c1, c2 (deg,
            s in deg), ln width, ends (deg; infinite where the stream crosses the footprint), motions and
            their powers of s (mas/yr), ln of the intrinsic spreads, modulus, its slope (mag/deg), ln N.
        covariance: of the parameters; NaN for those that are not fitted or stand at a bound.
        rows, along, probability: stars near the stream (rows of the patch), their s (deg) and their
            membership probabilities.
        log_likelihood_ratio: ln of the likelihood over that without the stream.
        total: stars of the patch.
        by_ridge: (name, modulus, log-likelihood ratio) of every ridge that was tried: what the distance
            owes to the choice of the population.
        half_box: half-width, mas/yr, of the square that holds the stars near the stream.
    """

    density: StreamDensity
    parameters: Float[np.ndarray, " k"]
    covariance: Float[np.ndarray, "k k"]
    rows: Int[np.ndarray, " n"]
    along: Float[np.ndarray, " n"]
    probability: Float[np.ndarray, " n"]
    log_likelihood_ratio: float
    total: int
    by_ridge: tuple[tuple[str, float, float], ...]
    half_box: float

    def value(self, name: str) -> float:
        """A parameter, by its name in `NAMES`."""
        return float(self.parameters[index(name)])

    def error(self, name: str) -> float:
        """Its standard error; NaN where it is not fitted or stands at a bound."""
        return float(np.sqrt(self.covariance[index(name), index(name)]))

    @property
    def width(self) -> tuple[float, float]:
        """Gaussian sigma across the track and its error, deg."""
        return _exponential(self.value("log_width"), self.error("log_width"))

    @property
    def stars(self) -> tuple[float, float]:
        """Expected number of stream stars in the patch, and its error."""
        return _exponential(self.value("log_stars"), self.error("log_stars"))

    @property
    def spreads(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Intrinsic sigma and its error of (pm_phi1_cosphi2, pm_phi2), mas/yr."""
        first, second = (_exponential(self.value(n), self.error(n)) for n in ("log_spread1", "log_spread2"))
        return first, second

    @property
    def modulus(self) -> tuple[float, float] | None:
        """Distance modulus at s = 0 and its error, mag, for the best ridge; None without a ridge."""
        return None if self.density.ridge is None else (self.value("modulus"), self.error("modulus"))

    @property
    def ends(self) -> tuple[float, float]:
        """First and last s, deg; infinite where the stream crosses the footprint."""
        return self.value("start"), self.value("end")

    def track(self, s: Float[np.ndarray, " m"]) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, " m"]]:
        """t of the track at s, and its standard error, deg."""
        return self._polynomial("c0", s)

    def proper_motion(
        self, s: Float[np.ndarray, " m"]
    ) -> tuple[Float[np.ndarray, "m 2"], Float[np.ndarray, "m 2"]]:
        """Proper motion of the track at s, and its standard error, mas/yr."""
        first, second = self._polynomial("pm1_0", s), self._polynomial("pm2_0", s)
        return np.column_stack([first[0], second[0]]), np.column_stack([first[1], second[1]])

    def _polynomial(self, first: str, s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        at = slice(index(first), index(first) + 3)
        powers = np.column_stack([np.ones_like(s), s, s * s])
        variance = np.einsum("ni,ij,nj->n", powers, np.nan_to_num(self.covariance[at, at]), powers)
        return powers @ self.parameters[at], np.sqrt(np.maximum(variance, 0.0))

    @property
    def model(self) -> StreamModel:
        """The stream as the membership fit of the model-free chain describes one.

        One spread (root mean square of the two), proper motions linear in s (tangent at the middle of the
        members where they are curved).
        """
        p = self.parameters
        near = self.probability.sum() > 0
        middle = float(np.average(self.along, weights=self.probability)) if near else 0.0
        motion = tuple(
            (float(p[at] - p[at + 2] * middle**2), float(p[at + 1] + 2 * p[at + 2] * middle)) for at in (6, 9)
        )
        spread = float(np.sqrt(np.mean(np.exp(2 * p[12:14]))))
        track = (float(p[0]), float(p[1]), float(p[2]))
        fraction = float(self.probability.mean()) if len(self.probability) else 0.0
        return StreamModel(self.density.theta, track, self.width[0], (motion[0], motion[1]), spread, fraction)

    @property
    def membership(self) -> Membership:
        """Members for `streams.Candidate`, description, merging and the catalogue."""
        return Membership(self.model, self.rows, self.probability, self.half_box)


def refine(
    start: RefinementStart,
    stars: StreamStars,
    cells: FootprintCells,
    log_background: Float[np.ndarray, " n"],
    ridges: Sequence[Ridge] = (),
    recipe: RefinementRecipe | None = None,
    *,
    density: Float[np.ndarray, " cells"] | None = None,
    use: Bool[np.ndarray, " n"] | None = None,
    correlation: Float[np.ndarray, " n"] | None = None,
    colour_error: Float[np.ndarray, " n"] | None = None,
    limits: tuple[float, float] | None = None,
) -> RefinedStream:
    """Fit a stream by maximum likelihood over a background that was learned beforehand.

        ln L = sum_i ln( (1 - f) u(x_i) p_bg(features_i | x_i) + f p_stream(x_i, features_i) ),  f = N / stars

    To be used where a density of the background exists (the likelihood search). Where only scores exist,
    `streams.fit_membership` measures the background beside the line instead. Expectation-maximisation from
    several starts, scoring to the maximum of the observed likelihood, errors from the observed information
    (Louis 1982): they hold what is uncertain about the membership of each star.

    Args:
        start: the line, proper motion and distance found.
        stars: all stars of the patch.
        cells: its footprint.
        log_background: ln p_bg(pm_phi1_cosphi2, pm_phi2 [, bp_rp, G] | position), per (mas/yr)^2
            [mag^2]: with colour and G when ridges are given (of the motions alone for a star without
            photometry, which stays neutral), without them otherwise. Where it is not finite, stars are
            left out.
        ridges: colour-magnitude ridges; the likeliest is taken, all are reported. Without any,
            photometry is not used.
        recipe: settings; default `RefinementRecipe()`.
        density: smooth share of the patch's stars in each cell; default `cells.density` of these stars.
        use: stars that may belong to it (others were given to a stronger candidate); default all.
        correlation: of the errors of the two proper motions; default none.
        colour_error: errors of BP-RP, mag; default those that Gaia has at each G and BP-RP.
        limits: brightest and faintest G of the survey; default those of the stars.

    Raises:
        RefinementError: fewer than `LEAST_STARS` stars near the start, arrays that do not fit together, or a
            ridge without a distance modulus to start from.
    """
    sky = RefinementSky.of(
        stars, cells, log_background, density,
        use=use, correlation=correlation, colour_error=colour_error, limits=limits,
    )  # fmt: skip
    return refine_in(start, sky, ridges, recipe)


def refine_in(
    start: RefinementStart,
    sky: RefinementSky,
    ridges: Sequence[Ridge] = (),
    recipe: RefinementRecipe | None = None,
) -> RefinedStream:
    """`refine` in a sky that was prepared once: for several streams of one patch.

    Raises:
        RefinementError: as `refine`.
    """
    recipe = recipe or RefinementRecipe()
    candidates = _candidates(start, ridges, recipe)
    (stream,), p = candidates[0]
    first = sky.take(stream.near(p[0], sky, recipe.reach, recipe.motion_margin[0], recipe.sky_margin[0]))
    if len(first.x) < LEAST_STARS:
        raise RefinementError(
            f"{len(first.x)} of {sky.total} stars lie near the start {start}; "
            f"at least {LEAST_STARS} are needed: is the start in the frame of this patch?"
        )
    mixture, p, here = best_of(first, candidates, recipe)
    for motion, across in zip(recipe.motion_margin[1:], recipe.sky_margin[1:], strict=True):
        stream, own = turned(mixture.streams[0], p[0])
        mixture = StreamMixture(sky, (stream,), mixture.free, recipe).around(own[None], motion, across)
        if not len(mixture.sky.x):
            raise RefinementError(f"the fit from {start} ran away to where no star lies: there is no stream")
        p, here = mixture.climb(own[None])
    mixture, p, here, by_ridge = _likeliest_ridge(mixture, p, here, ridges)
    mixture, p, here = with_optional(mixture, p, start.extent)
    return refined_of(
        mixture.sky,
        mixture.streams[0],
        p[0],
        mixture.covariance(p),
        here.probability[0],
        here.log_ratio,
        by_ridge,
    )


def _candidates(
    start: RefinementStart, ridges: Sequence[Ridge], recipe: RefinementRecipe
) -> list[tuple[tuple[StreamDensity, ...], np.ndarray]]:
    """Varied starts with the middle ridge, the other ridges from the start as it is."""
    middle = ridges[len(ridges) // 2] if ridges else None
    pairs = [(one, middle) for one in start.varied()]
    pairs += [(start, ridge) for ridge in ridges if ridge is not middle]
    found = [started(one, ridge, recipe) for one, ridge in pairs]
    return [((stream,), p[None]) for stream, p in found]


def _likeliest_ridge(
    mixture: StreamMixture, p: np.ndarray, here: Evaluation, ridges: Sequence[Ridge]
) -> tuple[StreamMixture, np.ndarray, Evaluation, tuple[tuple[str, float, float], ...]]:
    """Every ridge fitted from the same maximum; the best of them."""
    fits = []
    for ridge in ridges:
        if ridge is mixture.streams[0].ridge:
            fits.append((mixture, p, here))
            continue
        stream = StreamDensity(mixture.streams[0].theta, ridge, mixture.recipe.softness)
        other = StreamMixture(mixture.sky, (stream,), free_parameters(ridge)[None], mixture.recipe)
        fits.append((other, *other.climb(other.expect_and_maximise(p, 3))))
    table = tuple(
        (ridge.name, float(own[0, index("modulus")]), found.log_ratio)
        for ridge, (_, own, found) in zip(ridges, fits, strict=True)
    )
    best = max(fits, key=lambda one: one[2].log_ratio) if fits else (mixture, p, here)
    return (*best, table)


def refined_of(
    sky: RefinementSky,
    stream: StreamDensity,
    p: Float[np.ndarray, " k"],
    covariance: Float[np.ndarray, "k k"],
    probability: Float[np.ndarray, " n"],
    log_ratio: float,
    by_ridge: tuple[tuple[str, float, float], ...] = (),
) -> RefinedStream:
    """The value of a finished fit over the stars of `sky`."""
    s, _ = stream.frame(sky.x, sky.y)
    half_box = float(np.abs(sky.motion - p[[6, 9]]).max(initial=0.0))
    return RefinedStream(
        stream, p, covariance, sky.rows, s, probability, log_ratio, sky.total, by_ridge, half_box
    )


def _exponential(log_value: float, log_error: float) -> tuple[float, float]:
    """exp of a value, and its error to first order."""
    value = float(np.exp(log_value))
    return value, value * log_error
