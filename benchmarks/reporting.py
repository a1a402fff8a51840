"""What every benchmark shares: arguments, an aligned table, and a JSON record with date, machine and seed."""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

__all__ = ["Cell", "arguments", "print_table", "report"]

Cell = float | int | str | None

_PACKAGES = (
    "numpy",
    "scipy",
    "torch",
    "normflows",
    "scikit-learn",
    "astropy",
    "gala",
    "healpy",
    "via-machinae",
)


def arguments(
    description: str, extend: Callable[[argparse.ArgumentParser], None] | None = None
) -> argparse.Namespace:
    """Parse --quick, --seed and --json, and what `extend` adds.

    Args:
        description: First line of the help text.
        extend: Adds further arguments to the parser.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="a small version, to see that it runs")
    parser.add_argument("--seed", type=int, default=1, help="root of all random streams (default 1)")
    parser.add_argument("--json", type=Path, default=None, metavar="PATH", help="write the record here")
    if extend is not None:
        extend(parser)
    return parser.parse_args()


def print_table(rows: Sequence[Mapping[str, Cell]]) -> None:
    """Print rows as an aligned table; columns are the keys in order of first appearance."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    lines = [columns, *([_text(row.get(column)) for column in columns] for row in rows)]
    widths = [max(len(line[k]) for line in lines) for k in range(len(columns))]
    for line in lines:
        print("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def report(
    benchmark: str,
    options: argparse.Namespace,
    *,
    rows: Sequence[Mapping[str, Cell]] = (),
    figures: Mapping[str, Cell] | None = None,
    device: str = "cpu",
) -> dict[str, object]:
    """Print table and figures, and write the record if --json was given.

    Args:
        benchmark: Name of the benchmark.
        options: What `arguments` returned.
        rows: Table, one mapping per row; the record has it under "rows".
        figures: Single numbers; the record has each under its own key.
        device: What the work ran on, in words.

    Returns:
        The record: benchmark, date, cores, device, seed, quick, versions, the figures and the rows.
    """
    record: dict[str, object] = {
        "benchmark": benchmark,
        "date": datetime.now(UTC).date().isoformat(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "device": device,
        "seed": options.seed,
        "quick": options.quick,
        **(figures or {}),
        "rows": [dict(row) for row in rows],
        "versions": _versions(),
    }
    shown = {key: record[key] for key in ("date", "cores", "device", "seed")}
    print(f"{benchmark}: " + ", ".join(f"{key} {value}" for key, value in shown.items()))
    if rows:
        print_table(rows)
    for key, value in (figures or {}).items():
        print(f"{key}: {_text(value)}")
    if options.json is not None:
        _write(options.json, record)
    return record


def _text(value: Cell) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions


def _write(path: Path, record: Mapping[str, object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(handle, "w") as file:
        json.dump(record, file, indent=2)
        file.write("\n")
    os.replace(temporary, path)
