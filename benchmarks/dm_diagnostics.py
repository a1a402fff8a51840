"""Which check of a map fires on which fault, and that none fires on clean mocks.

Exact arm: the mocks' own scores, so that only the fault differs from perfection (accuracy 1 %). Trained arm:
flows fitted to the same kind of stars, with fits to halves (accuracy 20 %). A fault counts as caught if all
the checks that were made for it fail; `all_failed` lists every check that failed.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import reporting

from density import ConditionalFlow
from density.seeds import child_seed
from dm_map.diagnostics import DiagnosticReport, DiagnosticSettings, PhaseSpace, diagnose
from dm_map.diagnostics.exact import ExactDensity
from dm_map.flows import PhaseSpaceFlow
from dm_map.mocks import Plummer, barred, kicked, milky_way, rotating_disc
from dm_map.mocks.base import SOLAR_BALL
from dm_map.mocks.hernquist import Hernquist
from dm_map.mocks.observe import SelectionGradient
from dm_map.stars import StarSample

__all__ = ["main"]


@dataclass(frozen=True)
class WrongScores:
    """A density whose scores are those of another: with a fault of one kind.

    Attributes:
        base: The right one, whose stars it claims to describe.
        heat: Velocities are this much larger than the stars'.
        matrix: s_x gets matrix @ (x - centre) in 1/kpc^2: a swirl if antisymmetric, a hollow if positive.
        cell: Scores are constant in cells of this size, as those of a ReLU network; 0: they are not.
    """

    base: ExactDensity
    heat: float = 1.0
    matrix: tuple[tuple[float, float, float], ...] = ((0.0,) * 3,) * 3
    cell: float = 0.0

    def scores(self, x: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The faulty scores."""
        at = (np.floor(x / self.cell) + 0.5) * self.cell if self.cell else x
        s_x, s_v = self.base.scores(at, v / self.heat)
        return s_x + (x - np.asarray(SOLAR_BALL.centre)) @ np.array(self.matrix).T, s_v / self.heat

    def sample(self, n: int, seed: int) -> StarSample:
        """Stars, too fast by the heat."""
        drawn = self.base.sample(n, seed)
        return replace(drawn, v=self.heat * drawn.v)

    def sample_velocities(self, x: np.ndarray, k: int, seed: int) -> np.ndarray:
        """Velocities, too fast by the heat."""
        return self.heat * self.base.sample_velocities(x, k, seed)


@dataclass(frozen=True)
class Trial:
    """A density, the stars that it is compared with, and the checks that must fail (none: it is clean)."""

    case: str
    density: PhaseSpace
    stars: ExactDensity
    must_fail: tuple[str, ...] = ()
    halves: tuple[PhaseSpace, PhaseSpace] | None = None


SWIRL = ((0.0, -0.1, 0.0), (0.1, 0.0, 0.0), (0.0, 0.0, 0.0))
HOLLOW = ((1.5, 0.0, 0.0), (0.0, 1.5, 0.0), (0.0, 0.0, 1.5))
DENT = ((-0.2, 0.0, 0.0), (0.0, -0.2, 0.0), (0.0, 0.0, -0.2))


def exact_trials() -> list[Trial]:
    """Clean mocks, mocks with a fault, and right stars under wrong scores."""
    galaxy = ExactDensity(milky_way())
    trials = [
        Trial(name, density, density)
        for name, density in (
            ("milky-way", galaxy),
            ("plummer", ExactDensity(Plummer())),
            ("hernquist", ExactDensity(Hernquist())),
            ("rotating-disc", ExactDensity(rotating_disc())),
        )
    ]
    motion = ("continuity", "continuity of scores", "residual")
    scores = ("speed of scores", "Jeans", "residual")
    faults: list[tuple[str, ExactDensity, tuple[str, ...]]] = [
        ("kick 20 km/s", ExactDensity(kicked()), motion),
        ("displaced 200 pc", ExactDensity(kicked(0.2, 0.0)), ("north-south",)),
        ("bar ignored", ExactDensity(barred()), (*motion, "azimuthal")),
        ("selection 10 %/kpc in x", _selected((0.1, 0.0, 0.0)), scores),
        ("selection 20 %/kpc in y", _selected((0.0, 0.2, 0.0)), ("speed of stars", *scores, "azimuthal")),
        ("selection 20 %/kpc in z", _selected((0.0, 0.0, 0.2)), ("speed of stars", *scores, "north-south")),
    ]
    trials += [Trial(name, density, density, checks) for name, density, checks in faults]
    wrong = {
        "scores too hot by 20 %": (WrongScores(galaxy, heat=1.2), ("two-sample", "Stein velocity")),
        "scores in cells": (WrongScores(galaxy, cell=0.2), ("smoothness",)),
        "scores that swirl": (WrongScores(galaxy, matrix=SWIRL), ("curl", "Stein position")),
        "scores of a hollow": (WrongScores(galaxy, matrix=HOLLOW), ("negative density", "Stein position")),
    }
    trials += [Trial(name, density, galaxy, checks) for name, (density, checks) in wrong.items()]
    trials.append(
        Trial(
            "halves that differ",
            galaxy,
            galaxy,
            ("split halves",),
            (WrongScores(galaxy, matrix=DENT), galaxy),
        )
    )
    return trials


