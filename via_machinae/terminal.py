"""What a user sees while work goes on: progress, tables, one-line errors."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table as RichTable

__all__ = ["console", "error", "progress_bar", "rate_bar", "show_table"]

_LOG_WIDTH = 200

# Paths and names come from the user: brackets and colons in them are no markup. A log file has no width to
# fit: every cell of a table is written in full.
console = Console(
    highlight=False, soft_wrap=True, markup=False, emoji=False,
    width=None if sys.stdout.isatty() else _LOG_WIDTH,
)  # fmt: skip
_errors = Console(stderr=True, highlight=False, soft_wrap=True, markup=False, emoji=False)


def error(message: object) -> None:
    """A one-line error on standard error."""
    _errors.print("error: " + " ".join(str(message).split()), style="red")


@contextmanager
def progress_bar(label: str, total: int, done: int = 0) -> Iterator[Callable[[], None]]:
    """A progress bar with remaining time; in a log file, a line at every tenth instead.

    Args:
        label: what is counted.
        total: steps in all.
        done: steps done before (a continued run).

    Yields:
        A function to call after each step.
    """
    if not console.is_terminal:
        yield _log_steps(label, total, done)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(label, total=total, completed=done)
        yield lambda: progress.advance(task)


@contextmanager
def rate_bar(label: str, counted: str) -> Iterator[Callable[[int, int, int], None]]:
    """A progress bar whose total may grow, with a rate and the remaining time; in a log file, some lines.

    Args:
        label: what the steps are.
        counted: what the rate counts; empty for none.

    Yields:
        A function of (steps done, steps in all, things counted so far).
    """
    begin = time.monotonic()

    def rate(count: int) -> str:
        speed = count / max(time.monotonic() - begin, 1e-3)
        return f"{count:,} {counted}, {speed:,.0f}/s" if counted else ""

    if not console.is_terminal:
        yield _log_rates(label, rate)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(label, total=None, rate="")
        yield lambda done, total, count: progress.update(task, completed=done, total=total, rate=rate(count))


def _log_rates(label: str, rate: Callable[[int], str]) -> Callable[[int, int, int], None]:
    begin, told = time.monotonic(), 0

    def show(done: int, total: int, count: int) -> None:
        nonlocal told
        tenth = 10 * done // max(total, 1)
        if tenth <= told:
            return
        told = tenth
        left = (time.monotonic() - begin) * (total - done) / max(done, 1)
        parts = [f"{label}: {done} of {total}", rate(count), f"about {left:.0f} s left"]
        console.print(", ".join(part for part in parts if part))
        sys.stdout.flush()

    return show


def _log_steps(label: str, total: int, done: int) -> Callable[[], None]:
    count = done

    def step() -> None:
        nonlocal count
        count += 1
        if count * 10 // total > (count - 1) * 10 // total:
            console.print(f"{label}: {count} of {total}")
            sys.stdout.flush()

    return step


def show_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table; numbers to the right."""
    table = RichTable(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    for column, values in zip(columns, zip(*rows, strict=True) if rows else [()] * len(columns), strict=True):
        numeric = bool(values) and all(isinstance(value, (int, float)) for value in values)
        table.add_column(column, justify="right" if numeric else "left")
    for row in rows:
        table.add_row(*(f"{value:.4g}" if isinstance(value, float) else str(value) for value in row))
    console.print(table)
