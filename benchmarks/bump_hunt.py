"""Local and global p-values of the bump hunt after a cut on the score, on background-only pseudo-experiments.

A falling spectrum and four normal features. A boosted-tree classifier between the window's rows and samples
of the exact background learns nothing but fluctuations; the cut keeps 1 % of the sidebands. Rows: the p-value
must be uniform (ks_p; mean and width of the significances near 0 and 1) with cross-fitted scores, for a
sideband fit after the cut and for template counting. The controls must fail: scores in sample, and sidebands
scored by the mean of the folds' models. With features that drift with m, a score of the features cut in the
sidebands is another cut (the limit); in a space where they do not drift (LaCATHODE's idea) it is the same.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import reporting
from jaxtyping import Float
from scipy.stats import kstest, norm

from density import BoostedTrees, FittedClassifier, Window, child_seed, window_grid
from density.hunt import (
    BumpHunt,
    Dijet,
    FittedSpectrum,
    FoldScores,
    fit_spectrum,
    scan_windows,
    score_all_rows,
    template_count,
)

__all__ = ["EVENTS", "HUNT", "WINDOW", "ExactBackground", "cross_fitted", "events", "in_sample", "main"]

WINDOW = Window(2.0, 2.8)
HUNT = BumpHunt(1.0, 6.0, Dijet(scale=13.0), bins=25)
EVENTS = 20_000
EFFICIENCY = 0.01
TREES = BoostedTrees(
    members=1, rounds=6, patience=6, max_bins=31, min_samples_leaf=10, validation_fraction=0.1
)


@dataclass(frozen=True)
class ExactBackground:
    """Detector with the true background: trees between the window's rows and samples of p(x | m).

    Args:
        drift: The mean of the first feature is this times m.
        latent: Let the trees see x with the drift taken out, as LaCATHODE does.
    """

    drift: float = 0.0
    latent: bool = False

    def fit(
        self, x: Float[np.ndarray, "n d"], m: Float[np.ndarray, " n"], window: Window, *, seed: int
    ) -> FittedExactBackground:
        """Fit the trees on all rows of the window; nothing is scored out of fold."""
        inside = window.contains(m)
        drawn_m = np.repeat(m[inside], 2)
        drawn = features(drawn_m, self.drift, np.random.default_rng(child_seed(seed, "samples")))
        both = np.concatenate([self.seen(x[inside], m[inside]), self.seen(drawn, drawn_m)])
        labels = np.arange(len(both)) < inside.sum()
        trees = TREES.fit(both, labels, seed=child_seed(seed, "trees"))
        return FittedExactBackground(self, window, np.full(len(m), np.nan), trees)

    def seen(self, x: Float[np.ndarray, "n d"], m: Float[np.ndarray, " n"]) -> Float[np.ndarray, "n d"]:
        """What the trees see."""
        return x - self.drift * np.outer(m, np.eye(x.shape[1])[0]) if self.latent else x


@dataclass(frozen=True, eq=False)
class FittedExactBackground:
    """Fitted trees; scores rows at any m."""

    recipe: ExactBackground
    window: Window
    out_of_fold: Float[np.ndarray, " n"]
    trees: FittedClassifier

    def log_ratio(self, x: Float[np.ndarray, "n d"], m: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """Log-odds of the trees."""
        return self.trees.log_odds(self.recipe.seen(x, m))


@dataclass(frozen=True)
class Outcome:
    """One pseudo-experiment."""

    significance: float
    template: float
    observed: int
    expected: float


def features(m: Float[np.ndarray, " n"], drift: float, random: np.random.Generator) -> np.ndarray:
    """Four normal features, the first one drifting with m."""
    x = random.normal(size=(len(m), 4))
    x[:, 0] += drift * m
    return x


def spectrum() -> FittedSpectrum:
    """A dijet-like spectrum with about `EVENTS` events."""
    edges = np.linspace(HUNT.low, HUNT.high, 26)
    mean = EVENTS * -np.diff(np.exp(-(edges - 1) / 1.2)) / (1 - np.exp(-5 / 1.2))
    counts = np.round(mean).astype(int)
    return fit_spectrum(HUNT.shape, edges[:-1], edges[1:], counts, low=HUNT.low, high=HUNT.high)


NULL = spectrum()


def events(seed: int, drift: float = 0.0, signal: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features and m of a pseudo-experiment, with a compact signal in the window if asked for."""
    random = np.random.default_rng(child_seed(seed, "features"))
    m = np.concatenate([NULL.draw(seed=seed), random.uniform(WINDOW.low, WINDOW.high, signal)])
    x = features(m, drift, random)
    x[len(m) - signal :] = 1.5 + 0.3 * random.normal(size=(signal, 4))
    return x, m


def at_any_m(fitted: FittedExactBackground, x: np.ndarray, m: np.ndarray) -> np.ndarray:
    """Score rows at their own m."""
    return fitted.log_ratio(x, m)


def hunted(scores: FoldScores, m: np.ndarray) -> Outcome:
    """Cut at one efficiency, and both estimates of what it leaves."""
    cut = scores.cut(WINDOW.sidebands(m), EFFICIENCY)
    bump, before = HUNT.fit(m[cut.passes], WINDOW), HUNT.fit(m, WINDOW)
    count = template_count(
        observed=bump.observed, before=before.expected, passed=cut.passed, reference=cut.reference
    )
    return Outcome(bump.significance, count.significance, bump.observed, bump.expected.value)


