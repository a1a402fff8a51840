"""Coverage of R-ANODE's signal fraction: Gaussian toys with known densities, many draws.

The share of signal is drawn binomially, so an estimate is compared with the probability it was drawn with;
"within" is the share of draws whose truth lies within one and two of the estimate's own standard errors (68 %
and 95 % for a Gaussian error). "oracle" uses the true signal density in the same likelihood: no method can do
better. "found" is the share of draws with a likelihood gain above 4.5 (3 standard deviations), "vs_oracle"
the mean difference from the oracle in units of its error, and "undetected_limit" the median of what a compact
signal anywhere could hold (95 %).
"""

from __future__ import annotations

import argparse
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np
import reporting
import torch
from scipy.stats import norm

from density import ConditionalFlow, Window
from density.detectors.fraction import maximise_fraction
from density.detectors.ranode import RAnode

__all__ = ["ExactBackground", "Toy", "estimate", "main"]

WINDOW = Window(2.0, 4.0)
RANGE = Window(-2.0, 8.0)
SIGNAL_M = Window(2.2, 3.8)
CENTRES = {2: (2.4, -1.8), 4: (1.8, -1.2, 1.0, 0.8)}
WIDTHS = {2: 0.15, 4: 0.3}


@dataclass(frozen=True)
class ExactBackground:
    """Unit Gaussians, the first one drifting with m: ln p and draws without a flow."""

    width: int

    def _mean(self, m: np.ndarray) -> np.ndarray:
        return np.outer(0.2 * m, np.arange(self.width) == 0)

    def log_prob(self, x: np.ndarray, m: np.ndarray) -> np.ndarray:
        """ln p(x | m)."""
        return norm.logpdf(x, self._mean(m)).sum(axis=1)

    def sample(self, m: np.ndarray, *, seed: int) -> np.ndarray:
        """One draw for each m."""
        random = np.random.default_rng(np.random.SeedSequence(seed))
        return self._mean(m) + random.standard_normal((len(m), self.width))


@dataclass(frozen=True)
class Toy:
    """A compact Gaussian signal on a drifting Gaussian background.

    Args:
        width: Features, 2 or 4.
        fraction: Probability that a row of the window is signal.
        rows: Rows in the window.
        beside: Rows in the sidebands.
    """

    width: int
    fraction: float
    rows: int
    beside: int

    def draw(self, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Features and resonant feature."""
        random = np.random.default_rng(np.random.SeedSequence(seed))
        signal = random.binomial(self.rows, self.fraction)
        outside = random.uniform(RANGE.low, RANGE.high - WINDOW.width, self.beside)
        outside += WINDOW.width * (outside >= WINDOW.low)
        m = np.concatenate([random.uniform(WINDOW.low, WINDOW.high, self.rows - signal), outside])
        background = ExactBackground(self.width).sample(m, seed=int(random.integers(2**31)))
        x = np.array(CENTRES[self.width]) + WIDTHS[self.width] * random.standard_normal((signal, self.width))
        return np.concatenate([background, x]), np.concatenate(
            [m, random.uniform(SIGNAL_M.low, SIGNAL_M.high, signal)]
        )

    def log_odds(self, x: np.ndarray, m: np.ndarray) -> np.ndarray:
        """ln p_S(x, m) / p_b(x, m), exact, in the window."""
        shape = norm.logpdf(x, CENTRES[self.width], WIDTHS[self.width]).sum(axis=1)
        resonant = np.where(SIGNAL_M.contains(m), np.log(WINDOW.width / SIGNAL_M.width), -np.inf)
        return shape + resonant - ExactBackground(self.width).log_prob(x, m)


def estimate(toy: Toy, learned: bool, seed: int) -> dict[str, float]:
    """R-ANODE's fraction and the oracle's for one draw."""
    torch.set_num_threads(1)
    started = time.perf_counter()
    x, m = toy.draw(seed)
    background = ConditionalFlow() if learned else ExactBackground(toy.width)
    fitted = RAnode(background).fit(x, m, WINDOW, seed=seed)
    inside = WINDOW.contains(m)
    oracle = maximise_fraction(toy.log_odds(x[inside], m[inside]))
    return {
        "value": fitted.fraction,
        "error": fitted.fraction_error,
        "low": fitted.share.low,
        "high": fitted.share.high,
        "gain": fitted.share.gain,
        "undetected_limit": fitted.undetected_limit,
        "oracle": oracle.value,
        "oracle_error": oracle.error,
        "seconds": time.perf_counter() - started,
    }


def summary(toy: Toy, learned: bool, found: list[dict[str, float]]) -> dict[str, reporting.Cell]:
    """One row of the table."""
    value, error, oracle, oracle_error, gain, seconds = (
        np.array([draw[name] for draw in found])
        for name in ("value", "error", "oracle", "oracle_error", "gain", "seconds")
    )
    return {
        "features": toy.width,
        "background": "learned" if learned else "exact",
        "injected": toy.fraction,
        "draws": len(found),
        "mean": float(value.mean()),
        "median_error": float(np.median(error)),
        "within_1": float((abs(value - toy.fraction) <= error).mean()),
        "within_2": float((abs(value - toy.fraction) <= 2 * error).mean()),
        "rms_pull": float(np.sqrt(np.mean(((value - toy.fraction) / error) ** 2))),
        "found": float((gain > 4.5).mean()),
        "undetected_limit": float(np.median([draw["undetected_limit"] for draw in found])),
        "vs_oracle": float(np.mean((value - oracle) / oracle_error)),
        "oracle_mean": float(oracle.mean()),
        "oracle_within_1": float((abs(oracle - toy.fraction) <= oracle_error).mean()),
        "seconds": float(np.median(seconds)),
    }


def main() -> None:
    """Run and report."""

    def extend(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--draws", type=int, default=20, help="draws per fraction (default 20)")
        parser.add_argument("--workers", type=int, default=1, help="processes of one thread each (default 1)")
        parser.add_argument(
            "--fractions", type=float, nargs="+", default=[0.0, 0.003, 0.005, 0.01, 0.02, 0.05]
        )
        parser.add_argument("--widths", type=int, nargs="+", default=[2, 4], choices=sorted(CENTRES))
        parser.add_argument("--backgrounds", nargs="+", default=["exact", "learned"])

    options = reporting.arguments(__doc__.splitlines()[0], extend)
    if options.quick:
        options.draws, options.fractions, options.widths, options.backgrounds = 1, [0.05], [2], ["exact"]
    rows_in = 4_000 if options.quick else 20_000
    rows = []
    with ProcessPoolExecutor(options.workers) as pool:
        for background in options.backgrounds:
            learned = background == "learned"
            for width in options.widths:
                for fraction in options.fractions:
                    toy = Toy(width, fraction, rows_in, 4 * rows_in if learned else 1_000)
                    seeds = [options.seed * 1000 + draw for draw in range(options.draws)]
                    jobs = [pool.submit(estimate, toy, learned, seed) for seed in seeds]
                    rows.append(summary(toy, learned, [job.result() for job in jobs]))
                    reporting.print_table(rows[-1:])
    reporting.report("fraction_coverage", options, rows=rows)


if __name__ == "__main__":
    main()
