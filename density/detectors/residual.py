"""What is left over: a signal density fitted to the data beside a frozen background, by
expectation-maximisation.

The data are (1 - w) p_b + w p_S with p_b known. Any w above the true one fits as well, with a p_S that has
taken in background; so the fit starts from the few rows that stand out most, and grows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float
from scipy.optimize import brentq
from scipy.special import expit

from density.detectors.fraction import log_likelihood_gain, maximise_fraction
from density.detectors.gaussian_signal import MappedGaussian, grow_gaussian, weighted_gaussian
from density.detectors.window_background import ResonantDensity
from density.errors import DetectorError
from density.feature_maps import FeatureMap
from density.flow import ConditionalFlow
from density.flow_density import FlowDensity
from density.seeds import child_seed
from density.windows import Window

__all__ = ["Residual", "ResidualRows", "SignalDensity", "fit_residual", "leading_rows"]

_FEWEST_EVENTS = 120.0
"""Of which a flow is made; of fewer, a Gaussian."""

_GAUSSIAN_ROUNDS = 30
_MOST_ROWS = 2000
"""Rows given to one fit of the signal; rows of small responsibility are thinned, and weigh more."""


@dataclass(frozen=True, eq=False)
class SignalDensity:
    """p_S(x, m): the mean of some densities over the window; normalised, and can be sampled.

    Args:
        parts: Densities of (m, x): flows, or Gaussians where the signal is too small for a flow.
    """

    parts: tuple[FlowDensity | MappedGaussian, ...]

    def log_prob(self, x: Float[np.ndarray, "n d"], m: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """ln p_S(x, m), jointly in both, for m in the window.

        Args:
            x: Features, shape (n, d).
            m: Resonant feature, shape (n,).

        Raises:
            FeatureError: a value is not finite or outside its bounds.
        """
        both = np.column_stack([m, x])
        logs = [part.log_prob(both) for part in self.parts]
        return np.logaddexp.reduce(logs) - np.log(len(logs))

    def sample(self, count: int, *, seed: int) -> tuple[Float[np.ndarray, "n d"], Float[np.ndarray, " n"]]:
        """Draws of x and m.

        Args:
            count: Number of draws.
            seed: Same seed, same draws.
        """
        random = np.random.default_rng(np.random.SeedSequence(seed))
        shares = random.multinomial(count, np.full(len(self.parts), 1 / len(self.parts)))
        drawn = [
            part.sample(count=int(share), seed=child_seed(seed, "flow", k))
            for k, (part, share) in enumerate(zip(self.parts, shares, strict=True))
            if share
        ]
        both = random.permutation(np.concatenate(drawn)) if drawn else np.empty((0, self._width))
        return both[:, 1:], both[:, 0]

    @property
    def _width(self) -> int:
        return self.parts[0].feature_map.width


@dataclass(frozen=True, eq=False)
class Residual:
    """A fitted signal beside the background, and how well it does on rows held out.

    Args:
        signal: p_S(x, m).
        resonant: p_b(m).
        fraction: w that the held-out rows favour, or the w that was given.
        gain: ln of the likelihood of the held-out rows over the one without a signal.
    """

    signal: SignalDensity
    resonant: ResonantDensity
    fraction: float
    gain: float


def leading_rows(log_ratio: Float[np.ndarray, " n"], events: float) -> Float[np.ndarray, " n"]:
    """Responsibilities max(0, 1 - L / R) that sum to `events`, from an estimate ln R of ln p_data / p_b.

    For w below the true fraction this is the signal of highest likelihood: what stands above the level L.

    Args:
        log_ratio: ln R, shape (n,).
        events: Wanted sum, less than n.
    """
    lean = np.exp(-(log_ratio - log_ratio.max()))

    def excess(log_level: float) -> float:
        return float(np.clip(1 - np.exp(log_level) * lean, 0, None).sum() - events)

    lowest = -float(np.log(lean.max())) - np.log(len(lean)) - 1
    if excess(lowest) <= 0 or excess(0.0) >= 0:
        raise DetectorError(f"expected fewer leading rows than rows; got {events} of {len(log_ratio)}")
    return np.clip(1 - np.exp(brentq(excess, lowest, 0.0)) * lean, 0, None)


@dataclass(frozen=True, eq=False)
class ResidualRows:
    """Rows of a window and what is known of them.

    Args:
        x: Features, in canonical order, shape (n, d).
        m: Resonant feature, inside the window, shape (n,).
        log_background: ln p_b(x | m), shape (n,).
        held_out: Rows that choose w and the model, and fit nothing, shape (n,).
        window: The signal region.
    """

    x: Float[np.ndarray, "n d"]
    m: Float[np.ndarray, " n"]
    log_background: Float[np.ndarray, " n"]
    held_out: Bool[np.ndarray, " n"]
    window: Window

    @property
    def both(self) -> Float[np.ndarray, "n k"]:
        """(m, x), shape (n, d + 1)."""
        return np.column_stack([self.m, self.x])

    def judge(
        self, signal: SignalDensity, responsibility: Float[np.ndarray, " n"], fraction: float | None
    ) -> tuple[Residual, Float[np.ndarray, " n"]]:
        """A signal with the w of the held-out rows (or the one given) and their gain; and ln p_S / p_b."""
        fitted = ~self.held_out
        resonant = ResonantDensity.of(self.m[fitted], self.window, 1 - responsibility[fitted])
        ratio = signal.log_prob(self.x, self.m) - self.log_background - resonant.log_prob(self.m)
        learned = maximise_fraction(ratio[self.held_out]).value if fraction is None else fraction
        gain = log_likelihood_gain(ratio[self.held_out], learned)
        return Residual(signal, resonant, learned, gain), ratio


def fit_residual(
    recipe: ConditionalFlow,
    rows: ResidualRows,
    feature_map: FeatureMap,
    start: Float[np.ndarray, " n"],
    *,
    fraction: float | None,
    members: int,
    rounds: int,
    seed: int,
) -> Residual:
    """Maximise sum ln[(1 - w) p_b + w p_S] over p_S, and over w where it is not given.

    The first p_S is a Gaussian. Each round then fits the flows to rows weighted by their responsibility
    w p_S / ((1 - w) p_b + w p_S) (expectation-maximisation), p_b(m) to the rest, and w to the held-out rows,
    which p_S has not seen: w would otherwise count every fluctuation that the flow has learned. What gives
    the held-out rows the highest likelihood is kept, Gaussian or round; the rounds end when no signal is
    left, or two of them brought no gain, and do not begin where the Gaussian finds nothing.

    Args:
        recipe: Flow of the signal, over (m, x).
        rows: The rows.
        feature_map: Of (m, x), for the Gaussian.
        start: First responsibilities, shape (n,).
        fraction: w; None: learned.
        members: Flows whose mean is the signal.
        rounds: Most rounds of the flows.
        seed: Root of all random streams.
    """
    best, ratio = _gaussian_residual(rows, feature_map, start, fraction)
    gaussian = best
    if best.gain <= 0:
        return _with_all_rows(gaussian, rows, feature_map, start)
    responsibility = _responsibility(ratio, best.fraction)
    last, stale, before = ratio, 0, best.fraction
    for turn in range(rounds):
        if responsibility[~rows.held_out].sum() < _FEWEST_EVENTS:
            break
        signal = _flows(recipe, rows, responsibility, members, child_seed(seed, "round", turn))
        found, ratio = rows.judge(signal, responsibility, fraction)
        best, stale = (found, 0) if found.gain > best.gain else (best, stale + 1)
        if stale == 2:
            break
        # The signal grows from its core, by about half as much in each round. The next step is taken at once,
        # by a factor of e at the most, or the tails of the first cores would run away; where the fraction
        # falls, or is given, there is nothing to hasten.
        hastened = ratio + np.clip(ratio - last, -1, 1) if turn and found.fraction > before else ratio
        responsibility, last, before = _responsibility(hastened, found.fraction), ratio, found.fraction
    return _with_all_rows(best, rows, feature_map, start) if best is gaussian else best


def _gaussian_residual(
    rows: ResidualRows, feature_map: FeatureMap, start: np.ndarray, fraction: float | None
) -> tuple[Residual, np.ndarray]:
    """The best Gaussian of the fitted rows, judged by the held-out ones."""
    fitted = ~rows.held_out
    y, log_det = feature_map.forward(rows.both)
    resonant = ResonantDensity.of(rows.m[fitted], rows.window, 1 - start[fitted])
    log_background = rows.log_background + resonant.log_prob(rows.m) - log_det
    grown = grow_gaussian(y[fitted], log_background[fitted], start[fitted], rounds=_GAUSSIAN_ROUNDS)
    responsibility = np.where(fitted, start, 0.0)
    if grown is not None:
        responsibility[fitted] = grown.responsibility
    signal = SignalDensity((weighted_gaussian(feature_map, y, responsibility),))
    return rows.judge(signal, responsibility, fraction)


def _with_all_rows(
    gaussian: Residual, rows: ResidualRows, feature_map: FeatureMap, responsibility: np.ndarray
) -> Residual:
    """The Gaussian of the held-out rows too, once they have chosen it."""
    y, _ = feature_map.forward(rows.both)
    return replace(gaussian, signal=SignalDensity((weighted_gaussian(feature_map, y, responsibility),)))


def _flows(
    recipe: ConditionalFlow, rows: ResidualRows, responsibility: np.ndarray, members: int, seed: int
) -> SignalDensity:
    """Flows fitted to weighted rows."""
    random = np.random.default_rng(np.random.SeedSequence(child_seed(seed, "thinning")))
    kept, weights = _thinned(np.where(rows.held_out, 0.0, responsibility), random)
    both = rows.both[kept]
    return SignalDensity(
        tuple(recipe.fit(both, weights=weights, seed=child_seed(seed, "signal", k)) for k in range(members))
    )


def _responsibility(log_ratio: Float[np.ndarray, " n"], fraction: float) -> Float[np.ndarray, " n"]:
    """w r / (1 - w + w r), r = p_S / p_b."""
    if fraction == 0:
        return np.zeros(len(log_ratio))
    return expit(log_ratio + np.log(fraction) - np.log1p(-fraction))


def _thinned(
    responsibility: Float[np.ndarray, " n"], random: np.random.Generator
) -> tuple[Bool[np.ndarray, " n"], Float[np.ndarray, " k"]]:
    """Some of the rows, with weights that make up for the others: the weighted sums stay right on average.

    Most rows are background of small responsibility; without them a fit takes a tenth of the time.
    """
    positive = responsibility > 1e-4
    if positive.sum() <= _MOST_ROWS:
        return positive, responsibility[positive]
    kept = np.where(positive, responsibility, 0.0)

    def excess(level: float) -> float:
        return float(np.minimum(kept / level, 1).sum() - _MOST_ROWS)

    level = 1.0 if excess(1.0) >= 0 else float(brentq(excess, 1e-4, 1.0))
    rows = random.random(len(kept)) < kept / level
    return rows, np.maximum(kept[rows], level)