def _selected(gradient: tuple[float, float, float]) -> ExactDensity:
    return ExactDensity(milky_way(), SelectionGradient(SOLAR_BALL, gradient))


def trained_trials(stars: int, seed: int) -> list[tuple[Trial, StarSample, StarSample]]:
    """Flows fitted to four fifths of the stars, and to halves of these; with held-out and all stars."""
    cases: list[tuple[str, Callable[[], ExactDensity], tuple[str, ...], str]] = [
        ("milky-way", lambda: ExactDensity(milky_way()), (), "silu"),
        ("rotating-disc", lambda: ExactDensity(rotating_disc()), (), "silu"),
        ("kick 20 km/s", lambda: ExactDensity(kicked()), ("continuity",), "silu"),
        ("bar ignored", lambda: ExactDensity(barred()), ("continuity",), "silu"),
        ("selection 30 %/kpc in x", lambda: _selected((0.3, 0.0, 0.0)), ("speed of stars",), "silu"),
        ("ReLU flow", lambda: ExactDensity(milky_way()), ("smoothness",), "relu"),
    ]
    found = []
    for name, make, checks, activation in cases:
        source = make()
        drawn = source.sample(stars, child_seed(seed, name))
        flow = ConditionalFlow(
            layers=4, hidden=32, epochs=12, learning_rate=5e-3, patience=None, activation=activation
        )
        recipe = PhaseSpaceFlow(position=flow, velocity=flow, allow_rough=activation == "relu")
        cuts = [round(share * len(drawn)) for share in (0.0, 0.4, 0.8, 1.0)]
        first, second, held_out = (drawn.take(np.arange(low, high)) for low, high in itertools.pairwise(cuts))
        whole = recipe.fit(drawn.take(np.arange(cuts[2])), seed=child_seed(seed, name, 0))
        halves = (
            recipe.fit(first, seed=child_seed(seed, name, 1)),
            recipe.fit(second, seed=child_seed(seed, name, 2)),
        )
        found.append((Trial(name, whole, source, checks, halves), held_out, drawn))
    return found


def judged(
    arm: str, trial: Trial, report: DiagnosticReport, stars: int, began: float
) -> dict[str, reporting.Cell]:
    """A row of the table."""
    failed = [check.name for check in report.failed]
    missed = [name for name in trial.must_fail if name not in failed]
    right = not missed if trial.must_fail else not failed
    return {
        "arm": arm,
        "case": trial.case,
        "stars": stars,
        "right": "yes" if right else "no",
        "missed": ", ".join(missed) or "-",
        "all_failed": ", ".join(failed) or "-",
        "seconds": time.perf_counter() - began,
    }


def main() -> None:
    """Run and report."""

    def extend(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--stars", type=int, default=100_000, help="stars of each trial (default 100000)")
        parser.add_argument("--exact-only", action="store_true", help="train no flows")

    options = reporting.arguments(__doc__.splitlines()[0], extend)
    rows = []
    began = time.perf_counter()
    for trial in exact_trials():
        if options.quick and trial.case not in ("milky-way", "bar ignored", "scores in cells"):
            continue
        stars = 20_000 if options.quick else options.stars
        drawn = trial.stars.sample(stars, child_seed(options.seed, "exact", trial.case))
        settings = DiagnosticSettings(accuracy=0.01)
        report = diagnose(trial.density, drawn, halves=trial.halves, settings=settings, seed=options.seed)
        rows.append(judged("exact", trial, report, len(drawn), began))
        began = time.perf_counter()
    if not (options.quick or options.exact_only):
        for trial, held_out, drawn in trained_trials(options.stars, options.seed):
            settings = DiagnosticSettings(accuracy=0.2)
            report = diagnose(
                trial.density,
                held_out,
                stars=drawn,
                halves=trial.halves,
                settings=settings,
                seed=options.seed,
            )
            rows.append(judged("trained", trial, report, len(drawn), began))
            began = time.perf_counter()
    clean = [row for row in rows if row["missed"] == "-" and row["right"] == "no"]
    figures = {
        "trials": len(rows),
        "false_alarms": len(clean),
        "faults_missed": sum(row["missed"] != "-" for row in rows),
    }
    reporting.report("dm_diagnostics", options, rows=rows, figures=figures)


if __name__ == "__main__":
    main()
