"""Streams over a known background: observed likelihood, expectation-maximisation, scoring, information."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float

from streams.likelihood.refinement_component import NAMES, StreamDensity, index
from streams.likelihood.refinement_recipe import RefinementRecipe
from streams.likelihood.refinement_sky import RefinementSky

__all__ = ["Evaluation", "StreamMixture"]

_LARGEST = 300.0
"""Log of the largest density ratio that is told from larger ones."""
_TINY = 1e-300
_ENOUGH = 1e-5
"""Gain in log-likelihood that a step must promise to be worth taking."""
STEEPEST = 0.5
"""Slope of a track against the line it was found on: a steeper one is another line."""
_STARS, _WIDTH = index("log_stars"), index("log_width")
_TRACK_TERMS = 3
"""Coefficients of a track."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The mixture at given parameters.

    Args:
        log_ratio: ln of the likelihood over that of the background alone.
        probability: that each star belongs to each stream.
        scores: derivative of each star's log-likelihood by the parameters of all streams, one after another.
        gradient: of `log_ratio`: their sum, with that of the stars that were left out.
    """

    log_ratio: float
    probability: Float[np.ndarray, "streams n"]
    scores: Float[np.ndarray, "n parameters"]
    gradient: Float[np.ndarray, " parameters"]


@dataclass(frozen=True, eq=False)
class StreamMixture:
    """(1 - sum f_k) p_background + sum f_k p_stream_k over the stars of a patch, f_k = N_k / stars.

    The background is given, not fitted. Derivatives of the observed likelihood are the complete-data scores
    weighted by the membership probabilities (Fisher's identity; Louis 1982, J. R. Stat. Soc. B 44, 226).

    Args:
        sky: the stars near the streams; those left out count as background.
        streams: densities.
        free: which parameters of each are fitted.
        recipe: bounds and numbers of steps.
    """

    sky: RefinementSky
    streams: tuple[StreamDensity, ...]
    free: Bool[np.ndarray, "streams k"]
    recipe: RefinementRecipe

    def evaluate(self, p: Float[np.ndarray, "streams k"]) -> Evaluation:
        """Likelihood, membership probabilities and scores at the parameters `p`."""
        share = np.exp(p[:, _STARS]) / self.sky.total
        parts = [one.evaluate(own, self.sky) for one, own in zip(self.streams, p, strict=True)]
        log_ratio = np.stack([log_density - self.sky.log_background for log_density, _ in parts])
        weight = share[:, None] * np.exp(np.minimum(log_ratio, _LARGEST))
        background = 1.0 - share.sum()
        mixture = background + weight.sum(axis=0)
        probability = weight / mixture
        blocks = [q[:, None] * scores for q, (_, scores) in zip(probability, parts, strict=True)]
        for block, q, one in zip(blocks, probability, share, strict=True):
            block[:, _STARS] = q - one / mixture
        scores = np.concatenate(blocks, axis=1)
        gradient = scores.sum(axis=0)
        left = self.sky.left_out
        gradient[_STARS :: len(NAMES)] -= left * share / background
        value = float(np.log(mixture).sum() + left * np.log(background))
        return Evaluation(value, probability, scores, gradient)

    def expect_and_maximise(self, p: Float[np.ndarray, "streams k"], iterations: int) -> np.ndarray:
        """Expectation-maximisation (Dempster, Laird & Rubin 1977), cheap and steady far from the maximum.

        Its maximisation is that of an unbounded footprint, which leaves the last digits to `climb`.
        """
        for _ in range(iterations):
            here = self.evaluate(p)
            by_modulus = here.scores[:, index("modulus") :: len(NAMES)].T
            each = zip(self.streams, p, here.probability, by_modulus, strict=True)
            p = np.stack([self._maximised(*one) for one in each])
        return p

    def _maximised(
        self, stream: StreamDensity, p: np.ndarray, q: np.ndarray, by_modulus: np.ndarray
    ) -> np.ndarray:
        sky, p = self.sky, p.copy()
        s, t = stream.frame(sky.x, sky.y)
        number = max(q.sum(), _TINY)
        p[:3] = _polynomial(s, t, q, 3)
        p[index("log_width")] = 0.5 * np.log((q * (t - np.polyval(p[2::-1], s)) ** 2).sum() / number + _TINY)
        for k, at in ((0, 6), (1, 9)):
            variance = np.exp(2 * p[12 + k])
            weight = q / (sky.error[:, k] ** 2 + variance)
            p[at : at + 3] = _polynomial(s, sky.motion[:, k], weight, 2)
            residual = sky.motion[:, k] - np.polyval(p[at : at + 2][::-1], s)
            # A fixed-point step: each star weighs by what it tells about the intrinsic spread.
            told = q / (sky.error[:, k] ** 2 + variance) ** 2
            found = (told * (residual**2 - sky.error[:, k] ** 2)).sum() / max(told.sum(), _TINY)
            p[12 + k] = 0.5 * np.log(max(found, self.recipe.min_spread**2))
        if stream.ridge is not None:
            step = by_modulus.sum() / max((by_modulus**2 / np.maximum(q, _TINY)).sum(), _TINY)
            p[index("modulus")] += np.clip(step, -0.3, 0.3)
        p[_STARS] = np.log(number)
        return np.clip(p, *self._bounds())

    def climb(self, p: Float[np.ndarray, "streams k"]) -> tuple[Float[np.ndarray, "streams k"], Evaluation]:
        """Maximum of the observed likelihood near `p`, restricted in the width, by damped scoring.

        Through N stars a track of three coefficients passes too closely: ln L + 3 ln w is the likelihood of
        the width alone (Patterson & Thompson 1971, Biometrika 58, 545), without that bias.

        The outer product of the scores stands for the information (Berndt, Hall, Hall & Hausman 1974);
        every step gains. A parameter that would leave its bounds waits there.
        """
        low, high = (np.tile(bound, len(p)) for bound in self._bounds())
        here, damping = self.evaluate(p), 1e-3
        restricted = np.zeros(p.shape)
        restricted[:, _WIDTH] = _TRACK_TERMS
        for _ in range(self.recipe.steps):
            flat, upward = p.ravel(), here.gradient + restricted.ravel()
            inward = ~((flat <= low) & (upward < 0)) & ~((flat >= high) & (upward > 0))
            active = np.flatnonzero(self.free.ravel() & inward)
            gradient, scores = upward[active], here.scores[:, active]
            information = scores.T @ scores
            taken = False
            while not taken and damping < 1e6:
                step = _solve(information, gradient, damping)
                if step @ gradient < _ENOUGH:
                    return p, here
                moved = flat.copy()
                moved[active] += step
                trial = np.clip(moved, low, high).reshape(p.shape)
                there = self.evaluate(trial)
                gain = there.log_ratio - here.log_ratio
                gain += _TRACK_TERMS * float((trial[:, _WIDTH] - p[:, _WIDTH]).sum())
                taken = gain > 0
                damping = damping * 0.2 if taken else max(damping, 1e-4) * 10.0
            if not taken:
                break
            p, here = trial, there
            if gain < _ENOUGH:
                break
        return p, here

    def covariance(self, p: Float[np.ndarray, "streams k"]) -> Float[np.ndarray, "parameters parameters"]:
        """Covariance of the free parameters at the maximum; NaN for those fixed or at a bound.

        The observed information is the derivative of the exact gradient by central differences. Its inverse,
        or that of the scores' outer product between two of them (Huber 1967): `recipe.errors`.
        """
        low, high = (np.tile(bound, len(p)) for bound in self._bounds())
        flat, here = p.ravel(), self.evaluate(p)
        inside = np.isinf(flat) | ((flat > low + 1e-9) & (flat < high - 1e-9))
        active = np.flatnonzero(self.free.ravel() & inside)
        scores = here.scores[:, active]
        outer = scores.T @ scores
        information = self._information(flat, active, outer)
        covariance = np.full((len(flat), len(flat)), np.nan)
        covariance[np.ix_(active, active)] = _inverse(information, outer, self.recipe.errors)
        return covariance

    def _information(self, flat: np.ndarray, active: np.ndarray, outer: np.ndarray) -> np.ndarray:
        shape = (len(self.streams), len(NAMES))
        steps = 0.1 / np.sqrt(np.maximum(np.diag(outer), 1e-12))
        rows = []
        for at, step in zip(active, np.minimum(steps, 0.1), strict=True):
            sides = []
            for sign in (1.0, -1.0):
                moved = flat.copy()
                moved[at] += sign * step
                sides.append(self.evaluate(moved.reshape(shape)).gradient[active])
            rows.append((sides[1] - sides[0]) / (2 * step))
        information = np.array(rows).reshape(len(active), len(active))
        return 0.5 * (information + information.T)

    def _bounds(self) -> tuple[np.ndarray, np.ndarray]:
        recipe, high = self.recipe, np.full(len(NAMES), np.inf)
        low = -high
        low[1:3] = -np.array([STEEPEST, recipe.max_curvature])
        high[1:3] = -low[1:3]
        low[3], high[3] = np.log([recipe.min_width, recipe.max_width])
        for at in (7, 10):
            low[at], high[at] = -recipe.motion_reach, recipe.motion_reach
        low[12:14], high[12:14] = np.log(recipe.min_spread), np.log(recipe.max_spread)
        low[_STARS], high[_STARS] = np.log(0.1), np.log(0.9 * self.sky.total / len(self.streams))
        return low, high

    def around(self, p: Float[np.ndarray, "streams k"], motion: float, across: float) -> StreamMixture:
        """The mixture over the stars near any of its streams; margins in mas/yr and deg."""
        near = np.zeros(len(self.sky.x), dtype=bool)
        for stream, own in zip(self.streams, p, strict=True):
            near |= stream.near(own, self.sky, self.recipe.reach, motion, across)
        return replace(self, sky=self.sky.take(near))


def _polynomial(s: np.ndarray, value: np.ndarray, weight: np.ndarray, terms: int) -> np.ndarray:
    """(c0, c1, c2) of a weighted least-squares polynomial with `terms` terms, constant first."""
    design = np.vander(s, terms, increasing=True)
    normal = (design * weight[:, None]).T @ design
    # A whisper of ridge on the slopes keeps it defined when few stars remain.
    normal += np.diag([_TINY] + [1e-6 * weight.sum() + _TINY] * (terms - 1))
    return np.append(np.linalg.solve(normal, design.T @ (weight * value)), np.zeros(3 - terms))


def _solve(information: np.ndarray, gradient: np.ndarray, damping: float) -> np.ndarray:
    """Step of Levenberg and Marquardt in units of each parameter's own scale."""
    scale = np.sqrt(np.maximum(np.diag(information), 1e-12))
    whitened = information / np.outer(scale, scale) + damping * np.eye(len(scale))
    return np.linalg.lstsq(whitened, gradient / scale, rcond=None)[0] / scale


def _inverse(information: np.ndarray, outer: np.ndarray, kind: str) -> np.ndarray:
    scale = np.sqrt(np.maximum(np.diag(outer), 1e-12))
    grid = np.outer(scale, scale)
    information, outer = information / grid, outer / grid
    # Where the likelihood is no hill in every direction, the scores still bound what the stars can tell.
    definite = len(scale) and np.linalg.eigvalsh(information).min() > 1e-6
    inverse = np.linalg.pinv(information if definite else outer, hermitian=True)
    return (inverse @ outer @ inverse if kind == "sandwich" else inverse) / grid
