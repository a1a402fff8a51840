"""Markdown of results: tables, and the line that says how they were made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from streams.significance import LEAST_PROBABILITY

__all__ = ["Record", "false_alarm", "made", "table"]

Record = Mapping[str, Any]


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def made(record: Record) -> str:
    """Date, cores, device and seed of a record."""
    return f"\n\n({record['date']}, {record['cores']} cores, {record['device']}, seed {record['seed']})"


def false_alarm(value: float | None) -> str:
    """A probability of a fitted tail; none below LEAST_PROBABILITY is quoted."""
    if value is None:
        return "-"
    return f"below {LEAST_PROBABILITY:.0e}" if value <= LEAST_PROBABILITY else f"{value:.2g}"