def cross_fitted(seed: int, detector: ExactBackground | None = None, signal: int = 0) -> Outcome:
    """Window and sidebands scored by models that did not train on them."""
    detector = ExactBackground() if detector is None else detector
    x, m = events(seed, detector.drift, signal)
    return hunted(score_all_rows(detector, x, m, WINDOW, folds=2, seed=seed, score=at_any_m), m)


def in_sample(seed: int) -> Outcome:
    """Control: every row of the window is scored by the model that trained on it."""
    x, m = events(seed)
    fitted = ExactBackground().fit(x, m, WINDOW, seed=seed)
    return hunted(FoldScores(fitted.log_ratio(x, m), np.zeros(len(m), dtype=int)), m)


def averaged_sidebands(seed: int) -> Outcome:
    """Control: the window out of fold, the sidebands by the mean of the folds' models."""
    x, m = events(seed)
    fits: list[FittedExactBackground] = []

    def kept(fitted: FittedExactBackground, x: np.ndarray, m: np.ndarray) -> np.ndarray:
        fits.append(fitted)
        return fitted.log_ratio(x, m)

    own = score_all_rows(ExactBackground(), x, m, WINDOW, folds=5, seed=seed, score=kept)
    mean = np.mean([fitted.log_ratio(x, m) for fitted in fits], axis=0)
    return hunted(FoldScores(np.where(WINDOW.contains(m), own.scores, mean), np.zeros(len(m), dtype=int)), m)


def row(name: str, experiment: Callable[[int], Outcome], seeds: list[int]) -> list[dict[str, reporting.Cell]]:
    """Two rows of the table: the sideband fit after the cut, and template counting."""
    start = time.perf_counter()
    outcomes = [experiment(seed) for seed in seeds]
    seconds = (time.perf_counter() - start) / len(seeds)
    found = {
        "sideband fit": [o.significance for o in outcomes],
        "template counting": [o.template for o in outcomes],
    }
    counts = {
        "observed": float(np.mean([o.observed for o in outcomes])),
        "expected": float(np.mean([o.expected for o in outcomes])),
    }
    return [
        {"experiment": name, "estimate": estimate, **summary(z), **counts, "seconds": seconds}
        for estimate, z in found.items()
    ]


def summary(z: list[float]) -> dict[str, reporting.Cell]:
    """Uniformity of the p-values, mean and width of the significances."""
    ks_p = float(kstest(norm.sf(z), "uniform").pvalue)
    return {"count": len(z), "ks_p": ks_p, "mean_z": float(np.mean(z)), "std_z": float(np.std(z, ddof=1))}


def global_rows(seeds: list[int]) -> list[dict[str, reporting.Cell]]:
    """Scans of overlapping windows: the global p-value, and two controls that ignore the correlation."""
    windows = window_grid(1.4, 4.4, 0.6, 0.15)
    start = time.perf_counter()
    scans = [scan_windows(HUNT, NULL.draw(seed=seed), windows) for seed in seeds]
    found = [scan.look_elsewhere(seed=seed) for scan, seed in zip(scans, seeds, strict=True)]
    seconds = (time.perf_counter() - start) / len(seeds)
    local = np.array([f.local_p_value for f in found])
    independent = -np.expm1(len(windows) * np.log1p(-local))
    p_values = {
        "global": np.array([f.p_value for f in found]),
        "as if one window (control)": local,
        "as if independent (control)": independent,
    }
    name = f"scan of {len(windows)} windows"
    return [
        {"experiment": name, "estimate": estimate, **summary(list(norm.isf(p))), "seconds": seconds}
        for estimate, p in p_values.items()
    ]


def main() -> None:
    """Run and report."""

    def extend(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--experiments", type=int, default=200, help="pseudo-experiments (default 200)")

    options = reporting.arguments(__doc__.splitlines()[0], extend)
    count = 10 if options.quick else options.experiments
    seeds = [child_seed(options.seed, "experiment", k) for k in range(count)]
    few = seeds[: max(count // 5, 5)]
    drifting, latent = ExactBackground(drift=0.5), ExactBackground(drift=0.5, latent=True)
    rows = [
        *row("cross-fitted", cross_fitted, seeds),
        *row("in sample (control)", in_sample, seeds),
        *row("sidebands by the mean model (control)", averaged_sidebands, few),
        *row("drifting feature (limit)", lambda seed: cross_fitted(seed, drifting), seeds),
        *row("drifting feature, latent space", lambda seed: cross_fitted(seed, latent), seeds),
        *row("120 signal events", lambda seed: cross_fitted(seed, signal=120), few),
        *global_rows(seeds),
    ]
    figures = {
        "ks_p_cross_fitted": rows[0]["ks_p"],
        "ks_p_in_sample": rows[2]["ks_p"],
        "ks_p_global": next(r["ks_p"] for r in rows if r["estimate"] == "global"),
    }
    reporting.report("bump_hunt", options, rows=rows, figures=figures)


if __name__ == "__main__":
    main()
