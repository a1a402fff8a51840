"""Many windows at once: speed of the stacked training, and what combs and warm starts save and cost.

Part "speed": 32 windows over 240,000 stars (2 x 10^5 beside each), trained stacked and one by one on the
same device, from arrays to densities; `train_ratio` without the preparation (sorting, feature maps).
Part "quality": streams in three windows of a toy whose densities are known; each scheme's background gives
the max SIC of ln p_data (exact) - ln p_background (learned) on fresh rows, relative to one flow per window
trained alone on the same data. Two strengths of the streams: S/sqrt(B) = 2, and 15, where a background that
has seen the stream must show it. Controls: one flow per window again with other random numbers (the spread to
be expected), the flow of all stars without tuning (it has seen the stream), and the exact background.
Star-passes are training rows times epochs; nothing stops early here, so that all schemes run their full
length. Of the schemes with a flow per window only the windows with a stream are trained; all are counted.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import reporting
import torch
from _windows_toy import BOUNDS, GRID, SIGNALS, Signal, Toy
from jaxtyping import Float

from density import BoostedTrees, Cathode, ConditionalFlow, Window, child_seed, window_grid
from density.detectors.contract import ConditionalDensity
from density.sic import max_sic
from density.together import WarmStart, WindowBackgrounds, fit_together

__all__ = ["main", "quality", "speed"]

Density = Callable[[Float[np.ndarray, "n d"], Float[np.ndarray, " n"]], Float[np.ndarray, " n"]]

FLOW = ConditionalFlow(bounds=BOUNDS, patience=None)
REFERENCE = "one by one"


@dataclass(frozen=True)
class Scheme:
    """A way to get the backgrounds of all windows.

    Args:
        name: In the table.
        recipe: How.
        purpose: Tells random streams apart.
        tuned: False: use the flow of all stars as it is.
    """

    name: str
    recipe: WindowBackgrounds
    purpose: str = "backgrounds"
    tuned: bool = True


def schemes(flow: ConditionalFlow, warm: WarmStart) -> tuple[Scheme, ...]:
    """All that are compared; the reference first."""
    alone, comb = WindowBackgrounds(flow, comb=False), WindowBackgrounds(flow)
    return (
        Scheme(REFERENCE, alone),
        Scheme("one by one, other seed", alone, "again"),
        Scheme("comb", comb),
        Scheme("warm start", replace(alone, warm=warm)),
        Scheme("comb and warm start", replace(comb, warm=warm)),
        Scheme("all stars, not tuned", replace(alone, warm=warm), tuned=False),
    )


def quality(options: argparse.Namespace) -> list[dict[str, reporting.Cell]]:
    """One row per strength of the streams, data set, scheme and window with a stream."""
    stars, tests, flow = 60_000, 200_000, FLOW
    if options.quick:
        stars, tests, flow = 12_000, 40_000, replace(FLOW, epochs=4, layers=4)
    warm = WarmStart(options.warm_epochs, options.warm_rate)
    rows: list[dict[str, reporting.Cell]] = []
    for significance, repeat in product(options.significance, range(options.repeats)):
        toy = Toy(stars, significance, child_seed(options.seed, "data", repeat))
        found = _one_data_set(toy, schemes(flow, warm), tests, options)
        rows += [{"significance": significance, "repeat": repeat, **row} for row in found]
    return rows


def _one_data_set(
    toy: Toy, compared: tuple[Scheme, ...], tests: int, options: argparse.Namespace
) -> list[dict[str, reporting.Cell]]:
    x, m, shares = toy.draw()
    rows, reference, start = [], {}, None
    exact = {s.window: _sic(toy.log_background, s, shares[s.window], tests, toy.seed) for s in SIGNALS}
    for scheme in compared:
        seed = child_seed(toy.seed, scheme.purpose)
        if scheme.recipe.warm is not None and start is None:
            start = scheme.recipe.flow.fit(
                x, m, seed=child_seed(toy.seed, "all stars"), device=options.device
            )
        backgrounds = _backgrounds(scheme, x, m, seed, start, options.device)
        passes = scheme.recipe.most_passes(m, GRID) / len(GRID)
        for signal in SIGNALS:
            window, background = signal.window, backgrounds[signal.window]
            sic = _sic(background.log_prob, signal, shares[window], tests, toy.seed)
            reference.setdefault(window, sic)
            row: dict[str, reporting.Cell] = {
                "scheme": scheme.name, "window": f"[{window.low:g}, {window.high:g})", "max_sic": sic,
                "max_sic_ratio": sic / reference[window], "max_sic_exact": exact[window],
                "passes_per_window": passes if scheme.tuned else None,
            }  # fmt: skip
            if options.cathode:
                row["max_sic_cathode"] = _cathode_sic(background, x, m, signal, tests, toy.seed)
            rows.append(row)
    return rows


def _backgrounds(
    scheme: Scheme, x: np.ndarray, m: np.ndarray, seed: int, start: ConditionalDensity | None, device: str
) -> Mapping[Window, ConditionalDensity]:
    if not scheme.tuned:
        return {signal.window: start for signal in SIGNALS}
    windows = GRID if scheme.recipe.comb else [signal.window for signal in SIGNALS]
    given = None if scheme.recipe.warm is None else start
    return scheme.recipe.fit(x, m, windows, seed=seed, start=given, device=device)


def _test_rows(signal: Signal, tests: int, seed: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Fresh rows of the window: background, then a tenth as many of the stream."""
    x, m = Toy.background_rows(tests, signal.window, child_seed(seed, "test background"))
    x_signal, m_signal = signal.draw(tests // 10, child_seed(seed, "test signal"))
    inside = np.abs(x_signal[:, 0]) < 1
    return np.concatenate([x, x_signal[inside]]), np.concatenate([m, m_signal[inside]]), tests


def _sic(background: Density, signal: Signal, share: float, tests: int, seed: int) -> float:
    """Max SIC of the exact data density over this background, where at least 100 rows survive."""
    x, m, count = _test_rows(signal, tests, seed)
    data = np.logaddexp(np.log1p(-share) + Toy.log_background(x, m), np.log(share) + signal.log_prob(x))
    scores = data - background(x, m)
    return max_sic(scores[count:], scores[:count], minimum_background=100, resamples=20).value


def _cathode_sic(
    background: ConditionalDensity, x: np.ndarray, m: np.ndarray, signal: Signal, tests: int, seed: int
) -> float:
    """Max SIC of CATHODE with this background, on the same fresh rows."""
    trees = BoostedTrees(members=1)
    detector = Cathode(background=background, classifier=trees, folds=2, see_resonant=True, minimum=100)
    fitted = detector.fit(x, m, signal.window, seed=child_seed(seed, "cathode"))
    x_test, m_test, count = _test_rows(signal, tests, seed)
    scores = fitted.log_ratio(x_test, m_test)
    return max_sic(scores[count:], scores[:count], minimum_background=100, resamples=20).value


def summary(rows: list[dict[str, reporting.Cell]]) -> list[dict[str, reporting.Cell]]:
    """Mean ratio of max SIC of each scheme, its standard error over data sets and windows, and savings."""
    table = []
    for significance, name in dict.fromkeys((row["significance"], row["scheme"]) for row in rows):
        own = [row for row in rows if (row["significance"], row["scheme"]) == (significance, name)]
        ratios = np.log([row["max_sic_ratio"] for row in own])
        passes = [row["passes_per_window"] for row in own if row["passes_per_window"] is not None]
        reference = [
            row["passes_per_window"]
            for row in rows
            if (row["significance"], row["scheme"]) == (significance, REFERENCE)
        ]
        table.append({
            "significance": significance, "scheme": name,
            "max_sic": float(np.mean([row["max_sic"] for row in own])),
            "max_sic_ratio": float(np.exp(ratios.mean())),
            "ratio_error": float(ratios.std(ddof=1) / len(ratios) ** 0.5),
            "passes_per_window": float(np.mean(passes)) if passes else None,
            "fewer_passes": float(np.mean(reference) / np.mean(passes)) if passes else None,
        })  # fmt: skip
        if "max_sic_cathode" in own[0]:
            table[-1]["max_sic_cathode"] = float(np.mean([row["max_sic_cathode"] for row in own]))
    return table


def speed(options: argparse.Namespace) -> dict[str, reporting.Cell]:
    """Seconds stacked and one by one on one device, with the same seeds."""
    stars, count = (4_000, 4) if options.quick else (options.stars, 32)
    windows = window_grid(-15.5, 15.5, 4.0, 27.0 / (count - 1))
    x, m, _ = Toy(stars, 2.0, options.seed).draw()
    use = np.array([window.sidebands(m) for window in windows])
    seeds = [child_seed(options.seed, "speed", k) for k in range(len(windows))]
    recipe = replace(FLOW, epochs=2 if options.quick else options.epochs)
    device = options.device

    # The first kernels of a process are slow: both ways once, on few rows, before the clock runs.
    few = replace(recipe, epochs=1)
    fit_together(few, x[:3000], m[:3000], use[:2, :3000], seeds=seeds[:2], device=device)
    few.fit(x[:3000], m[:3000], seed=1, device=device)

    started = time.perf_counter()
    stacked = fit_together(recipe, x, m, use, seeds=seeds, device=device)
    stacked_seconds = time.perf_counter() - started
    started = time.perf_counter()
    alone = [recipe.fit(x[row], m[row], seed=s, device=device) for row, s in zip(use, seeds, strict=True)]
    alone_seconds = time.perf_counter() - started
    trained = sum(density.history.seconds for density in alone), max(d.history.seconds for d in stacked)
    differences = [
        abs(a.history.best_loss - b.history.best_loss) for a, b in zip(stacked, alone, strict=True)
    ]
    return {
        "windows": len(windows), "stars": len(m), "stars_beside_a_window": int(np.median(use.sum(axis=1))),
        "epochs": recipe.epochs, "stacked_seconds": stacked_seconds, "one_by_one_seconds": alone_seconds,
        "ratio": alone_seconds / stacked_seconds, "train_ratio": trained[0] / trained[1],
        "largest_loss_difference": max(differences),
    }  # fmt: skip


def _device_name(device: str) -> str:
    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    return f"{device}, {torch.get_num_threads()} threads"


def main() -> None:
    """Run the parts asked for and report."""

    def extend(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--device", default="cpu", help="torch device (default cpu)")
        parser.add_argument("--part", choices=("speed", "quality", "both"), default="both")
        parser.add_argument("--threads", type=int, default=2, help="torch threads (default 2)")
        parser.add_argument("--stars", type=int, default=240_000, help="stars of the speed part")
        parser.add_argument("--epochs", type=int, default=6, help="epochs of the speed part")
        parser.add_argument(
            "--significance", type=float, nargs="+", default=[2.0, 15.0], help="S/sqrt(B) of the streams"
        )
        parser.add_argument("--repeats", type=int, default=8, help="data sets of the quality part")
        parser.add_argument("--warm-epochs", type=int, default=WarmStart().epochs)
        parser.add_argument("--warm-rate", type=float, default=WarmStart().rate)
        parser.add_argument("--cathode", action="store_true", help="max SIC of CATHODE too")

    options = reporting.arguments(__doc__.splitlines()[0], extend)
    torch.set_num_threads(options.threads)
    figures: dict[str, reporting.Cell] = {"threads": options.threads}
    rows: list[dict[str, reporting.Cell]] = []
    if options.part != "quality":
        figures |= speed(options)
    if options.part != "speed":
        rows = quality(options)
        table = summary(rows)
        reporting.print_table(table)
        print()
        for line in table:
            key = str(line["scheme"]).replace(",", "").replace(" ", "_") + f"_at_{line['significance']:g}"
            kept = ("max_sic", "max_sic_ratio", "ratio_error", "fewer_passes")
            figures |= {f"{key}_{name}": line[name] for name in kept}
    reporting.report(
        "windows_together", options, rows=rows, figures=figures, device=_device_name(options.device)
    )


if __name__ == "__main__":
    main()
