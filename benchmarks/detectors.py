"""Every resonant detector on one data set, one list of seeds and one protocol.

Default data: the LHC Olympics 2020 R&D events (CC BY 4.0), features of the two jets as in 2109.00546, signal
thinned to 250 rows in 3.3 < m_JJ < 3.7 TeV, where there are 12,879 of background: S / sqrt(B) = 2.2.

Protocol. A detector sees all rows without labels. The score of each background row of the window comes from a
model that did not train on it (cross-fitting); signal efficiency is measured on the signal left over from the
thinning. Quoted is the largest eps_S / sqrt(eps_B) where at least 25 background rows survive; over the seeds
(thinning, flows, classifiers) the median, and the 16th and 84th percentiles. Recipes were chosen on seeds 1
to 4 and above 100; the seeds of the table are 11 to 20. 'supervised' learns from the
labels of half of the left-over signal, some 3,300 rows, and is tested on the other half; 'supervised (same
signal)' from the labels of the 250 alone. 'idealised' takes half of the window's background as its perfect
template and all 250 signal rows in what is left, so its S / sqrt(B) is 3.1. 'seconds' includes the shared
background flow.

Settings: 'plain'; 'shifted': 0.1 m_JJ added to both mass features, which then depend on m; 'noise': ten
features that carry nothing. Another table: --table FILE --resonant M --features A,B --window L,H --label COL.

Each finished (setting, seed, detector) is kept beside the record (PATH.parts.jsonl): a stopped run goes on.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
from collections.abc import Iterator
from pathlib import Path

# One thread per process: the seeds share the cores.
for _variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")

import numpy as np  # noqa: E402
from _detector_data import SETTINGS, read_problem  # noqa: E402
from _detector_recipes import DETECTORS, Trial  # noqa: E402
from reporting import arguments, report  # noqa: E402

Row = dict[str, float | str | int]


def measure(task: tuple[argparse.Namespace, str, int, tuple[str, ...]]) -> Iterator[Row]:
    """All wanted detectors on one setting and seed."""
    import torch

    options, setting, seed, names = task
    torch.set_num_threads(1)
    problem = read_problem(
        options.table, options.resonant, options.features, options.window, options.label
    ).in_setting(setting, seed)
    trial = Trial(problem.thinned(options.signal, seed), seed)
    for name in names:
        yield {**trial.measure(name), "setting": setting, "protocol": _protocol(options)}


def _work(task: tuple[argparse.Namespace, str, int, tuple[str, ...]], results: multiprocessing.Queue) -> None:
    for row in measure(task):
        results.put(row)


def medians(parts: list[Row]) -> list[Row]:
    """One row per detector and setting."""
    rows = []
    for setting in SETTINGS:
        for name in DETECTORS:
            chosen = [part for part in parts if (part["detector"], part["setting"]) == (name, setting)]
            if not chosen:
                continue
            low, middle, high = np.percentile([part["max_sic"] for part in chosen], [16, 50, 84])
            rows.append({
                "detector": name, "setting": setting, "max_sic": float(middle), "max_sic_low": float(low),
                "max_sic_high": float(high), "seeds": len(chosen),
                "seconds": float(np.median([part["seconds"] for part in chosen])),
            })  # fmt: skip
    return rows


def kept_parts(path: Path | None, options: argparse.Namespace) -> list[Row]:
    """Results of an earlier run with the same protocol, for the seeds and settings asked for now."""
    if path is None or not path.exists():
        return []
    parts = []
    for line in path.read_text().splitlines():
        try:
            parts.append(json.loads(line))
        except json.JSONDecodeError:  # the last line of a run that was killed
            continue
    return [part for part in parts if part["protocol"] == _protocol(options)]


def _protocol(options: argparse.Namespace) -> str:
    """What must agree for two results to stand in one table."""
    chosen = (
        options.table,
        options.resonant,
        options.features,
        options.window,
        options.label,
        options.signal,
    )
    return hashlib.sha256(repr(chosen).encode()).hexdigest()[:12]


def _extend(parser: argparse.ArgumentParser) -> None:
    def names(text: str) -> tuple[str, ...]:
        return tuple(part.strip() for part in text.split(","))

    parser.add_argument("--table", type=Path, help="CSV, Parquet or HDF5 (default: LHC Olympics R&D)")
    parser.add_argument("--resonant", help="column of the resonant feature")
    parser.add_argument("--features", type=names, default=(), help="columns of the features: A,B,C")
    parser.add_argument("--window", type=lambda text: tuple(map(float, text.split(","))), help="LOW,HIGH")
    parser.add_argument("--label", help="column that is 1 for signal")
    parser.add_argument("--signal", type=int, default=250, help="signal rows left in the window")
    parser.set_defaults(seed=11)
    parser.add_argument("--seeds", type=int, default=10, help="number of seeds, from --seed on")
    parser.add_argument("--settings", type=names, default=SETTINGS, help=", ".join(SETTINGS))
    parser.add_argument("--detectors", type=names, default=(), help="A,B,...; default all")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes")


def main() -> None:
    """Measure what is missing and print the table."""
    options = arguments(__doc__.splitlines()[0], _extend)
    names = tuple(options.detectors) or tuple(DETECTORS)
    settings, seeds = options.settings, range(options.seed, options.seed + options.seeds)
    if options.quick:
        names, settings, seeds = (
            ("supervised", "CATHODE", "CWoLa"),
            ("plain",),
            range(options.seed, options.seed + 1),
        )
    unknown = [name for name in names if name not in DETECTORS] + [s for s in settings if s not in SETTINGS]
    if unknown:
        raise SystemExit(
            f"unknown: {unknown}; detectors: {', '.join(DETECTORS)}; settings: {', '.join(SETTINGS)}"
        )
    store = None if options.json is None else options.json.with_suffix(".parts.jsonl")
    parts = kept_parts(store, options)
    have = {(part["detector"], part["setting"], part["seed"]) for part in parts}
    tasks = [
        (options, setting, seed, missing)
        for seed in seeds
        for setting in settings
        if (missing := tuple(name for name in names if (name, setting, seed) not in have))
    ]
    for row in _all_rows(tasks, options.workers):
        parts.append(row)
        print(f"{row['setting']:8s} seed {row['seed']:3d} {row['detector']:24s} {row['max_sic']:6.2f}"
              f" ({row['seconds']:.0f} s)", flush=True)  # fmt: skip
        if store is not None:
            store.parent.mkdir(parents=True, exist_ok=True)
            with store.open("a") as file:
                file.write(json.dumps(row) + "\n")
    wanted = [part for part in parts if part["seed"] in seeds and part["setting"] in settings]
    report("detectors", options, rows=medians(wanted))


def _all_rows(tasks: list, workers: int) -> Iterator[Row]:
    """Rows of all tasks as they come, from a pool of processes; one that fails stops the benchmark."""
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager, context.Pool(max(1, min(workers, len(tasks)))) as pool:
        results = manager.Queue()
        jobs = [pool.apply_async(_work, (task, results)) for task in tasks]
        while not all(job.ready() for job in jobs) or not results.empty():
            for job in jobs:
                if job.ready():
                    job.get()
            if results.empty():
                jobs[-1].wait(0.2)
                continue
            yield results.get()


if __name__ == "__main__":
    main()
